//! Large values: kept in parts, read back whole, and never in files of their own beside the engine's log.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::path::Path;

use factotum_store::{
    Batch, Blobs, KvNamespace, MAX_VALUE, Options, Quota, ScanRange, Store, StoreError, Table,
};

fn value(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + seed * 7) % 251) as u8).collect()
}

fn files_beside_the_log(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("blobs")).unwrap().count()
}

/// Sizes at every edge: empty, one part, one byte more, several parts, the largest.
const SIZES: [usize; 8] = [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_001, MAX_VALUE];

#[test]
fn values_of_every_size_come_back_and_no_record_becomes_a_file() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    let store = Store::open(&dir, Options::default()).unwrap();
    for round in 0..3 {
        for (index, _) in SIZES.iter().enumerate() {
            // Every key goes through other sizes, so that parts are added, replaced and taken away.
            let size = SIZES[(index + round) % SIZES.len()];
            let mut batch = Batch::new();
            batch.put(Table::Payloads, [index as u8], value(index, size));
            batch.append("run", (round * SIZES.len() + index) as u64, value(round, size / 2));
            if size < MAX_VALUE / 2 {
                batch.merge({
                    let mut more = Batch::new();
                    more.put(Table::Runs, vec![b'k'; 4096], value(9, size));
                    more
                });
            }
            store.commit_blocking(batch).unwrap();
        }
    }
    // Whole pages of the largest part.
    for number in 0..200_u64 {
        let mut batch = Batch::new();
        batch.put(Table::Flows, [vec![b'k'; 4000], number.to_be_bytes().to_vec()].concat(), value(3, 65_536));
        store.commit_blocking(batch).unwrap();
    }
    pollster::block_on(Blobs::new(&store).put(&value(5, 5_000_000))).unwrap();
    let names = KvNamespace::new(&store, "plugin", Quota::default()).unwrap();
    pollster::block_on(names.set("key", &value(6, 1_000_000))).unwrap();
    assert_eq!(files_beside_the_log(&dir), 0, "a record of the log became a file of its own");

    let check = |store: &Store| {
        for (index, _) in SIZES.iter().enumerate() {
            let size = SIZES[(index + 2) % SIZES.len()];
            assert_eq!(store.get(Table::Payloads, &[index as u8]).unwrap().unwrap(), value(index, size));
        }
        assert_eq!(store.scan(Table::Payloads, &ScanRange::default()).unwrap().len(), SIZES.len());
        assert_eq!(store.journal_end("run").unwrap(), 24);
        assert_eq!(store.journal("run", 5, 2).unwrap()[1].1, value(0, 500_000));
    };
    check(&store);
    store.close();
    drop(store);
    let store = Store::open(&dir, Options::default()).unwrap();
    check(&store);

    // A condition compares the whole value, not its head.
    let mut batch = Batch::new();
    let mut other = value(0, 1_000_001);
    other[1_000_000] ^= 1;
    batch.put(Table::Meta, "large", value(0, 1_000_001));
    store.commit_blocking(batch).unwrap();
    let mut batch = Batch::new();
    batch.expect(Table::Meta, "large", factotum_store::Expectation::Value(other));
    assert!(matches!(store.commit_blocking(batch), Err(StoreError::Conflict { .. })));
    // What stands in the store can be a head to look at; it comes back as it was put.
    let disguised = {
        let mut head = b"\x00parts\x9e\x17\xc4\xf1\x2b\xd8\x60\xa5\x3e\xff".to_vec();
        head.extend_from_slice(&65_537_u32.to_be_bytes());
        head.extend_from_slice(&[0; 32]);
        head
    };
    let mut batch = Batch::new();
    batch.put(Table::Meta, "disguised", disguised.clone());
    store.commit_blocking(batch).unwrap();
    assert_eq!(store.get(Table::Meta, b"disguised").unwrap(), Some(disguised));
}

#[test]
fn overwritten_and_deleted_values_leave_no_parts() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    let store = Store::open(&dir, Options::default()).unwrap();
    for size in [3_000_000, 100_000, 10] {
        let mut batch = Batch::new();
        batch.put(Table::Payloads, "a", value(1, size)).put(Table::Payloads, "b", value(2, 3_000_000 - size));
        store.commit_blocking(batch).unwrap();
    }
    let mut batch = Batch::new();
    batch.delete(Table::Payloads, "b");
    store.commit_blocking(batch).unwrap();
    store.close();
    drop(store);
    let engine = sled::Config::new().path(&dir).segment_size(8 * 1024 * 1024).open().unwrap();
    let keys: Vec<_> = engine.iter().keys().map(Result::unwrap).collect();
    assert!(keys.iter().all(|key| key[0] != 255), "parts of no value: {keys:?}");
    assert_eq!(keys.len(), 4, "the format, two numbers of groups, and the one value that is left");
}

/// A folder as the version before this layout made it, in small segments.
#[test]
fn a_folder_of_the_layout_before_is_taken_up() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    let engine = sled::Config::new().path(&dir).open().unwrap();
    engine.insert(b"\x01store-format", b"1").unwrap();
    engine.insert(b"\x18old", value(4, 900_000)).unwrap();
    engine.flush().unwrap();
    drop(engine);
    let store = Store::open(&dir, Options::default()).unwrap();
    assert_eq!(store.get(Table::Payloads, b"old").unwrap(), Some(value(4, 900_000)));
    let mut batch = Batch::new();
    batch.put(Table::Payloads, "old", value(5, 900_000));
    store.commit_blocking(batch).unwrap();
    drop(store);
    let store = Store::open(&dir, Options::default()).unwrap();
    assert_eq!(store.get(Table::Payloads, b"old").unwrap(), Some(value(5, 900_000)));
    // The log cannot put an oversized page anywhere: writing ends in words, and closing ends too.
    std::fs::remove_dir_all(dir.join("blobs")).unwrap();
    let started = std::time::Instant::now();
    let failure = (0..400_u64).find_map(|number| {
        let mut batch = Batch::new();
        batch.put(Table::Payloads, number.to_be_bytes(), value(6, 60_000));
        store.commit_blocking(batch).err()
    });
    assert!(matches!(failure, Some(StoreError::Failed { .. })), "{failure:?}");
    store.close();
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}

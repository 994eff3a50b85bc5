//! What is sealed, what is not, what a tampered value does, and how a folder of before is sealed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{path::Path, sync::Arc};

use factotum_store::{
    Batch, Blobs, Durability, Expectation, KvNamespace, MAX_VALUE, Options, Quota, ScanRange, Sealer, Store,
    StoreError, Table, UNREADABLE,
};

/// Turns every bit around and puts the place behind: enough to see who seals what where.
struct Inverse;

impl Sealer for Inverse {
    fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let mut sealed = vec![b'S'];
        sealed.extend(plain.iter().map(|byte| !byte));
        sealed.push(sum(place));
        Ok(sealed)
    }

    fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        match sealed {
            [b'S', plain @ .., end] if *end == sum(place) => Ok(plain.iter().map(|byte| !byte).collect()),
            _ => Err("it was not sealed here".into()),
        }
    }
}

fn sum(place: &[u8]) -> u8 {
    place.iter().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte))
}

fn open(dir: &Path) -> Store {
    Store::open(dir, Options { durability: Durability::System, ..Options::default() }).unwrap()
}

fn sealed(dir: &Path) -> Store {
    let store = open(dir);
    store.seal_with(Arc::new(Inverse)).unwrap();
    store
}

async fn put(store: &Store, table: Table, key: &str, value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn payloads_are_sealed_in_the_files_and_open_for_every_reader() {
    let dir = tempfile::tempdir().unwrap();
    let store = sealed(dir.path());
    let mut batch = Batch::new();
    batch.append("run", 0, *b"marker in a journal");
    batch.put(Table::Inbox, "i", *b"marker in the inbox");
    batch.put(Table::Flows, "f", *b"a flow's document");
    store.commit(batch).await.unwrap();
    let kv = KvNamespace::new(&store, "crm", Quota { max_bytes: 1000, max_keys: 2 }).unwrap();
    kv.set("a", b"marker in a value").await.unwrap();
    assert_eq!(kv.usage().unwrap().bytes, 18, "quotas count what the plugin wrote");
    kv.swap("a", Some(b"marker in a value"), b"marker again").await.unwrap();
    assert!(kv.swap("a", Some(b"marker in a value"), b"x").await.unwrap_err().is_conflict());
    assert_eq!(kv.increment("n", 40).await.unwrap(), 40);
    assert_eq!(kv.increment("n", 2).await.unwrap(), 42);
    let large = b"marker ".repeat(40_000);
    let digest = Blobs::new(&store).put(&large).await.unwrap();
    put(&store, Table::Payloads, "large", &vec![b'm'; MAX_VALUE]).await;

    assert_eq!(store.get(Table::Inbox, b"i").unwrap().unwrap(), b"marker in the inbox");
    assert_eq!(store.journal("run", 0, 10).unwrap(), [(0, b"marker in a journal".to_vec())]);
    assert_eq!(store.scan(Table::KeyValue, &ScanRange::default()).unwrap()[0].1, b"marker again");
    assert_eq!(Blobs::new(&store).get(&digest).unwrap().unwrap(), large);
    assert_eq!(store.get(Table::Payloads, b"large").unwrap().unwrap().len(), MAX_VALUE);
    assert_eq!(store.stored(Table::Inbox, b"i").unwrap().unwrap()[0], b'S');
    assert_eq!(store.stored(Table::Flows, b"f").unwrap().unwrap(), b"a flow's document");
    store.close();
    let files: Vec<u8> =
        ["db", "conf"].iter().flat_map(|name| std::fs::read(dir.path().join(name)).unwrap()).collect();
    let found = |text: &[u8]| files.windows(text.len()).any(|part| part == text);
    assert!(
        found(b"a flow's document") && !found(b"marker"),
        "what holds no payload is clear, and nothing else"
    );
}

#[tokio::test]
async fn what_was_changed_or_moved_is_an_error_of_its_own_and_hides_nothing_else() {
    let store = Store::temporary(Options::default()).unwrap();
    store.seal_with(Arc::new(Inverse)).unwrap();
    for key in ["a", "b", "c"] {
        put(&store, Table::Inbox, key, key.as_bytes()).await;
    }
    let moved = store.stored(Table::Inbox, b"a").unwrap();
    store.tamper(Table::Inbox, b"b", moved).unwrap();
    let error = store.get(Table::Inbox, b"b").unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { table: Table::Inbox, key, .. } if key == b"b"), "{error}");
    let values: Vec<Vec<u8>> = store
        .scan(Table::Inbox, &ScanRange::default())
        .unwrap()
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(values, [b"a".to_vec(), UNREADABLE.to_vec(), b"c".to_vec()]);
    // A condition on it refuses its own batch, and the store goes on.
    let mut batch = Batch::new();
    batch.expect(Table::Inbox, "b", Expectation::Value(b"b".to_vec()));
    assert!(matches!(store.commit(batch).await.unwrap_err(), StoreError::Corrupt { .. }));
    let mut batch = Batch::new();
    batch.expect(Table::Inbox, "b", Expectation::Present).put(Table::Inbox, "b", *b"new");
    store.commit(batch).await.unwrap();
    assert_eq!(store.get(Table::Inbox, b"b").unwrap().unwrap(), b"new");
    store.tamper(Table::Inbox, b"c", Some(b"clear".to_vec())).unwrap();
    assert!(store.get(Table::Inbox, b"c").is_err(), "what was put there in clear is not taken for sealed");
}

#[tokio::test]
async fn a_sealed_folder_gives_nothing_away_without_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = sealed(dir.path());
    put(&store, Table::Inbox, "i", b"x").await;
    put(&store, Table::Flows, "f", b"y").await;
    assert!(matches!(store.seal_with(Arc::new(Inverse)), Err(StoreError::Invalid(_))), "once");
    store.close();
    drop(store);
    let store = open(dir.path());
    assert!(store.is_locked());
    assert_eq!(
        store.get(Table::Flows, b"f").unwrap().unwrap(),
        b"y",
        "the keys themselves lie in a clear table"
    );
    assert_eq!(store.get(Table::Inbox, b"i").unwrap_err(), StoreError::Sealed);
    assert_eq!(store.scan(Table::Inbox, &ScanRange::default()).unwrap_err(), StoreError::Sealed);
    let mut batch = Batch::new();
    batch.put(Table::Inbox, "j", *b"z");
    assert_eq!(store.commit(batch).await.unwrap_err(), StoreError::Sealed);
    put(&store, Table::Flows, "g", b"goes on").await;
    assert_eq!(store.seal_with(Arc::new(Inverse)).unwrap(), 0);
    assert!(!store.is_locked());
    assert_eq!(store.get(Table::Inbox, b"i").unwrap().unwrap(), b"x");
}

#[tokio::test]
async fn a_folder_of_before_is_sealed_and_goes_on_where_a_crash_left_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..1_700_u32 {
        let mut batch = Batch::new();
        batch.append(format!("run-{n:04}"), 0, format!("clear {n}"));
        batch.put(Table::Flows, format!("f{n}"), "document");
        store.commit(batch).await.unwrap();
    }
    put(&store, Table::Payloads, "large", &vec![9; 200_000]).await;
    store.close();
    drop(store);

    /// Gives up in the middle, as a crash would.
    struct Stops(std::sync::atomic::AtomicU32);
    impl Sealer for Stops {
        fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
            if self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 800 {
                return Err("stopped".into());
            }
            Inverse.seal(place, plain)
        }
        fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
            Inverse.open(place, sealed)
        }
    }
    let store = open(dir.path());
    store.seal_with(Arc::new(Stops(0.into()))).unwrap_err();
    assert_eq!(store.journal("run-0000", 0, 1).unwrap_err(), StoreError::Sealed, "half sealed is closed");
    store.close();
    drop(store);

    let store = open(dir.path());
    let rest = store.seal_with(Arc::new(Inverse)).unwrap();
    assert_eq!(rest, 1_701 - 500, "a whole page was done before");
    for n in 0..1_700_u32 {
        assert_eq!(
            store.journal(format!("run-{n:04}"), 0, 1).unwrap()[0].1,
            format!("clear {n}").into_bytes()
        );
    }
    assert_eq!(store.get(Table::Payloads, b"large").unwrap().unwrap(), vec![9; 200_000]);
    assert_eq!(store.stored(Table::Payloads, b"large").unwrap().unwrap()[0], b'S');
    assert_eq!(store.get(Table::Flows, b"f7").unwrap().unwrap(), b"document");
    store.close();
    drop(store);
    assert_eq!(open(dir.path()).seal_with(Arc::new(Inverse)).unwrap(), 0, "once");
}

#[tokio::test]
async fn several_journals_are_removed_together() {
    let store = Store::temporary(Options::default()).unwrap();
    for run in ["a", "b", "c"] {
        let mut batch = Batch::new();
        for position in 0..700 {
            batch.append(run, position, *b"r");
        }
        store.commit(batch).await.unwrap();
    }
    store.purge_journals(&["a", "c", "nothing"]).await.unwrap();
    assert_eq!(["a", "b", "c"].map(|run| store.journal_end(run).unwrap()), [0, 700, 0]);
}

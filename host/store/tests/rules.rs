//! The rules of the boundary, held against both implementations: sled and the one in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::collections::BTreeSet;

use factotum_store::{
    Batch, Blobs, ChainState, Expectation, KvNamespace, Linker, MAX_SCAN, Options, Quota, ScanRange, Store,
    StoreError, Table, Timer, Timers, Usage,
};

/// Links by writing the sequence number before the entry, and counts in the head.
struct Counting(u64);

impl Linker for Counting {
    fn restore(&mut self, state: ChainState) -> Result<u64, String> {
        self.0 = state.last.map_or(0, |(sequence, _)| sequence);
        Ok(self.0 + 1)
    }
    fn link(&mut self, sequence: u64, entry: &[u8]) -> Vec<u8> {
        assert_eq!(sequence, self.0 + 1, "linked in order, once");
        self.0 = sequence;
        [format!("{sequence}:").as_bytes(), entry].concat()
    }
    fn head(&mut self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}

fn options() -> Options {
    Options { linker: Some(Box::new(Counting(0))), ..Options::default() }
}

/// Runs one rule on both implementations; on the second also with writes that are moved out of memory at once, in their turn.
fn both(rule: impl AsyncFn(Store)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        rule(Store::in_memory(options()).unwrap()).await;
        rule(Store::temporary(options()).unwrap()).await;
        rule(Store::temporary(Options { recent_bytes: 200, ..options() }).unwrap()).await;
    });
}

#[test]
fn a_batch_is_all_or_nothing() {
    both(async |store| {
        let mut batch = Batch::new();
        batch.put(Table::Runs, "a", "1").append("run", 0, "first").chain("entry");
        assert_eq!(store.commit(batch).await.unwrap().chain, 1..2);
        let mut batch = Batch::new();
        batch.put(Table::Runs, "b", "2").delete(Table::Runs, "a").increment(Table::Meta, "n", 3);
        batch.append("run", 1, "second").chain("lost").append("run", 1, "again");
        let error = store.commit(batch).await.unwrap_err();
        assert_eq!(error, StoreError::Position { journal: b"run".to_vec(), expected: 1, actual: 2 });
        assert!(error.is_conflict());
        assert_eq!(store.get(Table::Runs, b"a").unwrap().unwrap(), b"1");
        assert_eq!(store.get(Table::Runs, b"b").unwrap(), None);
        assert_eq!(store.get(Table::Meta, b"n").unwrap(), None);
        assert_eq!(store.journal("run", 0, 10).unwrap(), vec![(0, b"first".to_vec())]);
        let mut batch = Batch::new();
        batch.chain("next").chain("and next");
        assert_eq!(store.commit(batch).await.unwrap().chain, 2..4, "a refused batch uses no sequence number");
        let log = store.scan(Table::Audit, &ScanRange::default()).unwrap();
        let log: Vec<_> = log.into_iter().map(|(_, entry)| String::from_utf8(entry).unwrap()).collect();
        assert_eq!(log, ["1:entry", "2:next", "3:and next"]);
        assert_eq!(store.get(Table::AuditHead, b"head").unwrap().unwrap(), b"3");
    });
}

#[test]
fn conditions_see_earlier_operations_of_the_same_batch() {
    both(async |store| {
        let mut batch = Batch::new();
        batch.put_new(Table::Runs, "k", "v").expect(Table::Runs, "k", Expectation::Value(b"v".to_vec()));
        batch.append("j", 0, "0").append("j", 1, "1");
        batch.increment(Table::Meta, "n", 2).increment(Table::Meta, "n", 40);
        assert_eq!(store.commit(batch).await.unwrap().sums, [2, 42]);
        assert_eq!(store.journal_end("j").unwrap(), 2);
        let mut batch = Batch::new();
        batch.expect(Table::Runs, "k", Expectation::Present).delete(Table::Runs, "k").put_new(
            Table::Runs,
            "k",
            "w",
        );
        store.commit(batch).await.unwrap();
        for expectation in [Expectation::Absent, Expectation::Value(b"v".to_vec())] {
            let mut batch = Batch::new();
            batch.expect(Table::Runs, "k", expectation);
            let error = store.commit(batch).await.unwrap_err();
            assert!(
                matches!(&error, StoreError::Conflict { table: Table::Runs, key, .. } if key == b"k"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_journal_takes_only_its_next_position() {
    both(async |store| {
        let append = |position: u64| {
            let mut batch = Batch::new();
            batch.append("run-1", position, position.to_string());
            batch
        };
        for position in 0..20 {
            store.commit(append(position)).await.unwrap();
        }
        for (expected, journal, actual) in [(19, "run-1", 20), (21, "run-1", 20), (7, "run-10", 0)] {
            let mut batch = Batch::new();
            batch.append(journal, expected, "x");
            let error = store.commit(batch).await.unwrap_err();
            assert_eq!(error, StoreError::Position { journal: journal.into(), expected, actual });
        }
        let read = store.journal("run-1", 17, 2).unwrap();
        assert_eq!(read, vec![(17, b"17".to_vec()), (18, b"18".to_vec())]);
        store.purge_journal("run-1").await.unwrap();
        assert_eq!(store.journal_end("run-1").unwrap(), 0);
        store.commit(append(0)).await.unwrap();
    });
}

#[test]
fn one_of_many_racing_writers_wins() {
    both(async |store| {
        for round in 0..20_u32 {
            let tasks: Vec<_> = (0..16_u32)
                .map(|writer| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        let mut batch = Batch::new();
                        batch.put_new(Table::Dedupe, round.to_be_bytes(), writer.to_be_bytes());
                        batch.put(
                            Table::Runs,
                            [round.to_be_bytes(), writer.to_be_bytes()].concat(),
                            "started",
                        );
                        store.commit(batch).await.is_ok().then_some(writer)
                    })
                })
                .collect();
            let mut winners = Vec::new();
            for task in tasks {
                winners.extend(task.await.unwrap());
            }
            assert_eq!(winners.len(), 1);
            let kept = store.get(Table::Dedupe, &round.to_be_bytes()).unwrap().unwrap();
            assert_eq!(kept, winners[0].to_be_bytes());
            let runs = store.scan(Table::Runs, &ScanRange::prefix(round.to_be_bytes())).unwrap();
            assert_eq!(runs.len(), 1, "the losers left nothing");
        }
    });
}

#[test]
fn concurrent_batches_stay_whole_for_every_reader() {
    both(async |store| {
        let writers: Vec<_> = (0..8_u64)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for round in 0..60_u64 {
                        let mut batch = Batch::new();
                        // Five keys that always hold the same value.
                        for key in 0..5_u8 {
                            batch.put(Table::Flows, [key], (writer * 1000 + round).to_be_bytes());
                        }
                        batch.append(format!("w{writer}"), round, "r").chain("e");
                        batch.increment(Table::Meta, "total", 1);
                        store.commit(batch).await.unwrap();
                    }
                })
            })
            .collect();
        let reader = {
            let store = store.clone();
            tokio::task::spawn_blocking(move || {
                for _ in 0..500 {
                    let page = store.scan(Table::Flows, &ScanRange::default()).unwrap();
                    let values: BTreeSet<_> = page.into_iter().map(|(_, value)| value).collect();
                    assert!(values.len() <= 1, "a scan saw half a batch");
                }
            })
        };
        for writer in writers {
            writer.await.unwrap();
        }
        reader.await.unwrap();
        assert_eq!(store.get(Table::Meta, b"total").unwrap().unwrap(), b"480");
        assert_eq!(store.get(Table::AuditHead, b"head").unwrap().unwrap(), b"480");
        for writer in 0..8 {
            assert_eq!(store.journal_end(format!("w{writer}")).unwrap(), 60);
        }
        let health = store.health();
        assert_eq!((health.failure, health.batches), (None, 480));
    });
}

#[test]
fn scans_page_in_both_directions_within_their_bounds() {
    both(async |store| {
        let mut batch = Batch::new();
        for number in 0..100_u8 {
            batch.put(Table::RunsByTime, [b'p', number], [number]);
        }
        batch.put(Table::RunsByTime, "q", "outside").put(Table::RunsByFlow, "p5", "another table");
        store.commit(batch).await.unwrap();
        for reverse in [false, true] {
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let mut range =
                    ScanRange::prefix("p").from([b'p', 10]).until([b'p', 90]).after(cursor).limit(7);
                range.reverse = reverse;
                let page = store.scan(Table::RunsByTime, &range).unwrap();
                assert!(page.len() <= 7);
                let Some((last, _)) = page.last() else { break };
                cursor = Some(last.clone());
                seen.extend(page.into_iter().map(|(_, value)| value[0]));
            }
            if reverse {
                seen.reverse();
            }
            assert_eq!(seen, (10..90).collect::<Vec<u8>>());
        }
        for empty in [
            ScanRange::prefix("p").from("z"),
            ScanRange::prefix("p").from("p9").until("p1"),
            ScanRange::prefix("p").limit(0),
            ScanRange::prefix("p").after(Some(b"pz".to_vec())),
        ] {
            assert_eq!(store.scan(Table::RunsByTime, &empty).unwrap(), vec![]);
        }
        let all = store.scan(Table::RunsByTime, &ScanRange::default().limit(usize::MAX)).unwrap();
        assert!(all.len() == 101 && all.len() <= MAX_SCAN);
    });
}

#[test]
fn timers_fire_in_order_and_once() {
    both(async |store| {
        let timers = Timers::new(&store);
        let mut batch = Batch::new();
        for due_ms in [300, 100, 200, u64::MAX] {
            let id = format!("t{due_ms}").into_bytes();
            Timers::set(&mut batch, &Timer { due_ms, id, payload: b"wake".to_vec() });
        }
        store.commit(batch).await.unwrap();
        assert_eq!(timers.first().unwrap().unwrap().due_ms, 100);
        let due = timers.due(200, 10).unwrap();
        assert_eq!(due.iter().map(|t| t.due_ms).collect::<Vec<_>>(), [100, 200]);
        assert_eq!(timers.due(u64::MAX, 10).unwrap().len(), 4);
        let mut again = Batch::new();
        Timers::set(&mut again, &due[0]);
        assert!(store.commit(again).await.unwrap_err().is_conflict(), "a name is set once");
        for expected in [true, false] {
            let mut batch = Batch::new();
            Timers::remove(&mut batch, due[0].due_ms, &due[0].id);
            assert_eq!(store.commit(batch).await.is_ok(), expected, "a timer fires once");
        }
        let mut batch = Batch::new();
        assert!(timers.cancel(&mut batch, b"t200").unwrap());
        assert!(!timers.cancel(&mut batch, b"t100").unwrap());
        store.commit(batch).await.unwrap();
        assert_eq!(timers.due(250, 10).unwrap(), vec![]);
        assert_eq!(timers.due_of(b"t300").unwrap(), Some(300));
    });
}

#[test]
fn blobs_come_back_whole_or_as_an_error() {
    both(async |store| {
        let blobs = Blobs::new(&store);
        for length in [0, 1, 64 * 1024, 64 * 1024 + 1, 5_000_000] {
            let data: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let digest = blobs.put(&data).await.unwrap();
            assert_eq!(blobs.put(&data).await.unwrap(), digest);
            assert_eq!(blobs.length(&digest).unwrap(), Some(length as u64));
            assert!(blobs.get(&digest).unwrap().unwrap() == data);
            if length > 0 {
                let chunk = [digest.as_slice(), &0_u32.to_be_bytes()].concat();
                let mut batch = Batch::new();
                batch.put(Table::BlobChunks, chunk.clone(), vec![b'!'; length.min(64 * 1024)]);
                store.commit(batch).await.unwrap();
                assert!(
                    matches!(blobs.get(&digest), Err(StoreError::Corrupt { .. })),
                    "changed bytes are noticed"
                );
                let mut batch = Batch::new();
                batch.delete(Table::BlobChunks, chunk);
                store.commit(batch).await.unwrap();
                assert!(
                    matches!(blobs.get(&digest), Err(StoreError::Corrupt { .. })),
                    "so is a missing chunk"
                );
            }
            assert!(blobs.delete(&digest).await.unwrap());
            assert!(!blobs.delete(&digest).await.unwrap());
            assert_eq!(blobs.get(&digest).unwrap(), None);
            assert_eq!(store.scan(Table::BlobChunks, &ScanRange::default()).unwrap().len(), 0);
        }
        let mut batch = Batch::new();
        batch.put(Table::Blobs, [7; 32], [&[0][..], &5_u64.to_be_bytes()].concat());
        batch.put(Table::BlobChunks, [[7; 32].as_slice(), &[0; 4]].concat(), "left");
        store.commit(batch).await.unwrap();
        assert_eq!(blobs.sweep().await.unwrap(), 1);
        assert_eq!(store.scan(Table::BlobChunks, &ScanRange::default()).unwrap(), vec![]);
    });
}

#[test]
fn namespaces_keep_apart_count_and_bound() {
    both(async |store| {
        let quota = Quota { max_bytes: 100, max_keys: 3 };
        let crm = KvNamespace::new(&store, "crm", quota).unwrap();
        let other = KvNamespace::new(&store, "crm2", quota).unwrap();
        crm.set("k", b"12345").await.unwrap();
        assert_eq!(crm.usage().unwrap(), Usage { bytes: 6, keys: 1 });
        assert_eq!(other.get("k").unwrap(), None);
        crm.set("k", b"1").await.unwrap();
        assert_eq!(crm.usage().unwrap(), Usage { bytes: 2, keys: 1 });
        crm.set("a", b"").await.unwrap();
        assert!(crm.exists("a").unwrap());
        assert_eq!(crm.increment("n", 5).await.unwrap(), 5);
        assert_eq!(crm.increment("n", 95).await.unwrap(), 100);
        assert_eq!(crm.usage().unwrap(), Usage { bytes: 7, keys: 3 });
        let error = crm.set("fourth", b"").await.unwrap_err();
        assert!(matches!(error, StoreError::Quota { unit: "keys", max: 3, would_be: 4, .. }), "{error}");
        let error = crm.set("k", &[0; 100]).await.unwrap_err();
        assert!(matches!(error, StoreError::Quota { unit: "bytes", max: 100, .. }), "{error}");
        assert!(matches!(crm.increment("k2", 1).await.unwrap_err(), StoreError::Quota { .. }));
        crm.set("k", b"text").await.unwrap();
        assert!(matches!(crm.increment("k", 1).await.unwrap_err(), StoreError::NotANumber { .. }));
        assert!(matches!(crm.increment("n", u64::MAX).await.unwrap_err(), StoreError::NotANumber { .. }));
        assert!(crm.swap("k", Some(b"wrong"), b"x").await.unwrap_err().is_conflict());
        crm.swap("k", Some(b"text"), b"x").await.unwrap();
        assert!(crm.swap("k", None, b"y").await.unwrap_err().is_conflict());
        let page = crm.list_keys(None, 2).unwrap();
        assert_eq!((page.keys, page.cursor.as_deref()), (vec!["a".to_owned(), "k".to_owned()], Some("k")));
        let page = crm.list_keys(Some("k"), 2).unwrap();
        assert_eq!((page.keys, page.cursor), (vec!["n".to_owned()], None));
        let tight = KvNamespace::new(&store, "crm", Quota { max_bytes: 1, max_keys: 1 }).unwrap();
        tight.delete("k").await.unwrap();
        tight.delete("k").await.unwrap();
        assert_eq!(tight.usage().unwrap(), Usage { bytes: 5, keys: 2 });
        for bad in ["", &"k".repeat(1025)] {
            assert!(matches!(crm.set(bad, b"").await, Err(StoreError::Invalid(_))));
        }
        assert!(matches!(crm.set("k", &vec![0; 1024 * 1024 + 1]).await, Err(StoreError::Invalid(_))));
        assert!(KvNamespace::new(&store, "", quota).is_err());
    });
}

#[test]
fn racing_increments_lose_nothing() {
    both(async |store| {
        let ns = KvNamespace::new(&store, "counters", Quota::default()).unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let ns = ns.clone();
                tokio::spawn(async move {
                    let mut sums = Vec::new();
                    for _ in 0..50 {
                        sums.push(ns.increment("n", 1).await.unwrap());
                    }
                    sums
                })
            })
            .collect();
        let mut sums = BTreeSet::new();
        for task in tasks {
            sums.extend(task.await.unwrap());
        }
        assert_eq!(sums, (1..=400).collect(), "every sum is handed out once");
    });
}

#[test]
fn what_needs_a_linker_says_so_and_a_closed_store_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for store in
            [Store::in_memory(Options::default()).unwrap(), Store::temporary(Options::default()).unwrap()]
        {
            let mut batch = Batch::new();
            batch.put(Table::Runs, "k", "v").chain("entry");
            assert_eq!(store.commit(batch).await.unwrap_err(), StoreError::NoLinker);
            assert_eq!(store.get(Table::Runs, b"k").unwrap(), None);
            store.commit(Batch::new()).await.unwrap();
            // Synchronous code inside a runtime must not panic.
            let mut batch = Batch::new();
            batch.put(Table::Runs, "k", "v");
            store.commit_blocking(batch).unwrap();
            store.close();
            store.close();
            assert_eq!(store.commit(Batch::new()).await.unwrap_err(), StoreError::Closed);
            assert_eq!(store.get(Table::Runs, b"k").unwrap_err(), StoreError::Closed);
        }
    });
}

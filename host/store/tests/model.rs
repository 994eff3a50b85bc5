//! Random batches on sled, as they come in groups, and in memory, one by one: both must answer and hold the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use factotum_store::{Batch, Expectation, Meter, Options, ScanRange, Store, Table};
use futures_util::future::join_all;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, bool),
    PutNew(u8),
    Delete(u8, bool),
    Expect(u8, Option<u8>),
    Present(u8),
    Increment(u8, u64, bool),
    Append(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    // Few keys and positions, so that conditions hold and fail about equally often.
    prop_oneof![
        (0..6_u8, 0..40_u8, any::<bool>()).prop_map(|(k, v, m)| Step::Put(k, v, m)),
        (0..6_u8).prop_map(Step::PutNew),
        (0..6_u8, any::<bool>()).prop_map(|(k, m)| Step::Delete(k, m)),
        (0..6_u8, proptest::option::of(0..40_u8)).prop_map(|(k, v)| Step::Expect(k, v)),
        (0..6_u8).prop_map(Step::Present),
        (6..9_u8, 0..100_u64, any::<bool>()).prop_map(|(k, d, m)| Step::Increment(k, d, m)),
        (0..3_u8, 0..6_u64).prop_map(|(j, p)| Step::Append(j, p)),
    ]
}

fn value(length: u8) -> Vec<u8> {
    vec![b'x'; length.into()]
}

fn batch(steps: &[Step]) -> Batch {
    let meter = || Meter { account: b"a".to_vec(), max_bytes: 60, max_keys: 4 };
    let table = Table::KeyValue;
    let mut batch = Batch::new();
    for step in steps {
        match *step {
            Step::Put(k, v, true) => batch.put_metered(table, vec![k], value(v), meter()),
            Step::Put(k, v, false) => batch.put(table, [k], value(v)),
            Step::PutNew(k) => batch.put_new(table, [k], "new"),
            Step::Delete(k, true) => batch.delete_metered(table, vec![k], meter()),
            Step::Delete(k, false) => batch.delete(table, [k]),
            Step::Expect(k, None) => batch.expect(table, [k], Expectation::Absent),
            Step::Expect(k, Some(v)) => batch.expect(table, [k], Expectation::Value(value(v))),
            Step::Present(k) => batch.expect(table, [k], Expectation::Present),
            Step::Increment(k, d, true) => batch.increment_metered(table, vec![k], d, meter()),
            Step::Increment(k, d, false) => batch.increment(table, [k], d),
            Step::Append(j, p) => batch.append([j], p, "record"),
        };
    }
    batch
}

fn contents(store: &Store) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    [Table::KeyValue, Table::KeyValueUse, Table::Journal]
        .map(|table| store.scan(table, &ScanRange::default().limit(1000)).unwrap())
        .into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_implementations_decide_alike(script in prop::collection::vec(prop::collection::vec(step(), 0..6), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let sled = Store::temporary(Options::default()).unwrap();
            // Of this one nearly every group is moved out of memory before the next.
            let moving = Store::temporary(Options { recent_bytes: 100, ..Options::default() }).unwrap();
            let memory = Store::in_memory(Options::default()).unwrap();
            // Polled in order, so they are queued in order; the writer takes them in groups of whatever is there.
            let grouped = join_all(script.iter().map(|steps| sled.commit(batch(steps)))).await;
            let (mut single, mut moved) = (Vec::new(), Vec::new());
            for steps in &script {
                single.push(memory.commit(batch(steps)).await);
                moved.push(moving.commit(batch(steps)).await);
            }
            // Which group an answer came in is not part of it.
            prop_assert_eq!(&grouped, &single);
            prop_assert_eq!(&moved, &single);
            prop_assert_eq!(contents(&sled), contents(&memory));
            prop_assert_eq!(contents(&moving), contents(&memory));
            Ok(())
        })?;
    }

    #[test]
    fn scans_agree_for_any_bounds(
        keys in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..4), 0..40),
        prefix in prop::collection::vec(any::<u8>(), 0..2),
        start in proptest::option::of(prop::collection::vec(any::<u8>(), 0..4)),
        end in proptest::option::of(prop::collection::vec(any::<u8>(), 0..4)),
        after in proptest::option::of(prop::collection::vec(any::<u8>(), 0..4)),
        limit in 0..30_usize,
        reverse: bool,
    ) {
        let mut all = Batch::new();
        for key in &keys {
            all.put(Table::Cache, key.clone(), "v");
        }
        all.put(Table::Schedules, "before", "v");
        let mut expected: Vec<_> = keys
            .iter()
            .filter(|key| key.starts_with(&prefix))
            .filter(|key| start.as_ref().is_none_or(|start| *key >= start))
            .filter(|key| end.as_ref().is_none_or(|end| *key < end))
            .filter(|key| after.as_ref().is_none_or(|after| if reverse { *key < after } else { *key > after }))
            .cloned()
            .collect();
        if reverse {
            expected.reverse();
        }
        expected.truncate(limit);
        let range = ScanRange { prefix, start, end, after, limit, reverse };
        for store in [Store::temporary(Options::default()).unwrap(), Store::in_memory(Options::default()).unwrap()] {
            store.commit_blocking(all.clone()).unwrap();
            let found: Vec<_> = store.scan(Table::Cache, &range).unwrap().into_iter().map(|(key, _)| key).collect();
            prop_assert_eq!(&found, &expected);
        }
    }
}

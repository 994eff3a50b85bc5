//! What cannot go on is parked with its reason, and holds up nobody.

use factotum_provenance::Labels;

use super::*;
use crate::journal::{Outcome, Record, WriteRecord};

async fn park(task: &str) -> (World, Arc<Engine>, Arc<RunInfo>) {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "bad", task).await;
    deploy(&engine, "good", "  - one: { call: a/echo }").await;
    let bad = start(&engine, "bad", json!({})).await;
    let good = start(&engine, "good", json!({})).await;
    let info = world.finish(&engine, &bad).await;
    assert_eq!(world.finish(&engine, &good).await.state, RunState::Completed);
    assert_audit_holds(&engine);
    (world, engine, info)
}

fn assert_stuck(engine: &Engine, info: &RunInfo, reason: &str) {
    assert_eq!(info.state, RunState::Stuck);
    let why = info.reason.clone().unwrap();
    assert!(why.contains(reason), "{why}");
    let stuck = engine.list(&RunQuery { state: Some(RunState::Stuck), ..RunQuery::default() }).unwrap();
    assert_eq!(stuck.runs.len(), 1);
    let running = engine.list(&RunQuery { state: Some(RunState::Running), ..RunQuery::default() }).unwrap();
    assert!(running.runs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_gone_parks_the_run_instead_of_failing_it() {
    let (world, engine, info) = park("  - one: { call: a/is-gone }").await;
    assert_stuck(&engine, &info, "not installed");
    world.kill(engine).await;
    let engine = world.open();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_stuck(&engine, &engine.info(&info.id).unwrap().unwrap(), "not installed");
    assert_eq!(world.script.calls().iter().filter(|s| s.function == "is-gone").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_run() {
    let (_world, engine, info) = park("  - one: { call: a/panics }").await;
    assert_stuck(&engine, &info, "a defect");
}

/// Suspends a run, writes `record` into its journal, and lets its time come.
async fn disturbed(record: Vec<u8>) -> (World, Arc<Engine>, Arc<RunInfo>) {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "w", "  - w: { wait: { minutes: 1 } }\n  - one: { call: a/echo }").await;
    let id = start(&engine, "w", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let mut batch = Batch::new();
    batch.append(id.as_str(), engine.store.journal_end(&id).unwrap(), record);
    engine.store.commit(batch).await.unwrap();
    world.kill(engine).await;
    let engine = world.open();
    let info = world.finish(&engine, &id).await;
    assert_audit_holds(&engine);
    (world, engine, info)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_journal_parks_the_run_and_is_shown_as_far_as_it_can_be_read() {
    let (_world, engine, info) = disturbed(b"{ no record".to_vec()).await;
    assert_stuck(&engine, &info, "journal record 2 cannot be read");
    let history = engine.detail(&info.id).unwrap().unwrap().history;
    assert!(matches!(history.last(), Some(RunEvent::Unreadable { .. })), "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_record_or_row_parks_its_run_and_no_other() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "w", "  - w: { wait: { minutes: 1 } }\n  - one: { call: a/echo }").await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(start(&engine, "w", json!({ "n": n })).await);
        until(&engine, &ids[n], RunState::Waiting).await;
    }
    let key = [&32_u16.to_be_bytes()[..], ids[0].as_bytes(), &0_u64.to_be_bytes()].concat();
    let mut sealed = engine.store.stored(Table::Journal, &key).unwrap().unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    engine.store.tamper(Table::Journal, &key, Some(sealed)).unwrap();
    let other = engine.store.stored(Table::Runs, ids[2].as_bytes()).unwrap();
    engine.store.tamper(Table::Runs, ids[1].as_bytes(), other).unwrap();
    world.kill(engine).await;
    let engine = world.open();
    let info = world.finish(&engine, &ids[0]).await;
    assert_eq!(info.state, RunState::Stuck);
    let why = info.reason.clone().unwrap();
    assert!(why.contains("record 0") && why.contains("changed or moved"), "{why}");
    assert_eq!(world.finish(&engine, &ids[2]).await.state, RunState::Completed);
    let listed = engine.list(&RunQuery::default()).unwrap().runs;
    assert_eq!(listed.len(), 2, "a row that does not open hides no other");
    assert!(engine.info(&ids[1]).is_err());
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_another_flow_parks_the_run_before_it_does_anything() {
    let record: WriteRecord<'_> = Record::Called {
        key: "/do/1/one".into(),
        task: "/do/1/one".into(),
        function: "b/other".into(),
        at: 1,
        elapsed_ms: 1,
        attempt: 1,
        from: Labels::default(),
        outcome: Outcome::Value(&Value::Null),
    };
    let (world, engine, info) = disturbed(record.encode().unwrap()).await;
    assert_stuck(&engine, &info, "b/other");
    assert!(world.script.calls().is_empty());
}

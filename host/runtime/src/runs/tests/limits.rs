//! Bounds: what is taken on is finished, what is not is told so.

use super::*;
use crate::ErrorCode;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_host_says_so_and_loses_nothing_that_it_took_on() {
    let mut world = World::new();
    world.limits = Limits { max_active_runs: 2, max_queued_runs: 3, ..Limits::default() };
    let engine = world.open();
    deploy(&engine, "slow", "  - one: { call: a/fails-twice }").await;
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(start(&engine, "slow", json!({})).await);
    }
    let error = engine.start(request("slow", json!({}))).await.unwrap_err();
    assert_eq!((error.code, error.status()), (ErrorCode::Busy, 503));
    assert!(error.retry_after.is_some());
    assert_eq!(engine.list(&RunQuery::default()).unwrap().runs.len(), 5, "the refused one left nothing");
    assert_eq!(engine.queue.counts(), (2, 3));
    let last = engine.info(&taken[4]).unwrap().unwrap().queued.unwrap();
    assert!(last.reason.contains("2 runs at a time") && last.before == 2, "{last:?}");
    // A restart in the middle: the line is remembered.
    world.kill(engine).await;
    let engine = world.open();
    for id in &taken {
        assert_eq!(world.finish(&engine, id).await.state, RunState::Completed);
    }
    start(&engine, "slow", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_runs_at_once_all_end() {
    let mut world = World::new();
    world.limits = Limits { max_active_runs: 32, max_queued_runs: 1_000, ..Limits::default() };
    let engine = world.open();
    let tasks = "
  - one: { call: a/echo, with: { n: '${ .n }' } }
  - two: { call: a/echo, with: { n: '${ .got.n * 2 }' }, output: { as: '${ .got.n }' } }";
    deploy(&engine, "f", tasks).await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let engine = Arc::clone(&engine);
        all.spawn(async move {
            let id = start(&engine, "f", json!({"n": n})).await;
            (n, engine.wait(&id, Duration::from_secs(60)).await.unwrap())
        });
    }
    for (n, info) in all.join_all().await {
        assert_eq!(info.output, Some(json!(n * 2)));
    }
    assert_eq!(world.script.calls().len(), 2_000);
    assert_eq!(world.script.by_key().len(), 2_000);
    assert_audit_holds(&engine);
    // Page by page, newest first, each once.
    let mut ids = Vec::new();
    let mut query = RunQuery { limit: 300, state: Some(RunState::Completed), ..RunQuery::default() };
    loop {
        let page = engine.list(&query).unwrap();
        ids.extend(page.runs.into_iter().map(|run| run.id));
        match page.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(ids.len(), 1_000);
    assert!(ids.is_sorted_by(|a, b| a > b));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_takes_on_nothing_and_leaves_runs_for_the_next_start() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "slow", "  - one: { call: a/fails-twice }").await;
    let id = start(&engine, "slow", json!({})).await;
    // In its pause before the second attempt.
    while world.script.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    engine.end(Duration::from_secs(5)).await;
    assert_eq!(engine.queue.counts().0, 0, "the pause was cut short");
    assert_eq!(code(engine.start(request("slow", json!({}))).await), ErrorCode::ShuttingDown);
    world.kill(engine).await;
    let engine = world.open();
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    assert_eq!(world.script.calls().len(), 3);
}

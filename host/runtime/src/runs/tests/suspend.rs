//! Waiting costs nothing but an index entry, and ends when its time comes.

use super::*;

const WAIT: &str = "
  - before: { call: a/echo }
  - w: { wait: { hours: 2 } }
  - after: { call: a/echo, with: { done: true }, output: { as: '${ .got }' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_holds_no_place_and_goes_on_after_a_restart() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "w", WAIT).await;
    let id = start(&engine, "w", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    assert!(engine.queue.claim(&id), "nothing holds on to it");
    engine.queue.release(&id);
    world.kill(engine).await;

    world.clock.advance(2 * 3_600_000 + 1);
    let engine = world.open();
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!({"done": true})));
    assert_eq!(world.script.calls().len(), 2, "what came before the wait was not done again");
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_timer_is_woken_first_also_when_it_is_set_later() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "long", "  - w: { wait: { hours: 2 } }").await;
    deploy(&engine, "short", "  - w: { wait: { minutes: 1 } }").await;
    let long = start(&engine, "long", json!({})).await;
    until(&engine, &long, RunState::Waiting).await;
    let short = start(&engine, "short", json!({})).await;
    until(&engine, &short, RunState::Waiting).await;
    // The watcher is to see the nearer timer before time passes.
    tokio::time::sleep(Duration::from_millis(30)).await;
    world.clock.advance(60_000);
    engine.wait(&short, Duration::from_secs(60)).await.unwrap();
    assert_eq!(state(&engine, &long), RunState::Waiting);
    world.clock.advance(2 * 3_600_000);
    engine.wait(&long, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_run_is_told_across_its_suspension() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "w", WAIT).await;
    let id = start(&engine, "w", json!({})).await;
    let waiting = tokio::spawn({
        let (engine, id) = (Arc::clone(&engine), id.clone());
        async move { engine.wait(&id, Duration::from_secs(60)).await }
    });
    until(&engine, &id, RunState::Waiting).await;
    world.clock.advance(2 * 3_600_000);
    assert_eq!(waiting.await.unwrap().unwrap().state, RunState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_timers_that_are_due_at_once_all_fire() {
    let mut world = World::new();
    world.limits = Limits { max_active_runs: 4, max_queued_runs: 50, ..Limits::default() };
    let engine = world.open();
    deploy(&engine, "w", WAIT).await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        let id = start(&engine, "w", json!({})).await;
        until(&engine, &id, RunState::Waiting).await;
        ids.push(id);
    }
    world.clock.advance(3 * 3_600_000);
    for id in &ids {
        let info = engine.wait(id, Duration::from_secs(60)).await.unwrap();
        assert_eq!(info.state, RunState::Completed);
    }
    assert_eq!(world.script.calls().len(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_a_flow_was_told_stays_the_same_after_a_restart() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - a: { set: { at: '${ $task.startedAt.iso8601 }' }, export: { as: '${ . }' } }
  - b: { call: a/echo, with: { at: '${ .at }' } }
  - w: { wait: { minutes: 5 } }
  - c: { set: { then: '${ $context.at }' } }
";
    deploy(&engine, "t", tasks).await;
    let id = start(&engine, "t", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let expected = crate::time::rfc3339(world.clock.now_ms());
    world.kill(engine).await;
    world.clock.advance(3_600_000);
    let engine = world.open();
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.output, Some(json!({"then": expected})));
}

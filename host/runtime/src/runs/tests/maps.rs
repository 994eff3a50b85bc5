//! `call: map` in durable runs: crashes, what rests, what is given up, and retries of one iteration.

use super::*;
use crate::repair::RetryRun;

/// Four items, two at a time, each with a wait and a call; then one call more.
const MAP: &str = "
  - each:
      call: map
      with:
        in: ${ [range(4)] }
        concurrency: 2
        do:
          - pause: { wait: { seconds: 5 } }
          - act: { call: a/echo, with: { n: '${ $item }' }, output: { as: '${ .got.n * 10 }' } }
  - last: { call: a/echo, with: { all: '${ . }' }, output: { as: '${ .got.all }' } }
";

async fn once(commits: i64) -> bool {
    let world = World::new();
    let mut engine = world.open();
    deploy(&engine, "map", MAP).await;
    engine.crash.after(commits);
    let id = start(&engine, "map", json!({})).await;
    let (mut crashed, mut info) = (false, None);
    for _ in 0..PATIENCE {
        match engine.wait(&id, Duration::from_millis(2)).await {
            Ok(ended) => {
                info = Some(ended);
                break;
            }
            Err(_) => world.clock.advance(500),
        }
        if engine.crash.happened() && !crashed {
            crashed = true;
            world.kill(engine).await;
            engine = world.open();
        }
    }
    let info = info.unwrap_or_else(|| panic!("commit {commits}: {:#?}", engine.detail(&id)));
    assert_eq!(info.output, Some(json!([0, 10, 20, 30])), "crash before commit {commits}");
    let keys = world.script.by_key();
    assert_eq!(keys.len(), 5, "crash before commit {commits}: no new keys");
    assert!(keys.values().sum::<usize>() <= 7, "crash before commit {commits}: {keys:?}");
    assert_audit_holds(&engine);
    crashed
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_before_any_commit_a_map_ends_alike() {
    let mut commits = 1;
    while once(commits).await {
        commits += 1;
        assert!(commits < 60, "the run has no end of commits");
    }
    assert!(commits > 6, "{commits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_iterations_wait_for_is_given_up_when_one_fails_and_the_failed_one_is_retried_alone() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - each:
      call: map
      with:
        in: ${ [range(3)] }
        do:
          - way: { switch: [ { first: { when: '$index == 0', then: done } }, { second: { when: '$index == 1', then: hear } }, { third: { then: fail } } ] }
          - done: { call: a/echo, with: { n: 0 }, output: { as: '${ 0 }' }, then: exit }
          - hear: { listen: { to: { one: { with: { type: go } } } }, output: { as: '${ 1 }' }, then: exit }
          - fail: { call: a/switched, then: exit }
";
    deploy(&engine, "map", tasks).await;
    world.script.broken.store(true, Ordering::SeqCst);
    let id = start(&engine, "map", json!({})).await;
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.state, RunState::Faulted, "{info:?}");
    assert_eq!(info.error.as_ref().unwrap().instance.as_deref(), Some("/do/0/each/with/do/3/fail"));
    let all = factotum_store::ScanRange::default();
    for _ in 0..PATIENCE {
        if engine.store.scan(Table::Subscriptions, &all).unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(engine.store.scan(Table::Subscriptions, &all).unwrap().is_empty(), "nobody listens any more");
    world.script.broken.store(false, Ordering::SeqCst);
    let before = world.script.calls().iter().filter(|seen| seen.function == "echo").count();
    let retry =
        RetryRun { actor: actor(), run_id: id.clone(), from: None, flow: Default::default(), preview: false };
    engine.retry(retry).await.unwrap();
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "go"});
    engine.publish(&actor(), event).await.unwrap();
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!([0, 1, "on"])), "{info:?}");
    let after = world.script.calls().iter().filter(|seen| seen.function == "echo").count();
    assert_eq!(before, after, "what was done beside is not done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_given_the_flows_own_key_whichever_run_calls_it() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - refund: { call: a/echo, with: { order: '${ .order }' }, metadata: { idempotencyKey: '${ \"refund-\\(.order)\" }' } }
  - other: { call: a/echo }
";
    deploy(&engine, "own", tasks).await;
    for _ in 0..2 {
        let id = start(&engine, "own", json!({ "order": 7 })).await;
        assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    }
    let keys = world.script.by_key();
    assert_eq!((keys.get("refund-7"), keys.len()), (Some(&2), 3), "{keys:?}");
}

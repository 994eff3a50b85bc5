//! Forks, timeouts, sub-flows and listening, as flows write them, over waits and restarts.

use super::*;
use crate::runs::promises::{PromiseId, Resolution};

#[tokio::test(flavor = "multi_thread")]
async fn branches_act_at_once_wait_each_for_itself_and_go_on_after_a_restart() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - both:
      fork:
        branches:
          - long: { do: [ { w: { wait: { hours: 3 } } }, { a: { call: a/echo, with: { n: 1 }, output: { as: '${ .got.n }' } } } ] }
          - short: { do: [ { w: { wait: { hours: 1 } } }, { b: { call: a/echo, with: { n: 2 }, output: { as: '${ .got.n }' } } } ] }
          - now: { call: a/echo, with: { n: 3 }, output: { as: '${ .got.n }' } }
";
    deploy(&engine, "fork", tasks).await;
    let id = start(&engine, "fork", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    assert_eq!(world.script.calls().len(), 1, "one branch waits for nothing");
    world.clock.advance(3_600_000);
    for _ in 0..PATIENCE {
        if world.script.calls().len() == 2 && state(&engine, &id) == RunState::Waiting {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(world.script.calls().len(), 2, "the earliest wait counts");
    world.kill(engine).await;
    let engine = world.open();
    world.clock.advance(2 * 3_600_000);
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!([1, 2, 3])));
    assert_eq!(world.script.calls().len(), 3, "nothing was done twice");
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_branches_that_act_at_the_same_time_leave_a_journal_without_a_hole() {
    let world = World::new();
    let engine = world.open();
    let branches: String =
        (0..50).map(|n| format!("          - b{n}: {{ call: a/echo, with: {{ n: {n} }}, output: {{ as: '${{ .got.n }}' }} }}\n")).collect();
    deploy(&engine, "wide", &format!("  - all:\n      fork:\n        branches:\n{branches}")).await;
    let id = start(&engine, "wide", json!({})).await;
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!((0..50).collect::<Vec<_>>())));
    assert_eq!(engine.detail(&id).unwrap().unwrap().history.len(), 52);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_of_a_branch_that_lost_is_audited_when_it_ends() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - race:
      fork:
        compete: true
        branches:
          - slow: { call: a/sleeps }
          - quick: { call: a/echo, with: { n: 1 }, output: { as: '${ .got.n }' } }
";
    deploy(&engine, "race", tasks).await;
    let id = start(&engine, "race", json!({})).await;
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!(1)));
    let calls = || {
        let filter = factotum_audit::Filter::default();
        let records = engine.audit.list(&engine.store, &filter, None, 100).unwrap().records;
        records.iter().filter(|r| format!("{r:?}").contains("a/sleeps")).count()
    };
    for _ in 0..PATIENCE {
        if calls() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(calls(), 1);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_a_wait_over_a_restart_and_stays_when_the_clock_goes_back() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - guarded:
      try:
        - long: { wait: { hours: 5 }, timeout: { after: { hours: 1 } } }
      catch:
        as: error
        do:
          - note: { set: { status: '${ $error.status }' } }
  - hold: { wait: { minutes: 10 } }
";
    deploy(&engine, "late", tasks).await;
    let id = start(&engine, "late", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    world.kill(engine).await;
    world.clock.advance(3_600_000);
    let engine = world.open();
    for _ in 0..PATIENCE {
        let detail = engine.detail(&id).unwrap().unwrap();
        if detail.history.len() >= 4 && detail.info.state == RunState::Waiting {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The clock is set back: the timeout stays, and the next wait ends at the time that it was given.
    let now = world.clock.now_ms();
    world.clock.set(now - 3_600_000);
    world.kill(engine).await;
    let engine = world.open();
    world.clock.set(now + 600_001);
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!({"status": 408})), "{info:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_waits_for_flows_that_it_starts_also_over_a_restart() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "child", "  - w: { wait: { seconds: 90 } }\n  - c: { call: a/echo, with: { n: '${ .n * 2 }' }, output: { as: '${ .got.n }' } }").await;
    deploy(&engine, "bad", "  - c: { call: a/refuses }").await;
    let tasks = "
  - one: { run: { workflow: { namespace: test, name: child, version: '1.0.0', input: { n: '${ .n }' } } }, output: { as: '${ { n: . } }' } }
  - two: { run: { workflow: { namespace: test, name: child, version: '1.0.0', input: { n: '${ .n }' } } }, output: { as: '${ { n: . } }' } }
  - bad:
      try:
        - bad: { run: { workflow: { namespace: test, name: bad, version: '1.0.0', input: {} } } }
      catch:
        as: error
        do: [ { note: { set: { n: '${ .n }', status: '${ $error.status }' } } } ]
";
    deploy(&engine, "parent", tasks).await;
    let id = start(&engine, "parent", json!({"n": 3})).await;
    until(&engine, &id, RunState::Waiting).await;
    world.kill(engine).await;
    let engine = world.open();
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.output.as_ref().map(|o| &o["status"]), Some(&json!(404)), "{info:?}");
    assert_eq!(world.script.calls().len(), 3, "each child did its work once");
    let list =
        |flow: &str| engine.list(&RunQuery { flow: Some(flow.into()), ..RunQuery::default() }).unwrap().runs;
    assert_eq!((list("test/child").len(), list("test/bad").len()), (2, 1));
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_starts_itself_ends() {
    let world = World::new();
    let engine = world.open();
    deploy(
        &engine,
        "self",
        "  - again: { run: { workflow: { namespace: test, name: self, version: '1.0.0', input: {} } } }",
    )
    .await;
    let id = start(&engine, "self", json!({})).await;
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.state, RunState::Faulted);
    let all = engine.list(&RunQuery { limit: 100, ..RunQuery::default() }).unwrap().runs;
    assert_eq!(all.len(), 17);
    assert!(all.iter().all(|run| run.state == RunState::Faulted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_flow_reads_until_it_has_heard_enough_over_restarts() {
    let world = World::new();
    let mut engine = world.open();
    let tasks = "
  - paid:
      listen:
        to:
          any:
            - with: { type: payment, subject: '7' }
          until: '${ ([ .[].amount ] | add) >= 10 }'
  - sum: { set: { total: '${ [ .[].amount ] | add }' } }
";
    deploy(&engine, "listen", tasks).await;
    let id = start(&engine, "listen", json!({})).await;
    for (n, amount) in [4, 5, 6, 7].into_iter().enumerate() {
        until(&engine, &id, RunState::Waiting).await;
        idle(&engine).await;
        let event = json!({"specversion": "1.0", "id": n.to_string(), "source": "/s", "type": "payment", "subject": "7",
            "data": {"amount": amount}});
        engine.publish(&actor(), event).await.unwrap();
        if n == 1 {
            world.kill(engine).await;
            engine = world.open();
        }
        if n == 2 {
            break;
        }
    }
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!({"total": 15})));
    let all = factotum_store::ScanRange::default();
    assert!(engine.store.scan(Table::Subscriptions, &all).unwrap().is_empty());
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_of_a_run_that_ended_cannot_be_kept() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "one", "  - one: { call: a/echo }").await;
    let id = start(&engine, "one", json!({})).await;
    engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    let promise = PromiseId { run: id, key: "/do/0/one".into() };
    let answer = Resolution { outcome: crate::journal::Outcome::Value(json!(1)), from: Labels::default() };
    let told = engine.resolve(&promise, &answer, &Batch::new()).await.unwrap();
    assert_eq!(told, crate::runs::Resolved::NotOpen);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_branch_that_lost_waited_for_is_let_go_of_while_the_run_goes_on() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "child", "  - w: { wait: { days: 9 } }").await;
    let tasks = "
  - race:
      fork:
        compete: true
        branches:
          - hear: { listen: { to: { one: { with: { type: never } } } } }
          - child: { run: { workflow: { namespace: test, name: child, version: '1.0.0', input: {} } } }
          - quick: { wait: { minutes: 1 } }
  - hold: { wait: { hours: 1 } }
";
    deploy(&engine, "race", tasks).await;
    let id = start(&engine, "race", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    let first = engine.row(&id).unwrap().unwrap().due.unwrap();
    world.clock.set(first);
    for _ in 0..PATIENCE {
        if engine.row(&id).unwrap().unwrap().due.is_some_and(|due| due > first) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    idle(&engine).await;
    let row = engine.row(&id).unwrap().unwrap();
    assert_eq!((row.state, row.due), (RunState::Waiting, Some(first + 3_600_000)));
    let all = factotum_store::ScanRange::default();
    assert!(engine.store.scan(Table::Subscriptions, &all).unwrap().is_empty(), "it listens no more");
    assert!(engine.store.scan(Table::Promises, &all).unwrap().is_empty(), "it waits for no child any more");
    let query = RunQuery { flow: Some("test/child".into()), ..RunQuery::default() };
    let child = engine.list(&query).unwrap().runs.remove(0);
    until(&engine, &child.id, RunState::Cancelled).await;
    world.clock.advance(3_600_000);
    assert_eq!(engine.wait(&id, Duration::from_secs(60)).await.unwrap().state, RunState::Completed);
}

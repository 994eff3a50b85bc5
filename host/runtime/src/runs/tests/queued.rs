//! Runs of flows with limits: accepted and held back, told why, started in their turn, over restarts and crashes.

use super::*;
use crate::ErrorCode;
use crate::repair::CancelRun;

/// Deploys a flow with limits.
async fn limited(engine: &Arc<Engine>, name: &str, limits: &str, tasks: &str) {
    let source = document(name, "1.0.0", tasks).replacen(
        "version: '1.0.0'",
        &format!("version: '1.0.0', metadata: {{ limits: {limits} }}"),
        1,
    );
    if let Err(error) = engine.deploy(&actor(), &source, "test.yaml").await {
        panic!("{error}: {:?}", error.problems);
    }
}

fn reason(engine: &Engine, id: &str) -> String {
    engine.info(id).unwrap().unwrap().queued.map(|queued| queued.reason).unwrap_or_default()
}

/// The gate in memory is what the index on disk says, and both are empty when nothing is left.
fn assert_gate_is_empty(engine: &Engine) {
    assert_eq!(engine.gate.lock().members().len(), 0, "{:?}", engine.gate.lock().members());
    let range = factotum_store::ScanRange::prefix([b'm']);
    let left = engine.store.scan(Table::Limits, &range).unwrap();
    assert!(left.is_empty(), "{} entries are left", left.len());
}

/// Lets calls of `gated` through until a run is over. Calls of an engine that was killed wait there too.
async fn open_the_gate(world: &World, engine: &Engine, id: &str) {
    for _ in 0..PATIENCE {
        if state(engine, id) == RunState::Completed {
            return;
        }
        world.script.gate.notify_one();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("run {id} is {:?}: {}", state(engine, id), reason(engine, id));
}

const GATED: &str = "  - one: { call: a/gated }";
const WAITS: &str = "  - w: { wait: { hours: 1 } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_the_limit_is_accepted_says_why_it_waits_and_starts_in_its_turn() {
    let world = World::new();
    let engine = world.open();
    limited(&engine, "desk", "{ concurrency: { max: 1, key: .customer }, queue: 2 }", GATED).await;
    let of = |customer: &str| json!({ "customer": customer });
    let first = start(&engine, "desk", of("acme")).await;
    let second = start(&engine, "desk", of("acme")).await;
    let third = start(&engine, "desk", of("acme")).await;
    assert_eq!(state(&engine, &second), RunState::Queued);
    assert_eq!(
        reason(&engine, &third),
        format!(
            "1 of 1 runs of test/desk with key \"acme\" are under way (first: {first}); 1 run is before this one"
        )
    );
    let page = engine.list(&RunQuery { state: Some(RunState::Queued), ..RunQuery::default() }).unwrap();
    assert_eq!(page.runs.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), [&third, &second]);
    assert!(page.runs.iter().all(|run| run.queued.is_some()));
    let refused = engine.start(request("desk", of("acme"))).await.unwrap_err();
    assert_eq!((refused.code, refused.status()), (ErrorCode::QueueFull, 429));
    assert!(refused.retry_after.is_some());
    let other = start(&engine, "desk", of("zeta")).await;
    assert_eq!(state(&engine, &other), RunState::Running, "another customer waits for nobody");
    assert_eq!(engine.list(&RunQuery::default()).unwrap().runs.len(), 4, "the refused one left nothing");
    let deployment = engine.deployments.current("test/desk").unwrap();
    let load = engine.flow_limits(&deployment).unwrap();
    assert_eq!((load.under_way, load.queued, load.queue), (2, 2, 2));

    // A restart in the middle: who was under way is, who waits does.
    world.kill(engine).await;
    let engine = world.open();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        [&first, &second, &third].map(|id| state(&engine, id)),
        [RunState::Running, RunState::Queued, RunState::Queued]
    );
    assert!(reason(&engine, &second).ends_with("it is the next"));
    for id in [&first, &other, &second, &third] {
        open_the_gate(&world, &engine, id).await;
    }
    idle(&engine).await;
    assert_gate_is_empty(&engine);
    assert_audit_holds(&engine);
    let filter = factotum_audit::Filter { run: Some(second), ..factotum_audit::Filter::default() };
    let actions: Vec<String> = engine
        .audit
        .list(&engine.store, &filter, None, 100)
        .unwrap()
        .records
        .into_iter()
        .rev()
        .map(|record| record.entry.action)
        .collect();
    assert_eq!(actions, ["run.start", "run.admit", "plugin.call", "run.end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_keeps_its_slot_and_one_that_is_stuck_does_not() {
    let world = World::new();
    let engine = world.open();
    limited(&engine, "waits", "{ concurrency: 1 }", WAITS).await;
    let first = start(&engine, "waits", json!({})).await;
    until(&engine, &first, RunState::Waiting).await;
    idle(&engine).await;
    let second = start(&engine, "waits", json!({})).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(state(&engine, &second), RunState::Queued);
    world.clock.advance(3_600_001);
    until(&engine, &first, RunState::Completed).await;
    until(&engine, &second, RunState::Waiting).await;

    limited(&engine, "breaks", "{ concurrency: 1 }", "  - one: { call: a/is-gone }").await;
    let stuck = start(&engine, "breaks", json!({})).await;
    until(&engine, &stuck, RunState::Stuck).await;
    let next = start(&engine, "breaks", json!({})).await;
    until(&engine, &next, RunState::Stuck).await;
    limited(&engine, "breaks", "{ concurrency: 1 }", GATED).await;
    let holds = start(&engine, "breaks", json!({})).await;
    world.script.arrived.notified().await;
    let again = crate::repair::RetryRun {
        actor: actor(),
        run_id: stuck.clone(),
        from: None,
        flow: crate::repair::RetryFlow::Deployed,
        preview: false,
    };
    engine.retry(again).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(state(&engine, &stuck), RunState::Queued, "retried, it waits like any other");
    world.script.gate.notify_one();
    until(&engine, &holds, RunState::Completed).await;
    world.script.arrived.notified().await;
    world.script.gate.notify_one();
    until(&engine, &stuck, RunState::Completed).await;
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_lets_so_many_start_in_a_window_and_a_restart_forgets_no_start() {
    let world = World::new();
    let engine = world.open();
    limited(&engine, "rated", "{ rate: { max: 2, per: PT1M } }", "  - one: { call: a/echo }").await;
    let from = world.clock.now_ms();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(start(&engine, "rated", json!({})).await);
    }
    for id in &ids[..2] {
        until(&engine, id, RunState::Completed).await;
    }
    let text = reason(&engine, &ids[2]);
    assert!(text.starts_with("rate 2 per minute: starts at about"), "{text}");
    assert!(text.contains(&crate::time::rfc3339(from + 60_000)), "{text}");
    let fifth = engine.info(&ids[4]).unwrap().unwrap().queued.unwrap();
    assert_eq!((fifth.before, fifth.starts_at), (2, Some(from + 120_000)));
    idle(&engine).await;
    world.kill(engine).await;
    let engine = world.open();
    world.clock.advance(59_999);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(ids[2..].iter().all(|id| state(&engine, id) == RunState::Queued), "the window is remembered");
    world.clock.advance(1);
    for id in &ids[2..4] {
        until(&engine, id, RunState::Completed).await;
    }
    assert_eq!(state(&engine, &ids[4]), RunState::Queued);
    world.clock.advance(60_000);
    until(&engine, &ids[4], RunState::Completed).await;
    idle(&engine).await;
    assert_gate_is_empty(&engine);
    let starts = engine.store.scan(Table::Limits, &factotum_store::ScanRange::default()).unwrap();
    assert!(starts.len() <= 3, "starts that count no more are forgotten: {}", starts.len());
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_triggers_the_last_starts_a_run_and_the_others_say_which() {
    let world = World::new();
    let engine = world.open();
    let limits = "{ debounce: { after: PT10S, key: .order } }";
    limited(
        &engine,
        "quiet",
        limits,
        "  - one: { call: a/echo, with: { n: '${ .n }' }, output: { as: '${ .got.n }' } }",
    )
    .await;
    let first = start(&engine, "quiet", json!({"order": 7, "n": 1})).await;
    let waiter = tokio::spawn({
        let (engine, first) = (Arc::clone(&engine), first.clone());
        async move { engine.wait(&first, Duration::from_secs(60)).await.unwrap() }
    });
    world.clock.advance(9_000);
    let second = start(&engine, "quiet", json!({"order": 7, "n": 2})).await;
    let other = start(&engine, "quiet", json!({"order": 8, "n": 3})).await;
    let info = waiter.await.unwrap();
    assert_eq!(info.state, RunState::Cancelled, "whoever waits for it is told");
    assert!(info.reason.as_ref().unwrap().contains(&format!("superseded by run {second}")), "{info:?}");
    world.kill(engine).await;
    let engine = world.open();
    world.clock.advance(9_999);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(state(&engine, &second), RunState::Queued);
    assert!(reason(&engine, &second).contains("unless another trigger with key \"7\""));
    assert_eq!(engine.info(&second).unwrap().unwrap().due, Some(world.clock.now_ms() + 1));
    world.clock.advance(1);
    until(&engine, &second, RunState::Completed).await;
    until(&engine, &other, RunState::Completed).await;
    assert_eq!(world.script.calls().len(), 2, "what was replaced did nothing");
    // Twenty at once: one is left, and each of the others names one that came.
    let many = (0..20).map(|n| start(&engine, "quiet", json!({"order": 9, "n": n})));
    let ids = futures_util::future::join_all(many).await;
    world.clock.advance(10_000);
    let mut completed = 0;
    for id in &ids {
        let info = engine.wait(id, Duration::from_secs(60)).await.unwrap();
        match info.state {
            RunState::Completed => completed += 1,
            RunState::Cancelled => assert!(ids.iter().any(|by| info.reason.as_ref().unwrap().contains(by))),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(completed, 1);
    idle(&engine).await;
    assert_gate_is_empty(&engine);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_run_is_cancelled_suspended_and_let_go_on_by_people() {
    let world = World::new();
    let engine = world.open();
    limited(&engine, "desk", "{ concurrency: 1 }", GATED).await;
    let first = start(&engine, "desk", json!({})).await;
    world.script.arrived.notified().await;
    let [second, third, fourth] = [0; 3].map(|_| start(&engine, "desk", json!({})));
    let (second, third, fourth) = (second.await, third.await, fourth.await);
    let cancel = |id: &str| CancelRun {
        actor: actor(),
        run_id: id.to_owned(),
        reason: None,
        abort: false,
        preview: false,
    };
    let done = engine.cancel(cancel(&second)).await.unwrap();
    assert_eq!((done.state, done.pending), (RunState::Cancelled, false));
    assert_eq!(engine.hold(&actor(), &third, None).await.unwrap().state, RunState::Suspended);
    // The one that stands still takes no slot from the one behind it.
    world.script.gate.notify_one();
    until(&engine, &first, RunState::Completed).await;
    world.script.arrived.notified().await;
    assert_eq!(state(&engine, &fourth), RunState::Running);
    world.kill(engine).await;
    let engine = world.open();
    assert_eq!(state(&engine, &third), RunState::Suspended);
    assert_eq!(engine.let_go_on(&actor(), &third).await.unwrap().state, RunState::Queued);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(state(&engine, &third), RunState::Queued);
    open_the_gate(&world, &engine, &fourth).await;
    open_the_gate(&world, &engine, &third).await;
    assert_eq!(world.script.by_key().len(), 3, "the cancelled one did nothing");
    idle(&engine).await;
    assert_gate_is_empty(&engine);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_calls_itself_does_not_wait_for_itself_and_one_that_it_calls_waits_its_turn() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - deeper:
      if: '${ .n > 0 }'
      run: { workflow: { namespace: test, name: self, version: '1.0.0', input: { n: '${ .n - 1 }' } } }
  - act: { call: a/echo, with: { n: 1 }, output: { as: '${ .got.n }' } }";
    limited(&engine, "self", "{ concurrency: 1 }", tasks).await;
    let id = start(&engine, "self", json!({"n": 3})).await;
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!(1)));
    limited(
        &engine,
        "narrow",
        "{ concurrency: 1, queue: 1 }",
        "  - act: { call: a/echo, with: { n: '${ .n }' }, output: { as: '${ .got.n }' } }",
    )
    .await;
    let branches: String = (0..6)
        .map(|n| format!("          - b{n}: {{ run: {{ workflow: {{ namespace: test, name: narrow, version: '1.0.0', input: {{ n: {n} }} }} }} }}\n"))
        .collect();
    deploy(&engine, "wide", &format!("  - all:\n      fork:\n        branches:\n{branches}")).await;
    let id = start(&engine, "wide", json!({})).await;
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!([0, 1, 2, 3, 4, 5])), "none of them was refused");
    idle(&engine).await;
    assert_gate_is_empty(&engine);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_numbers_count_and_a_flow_that_was_taken_off_keeps_its_own() {
    let world = World::new();
    let engine = world.open();
    limited(&engine, "desk", "{ concurrency: 1 }", WAITS).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(start(&engine, "desk", json!({})).await);
    }
    until(&engine, &ids[0], RunState::Waiting).await;
    limited(&engine, "desk", "{ concurrency: 2 }", WAITS).await;
    until(&engine, &ids[1], RunState::Waiting).await;
    idle(&engine).await;
    assert_eq!(state(&engine, &ids[2]), RunState::Queued);
    engine.undeploy(&actor(), "test/desk").await.unwrap();
    world.kill(engine).await;
    let engine = world.open();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(state(&engine, &ids[2]), RunState::Queued);
    for id in &ids {
        while !state(&engine, id).is_final() {
            world.clock.advance(600_000);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    idle(&engine).await;
    assert_gate_is_empty(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_urgent_go_first_and_an_event_is_never_refused() {
    let world = World::new();
    let engine = world.open();
    let limits = "{ concurrency: 1, queue: 2, priority: 'if .urgent then 9 else 0 end' }";
    limited(&engine, "desk", limits, GATED).await;
    let first = start(&engine, "desk", json!({})).await;
    let plain = start(&engine, "desk", json!({})).await;
    let urgent = start(&engine, "desk", json!({"urgent": true})).await;
    assert_eq!(code(engine.start(request("desk", json!({}))).await), ErrorCode::QueueFull);
    let event = StartRun { trigger: "event".into(), ..request("desk", json!({"urgent": true})) };
    let event = engine.start(event).await.unwrap().run_id;
    for id in [&first, &urgent, &event, &plain] {
        world.script.arrived.notified().await;
        assert_eq!(state(&engine, id), RunState::Running);
        world.script.gate.notify_one();
        until(&engine, id, RunState::Completed).await;
    }
    let wrong = "{ concurrency: { max: 1, key: .a.b } }";
    limited(&engine, "wrong", wrong, GATED).await;
    assert_eq!(code(engine.start(request("wrong", json!({"a": 1}))).await), ErrorCode::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_for_a_full_line_is_skipped_on_record() {
    let world = World::new();
    let engine = world.open();
    let source = document("ticks", "1.0.0", "  - w: { wait: { hours: 3 } }")
        .replace("version: '1.0.0'", "version: '1.0.0', metadata: { limits: { concurrency: 1, queue: 1 } }")
        .replace("do:", "schedule: { every: { minutes: 1 } }\ndo:");
    engine.deploy(&actor(), &source, "t.yaml").await.unwrap();
    let filter = || factotum_audit::Filter {
        action: Some("schedule.skip".into()),
        ..factotum_audit::Filter::default()
    };
    for _ in 0..PATIENCE {
        world.clock.advance(10_000);
        tokio::time::sleep(Duration::from_millis(3)).await;
        if !engine.audit.list(&engine.store, &filter(), None, 10).unwrap().records.is_empty() {
            break;
        }
    }
    let skipped = engine.audit.list(&engine.store, &filter(), None, 10).unwrap().records;
    assert!(!skipped.is_empty());
    assert!(engine.next_start("test/ticks").unwrap() > world.clock.now_ms() - 60_000, "the rhythm goes on");
    assert_eq!(engine.list(&RunQuery::default()).unwrap().runs.len(), 2);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_without_limits_writes_nothing_of_them() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "plain", "  - one: { call: a/echo }").await;
    let id = start(&engine, "plain", json!({})).await;
    world.finish(&engine, &id).await;
    assert!(engine.store.scan(Table::Limits, &factotum_store::ScanRange::default()).unwrap().is_empty());
    assert_eq!(engine.gate.lock().members().len(), 0);
    let row = engine.store.get(Table::Runs, id.as_bytes()).unwrap().unwrap();
    assert!(!String::from_utf8(row).unwrap().contains("\"l\""));
}

/// Five runs of two customers, one of which replaces another, through every limit; a crash in front of a commit.
async fn with_a_crash(commits: i64) -> bool {
    let world = World::new();
    let mut engine = world.open();
    let limits = "{ concurrency: { max: 1, key: .customer }, rate: { max: 2, per: PT5S }, debounce: { after: PT1S, key: .order } }";
    let tasks = "  - act: { call: a/echo, with: { n: '${ .n }' } }\n  - w: { wait: { seconds: 3 } }\n  - last: { call: a/echo, with: { n: 0 } }";
    limited(&engine, "all", limits, tasks).await;
    engine.crash.after(commits);
    let mut acknowledged = Vec::new();
    let mut crashed = false;
    for (n, (customer, order)) in
        [("acme", 1), ("acme", 2), ("zeta", 3), ("zeta", 3), ("acme", 4)].into_iter().enumerate()
    {
        let input = json!({ "customer": customer, "order": order, "n": n });
        match engine.start(request("all", input.clone())).await {
            Ok(started) => acknowledged.push(started.run_id),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::Store, "commit {commits}");
                if !crashed {
                    crashed = true;
                    world.kill(engine).await;
                    engine = world.open();
                }
            }
        }
    }
    let mut left = acknowledged.clone();
    for _ in 0..PATIENCE {
        left.retain(|id| !state(&engine, id).is_final());
        if left.is_empty() {
            break;
        }
        let of = |customer: &str, id: &&String| {
            let row = engine.row(id).unwrap().unwrap();
            let slot = row.limited.and_then(|limited| limited.slot);
            matches!(row.state, RunState::Running | RunState::Waiting) && slot.as_deref() == Some(customer)
        };
        // Rows are read one after the other: those that are under way in two readings were so between them, together.
        let under_way = |customer: &str| {
            let first: Vec<&String> = acknowledged.iter().filter(|id| of(customer, id)).collect();
            first.into_iter().filter(|id| of(customer, id)).count()
        };
        assert!(under_way("acme") <= 1 && under_way("zeta") <= 1, "commit {commits}");
        world.clock.advance(250);
        tokio::time::sleep(Duration::from_millis(2)).await;
        if engine.crash.happened() && !crashed {
            crashed = true;
            world.kill(engine).await;
            engine = world.open();
        }
    }
    assert!(left.is_empty(), "crash before commit {commits}: {left:?} {:#?}", engine.gate.lock());
    let states: Vec<RunState> = acknowledged.iter().map(|id| state(&engine, id)).collect();
    let cancelled = states.iter().filter(|state| **state == RunState::Cancelled).count();
    assert!(cancelled <= 1, "crash before commit {commits}: {states:?}");
    assert_eq!(
        states.iter().filter(|state| **state == RunState::Completed).count(),
        acknowledged.len() - cancelled,
        "crash before commit {commits}"
    );
    let repeated = world.script.by_key().values().filter(|times| **times > 1).count();
    assert!(repeated <= 2, "crash before commit {commits}");
    idle(&engine).await;
    assert_gate_is_empty(&engine);
    assert_audit_holds(&engine);
    crashed
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_before_any_commit_of_a_limited_flow_nothing_acknowledged_is_lost_and_no_slot_leaks() {
    let mut commits = 1;
    while with_a_crash(commits).await {
        commits += 1;
        assert!(commits < 120, "the runs have no end of commits");
    }
    assert!(commits > 15, "{commits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_that_is_cancelled_lets_the_next_one_come() {
    let world = World::new();
    let engine = world.open();
    let source = document("after", "1.0.0", "  - w: { wait: { hours: 3 } }")
        .replace("do:", "schedule: { after: { minutes: 1 } }\ndo:");
    engine.deploy(&actor(), &source, "t.yaml").await.unwrap();
    let runs = || engine.list(&RunQuery::default()).unwrap().runs;
    let come = |count: usize| {
        let (world, runs) = (&world, &runs);
        async move {
            for _ in 0..PATIENCE {
                if runs().len() == count {
                    return;
                }
                world.clock.advance(1_000);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            panic!("{} runs, not {count}", runs().len());
        }
    };
    come(1).await;
    let id = runs()[0].id.clone();
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    let cancel = CancelRun { actor: actor(), run_id: id.clone(), reason: None, abort: true, preview: false };
    engine.cancel(cancel).await.unwrap();
    until(&engine, &id, RunState::Cancelled).await;
    come(2).await;
}

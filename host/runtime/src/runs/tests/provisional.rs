//! Runs that are executed before they are on disk, for a caller who waits: nothing is told or done that a crash could take back.

use super::*;
use crate::ErrorCode;

const WAIT: Duration = Duration::from_secs(20);

const PURE: &str = "
  - one: { call: pure/echo, with: { n: '${ .n }' } }
  - two: { call: pure/echo, with: { n: '${ .got.n + 1 }' }, output: { as: '${ .got.n }' } }
";

async fn ask(
    engine: &Arc<Engine>,
    flow: &str,
    timeout: Duration,
) -> Result<(Started, Option<Arc<RunInfo>>), HostError> {
    engine.start_and_wait(request(flow, json!({"n": 1})), timeout).await
}

fn runs(engine: &Engine) -> Vec<RunInfo> {
    engine.list(&RunQuery::default()).unwrap().runs
}

fn actions_of(engine: &Engine, run: &str) -> Vec<String> {
    let filter = factotum_audit::Filter { run: Some(run.to_owned()), ..factotum_audit::Filter::default() };
    let records = engine.audit.list(&engine.store, &filter, None, 100).unwrap().records;
    records.into_iter().rev().map(|record| record.entry.action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_run_without_effects_is_one_commit_and_reads_like_any_other() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "pure", PURE).await;
    let before = engine.store.health().batches;
    let (started, end) = ask(&engine, "pure", WAIT).await.unwrap();
    assert_eq!(engine.store.health().batches - before, 1);
    let end = end.unwrap();
    assert_eq!((end.state, &end.output), (RunState::Completed, &Some(json!(2))));
    assert_eq!(engine.info(&started.run_id).unwrap().unwrap(), *end);
    let detail = engine.detail(&started.run_id).unwrap().unwrap();
    assert_eq!((detail.input, detail.history.len()), (json!({"n": 1}), 4));
    assert_eq!(actions_of(&engine, &started.run_id), ["run.start", "plugin.call", "plugin.call", "run.end"]);
    let of = |state| engine.list(&RunQuery { state: Some(state), ..RunQuery::default() }).unwrap().runs.len();
    assert_eq!((of(RunState::Running), of(RunState::Completed)), (0, 1));
    assert_audit_holds(&engine);
    world.kill(engine).await;
    assert_eq!(runs(&world.open()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_faults_or_is_stuck_at_once_is_told_and_kept() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "refused", "  - no: { call: pure/refuses }").await;
    deploy(&engine, "gone", "  - no: { call: pure/is-gone }").await;
    for (flow, state) in [("refused", RunState::Faulted), ("gone", RunState::Stuck)] {
        let (started, end) = ask(&engine, flow, WAIT).await.unwrap();
        assert_eq!(end.unwrap().state, state);
        let kept = engine.info(&started.run_id).unwrap().unwrap();
        assert_eq!(kept.state, state);
        let listed = engine.list(&RunQuery { state: Some(state), ..RunQuery::default() }).unwrap();
        assert_eq!(listed.runs.len(), 1);
    }
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_may_act_comes_after_the_input_is_on_disk() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "acts", "  - look: { call: pure/echo }\n  - act: { call: crm/gated }").await;
    let waiting = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { ask(&engine, "acts", WAIT).await }
    });
    world.script.arrived.notified().await;
    let found = runs(&engine);
    assert_eq!(found.iter().map(|run| run.state).collect::<Vec<_>>(), [RunState::Running]);
    let detail = engine.detail(&found[0].id).unwrap().unwrap();
    assert_eq!((detail.input, detail.history.len()), (json!({"n": 1}), 2), "and the call before it");
    world.script.gate.notify_one();
    let (started, end) = waiting.await.unwrap().unwrap();
    assert_eq!((started.run_id, end.unwrap().state), (found[0].id.clone(), RunState::Completed));
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_can_be_written_nothing_acts_and_nobody_is_told_that_it_was_accepted() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "pure", PURE).await;
    deploy(&engine, "acts", "  - act: { call: crm/echo }").await;
    deploy(&engine, "waits", "  - hour: { wait: { hours: 1 } }").await;
    deploy(&engine, "long", "  - long: { call: pure/dawdles }").await;
    for flow in ["pure", "acts", "waits", "long"] {
        engine.crash.after(0);
        let refused =
            tokio::time::timeout(WAIT / 2, ask(&engine, flow, WAIT)).await.expect("it is told at once");
        assert_eq!(code(refused), ErrorCode::Internal, "{flow}");
    }
    assert!(
        world.script.calls().iter().all(|call| call.function != "crm/echo"),
        "{:?}",
        world.script.calls()
    );
    assert_eq!(
        world.script.calls().iter().filter(|call| call.function == "echo").count(),
        2,
        "the pure ones"
    );
    world.kill(engine).await;
    let engine = world.open();
    assert!(runs(&engine).is_empty());
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_long_is_put_on_disk_meanwhile_and_survives() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "long", "  - look: { call: pure/echo }\n  - long: { call: pure/hangs }").await;
    let (started, end) = ask(&engine, "long", Duration::from_millis(1)).await.unwrap();
    assert!(end.is_none());
    assert_eq!(state(&engine, &started.run_id), RunState::Running, "who is told of it finds it");
    world.kill(engine).await;
    let before = world.script.calls().len();
    let engine = world.open();
    for _ in 0..PATIENCE {
        if world.script.calls().len() > before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let calls: Vec<String> =
        world.script.calls()[before..].iter().map(|call| call.function.clone()).collect();
    assert_eq!(calls, ["hangs"], "what it had done was on disk too");
    assert_eq!(state(&engine, &started.run_id), RunState::Running);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_comes_to_rest_is_on_disk_and_goes_on() {
    let world = World::new();
    let engine = world.open();
    deploy(
        &engine,
        "waits",
        "  - look: { call: pure/echo }\n  - hour: { wait: { hours: 1 } }\n  - last: { set: { ok: true } }",
    )
    .await;
    let (started, end) = ask(&engine, "waits", Duration::from_millis(200)).await.unwrap();
    assert!(end.is_none());
    until(&engine, &started.run_id, RunState::Waiting).await;
    world.kill(engine).await;
    let engine = world.open();
    world.clock.advance(3_600_000);
    let end = world.finish(&engine, &started.run_id).await;
    assert_eq!((end.state, &end.output), (RunState::Completed, &Some(json!({"ok": true}))));
    assert_eq!(world.script.calls().len(), 1, "what was journalled is not done again");
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_deduplication_key_there_is_one_run_for_all_who_ask() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "pure", PURE).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let engine = Arc::clone(&engine);
        let request = StartRun { dedupe_key: Some("message-1".into()), ..request("pure", json!({"n": 1})) };
        tasks.spawn(async move { engine.start_and_wait(request, WAIT).await.unwrap() });
    }
    let all = tasks.join_all().await;
    assert_eq!(all.iter().filter(|(started, _)| !started.duplicate).count(), 1);
    assert!(all.iter().all(|(_, end)| end.as_ref().unwrap().output == Some(json!(2))));
    assert_eq!(runs(&engine).len(), 1);
}

/// Every kind of task that writes, at the beginning of a run.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_run_writes_first_it_is_on_disk_with_it() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "child", "  - nothing: { set: { ok: true } }").await;
    let event = "with: { source: 'https://example.com/a', type: com.example.a, data: {} }";
    for (name, first, ends) in [
        ("emit", format!("emit: {{ event: {{ {event} }} }}"), true),
        ("listen", "listen: { to: { one: { with: { type: com.example.b } } } }".to_owned(), false),
        (
            "child-awaited",
            "run: { workflow: { namespace: test, name: child, version: '1.0.0' } }".to_owned(),
            true,
        ),
        (
            "child-left",
            "run: { workflow: { namespace: test, name: child, version: '1.0.0' }, await: false }".to_owned(),
            true,
        ),
        ("asks", "call: human-task\n      with: { title: Well?, group: desk }".to_owned(), false),
        ("acts", "call: crm/echo".to_owned(), true),
        ("tries-again", "call: pure/fails-twice".to_owned(), true),
        ("naps", "wait: { milliseconds: 60 }".to_owned(), true),
        (
            "forks",
            "fork: { compete: true, branches: [ { a: { call: pure/echo } }, { b: { call: pure/sleeps } } ] }"
                .to_owned(),
            true,
        ),
    ] {
        deploy(&engine, name, &format!("  - first:\n      {first}\n  - look: {{ call: pure/echo }}")).await;
        let (started, end) = tokio::select! {
            answer = ask(&engine, name, Duration::from_millis(if ends { 20_000 } else { 300 })) => answer.unwrap(),
            () = async { loop { tokio::time::sleep(Duration::from_millis(5)).await; world.clock.advance(500); } } => unreachable!(),
        };
        assert_eq!(
            end.map(|end| (end.state, end.reason.clone())),
            ends.then_some((RunState::Completed, None)),
            "{name}"
        );
        until(&engine, &started.run_id, if ends { RunState::Completed } else { RunState::Waiting }).await;
        assert_eq!(actions_of(&engine, &started.run_id)[0], "run.start", "{name}");
    }
    assert_audit_holds(&engine);
}

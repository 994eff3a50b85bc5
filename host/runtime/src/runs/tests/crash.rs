//! A crash at every place where one can happen, and what is left to do afterwards.

use super::*;

/// A loop, a failing call, a wait, a caught refusal: every kind of record is in its journal.
const MIXED: &str = "
  - each:
      for: { each: item, in: '${ .items }' }
      do:
        - add: { call: a/echo, with: { item: '${ $item }' }, output: { as: '${ .got.item }' } }
  - flaky: { call: a/fails-twice }
  - pause: { wait: { seconds: 90 } }
  - maybe:
      try:
        - ask: { call: a/refuses }
      catch:
        do:
          - instead: { set: { found: false } }
  - last: { call: a/echo, with: { found: '${ .found }' }, output: { as: '${ .got }' } }
";

struct Ended {
    output: Option<Value>,
    history: usize,
    keys: HashMap<String, usize>,
}

/// Runs the flow; the first engine dies as `arrange` says, a second one finishes.
async fn run_with(arrange: impl FnOnce(&World, &Engine)) -> Ended {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "mixed", MIXED).await;
    arrange(&world, &engine);
    let id = start(&engine, "mixed", json!({"items": [1, 2]})).await;
    let hang_at = *world.script.hang_at.lock().unwrap();
    for _ in 0..PATIENCE {
        let hangs = hang_at.is_some_and(|number| world.script.calls().len() > number);
        if engine.wait(&id, Duration::from_millis(2)).await.is_ok() || engine.crash.happened() || hangs {
            break;
        }
        world.clock.advance(1_000);
    }
    world.kill(engine).await;
    *world.script.hang_at.lock().unwrap() = None;
    let engine = world.open();
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.state, RunState::Completed, "{info:?}");
    assert_audit_holds(&engine);
    let history = engine.detail(&id).unwrap().unwrap().history;
    Ended { output: info.output.clone(), history: history.len(), keys: world.script.by_key() }
}

fn sorted(keys: &HashMap<String, usize>) -> Vec<usize> {
    let mut counts: Vec<usize> = keys.values().copied().collect();
    counts.sort_unstable();
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_before_any_commit_the_run_ends_alike_and_at_most_the_effect_in_flight_is_repeated() {
    let whole = run_with(|_, _| {}).await;
    assert_eq!(whole.output, Some(json!({"found": false})));
    assert_eq!(
        sorted(&whole.keys),
        [1, 1, 1, 1, 3],
        "two in the loop, the refusal, the last; three attempts"
    );
    let calls: usize = whole.keys.values().sum();
    // start, 2 in the loop, 3 attempts, suspended, woken, refusal, last, end
    for commits in 1..=11 {
        let ended = run_with(|_, engine| engine.crash.after(commits)).await;
        assert_eq!(ended.output, whole.output, "crash before commit {commits}");
        assert_eq!(ended.history, whole.history, "crash before commit {commits}");
        assert_eq!(ended.keys.len(), whole.keys.len(), "crash before commit {commits}: no new keys");
        let repeated = ended.keys.values().sum::<usize>() - calls;
        assert!(repeated <= 1, "crash before commit {commits}: {repeated} effects were repeated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_in_the_middle_of_any_call_only_that_call_is_repeated_under_its_key() {
    let whole = run_with(|_, _| {}).await;
    let calls: usize = whole.keys.values().sum();
    for call in 0..calls {
        let ended = run_with(|world, _| *world.script.hang_at.lock().unwrap() = Some(call)).await;
        assert_eq!((&ended.output, ended.history), (&whole.output, whole.history), "crash in call {call}");
        assert_eq!(ended.keys.len(), whole.keys.len(), "crash in call {call}: no new keys");
        assert_eq!(ended.keys.values().sum::<usize>(), calls + 1, "crash in call {call}");
    }
}

/// Calls that may act on nothing, around one that may.
const PURE: &str = "
  - look: { call: pure/echo, with: { item: 1 }, output: { as: '${ .got.item }' } }
  - think: { call: pure/echo, with: { item: '${ . + 1 }' }, output: { as: '${ .got.item }' } }
  - act: { call: a/echo, with: { item: '${ . + 1 }' }, output: { as: '${ .got.item }' } }
  - look-again: { call: pure/echo, with: { item: '${ . + 1 }' }, output: { as: '${ .got.item }' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_act_on_nothing_waits_for_no_disk_and_is_on_disk_before_one_that_may() {
    // start, what came before the act, the act, the end with what came after it
    for commits in 1..=4 {
        let world = World::new();
        let engine = world.open();
        deploy(&engine, "pure", PURE).await;
        engine.crash.after(commits);
        let id = start(&engine, "pure", json!({})).await;
        for _ in 0..PATIENCE {
            if engine.wait(&id, Duration::from_millis(2)).await.is_ok() || engine.crash.happened() {
                break;
            }
        }
        assert_eq!(engine.crash.happened(), commits < 4, "the run has four commits");
        world.kill(engine).await;
        let engine = world.open();
        let info = world.finish(&engine, &id).await;
        assert_eq!((info.state, &info.output), (RunState::Completed, &Some(json!(4))), "{commits}");
        assert_audit_holds(&engine);
        assert_eq!(
            engine.detail(&id).unwrap().unwrap().history.len(),
            6,
            "start, four calls, end: {commits}"
        );
        let keys = world.script.by_key();
        assert_eq!(keys.len(), 4, "a call made again has its old key");
        let repeats: usize = keys.values().map(|count| count - 1).sum();
        assert!(repeats <= 2, "crash before commit {commits}: {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_disk_is_bounded() {
    let world = World::new();
    let engine = world.open();
    let tasks = "  - each: { for: { each: n, in: '${ [range(300)] }' }, do: [ { one: { call: pure/echo, with: { n: '${ $n }' } } } ] }\n  - last: { call: pure/hangs }";
    deploy(&engine, "many", tasks).await;
    let id = start(&engine, "many", json!({})).await;
    while world.script.calls().len() < 301 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let written = engine.detail(&id).unwrap().unwrap().history.len();
    assert!((250..=301).contains(&written), "{written} records of 301 are on disk");
    world.kill(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_is_left_alone() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "one", "  - one: { call: a/echo }").await;
    let id = start(&engine, "one", json!({})).await;
    let info = world.finish(&engine, &id).await;
    world.kill(engine).await;
    let engine = world.open();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(world.script.calls().len(), 1);
    assert_eq!(engine.wait(&id, Duration::ZERO).await.unwrap(), info);
    assert_eq!(engine.queue.counts(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_the_deployment_that_it_was_started_with() {
    let world = World::new();
    let engine = world.open();
    let tasks = |n: u32| format!("  - w: {{ wait: {{ minutes: 1 }} }}\n  - s: {{ set: {{ version: {n} }} }}");
    engine.deploy(&actor(), &document("v", "1.0.0", &tasks(1)), "v.yaml").await.unwrap();
    let old = start(&engine, "v", json!({})).await;
    until(&engine, &old, RunState::Waiting).await;
    engine.deploy(&actor(), &document("v", "2.0.0", &tasks(2)), "v.yaml").await.unwrap();
    world.kill(engine).await;
    let engine = world.open();
    let new = start(&engine, "v", json!({})).await;
    for (id, version) in [(&old, 1), (&new, 2)] {
        let info = world.finish(&engine, id).await;
        assert_eq!(info.output, Some(json!({"version": version})));
        assert_eq!(info.flow_version, format!("{version}.0.0"));
    }
}

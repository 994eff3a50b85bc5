//! Promises, deadlines and several effects at once, asked of [`Durable`] directly.

use factotum_flow::{Answer, Call, Deadline, Effects, Position, Start, Stop, TaskEvent};
use futures_util::FutureExt;

use super::*;
use crate::journal::Outcome;
use crate::runs::effects::{Durable, Opening};
use crate::runs::promises::{PromiseId, Resolution, Resolved};
use crate::runs::replay::Replay;
use crate::runs::suspend::Suspended;

/// Sees where a flow asks.
#[derive(Default)]
struct Places(Mutex<Vec<Position>>);

#[async_trait]
impl Effects for Places {
    async fn call(&self, at: &Position, _: &Call<'_>) -> Result<Answer, Stop> {
        self.0.lock().unwrap().push(at.clone());
        Ok(Ok(Value::Null).into())
    }
    async fn wait(&self, _: &Position, _: Duration, _: Option<Deadline>) -> Result<(), Stop> {
        Ok(())
    }
    async fn deadline(&self, _: &Position, _: Duration) -> Result<Deadline, Stop> {
        Ok(Deadline(0))
    }
    fn decided(&self, _: &Position) -> Option<Value> {
        None
    }
    async fn decide(&self, _: &Position, _: &Value) -> Result<(), Stop> {
        Ok(())
    }
    async fn random(&self, _: &Position) -> Result<f64, Stop> {
        Ok(0.0)
    }
    async fn now(&self, _: &Position) -> Result<String, Stop> {
        Ok(String::new())
    }
    fn observe(&self, _: &Position, _: &TaskEvent<'_>) {}
}

/// A run whose own execution hangs, so that a test can execute it instead; and the places of its tasks.
pub(super) async fn held(world: &World, tasks: &str) -> (Arc<Engine>, Run, Vec<Position>) {
    let engine = world.open();
    deploy(&engine, "held", &format!("  - hold: {{ call: pure/hangs }}\n{tasks}")).await;
    let id = start(&engine, "held", json!({})).await;
    let row = engine.row(&id).unwrap().unwrap();
    let deployment = engine.deployments.current("test/held").unwrap();
    let places = Places::default();
    let start =
        Start { run_id: id.clone(), input: json!({}), started_at: String::new(), from: Labels::default() };
    deployment.flow.run(&start, &places).await;
    while world.script.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (engine, Run { id, row, deployment }, places.0.into_inner().unwrap())
}

pub(super) async fn replayed(engine: &Engine, run: &Run) -> (Replay, u64) {
    let records = engine.records(&run.id).unwrap();
    let history = super::super::replay::read(records.iter().map(|(n, r)| (*n, r.as_slice()))).unwrap();
    (history.replay, history.next)
}

fn yes(value: Value) -> Resolution {
    Resolution { outcome: Outcome::Value(value), from: Labels::default() }
}

fn promise(run: &Run, at: &Position) -> PromiseId {
    PromiseId::new(&run.id, at)
}

async fn ask(effects: &Durable<'_>, at: &Position, deadline: Option<Deadline>) -> Result<Answer, Stop> {
    effects.promised(at, deadline, false, |_, _| Ok(Opening { what: "a test".into(), run: None })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_is_kept_once_wakes_its_run_and_is_answered_again_on_a_replay() {
    let world = World::new();
    let (engine, mut run, at) = held(&world, "  - one: { call: a/echo }").await;
    let id = promise(&run, &at[1]);
    let none = Batch::new();
    assert_eq!(engine.resolve(&id, &yes(json!(0)), &none).await.unwrap(), Resolved::NotOpen, "not asked yet");

    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    assert_eq!(ask(&effects, &at[1], None).await, Err(Stop::Suspended));
    let left = effects.into_end();
    assert!(left.halted.is_none() && left.open.len() == 1);
    let on = left.suspension.unwrap();
    assert_eq!((on.due, on.promises.len()), (None, 1));
    assert_eq!(engine.suspend(&mut run, left.ahead, on).await, Suspended::Waits);
    assert_eq!(state(&engine, &run.id), RunState::Waiting);

    let mut with = Batch::new();
    with.put(Table::Meta, *b"who", *b"ann");
    assert_eq!(engine.resolve(&id, &yes(json!({"ok": true})), &with).await.unwrap(), Resolved::Now);
    assert_eq!(state(&engine, &run.id), RunState::Running, "the run was woken in the same batch");
    let mut late = Batch::new();
    late.put(Table::Meta, *b"who", *b"bob");
    assert_eq!(engine.resolve(&id, &yes(json!("late")), &late).await.unwrap(), Resolved::NotOpen);
    assert_eq!(engine.store.get(Table::Meta, b"who").unwrap().unwrap(), b"ann", "nothing of it was written");

    for _ in 0..2 {
        let (replay, next) = replayed(&engine, &run).await;
        let effects = Durable::new(&engine, &run, replay, next);
        assert_eq!(ask(&effects, &at[1], None).await.unwrap().result, Ok(json!({"ok": true})));
        let left = effects.into_end();
        assert!(left.open.is_empty() && left.suspension.is_none());
        engine.commit(left.ahead).await.unwrap();
        assert_eq!(engine.resolve(&id, &yes(json!("late")), &none).await.unwrap(), Resolved::NotOpen);
    }
    assert!(engine.store.scan(Table::Promises, &factotum_store::ScanRange::default()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_is_kept_while_the_run_executes_keeps_it_from_resting() {
    let world = World::new();
    let (engine, mut run, at) = held(&world, "  - one: { call: a/echo }\n  - two: { call: a/echo }").await;
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    assert_eq!(ask(&effects, &at[1], None).await, Err(Stop::Suspended));
    // Another branch writes, and with it the promise.
    effects.catch_up().await.unwrap();
    assert_eq!(
        engine.resolve(&promise(&run, &at[1]), &yes(json!(1)), &Batch::new()).await.unwrap(),
        Resolved::Now
    );
    assert_eq!(ask(&effects, &at[2], None).await, Err(Stop::Suspended), "the other branch waits, too");
    let left = effects.into_end();
    let outcome = engine.suspend(&mut run, left.ahead, left.suspension.unwrap()).await;
    assert_eq!(outcome, Suspended::Again);
    assert_eq!(state(&engine, &run.id), RunState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_closes_a_promise_for_good() {
    let world = World::new();
    let (engine, mut run, at) = held(&world, "  - one: { call: a/echo }").await;
    let until = Deadline(world.clock.now_ms() + 60_000);
    let deadline = Some(until);
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    assert_eq!(ask(&effects, &at[1], deadline).await, Err(Stop::Suspended));
    let left = effects.into_end();
    let on = left.suspension.unwrap();
    assert_eq!(on.due, Some(until.0));
    assert_eq!(engine.suspend(&mut run, left.ahead, on).await, Suspended::Waits);
    world.clock.advance(60_000);

    let (replay, next) = replayed(&engine, &run).await;
    let effects = Durable::new(&engine, &run, replay, next);
    assert_eq!(ask(&effects, &at[1], deadline).await, Err(Stop::DeadlinePassed));
    let left = effects.into_end();
    assert!(left.open.is_empty());
    engine.commit(left.ahead).await.unwrap();
    let late = engine.resolve(&promise(&run, &at[1]), &yes(json!(1)), &Batch::new()).await.unwrap();
    assert_eq!(late, Resolved::NotOpen);

    // Also when the clock was put back.
    world.clock.set(1_600_000_000_000);
    let (replay, next) = replayed(&engine, &run).await;
    let effects = Durable::new(&engine, &run, replay, next);
    assert_eq!(ask(&effects, &at[1], deadline).await, Err(Stop::DeadlinePassed));
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_at_the_same_time_have_numbers_in_the_order_of_their_commits() {
    let world = World::new();
    let tasks: String = (0..20).map(|n| format!("  - c{n}: {{ call: a/echo }}\n")).collect();
    let (engine, run, at) = held(&world, &tasks).await;
    let function: FunctionRef = "a/echo".parse().unwrap();
    let metadata = serde_json::Map::new();
    let call = Call {
        idempotency_key: None,
        function: &function,
        with: json!({}),
        from: Provenance::default(),
        host_retries: true,
        metadata: &metadata,
        deadline: None,
    };
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    let all = at[1..].iter().map(|at| effects.call(at, &call));
    for answer in futures_util::future::join_all(all).await {
        assert!(answer.unwrap().result.is_ok());
    }
    let left = effects.into_end();
    assert!(left.halted.is_none(), "{:?}", left.halted);
    assert_eq!(left.next, 21);
    let (replay, next) = replayed(&engine, &run).await;
    assert_eq!(next, 21);
    let effects = Durable::new(&engine, &run, replay, next);
    for at in &at[1..] {
        assert!(effects.call(at, &call).now_or_never().unwrap().is_ok(), "answered from the journal");
    }
    assert_eq!(world.script.calls().len(), 21, "one that hangs, twenty that were made once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_with_its_deadline_is_audited_and_told_the_same_again() {
    let world = World::new();
    let (engine, run, at) = held(&world, "  - slow: { call: a/slow }\n  - never: { call: a/echo }").await;
    let slow: FunctionRef = "a/slow".parse().unwrap();
    let metadata = serde_json::Map::new();
    let deadline = Some(Deadline(world.clock.now_ms() + 5_000));
    let call = |function| Call {
        idempotency_key: None,
        function,
        with: json!({}),
        from: Provenance::default(),
        host_retries: true,
        metadata: &metadata,
        deadline,
    };
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    // The scripted action lets the time pass that it was given, then reports that it was cut.
    *world.script.clock.lock().unwrap() = Some(Arc::clone(&world.clock));
    assert_eq!(effects.call(&at[1], &call(&slow)).await, Err(Stop::DeadlinePassed));
    let echo: FunctionRef = "a/echo".parse().unwrap();
    assert_eq!(
        effects.call(&at[2], &call(&echo)).await,
        Err(Stop::DeadlinePassed),
        "it is not begun any more"
    );
    engine.commit(effects.into_end().ahead).await.unwrap();
    assert_eq!(world.script.calls().len(), 2);
    let filter = factotum_audit::Filter::default();
    let entries = engine.audit.list(&engine.store, &filter, None, 100).unwrap().records;
    let calls = entries.iter().filter(|record| format!("{record:?}").contains("plugin.call")).count();
    assert_eq!(calls, 1, "what was done until the deadline is in the audit log");

    world.clock.set(1_600_000_000_000);
    let (replay, next) = replayed(&engine, &run).await;
    let effects = Durable::new(&engine, &run, replay, next);
    assert_eq!(effects.call(&at[1], &call(&slow)).await, Err(Stop::DeadlinePassed));
    assert_eq!(effects.call(&at[2], &call(&echo)).await, Err(Stop::DeadlinePassed));
    assert_eq!(world.script.calls().len(), 2);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_is_started_ends_once_and_its_end_is_the_answer() {
    let world = World::new();
    let (engine, mut run, at) =
        held(&world, "  - a: { call: a/echo }\n  - b: { call: a/echo }\n  - c: { call: a/echo }").await;
    deploy(
        &engine,
        "child",
        "  - one: { call: crm/echo, with: { n: '${ .n }' }, output: { as: '${ .got }' } }",
    )
    .await;
    deploy(&engine, "fails", "  - one: { call: a/refuses }").await;
    let subflow = |name: &str, wait| factotum_flow::Subflow {
        namespace: "test".into(),
        name: name.into(),
        version: None,
        input: json!({"n": 1}),
        from: Labels::from_origin("erp", ["secret"]).into(),
        wait,
        deadline: None,
    };
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    assert_eq!(effects.subflow(&at[1], &subflow("child", true)).await, Err(Stop::Suspended));
    assert_eq!(effects.subflow(&at[2], &subflow("fails", true)).await, Err(Stop::Suspended));
    let fire = effects.subflow(&at[3], &subflow("child", false)).await.unwrap().result.unwrap();
    let gone = effects.subflow(&at[0], &subflow("nowhere", true)).await.unwrap().result.unwrap_err();
    assert_eq!(gone.status, 404);
    let left = effects.into_end();
    match engine.suspend(&mut run, left.ahead, left.suspension.unwrap()).await {
        Suspended::Waits => until(&engine, &run.id, RunState::Running).await,
        outcome => assert_eq!(outcome, Suspended::Again, "the children were quicker"),
    }
    let started =
        engine.list(&RunQuery { flow: Some("test/child".into()), ..RunQuery::default() }).unwrap().runs;
    assert_eq!(started.len(), 2);
    for child in &started {
        assert_eq!((child.trigger.as_str(), child.actor.as_str()), ("flow", "flow:test/held"));
        engine.wait(&child.id, Duration::from_secs(60)).await.unwrap();
    }
    assert!(started.iter().any(|child| fire == json!({"id": child.id})));
    let failed =
        engine.list(&RunQuery { flow: Some("test/fails".into()), ..RunQuery::default() }).unwrap().runs;
    engine.wait(&failed[0].id, Duration::from_secs(60)).await.unwrap();

    let (replay, next) = replayed(&engine, &run).await;
    let effects = Durable::new(&engine, &run, replay, next);
    let answer = effects.subflow(&at[1], &subflow("child", true)).await.unwrap();
    assert_eq!(answer.result, Ok(json!({"n": 1})));
    let wanted = Labels::from_origin("erp", ["secret"]).union(&Labels::from_origin("crm", ["personal"]));
    assert!(answer.from.contains(&wanted), "what the child was given and what it saw: {:?}", answer.from);
    let error = effects.subflow(&at[2], &subflow("fails", true)).await.unwrap().result.unwrap_err();
    assert_eq!(error.status, 404, "the child's fault is the parent's: {error}");
    assert_eq!(
        effects.subflow(&at[3], &subflow("child", false)).await.unwrap().result,
        Ok(fire),
        "started once"
    );
    assert_eq!(world.script.calls().len(), 4);
    assert_audit_holds(&engine);
}

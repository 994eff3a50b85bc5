//! Events: published once, delivered once to each that listens, kept until they are read, over restarts.

use std::collections::BTreeMap;

use factotum_flow::{Effects, Emit, Stop, Subscription};

use super::promises::{held, replayed};
use super::*;
use crate::events::EventQuery;
use crate::runs::effects::Durable;
use crate::runs::replay::Replay;
use crate::runs::suspend::Suspended;

fn event(id: &str, kind: &str, more: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": id, "source": "/test", "type": kind});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn wants(alternatives: &[&[(&str, &str)]]) -> Subscription {
    let of = |alternative: &&[(&str, &str)]| -> BTreeMap<String, String> {
        alternative.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Subscription { any_of: alternatives.iter().map(of).collect() }
}

/// Waits until everything that was published is delivered.
async fn delivered(engine: &Engine) {
    for _ in 0..PATIENCE {
        let (last, delivered) = {
            let numbers = engine.events.order();
            (numbers.last, numbers.delivered)
        };
        if last == delivered {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("events are not delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_published_once_by_source_and_id_and_stands_in_the_log() {
    let world = World::new();
    let engine = world.open();
    let first = engine.publish(&actor(), event("1", "a.b", json!({"data": 1}))).await.unwrap();
    assert!(!first.duplicate);
    let again = engine.publish(&actor(), event("1", "a.b", json!({"data": 2}))).await.unwrap();
    assert_eq!((again.duplicate, again.sequence), (true, first.sequence));
    assert_eq!(code(engine.publish(&actor(), json!({"id": "2"})).await), crate::ErrorCode::InvalidRequest);
    let who = actor();
    let many = (0..20).map(|_| engine.publish(&who, event("same", "a.c", json!({}))));
    let many = futures_util::future::try_join_all(many).await.unwrap();
    assert_eq!(many.iter().filter(|published| !published.duplicate).count(), 1);
    world.kill(engine).await;

    let engine = world.open();
    let next = engine.publish(&actor(), event("3", "a.b", json!({}))).await.unwrap();
    assert!(next.sequence > first.sequence);
    assert!(
        engine.publish(&actor(), event("1", "a.b", json!({}))).await.unwrap().duplicate,
        "also after a restart"
    );
    let page = engine.list_events(&EventQuery { kind: Some("a.b".into()), ..EventQuery::default() }).unwrap();
    let ids: Vec<_> = page.events.iter().map(|e| e.event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["3", "1"]);
    let one = engine.list_events(&EventQuery { limit: 1, ..EventQuery::default() }).unwrap();
    let rest = engine.list_events(&EventQuery { cursor: one.cursor, ..EventQuery::default() }).unwrap();
    assert_eq!((one.events.len(), rest.events.len(), rest.cursor), (1, 2, None));
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_run_is_given_what_fits_in_order_and_reads_each_once() {
    let world = World::new();
    let (engine, mut run, at) = held(&world, "  - one: { call: a/echo }").await;
    engine.publish(&actor(), event("before", "order", json!({"subject": "7"}))).await.unwrap();
    let wanted = wants(&[&[("type", "order"), ("subject", "7")], &[("type", "stop")]]);
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    assert_eq!(effects.event(&at[1], 0, &wanted, None).await, Err(Stop::Suspended));
    let left = effects.into_end();
    assert_eq!(engine.suspend(&mut run, left.ahead, left.suspension.unwrap()).await, Suspended::Waits);
    for (id, kind, subject) in [
        ("1", "order", "7"),
        ("2", "order", "8"),
        ("3", "other", "7"),
        ("4", "stop", "x"),
        ("5", "order", "7"),
    ] {
        engine.publish(&actor(), event(id, kind, json!({"subject": subject}))).await.unwrap();
    }
    delivered(&engine).await;
    assert_eq!(state(&engine, &run.id), RunState::Running, "it was woken");

    let mut heard = Vec::new();
    for round in 0..2 {
        let (replay, next) = replayed(&engine, &run).await;
        let effects = Durable::new(&engine, &run, replay, next);
        for nth in 0..3 {
            let answer = effects.event(&at[1], nth, &wanted, None).await.unwrap();
            assert!(answer.from.contains(&Labels::trigger()));
            heard.push(answer.result.unwrap());
        }
        if round == 1 {
            assert_eq!(effects.event(&at[1], 3, &wanted, None).await, Err(Stop::Suspended));
            effects.unsubscribe(&at[1]).await.unwrap();
            engine.publish(&actor(), event("6", "order", json!({"subject": "7"}))).await.unwrap();
            delivered(&engine).await;
        }
        engine.commit(effects.into_end().ahead).await.unwrap();
    }
    let ids: Vec<_> = heard.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["1", "4", "5", "1", "4", "5"],
        "in order, without what came before, and the same on a replay"
    );
    assert_eq!(heard[0]["data"], Value::Null, "data is always there");
    let all = factotum_store::ScanRange::default();
    assert!(engine.store.scan(Table::Subscriptions, &all).unwrap().is_empty(), "nothing is left of it");
    let kept = factotum_store::ScanRange::prefix(*b"q");
    assert!(engine.store.scan(Table::Events, &kept).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_while_the_run_executes_is_not_missed_and_survives_a_restart() {
    let world = World::new();
    let (engine, mut run, at) = held(&world, "  - one: { call: a/echo }").await;
    let wanted = wants(&[&[]]);
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    assert_eq!(effects.event(&at[1], 0, &wanted, None).await, Err(Stop::Suspended));
    engine.publish(&actor(), event("1", "any", json!({"data": {"n": 1}}))).await.unwrap();
    delivered(&engine).await;
    let left = effects.into_end();
    let outcome = engine.suspend(&mut run, left.ahead, left.suspension.unwrap()).await;
    assert_eq!(outcome, Suspended::Again, "it does not come to rest on what is there");
    let (replay, next) = replayed(&engine, &run).await;
    let effects = Durable::new(&engine, &run, replay, next);
    assert_eq!(
        effects.event(&at[1], 0, &wanted, None).await.unwrap().result.unwrap()["data"],
        json!({"n": 1})
    );
    drop(effects);
    // Read, but not on disk: after the crash it is read again.
    world.kill(engine).await;
    world.script.seen.lock().unwrap().clear();
    let engine = world.open();
    let (replay, next) = replayed(&engine, &run).await;
    let effects = Durable::new(&engine, &run, replay, next);
    assert_eq!(effects.event(&at[1], 0, &wanted, None).await.unwrap().result.unwrap()["id"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_emits_is_published_exactly_once_and_heard_with_where_it_comes_from() {
    let world = World::new();
    let (engine, run, at) = held(&world, "  - one: { call: a/echo }\n  - two: { call: a/echo }").await;
    let emit = || Emit {
        event: json!({"source": "/flow", "type": "done", "data": {"a": 1}}),
        from: Labels::from_origin("crm", ["personal"]).into(),
        deadline: None,
    };
    let wanted = wants(&[&[("type", "done")]]);
    let effects = Durable::new(&engine, &run, Replay::default(), 1);
    assert_eq!(effects.event(&at[1], 0, &wanted, None).await, Err(Stop::Suspended));
    let told = effects.emit(&at[2], &emit()).await.unwrap().result.unwrap();
    assert_eq!((told["specversion"].as_str(), told["id"].as_str().map(str::len)), (Some("1.0"), Some(32)));
    assert!(told["time"].is_string());
    drop(effects);
    for _ in 0..2 {
        let (replay, next) = replayed(&engine, &run).await;
        let effects = Durable::new(&engine, &run, replay, next);
        assert_eq!(
            effects.emit(&at[2], &emit()).await.unwrap().result.unwrap(),
            told,
            "the same on a replay"
        );
    }
    assert_eq!(engine.list_events(&EventQuery::default()).unwrap().events.len(), 1);
    delivered(&engine).await;
    let (replay, next) = replayed(&engine, &run).await;
    let effects = Durable::new(&engine, &run, replay, next);
    let answer = effects.event(&at[1], 0, &wanted, None).await.unwrap();
    assert!(answer.from.contains(&Labels::from_origin("crm", ["personal"])), "{:?}", answer.from);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_starts_the_flows_that_wait_for_it_once() {
    let world = World::new();
    let engine = world.open();
    let document = "document: { dsl: '1.0.3', namespace: test, name: on, version: '1.0.0' }\n\
        schedule: { on: { one: { with: { type: order, data: '${ .total > 10 }' } } } }\n\
        do:\n  - one: { call: a/echo, with: { id: '${ .[0].id }' }, output: { as: '${ .got.id }' } }\n";
    engine.deploy(&actor(), document, "on.yaml").await.unwrap();
    for (id, total) in [("small", 5), ("large", 50), ("large", 50)] {
        engine.publish(&actor(), event(id, "order", json!({"data": {"total": total}}))).await.unwrap();
    }
    delivered(&engine).await;
    let runs = engine.list(&RunQuery::default()).unwrap().runs;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].trigger, "event");
    let info = engine.wait(&runs[0].id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!("large")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_is_told_what_happens_and_nobody_else_costs_anything() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "watched", "  - one: { call: a/echo }").await;
    let before = start(&engine, "watched", json!({})).await;
    engine.wait(&before, Duration::from_secs(60)).await.unwrap();
    let mut watch = engine.events.live.watch().unwrap();
    let id = start(&engine, "watched", json!({})).await;
    engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    let mut kinds = Vec::new();
    while kinds.len() < 4 {
        let told = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.unwrap().unwrap();
        let crate::Watched::Lived(lived) = told else { panic!("{told:?}") };
        assert_eq!(lived.event["subject"], id.as_str());
        assert_eq!(lived.namespace, "test");
        crate::events::cloud_event(lived.event.clone()).unwrap();
        kinds.push(lived.event["type"].as_str().unwrap().replace("io.serverlessworkflow.", ""));
    }
    engine.events.live.end();
    assert_eq!(watch.next().await, None);
    kinds.sort();
    assert_eq!(
        kinds,
        ["task.completed.v1", "task.started.v1", "workflow.completed.v1", "workflow.started.v1"]
    );
}

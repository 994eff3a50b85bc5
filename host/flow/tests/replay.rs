//! A run is a function of its answers: replayed from a journal it does nothing and ends alike.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{FlowError, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::{Fake, parse, run};

const EVERYTHING: &str = "do:
- start: { call: a/start, with: { t: '${ $task.startedAt.iso8601 }' } }
- loop:
    for: { each: v, in: '[1, 2, 3]' }
    do:
    - t:
        try:
        - risky: { call: a/risky, with: { v: '${ $v }', seen: '${ .seen // [] }' } }
        - rest: { wait: PT1S }
        catch:
          retry: { delay: PT1S, jitter: { from: PT0S, to: PT2S }, limit: { attempt: { count: 2 }, duration: PT1H } }
          do: [ { note: { set: { seen: '${ (.seen // []) + [$v] }' } } } ]
    - count: { call: a/count, with: { seen: '${ .seen // [] }' }, export: { as: '{ n: (($context.n // 0) + 1) }' } }
- again: { switch: [ { more: { when: '$context.n < 5', then: loop } } ] }
- last: { set: { n: '${ $context.n }', seen: '${ .seen }' } }
";

fn flaky() -> Fake {
    Fake::new(|function, with, number| match function {
        "a/risky" if with["v"] == 2 || number % 3 == 0 => Err(FlowError::communication("down")),
        _ => Ok(with.clone()),
    })
}

#[tokio::test]
async fn a_replay_executes_nothing_and_ends_alike() {
    let flow = parse(EVERYTHING);
    let first = flaky();
    let outcome = run(&flow, json!({}), &first).await;
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let asked = first.asked();
    assert!(asked.len() > 20);

    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = first.journal.lock().unwrap().clone().into();
    second.replay_only = true;
    assert_eq!(run(&flow, json!({}), &second).await, outcome);
    assert_eq!(second.asked(), asked);
    assert_eq!(second.events(), first.events());
}

#[tokio::test]
async fn keys_are_unique_and_idempotency_paths_repeat_only_in_retries() {
    let fx = flaky();
    run(&parse(EVERYTHING), json!({}), &fx).await;
    let asked = fx.asked();
    let keys: HashSet<_> = asked.iter().map(|a| &a.key).collect();
    assert_eq!(keys.len(), asked.len());
    for a in &asked {
        assert!(a.key == a.idempotency || a.key.contains('~'), "{a:?}");
    }
}

#[tokio::test]
async fn a_suspended_run_goes_on_from_its_journal() {
    let flow = parse(EVERYTHING);
    let straight = flaky();
    let expected = run(&flow, json!({}), &straight).await;

    let mut fx = flaky();
    fx.suspend = true;
    let mut times = 0;
    let outcome = loop {
        match run(&flow, json!({}), &fx).await {
            Outcome::Suspended => times += 1,
            other => break other,
        }
        assert!(times < 100);
        fx.asked.lock().unwrap().clear();
        fx.events.lock().unwrap().clear();
    };
    assert_eq!(outcome, expected);
    assert_eq!(times, straight.keys("wait").len());
    assert_eq!(*fx.calls.lock().unwrap(), *straight.calls.lock().unwrap());
}

#[tokio::test]
async fn a_cancelled_run_is_not_caught() {
    struct Cancelling;
    #[async_trait::async_trait]
    impl factotum_flow::Effects for Cancelling {
        async fn call(
            &self,
            _: &factotum_flow::Position,
            _: &factotum_flow::Call<'_>,
        ) -> Result<factotum_flow::Answer, factotum_flow::Stop> {
            Err(factotum_flow::Stop::Cancelled)
        }
        async fn wait(
            &self,
            _: &factotum_flow::Position,
            _: std::time::Duration,
            _: Option<factotum_flow::Deadline>,
        ) -> Result<(), factotum_flow::Stop> {
            Ok(())
        }
        async fn deadline(
            &self,
            _: &factotum_flow::Position,
            _: std::time::Duration,
        ) -> Result<factotum_flow::Deadline, factotum_flow::Stop> {
            Err(factotum_flow::Stop::Cancelled)
        }
        fn decided(&self, _: &factotum_flow::Position) -> Option<serde_json::Value> {
            None
        }
        async fn decide(
            &self,
            _: &factotum_flow::Position,
            _: &serde_json::Value,
        ) -> Result<(), factotum_flow::Stop> {
            Err(factotum_flow::Stop::Cancelled)
        }
        async fn random(&self, _: &factotum_flow::Position) -> Result<f64, factotum_flow::Stop> {
            Ok(0.0)
        }
        async fn now(&self, _: &factotum_flow::Position) -> Result<String, factotum_flow::Stop> {
            Ok(String::new())
        }
        fn observe(&self, _: &factotum_flow::Position, _: &factotum_flow::TaskEvent<'_>) {}
    }
    let flow = parse("do:\n- t:\n    try: [ { c: { call: a/b } } ]\n    catch: {}");
    assert_eq!(flow.run(&support::start(json!({})), &Cancelling).await, Outcome::Cancelled);
}

/// A random nest of tasks that ends: loops over short lists, tries whose calls fail now and then, jumps forward.
fn tasks(depth: u32) -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("a"), Just("b[1]"), Just("c#1"), Just("d~1"), Just("e/f"), Just("g!h")];
    let leaf = prop_oneof![
        Just(json!({"call": "a/b", "with": {"x": 1}})),
        Just(json!({"wait": {"seconds": 1}})),
        Just(json!({"set": {"x": "${ $task.startedAt.iso8601 }"}})),
        Just(json!({"if": "false", "call": "a/never"})),
    ];
    let one = leaf.prop_recursive(depth, 24, 3, move |inner| {
        let list = prop::collection::vec((name.clone(), inner), 1..3).prop_map(|items| {
            let mut seen = HashSet::new();
            Value::Array(
                items.into_iter().filter(|(n, _)| seen.insert(*n)).map(|(n, task)| json!({n: task})).collect(),
            )
        });
        prop_oneof![
            list.clone().prop_map(|l| json!({"do": l})),
            list.clone().prop_map(|l| json!({"for": {"in": "[1, 2]"}, "do": l})),
            list.prop_map(|l| json!({"try": l, "catch": {"retry": {"delay": "PT1S", "jitter": {"from": "PT0S", "to": "PT1S"},
                "limit": {"attempt": {"count": 2}, "duration": "PT1H"}}, "do": [{"h": {"call": "a/ok"}}]}})),
        ]
    });
    prop::collection::vec(one, 1..4).prop_map(|tasks| {
        Value::Array(tasks.into_iter().enumerate().map(|(i, task)| json!({format!("t{i}"): task})).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The fake's journal panics when a key is used twice.
    #[test]
    fn every_position_has_its_own_key(tasks in tasks(3), every in 2usize..5) {
        let flow = parse(&format!("do: {tasks}"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let script = move |function: &str, with: &Value, number: usize| {
            if function == "a/b" && number.is_multiple_of(every) { Err(FlowError::runtime("x")) } else { Ok(with.clone()) }
        };
        let first = Fake::new(script);
        let outcome = runtime.block_on(run(&flow, json!({}), &first));
        let mut second = Fake::new(script);
        second.journal = first.journal.lock().unwrap().clone().into();
        second.replay_only = true;
        prop_assert_eq!(runtime.block_on(run(&flow, json!({}), &second)), outcome);
        prop_assert_eq!(second.asked(), first.asked());
    }

    /// Branches side by side, deadlines, and work that is taken back: a run that is replayed ends as it did, whoever was
    /// first; and so does one that stops at every wait and begins again.
    #[test]
    fn whoever_is_first_a_replay_ends_alike(tasks in side_by_side(3), every in 2usize..6) {
        let flow = parse(&format!("timeout: {{ after: PT2M }}\ndo: {tasks}"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let script = move |function: &str, with: &Value, number: usize| {
            if function == "a/b" && number.is_multiple_of(every) { Err(FlowError::runtime("x")) } else { Ok(with.clone()) }
        };
        let first = Fake::new(script);
        let outcome = runtime.block_on(run(&flow, json!({"n": 0}), &first));
        let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
        second.journal = first.journal.lock().unwrap().clone().into();
        second.replay_only = true;
        prop_assert_eq!(&runtime.block_on(run(&flow, json!({"n": 0}), &second)), &outcome);

        let mut stopping = Fake::new(|_, with, _| Ok(with.clone()));
        stopping.suspend = true;
        let mut ends = 0;
        while runtime.block_on(run(&flow, json!({"n": 0}), &stopping)) == Outcome::Suspended {
            ends += 1;
            prop_assert!(ends < 500);
        }
    }
}

/// A random nest of tasks with branches, timeouts and compensation.
fn side_by_side(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0u64..4).prop_map(|n| json!({"call": "a/b", "with": {"yields": n}, "metadata": {"compensate": {"call": "a/undo", "with": {"n": "${ .yields }"}}}})),
        (0u64..4).prop_map(|n| json!({"call": "a/ok", "with": {"yields": n}, "export": {"as": "$context + {n: .yields}"}})),
        (1u64..40).prop_map(|n| json!({"wait": {"seconds": n}})),
        Just(json!({"set": {"n": "${ $context.n }"}, "timeout": {"after": "PT1S"}})),
    ];
    let one = leaf.prop_recursive(depth, 24, 3, |inner| {
        let list = prop::collection::vec(inner, 1..4).prop_map(|tasks| {
            Value::Array(tasks.into_iter().enumerate().map(|(i, task)| json!({format!("t{i}"): task})).collect())
        });
        prop_oneof![
            list.clone().prop_map(|l| json!({"do": l, "timeout": {"after": "PT30S"}})),
            list.clone().prop_map(|l| json!({"fork": {"branches": l}})),
            list.clone().prop_map(|l| json!({"fork": {"branches": l, "compete": true}, "timeout": {"after": "PT50S"}})),
            list.prop_map(|l| json!({"try": l, "catch": {"retry": {"delay": "PT1S", "limit": {"attempt": {"count": 1, "duration": "PT20S"}}},
                "do": [{"h": {"call": "a/ok"}}]}})),
        ]
    });
    prop::collection::vec(one, 1..4).prop_map(|tasks| {
        Value::Array(tasks.into_iter().enumerate().map(|(i, task)| json!({format!("t{i}"): task})).collect())
    })
}

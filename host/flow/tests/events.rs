//! `emit` and `listen`: what is published, what is heard, and when the listening ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::Outcome;
use serde_json::{Value, json};
use support::{Fake, parse, run};

/// Runs, and replays what came of it.
async fn both(tasks: &str, input: Value, inbox: Vec<Value>) -> (Outcome, Fake) {
    let flow = parse(tasks);
    let mut fx = Fake::echo();
    fx.inbox = inbox;
    let outcome = run(&flow, input.clone(), &fx).await;
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = fx.journal.lock().unwrap().clone().into();
    assert_eq!(run(&flow, input, &second).await, outcome);
    assert_eq!(second.events(), fx.events());
    (outcome, fx)
}

async fn heard(tasks: &str, input: Value, inbox: Vec<Value>) -> Value {
    match both(tasks, input, inbox).await.0 {
        Outcome::Completed(value) => value,
        other => panic!("{other:?}"),
    }
}

fn event(kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": "e", "source": "https://s.example/1", "type": kind, "data": data})
}

#[tokio::test]
async fn an_event_is_emitted_and_is_the_output() {
    let tasks = "do:\n- e: { emit: { event: { with: { source: 'https://s.example', type: a.b, subject: '${ .id }', dataschema: '${ null }', number: 5, data: { all: '${ . }' } } } } }";
    let found = heard(tasks, json!({"id": "x"}), vec![]).await;
    assert_eq!(
        found,
        json!({"specversion": "1.0", "id": "/do/0/e", "time": "2026-01-01T00:00:00Z", "source": "https://s.example",
            "type": "a.b", "subject": "x", "number": 5, "data": {"all": {"id": "x"}}})
    );
    for (with, said) in [
        ("source: '${ .no }', type: a", "`source` must be a text that is not empty"),
        ("source: 'https://s.example', type: a, time: '${ .id }'", "`time` must be a time as in RFC 3339"),
        (
            "source: 'https://s.example', type: a, extra: '${ . }'",
            "`extra` must be a text, a number or a boolean",
        ),
    ] {
        let tasks = format!("do:\n- e: {{ emit: {{ event: {{ with: {{ {with} }} }} }} }}");
        let (outcome, fx) = both(&tasks, json!({"id": "x"}), vec![]).await;
        // A missing source is null, and so absent; the host is not asked for a broken event.
        if with.contains(".no") {
            continue;
        }
        let Outcome::Faulted(error) = outcome else { panic!("{with}: {outcome:?}") };
        assert!(error.to_string().contains(said) && fx.keys("emit").is_empty(), "{error}");
    }
}

#[tokio::test]
async fn one_takes_the_first_that_fits() {
    let tasks = "do:\n- l: { listen: { to: { one: { with: { type: order.paid, source: 'https://.*\\.example/\\d', data: '${ .total > 10 }' } } } } }";
    let inbox = vec![
        event("order.other", json!({"total": 50})),
        event("order.paid", json!({"total": 5})),
        event("order.paid", json!("nonsense")),
        event("order.paid", json!({"total": 11})),
        event("order.paid", json!({"total": 12})),
    ];
    // What is no object has no total: the filter fails on it, and the run goes on.
    let (outcome, fx) = both(tasks, json!({}), inbox.clone()).await;
    assert_eq!(outcome, Outcome::Completed(json!([{"total": 11}])));
    assert_eq!(fx.keys("event").len(), 3);
    assert!(
        fx.asked()[0].what.contains("\"type\": \"order.paid\"") && !fx.asked()[0].what.contains("source")
    );
    assert_eq!(fx.events(), ["l started", "l unsubscribed", "l completed"]);
    let envelope = tasks.replace("listen: { to", "listen: { read: envelope, to");
    assert_eq!(heard(&envelope, json!({}), inbox).await[0]["type"], json!("order.paid"));
}

#[tokio::test]
async fn a_run_that_hears_nothing_is_set_aside_and_goes_on_listening() {
    let flow = parse("do:\n- l: { listen: { to: { one: { with: { type: a } } } } }");
    let mut fx = Fake::echo();
    assert_eq!(run(&flow, json!({}), &fx).await, Outcome::Suspended);
    assert!(!fx.events().iter().any(|e| e.contains("unsubscribed")));
    fx.inbox.push(event("a", json!(1)));
    assert_eq!(run(&flow, json!({}), &fx).await, Outcome::Completed(json!([1])));
}

#[tokio::test]
async fn all_waits_for_each_once_in_any_order() {
    let tasks = "do:\n- l: { listen: { to: { all: [ { with: { type: a } }, { with: { type: b } } ] } } }";
    let inbox = vec![event("b", json!(1)), event("b", json!(2)), event("c", json!(3)), event("a", json!(4))];
    assert_eq!(heard(tasks, json!({}), inbox).await, json!([1, 4]));
}

#[tokio::test]
async fn correlated_events_belong_together() {
    let expected = "do:\n- l: { listen: { to: { one: { with: { type: a }, correlate: { order: { from: .data.order, expect: '${ .id }' } } } } } }";
    let inbox = vec![event("a", json!({"order": 1})), event("a", json!({})), event("a", json!({"order": 7}))];
    assert_eq!(heard(expected, json!({"id": 7}), inbox.clone()).await, json!([{"order": 7}]));

    // Without `expect`, the first value is what the others must have.
    let first = "do:\n- l: { listen: { to: { all: [ { with: { type: a }, correlate: { room: { from: .room } } }, { with: { type: b }, correlate: { room: { from: .room } } } ] }, read: envelope }, output: { as: '[ .[].room ]' } }";
    let at = |kind: &str, room: i32| json!({"type": kind, "room": room});
    let inbox = vec![at("a", 1), at("b", 2), at("a", 2), at("b", 1)];
    assert_eq!(heard(first, json!({}), inbox).await, json!([1, 1]));
}

#[tokio::test]
async fn any_goes_on_until_a_condition_or_an_event() {
    let condition = "do:\n- l: { listen: { to: { any: [ { with: { type: a } } ], until: '(. | add) >= $input.limit' } } }";
    let inbox: Vec<Value> = (1..6).map(|n| event("a", json!(n))).collect();
    assert_eq!(heard(condition, json!({"limit": 6}), inbox.clone()).await, json!([1, 2, 3]));
    let event_ends = "do:\n- l: { listen: { to: { any: [ { with: { type: a } } ], until: { one: { with: { type: stop, data: '${ .really }' } } } } } }";
    let mut mixed = inbox;
    mixed.insert(2, event("stop", json!({"really": true})));
    mixed.insert(1, event("stop", json!({"really": false})));
    assert_eq!(heard(event_ends, json!({}), mixed.clone()).await, json!([1, 2]));
    // No filter hears everything; without `until` the first is enough.
    assert_eq!(heard("do:\n- l: { listen: { to: { any: [] } } }", json!({}), mixed).await, json!([1]));
}

#[tokio::test]
async fn each_event_can_be_worked_on_as_it_comes() {
    let tasks = "do:
- l:
    listen: { to: { any: [ { with: { type: a } } ], until: '(. | length) == 2' } }
    foreach:
      item: v
      at: n
      do: [ { c: { call: a/b, with: { v: '${ $v }', n: '${ $n }' } } } ]
      output: { as: '{ made: .v }' }
      export: { as: '{ last: $output.made }' }
- s: { set: { all: '${ . }', context: '${ $context }' } }
";
    let inbox = vec![event("a", json!("x")), event("a", json!("y"))];
    let (outcome, fx) = both(tasks, json!({}), inbox).await;
    let expected = json!({"all": [{"made": "x"}, {"made": "y"}], "context": {"last": "y"}});
    assert_eq!(outcome, Outcome::Completed(expected));
    assert_eq!(fx.keys("call"), ["/do/0/l[0]/foreach/do/0/c", "/do/0/l[1]/foreach/do/0/c"]);
    assert_eq!(fx.asked()[1].pointer, "/do/0/l/foreach/do/0/c");
}

#[tokio::test]
async fn listening_ends_with_its_timeout() {
    let tasks = "do:\n- t:\n    try: [ { l: { listen: { to: { one: { with: { type: a } } } }, timeout: { after: PT1H } } } ]\n    catch: { errors: { with: { status: 408 } }, do: [ { s: { set: { late: true } } } ] }";
    let (outcome, fx) = both(tasks, json!({}), vec![]).await;
    assert_eq!(outcome, Outcome::Completed(json!({"late": true})));
    assert!(fx.events().contains(&"l unsubscribed".to_owned()));
}

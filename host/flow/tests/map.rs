//! `call: map`: several iterations at a time, their order, their errors, and that a replay ends alike.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{FlowError, Outcome};
use serde_json::{Value, json};
use support::{Fake, output, parse, problems, run};

/// Runs it, then replays it from the journal alone: the same outcome and the same questions.
async fn both(tasks: &str, input: Value, fx: Fake) -> (Outcome, Fake) {
    let flow = parse(tasks);
    let outcome = run(&flow, input.clone(), &fx).await;
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = fx.journal.lock().unwrap().clone().into();
    second.replay_only = true;
    assert_eq!(run(&flow, input, &second).await, outcome);
    (outcome, fx)
}

fn slow(function: &str, with: &Value, _: usize) -> Result<Value, FlowError> {
    match function {
        "a/fails" => Err(FlowError::communication("down").with_status(503)),
        _ => Ok(with["n"].clone()),
    }
}

#[tokio::test]
async fn outputs_stand_in_the_order_of_the_items_whichever_ends_first() {
    let tasks = "do:
- m:
    call: map
    with:
      in: ${ .items }
      each: item
      at: number
      concurrency: 2
      do:
      - one: { call: a/slow, with: { n: '${ $item }', yields: '${ 9 - $item * 3 }' } }
      - two: { set: { n: '${ . }', at: '${ $number }', of: '${ $input }' } }";
    let (outcome, fx) = both(tasks, json!({"items": [1, 2, 3]}), Fake::new(slow)).await;
    let Outcome::Completed(value) = outcome else { panic!("{outcome:?}") };
    let row = |n: u64, at: u64| json!({"n": n, "at": at, "of": n});
    assert_eq!(value, json!([row(1, 0), row(2, 1), row(3, 2)]));
    assert_eq!(
        fx.keys("call"),
        ["/do/0/m[0]/with/do/0/one", "/do/0/m[1]/with/do/0/one", "/do/0/m[2]/with/do/0/one"]
    );
    assert_eq!(fx.asked()[0].pointer, "/do/0/m/with/do/0/one");
    assert_eq!(
        output(
            "do:\n- m: { call: map, with: { in: '${ [] }', do: [ { a: { set: { b: 1 } } } ] } }",
            json!(1)
        )
        .await,
        json!([])
    );
}

#[tokio::test]
async fn no_more_run_at_a_time_than_was_said() {
    let tasks = "do:
- m: { call: map, with: { in: '${ [range(7)] }', concurrency: 3, do: [ { w: { wait: PT1H } }, { a: { call: a/b, with: { n: '${ $index }' } } } ] } }";
    let mut fx = Fake::echo();
    fx.suspend = true;
    let flow = parse(tasks);
    for round in 1..=3 {
        let outcome = run(&flow, json!({}), &fx).await;
        let waits = fx.journal.lock().unwrap().keys().filter(|key| key.ends_with("/w")).count();
        match round {
            3 => assert!(matches!(outcome, Outcome::Suspended) && waits == 7, "{outcome:?} {waits}"),
            _ => assert!(matches!(outcome, Outcome::Suspended) && waits == 3 * round, "{outcome:?} {waits}"),
        }
    }
    let outcome = run(&flow, json!({}), &fx).await;
    assert!(
        matches!(outcome, Outcome::Completed(ref value) if value.as_array().unwrap().len() == 7),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn the_first_error_ends_the_others_and_can_be_caught() {
    let tasks = "do:
- t:
    try:
    - m:
        call: map
        with:
          in: ${ [range(4)] }
          do:
          - s: { switch: [ { bad: { when: '$index == 1', then: f } }, { good: { then: g } } ] }
          - f: { call: a/fails, then: exit }
          - g: { call: a/slow, with: { n: '${ $index }', yields: 5 } }
    catch: { as: e, do: [ { c: { set: { at: '${ $e.instance }', status: '${ $e.status }' } } } ] }";
    let (outcome, fx) = both(tasks, json!({}), Fake::new(slow)).await;
    assert_eq!(outcome, Outcome::Completed(json!({"at": "/do/0/t/try/0/m/with/do/1/f", "status": 503})));
    let decided = fx.journal.lock().unwrap().get("/do/0/t/try/0/m!map").cloned();
    assert_eq!(decided, Some(support::Answer::Value(json!({"iteration": 1}))));
}

#[tokio::test]
async fn errors_can_be_collected() {
    let tasks = "do:
- m:
    call: map
    with:
      in: ${ [range(3)] }
      errors: collect
      do:
      - s: { switch: [ { bad: { when: '$index == 1', then: f } }, { good: { then: g } } ] }
      - f: { call: a/fails, then: exit }
      - g: { call: a/slow, with: { n: '${ $index }' }, then: exit }";
    let (outcome, _) = both(tasks, json!({}), Fake::new(slow)).await;
    let Outcome::Completed(value) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (&value[0], &value[2], &value[1]["error"]["status"]),
        (&json!({"output": 0}), &json!({"output": 2}), &json!(503))
    );
}

#[tokio::test]
async fn end_in_an_iteration_ends_the_flow_and_contexts_come_together() {
    let tasks = "do:
- m: { call: map, with: { in: '${ [range(3)] }', do: [ { a: { set: { n: '${ $index }' }, export: { as: '${ $context + {(\"i\\($index)\"): .n} }' } } } ] } }
- c: { set: '${ $context }' }";
    assert_eq!(output(tasks, json!({})).await, json!({"i0": 0, "i1": 1, "i2": 2}));
    let tasks = "do:
- m: { call: map, with: { in: '${ [1, 2] }', do: [ { a: { set: { n: '${ $item }' }, then: end } } ] } }
- c: { set: { never: true } }";
    assert_eq!(output(tasks, json!({})).await, json!({"n": 1}));
}

#[tokio::test]
async fn what_is_no_list_or_too_long_is_an_expression_error() {
    for (items, expected) in [("5", "not 5"), ("[range(10001)]", "not 10001 items")] {
        let tasks = format!(
            "do:\n- m: {{ call: map, with: {{ in: '${{ {items} }}', do: [ {{ a: {{ set: {{ b: 1 }} }} }} ] }} }}"
        );
        let error = support::fault(&tasks, json!({})).await;
        assert!(error.status == 400 && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_map_that_cannot_be_is_told() {
    let with = |with: &str| problems(&format!("do:\n- m: {{ call: map, with: {{ {with} }} }}"));
    let tasks = "do: [ { a: { set: { b: 1 } } } ]";
    for (text, expected) in [
        (tasks.to_owned(), "\"in\" is missing"),
        ("in: .items".to_owned(), "\"do\" is missing"),
        (format!("in: .items, each: x, at: x, {tasks}"), "are both \"x\""),
        (format!("in: .items, concurrency: 0, {tasks}"), "1 to 100 iterations"),
        (format!("in: .items, concurrency: 101, {tasks}"), "1 to 100 iterations"),
        (format!("in: .items, errors: ignore, {tasks}"), "fail or collect"),
        (format!("in: .items, while: true, {tasks}"), "unknown key \"while\""),
        ("in: .items, do: [ { a: { set: { b: '${ $nobody }' } } } ]".to_owned(), "nobody"),
    ] {
        let found = with(&text);
        assert!(found.contains(expected), "{text}\n{found}");
    }
    let reused = "use: { functions: { f: { call: map, with: { in: .items, do: [ { a: { set: { b: 1 } } } ] } } } }\ndo:\n- m: { call: f }";
    assert!(problems(reused).contains("stands at its task"));
}

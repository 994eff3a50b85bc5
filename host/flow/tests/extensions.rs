//! `use.extensions`: tasks before and after tasks, and mocks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::Outcome;
use serde_json::json;
use support::{Fake, parse, run};

#[tokio::test]
async fn tasks_run_before_and_after_others_and_change_nothing() {
    let tasks = "use:
  extensions:
  - log:
      extend: all
      before: [ { enter: { call: a/log, with: { at: '${ $task.reference }', sees: '${ . }' } } } ]
      after: [ { leave: { call: a/log, with: { left: '${ $task.name }', gave: '${ . }', output: '${ $task.output }' } } } ]
  - inner:
      extend: set
      when: $task.set != null and .go
      before: [ { close: { set: { lost: true } } } ]
do:
- one: { set: { go: '${ .go }', n: 1 } }
- two: { do: [ { three: { set: { r: '${ .n }' } } } ] }
";
    let flow = parse(tasks);
    let fx = Fake::echo();
    let outcome = run(&flow, json!({"go": true}), &fx).await;
    assert_eq!(outcome, Outcome::Completed(json!({"r": 1})));
    let started: Vec<String> =
        fx.events().iter().filter_map(|e| e.strip_suffix(" started").map(str::to_owned)).collect();
    assert_eq!(
        started,
        ["one", "enter", "close", "leave", "two", "enter", "three", "enter", "close", "leave", "leave"]
    );
    let asked = fx.asked();
    assert_eq!(asked[0].what, "a/log {\"at\":\"/do/0/one\",\"sees\":{\"go\":true}}");
    assert_eq!(asked[0].pointer, "/use/extensions/0/log/before/0/enter");
    assert_eq!(asked[0].key, "/do/0/one!log/before/0/enter");
    assert!(asked[1].what.contains("\"left\":\"one\""), "{}", asked[1].what);
    // Where `when` does not hold, nothing is added.
    let fx = Fake::echo();
    run(&flow, json!({"go": false}), &fx).await;
    assert!(!fx.events().contains(&"close started".to_owned()));
}

#[tokio::test]
async fn exit_before_a_task_takes_its_place() {
    let tasks = "use:
  extensions:
  - mock:
      extend: call
      when: '$task.call == \"http\" and ($task.with.endpoint | startswith(\"https://shop.example/\"))'
      before: [ { answer: { set: { content: { id: 7 } }, then: exit } } ]
do:
- get: { call: http, with: { method: get, endpoint: 'https://shop.example/{id}' }, output: { as: .content } }
- other: { call: a/b, with: { id: '${ .id }' } }
";
    let fx = Fake::echo();
    assert_eq!(run(&parse(tasks), json!({"id": 1}), &fx).await, Outcome::Completed(json!({"id": 7})));
    assert_eq!((fx.keys("http").len(), fx.keys("call").len()), (0, 1));
}

#[tokio::test]
async fn a_composite_is_extended_and_a_fault_in_an_extension_is_a_fault() {
    let tasks = |extend: &str| {
        format!(
            "use:\n  extensions:\n  - stop: {{ extend: {extend}, before: [ {{ no: {{ raise: {{ error: {{ type: 'https://x.example/e', status: 418 }} }} }} }} ] }}\ndo:\n- f: {{ fork: {{ branches: [ {{ a: {{ set: {{ x: 1 }} }} }} ] }} }}"
        )
    };
    let Outcome::Faulted(error) = run(&parse(&tasks("composite")), json!({}), &Fake::echo()).await else {
        panic!()
    };
    assert_eq!((error.status, error.instance.as_deref()), (418, Some("/use/extensions/0/stop/before/0/no")));
    assert_eq!(
        run(&parse(&tasks("call")), json!({}), &Fake::echo()).await,
        Outcome::Completed(json!([{"x": 1}]))
    );
}

//! `fork`: branches side by side, who decides, and what a replay does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{FlowError, Outcome};
use serde_json::json;
use support::{Fake, output, parse, run};

fn replay(first: &Fake) -> Fake {
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = first.journal.lock().unwrap().clone().into();
    second.replay_only = true;
    second
}

const ALL: &str = "do:
- f:
    fork:
      branches:
      - slow: { call: a/b, with: { yields: 5, r: 1 }, export: { as: '{ slow: 1, both: \"slow\" }' } }
      - fast: { call: a/b, with: { r: 2 }, export: { as: '$context + { fast: 2, both: \"fast\" }' }, then: exit }
      - third: { set: { r: '${ .n }' } }
- last: { set: { all: '${ . }', seen: '${ $context }' } }
";

#[tokio::test]
async fn branches_run_side_by_side_and_give_a_list() {
    let flow = parse(ALL);
    let fx = Fake::echo();
    let outcome = run(&flow, json!({"n": 3}), &fx).await;
    let Outcome::Completed(found) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(found["all"], json!([{"yields": 5, "r": 1}, {"r": 2}, {"r": 3}]));
    assert_eq!(found["seen"], json!({"slow": 1, "fast": 2, "both": "fast"}));
    let events = fx.events();
    let place = |event: &str| events.iter().position(|e| e == event).unwrap();
    assert!(place("third completed") < place("slow completed"), "{events:?}");
    assert_eq!(fx.keys("call"), ["/do/0/f/fork/branches/0/slow", "/do/0/f/fork/branches/1/fast"]);

    let second = replay(&fx);
    assert_eq!(run(&flow, json!({"n": 3}), &second).await, outcome);
}

#[tokio::test]
async fn the_first_that_ends_wins_and_the_others_end() {
    let flow = parse(
        "do:\n- f:\n    fork:\n      compete: true\n      branches:\n      - slow: { do: [ { a: { call: a/b, with: { yields: 5 } } }, { never: { call: a/never, export: { as: '{ lost: 1 }' } } } ] }\n      - fast: { call: a/b, with: { yields: 2, r: 2 }, export: { as: '{ won: 1 }' } }\n- c: { set: { r: '${ .r }', seen: '${ $context }' } }",
    );
    let fx = Fake::echo();
    let outcome = run(&flow, json!({}), &fx).await;
    assert_eq!(outcome, Outcome::Completed(json!({"r": 2, "seen": {"won": 1}})));
    assert_eq!(fx.journal.lock().unwrap()["/do/0/f!fork"], support::Answer::Value(json!({"branch": 1})));

    // The slow branch's answer came after all; the replay still ends as the run did, and runs the winner alone.
    let second = replay(&fx);
    let late = support::Answer::Value(json!({"yields": 5}));
    second.journal.lock().unwrap().insert("/do/0/f/fork/branches/0/slow/do/0/a".into(), late);
    assert_eq!(run(&flow, json!({}), &second).await, outcome);
    assert_eq!(second.keys("call"), ["/do/0/f/fork/branches/1/fast"]);
}

#[tokio::test]
async fn a_fault_ends_the_other_branches_and_can_be_caught() {
    let flow = parse(
        "do:\n- t:\n    try:\n    - f:\n        fork:\n          branches:\n          - slow: { call: a/b, with: { yields: 5 } }\n          - bad: { call: a/bad, with: { yields: 1 } }\n    catch: { as: e, do: [ { n: { set: { at: '${ $e.instance }' } } } ] }",
    );
    let script = |f: &str, with: &serde_json::Value, _| match f {
        "a/bad" => Err(FlowError::communication("down")),
        _ => Ok(with.clone()),
    };
    let fx = Fake::new(script);
    let outcome = run(&flow, json!({}), &fx).await;
    assert_eq!(outcome, Outcome::Completed(json!({"at": "/do/0/t/try/0/f/fork/branches/1/bad"})));
    let second = replay(&fx);
    assert_eq!(run(&flow, json!({}), &second).await, outcome);
    assert_eq!(second.keys("call").len(), 1);
}

#[tokio::test]
async fn a_branch_that_waits_holds_up_no_other() {
    let flow = parse(
        "do:\n- f:\n    fork:\n      branches:\n      - a: { do: [ { w: { wait: PT1H } }, { c: { call: a/after } } ] }\n      - b: { do: [ { c: { call: a/b, with: { r: 1 } } }, { w: { wait: PT2H } } ] }",
    );
    let mut fx = Fake::echo();
    fx.suspend = true;
    assert_eq!(run(&flow, json!({}), &fx).await, Outcome::Suspended);
    assert_eq!((fx.keys("wait").len(), fx.keys("call").len()), (2, 1));
    fx.asked.lock().unwrap().clear();
    assert_eq!(run(&flow, json!({}), &fx).await, Outcome::Completed(json!([{}, {"r": 1}])));
    assert_eq!(*fx.calls.lock().unwrap(), 2);
}

#[tokio::test]
async fn end_in_a_branch_ends_the_flow() {
    let tasks = "do:\n- f:\n    fork:\n      branches:\n      - a: { call: a/b, with: { yields: 3 } }\n      - b: { set: { r: over }, then: end }\n- never: { call: a/never }";
    assert_eq!(output(tasks, json!({})).await, json!({"r": "over"}));
}

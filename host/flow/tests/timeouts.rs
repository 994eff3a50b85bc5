//! Timeouts of tasks, of the flow and of one attempt, and whose error it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::Outcome;
use serde_json::json;
use support::{Fake, parse, run};

const TIMEOUT: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/timeout";

async fn both(tasks: &str, fx: Fake) -> (Outcome, Fake) {
    let flow = parse(tasks);
    let outcome = run(&flow, json!({"limit": {"seconds": 5}}), &fx).await;
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = fx.journal.lock().unwrap().clone().into();
    second.replay_only = true;
    assert_eq!(run(&flow, json!({"limit": {"seconds": 5}}), &second).await, outcome);
    assert_eq!(second.asked(), fx.asked());
    (outcome, fx)
}

#[tokio::test]
async fn a_task_that_takes_too_long_ends_with_a_timeout_error() {
    let (outcome, fx) = both("do:\n- w: { wait: PT1H, timeout: { after: PT90S } }", Fake::echo()).await;
    let Outcome::Faulted(error) = outcome else { panic!("{outcome:?}") };
    assert!(error.is_type(TIMEOUT) && error.status == 408, "{error}");
    assert_eq!(error.to_string(), "Timeout Error (408) at /do/0/w: the task took longer than 1m 30s");
    assert_eq!(fx.keys("deadline"), ["/do/0/w!timeout"]);
    let (outcome, _) = both("do:\n- w: { wait: PT1H, timeout: { after: PT2H } }", Fake::echo()).await;
    assert_eq!(outcome, Outcome::Completed(json!({"limit": {"seconds": 5}})));
    let (outcome, fx) =
        both("do:\n- w: { if: 'false', wait: PT1H, timeout: { after: PT2H } }", Fake::echo()).await;
    assert!(matches!(outcome, Outcome::Completed(_)) && fx.keys("deadline").is_empty());
}

#[tokio::test]
async fn nothing_inside_catches_it_and_a_try_around_does() {
    let tasks = "do:
- t:
    try:
    - scope:
        timeout: quick
        do:
        - inner: { try: [ { w: { wait: PT1H } } ], catch: { do: [ { no: { call: a/never } } ] } }
    catch: { errors: { with: { status: 408 } }, as: e, do: [ { n: { set: { at: '${ $e.instance }' } } } ] }
";
    let used = format!("use: {{ timeouts: {{ quick: {{ after: '${{ .limit }}' }} }} }}\n{tasks}");
    let (outcome, fx) = both(&used, Fake::echo()).await;
    assert_eq!(outcome, Outcome::Completed(json!({"at": "/do/0/t/try/0/scope"})));
    assert_eq!(fx.keys("call"), [""; 0]);
}

#[tokio::test]
async fn the_earliest_deadline_counts_and_belongs_to_who_set_it() {
    let tasks = "do:\n- outer:\n    timeout: { after: PT5S }\n    do:\n    - inner: { timeout: { after: PT1H }, call: a/b }";
    let mut fx = Fake::echo();
    fx.slow = 60;
    let (outcome, _) = both(tasks, fx).await;
    let Outcome::Faulted(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.to_string(), "Timeout Error (408) at /do/0/outer: the task took longer than 5s");
}

#[tokio::test]
async fn a_flow_has_a_timeout_that_nothing_catches() {
    let tasks = "timeout: { after: { minutes: 1 } }\ndo:\n- t:\n    try: [ { w: { wait: PT1H } } ]\n    catch: { as: e }";
    let (outcome, fx) = both(tasks, Fake::echo()).await;
    let Outcome::Faulted(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.to_string(), "Timeout Error (408) at /timeout: the flow took longer than 1m");
    assert_eq!(fx.keys("deadline"), ["!timeout"]);
}

#[tokio::test]
async fn each_attempt_has_its_own_time() {
    let tasks = "do:\n- t:\n    try: [ { c: { call: a/b } } ]\n    catch:\n      retry: { delay: PT1S, limit: { attempt: { count: 2, duration: PT10S } } }";
    let mut fx = Fake::echo();
    fx.slow = 11;
    let (outcome, fx) = both(tasks, fx).await;
    let Outcome::Faulted(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.to_string(), "Timeout Error (408) at /do/0/t: the attempt took longer than 10s");
    assert_eq!(fx.keys("deadline"), ["/do/0/t!limit~0", "/do/0/t!limit~1", "/do/0/t!limit~2"]);
    assert_eq!(fx.keys("call"), ["/do/0/t/try/0/c", "/do/0/t~1/try/0/c", "/do/0/t~2/try/0/c"]);
}

//! `metadata.compensate`: what was done is taken back, the last first, and what could not be is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{FlowError, Outcome};
use serde_json::{Value, json};
use support::{Fake, parse, run};

const SAGA: &str = "do:
- book: { call: a/book, with: { id: '${ .id }' }, metadata: { compensate: { call: a/unbook, with: { was: '${ .id }', for: '${ $input.id }' } } } }
- each:
    for: { in: '[1, 2]' }
    do: [ { part: { call: a/part, with: { n: '${ $item }' }, metadata: { compensate: { call: a/unpart, with: { n: '${ .n }' } } } } } ]
- break: { call: a/break }
";

fn calls(fx: &Fake) -> Vec<String> {
    fx.asked().into_iter().filter(|a| a.kind == "call").map(|a| a.what).collect()
}

fn breaking(failing: &'static str) -> Fake {
    Fake::new(move |function, with, _| match function {
        f if f == "a/break" || f == failing => Err(FlowError::communication("down")),
        _ => Ok(with.clone()),
    })
}

#[tokio::test]
async fn a_faulted_run_is_unwound_the_last_first() {
    let flow = parse(SAGA);
    let fx = breaking("");
    let Outcome::Faulted(error) = run(&flow, json!({"id": 7}), &fx).await else { panic!() };
    assert_eq!((error.instance.as_deref(), error.extra.get("notUndone")), (Some("/do/2/break"), None));
    assert_eq!(
        calls(&fx)[4..],
        ["a/unpart {\"n\":2}", "a/unpart {\"n\":1}", "a/unbook {\"for\":7,\"was\":7}"]
    );
    assert_eq!(
        fx.keys("call")[4..],
        ["/do/1/each[1]/do/0/part!compensate", "/do/1/each[0]/do/0/part!compensate", "/do/0/book!compensate"]
    );
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = fx.journal.lock().unwrap().clone().into();
    assert_eq!(run(&flow, json!({"id": 7}), &second).await, Outcome::Faulted(error));
}

#[tokio::test]
async fn a_cancelled_run_is_unwound_and_stays_cancelled() {
    let mut fx = Fake::echo();
    fx.cancel = Some("a/break".into());
    assert_eq!(run(&parse(SAGA), json!({"id": 7}), &fx).await, Outcome::Cancelled);
    assert_eq!(
        calls(&fx)[4..],
        ["a/unpart {\"n\":2}", "a/unpart {\"n\":1}", "a/unbook {\"for\":7,\"was\":7}"]
    );
}

#[tokio::test]
async fn what_cannot_be_undone_is_told_and_stops_nothing() {
    let fx = breaking("a/unpart");
    let Outcome::Faulted(error) = run(&parse(SAGA), json!({"id": 7}), &fx).await else { panic!() };
    let left: Vec<&Value> = error.extra["notUndone"].as_array().unwrap().iter().map(|u| &u["key"]).collect();
    assert_eq!(left, ["/do/1/each[1]/do/0/part", "/do/1/each[0]/do/0/part"]);
    assert_eq!(error.extra["notUndone"][0]["error"]["status"], json!(500));
    assert!(calls(&fx).last().unwrap().starts_with("a/unbook"));
}

#[tokio::test]
async fn a_run_that_goes_on_is_not_unwound_and_an_attempt_is_undone_once() {
    let tasks = "do:
- t:
    try: [ { one: { call: a/one, metadata: { compensate: { call: a/undo } } } }, { break: { call: a/break } } ]
    catch: { retry: { delay: PT1S, limit: { attempt: { count: 1 } } }, do: [ { ok: { set: { r: 1 } } } ] }
";
    let fx = breaking("");
    assert_eq!(run(&parse(tasks), json!({}), &fx).await, Outcome::Completed(json!({"r": 1})));
    assert!(!calls(&fx).iter().any(|c| c.contains("undo")));
    let fx = breaking("");
    let faulting = format!("{tasks}- last: {{ call: a/break }}");
    assert!(matches!(run(&parse(&faulting), json!({}), &fx).await, Outcome::Faulted(_)));
    assert_eq!(calls(&fx).iter().filter(|c| c.contains("undo")).count(), 1);
}

#[tokio::test]
async fn what_a_losing_branch_did_is_undone_too() {
    let tasks = "do:
- f:
    fork:
      compete: true
      branches:
      - slow: { do: [ { book: { call: a/book, with: { n: 1 }, metadata: { compensate: { call: a/unbook, with: { n: '${ .n }' } } } } }, { wait: { call: a/b, with: { yields: 9 } } } ] }
      - fast: { call: a/b, with: { yields: 3 }, metadata: { compensate: { call: a/unfast } } }
- break: { call: a/break }
";
    let flow = parse(tasks);
    let fx = breaking("");
    let outcome = run(&flow, json!({}), &fx).await;
    let undone = |fx: &Fake| calls(fx).into_iter().filter(|c| c.contains("/un")).collect::<Vec<_>>();
    assert_eq!(undone(&fx), ["a/unfast {}", "a/unbook {\"n\":1}"]);
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = fx.journal.lock().unwrap().clone().into();
    assert_eq!(run(&flow, json!({}), &second).await, outcome);
    assert_eq!(undone(&second), undone(&fx));
}

#[test]
fn what_takes_work_back_is_resolved_at_deploy_and_can_be_shown() {
    let flow = parse(SAGA);
    let sites: Vec<(&str, String)> =
        flow.calls().iter().map(|c| (c.path.as_str(), c.function.to_string())).collect();
    assert!(sites.contains(&("/do/0/book/metadata/compensate", "a/unbook".to_owned())), "{sites:?}");
    let shown: Vec<(&str, String)> = flow.compensations().map(|(task, f)| (task, f.to_string())).collect();
    assert_eq!(
        shown,
        [("/do/0/book", "a/unbook".to_owned()), ("/do/1/each/do/0/part", "a/unpart".to_owned())]
    );
}

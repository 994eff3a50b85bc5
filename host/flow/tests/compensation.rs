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

const OTHERS: &str = "use: { functions: { release: { call: http, with: { method: delete, endpoint: 'https://b.example/{id}' } } } }
do:
- one: { call: a/one, with: { id: 7 }, metadata: { compensate: { call: http, with: { method: delete, endpoint: 'https://a.example/v1/{id}', headers: { x-of: '${ $input.who }' }, body: { why: '${ .id }' } }, metadata: { idempotencyKey: '${ \"undo-\\(.id)\" }' } } } }
- two: { call: a/two, with: { id: 8 }, metadata: { compensate: { run: { workflow: { namespace: n, name: undo-two, version: '1.0.0', input: { id: '${ .id }' } } } } } }
- three: { call: a/three, with: { id: 9 }, metadata: { compensate: { call: openapi, with: { document: { endpoint: 'https://c.example/api.json' }, operationId: drop, parameters: { id: '${ .id }' } } } } }
- four: { set: { id: 10 }, metadata: { compensate: { call: release } } }
- f:
    fork:
      compete: true
      branches:
      - slow: { do: [ { book: { call: a/book, with: { id: 11 }, metadata: { compensate: { call: http, with: { method: post, endpoint: 'https://d.example/{id}', body: null } } } } }, { wait: { call: a/b, with: { yields: 9 } } } ] }
      - fast: { call: a/b, with: { yields: 3 } }
- break: { call: a/break }
";

/// Answers requests, and describes one operation.
fn web(fx: &mut Fake) {
    fx.web = Some(Box::new(|call| match call.uri.as_str() {
        "https://c.example/api.json" => (
            200,
            json!({"openapi": "3.0.0", "servers": [{"url": "https://c.example/v2"}], "paths": {"/things/{id}": {"delete":
                {"operationId": "drop", "parameters": [{"name": "id", "in": "path", "required": true}]}}}}),
        ),
        "https://b.example/10" => (409, json!({})),
        _ => (200, json!({})),
    }));
}

#[tokio::test]
async fn requests_and_flows_take_work_back_too_and_each_is_in_the_journal() {
    let flow = parse(OTHERS);
    let mut fx = breaking("");
    web(&mut fx);
    let outcome = run(&flow, json!({"who": "jane"}), &fx).await;
    let Outcome::Faulted(error) = &outcome else { panic!("{outcome:?}") };
    let undone: Vec<(&str, String)> = fx
        .asked()
        .into_iter()
        .filter(|asked| asked.key.contains("!compensate"))
        .map(|asked| (asked.kind, asked.what))
        .collect();
    let undone: Vec<(&str, &str)> = undone.iter().map(|(kind, what)| (*kind, what.as_str())).collect();
    assert_eq!(
        undone,
        [
            ("http", "POST https://d.example/11"),
            ("http", "DELETE https://b.example/10"),
            ("http", "GET https://c.example/api.json"),
            ("http", "DELETE https://c.example/v2/things/9"),
            ("subflow", "n/undo-two Some(\"1.0.0\") {\"id\":8} true"),
            ("http", "DELETE https://a.example/v1/7"),
        ]
    );
    let left = error.extra["notUndone"].as_array().unwrap();
    assert_eq!(
        (left.len(), &left[0]["call"], &left[0]["error"]["status"]),
        (1, &json!("DELETE https://b.example/{id}"), &json!(409))
    );
    assert_eq!(fx.told(), ["/do/3/four!compensate DELETE https://b.example/{id} 409"]);
    assert!(fx.events().contains(&"one has the key undo-7".to_owned()), "{:?}", fx.events());
    let requests = fx.requests.lock().unwrap().clone();
    assert_eq!(requests[0]["body"], json!(null), "a body that is null is sent: {requests:?}");
    let last = requests.last().unwrap();
    assert_eq!((&last["headers"], &last["body"]), (&json!([["x-of", "jane"]]), &json!({"why": 7})));
    // The losing branch's is read out of the decision.
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = fx.journal.lock().unwrap().clone().into();
    second.replay_only = true;
    assert_eq!(run(&flow, json!({"who": "jane"}), &second).await, outcome);
    assert_eq!(second.asked().iter().filter(|a| a.key.contains("!compensate")).count(), undone.len());
    assert_eq!(second.told(), fx.told());
}

#[tokio::test]
async fn what_cannot_even_be_asked_for_is_told_as_not_undone() {
    let flow = parse(OTHERS);
    let mut fx = breaking("");
    fx.web = Some(Box::new(|_| (200, json!({}))));
    assert!(matches!(run(&flow, json!({"who": "jane"}), &fx).await, Outcome::Faulted(_)));
    let told = fx.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("/do/2/three!compensate drop of https://c.example/api.json"), "{told:?}");
}

#[test]
fn requests_that_take_work_back_are_shown_to_a_deployer_with_their_narrowing() {
    let flow = parse(
        "do:
- a: { call: a/b, metadata: { compensate: { call: http, with: { method: delete, endpoint: 'https://x.example/{id}' }, metadata: { grants: { http: [ { methods: [DELETE] } ] } } } } }",
    );
    let [site] = flow.https() else { panic!("{:?}", flow.https()) };
    assert_eq!((site.path.as_str(), site.method.as_deref()), ("/do/0/a/metadata/compensate", Some("DELETE")));
    assert!(site.grants.is_some());
    let shown: Vec<_> = flow.compensations().map(|(_, what)| what).collect();
    assert_eq!(shown, ["DELETE https://x.example/{id}"]);
}

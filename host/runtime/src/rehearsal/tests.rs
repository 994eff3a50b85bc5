//! Rehearsals: cases that pass and fail, and recorded runs that part from an edited flow.

use std::path::Path;

use factotum_flow::Flow;
use serde_json::json;

use super::*;
use crate::ErrorCode;
use crate::runs::RunState;
use crate::runs::tests::*;

fn flow(tasks: &str) -> Flow {
    Flow::parse(&document("f", "1.0.0", tasks), "f.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

fn failures(tasks: &str, case: &str) -> Vec<String> {
    let source = format!("flow: f.yaml\ncases:\n  - name: c\n{case}");
    let suite = Suite::parse(&source, Path::new("f.test.yaml")).unwrap();
    suite.run(&flow(tasks), |_| true).remove(0).failures
}

const ORDER: &str = "
  - find: { call: crm/find, with: { id: '${ .id }' } }
  - book: { call: 'erp/book:^1.2', with: { contact: '${ .name }', n: 1 } }
  - later: { wait: { days: 90 } }
  - done: { set: { ok: true } }
";

#[test]
fn a_case_of_ninety_days_passes_at_once_and_is_held_to_what_it_expects() {
    let case = "    input: { id: 7 }
    mocks:
      - { call: crm/find, returns: { name: Jane } }
      - { call: erp/book, with: { contact: Jane }, returns: {}, after-seconds: 2 }
    expect:
      output: { ok: true }
      tasks: [find, /do/done]
      calls: [ { call: crm/find, with: { id: 7 } }, { call: erp/book } ]
      takes-at-least: 7776002
      takes-at-most: 7776002
";
    assert_eq!(failures(ORDER, case), Vec::<String>::new());
    let wrong = case
        .replace("output: { ok: true }", "output: { ok: false }")
        .replace("[find, /do/done]", "[done, find]");
    let wrong = wrong.replace("{ call: erp/book } ]", "{ call: erp/book, with: { n: 2 } } ]");
    assert_eq!(
        failures(ORDER, &wrong),
        [
            "output /ok: expected false, found true",
            "tasks: find did not run in this order; what ran: find, book, later, done",
            "calls: erp/book: /n: expected 2, found 1",
        ]
    );
}

const BUSINESS: &str = "
  - later: { wait: { hours: 10 }, metadata: { businessTime: desk } }
  - done: { set: { ok: true } }
";

#[test]
fn a_case_brings_the_calendars_that_a_host_would_keep() {
    // Friday 15:00, ten hours of being open from 9 to 17: two today, eight on Monday.
    let case = "    now: 2026-01-09T15:00:00Z
    calendars: { desk: { timezone: UTC, week: { mon-fri: ['09:00-17:00'] } } }
    expect: { output: { ok: true }, takes-at-least: 266400, takes-at-most: 266400 }
";
    assert_eq!(failures(BUSINESS, case), Vec::<String>::new());
    let without = case.replace("desk: {", "other: {");
    let told = failures(BUSINESS, &without);
    assert!(
        told[0].contains("the calendar \"desk\"") && told[0].contains("calendars: { desk: … }"),
        "{told:?}"
    );

    // For all cases of a file, out of a file as an administrator sets it; a case's own comes first.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hours.yaml"), "timezone: UTC\nweek: { mon-sun: ['09:00-17:00'] }\n")
        .unwrap();
    let suite = |calendars: &str, own: &str| {
        let source = format!(
            "flow: f.yaml\ncalendars: {{ desk: {calendars} }}\ncases:\n  - name: c\n    now: 2026-01-09T15:00:00Z\n{own}    expect: {{ output: {{ ok: true }}, takes-at-most: 93600 }}\n"
        );
        Suite::parse(&source, &folder.path().join("f.test.yaml"))
    };
    let run = |suite: Suite| suite.run(&flow(BUSINESS), |_| true).remove(0).failures;
    assert_eq!(run(suite("hours.yaml", "").unwrap()), Vec::<String>::new());
    let own = "    calendars: { desk: { week: { mon: ['09:00-10:00'] } } }\n";
    assert!(run(suite("hours.yaml", own).unwrap())[0].contains("of simulated time"));
    for (calendars, why) in [
        ("nothing.yaml", "the calendar desk: "),
        ("{ week: { mon: ['nine'] } }", "the calendar desk: week/mon"),
        ("{ weak: 1 }", "the calendar desk: "),
    ] {
        let error = suite(calendars, "").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn what_no_mock_answers_is_named_and_times_are_counted() {
    let told = failures(
        ORDER,
        "    input: { id: 7 }\n    mocks: [ { call: erp/other, returns: 1 } ]\n    expect: { outcome: completed }\n",
    );
    assert_eq!(
        told,
        [
            "task find asked for crm/find with {\"id\":7}, and no mock answers that",
            "outcome: expected completed, found waiting",
            "(the mock of call erp/other was not used)",
        ]
    );
    let twice = "
  - t:
      try: [ { a: { call: crm/find } } ]
      catch: { retry: { delay: PT1S, limit: { attempt: { count: 3 } } } }
";
    let case = "    mocks:
      - { task: a, fault: { kind: technical, status: 503 }, times: 2 }
      - { task: a, returns: { n: 3 } }
    expect: { output: { n: 3 }, takes-at-least: 2 }
";
    assert_eq!(failures(twice, case), Vec::<String>::new());
    let fault = case
        .replace("times: 2", "times: 9")
        .replace("output: { n: 3 }, takes-at-least: 2", "fault: { status: 404 }");
    assert_eq!(failures(twice, &fault)[0], "fault /status: expected 404, found 503");
}

#[test]
fn a_file_of_cases_that_is_wrong_says_where() {
    let wrong = |source: &str| Suite::parse(source, Path::new("x.test.yaml")).unwrap_err().to_string();
    assert!(wrong("flow: [").contains("x.test.yaml"));
    assert!(wrong("flow: f.yaml\ncases: [ { name: c, expct: {} } ]").contains("unknown field `expct`"));
    assert!(wrong("flow: f.yaml\ncases: []").contains("1 to"));
    let neither = "flow: f.yaml\ncases: [ { name: c, mocks: [ { returns: 1 } ], expect: {} } ]";
    assert!(wrong(neither).contains("case \"c\": a mock answers a `call` or a `task`"));
}

#[test]
fn a_wait_whose_deadline_is_nearer_ends_there() {
    let tasks = "
  - t:
      try: [ { w: { wait: PT2H, timeout: { after: PT1H } } } ]
      catch: { as: e, do: [ { s: { set: { status: '${ $e.status }' } } } ] }
";
    assert_eq!(
        failures(tasks, "    expect: { output: { status: 408 }, takes-at-most: 3600 }\n"),
        Vec::<String>::new()
    );
}

async fn replayed(world: &World, edited: &str) -> Replayed {
    let engine = world.open();
    let tasks = "  - a: { call: a/echo, with: { n: '${ .n }' } }\n  - b: { call: a/echo, with: { m: '${ .got.n }' } }\n  - c: { set: { r: '${ .got.m }' } }";
    deploy(&engine, "f", tasks).await;
    let id = start(&engine, "f", json!({"n": 1})).await;
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    let source = document("f", "1.0.1", edited);
    let request = ReplayRun {
        actor: actor(),
        run_id: id.clone(),
        document: Some((source, "edited.yaml".into())),
        plugin: None,
    };
    let replayed = engine.replay_run(request, None).await.unwrap();
    let bad = ReplayRun {
        actor: actor(),
        run_id: id,
        document: Some(("do: 7".into(), "bad.yaml".into())),
        plugin: None,
    };
    assert_eq!(code(engine.replay_run(bad, None).await), ErrorCode::InvalidFlow);
    assert_eq!(world.script.calls().len(), 2, "a replay calls nothing");
    assert_audit_holds(&engine);
    replayed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edition_that_asks_the_same_is_the_same_though_tasks_moved() {
    let edited = "  - look: { set: '${ . }' }\n  - a: { call: a/echo, with: { n: '${ .n }' } }\n  - b: { call: a/echo, with: { m: '${ .got.n }' } }\n  - c: { set: { r: '${ .got.m }' } }";
    let replayed = replayed(&World::new(), edited).await;
    assert!(replayed.same && replayed.parts_at.is_none(), "{replayed:?}");
    assert_eq!((replayed.answered, &replayed.outcome["output"]), (2, &json!({"r": 1})));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_arguments_another_function_and_what_is_left_out_are_told() {
    let edited = "  - a: { call: a/echo, with: { n: 2 } }\n  - d: { call: crm/new }";
    let replayed = replayed(&World::new(), edited).await;
    assert!(!replayed.same);
    let parts = replayed.parts_at.unwrap();
    assert_eq!(
        (parts.place.as_str(), parts.arguments.as_slice()),
        ("/do/a", ["/n: expected 1, found 2".to_owned()].as_slice())
    );
    assert!(parts.answered, "the same function: its answer is taken");
    let places: Vec<_> = replayed
        .differences
        .iter()
        .map(|d| (d.place.as_str(), d.recorded.is_some(), d.now.is_some()))
        .collect();
    assert_eq!(places, [("/do/a", true, true), ("/do/d", false, true), ("/do/b", true, false)]);
    assert_eq!(replayed.outcome["state"], "not over");
    assert_eq!(replayed.notes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_answer_is_answered_from_the_journal() {
    let world = World::new();
    let engine = world.open();
    let tasks = "  - ask: { call: human-task, with: { title: T, group: g } }\n  - b: { call: a/echo, with: { by: '${ .by }' }, output: { as: '${ .got }' } }";
    deploy(&engine, "p", tasks).await;
    let id = start(&engine, "p", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let item = engine.list_items(&crate::InboxQuery::default()).await.unwrap().items.remove(0);
    let answer = crate::AnswerItem {
        actor: actor(),
        name: "anna".into(),
        for_others: false,
        id: item.id,
        outcome: None,
        answer: json!(null),
    };
    engine.answer_item(answer).await.unwrap();
    world.finish(&engine, &id).await;
    let request = |edited: &str| ReplayRun {
        actor: actor(),
        run_id: id.clone(),
        document: Some((document("p", "1.0.1", edited), "e.yaml".into())),
        plugin: None,
    };
    let same = engine.replay_run(request(tasks), None).await.unwrap();
    assert!(same.same && same.answered == 2, "{same:?}");
    let other = engine.replay_run(request(&tasks.replace("title: T", "title: U")), None).await.unwrap();
    assert_eq!(other.parts_at.unwrap().arguments, ["/title: expected \"T\", found \"U\""]);
    assert_eq!(other.outcome_differences, Vec::<String>::new());
}

//! Business time: whose hours count, what of a task counts in them, and what an sla is held to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{Flow, Hours, Length, Outcome, SlaClock, SlaTime};
use serde_json::json;
use std::time::Duration;
use support::{Fake, start};

fn parse(metadata: &str, tasks: &str) -> Flow {
    Flow::parse(&document(metadata, tasks), "t.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

fn document(metadata: &str, tasks: &str) -> String {
    format!(
        "document:\n  dsl: '1.0.3'\n  namespace: t\n  name: f\n  version: '1.0.0'\n  metadata: {metadata}\n{tasks}"
    )
}

const HOURS: &str = "{ timezone: Europe/Berlin, businessHours: { week: { mon-fri: '09:00-17:00' }, holidays: [2026-12-25] } }";

/// Runs it, replays it, and gives what was asked for.
async fn asked(metadata: &str, tasks: &str) -> (Outcome, Vec<(String, String)>) {
    let flow = parse(metadata, tasks);
    let fx = Fake::echo();
    let input = json!({"time": "P1DT1H"});
    let outcome = flow.run(&start(input.clone()), &fx).await;
    let mut second = Fake::new(|_, _, _| panic!("a replay calls nothing"));
    second.journal = fx.journal.lock().unwrap().clone().into();
    second.replay_only = true;
    assert_eq!(flow.run(&start(input), &second).await, outcome);
    let asked = fx.asked().into_iter().map(|a| (format!("{} {}", a.kind, a.key), a.what)).collect();
    (outcome, asked)
}

fn line(place: &str, what: &str) -> (String, String) {
    (place.into(), what.into())
}

#[tokio::test]
async fn a_wait_and_a_timeout_count_in_the_hours_of_the_flow_or_of_a_kept_calendar() {
    let tasks = "do:
- a: { wait: P1D, metadata: { businessTime: true } }
- b: { wait: '${ .time }', metadata: { businessTime: vip-desk } }
- c: { wait: PT1H }
- d: { call: a/b, timeout: { after: PT2H }, metadata: { businessTime: true } }
- e: { wait: P2D, timeout: { after: { days: 1 } }, metadata: { businessTime: true } }";
    let (outcome, asked) = asked(HOURS, tasks).await;
    let Outcome::Faulted(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.to_string(), "Timeout Error (408) at /do/4/e: the task took longer than 1 business day");
    assert_eq!(
        asked,
        [
            line("business wait /do/0/a", "1 d 0 ms Europe/Berlin"),
            line("business wait /do/1/b", "1 d 3600000 ms vip-desk"),
            line("wait /do/2/c", "3600s"),
            line("business deadline /do/3/d!timeout", "0 d 7200000 ms Europe/Berlin"),
            line("call /do/3/d", "a/b {}"),
            line("business deadline /do/4/e!timeout", "1 d 0 ms Europe/Berlin"),
            line("business wait /do/4/e", "2 d 0 ms Europe/Berlin"),
        ]
    );
    let flow = parse(HOURS, tasks);
    let [site] = flow.calendars() else { panic!("{:?}", flow.calendars()) };
    assert_eq!(
        (site.name.as_str(), site.path.as_str(), site.line),
        ("vip-desk", "/do/1/b/metadata/businessTime", 9)
    );
}

#[tokio::test]
async fn a_person_is_given_business_time() {
    let tasks = "do:
- a:
    call: human-task
    with: { title: Well?, group: leads, due: P2D, remind: [PT4H], escalate: { after: P1D, group: managers } }
    metadata: { businessTime: true }";
    let flow = parse(HOURS, tasks);
    let fx = Fake::echo();
    flow.run(&start(json!({})), &fx).await;
    assert!(fx.events().contains(&"asked in Some(\"Europe/Berlin\")".to_owned()), "{:?}", fx.events());
    let wrong = document(HOURS, &tasks.replace("P2D", "P1W"));
    let problems = Flow::parse(&wrong, "t").unwrap_err().to_string();
    assert!(problems.contains("weeks and parts of days"), "{problems}");
}

#[test]
fn hours_that_cannot_be_are_told_with_their_place() {
    let problem = |metadata: &str, task: &str| {
        let source = document(metadata, &format!("do:\n- a: {task}"));
        Flow::parse(&source, "t.yaml").unwrap_err().to_string()
    };
    let set = "{ set: { a: 1 } }";
    for (metadata, task, expected) in [
        ("{ businessHours: {} }", set, "this calendar never opens"),
        (
            "{ businessHours: { week: { mon: ['9-5'] } } }",
            set,
            "t.yaml:6:46 /document/metadata/businessHours/week/mon/0: \"9-5\" is no opening",
        ),
        (
            "{ businessHours: { timezone: Moon/Base, week: { mon: '09:00-17:00' } } }",
            set,
            "no time zone \"Moon/Base\"",
        ),
        ("{ businessHours: 'no name!' }", set, "letters, digits and hyphens"),
        ("{}", "{ wait: PT1H, metadata: { businessTime: true } }", "the flow has no business hours"),
        (HOURS, "{ wait: P1W, metadata: { businessTime: true } }", "weeks and parts of days"),
        ("{ sla: { resolve: PT4H, businessHours: true } }", set, "the flow has no business hours"),
        ("{ sla: {} }", set, "nothing is to be reached here"),
        ("{ sla: PT4H }", set, "expected an object"),
        ("{ sla: { resolve: PT0S } }", set, "longer than nothing"),
        ("{ sla: { resolve: PT4H, warnAt: 80 } }", set, "a number from 0.01 to 0.99"),
        ("{ sla: { resolve: PT4H, escalate: {} } }", set, "either an `assignee` or a `group`"),
        (
            "{ sla: { resolve: PT4H, notify: boss@example.com } }",
            set,
            "\"boss@example.com\" is no group's name",
        ),
        ("{ sla: { resolve: PT4H, notify: [] } }", set, "1 to 20 groups"),
        ("{}", "{ set: { a: 1 }, metadata: { slaPaused: true } }", "the flow has no `sla`"),
        (
            "{ sla: { resolve: PT4H } }",
            "{ set: { a: 1 }, metadata: { slaMet: answer } }",
            "respond or resolve",
        ),
    ] {
        let found = problem(metadata, task);
        assert!(found.contains(expected), "{metadata} {task}\n{found}");
    }
    let idle = parse(HOURS, "do:\n- a: { set: { a: 1 }, metadata: { businessTime: true } }");
    assert_eq!(idle.warnings().iter().count(), 1, "nothing there counts time");
}

#[tokio::test]
async fn an_sla_is_read_and_tasks_say_when_it_stands_still_and_what_is_met() {
    let metadata = "{ timezone: Asia/Shanghai, businessHours: { week: { mon-sat: '09:00-18:00' } }, sla: { respond: PT4H, resolve: P2D, warnAt: 0.75, businessHours: true, escalate: { group: leads }, notify: [ leads, desk ] } }";
    let tasks = "do:
- answer: { call: mail/send, metadata: { slaMet: respond } }
- ask:
    try:
    - customer: { raise: { error: { type: 'https://x.test/e', status: 500 } }, metadata: { slaPaused: true } }
    catch: {}";
    let flow = parse(metadata, tasks);
    let sla = flow.sla().unwrap();
    let Some(Hours::Own(calendar)) = flow.hours() else { panic!() };
    assert_eq!((calendar.zone(), sla.warn_at), ("Asia/Shanghai", 75));
    assert_eq!(sla.notify, ["leads", "desk"]);
    assert_eq!(sla.escalate.as_ref().unwrap().group.as_deref(), Some("leads"));
    let own = || flow.hours().unwrap().clone();
    assert_eq!(
        sla.targets,
        [
            (SlaClock::Respond, SlaTime::Business(Length { days: 0, ms: 4 * 3_600_000 }, own())),
            (SlaClock::Resolve, SlaTime::Business(Length { days: 2, ms: 0 }, own())),
        ]
    );
    assert!(flow.warnings().iter().next().is_none(), "{}", flow.warnings());
    let wall = parse("{ sla: { resolve: P2D } }", "do:\n- a: { set: { a: 1 } }");
    assert_eq!(
        wall.sla().unwrap().targets,
        [(SlaClock::Resolve, SlaTime::Wall(Duration::from_secs(172_800)))]
    );
    let (_, asked) = asked(metadata, tasks).await;
    let sla: Vec<_> = asked.into_iter().filter(|(place, _)| place.starts_with("sla")).collect();
    assert_eq!(
        sla,
        [
            line("sla /do/0/answer!sla-met", "Met(Respond)"),
            line("sla /do/1/ask/try/0/customer!sla-paused", "Paused"),
            line("sla /do/1/ask/try/0/customer!sla-resumed", "Resumed"),
        ]
    );
}

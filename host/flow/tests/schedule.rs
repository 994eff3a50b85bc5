//! `schedule`: what is read, what is refused, and which events start a flow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::{Flow, Schedule};
use serde_json::json;
use std::time::Duration;
use support::{parse, problems};

fn with(schedule: &str) -> String {
    format!("schedule: {schedule}\ndo:\n- a: {{ set: {{ x: 1 }} }}")
}

#[test]
fn each_rhythm_is_read() {
    let flow = parse(&with("{ every: { minutes: 15 } }"));
    assert!(matches!(flow.schedule(), Some(Schedule::Every(d)) if *d == Duration::from_secs(900)));
    let flow = parse(&with("{ after: PT1H }"));
    assert!(matches!(flow.schedule(), Some(Schedule::After(d)) if *d == Duration::from_secs(3600)));
    assert!(parse("do:\n- a: { set: { x: 1 } }").schedule().is_none());

    let zoned = "document: { dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: { timezone: Asia/Shanghai } }\nschedule: { cron: '0 8 * * MON-FRI' }\ndo:\n- a: { set: { x: 1 } }";
    let flow = Flow::parse(zoned, "t").unwrap();
    let Some(Schedule::Cron(cron)) = flow.schedule() else { panic!() };
    assert_eq!((cron.pattern(), cron.zone()), ("0 8 * * MON-FRI", "Asia/Shanghai"));
    // 2026-01-02 is a Friday; 08:00 in Shanghai is midnight in UTC.
    let friday = 1_767_312_000_000;
    assert_eq!(flow.schedule().unwrap().next_after(friday - 1, 0), Some(friday));
    assert_eq!(flow.schedule().unwrap().next_after(friday, 0), Some(friday + 3 * 86_400_000));
}

#[test]
fn an_event_starts_a_flow_when_it_fits() {
    let flow = parse(&with(
        "{ on: { any: [ { with: { type: order.placed, source: 'https://shop\\.example/.*', data: '${ .total > 100 }' } }, { with: { type: order.urgent, priority: 1 }, correlate: { place: { from: .data.city, expect: Berlin } } } ] } }",
    ));
    let Some(Schedule::On(trigger)) = flow.schedule() else { panic!() };
    let subscription = trigger.subscription();
    assert_eq!(
        subscription.any_of,
        [
            [("type".to_owned(), "order.placed".to_owned())].into(),
            [("type".to_owned(), "order.urgent".to_owned())].into()
        ]
    );
    for (event, fits) in [
        (json!({"type": "order.placed", "source": "https://shop.example/1", "data": {"total": 101}}), true),
        (json!({"type": "order.placed", "source": "https://shop.example/1", "data": {"total": 99}}), false),
        (json!({"type": "order.placed", "source": "https://shopXexample/1", "data": {"total": 101}}), false),
        (json!({"type": "order.placed", "source": "https://shop.example/1", "data": "hostile"}), false),
        (json!({"type": "order.placed", "data": {"total": 101}}), false),
        (json!({"type": "order.urgent", "priority": 1, "data": {"city": "Berlin"}}), true),
        (json!({"type": "order.urgent", "priority": 2, "data": {"city": "Berlin"}}), false),
        (json!({"type": "order.urgent", "priority": 1, "data": {"city": "Rome"}}), false),
        (json!({"type": "order.urgent", "priority": 1, "data": 5}), false),
        (json!(5), false),
    ] {
        assert_eq!(trigger.accepts(&event), fits, "{event}");
    }
}

#[test]
fn a_schedule_that_cannot_be_is_told() {
    for (schedule, expected) in [
        ("{}", "/schedule: a schedule is one of every, cron, after and on"),
        ("{ every: PT1M, cron: '* * * * *' }", "a schedule is one of every, cron, after and on"),
        ("{ every: PT0.5S }", "/schedule/every: a flow starts at most once a second"),
        ("{ every: soon }", "is not an ISO 8601 duration"),
        ("{ cron: '61 * * * *' }", "/schedule/cron: \"61 * * * *\" is not a cron pattern"),
        ("{ cron: '0 0 * * * *' }", "is not a cron pattern"),
        ("{ cron: '0 0 30 2 *' }", "this day never comes"),
        ("{ each: PT1M }", "unknown key \"each\""),
        ("{ on: { all: [ { with: { type: a } } ] } }", "a run is started by one event; start with `one`"),
        ("{ on: { any: [], until: '.x' } }", "a run is started by one event; leave `until` out"),
        ("{ on: { one: { with: { type: a }, correlate: { x: { from: .a } } } } }", "no event before the one"),
        ("{ on: { one: { with: {} } } }", "a filter needs at least one attribute"),
        ("{ on: { one: { with: { type: '(' } } } }", "this is not a regular expression: unclosed group"),
        ("{ on: { one: { with: { dataContentType: x } } } }", "cannot name an attribute of an event"),
        ("{ on: { one: { with: { type: '${ $input.x }' } } } }", "$input is not known here"),
        ("{ on: { one: { with: { type: '(a{1000}){1000}' } } } }", "size limit"),
    ] {
        let found = problems(&with(schedule));
        assert!(found.contains(expected), "{schedule}\n  expected: {expected}\n  found: {found}");
    }
    let zone = "document: { dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: { timezone: Mars/Base } }\ndo:\n- a: { set: { x: 1 } }";
    let found = Flow::parse(zone, "t").unwrap_err().to_string();
    assert!(found.contains("/document/metadata/timezone: there is no time zone \"Mars/Base\""), "{found}");
}

//! The command line imports holidays, and changes the key of payloads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::fs;

use factotum_tests::{Server, dist};

#[test]
fn an_icalendar_file_becomes_holidays_of_a_calendar() {
    let Some(dist) = dist("holidays") else { return };
    let server = Server::start(&dist);
    let file = |name: &str, text: &str| {
        let path = server.data().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let hours = file("hours.yaml", "timezone: Europe/Berlin\nweek: { mon-fri: ['09:00-17:00'] }\n");
    let yearly = file(
        "yearly.ics",
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:19901003\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Tag der Deutschen Einheit\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART:20260101T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    );
    let (_, error) = server.fails(&["calendar", "import", "desk", &yearly]);
    assert!(error.contains("there is no calendar"), "{error}");
    server.ok(&["calendar", "set", "desk", &hours]);
    let tried = server.ok(&["calendar", "import", "desk", &yearly, "--years", "1", "--dry-run"]);
    assert!(
        tried.contains("-10-03  Tag der Deutschen Einheit") && tried.contains("nothing was done"),
        "{tried}"
    );
    assert!(!server.ok(&["calendar", "show", "desk"]).contains("-10-03"));
    let done = server.cli(&["calendar", "import", "desk", &yearly, "--years", "1"]);
    let (out, note) = (factotum_tests::text(&done.stdout), factotum_tests::text(&done.stderr));
    assert!(out.contains("2 added, 0 removed, 0 known already"), "{out}");
    assert!(note.contains("events left out: 1 with a time of day"), "{note}");
    assert_eq!(server.ok(&["calendar", "show", "desk"]).matches("-10-03").count(), 2);
    let broken =
        file("broken.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:tomorrow\nEND:VEVENT\nEND:VCALENDAR\n");
    let (_, error) = server.fails(&["calendar", "import", "desk", &broken]);
    assert!(error.contains("line 3: DTSTART") && error.contains("as in 20261225"), "{error}");
    server.audit_holds();
}

#[test]
fn the_key_of_payloads_is_changed_and_a_restart_reads_both() {
    let Some(dist) = dist("payload_key") else { return };
    let mut server = Server::start(&dist);
    server.deploy(
        "f",
        "document: { dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: { trigger: { webhook: { auth: none, reply: sync } } } }\ndo:\n- a: { set: { got: '${ .n }' } }\n",
    );
    let post = |server: &Server, n: u32| {
        assert!(server.hook("t/f", &serde_json::json!({ "n": n })).status().is_success())
    };
    post(&server, 1);
    let rotated = server.ok(&["secret", "rotate-payload-key"]);
    assert!(rotated.contains("sealed under key 2"), "{rotated}");
    post(&server, 2);
    server.kill();
    server.restart();
    let mut inputs: Vec<i64> = server
        .all_runs()
        .iter()
        .map(|run| server.json(&["run", "show", run["id"].as_str().unwrap()])["input"]["n"].as_i64().unwrap())
        .collect();
    inputs.sort_unstable();
    assert_eq!(inputs, [1, 2]);
    assert_eq!(server.json(&["secret", "list"])["payload_key"], 2);
    server.audit_holds();
}

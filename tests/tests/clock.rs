//! A clock that jumps an hour forward and back: what waits fires once, schedules keep their rhythm, tokens expire by the
//! clock on the wall, nothing is lost, and the log says what happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use factotum_tests::{Counter, PATIENCE, Server, dist, server_variable};
use serde_json::{Value, json};

fn flow(name: &str, more: &str, tasks: &str, counter: &Counter) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: clock, name: {name}, version: '1.0.0' }}\n{more}do:\n{tasks}- tell: {{ call: http, with: {{ method: post, endpoint: 'http://{}/{name}', body: {{ n: '${{ $workflow.input.n? // 0 }}' }} }} }}\n",
        counter.address()
    )
}

fn deploy(server: &Server, counter: &Counter) {
    let (host, port) = counter.address().split_once(':').unwrap();
    let grants = server.data().join("clock.toml");
    let rule = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"{host}\"\nport = {port}\nmethods = [\"POST\"]\npaths = [\"/**\"]\nprivate-network = true\n"
    );
    fs::write(&grants, rule).unwrap();
    // In the middle between now and an hour from now: only a jump gets there.
    let minute = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60;
    let hourly = format!("schedule: {{ cron: '{} * * * *' }}\n", (minute + 30) % 60);
    for (name, more, tasks) in [
        ("long", "", "- pause: { wait: { minutes: 30 } }\n"),
        ("short", "", "- pause: { wait: { seconds: 3 } }\n"),
        ("across", "", "- pause: { wait: { minutes: 1 } }\n"),
        ("beat", "schedule: { every: { seconds: 2 } }\n", ""),
        ("hourly", &hourly, ""),
    ] {
        server.ok(&["flow", "grant", &format!("clock/{name}"), grants.to_str().unwrap(), "--yes"]);
        server.deploy(name, &flow(name, more, tasks, counter));
    }
}

/// The clock that the host sees: the machine's, set by so many seconds.
struct Clock(PathBuf);

impl Clock {
    fn set(&self, seconds: i64) {
        // Whole or not at all: it is read at any moment.
        let next = self.0.with_extension("next");
        fs::write(&next, format!("{seconds:+}s\n")).unwrap();
        fs::rename(next, &self.0).unwrap();
    }
}

fn count(counter: &Counter, path: &str) -> usize {
    counter.received().iter().filter(|request| request.path == path).count()
}

fn wait_until(what: &str, there: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < deadline, "{what} did not come in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn start(server: &Server, flow: &str, n: usize) -> String {
    let response = server
        .api("POST", &format!("/api/v1/flows/clock/{flow}/runs"))
        .json(&json!({ "n": n }))
        .send()
        .unwrap();
    assert_eq!(response.status(), 202);
    response.json::<Value>().unwrap()["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_clock_that_jumps_an_hour_loses_nothing_and_repeats_nothing() {
    let test = "a_clock_that_jumps_an_hour";
    let (Some(dist), Some(library)) = (dist(test), server_variable(test, "FAKETIME_LIBRARY")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock(folder.path().join("clock"));
    clock.set(0);
    let envs = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.0.to_str().unwrap()),
        ("FAKETIME_CACHE_DURATION", "1"),
        // What counts real time goes on doing so, as when a clock is set.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let counter = Counter::start(Duration::from_millis(1));
    let mut server = Server::with_config(&dist, "", &envs);
    deploy(&server, &counter);
    let token = server.json(&["token", "create", "half-an-hour", "--role", "auditor", "--expires", "30m"]);
    let token = token["token"].as_str().unwrap().to_owned();
    let welcome = |server: &Server| {
        let url = format!("{}/api/v1/status", server.address());
        server.http.get(url).bearer_auth(&token).send().unwrap().status().as_u16()
    };
    let long: BTreeSet<String> = (0..5).map(|n| start(&server, "long", n)).collect();
    wait_until("a beat", || count(&counter, "/beat") >= 2);
    assert_eq!((welcome(&server), count(&counter, "/long"), count(&counter, "/hourly")), (200, 0, 0));

    // Forward: what was due in the hour that never was comes now, once each; a rhythm does not make up for 1800 beats.
    let beats = count(&counter, "/beat");
    clock.set(3_600);
    wait_until("what was due", || count(&counter, "/long") == 5);
    wait_until("the hourly start", || count(&counter, "/hourly") >= 1);
    wait_until("the next beat", || count(&counter, "/beat") > beats + 1);
    let more = count(&counter, "/beat") - beats;
    assert!(more < 15, "{more} beats");
    assert_eq!(count(&counter, "/hourly"), 1, "one moment, one start");
    wait_until("that the token's time is over", || welcome(&server) == 401);
    wait_until("a word in the log", || server.log().contains("clock was set forward"));

    // A run that waits while the clock is set back goes on waiting, and is not lost.
    let across = start(&server, "across", 7);
    wait_until("that it waits", || server.json(&["run", "show", &across])["state"] == "waiting");
    clock.set(0);
    wait_until("a word in the log", || server.log().contains("clock was set back"));
    let beats = count(&counter, "/beat");
    let begun = Instant::now();
    let short: Vec<String> = (0..3).map(|n| start(&server, "short", n)).collect();
    wait_until("what started after it", || count(&counter, "/short") >= 3);
    assert!(begun.elapsed() >= Duration::from_secs(3), "no sooner than it should");
    wait_until("beats in their rhythm", || count(&counter, "/beat") >= beats + 3);
    assert_eq!(welcome(&server), 200, "by the clock on the wall it is valid again");
    assert_eq!(count(&counter, "/hourly"), 1, "the same moment starts nothing again");
    assert_eq!(count(&counter, "/long"), 5);
    assert_eq!(server.json(&["run", "show", &across])["state"], "waiting");

    // The same with a kill in between; then the clock is right again.
    server.kill();
    counter.next_generation();
    server.restart();
    assert_eq!(server.json(&["run", "show", &across])["state"], "waiting");
    clock.set(3_700);
    wait_until("the one that waited", || count(&counter, "/across") == 1);
    server.audit_holds();
    let runs = server.all_runs();
    let ids: BTreeSet<&str> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), runs.len(), "no identifier twice");
    for id in long.iter().chain(&short).chain([&across]) {
        wait_until("its end", || server.json(&["run", "show", id])["state"] == "completed");
    }
    let mut keys = BTreeSet::new();
    for request in counter.received().iter().filter(|request| request.path != "/beat") {
        assert!(keys.insert(request.key.clone()), "{} twice", request.path);
    }
    let entries = server.api("GET", "/api/v1/audit?action=clock.set&limit=100").send().unwrap();
    let entries: Value = entries.json().unwrap();
    assert!(entries["records"].as_array().unwrap().len() >= 2, "{entries}");
}

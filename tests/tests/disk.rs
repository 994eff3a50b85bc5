//! A disk that is full, and one that can only be read: refused in words, nothing acknowledged is lost, and it goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use factotum_tests::{Counter, PATIENCE, Server, SmallDisk, dist, problem};
use serde_json::{Value, json};

/// Between a run's two requests, in seconds: long enough to fill a disk in.
const PAUSE: u64 = 12;
/// After this time, every pause that had begun is over.
const LATER: Duration = Duration::from_secs(PAUSE + 2);

/// A request, a pause, another request; a webhook starts it as well.
fn deploy(server: &Server, counter: &Counter) {
    let (host, port) = counter.address().split_once(':').unwrap();
    let grants = server.data().join("disk.toml");
    fs::write(&grants, format!(
        "[[http]]\nscheme = \"http\"\nhost = \"{host}\"\nport = {port}\nmethods = [\"POST\"]\npaths = [\"/**\"]\nprivate-network = true\n"
    )).unwrap();
    let request = |task: &str| {
        format!(
            "- {task}: {{ call: http, with: {{ method: post, endpoint: 'http://{}/{task}', body: {{ n: '${{ $workflow.input.n }}' }} }} }}\n",
            counter.address()
        )
    };
    server.ok(&["flow", "grant", "disk/steps", grants.to_str().unwrap(), "--yes"]);
    server.deploy("steps", &format!(
        "document: {{ dsl: '1.0.3', namespace: disk, name: steps, version: '1.0.0', metadata: {{ trigger: {{ webhook: {{ auth: none, reply: async }} }} }} }}\ndo:\n{}- pause: {{ wait: {{ seconds: {PAUSE} }} }}\n{}",
        request("first"), request("second")
    ));
}

fn start(server: &Server, input: &Value) -> Result<String, u16> {
    let response = server.api("POST", "/api/v1/flows/disk/steps/runs").json(input).send().unwrap();
    match response.status().as_u16() {
        202 => Ok(response.json::<Value>().unwrap()["run_id"].as_str().unwrap().to_owned()),
        status => Err(status),
    }
}

fn is_ready(server: &Server) -> bool {
    match server.http.get(format!("{}/readyz", server.address())).send().unwrap().status().as_u16() {
        200 => true,
        503 => false,
        other => panic!("readyz answers {other}"),
    }
}

fn count(counter: &Counter, path: &str) -> usize {
    counter.received().iter().filter(|request| request.path == path).count()
}

fn wait_until(what: &str, there: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every acknowledged run is there and completed.
fn all_completed(server: &Server, acknowledged: &BTreeSet<String>) {
    let runs = server.settle(PATIENCE);
    let completed: BTreeSet<String> = runs
        .iter()
        .filter(|run| run["state"] == "completed")
        .map(|run| run["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = acknowledged.difference(&completed).collect();
    assert!(lost.is_empty(), "acknowledged and not completed: {lost:?} of {runs:?}");
    server.audit_holds();
}

#[test]
fn a_disk_that_fills_up_takes_no_new_work_and_goes_on_when_there_is_room() {
    let test = "a_disk_that_fills_up";
    let (Some(dist), Some(disk)) = (dist(test), SmallDisk::of(test, 160)) else { return };
    let counter = Counter::start(Duration::from_millis(5));
    let mut server =
        Server::at(&dist, Some(&disk.path().join("data")), "[limits]\nmin-free-bytes = 16777216\n", &[]);
    deploy(&server, &counter);
    let mut acknowledged: BTreeSet<String> =
        (0..5).map(|n| start(&server, &json!({ "n": n })).unwrap()).collect();
    wait_until("the first request of each run", || count(&counter, "/first") == 5);

    // Nearly full: what is new is refused in words, and what is under way stands still before its next effect.
    disk.fill(10 << 20);
    wait_until("that it takes nothing", || !is_ready(&server));
    let refused =
        server.api("POST", "/api/v1/flows/disk/steps/runs").json(&json!({ "n": 9 })).send().unwrap();
    assert_eq!(refused.headers()["retry-after"], "30");
    let told = problem(refused, 507);
    assert_eq!(told["code"], "insufficient-storage", "{told}");
    assert!(told["hint"].as_str().unwrap().contains("make room"), "{told}");
    problem(server.hook("disk/steps", &json!({ "n": 9 })), 507);
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/t", "type": "t" });
    let event =
        server.api("POST", "/events").header("content-type", "application/cloudevents+json").json(&event);
    problem(event.send().unwrap(), 507);
    assert!(!is_ready(&server));
    let status: Value = server.api("GET", "/api/v1/status").send().unwrap().json().unwrap();
    assert!(status["reason"].as_str().unwrap().contains("nearly full"), "{status}");
    assert_eq!(server.all_runs().len(), 5, "reading goes on");
    std::thread::sleep(LATER);
    assert_eq!(count(&counter, "/second"), 0, "runs stand still");
    assert!(server.log().contains("the disk is nearly full"), "{}", server.log());

    disk.empty();
    wait_until("the second request of each run", || count(&counter, "/second") == 5);
    acknowledged.insert(start(&server, &json!({ "n": 10 })).unwrap());
    all_completed(&server, &acknowledged);

    // Filled up by others to the last byte, and then killed.
    acknowledged.extend((11..14).map(|n| start(&server, &json!({ "n": n })).unwrap()));
    wait_until("the first request of each run", || count(&counter, "/first") == 9);
    disk.fill(0);
    wait_until("that it takes nothing", || !is_ready(&server));
    assert_eq!(start(&server, &json!({ "n": 20 })), Err(507));
    let cancel = format!("/api/v1/runs/{}/cancel", acknowledged.first().unwrap());
    problem(server.api("POST", &cancel).json(&json!({})).send().unwrap(), 507);
    server.kill();
    server.launch();
    if let Some(status) = server.ended(Duration::from_secs(20)) {
        assert!(!status.success());
        assert!(server.log().contains("No space left on device"), "{}", server.log());
    } else {
        server.kill();
    }
    disk.empty();
    server.restart();
    acknowledged.insert(start(&server, &json!({ "n": 30 })).unwrap());
    all_completed(&server, &acknowledged);
    assert_eq!(count(&counter, "/second"), acknowledged.len());
}

#[test]
fn a_full_disk_that_nothing_was_kept_free_on_ends_in_words_and_loses_nothing() {
    let test = "a_full_disk_that_nothing_was_kept_free_on";
    let (Some(dist), Some(disk)) = (dist(test), SmallDisk::of(test, 160)) else { return };
    let counter = Counter::start(Duration::from_millis(5));
    let mut server =
        Server::at(&dist, Some(&disk.path().join("data")), "[limits]\nmin-free-bytes = 0\n", &[]);
    deploy(&server, &counter);
    disk.fill(30 << 20);
    let mut acknowledged = BTreeSet::new();
    let big = "x".repeat(300_000);
    let mut told = None;
    for n in 0..1_000 {
        let request = server.api("POST", "/api/v1/flows/disk/steps/runs");
        // The host may end, when its engine waits for itself.
        let Ok(response) = request.json(&json!({ "n": n, "more": big })).send() else { break };
        if response.status() != 202 {
            told = Some(problem(response, 503));
            break;
        }
        let started: Value = response.json().unwrap();
        acknowledged.insert(started["run_id"].as_str().unwrap().to_owned());
    }
    assert!(acknowledged.len() > 5 && acknowledged.len() < 900, "{}", acknowledged.len());
    match told {
        Some(told) => {
            assert!(told["detail"].as_str().unwrap().contains("free disk space"), "{told}");
            assert!(!is_ready(&server));
            server.kill();
        }
        None => {
            let status = server.ended(PATIENCE).expect("it ended");
            assert_eq!(status.code(), Some(74));
            assert!(server.log().contains("Look for a full"), "{}", server.log());
        }
    }
    disk.empty();
    server.restart();
    all_completed(&server, &acknowledged);
}

#[test]
fn a_disk_that_can_only_be_read_is_told_and_nothing_is_acknowledged() {
    let test = "a_disk_that_can_only_be_read";
    let (Some(dist), Some(disk)) = (dist(test), SmallDisk::of(test, 160)) else { return };
    let counter = Counter::start(Duration::from_millis(5));
    let data = disk.path().join("data");
    let mut server = Server::at(&dist, Some(&data), "[limits]\nmin-free-bytes = 1048576\n", &[]);
    deploy(&server, &counter);
    let acknowledged: BTreeSet<String> =
        (0..5).map(|n| start(&server, &json!({ "n": n })).unwrap()).collect();
    wait_until("the first request of each run", || count(&counter, "/first") == 5);
    std::thread::sleep(Duration::from_millis(500));

    disk.fail();
    for n in 9..12 {
        assert_eq!(start(&server, &json!({ "n": n })), Err(503));
    }
    let refused =
        server.api("POST", "/api/v1/flows/disk/steps/runs").json(&json!({ "n": 12 })).send().unwrap();
    let told = problem(refused, 503);
    assert_eq!(told["code"], "store-failed", "{told}");
    assert!(told["detail"].as_str().unwrap().contains("Read-only file system"), "{told}");
    assert!(!is_ready(&server));
    let readable: BTreeSet<String> =
        server.all_runs().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    assert!(acknowledged.is_subset(&readable), "what is there can be read");
    // The pauses end meanwhile: nothing is done that could not be written down, and nothing spins.
    let before = processor_time(server.pid());
    std::thread::sleep(LATER);
    let spent = processor_time(server.pid()) - before;
    assert!(spent < Duration::from_secs(2), "{spent:?} of processor time in {LATER:?} of nothing to do");
    assert!(server.log().len() < 1 << 20, "it fills its log");
    let seconds = count(&counter, "/second");
    assert_eq!(seconds, 0, "an effect that cannot be written down");
    server.kill();

    disk.mount_again(true);
    server.launch();
    let status = server.ended(PATIENCE).expect("it does not start on a disk that can only be read");
    assert_eq!(status.code(), Some(1));
    let log = server.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("Read-only file system") && last.contains(data.to_str().unwrap()), "{last}");

    disk.mount_again(false);
    server.restart();
    all_completed(&server, &acknowledged);
    assert_eq!(count(&counter, "/second"), 5);
}

/// The processor time that a process has used: user and system, in ticks of 10 ms.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

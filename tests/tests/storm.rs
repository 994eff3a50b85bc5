//! A storm of `kill -9` under load from 32 clients, over flows with requests, timers, events and compensation, against a
//! server that counts. Nothing acknowledged is lost; nothing journalled is done again; what was in flight is repeated under
//! the same idempotency key, and only after a kill; the audit chain holds; memory and disk stay bounded.
//!
//! `cargo xtask storm` runs it; `FACTOTUM_KILLS` says how often it kills (200 there, else 8).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // test code

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use factotum_tests::{Counter, Received, Server, dist};
use rand::RngExt;
use serde_json::{Value, json};

const CLIENTS: usize = 32;
/// Requests are answered within this, so that kills find some under way.
const DELAY: Duration = Duration::from_millis(20);
/// The flows, and the state that their runs end in.
const FLOWS: [(&str, &str); 3] = [("timers", "completed"), ("listens", "completed"), ("undone", "faulted")];
/// The most memory that the host may take, in MiB, and the most that the data folder may grow by for one run, in KiB.
const MAX_MEMORY: u64 = 512;
const MAX_PER_RUN: u64 = 64;

fn flow(name: &str, counter: &str) -> String {
    let request = |task: &str, more: &str| {
        format!(
            "- {task}:\n    call: http\n    with: {{ method: post, endpoint: 'http://{counter}/{task}', body: {{ n: '${{ $workflow.input.n }}' }} }}\n{more}"
        )
    };
    // What was done is taken back by a mail.
    let undo = |task: &str| {
        format!(
            "    metadata:\n      compensate:\n        call: mail/send\n        with:\n          letter: {{ template: acknowledge-case, language: en, data: '${{ {{ case_id: \"c-\\($workflow.input.n)\", name: \"Jane\", category: \"order\", priority: \"normal\", order_numbers: [], subject: \"refused\" }} | tojson }}' }}\n          delivery: {{ to: '${{ \"undo-{task}-\\($workflow.input.n)@example.com\" }}' }}\n"
        )
    };
    let tasks = match name {
        "timers" => {
            format!(
                "{}- pause: {{ wait: {{ milliseconds: 2500 }} }}\n{}",
                request("first", ""),
                request("second", "")
            )
        }
        "listens" => format!(
            "{}- answer:\n    listen:\n      to:\n        one:\n          with: {{ type: com.example.answer, data: '${{ .n == $workflow.input.n }}' }}\n{}",
            request("first", ""),
            request("second", "")
        ),
        _ => format!(
            "{}{}- fail: {{ raise: {{ error: {{ type: 'https://example.com/refused', status: 409, title: Refused }} }} }}\n",
            request("first", &undo("first")),
            request("second", &undo("second"))
        ),
    };
    format!("document: {{ dsl: '1.0.3', namespace: storm, name: {name}, version: '1.0.0' }}\ndo:\n{tasks}")
}

fn deploy(server: &Server, counter: &Counter) {
    let (host, port) = counter.address().split_once(':').unwrap();
    let grants = server.data().join("storm.toml");
    let rule = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"{host}\"\nport = {port}\nmethods = [\"POST\"]\npaths = [\"/**\"]\nprivate-network = true\n"
    );
    fs::write(&grants, rule).unwrap();
    server.install("mail", "config = true\n[mail]\nrecipients = [\"*\"]");
    for (name, _) in FLOWS {
        server.ok(&["flow", "grant", &format!("storm/{name}"), grants.to_str().unwrap(), "--yes"]);
        server.deploy(name, &flow(name, counter.address()));
    }
}

/// Acknowledged runs: their flow and number, by identifier.
type Acknowledged = BTreeMap<String, (&'static str, usize)>;

#[test]
#[ignore = "takes minutes: cargo xtask storm"]
fn a_storm_of_kills_loses_nothing_and_repeats_nothing_journalled() {
    let Some(dist) = dist("a_storm_of_kills_loses_nothing_and_repeats_nothing_journalled") else { return };
    let kills: u32 = std::env::var("FACTOTUM_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let counter = Counter::start(DELAY);
    let mut server = Server::start(&dist);
    deploy(&server, &counter);
    let at_first = folder_kib(&server.data());
    let acknowledged = Mutex::new(Acknowledged::new());
    let number = AtomicUsize::new(0);
    let mut most_memory = 0;
    let begun = Instant::now();
    for _ in 0..kills {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        post(&server, &number, &acknowledged);
                    }
                });
            }
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    answer_the_waiting(&server);
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            std::thread::sleep(Duration::from_millis(rand::rng().random_range(50..700)));
            most_memory = most_memory.max(memory_mib(server.pid()));
            let killed = Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap();
            assert!(killed.success());
            stop.store(true, Ordering::Relaxed);
        });
        server.reap();
        counter.next_generation();
        server.restart();
    }
    let runs = settle(&server);
    let stormed = begun.elapsed();
    let acknowledged = acknowledged.into_inner().unwrap();
    let ended: HashMap<&str, &Value> = runs.iter().map(|run| (run["id"].as_str().unwrap(), run)).collect();
    assert!(
        acknowledged.len() > 100,
        "only {} were acknowledged; the test shows nothing",
        acknowledged.len()
    );
    for (id, (flow, n)) in &acknowledged {
        let run = ended.get(id.as_str()).unwrap_or_else(|| panic!("{flow} {n} was acknowledged and is lost"));
        let expected = FLOWS.iter().find(|(name, _)| name == flow).unwrap().1;
        assert_eq!(run["state"], expected, "{flow} {n}: {run}");
    }
    let repeated = check(&counter.received(), acknowledged.values());
    check_mails(&server.outbox(), &runs, acknowledged.values());
    most_memory = most_memory.max(memory_mib(server.pid()));
    assert!(most_memory < MAX_MEMORY, "{most_memory} MiB of memory");
    let grown = folder_kib(&server.data()) - at_first;
    let per_run = grown / u64::try_from(runs.len()).unwrap();
    assert!(per_run < MAX_PER_RUN, "{grown} KiB of disk for {} runs", runs.len());
    let report = server.audit_holds();
    println!(
        "{kills} kills in {stormed:?}: {} acknowledged, {} runs, {} requests, {repeated} of them repeated under their key, \
         {most_memory} MiB of memory at most, {per_run} KiB of disk for a run, {report}",
        acknowledged.len(),
        runs.len(),
        counter.received().len(),
    );
}

fn post(server: &Server, number: &AtomicUsize, acknowledged: &Mutex<Acknowledged>) {
    let n = number.fetch_add(1, Ordering::Relaxed);
    let flow = FLOWS[n % FLOWS.len()].0;
    // 202 comes back as soon as the input is on disk.
    let sent =
        server.api("POST", &format!("/api/v1/flows/storm/{flow}/runs")).json(&json!({ "n": n })).send();
    if let Ok(response) = sent
        && response.status() == 202
        && let Ok(started) = response.json::<Value>()
    {
        let id = started["run_id"].as_str().unwrap().to_owned();
        acknowledged.lock().unwrap().insert(id, (flow, n));
    }
}

/// Sends each run that listens its answer. One that is sent twice, or while the host dies, does no harm.
fn answer_the_waiting(server: &Server) -> Option<usize> {
    let page = server.api("GET", "/api/v1/runs?flow=storm/listens&state=waiting&limit=100").send().ok()?;
    let page: Value = page.json().ok()?;
    let runs = page["runs"].as_array()?.clone();
    for run in &runs {
        let id = run["id"].as_str()?;
        let shown: Value = server.api("GET", &format!("/api/v1/runs/{id}")).send().ok()?.json().ok()?;
        let event = json!({
            "specversion": "1.0", "id": format!("answer-{id}-{}", rand::rng().random_range(0..u32::MAX)),
            "source": "/storm", "type": "com.example.answer", "data": { "n": shown["input"]["n"] },
        });
        let sent = server.api("POST", "/events").json(&event);
        let sent = sent.header("content-type", "application/cloudevents+json").send().ok()?;
        assert!(sent.status().is_success(), "{} {:?}", sent.status(), sent.text());
    }
    Some(runs.len())
}

/// Waits until every run is over, and answers those that listen meanwhile.
fn settle(server: &Server) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        answer_the_waiting(server);
        let runs = server.all_runs();
        if runs.iter().all(|run| run["state"] != "running" && run["state"] != "waiting") {
            return runs;
        }
        let left: Vec<_> =
            runs.iter().filter(|run| run["state"] == "waiting" || run["state"] == "running").collect();
        assert!(
            Instant::now() < deadline,
            "{} runs are still under way, such as {:?}",
            left.len(),
            left.first()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What the counting server saw. Returns how many requests were repetitions.
fn check<'a>(received: &[Received], acknowledged: impl Iterator<Item = &'a (&'static str, usize)>) -> usize {
    let mut by_number: BTreeMap<u64, Vec<&Received>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut keys: HashMap<&str, (&str, u64)> = HashMap::new();
    for request in received {
        let n = request.body["n"].as_u64().expect("every request names its run");
        let key = request.key.as_deref().expect("every request has an idempotency key");
        assert!(seen.insert((request.generation, key)), "{} for {n} came twice without a kill", request.path);
        let whose = *keys.entry(key).or_insert((&request.path, n));
        assert_eq!(whose, (request.path.as_str(), n), "two effects have one key");
        by_number.entry(n).or_default().push(request);
    }
    for requests in by_number.values() {
        // An effect that follows another was not sent before the other was journalled: after it, never again the other.
        let order = ["/first", "/second"];
        let places = requests.iter().map(|r| order.iter().position(|path| *path == r.path).unwrap());
        assert!(places.is_sorted(), "something journalled was done again: {requests:?}");
        for path in order {
            let keys: BTreeSet<_> = requests.iter().filter(|r| r.path == path).map(|r| &r.key).collect();
            assert!(keys.len() <= 1, "{path} was repeated under another key: {requests:?}");
        }
    }
    for (flow, n) in acknowledged {
        let paths: BTreeSet<&str> =
            by_number.get(&(*n as u64)).into_iter().flatten().map(|r| r.path.as_str()).collect();
        assert!(paths.iter().eq(&["/first", "/second"]), "{flow} {n} did {paths:?}");
    }
    received.len() - keys.len()
}

/// Whatever a failed run had done was taken back, once each; and nothing else.
fn check_mails<'a>(
    mails: &[String],
    runs: &[Value],
    acknowledged: impl Iterator<Item = &'a (&'static str, usize)>,
) {
    let mut to: Vec<&str> = mails
        .iter()
        .filter_map(|mail| mail.lines().find_map(|line| line.strip_prefix("To: ")))
        .map(|to| to.trim_matches(['<', '>']))
        .collect();
    to.sort_unstable();
    let all = to.len();
    to.dedup();
    assert_eq!(to.len(), all, "something was taken back twice");
    for (_, n) in acknowledged.filter(|(flow, _)| *flow == "undone") {
        for task in ["first", "second"] {
            let wanted = format!("undo-{task}-{n}@example.com");
            assert!(to.binary_search(&wanted.as_str()).is_ok(), "{wanted} is missing");
        }
    }
    let undone = runs.iter().filter(|run| run["flow"] == "storm/undone").count();
    assert_eq!(all, 2 * undone, "mails of {undone} runs that were undone");
}

fn memory_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn folder_kib(folder: &Path) -> u64 {
    let mut kib = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        kib += if metadata.is_dir() { folder_kib(&entry.path()) } else { metadata.len() / 1024 };
    }
    kib
}

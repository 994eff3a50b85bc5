//! A storm of `kill -9` under load from 32 clients, over flows with requests, timers, events, questions to people,
//! branches, sub-flows, mails and compensation, against an HTTP server that counts and a real mail server. Nothing
//! acknowledged is lost; nothing journalled is done again; what was in flight is repeated under the same key, and only
//! after a kill; the audit chain holds; memory and disk stay bounded.
//!
//! `cargo xtask storm` runs it with 200 kills (`FACTOTUM_KILLS`); a short one is among the ordinary tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // test code

mod checks;
mod clients;
mod flows;
mod measure;
mod post;

use std::{
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use clients::Promised;
use factotum_tests::{Counter, Server, dist};
use post::Post;
use rand::RngExt;
use serde_json::Value;

const CLIENTS: usize = 32;
/// Requests are answered within this, so that kills find some under way.
const DELAY: Duration = Duration::from_millis(20);
/// The longest a client thinks between two messages; ten times that while the host is behind, which is killed again before
/// it has caught up.
const THINK: Duration = Duration::from_millis(300);
const MOST_UNFINISHED: usize = 400;
/// The most memory that the host may take, in MiB. It holds the store's cache of 64 MiB, the linked plugins, and what
/// 256 runs under way need.
const MAX_MEMORY: u64 = 512;
/// The most that the store may grow by for one run, in KiB: a journal of some ten records, their audit entries, and the
/// copies of pages that the log holds until it is cleaned.
const MAX_PER_RUN: u64 = 64;
/// What the store's log takes, however many runs there are, in KiB: the segment that is written, the one before it, and the
/// one that is ready.
const LOG: u64 = 3 * 8 * 1024;
/// Every so many kills one comes while the host starts, one late, and one is followed by a look at everything.
const EARLY: usize = 4;
const LATE: usize = 20;

#[test]
fn a_short_storm_of_kills_loses_nothing_and_repeats_nothing_journalled() {
    storm("a_short_storm_of_kills", 5);
}

#[test]
#[ignore = "takes many minutes: cargo xtask storm"]
fn a_storm_of_kills_loses_nothing_and_repeats_nothing_journalled() {
    storm("a_storm_of_kills", std::env::var("FACTOTUM_KILLS").map_or(200, |kills| kills.parse().unwrap()));
}

fn storm(test: &str, kills: usize) {
    let (Some(dist), Some(post)) = (dist(test), Post::find(test)) else { return };
    let counter = Counter::start(DELAY);
    let (config, (name, password)) = post.config();
    let mut server = Server::with_config(&dist, &config, &[(name, &password)]);
    flows::deploy(&server, &counter, post.domain());
    let store = server.data().join("store");
    let at_first = measure::folder_kib(&store);
    let promised = Promised::default();
    let most_memory = AtomicU64::new(0);
    let mut recovered = Vec::new();
    let begun = Instant::now();
    for kill in 1..=kills {
        let behind = unfinished(&server) > MOST_UNFINISHED;
        // The last one is late too: a short storm on a slow machine shows something as well.
        let late = kill.is_multiple_of(LATE) || kill == kills;
        let (think, life) = match (late, behind) {
            (true, _) => (THINK, 3_000..5_000),
            (_, true) => (10 * THINK, 300..2_000),
            _ => (THINK, 50..700),
        };
        let life = Duration::from_millis(rand::rng().random_range(life));
        load(&server, &promised, &most_memory, think, life);
        server.reap();
        counter.next_generation();
        if kill.is_multiple_of(EARLY) && kill < kills {
            // While it takes up what the one before left.
            server.launch();
            std::thread::sleep(Duration::from_millis(rand::rng().random_range(1..400)));
            server.kill();
            counter.next_generation();
        }
        let down = Instant::now();
        server.restart();
        recovered.push(down.elapsed());
        if kill.is_multiple_of((kills / 10).max(1)) {
            server.audit_holds();
            println!(
                "{kill} kills, {} runs acknowledged, {} requests, store {} MiB, memory {:?} MiB, back after {:.0?}",
                promised.runs.lock().unwrap().len(),
                counter.received().len(),
                measure::folder_kib(&store) / 1024,
                measure::memory_mib(server.pid()),
                recovered.last().unwrap(),
            );
        }
    }
    let stormed = begun.elapsed();
    let runs = checks::settle(&server, &promised);
    let settled = begun.elapsed() - stormed;
    let kills = kills + (kills - 1) / EARLY;
    checks::runs(&runs, &promised);
    let received = counter.received();
    let repeated = checks::requests(&received, &promised);
    checks::no_effect_without_its_run(&runs, &received, &promised);
    let answers = checks::questions(&server, &runs, &received, &promised);
    let (mails, mails_again) = checks::mails(&post, &runs, kills);
    checks::promised_mails(&post, &promised);
    let report = server.audit_holds();
    let memory = most_memory.into_inner().max(measure::memory_mib(server.pid()).unwrap());
    let grown = measure::folder_kib(&store).saturating_sub(at_first).saturating_sub(LOG);
    let per_run = grown / u64::try_from(runs.len()).unwrap();
    println!(
        "{kills} kills in {stormed:.0?}, everything over {settled:.0?} later\n\
         runs          {} acknowledged of {}; none lost\n\
         webhooks      {} messages sent again; each one run\n\
         requests      {}; {repeated} of them repeated after a kill, under the same key\n\
         mails         {mails}; {mails_again} came again, with the same Message-ID\n\
         questions     {answers} answers acknowledged; none lost, none twice\n\
         back after    {}\n\
         memory        {memory} MiB at most\n\
         disk          {per_run} KiB for a run\n\
         audit         {} entries hold",
        promised.runs.lock().unwrap().len(),
        runs.len(),
        promised.sent_again.load(Ordering::Relaxed),
        received.len(),
        measure::spread(&mut recovered),
        report["entries"],
    );
    assert!(memory < MAX_MEMORY, "{memory} MiB of memory");
    assert!(per_run < MAX_PER_RUN, "{per_run} KiB of disk for a run");
}

/// How many runs are under way, up to a thousand.
fn unfinished(server: &Server) -> usize {
    let count = |state: &str| {
        let path = format!("/api/v1/runs?state={state}&limit=500");
        let page: Value = server.api("GET", &path).send().unwrap().json().unwrap();
        page["runs"].as_array().unwrap().len()
    };
    count("running") + count("waiting")
}

/// Lets all clients at the host, and kills it after `life`.
fn load(server: &Server, promised: &Promised, most_memory: &AtomicU64, think: Duration, life: Duration) {
    let stop = AtomicBool::new(false);
    let going_on = || !stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while going_on() {
                    promised.post(server, think);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while going_on() {
                    promised.decide(server);
                    std::thread::sleep(Duration::from_millis(rand::rng().random_range(20..200)));
                }
            });
        }
        scope.spawn(|| {
            while going_on() {
                clients::send_events(server);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        scope.spawn(|| {
            while going_on() {
                most_memory.fetch_max(measure::memory_mib(server.pid()).unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        std::thread::sleep(life);
        let killed = Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(killed.success());
    });
}

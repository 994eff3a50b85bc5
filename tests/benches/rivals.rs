//! The same flow and the same webhook on Factotum, Restate, Node-RED and n8n: same clients, same machine, one run; prints
//! ratios. `tests/rivals/README.md` says what each runs and keeps.
//!
//! Each runs alone, for a round of all the work; then the next. There are some rounds, so that what a machine that is shared
//! has of slow minutes meets all alike, and of each piece of work the round in the middle counts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs)] // a bench: whatever goes wrong ends it

mod load;
mod rival;

use std::time::Duration;

use factotum_tests::Server;
use load::{Seen, Times, load};
use rival::{Rival, n8n, node_red, restate};

const TIMES: Times = Times { warm_up: Duration::from_secs(1), measure: Duration::from_secs(4) };
const ROUNDS: usize = 3;
/// What is measured: its name and the message.
const WORK: [(&str, &str); 2] = [
    ("three", r#"{"text":"My order ORD-{n} has not arrived"}"#),
    ("reply", r#"{"name":"jane","text":"My order ORD-{n} has not arrived"}"#),
];
const CLIENTS: [usize; 3] = [1, 16, 64];

/// What makes the systems warm, before their first piece of work.
const WARM_UP: Times = Times { warm_up: Duration::from_secs(2), measure: Duration::from_secs(1) };

/// A system that runs: where it answers a piece of work.
trait Running {
    fn url(&self, work: &str) -> String;
    /// After its last piece of work.
    fn check(&self) {}
}

impl Running for Rival {
    fn url(&self, work: &str) -> String {
        Rival::url(self, work)
    }
}

impl Running for Server {
    fn url(&self, work: &str) -> String {
        format!("{}/hooks/bench/{work}", self.address())
    }

    fn check(&self) {
        self.audit_holds();
    }
}

/// A system under test: its name, and how it is started.
struct System {
    name: &'static str,
    start: Box<dyn Fn() -> Result<Box<dyn Running>, String>>,
}

fn systems() -> Option<Vec<System>> {
    let dist = factotum_tests::dist("compare")?;
    let guest = factotum_tests::guest("compare", "guest_light")?;
    let ours = |name, durability: &'static str| {
        let (dist, guest) = (dist.clone(), guest.clone());
        let start = Box::new(move || Ok(Box::new(factotum(&dist, &guest, durability)) as Box<dyn Running>));
        System { name, start }
    };
    let rival = |name, start: fn() -> Result<Rival, String>| System {
        name,
        start: Box::new(move || Ok(Box::new(start()?) as Box<dyn Running>)),
    };
    // Ratios are taken from the first: it is the default.
    Some(vec![
        ours("Factotum (disk)", "disk"),
        rival("Restate", restate),
        ours("Factotum (system)", "system"),
        rival("Node-RED", node_red),
        rival("n8n", n8n),
    ])
}

fn main() {
    let Some(mut systems) = systems() else { return };
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted =
        |name: &str| name.starts_with("Factotum") || only.iter().any(|o| o.eq_ignore_ascii_case(name));
    systems.retain(|system| only.is_empty() || wanted(system.name));
    let cells: Vec<_> =
        WORK.iter().flat_map(|work| CLIENTS.map(|clients| (work.0, work.1, clients))).collect();
    // By system and cell, a figure for each round.
    let mut seen = vec![vec![Vec::new(); cells.len()]; systems.len()];
    for round in 1..=ROUNDS {
        for (system, seen) in systems.iter().zip(&mut seen) {
            // What the one before left to be written is not to be this one's load.
            let _ = std::process::Command::new("sync").status();
            let running = match (system.start)() {
                Ok(running) => running,
                Err(why) => {
                    println!("skipped: {}: {why}", system.name);
                    continue;
                }
            };
            measure(&*running, WORK[0].0, WORK[0].1, CLIENTS[2], WARM_UP);
            for ((work, body, clients), seen) in cells.iter().zip(seen) {
                seen.push(measure(&*running, work, body, *clients, TIMES));
            }
            running.check();
            println!("round {round}: {}", system.name);
        }
    }
    let middle: Vec<Vec<Option<Seen>>> =
        seen.into_iter().map(|cells| cells.into_iter().map(middle).collect()).collect();
    for (cell, (work, _, clients)) in cells.iter().enumerate() {
        for (system, seen) in systems.iter().zip(&middle) {
            let Some(seen) = seen[cell] else { continue };
            println!(
                "{:<18} {work:<6} {clients:3} clients  {:8.0}/s   median {:8.2} ms   p99 {:8.2} ms   of {:6}",
                system.name, seen.rate, seen.median, seen.p99, seen.requests
            );
        }
    }
    println!();
    for (system, seen) in
        systems.iter().zip(&middle).filter(|(system, _)| !system.name.starts_with("Factotum"))
    {
        for (cell, (work, _, clients)) in cells.iter().enumerate() {
            let (Some(ours), Some(other)) = (middle[0][cell], seen[cell]) else { continue };
            println!(
                "{} beside {:<9} {work:<6} {clients:3} clients: throughput x {:6.2}, median latency x {:5.2}",
                systems[0].name,
                system.name,
                ours.rate / other.rate,
                ours.median / other.median
            );
        }
    }
}

fn measure(running: &dyn Running, work: &str, body: &'static str, clients: usize, times: Times) -> Seen {
    let url = running.url(work);
    let slash = url.find("://").map_or(0, |at| at + 3);
    let (host, path) = url.split_at(url[slash..].find('/').map_or(url.len(), |at| at + slash));
    load(host, path, body, clients, times)
}

/// The round in the middle, by throughput.
fn middle(mut rounds: Vec<Seen>) -> Option<Seen> {
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    rounds.get(rounds.len() / 2).copied()
}

fn factotum(dist: &std::path::Path, guest: &str, durability: &str) -> Server {
    let server = Server::with_config(dist, &format!("durability = {durability:?}\n"), &[]);
    server.ok(&["plugin", "add", guest, "--as", "light", "--version", "1.0.0"]);
    let head = |name: &str| {
        format!(
            "document:\n  dsl: '1.0.3'\n  namespace: bench\n  name: {name}\n  version: '1.0.0'\n  \
             metadata: {{ trigger: {{ webhook: {{ auth: none, reply: sync, timeout: PT30S }} }} }}\ndo:\n"
        )
    };
    let step = |number: u32| {
        format!(
            "  - step{number}: {{ call: light/echo, with: {{ value: '${{ .text }}' }}, \
             output: {{ as: '{{ text: $input.text }}' }} }}\n"
        )
    };
    server.deploy("three", &format!("{}{}{}{}", head("three"), step(1), step(2), step(3)));
    server.deploy(
        "reply",
        &format!(
            "{}  - answer:\n      set:\n        greeting: ${{ \"Hello \" + (.name | ascii_upcase) }}\n        \
             length: ${{ .text | length }}\n        open: true\n",
            head("reply")
        ),
    );
    server
}

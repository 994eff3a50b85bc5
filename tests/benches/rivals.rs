//! The same flow and the same webhook on Factotum, Restate, Node-RED and n8n: same clients, same machine, one run; prints
//! ratios. `tests/rivals/README.md` says what each runs and keeps.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs)] // a bench: whatever goes wrong ends it

mod load;
mod rival;

use std::{collections::BTreeMap, time::Duration};

use factotum_tests::Server;
use load::{Seen, Times, load};
use rival::{Rival, n8n, node_red, restate};

const TIMES: Times = Times { warm_up: Duration::from_secs(3), measure: Duration::from_secs(10) };
/// What is measured: its name, the message, the numbers of clients.
const WORK: [(&str, &str, [usize; 3]); 2] = [
    ("three", r#"{"text":"My order ORD-{n} has not arrived"}"#, [1, 16, 64]),
    ("reply", r#"{"name":"jane","text":"My order ORD-{n} has not arrived"}"#, [1, 16, 64]),
];
/// The durability that ratios are taken from: Factotum's default, and the stricter.
const OURS: &str = "Factotum (disk)";

fn main() {
    let Some(dist) = factotum_tests::dist("compare") else { return };
    let Some(guest) = factotum_tests::guest("compare", "guest_sampler") else { return };
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    let mut all = BTreeMap::new();
    for durability in ["disk", "system"] {
        let server = factotum(&dist, &guest, durability);
        measure(&mut all, &format!("Factotum ({durability})"), |work| {
            format!("{}/hooks/bench/{work}", server.address())
        });
        server.audit_holds();
    }
    for (name, start) in
        [("node-red", node_red as fn() -> Result<Rival, String>), ("restate", restate), ("n8n", n8n)]
    {
        if !wanted(name) {
            continue;
        }
        match start() {
            Ok(rival) => measure(&mut all, rival.name, |work| rival.url(work)),
            Err(why) => println!("skipped: {name}: {why}"),
        }
    }
    ratios(&all);
}

type Figures = BTreeMap<(String, &'static str, usize), Seen>;

fn measure(all: &mut Figures, name: &str, url: impl Fn(&str) -> String) {
    for (work, body, clients) in WORK {
        let url = url(work);
        let slash = url.find("://").map_or(0, |at| at + 3);
        let (host, path) = url.split_at(url[slash..].find('/').map_or(url.len(), |at| at + slash));
        for clients in clients {
            let seen = load(host, path, body, clients, TIMES);
            println!(
                "{name:<18} {work:<6} {clients:3} clients  {:8.0}/s   median {:8.2} ms   p99 {:8.2} ms   of {:6}",
                seen.rate, seen.median, seen.p99, seen.requests
            );
            all.insert((name.to_owned(), work, clients), seen);
        }
    }
}

fn ratios(all: &Figures) {
    println!();
    for ((name, work, clients), other) in all {
        let Some(ours) = all.get(&(OURS.to_owned(), *work, *clients)) else { continue };
        if !name.starts_with("Factotum") {
            println!(
                "{OURS} beside {name:<9} {work:<6} {clients:3} clients: throughput x {:6.2}, median latency x {:5.2}",
                ours.rate / other.rate,
                ours.median / other.median
            );
        }
    }
}

fn factotum(dist: &std::path::Path, guest: &str, durability: &str) -> Server {
    let server = Server::with_config(dist, &format!("durability = {durability:?}\n"), &[]);
    server.ok(&["plugin", "add", guest, "--as", "sampler", "--version", "1.0.0"]);
    let head = |name: &str| {
        format!(
            "document:\n  dsl: '1.0.3'\n  namespace: bench\n  name: {name}\n  version: '1.0.0'\n  \
             metadata: {{ trigger: {{ webhook: {{ auth: none, reply: sync, timeout: PT30S }} }} }}\ndo:\n"
        )
    };
    let step = |number: u32| {
        format!(
            "  - step{number}: {{ call: sampler/echo-string, with: {{ value: '${{ .text }}' }}, \
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

//! A flow of three durable plugin tasks over HTTP: median with one client, flows a second with 1, 16 and 64, for tasks that
//! do next to nothing (what the platform costs) and for the classifier (what real work costs); forty light tasks in a
//! row; time from start to ready with a warm cache; idle memory. Every flow is on disk before its answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs)] // a bench: whatever goes wrong ends it

mod load;

use std::time::{Duration, Instant};

use factotum_tests::Server;
use load::{Seen, Times, load};

/// A flow of so many calls of `function`, each given the same text.
fn flow(name: &str, function: &str, with: &str, tasks: usize) -> String {
    let mut document = format!(
        "document:
  dsl: '1.0.3'
  namespace: bench
  name: {name}
  version: '1.0.0'
  metadata: {{ trigger: {{ webhook: {{ auth: none, reply: sync, timeout: PT30S }} }} }}
do:
"
    );
    for number in 1..=tasks {
        document.push_str(&format!(
            "  - step{number}: {{ call: {function}, with: {with}, output: {{ as: '{{ text: $input.text }}' }} }}\n"
        ));
    }
    document
}

const TIMES: Times = Times { warm_up: Duration::from_secs(2), measure: Duration::from_secs(8) };
const BODY: &str = "{\"text\":\"My order ORD-{n} has not arrived\"}";

fn main() {
    let Some(dist) = factotum_tests::dist("bench") else { return };
    let Some(guest) = factotum_tests::guest("bench", "guest_light") else { return };
    for durability in ["disk", "system"] {
        let mut server = Server::with_config(&dist, &format!("durability = {durability:?}\n"), &[]);
        server.install("classifier", "config = true");
        server.ok(&["plugin", "add", &guest, "--as", "light", "--version", "1.0.0"]);
        let light = ("light/echo", "{ value: '${ .text }' }");
        let real = ("classifier/classify", "{ message: { text: '${ .text }' } }");
        server.deploy("light", &flow("light", light.0, light.1, 3));
        server.deploy("forty", &flow("forty", light.0, light.1, 40));
        server.deploy("real", &flow("real", real.0, real.1, 3));
        // As a host stands after its plugins were compiled once: started again, at rest.
        server.kill();
        let start = Instant::now();
        server.restart();
        println!("durability = {durability}");
        println!(
            "  start to ready, warm cache        {:8.0} ms, without runs",
            start.elapsed().as_secs_f64() * 1000.0
        );
        std::thread::sleep(Duration::from_secs(2));
        let idle = resident_mib(server.pid());
        println!("  idle memory                       {idle:8.1} MiB resident");
        for (flow, what, clients) in [
            ("light", "3 light plugin tasks", 1_usize),
            ("light", "3 light plugin tasks", 16),
            ("light", "3 light plugin tasks", 64),
            ("real", "3 classifications", 1),
            ("real", "3 classifications", 16),
            ("forty", "40 light tasks in a row", 1),
        ] {
            let path = format!("/hooks/bench/{flow}");
            let Seen { median, p99, rate, requests } = load(server.address(), &path, BODY, clients, TIMES);
            println!(
                "  {what:<24}{clients:3} clients  {rate:8.0} flows/s   median {median:7.2} ms   p99 {p99:7.2} ms   of {requests}"
            );
        }
        server.audit_holds();
        server.kill();
        let start = Instant::now();
        server.restart();
        println!(
            "  start to ready, warm cache        {:8.0} ms, after kill -9 with all these runs on disk",
            start.elapsed().as_secs_f64() * 1000.0
        );
    }
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

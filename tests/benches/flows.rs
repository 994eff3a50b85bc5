//! A flow of three durable plugin tasks over HTTP: median with one client, flows a second with 1, 16 and 64, for tasks that
//! do next to nothing (what the platform costs) and for the classifier (what real work costs); forty light tasks in a
//! row; time from start to ready with a warm cache; idle memory. Every flow is on disk before its answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs)] // a bench: whatever goes wrong ends it

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use factotum_tests::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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

const WARM_UP: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(8);

fn main() {
    let Some(dist) = factotum_tests::dist("bench") else { return };
    let Some(guest) = factotum_tests::guest("bench", "guest_sampler") else { return };
    for durability in ["disk", "system"] {
        let mut server = Server::with_config(&dist, &format!("durability = {durability:?}\n"), &[]);
        server.install("classifier", "config = true");
        server.ok(&["plugin", "add", &guest, "--as", "sampler", "--version", "1.0.0"]);
        let light = ("sampler/echo-string", "{ value: '${ .text }' }");
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (flow, what, clients) in [
            ("light", "3 light plugin tasks", 1_usize),
            ("light", "3 light plugin tasks", 16),
            ("light", "3 light plugin tasks", 64),
            ("real", "3 classifications", 1),
            ("real", "3 classifications", 16),
            ("forty", "40 light tasks in a row", 1),
        ] {
            let (median, p99, rate) = runtime.block_on(load(server.address(), flow, clients));
            println!(
                "  {what:<24}{clients:3} clients  {rate:8.0} flows/s   median {median:7.2} ms   p99 {p99:7.2} ms"
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

/// Posts with so many clients; returns median and 99th percentile in milliseconds, and flows a second.
async fn load(address: &str, flow: &'static str, clients: usize) -> (f64, f64, f64) {
    let address = address.strip_prefix("http://").unwrap().to_owned();
    let measuring = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let number = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    let local = tokio::task::LocalSet::new();
    for _ in 0..clients {
        let (address, measuring, stop, number) =
            (address.clone(), measuring.clone(), stop.clone(), number.clone());
        tasks.push(local.spawn_local(async move {
            let mut latencies = Vec::new();
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let body = format!(
                    "{{\"text\":\"My order ORD-{} has not arrived\"}}",
                    number.fetch_add(1, Ordering::Relaxed)
                );
                let begun = Instant::now();
                post(&mut stream, &address, flow, &body).await;
                if measuring.load(Ordering::Relaxed) {
                    latencies.push(begun.elapsed());
                }
            }
            latencies
        }));
    }
    local
        .run_until(async {
            tokio::time::sleep(WARM_UP).await;
            measuring.store(true, Ordering::Relaxed);
            let begun = Instant::now();
            tokio::time::sleep(MEASURE).await;
            measuring.store(false, Ordering::Relaxed);
            let elapsed = begun.elapsed();
            stop.store(true, Ordering::Relaxed);
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all.sort();
            let ms = |part: usize| all[(all.len() - 1) * part / 100].as_secs_f64() * 1000.0;
            (ms(50), ms(99), all.len() as f64 / elapsed.as_secs_f64())
        })
        .await
}

/// One request over a kept connection; the answer must be a completed flow's.
async fn post(stream: &mut TcpStream, host: &str, flow: &str, body: &str) {
    let request = format!(
        "POST /hooks/bench/{flow} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    loop {
        let n = stream.read_buf(&mut answer).await.unwrap();
        assert!(n > 0, "the server hung up");
        let text = String::from_utf8_lossy(&answer);
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length: usize = text[..end]
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap())
            })
            .unwrap();
        if answer.len() >= end + 4 + length {
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            return;
        }
    }
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

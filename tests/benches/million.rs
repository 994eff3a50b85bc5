//! A host that has finished a million runs: what a page of its list costs, its memory, its disk, and how it starts again.
//!
//! `cargo xtask million [RUNS]`; each run is a webhook answered when the run has ended, with `durability = "system"`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs)] // a bench: whatever goes wrong ends it

mod load;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use factotum_tests::Server;
use load::{Seen, Times, load};

/// The clients that post.
const CLIENTS: usize = 64;
/// How long they post between two looks.
const SLICE: Times = Times { warm_up: Duration::ZERO, measure: Duration::from_secs(20) };
/// How often each page is asked for at a look.
const ASKED: usize = 40;
const MIB: f64 = 1_048_576.0;

fn main() {
    let Some(dist) = factotum_tests::dist("million") else { return };
    let wanted: u64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let mut server = Server::with_config(&dist, "durability = \"system\"\n", &[]);
    server.deploy(
        "light",
        "document:\n  dsl: '1.0.3'\n  namespace: bench\n  name: light\n  version: '1.0.0'\n  \
         metadata: { trigger: { webhook: { auth: none, reply: sync, timeout: PT30S } } }\n\
         do:\n  - answer:\n      set: { greeting: '${ \"Hello \" + .name }' }\n",
    );
    let empty = disk(&server.data());
    let mut finished = 0;
    while finished < wanted {
        let seen = load(server.address(), "/hooks/bench/light", r#"{"name":"Jane {n}"}"#, CLIENTS, SLICE);
        finished += seen.requests;
        look(&server, finished, empty, Some(seen));
    }
    server.kill();
    let begun = Instant::now();
    server.restart();
    println!("killed and ready again after {:.2} s", begun.elapsed().as_secs_f64());
    look(&server, finished, empty, None);
}

/// Prints where the host stands after so many runs.
fn look(server: &Server, finished: u64, empty: f64, posted: Option<Seen>) {
    let disk = disk(&server.data()) - empty;
    print!("{finished:9} runs");
    if let Some(Seen { median, p99, rate, .. }) = posted {
        print!("  {rate:6.0}/s, median {median:.1} ms, p99 {p99:.1} ms");
    }
    print!(
        "  memory {:5.0} MiB  disk {:7.0} MiB, {:5.0} bytes a run",
        memory(server.pid()) / MIB,
        disk / MIB,
        disk / finished as f64
    );
    for (name, query) in [
        ("newest", "limit=50"),
        ("of a flow", "limit=50&flow=bench/light"),
        ("faulted", "limit=50&state=faulted"),
        ("completed", "limit=50&state=completed"),
    ] {
        let mut times: Vec<Duration> = (0..ASKED)
            .map(|_| {
                let begun = Instant::now();
                let page = server.api("GET", &format!("/api/v1/runs?{query}")).send().unwrap();
                assert!(page.status().is_success(), "{page:?}");
                page.bytes().unwrap();
                begun.elapsed()
            })
            .collect();
        times.sort();
        let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
        print!("  {name} {:.1} ms (worst {:.1})", ms(ASKED / 2), ms(ASKED - 1));
    }
    println!();
}

/// What a process holds in memory, in bytes.
fn memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0
}

/// What a folder takes on disk, in bytes.
fn disk(folder: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0.0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk(&entry.path()),
            Ok(meta) => meta.len() as f64,
            Err(_) => 0.0, // compacted away meanwhile
        })
        .sum()
}

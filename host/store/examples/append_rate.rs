//! How many durable appends per second the store takes from 1, 16 and 64 clients, beside a bare sled insert and flush.
//!
//! `cargo run --release -p factotum-store --example append_rate [-- SECONDS]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement, run by hand"
)]

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use factotum_store::{Batch, Durability, Options, Store, Table};

const RECORD: usize = 300;

/// Appends per second and the median wait, from `clients` tasks that each wait for their own append.
fn store_rate(durability: Durability, clients: usize, time: Duration) -> (f64, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options { durability, ..Options::default() }).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let started = Instant::now();
    let waits = runtime.block_on(async {
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut waits = Vec::new();
                    let journal = format!("run-{client}");
                    while started.elapsed() < time {
                        let begun = Instant::now();
                        let mut batch = Batch::new();
                        batch.append(journal.as_str(), waits.len() as u64, vec![b'x'; RECORD]);
                        batch.put(Table::Runs, journal.as_str(), "running");
                        store.commit(batch).await.unwrap();
                        waits.push(begun.elapsed());
                    }
                    waits
                })
            })
            .collect();
        let mut waits = Vec::new();
        for task in tasks {
            waits.extend(task.await.unwrap());
        }
        waits
    });
    rate(waits, started.elapsed())
}

/// The bare engine with the same two writes: each thread inserts and flushes for itself.
fn bare_rate(threads: usize, time: Duration) -> (f64, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let db = sled::Config::new().path(dir.path()).flush_every_ms(None).open().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let handles: Vec<_> = (0..threads)
        .map(|thread| {
            let (db, stop, next) = (db.clone(), Arc::clone(&stop), Arc::clone(&next));
            std::thread::spawn(move || {
                let mut waits = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let key = next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                    db.insert(key, vec![b'x'; RECORD]).unwrap();
                    db.insert(format!("run-{thread}"), "running").unwrap();
                    db.flush().unwrap();
                    waits.push(begun.elapsed());
                }
                waits
            })
        })
        .collect();
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let waits = handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect();
    rate(waits, started.elapsed())
}

fn rate(mut waits: Vec<Duration>, time: Duration) -> (f64, Duration) {
    waits.sort_unstable();
    let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
    (waits.len() as f64 / time.as_secs_f64(), median)
}

fn main() {
    let seconds = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let time = Duration::from_secs(seconds);
    println!("clients  bare sled insert+flush     store (sled's flush)        store (fdatasync too)");
    for clients in [1, 16, 64] {
        let (bare, bare_wait) = bare_rate(clients, time);
        let (system, system_wait) = store_rate(Durability::System, clients, time);
        let (disk, disk_wait) = store_rate(Durability::Disk, clients, time);
        println!(
            "{clients:>7}  {bare:>8.0}/s {bare_wait:>9.0?}     {system:>8.0}/s {system_wait:>9.0?} {:>4.1}x     \
             {disk:>8.0}/s {disk_wait:>9.0?} {:>4.1}x",
            system / bare,
            disk / bare
        );
    }
}

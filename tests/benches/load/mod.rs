//! Clients that post the same message over kept connections, and what they saw. Light, because they share the machine with
//! what they measure.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)] // a bench: whatever goes wrong ends it

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What the clients saw: latencies in milliseconds, requests a second, and how many there were.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub median: f64,
    pub p99: f64,
    pub rate: f64,
    pub requests: u64,
}

/// For how long to post before and while measuring.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub warm_up: Duration,
    pub measure: Duration,
}

/// Posts with so many clients to `http://HOST:PORT` + `path`. Every `{n}` in the body becomes a number of its own.
pub fn load(address: &str, path: &str, body: &'static str, clients: usize, times: Times) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(address.strip_prefix("http://").unwrap(), path, body, clients, times))
}

async fn run(host: &str, path: &str, body: &'static str, clients: usize, times: Times) -> Seen {
    let measuring = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let number = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    let local = tokio::task::LocalSet::new();
    for _ in 0..clients {
        let (measuring, stop, number) = (measuring.clone(), stop.clone(), number.clone());
        let (host, path) = (host.to_owned(), path.to_owned());
        tasks.push(local.spawn_local(async move {
            let mut latencies = Vec::new();
            let mut stream = connect(&host).await;
            while !stop.load(Ordering::Relaxed) {
                let body = body.replace("{n}", &number.fetch_add(1, Ordering::Relaxed).to_string());
                let begun = Instant::now();
                let kept = post(&mut stream, &host, &path, &body).await;
                if measuring.load(Ordering::Relaxed) {
                    latencies.push(begun.elapsed());
                }
                if !kept {
                    stream = connect(&host).await;
                }
            }
            latencies
        }));
    }
    local
        .run_until(async {
            tokio::time::sleep(times.warm_up).await;
            measuring.store(true, Ordering::Relaxed);
            let begun = Instant::now();
            tokio::time::sleep(times.measure).await;
            measuring.store(false, Ordering::Relaxed);
            let elapsed = begun.elapsed();
            stop.store(true, Ordering::Relaxed);
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all.sort();
            assert!(!all.is_empty(), "no request was answered in {elapsed:?}");
            let ms = |part: usize| all[(all.len() - 1) * part / 100].as_secs_f64() * 1000.0;
            Seen {
                median: ms(50),
                p99: ms(99),
                rate: all.len() as f64 / elapsed.as_secs_f64(),
                requests: all.len() as u64,
            }
        })
        .await
}

async fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One request; the answer must be a success. Whether the connection can be used again.
async fn post(stream: &mut TcpStream, host: &str, path: &str, body: &str) -> bool {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    loop {
        let n = stream.read_buf(&mut answer).await.unwrap();
        assert!(n > 0, "the server hung up");
        let text = String::from_utf8_lossy(&answer);
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let head = text[..end].to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let whole = match length {
            Some(length) => answer.len() >= end + 4 + length.trim().parse::<usize>().unwrap(),
            None => {
                assert!(head.contains("transfer-encoding: chunked"), "{text}");
                text.ends_with("\r\n0\r\n\r\n")
            }
        };
        if whole {
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            return !head.contains("connection: close");
        }
    }
}

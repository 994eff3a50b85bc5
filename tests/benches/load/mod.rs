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
        let host = host.to_owned();
        let mut request = Request::new(&host, path, body);
        tasks.push(local.spawn_local(async move {
            let mut latencies = Vec::new();
            let mut stream = connect(&host).await;
            let mut answer = Vec::with_capacity(4096);
            while !stop.load(Ordering::Relaxed) {
                let request = request.with(number.fetch_add(1, Ordering::Relaxed));
                let begun = Instant::now();
                let kept = post(&mut stream, request, &mut answer).await;
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

/// A request's bytes, with room for a number of eight digits.
struct Request {
    bytes: Vec<u8>,
    number: Option<std::ops::Range<usize>>,
}

impl Request {
    fn new(host: &str, path: &str, body: &str) -> Request {
        let body = body.replace("{n}", "00000000");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let number = body.find("00000000").map(|at| head.len() + at..head.len() + at + 8);
        Request { bytes: [head, body].concat().into_bytes(), number }
    }

    fn with(&mut self, number: u64) -> &[u8] {
        let digits = format!("{:08}", number % 100_000_000);
        if let Some(place) = &self.number {
            self.bytes[place.clone()].copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

/// One request; the answer must be a success. Whether the connection can be used again.
async fn post(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> bool {
    stream.write_all(request).await.unwrap();
    answer.clear();
    loop {
        let n = stream.read_buf(answer).await.unwrap();
        assert!(n > 0, "the server hung up");
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(end) = head.parse(answer).unwrap() else { continue };
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| std::str::from_utf8(header.value).unwrap())
        };
        let whole = match header("content-length") {
            Some(length) => answer.len() >= end + length.parse::<usize>().unwrap(),
            None => {
                assert_eq!(
                    header("transfer-encoding"),
                    Some("chunked"),
                    "{}",
                    String::from_utf8_lossy(answer)
                );
                answer.ends_with(b"\r\n0\r\n\r\n")
            }
        };
        if whole {
            assert_eq!(head.code, Some(200), "{}", String::from_utf8_lossy(answer));
            return !header("connection").is_some_and(|kept| kept.eq_ignore_ascii_case("close"));
        }
    }
}

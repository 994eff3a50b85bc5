//! An HTTP server that remembers every request it was sent, so that a test can say which effects were repeated.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;
use serde_json::Value;

use crate::PATIENCE;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// How often the host had been killed by then.
    pub generation: u32,
    /// The path, with the query.
    pub path: String,
    /// `Idempotency-Key`, if it was sent.
    pub key: Option<String>,
    /// The body, if it was JSON.
    pub body: Value,
}

/// A counting server on loopback. Its threads end with the process.
#[derive(Clone)]
pub struct Counter {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    generation: Arc<AtomicU32>,
    open: Arc<AtomicU32>,
}

impl Counter {
    /// Starts it. Each answer is held back for up to `delay`, so that a kill finds requests under way.
    pub fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let counter = Self {
            address: listener.local_addr().unwrap().to_string(),
            received: Arc::default(),
            generation: Arc::default(),
            open: Arc::default(),
        };
        let serving = counter.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = serving.clone();
                counter.open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    // A client that was killed ends its connection in the middle: that is no error here.
                    while counter.answer(&stream, delay).is_some() {}
                    counter.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        counter
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The host is dead: once everything that it had sent is counted, what comes is of another generation.
    pub fn next_generation(&self) {
        // Connections are taken in order: when this one was taken and closed, every one of the dead was taken.
        let mut last = TcpStream::connect(&self.address).unwrap();
        last.write_all(b"\n").unwrap();
        let _ = last.read(&mut [0]);
        drop(last);
        let deadline = Instant::now() + PATIENCE;
        while self.open.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < deadline, "connections of a dead host are still open");
            thread::sleep(Duration::from_millis(1));
        }
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Everything that was received, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    fn answer(&self, mut stream: &TcpStream, delay: Duration) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut length, mut key) = (0, None);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "idempotency-key" => key = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let generation = self.generation.load(Ordering::SeqCst);
        self.received.lock().unwrap().push(Received { generation, path, key, body });
        let most = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        thread::sleep(Duration::from_micros(rand::rng().random_range(0..=most)));
        let answer =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
        stream.write_all(answer).ok()
    }
}

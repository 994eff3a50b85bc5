//! An HTTP server on loopback that keeps the very bytes of each request.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A server that answers every request with the same bytes, until it is dropped.
pub struct Server {
    pub port: u16,
    pub requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers with `answer`, a whole HTTP message.
    pub async fn start(answer: impl Into<Vec<u8>>) -> Self {
        Self::start_after(Duration::ZERO, answer).await
    }

    /// A plain answer with a text, this long after the request.
    pub async fn start_slow(pause: Duration, text: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
        Self::start_after(pause, format!("{head}{text}")).await
    }

    async fn start_after(pause: Duration, answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<[u8]> = answer.into().into();
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, pause, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { port, requests, task }
    }

    /// A plain answer with a text.
    pub async fn saying(text: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-kind: test\r\n\r\n", text.len());
        Self::start(format!("{head}{text}")).await
    }

    pub fn seen(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A rule that allows these methods on these paths here.
    pub fn rule(&self, methods: &str, paths: &str) -> String {
        format!(
            "[[http]]\nscheme = \"http\"\nhost = \"127.0.0.1\"\nport = {}\nmethods = {methods}\npaths = {paths}\nprivate-network = true\n",
            self.port
        )
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// Reads requests by their `Content-Length`, and answers each.
async fn serve(mut stream: TcpStream, pause: Duration, answer: Arc<[u8]>, seen: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = end_of_request(&bytes) {
            let request: Vec<u8> = bytes.drain(..end).collect();
            seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            continue;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |n| n.trim().parse::<usize>().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

//! A small HTTP/1.1 server on loopback that answers with exactly the bytes a test wants, and keeps what it was sent.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code, of which each file uses a part"
)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};

/// What the server does with each request.
#[derive(Clone)]
pub enum Answer {
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes, then nothing more, with the connection open.
    Hang(Vec<u8>),
    /// A 200 with this body and this content encoding.
    Body(&'static str, Vec<u8>),
    /// A 200 whose body and `x-echo` header repeat the request's whole head.
    Echo,
}

pub struct Server {
    pub address: SocketAddr,
    /// The requests received, heads and bodies.
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start(answer: Answer) -> Self {
        Self::start_with(answer, None).await
    }

    pub async fn start_with(answer: Answer, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, kept, tls) = (answer.clone(), Arc::clone(&kept), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answer, kept).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer, kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answer,
    kept: Arc<Mutex<Vec<String>>>,
) {
    let mut data = Vec::new();
    let mut buffer = [0_u8; 4096];
    let (head_len, body_len) = loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        data.extend_from_slice(buffer.get(..read).unwrap());
        let text = String::from_utf8_lossy(&data).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            break (end + 4, length.unwrap_or(0_usize));
        }
    };
    while data.len() < head_len + body_len {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        data.extend_from_slice(buffer.get(..read).unwrap());
    }
    let request = String::from_utf8_lossy(&data).into_owned();
    kept.lock().unwrap().push(request.clone());
    let reply = |headers: &str, body: &[u8]| {
        let mut out = format!(
            "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        out.extend_from_slice(body);
        out
    };
    let (bytes, hang) = match answer {
        Answer::Bytes(bytes) => (bytes, false),
        Answer::Hang(bytes) => (bytes, true),
        Answer::Body("", body) => (reply("", &body), false),
        Answer::Body(encoding, body) => (reply(&format!("content-encoding: {encoding}\r\n"), &body), false),
        Answer::Echo => {
            let authorization = request.lines().find(|l| l.starts_with("authorization")).unwrap_or("none");
            (reply(&format!("x-echo: {authorization}\r\n"), request.as_bytes()), false)
        }
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;
    if hang {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    let _ = stream.shutdown().await;
}

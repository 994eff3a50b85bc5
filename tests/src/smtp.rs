//! A mail server (RFC 5321) that keeps what it is given, and can be told not to answer for it.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::PATIENCE;

/// A mail server on loopback, in the clear and without a password. Its threads end with the process.
#[derive(Clone)]
pub struct Smtp {
    port: u16,
    mails: Arc<Mutex<Vec<String>>>,
    silent: Arc<AtomicBool>,
}

impl Smtp {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, mails: Arc::default(), silent: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                // A client that was killed ends its connection in the middle: that is no error here.
                thread::spawn(move || server.serve(&stream));
            }
        });
        server
    }

    /// The part of a configuration that sends mail to it.
    pub fn config(&self) -> String {
        format!(
            "[mail]\nsender = \"Desk <desk@shop.test>\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
            self.port
        )
    }

    /// From here on mails are taken and their senders are not told, as when the answer is lost; or they are again.
    pub fn keep_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    /// The mails as they came, in order.
    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    /// The mails, once there are so many.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        while self.mails().len() < count {
            assert!(Instant::now() < deadline, "{count} mails do not come: {:?}", self.mails());
            thread::sleep(Duration::from_millis(20));
        }
        self.mails()
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream).lines();
        let say = |text: &str| {
            let mut stream = stream;
            stream.write_all(format!("{text}\r\n").as_bytes()).ok()
        };
        say("220 mx.shop.test ready")?;
        while let Some(Ok(line)) = lines.next() {
            let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "EHLO" => say("250-mx.shop.test\r\n250 8BITMIME")?,
                "DATA" => {
                    say("354 go on")?;
                    let mail: Vec<String> =
                        lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                    self.mails.lock().unwrap().push(mail.join("\n"));
                    while self.silent.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(20));
                    }
                    say("250 taken")?;
                }
                "QUIT" => {
                    say("221 bye")?;
                    return Some(());
                }
                _ => say("250 fine")?,
            }
        }
        Some(())
    }
}

//! A mailbox of the real IMAP server: puts messages in as another client would, and says how they are marked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use crate::server_variable;

/// A user of the test server.
#[derive(Clone)]
pub struct Imap {
    plain: u16,
    tls: u16,
    ca: String,
    boxes: PathBuf,
    user: String,
}

struct Connection {
    reader: BufReader<TcpStream>,
    commands: u32,
}

impl Imap {
    /// The mailbox of `user` (`test1` to `test20`), emptied; or `None` with a word on what is skipped.
    pub fn of(test: &str, user: &str) -> Option<Self> {
        let port = |url: String| url.rsplit(':').next().and_then(|port| port.parse().ok());
        let found = Self {
            plain: port(server_variable(test, "IMAP_REAL_URL")?)?,
            tls: port(server_variable(test, "IMAP_REAL_TLS_URL")?)?,
            ca: server_variable(test, "IMAP_CA_FILE")?,
            boxes: server_variable(test, "IMAP_REAL_BOXES")?.into(),
            user: user.to_owned(),
        };
        let mut connection = found.connect();
        connection.ask("SELECT INBOX");
        connection.ask("STORE 1:* +FLAGS (\\Deleted)");
        connection.ask("EXPUNGE");
        Some(found)
    }

    /// The configuration of this mailbox under the name `support`; its password is in the environment variable
    /// `TEST_IMAP`. `more` are further lines.
    pub fn config(&self, more: &str) -> String {
        let Self { tls, ca, user, .. } = self;
        format!(
            "[secrets.imap]\nenv = \"TEST_IMAP\"\n[mailboxes.support]\nhost = \"localhost\"\nport = {tls}\nusername = \"{user}@shop.test\"\npassword-secret = \"imap\"\nca-file = {ca:?}\npoll-seconds = 5\ntimeout-ms = 5000\n{more}\n"
        )
    }

    /// The environment variable that [`Imap::config`] speaks of.
    pub fn password(&self) -> (&'static str, &'static str) {
        ("TEST_IMAP", "test-pw")
    }

    /// Puts messages into a folder.
    pub fn put<B: AsRef<[u8]>>(&self, folder: &str, messages: impl IntoIterator<Item = B>) {
        let mut connection = self.connect();
        for message in messages {
            let message = message.as_ref();
            connection.commands += 1;
            let tag = format!("t{}", connection.commands);
            connection.send(format!("{tag} APPEND {folder} {{{}}}\r\n", message.len()).as_bytes());
            connection.until("+");
            connection.send(message);
            connection.send(b"\r\n");
            let answer = connection.until(&tag);
            assert!(answer.contains("OK"), "{answer}");
        }
    }

    /// How many messages of a folder fit a search, such as `SEEN`.
    pub fn count(&self, folder: &str, search: &str) -> usize {
        let mut connection = self.connect();
        connection.ask(&format!("SELECT {folder}"));
        let answer = connection.ask(&format!("SEARCH {search}"));
        let line = answer.lines().find(|line| line.starts_with("* SEARCH")).unwrap_or_default();
        line.split_whitespace().count().saturating_sub(2)
    }

    /// Makes a folder.
    pub fn make(&self, folder: &str) {
        self.connect().ask(&format!("CREATE {folder}"));
    }

    /// Has the server forget its numbers, so that it numbers all messages anew (another UIDVALIDITY).
    pub fn renumber(&self) {
        let folder = self.boxes.join(format!("{}@shop.test", self.user));
        // The numbers are what the time is; the next ones are others a second later.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("dovecot") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.plain)).unwrap();
        let mut connection = Connection { reader: BufReader::new(stream), commands: 0 };
        connection.until("* OK");
        let answer = connection.ask(&format!("LOGIN {}@shop.test test-pw", self.user));
        assert!(answer.contains("OK"), "{answer}");
        connection
    }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Everything up to a line that begins so.
    fn until(&mut self, begins: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = Vec::new();
            assert!(
                self.reader.by_ref().read_until(b'\n', &mut line).unwrap() > 0,
                "the server went away: {all}"
            );
            let line = String::from_utf8_lossy(&line);
            all.push_str(&line);
            if line.starts_with(begins) {
                return all;
            }
        }
    }

    fn ask(&mut self, command: &str) -> String {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        self.send(format!("{tag} {command}\r\n").as_bytes());
        self.until(&format!("{tag} "))
    }
}

//! The real mail server of the storm: Exim, which delivers into a folder that is read back.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use factotum_tests::server_variable;
use rand::RngExt;

/// The most connections that the host opens to the server.
const CONNECTIONS: usize = 4;

/// A mail that was delivered.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    pub message_id: String,
}

/// The server, and a domain that only this storm writes to.
pub struct Post {
    folder: PathBuf,
    url: String,
    ca: String,
    domain: String,
    /// What was read already; `None` for mails of others.
    read: Mutex<HashMap<PathBuf, Option<Mail>>>,
}

impl Post {
    /// `None`, with a word on it, when the server does not run.
    pub fn find(test: &str) -> Option<Post> {
        Some(Post {
            folder: PathBuf::from(server_variable(test, "SMTP_REAL_BOXES")?).join("outside/new"),
            url: server_variable(test, "SMTP_REAL_URL")?,
            ca: server_variable(test, "SMTP_CA_FILE")?,
            domain: format!("storm{}.test", rand::rng().random_range(0..u32::MAX)),
            read: Mutex::default(),
        })
    }

    /// The host's configuration of mail, and the environment variable with the password.
    pub fn config(&self) -> (String, (&'static str, String)) {
        let (login, address) = self.url.split_once("://").unwrap().1.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (host, port) = address.split_once(':').unwrap();
        let config = format!(
            "[secrets.smtp]\nenv = \"TEST_SMTP_PASSWORD\"\n[mail]\nsender = \"Desk <desk@desk.test>\"\n[mail.smtp]\nhost = {host:?}\nport = {port}\ntls = \"starttls\"\nusername = {user:?}\npassword-secret = \"smtp\"\nca-file = {:?}\nmax-connections = {CONNECTIONS}\n",
            self.ca
        );
        (config, ("TEST_SMTP_PASSWORD", password.to_owned()))
    }

    /// The domain that only this storm writes to.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The address that the run of a number writes to.
    pub fn address(&self, what: &str, n: u64) -> String {
        format!("{what}-{n}@{}", self.domain)
    }

    /// The most mails that can be in flight at a moment.
    pub fn connections(&self) -> usize {
        CONNECTIONS
    }

    /// What was delivered so far.
    pub fn mails(&self) -> Vec<Mail> {
        let mut read = self.read.lock().unwrap();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            read.entry(entry.path()).or_insert_with_key(|path| {
                let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
                let header = |name: &str| {
                    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
                    Some(value.trim().to_owned())
                };
                let to = header("Envelope-to:").filter(|to| to.ends_with(&format!("@{}", self.domain)))?;
                let message_id = header("Message-ID:").or_else(|| header("Message-Id:"))?;
                Some(Mail { to, message_id })
            });
        }
        read.values().flatten().cloned().collect()
    }

    /// Waits until mails for so many addresses are there and no more come: the server delivers a little later than it
    /// takes them.
    pub fn wait_for(&self, addresses: usize) -> Vec<Mail> {
        let deadline = Instant::now() + Duration::from_secs(180);
        let mut before = 0;
        loop {
            let mails = self.mails();
            let mut to: Vec<_> = mails.iter().map(|mail| mail.to.as_str()).collect();
            to.sort_unstable();
            to.dedup();
            if (to.len() >= addresses && mails.len() == before) || Instant::now() > deadline {
                return mails;
            }
            before = mails.len();
            std::thread::sleep(Duration::from_secs(2));
        }
    }
}

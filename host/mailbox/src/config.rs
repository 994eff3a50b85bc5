//! A mailbox in the host's configuration.
//!
//! ```toml
//! [mailboxes.support]
//! host = "imap.example.com"
//! tls = "implicit"                 # or "starttls"; "none" only on this machine
//! username = "support@example.com"
//! password-secret = "imap-support" # a secret's name; the password is never in this file
//! folders = ["INBOX"]              # what flows may be started from
//! begin = "new"                    # at the very first look: "new" messages only, the "unseen" ones too, or "all"
//! handled = "seen"                 # or { move-to = "Done" }, { keyword = "factotum" }, "leave"
//! automatic = "skip"               # replies and bounces that machines sent; "take" starts runs with them
//! ```

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::SetupError;
use crate::folder::is_folder;

/// The most folders of one mailbox that flows may be started from; each takes a connection.
const MAX_FOLDERS: usize = 20;
/// The largest message that can be allowed, in bytes; the store takes no larger blob.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MailboxConfig {
    /// The server's name, which its certificate must carry.
    pub host: String,
    /// The port; 993 with implicit TLS, else 143.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
    /// Who signs in.
    pub username: String,
    /// The name of the secret with the password.
    pub password_secret: String,
    /// PEM file of a private certificate authority, trusted beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The folders that flows may be started from.
    #[serde(default = "default_folders")]
    pub folders: Vec<String>,
    /// Which messages count when a folder is looked at for the first time.
    #[serde(default)]
    pub begin: Begin,
    /// What is done to a message on the server when its run is on disk.
    #[serde(default)]
    pub handled: Handled,
    /// What becomes of messages that machines sent.
    #[serde(default)]
    pub automatic: Automatic,
    /// Whether messages of mailing lists start no runs either.
    #[serde(default)]
    pub skip_lists: bool,
    /// Seconds between two looks when the server does not tell by itself (IDLE), 5 to 3600.
    #[serde(default = "default_poll")]
    pub poll_seconds: u64,
    /// Whether the server may be asked to tell by itself.
    #[serde(default = "yes")]
    pub idle: bool,
    /// The largest message that is taken, in bytes.
    #[serde(default = "default_message")]
    pub max_message_bytes: usize,
    /// The longest that the server may be silent when it should answer, in milliseconds.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
}

fn default_folders() -> Vec<String> {
    vec!["INBOX".into()]
}

fn default_poll() -> u64 {
    60
}

fn yes() -> bool {
    true
}

fn default_message() -> usize {
    25 << 20
}

fn default_timeout() -> u64 {
    30_000
}

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// TLS from the first byte (RFC 8314).
    #[default]
    Implicit,
    /// Starts in the clear and must turn to TLS before anything else (RFC 3501, section 6.2.1).
    Starttls,
    /// None. Only for a server on this machine.
    None,
}

/// Which messages count when a folder is looked at for the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Begin {
    /// Those that come from then on: a folder full of old mail starts nothing.
    #[default]
    New,
    /// Those that nobody has seen (`\Seen`), too.
    Unseen,
    /// All that lie there.
    All,
}

/// What is done to a message on the server when its run is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handled {
    /// It is marked as seen.
    #[default]
    Seen,
    /// It is moved to a folder.
    MoveTo(String),
    /// It gets a keyword (RFC 3501, section 2.3.2), such as `factotum`.
    Keyword(String),
    /// Nothing: the host alone remembers.
    Leave,
}

/// What becomes of messages that machines sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Automatic {
    /// They start no run: two machines that answer each other would not end.
    #[default]
    Skip,
    /// They do; the flow must not answer them. What this host sent itself starts no run even so.
    Take,
}

impl MailboxConfig {
    /// The port to connect to.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(if self.tls == TlsMode::Implicit { 993 } else { 143 })
    }

    /// The longest that the server may be silent when it should answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Finds what cannot work, or must not. `name` is the mailbox's own.
    ///
    /// # Errors
    /// What is wrong, and the mend.
    pub fn check(&self, name: &str) -> Result<(), SetupError> {
        let error = |text: String| Err(SetupError(format!("{name}: {text}")));
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return error("a mailbox's name has 1 to 64 letters, digits and hyphens".into());
        }
        if self.host.is_empty() || self.host.contains(['/', '@', ' ']) {
            return error("host is a name such as imap.example.com, without port".into());
        }
        if self.tls == TlsMode::None && !is_loopback(&self.host) {
            return error(
                "tls = \"none\" is for a server on this machine only; use implicit or starttls".into(),
            );
        }
        if self.username.is_empty() || self.username.contains(char::is_control) {
            return error("username is missing".into());
        }
        if self.folders.is_empty() || self.folders.len() > MAX_FOLDERS {
            return error(format!("folders names 1 to {MAX_FOLDERS} of them"));
        }
        let moved = match &self.handled {
            Handled::MoveTo(folder) => Some(folder),
            _ => None,
        };
        if let Some(bad) = self.folders.iter().chain(moved).find(|folder| !is_folder(folder)) {
            return error(format!("{bad:?} is no folder's name"));
        }
        if moved.is_some_and(|folder| self.folders.contains(folder)) {
            return error("move-to is one of the folders that messages are taken from".into());
        }
        let is_keyword = |word: &str| {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b"$-_.".contains(&b);
            (1..=64).contains(&word.len()) && word.bytes().all(fine)
        };
        if matches!(&self.handled, Handled::Keyword(word) if !is_keyword(word)) {
            return error("a keyword has 1 to 64 letters, digits, and $ - _ .".into());
        }
        if !(5..=3600).contains(&self.poll_seconds) {
            return error("poll-seconds is between 5 and 3600".into());
        }
        if !(1024..=MAX_MESSAGE_BYTES).contains(&self.max_message_bytes) {
            return error(format!("max-message-bytes is between 1024 and {MAX_MESSAGE_BYTES}"));
        }
        if !(100..=600_000).contains(&self.timeout_ms) {
            return error("timeout-ms is between 100 and 600000".into());
        }
        Ok(())
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &str) -> Result<MailboxConfig, toml::de::Error> {
        toml::from_str(&format!(
            "host = \"imap.example.com\"\nusername = \"u\"\npassword-secret = \"p\"\n{more}"
        ))
    }

    #[test]
    fn the_documented_form_is_read() {
        let config = read("").unwrap();
        assert!(config.check("support").is_ok());
        assert_eq!((config.effective_port(), config.tls, config.begin), (993, TlsMode::Implicit, Begin::New));
        assert_eq!((config.handled, config.folders), (Handled::Seen, vec!["INBOX".to_owned()]));
        let config =
            read("tls = \"starttls\"\nhandled = { move-to = \"已处理\" }\nfolders = [\"INBOX\", \"a/b\"]")
                .unwrap();
        assert!(config.check("support").is_ok());
        assert_eq!((config.effective_port(), config.handled), (143, Handled::MoveTo("已处理".into())));
        assert_eq!(
            read("handled = { keyword = \"done\" }").unwrap().handled,
            Handled::Keyword("done".into())
        );
    }

    #[test]
    fn what_is_refused() {
        assert!(read("password = \"in the clear\"").is_err());
        assert!(read("tls = \"optional\"").is_err());
        for more in [
            "tls = \"none\"",
            "folders = []",
            "folders = [\"a\\u0000b\"]",
            "handled = { move-to = \"INBOX\" }",
            "handled = { keyword = \"a b\" }",
            "poll-seconds = 1",
            "max-message-bytes = 100000000",
            "timeout-ms = 1",
        ] {
            assert!(read(more).unwrap().check("support").is_err(), "{more}");
        }
        assert!(read("").unwrap().check("sup port").is_err());
        let mut local = read("tls = \"none\"").unwrap();
        for (host, fine) in [("localhost", true), ("::1", true), ("127.0.0.1.example.com", false)] {
            local.host = host.into();
            assert_eq!(local.check("support").is_ok(), fine, "{host}");
        }
    }
}

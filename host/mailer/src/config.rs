//! The `[mail]` section of the host's configuration.
//!
//! ```toml
//! [mail]
//! sender = "Example Desk <desk@example.com>"
//! outbox = "outbox"              # a folder of .eml files; or, to really send:
//!
//! [mail.smtp]
//! host = "smtp.example.com"
//! port = 587                     # 587 for starttls, 465 for implicit, 25 for none
//! tls = "starttls"               # starttls (required, never optional), implicit, none (this machine only)
//! username = "desk@example.com"
//! password-secret = "smtp-password"   # the name of a secret, never the password itself
//! ca-file = "company-ca.pem"
//! timeout-ms = 30000
//! ```

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::SetupError;

/// The `[mail]` section: a sender, and either an outbox or a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MailConfig {
    /// The default sender, `Name <address>` or an address.
    pub sender: String,
    /// A folder for .eml files. Instead of a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox: Option<PathBuf>,
    /// The server. Instead of an outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpConfig>,
}

/// The `[mail.smtp]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmtpConfig {
    /// The server's name, which its certificate must bear.
    pub host: String,
    /// The port; the usual one of `tls` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
    /// Who logs in; nobody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The name of the secret that holds the password. The caller looks it up and hands it to [`crate::Mailer::new`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<String>,
    /// A PEM file with the certificate of a private authority, trusted beside Mozilla's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The longest one attempt may take, from connecting to the server's last word, in milliseconds.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// The most connections at one time.
    #[serde(default = "default_connections")]
    pub max_connections: u32,
}

fn default_timeout() -> u64 {
    30_000
}

fn default_connections() -> u32 {
    8
}

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Starts in the clear and must turn to TLS before anything else (RFC 3207). A server without it is refused.
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// None. Only for a server on this machine.
    None,
}

impl SmtpConfig {
    /// The port to connect to.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            TlsMode::Starttls => 587,
            TlsMode::Implicit => 465,
            TlsMode::None => 25,
        })
    }

    /// Finds what cannot work, or must not.
    pub(crate) fn check(&self, has_password: bool) -> Result<(), SetupError> {
        let error = |text: &str| Err(SetupError(format!("smtp: {text}")));
        if self.host.is_empty() || self.host.contains(['/', '@', ' ']) {
            return error("host is a name such as smtp.example.com, without port");
        }
        if self.tls == TlsMode::None && !is_loopback(&self.host) {
            return error("tls = \"none\" is for a server on this machine only; use starttls or implicit");
        }
        if self.username.is_some() != has_password {
            return error(
                "username and password-secret go together, and the secret must be set (factotum secret set)",
            );
        }
        if !(100..=600_000).contains(&self.timeout_ms) {
            return error("timeout-ms is between 100 and 600000");
        }
        if !(1..=100).contains(&self.max_connections) {
            return error("max-connections is between 1 and 100");
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

    fn read(text: &str) -> Result<MailConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_documented_form_is_read() {
        let config = read(
            "sender = \"Desk <desk@example.com>\"\n[smtp]\nhost = \"smtp.example.com\"\nusername = \"u\"\npassword-secret = \"p\"",
        )
        .unwrap();
        let smtp = config.smtp.unwrap();
        assert_eq!((smtp.tls, smtp.effective_port(), smtp.timeout_ms), (TlsMode::Starttls, 587, 30_000));
        assert!(smtp.check(true).is_ok());
        assert!(smtp.check(false).is_err(), "a user without password");
    }

    #[test]
    fn what_is_refused() {
        assert!(read("sender = \"a@b.c\"\n[smtp]\nhost = \"h\"\npassword = \"in the clear\"").is_err());
        assert!(read("sender = \"a@b.c\"\n[smtp]\nhost = \"h\"\ntls = \"optional\"").is_err());
        let smtp = |more: &str| read(&format!("sender = \"a@b.c\"\n[smtp]\n{more}")).unwrap().smtp.unwrap();
        assert!(smtp("host = \"smtp.example.com\"\ntls = \"none\"").check(false).is_err());
        assert!(smtp("host = \"127.0.0.1.example.com\"\ntls = \"none\"").check(false).is_err());
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert!(smtp(&format!("host = \"{host}\"\ntls = \"none\"")).check(false).is_ok(), "{host}");
        }
        assert!(smtp("host = \"a/b\"").check(false).is_err());
        assert!(smtp("host = \"a\"\ntimeout-ms = 0").check(false).is_err());
        assert!(smtp("host = \"a\"\nmax-connections = 0").check(false).is_err());
    }
}

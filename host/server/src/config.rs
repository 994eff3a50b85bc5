//! The configuration file of `serve`, and the secrets it names.
//!
//! ```toml
//! listen = "127.0.0.1:7070"
//! durability = "disk"            # or "system": faster, but a power cut may take the last moments
//!
//! master-key = { file = "/etc/factotum/master.key" }   # or env, or command = ["/usr/bin/…", "…"]; see `factotum.example.toml`
//! previous-master-keys = []      # the ones before, for the one start that seals everything anew
//!
//! [secrets.intake]              # a secret is never in this file
//! env = "INTAKE_TOKEN"          # or: file = "/run/secrets/intake"
//!
//! [mail]
//! sender = "Desk <desk@example.com>"
//!
//! [mail.smtp]
//! host = "smtp.example.com"
//! tls = "starttls"
//! username = "desk"
//! password-secret = "smtp"
//!
//! [mailboxes.support]            # messages that come in start flows; see `factotum_mailbox::MailboxConfig`
//! host = "imap.example.com"
//! username = "support@example.com"
//! password-secret = "imap-support"
//!
//! [notices]
//! administrators = ["admin@example.com"]              # runs that were parked or faulted
//! per-hour = 20                                        # mails to one address; what comes meanwhile is told together
//! [notices.groups.supervisors]
//! members = ["anna", "bob"]                            # the names of their tokens
//! mail = ["supervisors@example.com"]
//!
//! [http]
//! ca-files = ["/etc/ssl/our-ca.pem"]
//!
//! [tls]                         # the host speaks HTTPS; see `tls`
//! certificate = "/etc/factotum/tls/fullchain.pem"
//! key = "/etc/factotum/tls/key.pem"
//! client-authorities = ["/etc/factotum/partners.pem"]
//!
//! [proxies]                     # in front of the host; see `http::callers`
//! trusted = ["10.0.0.5"]
//!
//! [limits]
//! max-active-runs = 256
//! ```
//!
//! `retention = "P90D"` (ISO 8601) is how long what finished runs held, and events, are kept when a flow does not say.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use factotum_egress::{SecretString, Secrets};
use factotum_secrets::{MAX_PREVIOUS_KEYS, MasterKeySource, MasterKeys};
use serde::Deserialize;

use crate::{http::callers::ProxyConfig, tls::TlsConfig};

/// The largest file that can hold a secret, in bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// What the file can say. Everything has a default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// What "on disk" means before a message is acknowledged.
    pub durability: Durability,
    /// Where the master key of the sealed secrets comes from; the host's own file when absent.
    pub master_key: Option<MasterKeySource>,
    /// Where the master keys before it come from: needed for the one start after a change.
    pub previous_master_keys: Vec<MasterKeySource>,
    /// How long what finished runs held, and events, are kept when a flow does not say (ISO 8601, such as `P90D`); for ever
    /// when absent.
    pub retention: Option<String>,
    /// Secrets that come from this machine; they go before the sealed ones.
    pub secrets: BTreeMap<String, SecretSource>,
    /// How mail leaves the house.
    pub mail: Option<factotum_mailer::MailConfig>,
    /// Where mail comes in, by name.
    pub mailboxes: BTreeMap<String, factotum_mailbox::MailboxConfig>,
    /// Who is mailed when a run was interrupted or a person is asked.
    pub notices: factotum_runtime::NoticeConfig,
    /// The component that runs flows' scripts; `script.wasm` beside the program when absent.
    pub script_engine: Option<PathBuf>,
    /// HTTP out.
    pub http: HttpOut,
    /// HTTPS in, and whose clients' certificates count.
    pub tls: TlsConfig,
    /// The reverse proxies in front of the host.
    pub proxies: ProxyConfig,
    /// Bounds.
    pub limits: Limits,
}

/// What "on disk" means before a message is acknowledged. Either way nothing acknowledged is lost when the process dies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The disk itself has it (fdatasync): it also survives a power cut.
    #[default]
    Disk,
    /// The operating system has it and is told to write it: faster, and the last moments may go with a power cut.
    System,
}

/// HTTP out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HttpOut {
    /// PEM files of private certificate authorities, trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
}

/// Bounds; the host's defaults where absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// The most runs that execute at one time.
    pub max_active_runs: Option<u32>,
    /// The most accepted runs that wait for a place.
    pub max_queued_runs: Option<usize>,
    /// The most accepted runs that the limits of their flows hold back, of all flows together.
    pub max_held_runs: Option<usize>,
    /// The most plugin calls at one time.
    pub max_calls: Option<u32>,
    /// The most bytes of a webhook's body, and so of a run's input.
    pub max_input_bytes: Option<usize>,
    /// What is to stay free on the data folder's disk, in bytes; 0 looks at nothing.
    pub min_free_bytes: Option<u64>,
}

/// Where a secret comes from: one of the two.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum SecretSource {
    /// An environment variable of the host.
    Env(String),
    /// A file; a line break at its end is no part of it.
    File(PathBuf),
}

impl Config {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("the configuration file {}", path.display()))?;
        let config: Self =
            toml::from_str(&text).with_context(|| format!("the configuration file {}", path.display()))?;
        if config.previous_master_keys.len() > MAX_PREVIOUS_KEYS {
            bail!("previous-master-keys in {} has more than {MAX_PREVIOUS_KEYS}", path.display());
        }
        for (name, mailbox) in &config.mailboxes {
            mailbox.check(name).with_context(|| format!("the configuration file {}", path.display()))?;
        }
        Ok(config)
    }

    /// How long what finished runs held is kept when a flow does not say.
    ///
    /// # Errors
    /// When it is no length of time, or none at all.
    pub fn retention(&self) -> Result<Option<Duration>> {
        let Some(text) = &self.retention else { return Ok(None) };
        match factotum_flow::duration(&text.as_str().into()) {
            Ok(time) if !time.is_zero() => Ok(Some(time)),
            Ok(_) => bail!(
                "retention in the configuration file is no time at all; leave it out to keep everything"
            ),
            Err(why) => bail!("retention in the configuration file: {why}; write it like \"P90D\""),
        }
    }

    /// Where the master key comes from, when it is not the host's own file.
    ///
    /// # Errors
    /// When previous keys are named without a present one: they would hide that the file meant is the host's own.
    pub fn master_keys(&self) -> Result<Option<MasterKeys>> {
        match &self.master_key {
            Some(current) => {
                let previous = self.previous_master_keys.clone();
                Ok(Some(MasterKeys { current: current.clone(), previous }))
            }
            None if self.previous_master_keys.is_empty() => Ok(None),
            None => bail!("previous-master-keys are only looked at beside a master-key"),
        }
    }
}

/// The secrets of the configuration file. A file is read at each use, so that a rotated secret counts at once.
pub struct ConfiguredSecrets(pub BTreeMap<String, SecretSource>);

impl ConfiguredSecrets {
    /// Fails when a secret cannot be had now, rather than when it is first needed.
    pub fn check(&self) -> Result<()> {
        for name in self.0.keys() {
            if self.get(name).is_none() {
                bail!("the secret {name:?} cannot be read; check [secrets.{name}] in the configuration file");
            }
        }
        Ok(())
    }
}

impl Secrets for ConfiguredSecrets {
    fn get(&self, name: &str) -> Option<SecretString> {
        let text = match self.0.get(name)? {
            SecretSource::Env(variable) => std::env::var(variable).ok()?,
            SecretSource::File(path) => {
                if fs::metadata(path).ok()?.len() > MAX_SECRET_BYTES {
                    return None;
                }
                fs::read_to_string(path).ok()?
            }
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
        (!text.is_empty()).then(|| SecretString::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_refused() {
        let error = toml::from_str::<Config>("listn = \"127.0.0.1:1\"").unwrap_err();
        assert!(error.to_string().contains("listn"), "{error}");
    }

    #[test]
    fn a_retention_is_a_length_of_time() {
        let read = |text: &str| toml::from_str::<Config>(text).unwrap().retention();
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("retention = \"P90D\"").unwrap(), Some(Duration::from_secs(90 * 86_400)));
        for bad in ["retention = \"P0D\"", "retention = \"for ever\""] {
            assert!(read(bad).unwrap_err().to_string().contains("retention"), "{bad}");
        }
    }

    #[test]
    fn secrets_come_from_files_without_their_line_break() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, "hush\n").unwrap();
        let config: Config =
            toml::from_str(&format!("[secrets.a]\nfile = {path:?}\n[secrets.b]\nenv = \"NO_SUCH_VAR\""))
                .unwrap();
        let secrets = ConfiguredSecrets(config.secrets);
        use factotum_egress::ExposeSecret;
        assert_eq!(secrets.get("a").unwrap().expose_secret(), "hush");
        assert!(secrets.get("b").is_none() && secrets.get("c").is_none());
        assert!(secrets.check().unwrap_err().to_string().contains("\"b\""));
    }
}

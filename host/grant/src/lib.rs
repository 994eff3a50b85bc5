//! What a plugin may do: the grant language and the pure functions that check it.
//!
//! A [`Grants`] value is what an administrator allowed one installed plugin. Nothing is allowed by default. The checks
//! are pure functions from a grant and an intended effect to a permission or a [`Denial`]; whoever has the effect in
//! hand asks them before it happens. This crate knows no engine, no network and no store.

mod capability;
mod denial;
mod http;
mod limits;
mod mail;
mod pattern;

pub use capability::{Capability, Import, classify_import};
pub use denial::Denial;
pub use http::{HttpRule, HttpTarget, Inject, InjectPlace, check_http};
pub use limits::Limits;
pub use mail::{MailGrant, check_mail};
pub use pattern::{AddressPattern, HostPattern, PathPattern, PatternError};

use serde::{Deserialize, Serialize};

/// What an administrator allowed one installed plugin. The default allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grants {
    /// May read its run context: run, task, attempt, idempotency key.
    pub run_context: bool,
    /// May read the configuration that the administrator gave it.
    pub config: bool,
    /// May keep keys and values in its own namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_value: Option<KeyValueGrant>,
    /// May store artifacts and read back its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<ArtifactsGrant>,
    /// May send mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailGrant>,
    /// May send HTTP requests that match one of these rules. An empty list allows none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRule>,
    /// What a call may use of the machine.
    pub limits: Limits,
}

/// Narrows key-value use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KeyValueGrant {
    /// The most bytes (keys and values) the plugin's own namespace may hold.
    pub quota_bytes: u64,
    /// The most keys the plugin's own namespace may hold.
    pub quota_keys: u64,
}

impl Default for KeyValueGrant {
    fn default() -> Self {
        Self { quota_bytes: 1 << 30, quota_keys: 5_000_000 }
    }
}

/// Narrows the storing of artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ArtifactsGrant {
    /// The most bytes one artifact may have.
    pub max_bytes: u64,
}

impl Default for ArtifactsGrant {
    fn default() -> Self {
        Self { max_bytes: 32 << 20 }
    }
}

impl Grants {
    /// Reads grants from TOML. Unknown keys are refused, so that a misspelt narrowing never widens.
    ///
    /// # Errors
    /// The TOML reader's message, with line and column.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Whether a call can change anything outside of its own sandbox. What cannot, may be done again after a crash
    /// without anyone noticing.
    #[must_use]
    pub fn may_act(&self) -> bool {
        // Every field by name: whoever adds a capability decides here.
        let Self { run_context: _, config: _, key_value, artifacts, mail, http, limits: _ } = self;
        key_value.is_some() || artifacts.is_some() || mail.is_some() || !http.is_empty()
    }

    /// Writes the grants as TOML, as an administrator would read them.
    ///
    /// # Errors
    /// When a number is outside of TOML's range (64-bit signed).
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// Whether the capability is allowed at all, however narrow. The checks of each use come on top.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        match capability {
            Capability::RunContext => self.run_context,
            Capability::Config => self.config,
            Capability::KeyValue => self.key_value.is_some(),
            Capability::Artifacts => self.artifacts.is_some(),
            Capability::Mail => self.mail.is_some(),
            Capability::Http => !self.http.is_empty(),
        }
    }
}

//! What a plugin may do: the grant language and the pure functions that check it.
//!
//! A [`Grants`] value is what an administrator allowed one installed plugin. Nothing is allowed by default. The checks
//! are pure functions from a grant and an intended effect to a permission or a [`Denial`]; whoever has the effect in
//! hand asks them before it happens. This crate knows no engine, no network and no store.

mod capability;
mod contain;
mod data;
mod denial;
mod effective;
mod http;
mod key_value;
mod learn;
mod limits;
mod mail;
mod narrow;
mod pattern;
mod sentence;
mod size;
mod text;
mod widen;

pub use capability::{Capability, Import, classify_import, describe_unknown};
pub use contain::{Difference, contains};
pub use data::{DataDenial, DataGrant, check_data};
pub use denial::Denial;
pub use effective::{Effective, TooManyRules};
pub use http::{
    Credential, CredentialPlace, HttpBody, HttpRequest, HttpRule, HttpTarget, Inject, InjectPlace,
    OauthClient, Permit, RuleError, SecretPlace, SecretUse, SignatureEncoding, Signing, Unlearnable,
    check_http, check_request, check_request_as, check_request_with,
};
pub use key_value::{Access, KeyValueGrant, KeyValueScope, SharedNamespace, check_key_value};
pub use learn::{Attempt, keeping_bounds, propose};
pub use limits::Limits;
pub use mail::{MailGrant, check_mail, check_mail_with};
pub use narrow::{
    ArtifactsNarrowing, DataNarrowing, HttpNarrowing, KeyValueNarrowing, LimitsNarrowing, MailNarrowing,
    Narrowing, narrow,
};
pub use pattern::{AddressPattern, FieldPointer, HostPattern, PathPattern, PatternError};
pub use sentence::{Language, cannot, sentences};
pub use size::{check_artifact, check_capability, check_mail_size};
pub use widen::widen;

use key_value::KeyValueWire;
use serde::{Deserialize, Serialize};

/// What an administrator allowed one installed plugin. The default allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "GrantsWire", into = "GrantsWire")]
pub struct Grants {
    /// May read its run context: run, task, attempt, idempotency key.
    pub run_context: bool,
    /// May read the configuration that the administrator gave it.
    pub config: bool,
    /// May keep keys and values in its own namespace.
    pub key_value: Option<KeyValueGrant>,
    /// What it may do there, and in which other namespaces. In TOML part of `[key-value]`.
    pub key_value_scope: KeyValueScope,
    /// May store artifacts and read back its own.
    pub artifacts: Option<ArtifactsGrant>,
    /// May send mail.
    pub mail: Option<MailGrant>,
    /// May send HTTP requests that match one of these rules. An empty list allows none.
    pub http: Vec<HttpRule>,
    /// Whose data it must not be given, and of what class its own is.
    pub data: DataGrant,
    /// What a call may use of the machine.
    pub limits: Limits,
}

/// Grants as they are written.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct GrantsWire {
    run_context: bool,
    config: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_value: Option<KeyValueWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts: Option<ArtifactsGrant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<MailGrant>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http: Vec<HttpRule>,
    #[serde(skip_serializing_if = "DataGrant::is_empty")]
    data: DataGrant,
    limits: Limits,
}

/// The most HTTP rules of one plugin.
const MAX_RULES: usize = 256;
/// The most address patterns of one list.
const MAX_ADDRESSES: usize = 1024;

impl TryFrom<GrantsWire> for Grants {
    type Error = &'static str;
    fn try_from(wire: GrantsWire) -> Result<Self, &'static str> {
        if wire.http.len() > MAX_RULES {
            return Err("at most 256 http rules");
        }
        let lists = wire.mail.iter().flat_map(|mail| [&mail.senders, &mail.recipients]);
        if lists.into_iter().any(|list| list.len() > MAX_ADDRESSES) {
            return Err("mail: at most 1024 senders and 1024 recipients");
        }
        if wire.mail.as_ref().is_some_and(|mail| mail.per_hour == Some(0)) {
            return Err("mail: per-hour is at least 1; to allow no mail, leave the table out");
        }
        wire.data.check()?;
        if wire.mail.as_ref().is_some_and(|mail| mail.not_from.len() > data::MAX_SOURCES) {
            return Err("mail: at most 64 entries in not-from");
        }
        let (key_value, key_value_scope) = wire.key_value.map(KeyValueWire::read).transpose()?.unzip();
        Ok(Self {
            run_context: wire.run_context,
            config: wire.config,
            key_value,
            key_value_scope: key_value_scope.unwrap_or_default(),
            artifacts: wire.artifacts,
            mail: wire.mail,
            http: wire.http,
            data: wire.data,
            limits: wire.limits,
        })
    }
}

impl From<Grants> for GrantsWire {
    fn from(grants: Grants) -> Self {
        Self {
            run_context: grants.run_context,
            config: grants.config,
            key_value: grants.key_value.map(|grant| KeyValueWire::new(&grant, &grants.key_value_scope)),
            artifacts: grants.artifacts,
            mail: grants.mail,
            http: grants.http,
            data: grants.data,
            limits: grants.limits,
        }
    }
}

/// Narrows the storing of artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ArtifactsGrant {
    /// The most bytes one artifact may have. By default 32 MiB.
    pub max_bytes: u64,
    /// The most artifacts stored in any 60 minutes, over all calls of the plugin. Absent (the default): no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
}

impl Default for ArtifactsGrant {
    fn default() -> Self {
        Self { max_bytes: 32 << 20, per_hour: None }
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
        let Self {
            run_context: _,
            config: _,
            key_value,
            key_value_scope: _,
            artifacts,
            mail,
            http,
            data: _,
            limits: _,
        } = self;
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

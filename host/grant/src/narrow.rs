//! Narrowing: what a manifest or a flow leaves of a grant.
//!
//! A narrowing names only what it narrows; what it does not name stays as granted. It cannot add anything: no secret, no
//! destination, no rate. This is the shape of a task's `metadata.grants`, and of what a manifest says it needs at most.

use factotum_provenance::Source;
use serde::{Deserialize, Serialize};

use crate::{Access, AddressPattern, Capability, FieldPointer, Grants, HostPattern, HttpRule, PathPattern};

/// Narrows a grant. The default narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Narrowing {
    /// The capabilities that stay at all. Absent: all; an empty list: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Capability>>,
    /// Narrows keys and values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_value: Option<KeyValueNarrowing>,
    /// Narrows artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<ArtifactsNarrowing>,
    /// Narrows mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailNarrowing>,
    /// Narrows HTTP: a request must be allowed by one of these, too. An empty list: none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Vec<HttpNarrowing>>,
    /// Narrows whose data the plugin may be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DataNarrowing>,
    /// Narrows what a call may use of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsNarrowing>,
}

/// Narrows whose data the plugin may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DataNarrowing {
    /// Whose data it must not be given, beside what the grant names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_from: Vec<Source>,
}

/// Narrows keys and values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KeyValueNarrowing {
    /// The most that may be done, in any namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The other plugins' namespaces that stay. Absent: all that were granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<Vec<String>>,
}

/// Narrows artifacts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ArtifactsNarrowing {
    /// The most bytes one artifact may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// Narrows mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MailNarrowing {
    /// In whose name, beside the host's default sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub senders: Option<Vec<AddressPattern>>,
    /// To whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<Vec<AddressPattern>>,
    /// The most bytes of one mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Whose data must not be in what is sent, beside what the grant names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_from: Vec<Source>,
}

/// Narrows HTTP rules: what is named must match, what is absent stays as granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HttpNarrowing {
    /// `https` or `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPattern>,
    /// The port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The methods, upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// The paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<PathPattern>>,
    /// The query keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<Vec<String>>,
    /// The fields of a JSON body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_fields: Option<Vec<FieldPointer>>,
    /// The most bytes of one request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_request_bytes: Option<u64>,
    /// The most bytes of one answer's body, decompressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_response_bytes: Option<u64>,
    /// Whose data must not go there, beside what the rule names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_from: Vec<Source>,
}

/// Narrows what a call may use of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitsNarrowing {
    /// The most linear memory one call may hold, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The longest one call may take, in milliseconds of wall-clock time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// The most calls at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl Narrowing {
    /// A narrowing to some capabilities, each as it was granted.
    #[must_use]
    pub fn to_capabilities(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self { only: Some(capabilities.into_iter().collect()), ..Self::default() }
    }
}

/// What `by` leaves of `grants`. A request is allowed by the result when `grants` and `by` both allow it, and it goes out
/// with the secrets and under the network rule of `grants`.
///
/// Each HTTP rule of the result keeps the rate and the concurrency of the rule it comes from. When one rule is narrowed to
/// several, they share them: count by [`crate::Permit::index`] of an [`crate::Effective`].
#[must_use]
pub fn narrow(grants: &Grants, by: &Narrowing) -> Grants {
    let stays = |capability| by.only.as_ref().is_none_or(|only| only.contains(&capability));
    let mut left = Grants {
        run_context: grants.run_context && stays(Capability::RunContext),
        config: grants.config && stays(Capability::Config),
        key_value: grants.key_value.clone().filter(|_| stays(Capability::KeyValue)),
        key_value_scope: grants.key_value_scope.clone(),
        artifacts: grants.artifacts.clone().filter(|_| stays(Capability::Artifacts)),
        mail: grants.mail.clone().filter(|_| stays(Capability::Mail)),
        http: Vec::new(),
        data: grants.data.clone(),
        limits: grants.limits.clone(),
    };
    if stays(Capability::Http) {
        left.http = narrow_rules(&grants.http, by.http.as_deref()).map(|(_, rule)| rule).collect();
    }
    if let Some(by) = &by.key_value {
        let scope = &mut left.key_value_scope;
        let most = by.access.unwrap_or_default();
        scope.access = scope.access.min(most);
        if let Some(names) = &by.shared {
            scope.shared.retain(|shared| names.contains(&shared.namespace));
        }
        for shared in &mut scope.shared {
            shared.access = shared.access.min(most);
        }
    }
    match &mut left.key_value {
        Some(quota) if left.key_value_scope.access == Access::Read => {
            (quota.quota_bytes, quota.quota_keys) = (0, 0);
        }
        Some(_) => {}
        None => left.key_value_scope = crate::KeyValueScope::default(),
    }
    if let (Some(artifacts), Some(by)) = (&mut left.artifacts, &by.artifacts) {
        artifacts.max_bytes = at_most(artifacts.max_bytes, by.max_bytes);
    }
    if let (Some(mail), Some(by)) = (&mut left.mail, &by.mail) {
        if let Some(senders) = &by.senders {
            mail.senders = pairs(&mail.senders, senders, AddressPattern::common);
        }
        if let Some(recipients) = &by.recipients {
            mail.recipients = pairs(&mail.recipients, recipients, AddressPattern::common);
        }
        mail.max_bytes = mail.max_bytes.into_iter().chain(by.max_bytes).min();
        crate::data::add(&mut mail.not_from, &by.not_from);
    }
    if let Some(by) = &by.data {
        crate::data::add(&mut left.data.not_from, &by.not_from);
    }
    if let Some(by) = &by.limits {
        let limits = &mut left.limits;
        limits.memory_bytes = at_most(limits.memory_bytes, by.memory_bytes);
        limits.time_ms = at_most(limits.time_ms, by.time_ms);
        limits.concurrency = at_most(limits.concurrency, by.concurrency);
    }
    left
}

/// What is left of each rule, with the rule's place in `rules`.
pub(crate) fn narrow_rules<'r>(
    rules: &'r [HttpRule],
    by: Option<&'r [HttpNarrowing]>,
) -> impl Iterator<Item = (usize, HttpRule)> + 'r {
    let whole = by.is_none().then(|| rules.iter().cloned().enumerate());
    let parts = by.map(|by| {
        rules.iter().enumerate().flat_map(move |(index, rule)| {
            by.iter().filter_map(move |by| narrow_rule(rule, by).map(|rule| (index, rule)))
        })
    });
    whole.into_iter().flatten().chain(parts.into_iter().flatten())
}

fn narrow_rule(rule: &HttpRule, by: &HttpNarrowing) -> Option<HttpRule> {
    if by.scheme.as_ref().is_some_and(|scheme| *scheme != rule.scheme)
        || by.port.is_some_and(|port| port != rule.effective_port())
    {
        return None;
    }
    let mut left = rule.clone();
    if let Some(host) = &by.host {
        left.host = rule.host.common(host)?;
    }
    if let Some(methods) = &by.methods {
        left.methods.retain(|method| methods.contains(method));
    }
    if let Some(paths) = &by.paths {
        left.paths = pairs(&rule.paths, paths, PathPattern::common);
    }
    if let Some(keys) = &by.query {
        left.query = Some(keys.iter().filter(|key| rule.allows_key(key)).cloned().collect());
    }
    if let Some(fields) = &by.body_fields {
        left.body_fields = Some(match &rule.body_fields {
            Some(granted) => pairs(granted, fields, FieldPointer::common),
            None => fields.clone(),
        });
    }
    left.max_request_bytes = at_most(rule.max_request_bytes, by.max_request_bytes);
    left.max_response_bytes = at_most(rule.max_response_bytes, by.max_response_bytes);
    crate::data::add(&mut left.not_from, &by.not_from);
    (!left.methods.is_empty() && !left.paths.is_empty()).then_some(left)
}

fn at_most<N: Ord>(granted: N, by: Option<N>) -> N {
    match by {
        Some(by) => granted.min(by),
        None => granted,
    }
}

/// What each of `one` has in common with each of `two`, without repetition.
fn pairs<P: Clone + Eq + std::hash::Hash>(
    one: &[P],
    two: &[P],
    common: impl Fn(&P, &P) -> Option<P>,
) -> Vec<P> {
    let mut seen = std::collections::HashSet::new();
    one.iter()
        .flat_map(|one| two.iter().filter_map(|two| common(one, two)))
        .filter(|pattern| seen.insert(pattern.clone()))
        .collect()
}

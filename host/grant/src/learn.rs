//! Learning: from the effects that a plugin attempted to the least grant that would have allowed them.
//!
//! Pure, like all of this room. Whoever answered the attempts without doing them hands them over; what comes back is for an
//! administrator to read, and to accept as it is or narrower. It allows each attempt, and nothing but what differs from one
//! of them in identifiers, in other people of the same mail domain, or in size.

use crate::{
    Access, AddressPattern, ArtifactsGrant, Capability, Grants, HttpRule, KeyValueGrant, KeyValueScope,
    MailGrant, Narrowing, SharedNamespace, http::without_contained, narrow,
};

/// An effect that a plugin attempted.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt {
    /// It read its run context.
    RunContext,
    /// It read its configuration.
    Config,
    /// It used keys and values.
    KeyValue {
        /// The plugin whose namespace it is; `None` for its own.
        namespace: Option<String>,
        /// What it did there.
        access: Access,
    },
    /// It stored an artifact of so many bytes.
    Artifact {
        /// Its size.
        bytes: u64,
    },
    /// It sent a mail.
    Mail {
        /// In whose name, when not the host's.
        sender: Option<String>,
        /// To whom.
        recipients: Vec<String>,
    },
    /// It sent an HTTP request: the least rule for it, see [`HttpRule::observed`].
    Http(Box<HttpRule>),
}

impl Attempt {
    /// The capability it belongs to.
    #[must_use]
    pub fn capability(&self) -> Capability {
        match self {
            Self::RunContext => Capability::RunContext,
            Self::Config => Capability::Config,
            Self::KeyValue { .. } => Capability::KeyValue,
            Self::Artifact { .. } => Capability::Artifacts,
            Self::Mail { .. } => Capability::Mail,
            Self::Http(_) => Capability::Http,
        }
    }
}

/// The least room that a proposal leaves for an artifact: one sample says little about the next one's size.
const MIN_ARTIFACT: u64 = 1 << 20;

/// The least grant for `attempts`, within the capabilities that the plugin `asks` for.
///
/// `known` are rules that an administrator or the plugin's author wrote already: where one has the same scheme, host and
/// port, its secrets and its word on the private network are taken over, as a request to that host without them would
/// sign in as nobody, unless the attempt says which secrets it used; and so are its rates and the data that it keeps away.
#[must_use]
pub fn propose(attempts: &[Attempt], asks: &[Capability], known: &[HttpRule]) -> Grants {
    let mut grants = Grants::default();
    let mut rules = Vec::new();
    for attempt in attempts {
        match attempt {
            Attempt::RunContext => grants.run_context = true,
            Attempt::Config => grants.config = true,
            Attempt::KeyValue { namespace, access } => key_value(&mut grants, namespace.as_deref(), *access),
            Attempt::Artifact { bytes } => {
                let room = bytes.saturating_mul(4).checked_next_power_of_two().unwrap_or(u64::MAX >> 1);
                let room = room.clamp(MIN_ARTIFACT, ArtifactsGrant::default().max_bytes.max(*bytes));
                let grant = grants
                    .artifacts
                    .get_or_insert(ArtifactsGrant { max_bytes: room, ..ArtifactsGrant::default() });
                grant.max_bytes = grant.max_bytes.max(room);
            }
            Attempt::Mail { sender, recipients } => mail(&mut grants, sender.as_deref(), recipients),
            Attempt::Http(rule) => rules.push(dressed((**rule).clone(), known)),
        }
    }
    grants.http = merged(rules);
    narrow(&grants, &Narrowing::to_capabilities(asks.iter().copied()))
}

/// The proposal with the bounds that the administrator set already and attempts say nothing of: rates, quotas, the size of a
/// mail, the data that is kept away, the limits. So that whoever accepts it in the grant's place gives none of them up.
#[must_use]
pub fn keeping_bounds(proposal: Grants, granted: &Grants) -> Grants {
    let mut kept = proposal;
    kept.data.clone_from(&granted.data);
    kept.limits.clone_from(&granted.limits);
    if let (Some(mail), Some(granted)) = (&mut kept.mail, &granted.mail) {
        mail.per_hour = granted.per_hour;
        mail.max_bytes = granted.max_bytes;
        mail.not_from.clone_from(&granted.not_from);
    }
    if let (Some(artifacts), Some(granted)) = (&mut kept.artifacts, &granted.artifacts) {
        artifacts.per_hour = granted.per_hour;
    }
    // One that only reads was proposed no room.
    if let (Some(quota), Some(granted)) = (&mut kept.key_value, &granted.key_value)
        && quota.quota_keys > 0
        && granted.quota_keys > 0
    {
        quota.clone_from(granted);
    }
    kept
}

fn key_value(grants: &mut Grants, namespace: Option<&str>, access: Access) {
    if grants.key_value.is_none() {
        grants.key_value = Some(KeyValueGrant { quota_bytes: 0, quota_keys: 0 });
        grants.key_value_scope = KeyValueScope { access: Access::Read, shared: Vec::new() };
    }
    let scope = &mut grants.key_value_scope;
    match namespace {
        None if access == Access::ReadWrite => {
            scope.access = access;
            grants.key_value = Some(KeyValueGrant::default());
        }
        None => {}
        Some(name) => match scope.shared.iter_mut().find(|shared| shared.namespace == name) {
            Some(shared) => shared.access = shared.access.max(access),
            None => scope.shared.push(SharedNamespace { namespace: name.to_owned(), access }),
        },
    }
}

fn mail(grants: &mut Grants, sender: Option<&str>, recipients: &[String]) {
    let grant = grants.mail.get_or_insert_with(MailGrant::default);
    let mut add = |list: fn(&mut MailGrant) -> &mut Vec<AddressPattern>, pattern: Option<AddressPattern>| {
        let list = list(grant);
        if let Some(pattern) = pattern.filter(|new| !list.iter().any(|old| old.contains(new))) {
            list.retain(|old| !pattern.contains(old));
            list.push(pattern);
        }
    };
    add(|grant| &mut grant.senders, sender.and_then(|sender| sender.parse().ok()));
    for recipient in recipients {
        let domain = recipient.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        let all: Option<AddressPattern> = domain.and_then(|domain| format!("*@{domain}").parse().ok());
        // An address that no star takes (a route, a quoted part) can only be named itself.
        let pattern = all.filter(|all| all.matches(recipient)).or_else(|| recipient.parse().ok());
        add(|grant| &mut grant.recipients, pattern);
    }
}

/// The rule with the secrets of a known rule for the same place, when they can stand in it.
fn dressed(rule: HttpRule, known: &[HttpRule]) -> HttpRule {
    let same = |other: &&HttpRule| {
        other.scheme == rule.scheme
            && other.host == rule.host
            && other.effective_port() == rule.effective_port()
    };
    let Some(other) = known.iter().find(same) else { return rule };
    let dressed = HttpRule {
        usable: if rule.usable.is_empty() { other.usable.clone() } else { rule.usable.clone() },
        inject: other.inject.clone(),
        credentials: other.credentials.clone(),
        private_network: other.may_be_private(),
        not_from: other.not_from.clone(),
        per_minute: other.per_minute,
        concurrency: other.concurrency,
        ..rule.clone()
    };
    // A key that the host writes and the plugin wrote as well cannot be granted with the secret.
    if rule.query.iter().flatten().any(|key| !dressed.allows_key(key)) { rule } else { dressed }
}

/// The rules in as few as say the same. Requests to the same place that differ in query keys and fields are taken for one
/// kind of request with parts that may be left out; after that, rules are joined only where nothing else gets in.
fn merged(rules: Vec<HttpRule>) -> Vec<HttpRule> {
    let rules = join(rules, |one, two| {
        let same = HttpRule {
            query: one.query.clone(),
            body_fields: one.body_fields.clone(),
            max_request_bytes: one.max_request_bytes,
            ..two.clone()
        };
        let Some(fields) = both_fields(one, two).filter(|_| *one == same) else { return false };
        let mut query: Vec<String> = one.query.iter().chain(&two.query).flatten().cloned().collect();
        query.sort_unstable();
        query.dedup();
        if query.len() > MAX_ENTRIES {
            return false;
        }
        one.query = Some(query);
        one.body_fields = fields;
        one.max_request_bytes = one.max_request_bytes.max(two.max_request_bytes);
        true
    });
    let rules = join(rules, |one, two| {
        let same = HttpRule { paths: one.paths.clone(), ..two.clone() };
        let more = two.paths.iter().filter(|path| !one.paths.contains(path)).cloned().collect::<Vec<_>>();
        let fits = *one == same && one.paths.len() + more.len() <= MAX_ENTRIES;
        if fits {
            one.paths.extend(more);
        }
        fits
    });
    join(rules, |one, two| {
        let same = HttpRule { methods: one.methods.clone(), ..two.clone() };
        let fits = *one == same;
        if fits {
            let more = two.methods.iter().filter(|method| !one.methods.contains(method)).cloned();
            let more = more.collect::<Vec<_>>();
            one.methods.extend(more);
        }
        fits
    })
}

/// The most entries of a merged rule's lists.
const MAX_ENTRIES: usize = 200;

/// The fields of both; `None` inside when one of them is any body. `None` when they are too many for one rule.
fn both_fields(one: &HttpRule, two: &HttpRule) -> Option<Option<Vec<crate::FieldPointer>>> {
    match (&one.body_fields, &two.body_fields) {
        (Some(one), Some(two)) => {
            let fields = without_contained(one.iter().chain(two).cloned().collect());
            (fields.len() <= MAX_ENTRIES).then_some(Some(fields))
        }
        _ => Some(None),
    }
}

/// Joins each rule into the first that `into` takes it into.
fn join(rules: Vec<HttpRule>, into: impl Fn(&mut HttpRule, &HttpRule) -> bool) -> Vec<HttpRule> {
    let mut joined: Vec<HttpRule> = Vec::new();
    for rule in rules {
        if !joined.iter_mut().any(|one| into(one, &rule)) {
            joined.push(rule);
        }
    }
    joined
}

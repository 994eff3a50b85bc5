//! What is kept of a token: everything but the token.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicI64, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::{AccessError, MAX_NAME_BYTES, Role, token::TokenDigest};

/// Most namespaces that a token can be confined to.
pub const MAX_NAMESPACES: usize = 64;
/// Longest namespace, in bytes (a DNS label, as flows have it).
const MAX_NAMESPACE: usize = 63;
/// Uses are noted by the hour: enough to find tokens that nobody uses, and no trace of a person's day.
pub(crate) const USE_STEP: i64 = 60 * 60 * 1000;
/// No use yet.
const NEVER: i64 = i64::MIN;

/// Where a token's role holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scope {
    /// On the whole host.
    Host,
    /// In these namespaces only; what concerns the whole host is refused.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// These namespaces.
    pub fn namespaces<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Namespaces(names.into_iter().map(Into::into).collect())
    }

    /// Whether a namespace is within it.
    #[must_use]
    pub fn holds(&self, namespace: &str) -> bool {
        match self {
            Scope::Host => true,
            Scope::Namespaces(names) => names.contains(namespace),
        }
    }

    pub(crate) fn check(&self) -> Result<(), AccessError> {
        let Scope::Namespaces(names) = self else { return Ok(()) };
        if names.is_empty() || names.len() > MAX_NAMESPACES {
            return Err(AccessError::Namespaces { problem: format!("there are {}", names.len()) });
        }
        match names.iter().find(|name| !is_namespace(name)) {
            Some(bad) => {
                Err(AccessError::Namespaces { problem: format!("{:?} is no namespace", shown(bad)) })
            }
            None => Ok(()),
        }
    }
}

fn is_namespace(name: &str) -> bool {
    (1..=MAX_NAMESPACE).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Who ended a token, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoked {
    pub(crate) at: i64,
    pub(crate) by: String,
}

/// The stored form. Times are milliseconds since 1970. Its key is the token's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// SHA-256 of the token, in hexadecimal.
    #[serde(with = "hex::serde")]
    pub(crate) digest: TokenDigest,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    pub(crate) created: i64,
    pub(crate) created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<Revoked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_used: Option<i64>,
}

/// A record at hand, with its last use, which changes with every request.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) name: String,
    pub(crate) record: Record,
    last_used: AtomicI64,
}

impl Live {
    pub(crate) fn new(name: String, record: Record) -> Live {
        let last_used = AtomicI64::new(record.last_used.unwrap_or(NEVER));
        Live { name, record, last_used }
    }

    /// Notes a use, by the hour.
    pub(crate) fn used(&self, now: i64) {
        let step = now.div_euclid(USE_STEP).saturating_mul(USE_STEP);
        // Read first: a request should not take the cache line from all others to write what stands there.
        if self.last_used.load(Ordering::Relaxed) < step {
            self.last_used.fetch_max(step, Ordering::Relaxed);
        }
    }

    pub(crate) fn last_used(&self) -> Option<i64> {
        Some(self.last_used.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
    }

    /// The record as it is to be stored now.
    pub(crate) fn current(&self) -> Record {
        Record { last_used: self.last_used(), ..self.record.clone() }
    }

    pub(crate) fn state(&self, now: i64) -> TokenState {
        if self.record.revoked.is_some() {
            TokenState::Revoked
        } else if self.record.expires.is_some_and(|expires| expires <= now) {
            TokenState::Expired
        } else {
            TokenState::Active
        }
    }

    /// Whether it can administer the host now.
    pub(crate) fn administers(&self, now: i64) -> bool {
        self.record.role == Role::Admin
            && self.record.scope == Scope::Host
            && self.state(now) == TokenState::Active
    }

    pub(crate) fn info(&self, now: i64) -> TokenInfo {
        let record = &self.record;
        TokenInfo {
            name: self.name.clone(),
            id: self.id(),
            role: record.role,
            scope: record.scope.clone(),
            created: record.created,
            created_by: record.created_by.clone(),
            expires: record.expires,
            revoked: record.revoked.as_ref().map(|revoked| revoked.at),
            revoked_by: record.revoked.as_ref().map(|revoked| revoked.by.clone()),
            last_used: self.last_used(),
            state: self.state(now),
        }
    }

    /// A few digits of the digest: tells two tokens apart that had one name at different times.
    pub(crate) fn id(&self) -> String {
        hex::encode(self.record.digest.get(..6).unwrap_or_default())
    }
}

/// Whether a token opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenState {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Revoked,
}

/// What may be shown of a token. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenInfo {
    /// Its name; the audit log calls its owner `token:NAME`.
    pub name: String,
    /// Twelve digits of its digest.
    pub id: String,
    /// Its role.
    pub role: Role,
    /// Where the role holds.
    pub scope: Scope,
    /// When it was made.
    pub created: i64,
    /// Who made it.
    pub created_by: String,
    /// When it ends by itself.
    pub expires: Option<i64>,
    /// When somebody ended it.
    pub revoked: Option<i64>,
    /// Who ended it.
    pub revoked_by: Option<String>,
    /// The hour of its last use.
    pub last_used: Option<i64>,
    /// Whether it opens anything.
    pub state: TokenState,
}

/// Refuses what cannot be a token's name.
pub(crate) fn check_name(name: &str) -> Result<(), AccessError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && name.len() <= MAX_NAME_BYTES && name.bytes().all(plain) {
        return Ok(());
    }
    Err(AccessError::Name { name: shown(name) })
}

/// A text that somebody else wrote, as an error may show it.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_NAME_BYTES).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_namespaces_are_bounded() {
        check_name("ci.deploy-1").unwrap();
        for bad in ["", ".a", "a b", "a/b", "键", "a\n", &"n".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        Scope::namespaces(["desk", "a-1"]).check().unwrap();
        for bad in ["", "-a", "a-", "a.b", "*", &"n".repeat(64)] {
            assert!(Scope::namespaces([bad]).check().is_err(), "{bad:?}");
        }
        assert!(
            Scope::Namespaces(BTreeSet::new()).check().is_err(),
            "no namespaces must never mean all of them"
        );
        assert!(Scope::namespaces((0..65).map(|n| n.to_string())).check().is_err());
    }

    #[test]
    fn a_record_without_a_scope_is_not_read_as_one_for_the_host() {
        let digest = "00".repeat(32);
        let text = |scope: &str| {
            format!(
                "{{\"digest\":\"{digest}\",\"role\":\"agent\"{scope},\"created\":1,\"created_by\":\"x\"}}"
            )
        };
        let read = |scope: &str| serde_json::from_str::<Record>(&text(scope));
        assert!(read("").is_err() && read(",\"scope\":null").is_err());
        assert_eq!(read(",\"scope\":\"host\"").unwrap().scope, Scope::Host);
        assert_eq!(read(",\"scope\":{\"namespaces\":[\"a\"]}").unwrap().scope, Scope::namespaces(["a"]));
    }
}

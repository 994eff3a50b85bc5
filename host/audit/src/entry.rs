//! What an entry says, and how one is built. Everything in it is bounded, whoever it comes from.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use factotum_store::Batch;
use serde::{Deserialize, Serialize};

use crate::AuditLog;

/// Longest text of a field, in characters; what is longer is cut and ends in `…`.
const MAX_TEXT: usize = 512;
/// Longest text of a detail's value, in characters: a grant that would have allowed what was refused fits whole.
const MAX_DETAIL: usize = 1024;
/// Longest key of a detail or digest, in characters.
const MAX_KEY: usize = 64;
/// Most details, and most digests.
const MAX_PAIRS: usize = 16;

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A caller of the API, by the name of the token.
    Token(String),
    /// A flow, by `namespace/name`.
    Flow(String),
    /// A plugin, by name.
    Plugin(String),
    /// A person, by the name the inbox or console knows.
    Person(String),
    /// The host itself.
    System,
    /// Someone who is not known (a refused call).
    Anonymous,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::Token(name) => write!(f, "token:{name}"),
            Actor::Flow(name) => write!(f, "flow:{name}"),
            Actor::Plugin(name) => write!(f, "plugin:{name}"),
            Actor::Person(name) => write!(f, "person:{name}"),
            Actor::System => f.write_str("system"),
            Actor::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// A grant, a token or a policy did not allow it.
    Denied,
    /// A fault of the matter itself: invalid input, not found, conflict.
    BusinessFault,
    /// A fault of the machinery: unavailable, timeout, trap.
    TechnicalFault,
    /// It was called off.
    Cancelled,
    /// It was begun; another entry tells the end.
    Started,
}

/// One entry. Its fields stand in the order of their names, which makes its JSON canonical (RFC 8785): do not reorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What was done: a verb such as `run.start`, `plugin.call`, `capability.mail.send`, `auth.refused`.
    pub action: String,
    /// Who did it, as [`Actor`] writes it.
    pub actor: String,
    /// A few words more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
    /// Keyed digests of payloads by name (`input`, `output`), as [`AuditLog::digest`] gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The run it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What it was done to.
    pub target: String,
    /// The task of the run, by its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When, RFC 3339 in UTC with milliseconds.
    pub time: String,
}

impl Entry {
    /// The canonical bytes that the hash covers.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        // Strings and maps of strings always serialise; an empty text would fail verification, not hide anything.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Builds an entry; [`EntryBuilder::add_to`] puts it into the batch of the effect it speaks of.
#[derive(Debug, Clone)]
#[must_use = "an entry is written when it is added to a batch and that is committed"]
pub struct EntryBuilder<'a> {
    log: &'a AuditLog,
    entry: Entry,
}

impl<'a> EntryBuilder<'a> {
    pub(crate) fn new(log: &'a AuditLog, actor: &Actor, action: &str, target: &str, now_ms: i64) -> Self {
        let entry = Entry {
            action: bounded(action, MAX_KEY),
            actor: bounded(&actor.to_string(), MAX_TEXT),
            detail: BTreeMap::new(),
            digests: BTreeMap::new(),
            outcome: Outcome::Ok,
            run: None,
            target: bounded(target, MAX_TEXT),
            task: None,
            time: rfc3339(now_ms),
        };
        Self { log, entry }
    }

    /// How it ended; `Ok` when not said.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.entry.outcome = outcome;
        self
    }

    /// The run it happened in.
    pub fn run(mut self, run: &str) -> Self {
        self.entry.run = Some(bounded(run, MAX_TEXT));
        self
    }

    /// The task of the run, by its path.
    pub fn task(mut self, task: &str) -> Self {
        self.entry.task = Some(bounded(task, MAX_TEXT));
        self
    }

    /// Commits to a payload by its keyed digest; the payload itself is not kept. At most 16 per entry.
    pub fn payload(mut self, name: &str, payload: &[u8]) -> Self {
        if self.entry.digests.len() < MAX_PAIRS {
            self.entry.digests.insert(plain_key(name), self.log.digest(payload));
        }
        self
    }

    /// Adds a short text. Never a payload or a secret: the log is kept for ever. At most 16 per entry, further ones
    /// are dropped and the entry says so.
    pub fn detail(mut self, key: &str, value: &str) -> Self {
        if self.entry.detail.len() < MAX_PAIRS {
            self.entry.detail.insert(plain_key(key), bounded(value, MAX_DETAIL));
        } else {
            self.entry.detail.insert("dropped".to_owned(), "further details".to_owned());
        }
        self
    }

    /// The entry as it will be written.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Puts the entry into a batch.
    pub fn add_to(self, batch: &mut Batch) {
        batch.chain(self.entry.canonical());
    }
}

/// A point in time as the log writes it.
pub(crate) fn rfc3339(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

/// Keys are plain ASCII, so that every way to sort them gives the same canonical form.
fn plain_key(key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    key.chars().take(MAX_KEY).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_characters() {
        assert_eq!(bounded("订单订单", 3), "订单订…");
        assert_eq!(bounded("abc", 3), "abc");
        assert_eq!(plain_key("a b\u{1F600}"), "a_b_");
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_222_800_007), "2026-11-21T01:00:00.007Z");
    }
}

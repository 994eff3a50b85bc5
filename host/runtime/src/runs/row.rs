//! The row of a run: what lists and resuming need to know without its journal.

use factotum_audit::Actor;
use serde::{Deserialize, Serialize};

use super::promises::PromiseId;
use super::queue::Lane;
use crate::flows::Deployment;
use crate::gate::Limited;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It is executing, or stands in the queue to.
    Running,
    /// It was accepted, and the limits of its flow let it start later.
    Queued,
    /// It waits: for a time, an event, a person, another run. It costs no memory meanwhile.
    Waiting,
    /// It ended with an output.
    Completed,
    /// It ended with an error that nothing caught.
    Faulted,
    /// It was cancelled.
    Cancelled,
    /// It cannot go on without a person; its reason says why.
    Stuck,
    /// A person has it stand still.
    Suspended,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Queued,
        Self::Waiting,
        Self::Completed,
        Self::Faulted,
        Self::Cancelled,
        Self::Stuck,
        Self::Suspended,
    ];

    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Faulted => "faulted",
            Self::Cancelled => "cancelled",
            Self::Stuck => "stuck",
            Self::Suspended => "suspended",
        }
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Faulted | Self::Cancelled)
    }

    /// Whether there is nothing to wait for: the run is over, or parked, or a person has it stand still.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self.is_final() || matches!(self, Self::Stuck | Self::Suspended)
    }
}

impl std::str::FromStr for RunState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no state of a run; known: {known}")
        })
    }
}

/// A run as the store keeps it. Times in milliseconds since the Unix epoch. Short names: there may be millions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    #[serde(rename = "s")]
    pub state: RunState,
    /// `namespace/name`.
    #[serde(rename = "f")]
    pub flow: String,
    /// The document's version.
    #[serde(rename = "v")]
    pub version: String,
    /// Digest of the deployment that the run keeps to.
    #[serde(rename = "d")]
    pub deployment: String,
    #[serde(rename = "a")]
    pub started_at: u64,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// When a waiting run goes on.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
    #[serde(rename = "by")]
    pub actor: String,
    /// What started it: `webhook`, `api`.
    #[serde(rename = "t")]
    pub trigger: String,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// One line on why it faulted, was cancelled, is stuck or stands still.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The promise of the run that started this one and waits for its end.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<PromiseId>,
    /// That what it held was removed: input, history, output.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// How many runs stand above it, each started by the one before.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    pub depth: u8,
    /// Under which limits it stands; none when its flow had none when it was accepted.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<Box<Limited>>,
}

impl Row {
    /// The row of a new run without a parent, limits or a deduplication key.
    pub fn of_new(
        state: RunState,
        flow: String,
        deployment: &Deployment,
        started_at: u64,
        actor: &Actor,
        trigger: String,
    ) -> Row {
        Row {
            state,
            flow,
            version: deployment.flow.document().version.to_string(),
            deployment: deployment.digest.clone(),
            started_at,
            ended_at: None,
            due: None,
            actor: actor.to_string(),
            trigger,
            dedupe_key: None,
            reason: None,
            parent: None,
            removed: None,
            depth: 0,
            limited: None,
        }
    }

    /// Where the run stands among those that wait for a place to execute in: its flow and its priority.
    pub fn lane(&self) -> Lane<'_> {
        let priority = self.limited.as_ref().map_or(0, |limited| limited.priority);
        Lane { flow: &self.flow, priority }
    }
}

/// That and why what a run held was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Removed {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Under which retention, in seconds; `None` when somebody's data were erased.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<u64>,
    /// Whether something of it may still be there: the removal was interrupted.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
}

impl Removed {
    /// In words, for people.
    pub fn words(&self) -> String {
        let at = crate::time::rfc3339(self.at);
        match self.retention {
            Some(seconds) => {
                format!("its content was removed at {at} under the retention of {}", kept_for(seconds))
            }
            None => format!("its content was removed at {at}: a customer's data were erased"),
        }
    }
}

/// A retention in words: whole days where it is days.
pub(crate) fn kept_for(seconds: u64) -> String {
    match seconds {
        s if s >= 86_400 && s % 86_400 == 0 => format!("{} days", s / 86_400),
        s if s >= 3_600 && s % 3_600 == 0 => format!("{} hours", s / 3_600),
        s => format!("{s} seconds"),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_zero(depth: &u8) -> bool {
    *depth == 0
}

/// The key of a run in the index by flow.
pub(crate) fn by_flow_key(flow: &str, id: &str) -> Vec<u8> {
    joined(flow, id)
}

/// The key of a run in the index by state.
pub(crate) fn by_state_key(state: RunState, id: &str) -> Vec<u8> {
    joined(state.as_str(), id)
}

/// The key under which a trigger's deduplication key is kept: hashed, because callers choose its length.
pub(crate) fn dedupe_key(flow: &str, key: &str) -> Vec<u8> {
    joined(flow, &crate::ids::digest_parts("dedupe", &[key.as_bytes()], 32))
}

/// The beginning of the keys that [`joined`] makes for `head`. Neither flows nor states contain a zero byte.
pub(crate) fn prefix(head: &str) -> Vec<u8> {
    joined(head, "")
}

fn joined(head: &str, tail: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(head.len() + 1 + tail.len());
    key.extend_from_slice(head.as_bytes());
    key.push(0);
    key.extend_from_slice(tail.as_bytes());
    key
}

/// The run's identifier at the end of an index key, or as the whole key.
pub(crate) fn id_of_key(key: &[u8]) -> Option<&str> {
    let start = key.iter().rposition(|b| *b == 0).map_or(0, |zero| zero + 1);
    std::str::from_utf8(key.get(start..)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small_and_comes_back() {
        let row = Row {
            state: RunState::Completed,
            flow: "support/ticket-intake".into(),
            version: "1.0.0".into(),
            deployment: "d".repeat(64),
            started_at: 1_700_000_000_000,
            ended_at: Some(1_700_000_000_003),
            due: None,
            actor: "hook".into(),
            trigger: "webhook".into(),
            dedupe_key: None,
            reason: None,
            parent: None,
            removed: None,
            depth: 0,
            limited: None,
        };
        let bytes = serde_json::to_vec(&row).unwrap();
        assert!(bytes.len() < 250, "{}", bytes.len());
        assert_eq!(serde_json::from_slice::<Row>(&bytes).unwrap(), row);
    }

    #[test]
    fn index_keys_hold_the_id_and_do_not_mix_flows() {
        let key = by_flow_key("a/b", "0123");
        assert_eq!(id_of_key(&key), Some("0123"));
        assert!(key.starts_with(&prefix("a/b")) && !by_flow_key("a/bc", "0123").starts_with(&prefix("a/b")));
    }

    #[test]
    fn states_are_read_and_written() {
        for state in RunState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!("done".parse::<RunState>().unwrap_err().contains("completed"));
    }
}

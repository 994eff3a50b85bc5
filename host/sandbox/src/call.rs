//! One call, seen from outside: its circumstances, its outcome, and what it used.

use std::time::Duration;

use factotum_grant::{Capability, DataDenial};
use factotum_provenance::{Labels, Provenance};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The circumstances of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// The flow, `namespace/name`.
    pub flow: Option<String>,
    /// The task's JSON Pointer.
    pub task: Option<String>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The same for every attempt of one task of one run.
    pub idempotency_key: String,
    /// A shorter limit than the plugin's own.
    pub timeout: Option<Duration>,
    /// Where the call's argument comes from.
    pub data: Provenance,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The request itself cannot succeed.
    Business,
    /// The world was not ready.
    Technical,
}

/// A call that failed: the plugin's own fault, or the sandbox's word on what went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallFault {
    /// Whether trying again can help.
    pub kind: FaultKind,
    /// A stable word for programs.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// How long to wait before trying again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
    /// The plugin's own error value, when it is not of the shared fault type.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Value>,
}

impl CallFault {
    /// A fault that trying again does not help.
    pub fn business(code: &str, message: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Business,
            code: code.into(),
            message: message.into(),
            hint: None,
            retry_after_ms: None,
            detail: None,
        }
    }

    /// A fault that may pass.
    pub fn technical(code: &str, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Technical, ..Self::business(code, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How a use of a capability ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseOutcome {
    /// It was done.
    Ok,
    /// The grants do not allow it.
    Denied {
        /// The smallest grant that would have allowed it, as TOML.
        mend: String,
    },
    /// It was allowed and did not succeed.
    Failed {
        /// The fault's code.
        code: String,
    },
}

/// A use of a capability by one call. Equal uses are counted, not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityUse {
    /// Which capability.
    pub capability: Capability,
    /// What was done: `send`, `GET`, `set`.
    pub action: String,
    /// To what: a recipient, a URL without query, a namespace. Never a payload.
    pub target: String,
    /// How often.
    pub count: u32,
    /// How it ended.
    pub outcome: UseOutcome,
}

/// A call, done.
#[derive(Debug, Clone, PartialEq)]
pub struct CallReport {
    /// The result as JSON, or why there is none.
    pub result: Result<Value, CallFault>,
    /// The capabilities used and refused, in order.
    pub uses: Vec<CapabilityUse>,
    /// Where the result comes from, beside the argument: the plugin, and what it read of stored data.
    pub from: Labels,
    /// Why the plugin was not started, when its grant keeps data away that is in the argument.
    pub not_given: Option<DataDenial>,
    /// How long it took, waiting for a place included.
    pub elapsed: Duration,
}

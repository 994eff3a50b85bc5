//! What happened in a run, as people and programs see it.

use factotum_flow::FlowError;
use serde::Serialize;
use serde_json::Value;

use super::RunInfo;
use crate::journal::{JournalError, Outcome, ReadRecord, Record};

/// A run with its history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub info: RunInfo,
    /// What it was started with; null when the journal cannot be read.
    pub input: Value,
    /// What happened, in order.
    pub history: Vec<RunEvent>,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunEvent {
    /// The run was accepted.
    Accepted {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
    },
    /// A call ended with its final outcome.
    Call {
        /// When it ended.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task, a JSON Pointer into the document.
        task: String,
        /// The execution of the task, which tells iterations apart.
        key: String,
        /// What was called.
        function: String,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How long this attempt took, in milliseconds.
        elapsed_ms: u64,
        /// What it gave.
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<Value>,
        /// Or how it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<FlowError>,
    },
    /// A call failed and is tried again.
    AttemptFailed {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task.
        task: String,
        /// The execution of the task.
        key: String,
        /// What was called.
        function: String,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// How long this attempt took, in milliseconds.
        elapsed_ms: u64,
        /// How it failed.
        error: FlowError,
        /// When the next attempt is made.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        retry_at: u64,
    },
    /// The run began to wait.
    Waiting {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task.
        task: String,
        /// Until when.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        due: u64,
    },
    /// The run began to listen for events.
    Listening {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task.
        task: String,
    },
    /// The run read an event.
    Heard {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task.
        task: String,
        /// The event's number in the host's log.
        sequence: u64,
        /// The CloudEvent.
        cloud_event: Value,
    },
    /// A deadline passed, and the task around it ended.
    DeadlinePassed {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task.
        task: String,
    },
    /// The run began to wait for something from outside.
    Asked {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task.
        task: String,
        /// What it waits for.
        waits_for: String,
    },
    /// What the run waited for came.
    Answered {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// The task.
        task: String,
        /// What it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<Value>,
        /// Or the error it ended with.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<FlowError>,
    },
    /// The run ended.
    Ended {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
    },
    /// The run was parked.
    Stuck {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// Why.
        reason: String,
    },
    /// The run was cancelled.
    Cancelled {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// Who had it cancelled.
        by: String,
        /// Why, if that one said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person had the run stand still.
    Suspended {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// Who.
        by: String,
    },
    /// A person let the run go on.
    Resumed {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// Who.
        by: String,
    },
    /// A person had the run retried.
    Retried {
        /// When.
        #[serde(serialize_with = "crate::time::serde_ms::serialize")]
        at: u64,
        /// Who.
        by: String,
        /// The deployment that it keeps to from here on, when that is another one.
        #[serde(skip_serializing_if = "Option::is_none")]
        deployment: Option<String>,
        /// How many earlier records answer nothing any more: what they tell of is done again.
        set_aside: u64,
    },
    /// A record that cannot be read.
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

impl RunDetail {
    pub(super) fn add(&mut self, record: ReadRecord) {
        self.history.push(match record {
            Record::Started { at, input, .. } => {
                self.input = input;
                RunEvent::Accepted { at }
            }
            Record::Called { key, task, function, at, elapsed_ms, attempt, outcome, from: _ } => {
                let (output, error) = match outcome {
                    Outcome::Value(value) => (Some(value), None),
                    Outcome::Error(error) => (None, Some(error)),
                };
                RunEvent::Call { at, task, key, function, attempt, elapsed_ms, output, error }
            }
            Record::AttemptFailed { key, task, function, at, elapsed_ms, attempt, error, retry_at } => {
                RunEvent::AttemptFailed { at, task, key, function, attempt, elapsed_ms, error, retry_at }
            }
            Record::Waiting { task, at, due, .. } => RunEvent::Waiting { at, task, due },
            Record::Late { task, at, .. } => RunEvent::DeadlinePassed { at, task },
            Record::Promised { task, at, what, .. } => RunEvent::Asked { at, task, waits_for: what },
            Record::Kept { task, at, outcome, .. } => {
                let (output, error) = match outcome {
                    Outcome::Value(value) => (Some(value), None),
                    Outcome::Error(error) => (None, Some(error)),
                };
                RunEvent::Answered { at, task, output, error }
            }
            Record::Subscribed { task, at, .. } => RunEvent::Listening { at, task },
            Record::Heard { task, at, number, event, .. } => {
                RunEvent::Heard { at, task, sequence: number, cloud_event: event }
            }
            Record::Unsubscribed { .. }
            | Record::Waited { .. }
            | Record::Time { .. }
            | Record::Decided { .. } => return,
            Record::Finished { at, outcome } => {
                match outcome {
                    Outcome::Value(value) => self.info.output = Some(value),
                    Outcome::Error(error) => self.info.error = Some(error),
                }
                RunEvent::Ended { at }
            }
            Record::Stuck { at, reason } => RunEvent::Stuck { at, reason },
            Record::Cancelled { at, by, reason } => RunEvent::Cancelled { at, by, reason },
            Record::Held { at, by } => RunEvent::Suspended { at, by },
            Record::Unheld { at, by } => RunEvent::Resumed { at, by },
            Record::Reopened { at, by, deployment, aside } => {
                (self.info.output, self.info.error) = (None, None);
                let set_aside = aside.iter().map(|(first, last)| last.saturating_sub(*first) + 1).sum();
                RunEvent::Retried { at, by, deployment, set_aside }
            }
        });
    }

    pub(super) fn unreadable(&mut self, error: &JournalError) {
        self.history.push(RunEvent::Unreadable { reason: error.to_string() });
    }
}

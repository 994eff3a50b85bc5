//! The one way out of the interpreter, and what comes back.

use super::Position;
use crate::{FlowError, FunctionRef};
use factotum_provenance::{Labels, Provenance};
use serde_json::{Map, Value};
use std::time::Duration;

/// A call of a plugin's function.
#[derive(Debug)]
pub struct Call<'a> {
    /// What is called.
    pub function: &'a FunctionRef,
    /// Its arguments, computed.
    pub with: Value,
    /// Where they come from.
    pub from: Provenance,
    /// Whether the host should repeat the call on technical faults. False inside a `try` that has its own `retry`.
    pub host_retries: bool,
    /// The task's `metadata`.
    pub metadata: &'a Map<String, Value>,
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The output; or the fault, which a `try` may catch.
    pub result: Result<Value, FlowError>,
    /// Where it comes from, beside the arguments: the plugin, and what it read of stored data. The same when the run is
    /// replayed.
    pub from: Labels,
}

/// An answer that comes from nowhere but the arguments.
impl From<Result<Value, FlowError>> for Answer {
    fn from(result: Result<Value, FlowError>) -> Self {
        Answer { result, from: Labels::default() }
    }
}

/// Everything that the interpreter cannot do by itself.
///
/// Replaying is calling [`crate::Flow::run`] again with effects that answer what was recorded under
/// [`Position::key`].
#[async_trait::async_trait]
pub trait Effects: Send + Sync {
    /// Calls an action of a plugin.
    ///
    /// # Errors
    /// Why the run stops here. A call that failed is an [`Answer`]; a [`Stop::Fault`] counts as one.
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<Answer, Stop>;

    /// Returns when the time has passed; a durable host returns [`Stop::Suspended`] instead and runs again later.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn wait(&self, at: &Position, duration: Duration) -> Result<(), Stop>;

    /// A number from 0 up to 1, the same when the run is replayed.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn random(&self, at: &Position) -> Result<f64, Stop>;

    /// The time (RFC 3339), the same when the run is replayed. Asked only when an expression or a limit needs it.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn now(&self, at: &Position) -> Result<String, Stop>;

    /// Tells what happens, for logs, live views and tests. Has no influence.
    fn observe(&self, at: &Position, event: &TaskEvent<'_>);
}

/// What happens to a task.
#[derive(Debug)]
pub enum TaskEvent<'a> {
    /// It begins.
    Started,
    /// Its `if` was false.
    Skipped,
    /// It ended well.
    Completed,
    /// It ended with an error.
    Faulted(&'a FlowError),
    /// A `try` waits and then begins again.
    Retrying {
        /// The attempt that follows; the first retry is 1.
        attempt: u64,
        /// How long it waits before.
        after: Duration,
    },
}

/// Why an effect did not give a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// It failed; a `try` may catch this.
    Fault(FlowError),
    /// The run goes on later, from its journal.
    Suspended,
    /// The run was cancelled.
    Cancelled,
}

/// How a run ended, for now.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With this output.
    Completed(Value),
    /// With an error that nothing caught.
    Faulted(FlowError),
    /// It goes on later.
    Suspended,
    /// It was cancelled.
    Cancelled,
}

/// What a run starts from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The run's id, `$workflow.id` in expressions.
    pub run_id: String,
    /// The raw input.
    pub input: Value,
    /// When the run started (RFC 3339), recorded by the caller so that a replay sees the same.
    pub started_at: String,
}

//! The one way out of the interpreter, and what comes back.

use super::{Ask, Call, Deadline, Emit, Halt, HttpCall, Position, Script, Subflow, Subscription, Undoing};
use crate::expr::Data;
use crate::{FlowError, Hours, SlaChange};
use factotum_calendar::Length;
use factotum_provenance::{Labels, Provenance};
use serde_json::Value;
use std::time::Duration;

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

/// What a task makes of an answer: the output, or the fault. Either may hold all that went in, so it comes from there as well.
pub(crate) fn answered(asked: Result<Answer, Stop>, given: impl Into<Provenance>) -> Result<Data, Halt> {
    let answer = match asked {
        Err(Stop::Fault(error)) => Answer::from(Err(error)),
        other => other?,
    };
    let from = given.into().and(&answer.from);
    match answer.result {
        Ok(output) => Ok(Data::from(output).of(from)),
        Err(error) => Err(Halt::Fault(error.and_labels(&from.total()))),
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

    /// Sends an HTTP request of the flow's own. The answer is shaped as [`HttpCall::output`] says; a status that is no
    /// success is a communication error with that status.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn http(&self, at: &Position, call: &HttpCall<'_>) -> Result<Answer, Stop> {
        let _ = (at, call);
        lacks("HTTP for flows")
    }

    /// Publishes an event; answers the event as it was published.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn emit(&self, at: &Position, emit: &Emit) -> Result<Answer, Stop> {
        let _ = (at, emit);
        lacks("events")
    }

    /// The `nth` event, from 0, that fits the subscription at this place; the first question opens it. A durable host
    /// returns [`Stop::Suspended`] when there is none yet. Events that come between two questions are kept. The answer's
    /// value is the CloudEvent in its JSON form, and `data` is there whatever its media type.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn event(
        &self,
        at: &Position,
        nth: u64,
        subscription: &Subscription,
        deadline: Option<Deadline>,
    ) -> Result<Answer, Stop> {
        let _ = (at, nth, subscription, deadline);
        lacks("events")
    }

    /// Closes the subscription of this place: what comes later is not kept. Also called on a replay.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn unsubscribe(&self, at: &Position) -> Result<(), Stop> {
        let _ = at;
        Ok(())
    }

    /// Starts another flow; answers its output when the task waits for it, else `{id}`.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn subflow(&self, at: &Position, subflow: &Subflow) -> Result<Answer, Stop> {
        let _ = (at, subflow);
        lacks("sub-flows")
    }

    /// Runs a script; answers `{code, stdout, stderr}`.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn script(&self, at: &Position, script: &Script<'_>) -> Result<Answer, Stop> {
        let _ = (at, script);
        lacks("scripts")
    }

    /// Asks a person; answers `{outcome, answer, by, at}`.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn ask(&self, at: &Position, ask: &Ask<'_>) -> Result<Answer, Stop> {
        let _ = (at, ask);
        lacks("an inbox")
    }

    /// Returns when the time has passed; a durable host returns [`Stop::Suspended`] instead and runs again later.
    ///
    /// # Errors
    /// Why the run stops here; [`Stop::DeadlinePassed`] when the deadline comes first.
    async fn wait(&self, at: &Position, duration: Duration, deadline: Option<Deadline>) -> Result<(), Stop>;

    /// The moment that is `after` from now, the same when the run is replayed.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn deadline(&self, at: &Position, after: Duration) -> Result<Deadline, Stop>;

    /// Returns when a length of business time has passed, as [`Effects::wait`] does. The moment is decided once, when the
    /// wait begins: hours that are changed later do not change it.
    ///
    /// # Errors
    /// Why the run stops here; [`Stop::DeadlinePassed`] when the deadline comes first.
    async fn business_wait(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
        deadline: Option<Deadline>,
    ) -> Result<(), Stop> {
        let _ = (at, length, hours, deadline);
        lacks("business hours")
    }

    /// The moment that is a length of business time from now, the same when the run is replayed.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn business_deadline(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
    ) -> Result<Deadline, Stop> {
        let _ = (at, length, hours);
        lacks("business hours")
    }

    /// Tells what a task says of the run's clocks (`document.metadata.sla`). Has no influence on the run.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn sla(&self, at: &Position, change: SlaChange) -> Result<(), Stop> {
        let _ = (at, change);
        Ok(())
    }

    /// What [`Effects::decide`] wrote down at this place, if it did: which branch of a `fork` ended it.
    fn decided(&self, at: &Position) -> Option<Value>;

    /// Writes down what was decided here, before anything depends on it.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn decide(&self, at: &Position, value: &Value) -> Result<(), Stop>;

    /// Does what takes back what an earlier task did, while the run is unwound. Like [`Effects::call`], [`Effects::http`] and
    /// [`Effects::subflow`], and goes on when the run was cancelled.
    ///
    /// # Errors
    /// Why the run stops here.
    async fn compensate(&self, at: &Position, what: &Undoing<'_, '_>) -> Result<Answer, Stop> {
        match what {
            Undoing::Call(call) => self.call(at, call).await,
            Undoing::Http(call) => self.http(at, call).await,
            Undoing::Subflow(subflow) => self.subflow(at, subflow).await,
        }
    }

    /// Tells that `what` could not take back an earlier task's work. Also told on a replay.
    fn not_undone(&self, at: &Position, what: &str, error: &FlowError) {
        let _ = (at, what, error);
    }

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

/// The answer of a host that cannot do this at all.
fn lacks<T>(what: &str) -> Result<T, Stop> {
    Err(Stop::Fault(FlowError::configuration(format!("there is no {what} where this flow runs"))))
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
    /// The request's deadline has passed. Recorded: a replay is told the same at the same place.
    DeadlinePassed,
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
    /// Where the input comes from; nothing stands for the trigger.
    pub from: Labels,
}

impl Start {
    /// Where the input comes from.
    pub(crate) fn origin(&self) -> Labels {
        if self.from.is_empty() { Labels::trigger() } else { self.from.clone() }
    }
}

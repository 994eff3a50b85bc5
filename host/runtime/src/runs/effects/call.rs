//! Calls of plugins: made, tried again, journalled with what they used.

use std::sync::Arc;
use std::time::Duration;

use factotum_flow::{Answer, Call, FlowError, Position, Stop};
use factotum_grant::{Capability, DataDenial};
use factotum_provenance::Labels;
use factotum_sandbox::{CallContext, CallFault, CallReport, CapabilityUse, FaultKind, Narrowed, UseOutcome};
use factotum_store::Batch;
use serde_json::Value;

use super::super::replay::{Answered, Failed};
use super::detach::Detached;
use super::rest::in_fork;
use super::time::until;
use super::{Durable, Halted, LONGEST_NAP_MS, MAX_RECORD, millis, narrowed_at};
use crate::actions::{NotLoaded, Pin};
use crate::journal::{Outcome, Record, WriteRecord};
use crate::{audit, faults, retry};

impl Durable<'_> {
    /// The outcome of a call. With `takes_back` the call undoes an earlier one, and cancelling the run does not stop it.
    pub(super) async fn call_plugin(
        &self,
        at: &Position,
        call: &Call<'_>,
        takes_back: bool,
    ) -> Result<Answer, Stop> {
        if let Some(answer) = self.answered(at, call) {
            return answer;
        }
        self.not_late(at, call.deadline)?;
        let Some(pin) = self.run.deployment.pin(call.function) else {
            return Err(
                self.stuck(format!("{} is not among the calls this flow was deployed with", call.function))
            );
        };
        let pin = Arc::clone(pin);
        let failed = self.lock().replay.failed(at);
        let mut attempt = 1;
        if let Some(Failed { attempt: last, retry_at }) = failed {
            self.resume_pause(at, retry_at, call.deadline, takes_back).await?;
            attempt = last.saturating_add(1);
        }
        if self.engine.actions.may_act(&pin) {
            self.catch_up().await?;
        }
        let key = match &call.idempotency_key {
            Some(key) => key.clone(),
            None => self.lock().replay.idempotency_key(&self.run.id, at),
        };
        let narrowed = self.run.deployment.narrowed(&narrowed_at(at, takes_back));
        loop {
            if self.engine.stop.is_requested() {
                return Err(self.halt(Halted::Abandon));
            }
            self.wanted(takes_back)?;
            self.in_time(at, call.deadline).await?;
            let context = self.context(at, call, &key, attempt);
            let report = match self.attempt(at, call, &pin, context, narrowed).await {
                Ok(report) => report,
                Err(NotLoaded(why)) => return Err(self.stuck(why)),
            };
            if report.result.is_err() && self.passed(call.deadline) {
                return Err(self.cut_short(at, call, &pin, attempt, &report).await);
            }
            let pause = match &report.result {
                Err(fault) if may_retry(fault, call) => retry::pause_ms(attempt, &key, fault.retry_after_ms),
                _ => None,
            };
            match pause {
                None => return self.settle(at, call, &pin, attempt, report).await,
                Some(ms) => self.pause(at, call, &pin, attempt, report, ms, takes_back).await?,
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// Makes a call once. In a `fork` it goes to its end even when this future is dropped, and is then audited.
    async fn attempt(
        &self,
        at: &Position,
        call: &Call<'_>,
        pin: &Arc<Pin>,
        context: CallContext,
        narrowed: Option<&Arc<Narrowed>>,
    ) -> Result<CallReport, NotLoaded> {
        if !in_fork(at) {
            return self.engine.actions.call(pin, &call.with, &context, narrowed).await;
        }
        let (engine, run, at) = (Arc::clone(self.engine), self.run.clone(), at.clone());
        let (pin, with, attempt) = (Arc::clone(pin), call.with.clone(), context.attempt);
        let secret = self.lock().secret.clone();
        let work = {
            let (actions, pin, with) = (Arc::clone(&self.engine.actions), Arc::clone(&pin), with.clone());
            let narrowed = narrowed.cloned();
            async move { actions.call(&pin, &with, &context, narrowed.as_ref()).await }
        };
        let afterwards = move |report: Result<CallReport, NotLoaded>| {
            let left = async move {
                let Ok(CallReport { result, uses, not_given, .. }) = report else { return };
                let result = result.map_err(|fault| faults::to_flow_error(&fault, &pin, attempt));
                let called = audit::Called {
                    run: &run,
                    at: &at,
                    pin: &pin,
                    with: &with,
                    result: result.as_ref(),
                    attempt,
                    uses: &uses,
                    not_given: not_given.as_ref(),
                    secret: &secret,
                };
                let mut batch = Batch::new();
                audit::run_call(&mut batch, &engine, &called);
                if let Err(error) = engine.commit(batch).await {
                    tracing::error!(run = %run.id, %error, "a call that nobody waited for could not be audited");
                }
            };
            Box::pin(left) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
        };
        Detached::new(work, afterwards).await
    }

    /// Writes down a call that its deadline ended, and what it had done until then.
    async fn cut_short(
        &self,
        at: &Position,
        call: &Call<'_>,
        pin: &Pin,
        attempt: u32,
        report: &CallReport,
    ) -> Stop {
        let Err(fault) = &report.result else { return Stop::DeadlinePassed };
        let error = faults::to_flow_error(fault, pin, attempt);
        let mut entries = Batch::new();
        self.audit(
            &mut entries,
            at,
            call,
            pin,
            attempt,
            Err(&error),
            &report.uses,
            report.not_given.as_ref(),
        );
        self.late(at, entries).await
    }

    /// The outcome of a call, if the journal has it.
    fn answered(&self, at: &Position, call: &Call<'_>) -> Option<Result<Answer, Stop>> {
        let Answered { function, from, outcome } = self.lock().replay.call(at)?;
        if function != call.function.to_string() {
            return Some(Err(self.stuck(format!(
                "the journal has a call of {function} at {}, the flow makes one of {} there",
                at.key(),
                call.function
            ))));
        }
        // Journals write only what the call's plugin does not say by itself.
        let from = if from.is_empty() { self.plain(call) } else { from };
        let result = match outcome {
            Outcome::Value(value) => Ok(value),
            Outcome::Error(error) => Err(error),
        };
        Some(Ok(Answer { result, from }))
    }

    /// Where the outcome of a call comes from that read nothing stored, of a plugin whose data has no class.
    fn plain(&self, call: &Call<'_>) -> Labels {
        let plugin = self.run.deployment.pin(call.function).map(|pin| pin.plugin.as_str());
        Labels::from_origin(plugin.unwrap_or_default(), None)
    }

    fn context(&self, at: &Position, call: &Call<'_>, idempotency_key: &str, attempt: u32) -> CallContext {
        CallContext {
            run_id: Some(self.run.id.clone()),
            flow: Some(self.run.row.flow.clone()),
            task: Some(at.pointer().to_owned()),
            attempt,
            idempotency_key: idempotency_key.to_owned(),
            timeout: self.rest(call.deadline),
            data: call.from.clone(),
        }
    }

    /// Journals the outcome of a call, together with what it used, and gives the outcome on.
    async fn settle(
        &self,
        at: &Position,
        call: &Call<'_>,
        pin: &Pin,
        attempt: u32,
        report: CallReport,
    ) -> Result<Answer, Stop> {
        let CallReport { result, uses, from, not_given, elapsed } = report;
        let mut result = result.map_err(|fault| faults::to_flow_error(&fault, pin, attempt));
        let mut bytes = self.encode(&self.called(at, call, attempt, elapsed, &from, result.as_ref()))?;
        if bytes.len() > MAX_RECORD {
            result = Err(too_large(bytes.len(), pin, attempt));
            bytes = self.encode(&self.called(at, call, attempt, elapsed, &from, result.as_ref()))?;
        }
        let mut entries = Batch::new();
        self.audit(&mut entries, at, call, pin, attempt, result.as_ref(), &uses, not_given.as_ref());
        if self.engine.actions.may_act(pin) || uses.iter().any(acted) || not_given.is_some() {
            self.write(Some(bytes), entries).await?;
        } else {
            self.put_ahead(bytes, entries).await?;
        }
        if let Err(error) = &result {
            let error = self.shown_text(&error.to_string());
            tracing::debug!(run = %self.run.id, task = at.pointer(), error, "a call failed");
        }
        Ok(Answer { result, from })
    }

    fn called<'a>(
        &self,
        at: &Position,
        call: &Call<'_>,
        attempt: u32,
        elapsed: Duration,
        from: &Labels,
        result: Result<&'a Value, &'a FlowError>,
    ) -> WriteRecord<'a> {
        let from = if *from == self.plain(call) { Labels::default() } else { from.clone() };
        Record::Called {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            function: call.function.to_string(),
            at: self.engine.clock.now_ms(),
            elapsed_ms: millis(elapsed),
            attempt,
            from,
            outcome: match result {
                Ok(value) => Outcome::Value(value),
                Err(error) => Outcome::Error(error),
            },
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they only pass through, to the fields of one record")]
    fn audit(
        &self,
        batch: &mut Batch,
        at: &Position,
        call: &Call<'_>,
        pin: &Pin,
        attempt: u32,
        result: Result<&Value, &FlowError>,
        uses: &[CapabilityUse],
        not_given: Option<&DataDenial>,
    ) {
        let secret = self.lock().secret.clone();
        let (run, with, secret) = (self.run, &call.with, &secret);
        let called = audit::Called { run, at, pin, with, result, attempt, uses, not_given, secret };
        audit::run_call(batch, self.engine, &called);
    }

    #[expect(clippy::too_many_arguments, reason = "what a call's loop knows of its attempt")]
    /// Journals a failed attempt and lets the pause before the next one pass; suspends the run when it is long.
    async fn pause(
        &self,
        at: &Position,
        call: &Call<'_>,
        pin: &Pin,
        attempt: u32,
        report: CallReport,
        pause_ms: u64,
        takes_back: bool,
    ) -> Result<(), Stop> {
        let Err(fault) = &report.result else { return Ok(()) };
        let error = faults::to_flow_error(fault, pin, attempt);
        let now = self.engine.clock.now_ms();
        let retry_at = now.saturating_add(pause_ms);
        let record = Record::AttemptFailed {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            function: call.function.to_string(),
            at: now,
            elapsed_ms: millis(report.elapsed),
            attempt,
            error: &error,
            retry_at,
        };
        let bytes = self.encode(&record)?;
        let mut entries = Batch::new();
        self.audit(&mut entries, at, call, pin, attempt, Err(&error), &report.uses, None);
        let until = until(retry_at, call.deadline);
        if until.saturating_sub(now) > LONGEST_NAP_MS {
            self.note_rest(at, bytes, entries).await?;
            return Err(self.rest_until(at, Some(until)));
        }
        self.write(Some(bytes), entries).await?;
        self.nap(until, takes_back).await
    }
}

/// Whether a use reached something outside of the sandbox, or tried to: a refusal is to be on disk at once.
fn acted(used: &CapabilityUse) -> bool {
    let harmless = matches!(used.capability, Capability::RunContext | Capability::Config);
    !harmless || used.outcome != UseOutcome::Ok
}

fn may_retry(fault: &CallFault, call: &Call<'_>) -> bool {
    call.host_retries && fault.kind == FaultKind::Technical
}

fn too_large(bytes: usize, pin: &Pin, attempt: u32) -> FlowError {
    let message =
        format!("{}/{} returned {bytes} bytes; at most {MAX_RECORD} can be kept", pin.plugin, pin.function);
    let fault = CallFault::business("result-too-large", message)
        .with_hint("store large results as artifacts and return their identifiers");
    faults::to_flow_error(&fault, pin, attempt)
}

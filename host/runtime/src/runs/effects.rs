//! The effects of a run, durable: answered from the journal when it has them, else done, journalled, and then told.
//!
//! Each effect follows one order: look into the journal; write down what the journal does not have yet but the effect
//! depends on; act; commit outcome and audit entries in one batch; go on.
//!
//! A call of a plugin that may act on nothing need not be on disk before the run goes on, since no one outside has seen
//! it: if the host dies, it is made again. Its records stay in memory until the next call that may act, the next wait, or
//! the end of the run, up to a bound.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use factotum_flow::{Answer, Call, Deadline, Effects, FlowError, Position, Stop, TaskEvent};
use factotum_grant::{Capability, DataDenial};
use factotum_provenance::Labels;
use factotum_sandbox::{CallContext, CallFault, CallReport, CapabilityUse, FaultKind, UseOutcome};
use factotum_store::{Batch, MAX_VALUE, StoreError};
use serde_json::Value;

use super::replay::{Answered, Failed, Replay, Waited};
use super::{Engine, Run};
use crate::actions::{NotLoaded, Pin};
use crate::journal::{Outcome, Record, WriteRecord};
use crate::{audit, faults, ids, retry};

/// A pause up to this long is slept through; a longer one suspends the run, which then costs no memory.
const LONGEST_NAP_MS: u64 = 2_000;
/// So much of what is not on disk yet is written at the latest, in operations and in bytes.
const MAX_AHEAD: (usize, usize) = (64, 256 * 1024);
/// The largest journal record, in bytes. Below the store's bound, so that a record with its name always fits.
pub(super) const MAX_RECORD: usize = MAX_VALUE - 64 * 1024;

/// Why a run stopped without an end.
#[derive(Debug)]
pub(super) enum Halted {
    /// It goes on at `due`; the batch says so and is yet to be committed.
    Suspend { due: u64, batch: Batch },
    /// The host is stopping, or the store failed: what is on disk is resumed at the next start.
    Abandon,
    /// It cannot go on without a person.
    Stuck(String),
}

/// The effects of one execution of a run.
pub(super) struct Durable<'r> {
    engine: &'r Engine,
    run: &'r Run,
    state: Mutex<State>,
}

struct State {
    replay: Replay,
    /// The position of the next journal record.
    next: u64,
    /// What is to be on disk before the next effect acts.
    ahead: Batch,
    halted: Option<Halted>,
}

impl<'r> Durable<'r> {
    pub fn new(engine: &'r Engine, run: &'r Run, replay: Replay, next: u64) -> Self {
        let state = State { replay, next, ahead: Batch::new(), halted: None };
        Self { engine, run, state: Mutex::new(state) }
    }

    /// Why the run stopped, if it did; and a batch with the records that were not written yet.
    pub fn into_end(self) -> (Option<Halted>, Batch, u64) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.halted, state.ahead, state.next)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the run here. The first reason stands.
    fn halt(&self, why: Halted) -> Stop {
        self.lock().halted.get_or_insert(why);
        Stop::Suspended
    }

    fn stuck(&self, why: impl Into<String>) -> Stop {
        self.halt(Halted::Stuck(why.into()))
    }

    /// A batch that continues the journal with what stands ahead and `record`.
    fn batch_with(&self, record: Vec<u8>) -> Batch {
        let mut state = self.lock();
        state.put(&self.run.id, record);
        std::mem::take(&mut state.ahead)
    }

    async fn commit(&self, batch: Batch) -> Result<(), Stop> {
        match self.engine.commit(batch).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => {
                Err(self.stuck(format!("someone else wrote into the run's journal: {error}")))
            }
            // Too large, or against a rule of the store: it would be refused again.
            Err(error @ StoreError::Invalid(_)) => {
                Err(self.stuck(format!("its journal cannot be written: {error}")))
            }
            Err(error) => {
                tracing::error!(run = %self.run.id, %error, "a run stops: its journal cannot be written");
                Err(self.halt(Halted::Abandon))
            }
        }
    }

    /// Puts on disk what the next effect may depend on.
    async fn catch_up(&self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.lock().ahead);
        if batch.is_empty() { Ok(()) } else { self.commit(batch).await }
    }

    /// Keeps in memory what is to be on disk before the next effect acts, up to a bound.
    async fn put_ahead(&self, record: Vec<u8>, entries: Batch) -> Result<(), Stop> {
        let full = {
            let mut state = self.lock();
            state.put(&self.run.id, record);
            state.ahead.merge(entries);
            state.ahead.operations() >= MAX_AHEAD.0 || state.ahead.bytes() >= MAX_AHEAD.1
        };
        if full { self.catch_up().await } else { Ok(()) }
    }

    fn encode(&self, record: &WriteRecord<'_>) -> Result<Vec<u8>, Stop> {
        record.encode().map_err(|e| self.stuck(format!("a journal record cannot be written: {e}")))
    }

    /// The outcome of a call, if the journal has it.
    fn answered(&self, at: &Position, call: &Call<'_>) -> Option<Result<Answer, Stop>> {
        let Answered { function, from, outcome } = self.lock().replay.calls.remove(at.key())?;
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
            timeout: None,
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
            let mut batch = self.batch_with(bytes);
            batch.merge(entries);
            self.commit(batch).await?;
        } else {
            self.put_ahead(bytes, entries).await?;
        }
        if let Err(error) = &result {
            tracing::debug!(run = %self.run.id, task = at.pointer(), %error, "a call failed");
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
        let called =
            audit::Called { run: self.run, at, pin, with: &call.with, result, attempt, uses, not_given };
        audit::run_call(batch, self.engine, &called);
    }

    /// Journals a failed attempt and lets the pause before the next one pass; suspends the run when it is long.
    async fn pause(
        &self,
        at: &Position,
        call: &Call<'_>,
        pin: &Pin,
        attempt: u32,
        report: CallReport,
        pause_ms: u64,
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
        let mut batch = self.batch_with(self.encode(&record)?);
        self.audit(&mut batch, at, call, pin, attempt, Err(&error), &report.uses, None);
        if pause_ms > LONGEST_NAP_MS {
            return Err(self.halt(Halted::Suspend { due: retry_at, batch }));
        }
        self.commit(batch).await?;
        self.nap(retry_at).await
    }

    /// The time of this place, recorded when it is first asked for.
    async fn moment(&self, at: &Position) -> Result<u64, Stop> {
        let known = self.lock().replay.times.get(at.key()).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let now = self.engine.clock.now_ms();
        let record: WriteRecord<'_> = Record::Time { key: at.key().to_owned(), at: now };
        let bytes = self.encode(&record)?;
        self.put_ahead(bytes, Batch::new()).await?;
        Ok(now)
    }

    /// Sleeps, unless the host stops.
    async fn nap(&self, until: u64) -> Result<(), Stop> {
        tokio::select! {
            () = self.engine.clock.sleep_until(until) => Ok(()),
            () = self.engine.stop.requested() => Err(self.halt(Halted::Abandon)),
        }
    }

    /// Waits for the end of a pause that an earlier execution of this run began.
    async fn resume_pause(&self, retry_at: u64) -> Result<(), Stop> {
        let left = retry_at.saturating_sub(self.engine.clock.now_ms());
        if left > LONGEST_NAP_MS {
            return Err(self.halt(Halted::Suspend { due: retry_at, batch: Batch::new() }));
        }
        if left > 0 { self.nap(retry_at).await } else { Ok(()) }
    }
}

#[async_trait]
impl Effects for Durable<'_> {
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<Answer, Stop> {
        if let Some(answer) = self.answered(at, call) {
            return answer;
        }
        let Some(pin) = self.run.deployment.pin(call.function) else {
            return Err(
                self.stuck(format!("{} is not among the calls this flow was deployed with", call.function))
            );
        };
        let pin = Arc::clone(pin);
        let failed = self.lock().replay.failed.remove(at.key());
        let mut attempt = 1;
        if let Some(Failed { attempt: last, retry_at }) = failed {
            self.resume_pause(retry_at).await?;
            attempt = last.saturating_add(1);
        }
        if self.engine.actions.may_act(&pin) {
            self.catch_up().await?;
        }
        let key = ids::idempotency_key(&self.run.id, at.idempotency_path());
        let narrowed = self.run.deployment.narrowed(at.pointer());
        loop {
            if self.engine.stop.is_requested() {
                return Err(self.halt(Halted::Abandon));
            }
            let context = self.context(at, call, &key, attempt);
            let report = match self.engine.actions.call(&pin, &call.with, &context, narrowed).await {
                Ok(report) => report,
                Err(NotLoaded(why)) => return Err(self.stuck(why)),
            };
            let pause = match &report.result {
                Err(fault) if may_retry(fault, call) => retry::pause_ms(attempt, &key, fault.retry_after_ms),
                _ => None,
            };
            match pause {
                None => return self.settle(at, call, &pin, attempt, report).await,
                Some(ms) => self.pause(at, call, &pin, attempt, report, ms).await?,
            }
            attempt = attempt.saturating_add(1);
        }
    }

    async fn wait(&self, at: &Position, duration: Duration, _deadline: Option<Deadline>) -> Result<(), Stop> {
        let now = self.engine.clock.now_ms();
        let known = self.lock().replay.waits.get(at.key()).copied();
        let due = match known {
            Some(Waited { over: true, .. }) => return Ok(()),
            Some(Waited { due, .. }) if due <= now => {
                let record: WriteRecord<'_> = Record::Waited { key: at.key().to_owned(), at: now };
                let bytes = self.encode(&record)?;
                return self.put_ahead(bytes, Batch::new()).await;
            }
            Some(Waited { due, .. }) => due,
            None => now.saturating_add(millis(duration)),
        };
        let batch = match known {
            Some(_) => Batch::new(),
            None => {
                let (key, task) = (at.key().to_owned(), at.pointer().to_owned());
                let record: WriteRecord<'_> = Record::Waiting { key, task, at: now, due };
                self.batch_with(self.encode(&record)?)
            }
        };
        Err(self.halt(Halted::Suspend { due, batch }))
    }

    async fn random(&self, at: &Position) -> Result<f64, Stop> {
        // Drawn from run and place, so that it needs no record to be the same again.
        let digest = ids::digest_parts("random", &[self.run.id.as_bytes(), at.key().as_bytes()], 8);
        let bits = u64::from_str_radix(&digest, 16).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        Ok((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }

    async fn now(&self, at: &Position) -> Result<String, Stop> {
        Ok(crate::time::rfc3339(self.moment(at).await?))
    }

    async fn deadline(&self, at: &Position, after: Duration) -> Result<Deadline, Stop> {
        Ok(Deadline(self.moment(at).await?.saturating_add(millis(after))))
    }

    fn decided(&self, at: &Position) -> Option<Value> {
        self.lock().replay.decided.get(at.key()).cloned()
    }

    async fn decide(&self, at: &Position, value: &Value) -> Result<(), Stop> {
        let now = self.engine.clock.now_ms();
        let record: WriteRecord<'_> = Record::Decided { key: at.key().to_owned(), at: now, value };
        let bytes = self.encode(&record)?;
        self.put_ahead(bytes, Batch::new()).await
    }

    fn observe(&self, at: &Position, event: &TaskEvent<'_>) {
        tracing::trace!(run = %self.run.id, task = at.key(), ?event);
    }
}

impl State {
    /// Puts a journal record behind what stands ahead.
    fn put(&mut self, run_id: &str, record: Vec<u8>) {
        self.ahead.append(run_id, self.next, record);
        self.next += 1;
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

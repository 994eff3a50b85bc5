//! The effects of a run, durable: answered from the journal when it has them, else done, journalled, and then told.
//!
//! Each effect follows one order: look into the journal; write down what the journal does not have yet but the effect
//! depends on; act; commit outcome and audit entries in one batch; go on.
//!
//! A call of a plugin that may act on nothing need not be on disk before the run goes on, since no one outside has seen
//! it: if the host dies, it is made again. Its records stay in memory until the next call that may act, the next wait, or
//! the end of the run, up to a bound.
//!
//! Several effects of one run may be under way at once (`fork`). A record gets its number in the step that hands it to
//! the store's writer, so that numbers and batches are in one order. Each effect suspends for itself: the run goes to
//! rest when none of its effects goes on, until the earliest time that any of them waits for. An effect that is dropped
//! leaves what it has to say in what stands ahead, and a call in flight goes to its end, for the audit log.

mod ahead;
mod call;
mod detach;
mod event;
mod http;
mod promise;
mod script;
mod sla;
mod subflow;
mod time;

pub(super) use promise::Opening;

use ahead::Ahead;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use factotum_flow::{
    Answer, Ask, Call, Deadline, Effects, Emit, FlowError, Hours, HttpCall, Length, Position, Script,
    SlaChange, Stop, Subflow, Subscription, TaskEvent, Undoing,
};
use factotum_provenance::Labels;
use factotum_store::{Batch, MAX_VALUE, StoreError};
use serde_json::Value;

use super::provisional::Beginning;
use super::replay::Replay;
use super::{Engine, Run};
use crate::ids;
use crate::inbox::Asked;
use crate::journal::{Record, WriteRecord};
use crate::masking::Secret;
use crate::place::place;
use crate::rehearsal::http_arguments;
use crate::repair::Wanted;

/// A pause up to this long is slept through; a longer one suspends the run, which then costs no memory.
const LONGEST_NAP_MS: u64 = 2_000;
/// The largest journal record, in bytes. Below the store's bound, so that a record with its name always fits.
pub(super) const MAX_RECORD: usize = MAX_VALUE - 64 * 1024;

/// Why a run stopped without an end.
#[derive(Debug)]
pub(super) enum Halted {
    /// The host is stopping, or the store failed: what is on disk is resumed at the next start.
    Abandon,
    /// It cannot go on without a person.
    Stuck(String),
    /// A person has it stand still.
    Held,
}

/// What a run waits for.
#[derive(Debug, Default)]
pub(super) struct Suspension {
    /// When it goes on at the latest; `None` when only something from outside lets it go on.
    pub due: Option<u64>,
    /// The promises it waits for, by their keys in the store: when one was kept meanwhile, it does not go to rest.
    pub promises: Vec<Vec<u8>>,
    /// The subscriptions it waits on, by their keys in the store, as they were when nothing was there for it.
    pub subscriptions: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where in the flow.
    pub places: Vec<String>,
}

/// An effect that rests.
struct Rest {
    /// The key of its place.
    place: String,
    due: Option<u64>,
    /// The promise it waits for, by its key in the store.
    promise: Option<Vec<u8>>,
    /// The subscription it waits on, and what the store keeps of it.
    subscription: Option<(Vec<u8>, Vec<u8>)>,
}

/// What an execution of a run left behind.
pub(super) struct Left {
    pub halted: Option<Halted>,
    pub suspension: Option<Suspension>,
    /// The records and audit entries that were not written yet.
    pub ahead: Batch,
    /// What is to be written before them: the run is not on disk yet.
    pub beginning: Option<Beginning>,
    /// The position of the next journal record.
    pub next: u64,
    /// Promises that were opened and not used up, by their keys in the store.
    pub open: Vec<Vec<u8>>,
    /// What should have been taken back and could not be.
    pub not_undone: Vec<String>,
    /// Where the output may come from; only of runs that others wait for.
    pub from: Labels,
    /// What of the run's data people must not see.
    pub secret: Secret,
    /// Subscriptions that were not closed.
    pub subscriptions: Vec<Vec<u8>>,
    /// Promises and subscriptions, as above, that a run which waits does not wait for: they belong to branches that lost.
    pub lost: (Vec<Vec<u8>>, Vec<Vec<u8>>),
}

/// The effects of one execution of a run.
pub(super) struct Durable<'r> {
    engine: &'r Arc<Engine>,
    run: &'r Run,
    state: Mutex<State>,
    /// Held while the run's clocks are changed.
    clocks: tokio::sync::Mutex<()>,
}

struct State {
    replay: Replay,
    /// The position of the next journal record.
    next: u64,
    /// What is to be on disk before the next effect acts.
    ahead: Ahead,
    halted: Option<Halted>,
    /// What effects rest on.
    rests: Vec<Rest>,
    open: Vec<Vec<u8>>,
    not_undone: Vec<String>,
    /// Everything that came in, of a run that another one waits for.
    seen: Labels,
    /// What stood at the flow's sensitive places so far.
    secret: Secret,
}

impl<'r> Durable<'r> {
    pub fn new(engine: &'r Arc<Engine>, run: &'r Run, replay: Replay, next: u64) -> Self {
        let open = replay.open_promises(&run.id);
        let seen = replay.input_from.clone();
        let state = State {
            replay,
            next,
            ahead: Ahead::default(),
            halted: None,
            rests: Vec::new(),
            open,
            not_undone: Vec::new(),
            seen,
            secret: Secret::default(),
        };
        Self { engine, run, state: Mutex::new(state), clocks: tokio::sync::Mutex::default() }
    }

    /// Of a run that is not on disk: what opens it in the store is written with the first batch.
    pub fn opened_by(mut self, beginning: Option<Beginning>) -> Self {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).ahead.opened_by(beginning);
        self
    }

    /// What the execution left behind.
    pub fn into_end(self) -> Left {
        let State { replay, next, ahead, halted, rests, open, not_undone, seen, secret } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (beginning, ahead) = ahead.into_parts();
        let subscriptions = replay.open_subscriptions(&self.run.id);
        let waits_for = |key: &Vec<u8>| rests.iter().any(|rest| rest.promise.as_ref() == Some(key));
        let waits_on =
            |id: &Vec<u8>| rests.iter().any(|r| r.subscription.as_ref().is_some_and(|(s, _)| s == id));
        let lost = (
            open.iter().filter(|key| !waits_for(key)).cloned().collect(),
            subscriptions.iter().filter(|id| !waits_on(id)).cloned().collect(),
        );
        let suspension = (!rests.is_empty()).then(|| suspension(rests));
        Left {
            halted,
            suspension,
            ahead,
            beginning,
            next,
            open,
            not_undone,
            from: seen,
            secret,
            subscriptions,
            lost,
        }
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

    /// Why the run is not to do anything further, if a person wants so. While it takes back what it did, cancelling it is
    /// no reason any more.
    fn wanted(&self, takes_back: bool) -> Result<(), Stop> {
        match self.engine.controls.of(&self.run.id).map(|control| control.wanted) {
            None => Ok(()),
            Some(Wanted::Cancel) if takes_back => Ok(()),
            Some(Wanted::Cancel | Wanted::Abort) => Err(Stop::Cancelled),
            Some(Wanted::Suspend) => Err(self.halt(Halted::Held)),
        }
    }

    /// Lets this effect rest until `due` at the latest. The others of the run go on.
    fn rest_until(&self, at: &Position, due: Option<u64>) -> Stop {
        self.put_to_rest(Rest { place: at.key().to_owned(), due, promise: None, subscription: None })
    }

    fn put_to_rest(&self, rest: Rest) -> Stop {
        self.lock().rests.push(rest);
        Stop::Suspended
    }

    /// Commits what stands ahead, then `record` and `entries`, as one batch; returns when it is on disk. When the future
    /// is dropped before the batch was handed over, all of it stands ahead.
    async fn write(&self, record: Option<Vec<u8>>, entries: Batch) -> Result<(), Stop> {
        let mut unwritten = Unwritten { durable: self, record, entries };
        let bytes = unwritten.record.as_ref().map_or(0, Vec::len) + unwritten.entries.bytes();
        let slot = self.engine.reserve(bytes).await;
        let submitted = slot.and_then(|slot| {
            let mut state = self.lock();
            unwritten.put(&mut state);
            // Handed over under the lock: the numbers of records and the order of batches are one.
            slot.submit(state.ahead.take(self.run)?)
        });
        drop(unwritten);
        let written = match submitted {
            Ok(pending) => pending.wait().await.map(drop),
            Err(error) => Err(error),
        };
        self.written(written)
    }

    /// What a commit that went wrong means for the run.
    fn written(&self, written: Result<(), StoreError>) -> Result<(), Stop> {
        match written {
            Ok(()) => Ok(()),
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

    /// Puts on disk what the next effect may depend on. While the disk is nearly full, the run stands still here.
    pub(super) async fn catch_up(&self) -> Result<(), Stop> {
        if !self.engine.await_space().await {
            return Err(self.halt(Halted::Abandon));
        }
        if self.lock().ahead.is_empty() { Ok(()) } else { self.write(None, Batch::new()).await }
    }

    /// Puts the run on disk, if it is not there.
    pub(super) async fn put_on_disk(&self) -> Result<(), Stop> {
        let provisional = self.lock().ahead.is_provisional();
        if provisional { self.write(None, Batch::new()).await } else { Ok(()) }
    }

    /// Keeps in memory what is to be on disk before the next effect acts, up to a bound.
    async fn put_ahead(&self, record: Vec<u8>, entries: Batch) -> Result<(), Stop> {
        let full = {
            let mut state = self.lock();
            state.put(&self.run.id, record);
            state.ahead.merge(entries);
            state.ahead.is_full()
        };
        if full { self.catch_up().await } else { Ok(()) }
    }

    /// Writes down why an effect comes to rest: with the run's suspension, which follows at once; or now, when other
    /// branches may go on for long.
    async fn note_rest(&self, at: &Position, record: Vec<u8>, entries: Batch) -> Result<(), Stop> {
        if in_fork(at) {
            self.write(Some(record), entries).await
        } else {
            self.put_ahead(record, entries).await
        }
    }

    /// Notes what of a task's data people must not see.
    fn learn(&self, at: &Position, value: &Value) {
        let sensitive = self.run.deployment.flow.sensitive();
        if !sensitive.is_empty() {
            self.lock().secret.learn(sensitive, at.pointer(), value);
        }
    }

    /// A value as people may see it; `None` when that is the whole of it.
    fn shown(&self, value: &Value) -> Option<Value> {
        let state = self.lock();
        if state.secret.is_empty() {
            return None;
        }
        let mut shown = value.clone();
        state.secret.mask(&mut shown);
        (shown != *value).then_some(shown)
    }

    /// A text as people may see it.
    fn shown_text(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        self.lock().secret.mask_text(&mut shown);
        shown
    }

    /// Notes what an answer holds: what people must not see, and where it comes from when another run waits for this one,
    /// whose output may hold it.
    fn seen(&self, at: &Position, answer: Result<Answer, Stop>) -> Result<Answer, Stop> {
        if let Ok(Answer { result: Ok(value), .. }) = &answer {
            self.learn(at, value);
        }
        if self.run.row.parent.is_some()
            && let Ok(answer) = &answer
        {
            let mut state = self.lock();
            state.seen = state.seen.union(&answer.from);
        }
        answer
    }

    fn encode(&self, record: &WriteRecord<'_>) -> Result<Vec<u8>, Stop> {
        record.encode().map_err(|e| self.stuck(format!("a journal record cannot be written: {e}")))
    }
}

impl Durable<'_> {
    /// Tells whoever watches what happens to a task. While the journal still answers, it happened before.
    fn tell_task(&self, at: &Position, event: &TaskEvent<'_>) {
        if self.lock().replay.answers() {
            return;
        }
        let (kind, more) = match event {
            TaskEvent::Started => ("task.started", Value::Null),
            TaskEvent::Skipped => return,
            TaskEvent::Completed => ("task.completed", Value::Null),
            TaskEvent::Faulted(error) => {
                let error = serde_json::json!({"type": error.to_value().get("type"), "status": error.status});
                ("task.faulted", serde_json::json!({ "error": error }))
            }
            TaskEvent::Retrying { attempt, .. } => {
                ("task.retried", serde_json::json!({ "attempt": attempt }))
            }
        };
        self.engine.tell(kind, &self.run.id, &self.run.row, Some(at.pointer()), more);
    }
}

/// What is to be written, until it was handed over.
struct Unwritten<'d, 'r> {
    durable: &'d Durable<'r>,
    record: Option<Vec<u8>>,
    entries: Batch,
}

impl Unwritten<'_, '_> {
    fn put(&mut self, state: &mut State) {
        if let Some(record) = self.record.take() {
            state.put(&self.durable.run.id, record);
        }
        state.ahead.merge(std::mem::take(&mut self.entries));
    }
}

impl Drop for Unwritten<'_, '_> {
    fn drop(&mut self) {
        if self.record.is_some() || !self.entries.is_empty() {
            let durable = self.durable;
            self.put(&mut durable.lock());
        }
    }
}

/// What a run waits for whose effects rest.
fn suspension(rests: Vec<Rest>) -> Suspension {
    let mut all = Suspension::default();
    for rest in rests {
        all.due = match (all.due, rest.due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        all.places.push(place(&rest.place));
        all.promises.extend(rest.promise);
        all.subscriptions.extend(rest.subscription.map(|(id, stored)| (crate::events::key(&id), stored)));
    }
    all
}

impl State {
    /// A branch of a `fork` or an iteration of a `map` ended it: what the others rest on is not waited for any more.
    fn forget_losers(&mut self, at: &Position, decision: &Value) {
        let number = |name: &str| decision.get(name).and_then(Value::as_u64);
        let task = at.key().rsplit_once('!').map_or(at.key(), |(task, _)| task);
        let (all, winner) = match (number("branch"), number("iteration")) {
            (Some(branch), _) => {
                (format!("{task}/fork/branches/"), format!("{task}/fork/branches/{branch}/"))
            }
            (None, Some(iteration)) => (format!("{task}["), format!("{task}[{iteration}]/")),
            (None, None) => return,
        };
        self.rests.retain(|rest| !rest.place.starts_with(&all) || rest.place.starts_with(&winner));
    }

    /// Puts a journal record behind what stands ahead.
    fn put(&mut self, run_id: &str, record: Vec<u8>) {
        self.ahead.append(run_id, self.next, record);
        self.next += 1;
    }
}

#[async_trait]
impl Effects for Durable<'_> {
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<Answer, Stop> {
        self.learn(at, &call.with);
        self.seen(at, self.call_plugin(at, call, false).await)
    }

    async fn emit(&self, at: &Position, emit: &Emit) -> Result<Answer, Stop> {
        self.learn(at, &emit.event);
        self.publish(at, emit).await
    }

    async fn event(
        &self,
        at: &Position,
        nth: u64,
        subscription: &Subscription,
        deadline: Option<Deadline>,
    ) -> Result<Answer, Stop> {
        self.seen(at, self.listen(at, nth, subscription, deadline).await)
    }

    async fn unsubscribe(&self, at: &Position) -> Result<(), Stop> {
        self.stop_listening(at).await
    }

    async fn subflow(&self, at: &Position, subflow: &Subflow) -> Result<Answer, Stop> {
        self.learn(at, &subflow.input);
        self.seen(at, self.start_flow(at, subflow, false).await)
    }

    async fn ask(&self, at: &Position, ask: &Ask<'_>) -> Result<Answer, Stop> {
        self.learn(at, &ask.with);
        let answer = self.promised(at, ask.deadline, false, |promise, batch| {
            let (flow, task) = (&self.run.row.flow, at.pointer());
            let (with, shown) = (&ask.with, self.shown(&ask.with));
            let asked = Asked { flow, task, with, shown, hours: ask.hours, from: ask.from.total() };
            let what = self.engine.ask_person(batch, promise, asked);
            Ok(Opening { what: what.map_err(|e| self.stuck(e))?, run: None })
        });
        self.seen(at, answer.await)
    }

    async fn script(&self, at: &Position, script: &Script<'_>) -> Result<Answer, Stop> {
        self.seen(at, self.run_script(at, script).await)
    }

    async fn compensate(&self, at: &Position, what: &Undoing<'_, '_>) -> Result<Answer, Stop> {
        self.engine.controls.unwinds(&self.run.id);
        match what {
            Undoing::Call(call) => {
                self.learn(at, &call.with);
                self.seen(at, self.call_plugin(at, call, true).await)
            }
            Undoing::Http(call) => {
                self.learn(at, &http_arguments(call));
                self.seen(at, self.request(at, call, true).await)
            }
            Undoing::Subflow(subflow) => {
                self.learn(at, &subflow.input);
                self.seen(at, self.start_flow(at, subflow, true).await)
            }
        }
    }

    fn not_undone(&self, at: &Position, what: &str, error: &FlowError) {
        // The others are taken back all the same; then a person has to see to this one.
        self.lock().not_undone.push(format!("{what} at {}: {error}", at.key()));
    }

    async fn http(&self, at: &Position, call: &HttpCall<'_>) -> Result<Answer, Stop> {
        self.learn(at, &http_arguments(call));
        self.seen(at, self.request(at, call, false).await)
    }

    async fn wait(&self, at: &Position, duration: Duration, deadline: Option<Deadline>) -> Result<(), Stop> {
        self.wait_until(at, |now| Ok(now.saturating_add(millis(duration))), deadline).await
    }

    async fn business_wait(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
        deadline: Option<Deadline>,
    ) -> Result<(), Stop> {
        self.wait_until(at, |now| self.business_end(now, length, hours), deadline).await
    }

    async fn business_deadline(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
    ) -> Result<Deadline, Stop> {
        let end = self.moment(at, |now| self.business_end(now, length, hours)).await?;
        Ok(Deadline(end))
    }

    async fn sla(&self, at: &Position, change: SlaChange) -> Result<(), Stop> {
        self.change_clocks(at, change).await
    }

    async fn random(&self, at: &Position) -> Result<f64, Stop> {
        // Drawn from run and place, so that it needs no record to be the same again.
        let digest = ids::digest_parts("random", &[self.run.id.as_bytes(), at.key().as_bytes()], 8);
        let bits = u64::from_str_radix(&digest, 16).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        Ok((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }

    async fn now(&self, at: &Position) -> Result<String, Stop> {
        Ok(crate::time::rfc3339(self.moment(at, Ok).await?))
    }

    async fn deadline(&self, at: &Position, after: Duration) -> Result<Deadline, Stop> {
        Ok(Deadline(self.moment(at, Ok).await?.saturating_add(millis(after))))
    }

    fn decided(&self, at: &Position) -> Option<Value> {
        self.lock().replay.decided(at)
    }

    async fn decide(&self, at: &Position, value: &Value) -> Result<(), Stop> {
        let now = self.engine.clock.now_ms();
        let record: WriteRecord<'_> = Record::Decided { key: at.key().to_owned(), at: now, value };
        let bytes = self.encode(&record)?;
        self.lock().forget_losers(at, value);
        self.put_ahead(bytes, Batch::new()).await
    }

    fn observe(&self, at: &Position, event: &TaskEvent<'_>) {
        if tracing::enabled!(tracing::Level::TRACE) {
            let event = self.shown_text(&format!("{event:?}"));
            tracing::trace!(run = %self.run.id, task = at.key(), event);
        }
        if self.engine.events.live.watched() {
            self.tell_task(at, event);
        }
    }
}

/// The place in the document whose narrowing holds: what takes a task's work back has its own.
fn narrowed_at(at: &Position, takes_back: bool) -> Cow<'_, str> {
    if takes_back { format!("{}/metadata/compensate", at.pointer()).into() } else { at.pointer().into() }
}

/// Whether other effects of the run may be under way beside this one: in a `fork` or a `map`. A task that is named `fork` or
/// `with` is taken for one, which costs little.
fn in_fork(at: &Position) -> bool {
    at.pointer().contains("/fork/") || at.pointer().contains("/with/do/")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

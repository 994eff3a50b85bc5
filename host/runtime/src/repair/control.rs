//! A person stops a run: has it cancelled, or stand still, and lets it go on.
//!
//! What is wanted of a run that executes is written down before it is acknowledged, and the execution sees it before its
//! next effect. A call in flight is let end and is journalled, so that its outcome is known. Cancelling always goes
//! through the interpreter, which knows what is to be taken back.

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::Actor;
use factotum_flow::FlowError;
use factotum_provenance::Labels;
use factotum_store::{Batch, StoreError, Table, Timers};
use serde::Serialize;

use super::retry::{conflict, not_written};
use super::wanted::{Control, Wanted, key};
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::journal::{Record, WriteRecord};
use crate::rehearsal::TakenBack;
use crate::runs::replay;
use crate::runs::{Engine, Row, Run, RunInfo, RunState, promises, put_row};

/// How long the answer to a request waits for the run to have stopped.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often something is tried that others came before.
const TRIES: u32 = 20;
/// The longest reason, in characters.
const MAX_REASON: usize = 300;

/// What is needed to cancel a run.
#[derive(Debug, Clone)]
pub struct CancelRun {
    /// Who cancels it.
    pub actor: Actor,
    /// The run.
    pub run_id: String,
    /// Why, for its history.
    pub reason: Option<String>,
    /// End it as it is, and take nothing back.
    pub abort: bool,
    /// Only say what would be taken back.
    pub preview: bool,
}

/// A run that somebody intervened in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervened {
    /// The run.
    pub run_id: String,
    /// Where it stands now.
    pub state: RunState,
    /// Whether it is still to do what is wanted: a call is in flight, or something is being taken back.
    pub pending: bool,
    /// What is taken back, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub takes_back: Vec<TakenBack>,
}

impl Engine {
    /// Cancels a run, or says what that would take back.
    pub async fn cancel(self: &Arc<Self>, request: CancelRun) -> Result<Intervened, HostError> {
        let row = self.known_run(&request.run_id)?;
        if row.state.is_final() {
            return Err(conflict(format!("the run is over: {}", row.state.as_str())));
        }
        let takes_back =
            if request.abort { Vec::new() } else { self.takes_back(&request.run_id, &row).await };
        if request.preview {
            let state = row.state;
            return Ok(Intervened { run_id: request.run_id, state, pending: false, takes_back });
        }
        let wanted = if request.abort { Wanted::Abort } else { Wanted::Cancel };
        let control = Control { wanted, by: request.actor.to_string(), reason: short(request.reason) };
        self.want(&request.actor, "run.cancel", &request.run_id, &row, control).await?;
        let mut done = self.after(&request.run_id, |state| state == RunState::Cancelled).await?;
        done.takes_back = takes_back;
        Ok(done)
    }

    /// Has a run stand still.
    pub async fn hold(
        self: &Arc<Self>,
        actor: &Actor,
        id: &str,
        reason: Option<String>,
    ) -> Result<Intervened, HostError> {
        let row = self.known_run(id)?;
        if !matches!(row.state, RunState::Running | RunState::Queued | RunState::Waiting) {
            return Err(conflict(format!("the run does not go on by itself: {}", row.state.as_str())));
        }
        if self.controls.of(id).is_some_and(|control| control.wanted != Wanted::Suspend) {
            return Err(conflict("the run is being cancelled"));
        }
        let control = Control { wanted: Wanted::Suspend, by: actor.to_string(), reason: short(reason) };
        self.want(actor, "run.suspend", id, &row, control).await?;
        self.after(id, |state| state == RunState::Suspended).await
    }

    /// Lets a run go on that stood still.
    pub async fn let_go_on(self: &Arc<Self>, actor: &Actor, id: &str) -> Result<Intervened, HostError> {
        let (engine, actor, id) = (Arc::clone(self), actor.clone(), id.to_owned());
        tokio::spawn(async move {
            let held = engine.take(&id).await?;
            let Some(mut held) = held.filter(|held| held.row.state == RunState::Suspended) else {
                return Err(conflict("nobody has the run stand still")
                    .hint("one that is stuck or faulted goes on with: factotum run retry"));
            };
            let next = engine.store.journal_end(&id).map_err(HostError::store)?;
            let record: WriteRecord<'_> = Record::Unheld { at: engine.clock.now_ms(), by: actor.to_string() };
            let mut batch = Batch::new();
            batch.append(id.as_str(), next, record.encode().map_err(HostError::internal)?);
            // One that had not started yet waits for its turn again.
            let waits = held.row.limited.as_ref().is_some_and(|limited| limited.admitted_at.is_none());
            let state = if waits { RunState::Queued } else { RunState::Running };
            (held.row.state, held.row.reason) = (state, None);
            held.put(&mut batch, RunState::Suspended)?;
            audit::run_intervened(&mut batch, &engine, &actor, "run.resume", &held.row.flow, &id, None);
            engine.commit(batch).await.map_err(not_written)?;
            held.go_on();
            Ok(Intervened { run_id: id, state, pending: false, takes_back: Vec::new() })
        })
        .await
        .map_err(HostError::internal)?
    }

    fn known_run(&self, id: &str) -> Result<Row, HostError> {
        if crate::ids::is_run_id(id) { self.known(id) } else { Err(super::retry::unknown(id)) }
    }

    /// Writes down what is wanted, and sees to it.
    async fn want(
        self: &Arc<Self>,
        actor: &Actor,
        action: &str,
        id: &str,
        row: &Row,
        control: Control,
    ) -> Result<(), HostError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, key(id), serde_json::to_vec(&control).map_err(HostError::internal)?);
        let reason = control.reason.clone();
        audit::run_intervened(&mut batch, self, actor, action, &row.flow, id, reason.as_deref());
        let (engine, id) = (Arc::clone(self), id.to_owned());
        // From here on the caller may go away: what is on disk is also to be done.
        tokio::spawn(async move {
            engine.commit(batch).await.map_err(HostError::store)?;
            engine.controls.set(&id, control);
            engine.enforce(&id).await;
            Ok(())
        })
        .await
        .map_err(HostError::internal)?
    }

    /// Adds to a batch that a run is to be cancelled whose parent is over: it is, also when the host goes down now.
    pub(crate) fn want_child_cancelled(
        &self,
        batch: &mut Batch,
        parent: &str,
        id: &str,
    ) -> Result<(), serde_json::Error> {
        let reason = Some(format!("the run {parent} that started it is over"));
        let control = Control { wanted: Wanted::Cancel, by: Actor::System.to_string(), reason };
        batch.put(Table::Meta, key(id), serde_json::to_vec(&control)?);
        Ok(())
    }

    /// Cancels a run whose parent is over.
    pub(crate) async fn cancel_child(&self, parent: &str, id: &str) -> Result<(), HostError> {
        self.cancel_by_host(id, format!("the run {parent} that started it is over")).await
    }

    /// Cancels a run that is not over; nobody asked for it.
    pub(crate) async fn cancel_by_host(&self, id: &str, reason: String) -> Result<(), HostError> {
        let row = self.known(id)?;
        if row.state.is_final() {
            return Ok(());
        }
        let control =
            Control { wanted: Wanted::Cancel, by: Actor::System.to_string(), reason: short(Some(reason)) };
        let mut batch = Batch::new();
        batch.put(Table::Meta, key(id), serde_json::to_vec(&control).map_err(HostError::internal)?);
        let reason = control.reason.as_deref();
        audit::run_intervened(&mut batch, self, &Actor::System, "run.cancel", &row.flow, id, reason);
        self.commit(batch).await.map_err(HostError::store)?;
        self.controls.set(id, control);
        // Its children may have children.
        Box::pin(self.enforce(id)).await;
        Ok(())
    }

    async fn after(&self, id: &str, done: impl Fn(RunState) -> bool) -> Result<Intervened, HostError> {
        // Whether it stops in time or goes on for a while: both are told.
        let _ = self.wait(id, PATIENCE).await;
        let state = self.known(id)?.state;
        let pending = !done(state) && self.controls.of(id).is_some();
        Ok(Intervened { run_id: id.to_owned(), state, pending, takes_back: Vec::new() })
    }

    /// Sees to what is wanted of a run that nobody executes. An execution sees to it by itself.
    pub(crate) async fn enforce(&self, id: &str) {
        self.enforce_on(id, true).await;
    }

    /// The same, but leaves a parked run to a person: it could not do what is wanted of it.
    pub(crate) async fn enforce_unless_parked(&self, id: &str) {
        self.enforce_on(id, false).await;
    }

    async fn enforce_on(&self, id: &str, parked: bool) {
        for _ in 0..TRIES {
            let Some(control) = self.controls.of(id) else { return };
            if !self.queue.claim(id) {
                return;
            }
            match self.enforced(id, &control, parked).await {
                Ok(()) => return,
                // It was woken in this moment: look again.
                Err(error) if error.code == ErrorCode::Conflict => {}
                Err(error) => {
                    tracing::error!(run = id, %error, cause = error.cause(), "what is wanted of a run could not be done");
                    return;
                }
            }
        }
    }

    async fn enforced(&self, id: &str, control: &Control, parked: bool) -> Result<(), HostError> {
        let mut held = self.hands_on(id)?;
        let was = held.row.state;
        if was == RunState::Stuck && !parked {
            return Ok(());
        }
        // It has seen that, and waits for something that takes back what it did.
        let rests = was == RunState::Waiting && !parked && self.controls.is_unwinding(id);
        if rests && control.wanted == Wanted::Cancel {
            return Ok(());
        }
        let mut batch = Batch::new();
        let mut children = Vec::new();
        let settled = was.is_final()
            || control.wanted == Wanted::Suspend && matches!(was, RunState::Stuck | RunState::Suspended);
        // One that never started has nothing to take back.
        let never_started = was == RunState::Queued && self.store.journal_end(id).is_ok_and(|end| end <= 1);
        let takes_back = !settled && control.wanted == Wanted::Cancel && !never_started;
        if settled {
            self.forget(&mut batch, id);
        } else if takes_back {
            // The interpreter finds out what is to be taken back. That waits for no limit.
            (held.row.state, held.row.due) = (RunState::Running, None);
            if let Some(limited) = &mut held.row.limited {
                limited.admitted_at.get_or_insert(self.clock.now_ms());
            }
            held.put(&mut batch, was)?;
        } else {
            let next = self.store.journal_end(id).map_err(HostError::store)?;
            let now = self.clock.now_ms();
            let (record, state) = stopped(control, now);
            let bytes = record.encode().map_err(HostError::internal)?;
            stand(&mut held.row, state, control, now);
            self.clocks_follow(&mut batch, id, state);
            if state.is_final() {
                audit::run_aborted(&mut batch, self, &control.by, &held.row.flow, id, &bytes);
                let open = self.open_promises(id);
                children = self.children_of(&open);
                for promise in open {
                    promises::forget(&mut batch, promise);
                }
            }
            batch.append(id, next, bytes);
            held.put(&mut batch, was)?;
            self.forget(&mut batch, id);
        }
        Timers::new(&self.store).cancel(&mut batch, id.as_bytes()).map_err(HostError::store)?;
        self.commit_end(&held.row, batch).await.map_err(not_written)?;
        if takes_back {
            held.go_on();
        } else {
            self.controls.remove(id);
            self.at_the_gate(id, &held.row);
            self.tell_scheduler(&held.row);
            self.waiters.tell(id, &Arc::new(RunInfo::new(id, &held.row, None)));
            self.cancel_children(id, children).await;
        }
        Ok(())
    }

    /// Commits a change of a run; when that cancels it, whoever started it and waits for its end is told.
    async fn commit_end(&self, row: &Row, batch: Batch) -> Result<(), StoreError> {
        match &row.parent {
            Some(parent) if row.state == RunState::Cancelled => {
                let why = row.reason.as_deref().unwrap_or_default();
                let error = FlowError::runtime(format!("the flow {} was {why}", row.flow));
                self.finish_child(parent, batch, &Err(error), Labels::default()).await
            }
            _ => self.commit(batch).await.map(drop),
        }
    }

    /// What a run waits for, as far as its journal can be read.
    fn open_promises(&self, id: &str) -> Vec<Vec<u8>> {
        let Ok(records) = self.records(id) else { return Vec::new() };
        let history = replay::read(records.iter().map(|(n, bytes)| (*n, bytes.as_slice())));
        history.map(|history| history.replay.open_promises(id)).unwrap_or_default()
    }

    /// Adds to a batch that nothing is wanted of a run any more.
    fn forget(&self, batch: &mut Batch, id: &str) {
        batch.delete(Table::Meta, key(id));
    }

    /// An execution has stopped because somebody wanted so. `batch` holds records that come before the last one, which is
    /// at `next`; `open` names the promises that it waits for.
    pub(crate) async fn stop_wanted(&self, run: &mut Run, mut batch: Batch, next: u64, open: Vec<Vec<u8>>) {
        let Some(control) = self.controls.of(&run.id) else {
            return self.park(run, batch, next, "it stopped, and nobody wanted it to").await;
        };
        let (was, now) = (run.row.state, self.clock.now_ms());
        let (record, state) = stopped(&control, now);
        stand(&mut run.row, state, &control, now);
        let mut children = Vec::new();
        let ready = record.encode().and_then(|bytes| {
            put_row(&mut batch, &run.id, &run.row, Some(was))?;
            self.clocks_follow(&mut batch, &run.id, state);
            if state.is_final() {
                audit::run_ended(&mut batch, self, run, None, &bytes);
                children = self.children_of(&open);
                for promise in open {
                    promises::forget(&mut batch, promise);
                }
            }
            batch.append(run.id.as_str(), next, bytes);
            Ok(())
        });
        self.forget(&mut batch, &run.id);
        let written = match ready {
            Ok(()) => self.commit_end(&run.row, batch).await.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(()) => {
                self.controls.remove(&run.id);
                self.at_the_gate(&run.id, &run.row);
                self.tell_scheduler(&run.row);
                self.cancel_children(&run.id, children).await;
                self.waiters.tell(&run.id, &Arc::new(RunInfo::new(&run.id, &run.row, None)));
            }
            Err(error) => {
                tracing::error!(run = %run.id, error, "that a run stopped could not be written; it is seen to at the next start");
            }
        }
    }

    /// A scheduled run that is over may be what the next one counts from.
    fn tell_scheduler(&self, row: &Row) {
        if crate::schedule::concerns(&row.trigger, row.state) {
            self.schedules_changed();
        }
    }

    /// What cancelling a run would take back.
    async fn takes_back(self: &Arc<Self>, id: &str, row: &Row) -> Vec<TakenBack> {
        let Ok(deployment) = self.deployments.by_digest(&row.deployment).await else { return Vec::new() };
        let (engine, id, row) = (Arc::clone(self), id.to_owned(), row.clone());
        let found =
            tokio::task::spawn_blocking(move || engine.would_take_back(&id, &row, &deployment.flow)).await;
        found.unwrap_or_else(|error| {
            tracing::error!(%error, "what a run would take back could not be found out");
            Vec::new()
        })
    }
}

/// The record of a run that stopped, and where it then stands.
fn stopped(control: &Control, at: u64) -> (WriteRecord<'static>, RunState) {
    let by = control.by.clone();
    match control.wanted {
        Wanted::Suspend => (Record::Held { at, by }, RunState::Suspended),
        Wanted::Cancel | Wanted::Abort => {
            (Record::Cancelled { at, by, reason: control.reason.clone() }, RunState::Cancelled)
        }
    }
}

fn stand(row: &mut Row, state: RunState, control: &Control, now: u64) {
    (row.state, row.due) = (state, None);
    row.ended_at = state.is_final().then_some(now);
    let why = control.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let what = if control.wanted == Wanted::Abort { "ended as it was" } else { state.as_str() };
    row.reason = Some(format!("{what} by {}{why}", control.by));
}

fn short(reason: Option<String>) -> Option<String> {
    reason.map(|text| text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect())
}

/// Why a request about many runs cannot be taken.
pub(super) fn invalid(message: impl Into<String>) -> HostError {
    HostError::new(ErrorCode::InvalidRequest, message)
}

//! One run is retried.

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::Actor;
use factotum_store::{Batch, Expectation, StoreError, Table, Timers};
use serde::Serialize;

use super::cut::{self, Cut};
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::flows::Deployment;
use crate::ids::is_run_id;
use crate::journal::{Record, WriteRecord};
use crate::place::is_within;
use crate::runs::live::{Live, is_known, live};
use crate::runs::promises::{self, PromiseId};
use crate::runs::{Engine, Row, RunState, put_row};

/// How long to wait for an execution to let go of its run, and how often to look.
const LET_GO: (u32, Duration) = (500, Duration::from_millis(20));
/// The most calls listed as done again.
const MAX_LISTED: usize = 200;

/// Which flow a retried run goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryFlow {
    /// The deployment that it was started with, or last retried with.
    #[default]
    Recorded,
    /// The one that is deployed now. Tasks are found again by their names.
    Deployed,
}

/// What is needed to retry a run.
#[derive(Debug, Clone)]
pub struct RetryRun {
    /// Who retries it.
    pub actor: Actor,
    /// The run.
    pub run_id: String,
    /// The execution of the task to begin again at, as the run's history shows its `key`; the failed one when absent.
    pub from: Option<String>,
    /// With which flow.
    pub flow: RetryFlow,
    /// Only say what would be done.
    pub preview: bool,
}

/// A call that is made once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoneAgain {
    /// The execution of the task.
    pub key: String,
    /// What was called.
    pub function: String,
    /// Whether the call had been done or refused. If so, it is made under another idempotency key; if nobody knows, under
    /// the same.
    pub known: bool,
}

/// A run that was retried, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retried {
    /// The run.
    pub run_id: String,
    /// Where it stood before.
    pub was: RunState,
    /// The deployment that it goes on with.
    pub deployment: String,
    /// The place from which on it is done again; absent when it only goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The calls that had an outcome and may be made again.
    pub again: Vec<DoneAgain>,
    /// How many calls keep their outcome and are not made again.
    pub kept: usize,
    /// Whether this only tells what would be done.
    pub preview: bool,
}

/// A run that somebody intervenes in: while this is held, nobody executes it.
pub(super) struct Held<'e> {
    engine: &'e Engine,
    pub id: String,
    pub row: Row,
    /// The row as the store has it.
    before: Vec<u8>,
    given_on: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.given_on {
            self.engine.queue.release(&self.id);
        }
    }
}

impl Held<'_> {
    /// Adds the changed row to a batch, which then takes effect only if nobody else changed it.
    pub fn put(&self, batch: &mut Batch, was: RunState) -> Result<(), HostError> {
        batch.expect(Table::Runs, self.id.as_str(), Expectation::Value(self.before.clone()));
        put_row(batch, &self.id, &self.row, Some(was)).map_err(HostError::internal)
    }

    /// The run goes on from here: it stands in line to be executed, or waits for its turn.
    pub fn go_on(mut self) {
        self.engine.at_the_gate(&self.id, &self.row);
        if self.row.state == RunState::Running {
            self.given_on = true;
            self.engine.queue.push_claimed(&self.id, self.row.lane());
        }
    }
}

impl Engine {
    /// Takes a run into one's hands; `None` when it is being executed or stands in line to be.
    pub(super) async fn take(&self, id: &str) -> Result<Option<Held<'_>>, HostError> {
        if !is_run_id(id) || self.row(id).map_err(HostError::store)?.is_none() {
            return Err(unknown(id));
        }
        for _ in 0..LET_GO.0 {
            if self.queue.claim(id) {
                return self.hands_on(id).map(Some);
            }
            if !self.known(id)?.state.is_settled() {
                return Ok(None);
            }
            // Its end is on disk, and the execution is about to let go.
            tokio::time::sleep(LET_GO.1).await;
        }
        Ok(None)
    }

    /// A run that is claimed.
    pub(super) fn hands_on(&self, id: &str) -> Result<Held<'_>, HostError> {
        let read = || {
            let before = self.store.get(Table::Runs, id.as_bytes()).map_err(HostError::store)?;
            let before = before.ok_or_else(|| unknown(id))?;
            let row: Row = serde_json::from_slice(&before).map_err(HostError::internal)?;
            Ok(Held { engine: self, id: id.to_owned(), row, before, given_on: false })
        };
        let held = read();
        if held.is_err() {
            self.queue.release(id);
        }
        held
    }

    pub(super) fn known(&self, id: &str) -> Result<Row, HostError> {
        self.row(id).map_err(HostError::store)?.ok_or_else(|| unknown(id))
    }

    /// Retries a run, or says what that would do.
    pub async fn retry(self: &Arc<Self>, request: RetryRun) -> Result<Retried, HostError> {
        if self.stop.is_requested() {
            return Err(HostError::new(ErrorCode::ShuttingDown, "the host is stopping")
                .retry_after(Duration::from_secs(2)));
        }
        let engine = Arc::clone(self);
        // What is on disk must also be executed, whether or not the caller waits for it.
        tokio::spawn(async move { engine.retry_now(request).await }).await.map_err(HostError::internal)?
    }

    async fn retry_now(&self, request: RetryRun) -> Result<Retried, HostError> {
        let Some(mut held) = self.take(&request.run_id).await? else {
            return Err(conflict("the run is being executed")
                .hint("wait for its end, or stop it first: factotum run suspend, factotum run cancel"));
        };
        may_be_retried(&held.row, request.from.is_some())?;
        let deployment = self.deployment_for(&held.row, request.flow).await?;
        let other = deployment.digest != held.row.deployment;
        let records = self.records(&held.id).map_err(HostError::store)?;
        let next = records.len() as u64;
        let live = live(records.iter().map(|(n, bytes)| (*n, bytes.as_slice()))).map_err(|e| {
            conflict(format!("the run's journal cannot be read: {e}"))
                .hint("start the flow anew; the run's history is kept")
        })?;
        let cut = cut_for(&live, &held.row, request.from.as_deref(), other)?;
        let cut = if held.row.state.is_final() { cut.and_open_promises(&live) } else { cut };
        taken_back(&live, &cut)?;
        let retried = told(&live, &cut, &held, &deployment.digest, request.preview);
        if request.preview {
            return Ok(retried);
        }
        let was = held.row.state;
        let mut batch = Batch::new();
        Timers::new(&self.store).cancel(&mut batch, held.id.as_bytes()).map_err(HostError::store)?;
        let record: WriteRecord<'_> = Record::Reopened {
            at: self.clock.now_ms(),
            by: request.actor.to_string(),
            deployment: other.then(|| deployment.digest.clone()),
            aside: cut.stretches(),
        };
        batch.append(held.id.as_str(), next, record.encode().map_err(HostError::internal)?);
        for key in cut.promises(&live) {
            let id = PromiseId { run: held.id.clone(), key };
            promises::forget(&mut batch, id.open_key());
        }
        let row = &mut held.row;
        (row.state, row.ended_at, row.due, row.reason) = (RunState::Running, None, None, None);
        if let Some(limited) = &mut row.limited
            && !(was == RunState::Suspended && limited.admitted_at.is_some())
        {
            // It holds no slot any more, and waits for one like any other.
            (row.state, limited.admitted_at, limited.until) = (RunState::Queued, None, None);
        }
        row.deployment.clone_from(&deployment.digest);
        row.version = deployment.flow.document().version.to_string();
        held.put(&mut batch, was)?;
        self.clocks_follow(&mut batch, &held.id, RunState::Running);
        audit::run_retried(&mut batch, self, &request.actor, &held.row.flow, &retried, cut.aside.len());
        self.commit(batch).await.map_err(not_written)?;
        tracing::info!(run = %held.id, flow = %held.row.flow, by = %request.actor, "a run is retried");
        held.go_on();
        Ok(retried)
    }

    async fn deployment_for(&self, row: &Row, flow: RetryFlow) -> Result<Arc<Deployment>, HostError> {
        match flow {
            RetryFlow::Deployed => self.deployments.current(&row.flow).ok_or_else(|| {
                HostError::new(
                    ErrorCode::UnknownFlow,
                    format!("the flow {} is not deployed any more", row.flow),
                )
                .hint("deploy it, or retry with the flow that the run was started with")
            }),
            RetryFlow::Recorded => self.deployments.by_digest(&row.deployment).await.map_err(|e| {
                conflict(format!("the flow that the run was started with cannot be loaded: {e}"))
                    .hint("retry with the deployed one")
            }),
        }
    }
}

/// Refuses what needs a run's history when that is gone.
pub(crate) fn still_there(row: &Row) -> Result<(), HostError> {
    match row.removed {
        Some(removed) => Err(conflict(removed.words()).hint("start the flow anew with its input")),
        None => Ok(()),
    }
}

fn may_be_retried(row: &Row, from: bool) -> Result<(), HostError> {
    still_there(row)?;
    match row.state {
        RunState::Faulted | RunState::Cancelled | RunState::Stuck => Ok(()),
        RunState::Completed | RunState::Suspended if from => Ok(()),
        RunState::Completed => Err(conflict("the run ended well, so there is no failed task to retry")
            .hint("say from which task on it is to be done again: --from KEY, as in the run's history")),
        RunState::Suspended => {
            Err(conflict("a person has the run stand still").hint("let it go on: factotum run resume"))
        }
        RunState::Running | RunState::Queued | RunState::Waiting => Err(conflict("the run is not over")
            .hint("have it stand still first (factotum run suspend), or cancel it (factotum run cancel)")),
    }
}

fn cut_for(live: &Live, row: &Row, from: Option<&str>, other: bool) -> Result<Cut, HostError> {
    if let Some(from) = from {
        return cut::from(live, from).map_err(|e| {
            HostError::new(ErrorCode::InvalidRequest, e).hint("take a key from: factotum run show --json")
        });
    }
    match row.state {
        RunState::Stuck => Ok(cut::unwinding(live).unwrap_or_default()),
        RunState::Faulted => match cut::failure(live) {
            Some(cut) => Ok(cut),
            // A corrected flow may go another way with the same answers.
            None if other => Ok(Cut::default()),
            None => Err(conflict(
                "the run ended by an error of the flow's own: with the same answers it ends the same way again",
            )
            .hint("retry from an earlier task (--from KEY), or with a corrected flow (--flow-version deployed)")),
        },
        _ => Ok(Cut::default()),
    }
}

/// Refuses to take as done what a compensation has taken back.
fn taken_back(live: &Live, cut: &Cut) -> Result<(), HostError> {
    for of in cut::taken_back(live) {
        let mut originals = (0_u64..).zip(&live.records).filter(|(_, record)| {
            record
                .as_ref()
                .and_then(cut::place_of)
                .is_some_and(|place| is_within(&place, &of) && !place.contains("!compensate"))
        });
        if originals.any(|(number, _)| !cut.aside.contains(&number))
            && !cut.from.as_deref().is_some_and(|from| from.contains("!compensate"))
        {
            return Err(conflict(format!("what {of} did was taken back, so it must be done again as well"))
                .hint(format!("retry from there or from an earlier task: --from {of}")));
        }
    }
    Ok(())
}

fn told(live: &Live, cut: &Cut, held: &Held<'_>, deployment: &str, preview: bool) -> Retried {
    let all: Vec<u64> = (0..live.records.len() as u64).collect();
    let calls = cut::calls(live, &all).count();
    let again: Vec<DoneAgain> = cut::calls(live, &cut.aside)
        .map(|(key, function, outcome)| DoneAgain {
            key: key.to_owned(),
            function: function.to_owned(),
            known: is_known(outcome),
        })
        .collect();
    let kept = calls.saturating_sub(again.len());
    let again = again.into_iter().take(MAX_LISTED).collect();
    Retried {
        run_id: held.id.clone(),
        was: held.row.state,
        deployment: deployment.to_owned(),
        from: cut.from.clone(),
        again,
        kept,
        preview,
    }
}

/// Why a change of a run was not made.
pub(super) fn not_written(error: StoreError) -> HostError {
    if error.is_conflict() {
        conflict("something else happened to the run in this moment").hint("look at it, and try again")
    } else {
        HostError::store(error)
    }
}

pub(super) fn conflict(message: impl Into<String>) -> HostError {
    HostError::new(ErrorCode::Conflict, message)
}

pub(super) fn unknown(id: &str) -> HostError {
    let shown: String = id.chars().take(80).collect();
    HostError::new(ErrorCode::UnknownRun, format!("there is no run {shown:?}"))
        .hint("factotum run list shows the newest")
}

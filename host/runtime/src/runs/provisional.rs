//! A run whose caller waits for its end is executed while it is not on disk yet.
//!
//! Nobody was told of it, so nothing that was promised is lost with it. What opens it in the store stands before the first
//! batch that its execution writes: ahead of an effect that may act, of a pause, of its end; or alone, once it has taken
//! [`PATIENCE`]. A short run without effects is one batch then, and its caller waits for the disk once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use factotum_provenance::Labels;
use factotum_store::Batch;
use tokio::sync::OwnedSemaphorePermit;

use super::effects::Durable;
use super::queue::Admission;
use super::replay::Replay;
use super::start::{Candidate, Examined};
use super::{Engine, Row, Run, RunInfo, RunState, StartRun, Started, put_row};
use crate::error::{ErrorCode, HostError};

/// After this time a run is put on disk wherever it stands, for others to see it. Tests say what happens before and after it,
/// also on a machine that stops them for a while.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 1_000 } else { 20 });
/// A larger input is put on disk before the run is executed, in bytes of its record.
const MAX_RECORD: usize = 64 * 1024;

/// What opens a run in the store, but for its row.
pub(super) struct Beginning(Batch);

impl Beginning {
    /// What opens the run, with its row as it is now, and then what `batch` holds.
    pub fn and(mut self, run: &Run, batch: Batch) -> Result<Batch, serde_json::Error> {
        put_row(&mut self.0, &run.id, &run.row, None)?;
        Ok(self.and_row(batch))
    }

    /// The same without the row, which `batch` has.
    pub fn and_row(mut self, batch: Batch) -> Batch {
        self.0.merge(batch);
        self.0
    }
}

impl Engine {
    /// Accepts a run and waits for its end, at most `timeout`. When this returns, the run is on disk; it goes on when its
    /// end is `None`.
    pub async fn start_and_wait(
        self: &Arc<Self>,
        request: StartRun,
        timeout: Duration,
    ) -> Result<(Started, Option<Arc<RunInfo>>), HostError> {
        let from = Labels::default();
        let started = match self.examine(&request, &from)? {
            Examined::Known(started) => started,
            Examined::New(candidate) => {
                if is_light(&candidate)
                    && let Some(Admission::Place(place)) = self.queue.admit(&request.flow)
                {
                    return self.execute_and_wait(request, candidate, place, timeout).await;
                }
                self.take_on(request, from, candidate, |_, _| {}).await?
            }
        };
        match self.wait(&started.run_id, timeout).await {
            Ok(end) => Ok((started, Some(end))),
            Err(error) if error.code == ErrorCode::StillRunning => Ok((started, None)),
            Err(error) => Err(error),
        }
    }

    /// Executes a run before it is on disk.
    async fn execute_and_wait(
        self: &Arc<Self>,
        request: StartRun,
        candidate: Candidate,
        place: OwnedSemaphorePermit,
        timeout: Duration,
    ) -> Result<(Started, Option<Arc<RunInfo>>), HostError> {
        let StartRun { actor, flow, input, trigger, .. } = request;
        let Candidate { id, deployment, record, at, .. } = candidate;
        let row = Row::of_new(RunState::Running, flow, &deployment, at, &actor, trigger);
        let run = Run { id: id.clone(), row, deployment };
        let mut batch = Batch::new();
        self.add_beginning(&mut batch, &run, &actor, record);
        let told = self.waiters.subscribe(&id);
        self.tell("workflow.started", &id, &run.row, None, serde_json::Value::Null);
        self.queue.claim(&id);
        self.spawn(run, input, Replay::from(Labels::default()), 1, place, Some(Beginning(batch)));
        let end = tokio::time::timeout(timeout, told).await;
        let started = Started { run_id: id, duplicate: false };
        if let Ok(Ok(end)) = end {
            return Ok((started, Some(end)));
        }
        self.waiters.forget(&started.run_id);
        self.is_taken_on(&started.run_id).await?;
        Ok((started, None))
    }

    /// Returns once a run that its caller waits for no longer is on disk.
    async fn is_taken_on(&self, id: &str) -> Result<(), HostError> {
        loop {
            let executes = self.queue.is_claimed(id);
            // An empty batch: what was handed over before it is decided then.
            self.store.commit(Batch::new()).await.map_err(HostError::store)?;
            if self.row(id).map_err(HostError::store)?.is_some() {
                return Ok(());
            }
            if !executes {
                return Err(self.not_taken_on());
            }
            tokio::time::sleep(PATIENCE).await;
        }
    }

    fn not_taken_on(&self) -> HostError {
        if self.stop.is_requested() {
            return HostError::new(ErrorCode::ShuttingDown, "the host is stopping; the run was not accepted");
        }
        HostError::internal("a run could not be written down and was not accepted")
    }

    /// Puts a run on disk that was executed and has not come to its end, with what stands ahead. Whether that worked.
    pub(super) async fn take_down(&self, run: &Run, beginning: Beginning, ahead: &mut Batch) -> bool {
        let batch = beginning.and(run, std::mem::take(ahead)).map_err(|error| error.to_string());
        let written = match batch {
            Ok(batch) => self.commit(batch).await.map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        if let Err(error) = &written {
            tracing::error!(run = %run.id, error, "a run could not be written down; it was not accepted");
            self.waiters.let_go(&run.id);
        }
        written.is_ok()
    }
}

/// Whether a run can be executed before it is on disk: nothing of it but its row and journal has to be found in the store
/// while it goes on, and nobody else can be asking for the same run.
fn is_light(candidate: &Candidate) -> bool {
    candidate.dedupe.is_none()
        && candidate.limited.is_none()
        && candidate.deployment.flow.sla().is_none()
        && candidate.record.len() <= MAX_RECORD
}

impl Durable<'_> {
    /// Executes, and puts a run that is not on disk there when that takes long.
    pub(super) async fn meanwhile_on_disk<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
            return done;
        }
        // What goes wrong there halts the run.
        let (done, _) = tokio::join!(work, self.put_on_disk());
        done
    }
}

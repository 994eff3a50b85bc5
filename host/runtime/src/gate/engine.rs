//! Runs come to the gate when they are accepted, and it learns where they stand from then on.

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::Actor;
use factotum_store::Batch;
use serde_json::Value;

use super::admission::{Closed, Entry};
use super::{Limited, is_under_way};
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::flows::Deployment;
use crate::journal::{Record, WriteRecord};
use crate::runs::{Engine, Row, Run, RunInfo, RunState, put_row};

/// When a refused caller should come back if nothing was observed that says when, and at the latest.
const COME_BACK: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3_600));

/// A limited run on its way in: what the gate decided is taken back unless the run gets onto disk.
pub(crate) struct Entering {
    engine: Arc<Engine>,
    id: String,
    entry: Entry,
    /// The run that this one replaces, claimed.
    replaced: Option<(String, Row)>,
    settled: bool,
}

impl Entering {
    /// Whether it starts at once.
    pub fn starts(&self) -> bool {
        self.entry == Entry::Starts
    }

    /// Adds to the batch that accepts the run what is to be on disk with it.
    pub fn add_to(&mut self, batch: &mut Batch, run: &Run) -> Result<(), HostError> {
        let engine = Arc::clone(&self.engine);
        let now = engine.clock.now_ms();
        if let (true, Some(limited)) = (self.starts(), &run.row.limited) {
            engine.put_start(batch, &run.row.flow, limited, &self.id, now);
        }
        let Some((old, row)) = &mut self.replaced else { return Ok(()) };
        let old = old.as_str();
        let was = row.state;
        let reason = format!(
            "superseded by run {}, which a later trigger with the same debounce key started",
            self.id
        );
        (row.state, row.ended_at, row.due) = (RunState::Cancelled, Some(now), None);
        row.reason = Some(reason.clone());
        let record: WriteRecord<'_> =
            Record::Cancelled { at: now, by: Actor::System.to_string(), reason: Some(reason) };
        let record = record.encode().map_err(HostError::internal)?;
        let next = engine.store.journal_end(old).map_err(HostError::store)?;
        put_row(batch, old, row, Some(was)).map_err(HostError::internal)?;
        audit::run_superseded(batch, &engine, &row.flow, old, &self.id, &record);
        batch.append(old, next, record);
        Ok(())
    }

    /// The run is on disk.
    pub async fn arrived(mut self) {
        self.settled = true;
        let engine = Arc::clone(&self.engine);
        {
            let mut gate = engine.gate.lock();
            gate.arrived(&self.id);
            if let Some((old, _)) = &self.replaced {
                gate.gone(old);
            }
        }
        engine.gate.arrived.notify_waiters();
        engine.gate.changed.notify_one();
        let Some((old, row)) = self.replaced.take() else { return };
        engine.queue.release(&old);
        engine.waiters.tell(&old, &Arc::new(RunInfo::new(&old, &row, None)));
        engine.tell("workflow.cancelled", &old, &row, None, Value::Null);
        if crate::schedule::concerns(&row.trigger, row.state) {
            engine.schedules_changed();
        }
        // Someone may have wanted something of it in this moment: that is settled.
        engine.enforce_unless_parked(&old).await;
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let engine = &self.engine;
        {
            let mut gate = engine.gate.lock();
            gate.not_started(&self.id, engine.clock.now_ms());
            if let Some((old, _)) = &self.replaced {
                gate.stays(old);
            }
        }
        if let Some((old, _)) = &self.replaced {
            engine.queue.release(old);
        }
        engine.gate.arrived.notify_waiters();
        engine.gate.changed.notify_one();
    }
}

impl Engine {
    /// What a deployment's limits make of an input; `None` when it has none.
    pub(crate) fn limited(
        &self,
        deployment: &Deployment,
        input: &Value,
    ) -> Result<Option<Box<Limited>>, factotum_flow::FlowError> {
        match deployment.flow.limits().filter(|_| self.gate.enforced) {
            None => Ok(None),
            Some(limits) => Limited::of(limits, input).map(|limited| Some(Box::new(limited))),
        }
    }

    /// Takes a run to the gate. `bounded` says that whoever brings it can be told to come back.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        id: &str,
        flow: &str,
        limited: &mut Limited,
        bounded: bool,
    ) -> Result<Entering, HostError> {
        let (entry, now) = loop {
            let arrived = self.gate.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let now = self.clock.now_ms();
            let decided = self.gate.lock().enter(id, &limited.ticket(flow, now), bounded, now);
            match decided {
                Ok(entry) => break (entry, now),
                Err(Closed::Ask) => {
                    tokio::select! {
                        () = arrived => {}
                        () = self.stop.requested() => {
                            return Err(HostError::new(ErrorCode::ShuttingDown, "the host is stopping")
                                .retry_after(COME_BACK.0));
                        }
                    }
                }
                Err(Closed::HostFull { come_at }) => {
                    let message = "the host keeps as many runs that wait for their turn as it can; this one was not accepted";
                    return Err(HostError::new(ErrorCode::Busy, message)
                        .hint("send it again after the time given")
                        .retry_after(come_back(come_at, now)));
                }
                Err(Closed::FlowFull { queued, come_at }) => return Err(full(flow, queued, come_at, now)),
            }
        };
        let mut replaced = None;
        match &entry {
            Entry::Starts => limited.admitted_at = Some(now),
            Entry::Waits => {}
            Entry::Quiet { quiet, replaces } => {
                (limited.since, limited.until) = (Some(quiet.since), Some(quiet.until));
                replaced = replaces.as_deref().and_then(|old| self.take_over(old));
            }
        }
        Ok(Entering { engine: Arc::clone(self), id: id.to_owned(), entry, replaced, settled: false })
    }

    /// Claims a run that is replaced; `None` when it is starting or being ended at this moment, and goes its own way.
    fn take_over(&self, old: &str) -> Option<(String, Row)> {
        if self.queue.claim(old) {
            match self.row(old) {
                Ok(Some(row)) if row.state == RunState::Queued => return Some((old.to_owned(), row)),
                _ => self.queue.release(old),
            }
        }
        self.gate.lock().stays(old);
        None
    }

    /// The gate learns where a limited run stands now that it is on disk.
    pub(crate) fn at_the_gate(&self, id: &str, row: &Row) {
        let Some(limited) = &row.limited else { return };
        let ticket = limited.ticket(&row.flow, row.started_at);
        {
            let mut gate = self.gate.lock();
            if row.state == RunState::Queued {
                gate.wait(id, &ticket, limited.quiet(row.started_at));
            } else if is_under_way(row) {
                gate.goes(id, &ticket);
            } else {
                gate.gone(id);
            }
        }
        self.gate.arrived.notify_waiters();
        self.gate.changed.notify_one();
    }

    /// Other limits hold for a flow.
    pub(crate) fn limits_changed(&self, flow: &str) {
        let current = self.deployments.current(flow);
        let limits = current.as_ref().and_then(|deployment| deployment.flow.limits());
        self.gate.lock().set_rules(flow, limits.map(super::rules));
        self.gate.changed.notify_one();
    }

    /// Whether a run above `parent`, or itself, holds a slot of this flow and key, so that a run that it waits for goes
    /// with that slot.
    pub(crate) fn slot_above(&self, parent: &Row, flow: &str, slot: &str) -> bool {
        let mut above = Some(parent.clone());
        while let Some(row) = above {
            if row.flow == flow
                && row.limited.as_ref().is_some_and(|limited| limited.slot.as_deref() == Some(slot))
                && is_under_way(&row)
            {
                return true;
            }
            above = row.parent.and_then(|promise| self.row(&promise.run).ok().flatten());
        }
        false
    }
}

/// How long a caller who is refused now should stay away, in whole seconds.
fn come_back(at: Option<u64>, now: u64) -> Duration {
    let after = at.map_or(COME_BACK.0, |at| Duration::from_secs(at.saturating_sub(now).div_ceil(1_000)));
    after.clamp(Duration::from_secs(1), COME_BACK.1)
}

fn full(flow: &str, queued: usize, come_at: Option<u64>, now: u64) -> HostError {
    let message = format!(
        "{queued} runs of {flow} wait for their turn, as many as its limits let wait; this one was not accepted"
    );
    HostError::new(ErrorCode::QueueFull, message)
        .hint("send it again after the time given, or raise document.metadata.limits.queue")
        .retry_after(come_back(come_at, now))
}

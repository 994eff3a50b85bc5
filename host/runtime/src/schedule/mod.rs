//! Schedules: flows that start by themselves, `every` so often, by `cron`, or some time `after` their last run.
//!
//! A scheduled flow has a row with the moment of its next start. The run and the next moment are one batch that demands
//! the row as it was: a moment starts one run, whatever happens to the process, and none is lost. What was missed while
//! the host was down is made up for by one start; then the rhythm goes on.
//!
//! Moments are those of the wall clock. When it is set forward, that counts as missed; when it is set back, `every` and
//! `after` go on in their interval, and a moment of `cron` that has started a run does not start another one.

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::Actor;
use factotum_flow::Schedule;
use factotum_provenance::Labels;
use factotum_store::{Batch, Expectation, ScanRange, StoreError, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::flows::Deployment;
use crate::runs::{Engine, RunState, StartRun};

/// The wall clock may be set while the scheduler sleeps: it looks up at least this often.
const LOOK_UP: Duration = Duration::from_secs(5);
/// When to try again what failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The most rows read at once.
const PAGE: usize = 1_000;

/// A scheduled flow, as the store keeps it. Times in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    /// The schedule that `next` belongs to: another one begins anew.
    #[serde(rename = "s")]
    schedule: String,
    /// What the rhythm counts from.
    #[serde(rename = "a")]
    anchor: u64,
    /// The next start; none while the last run goes on (`after`), or when there is none any more.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// The last run that was started.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
}

/// Starts runs when their time comes, until the host stops.
pub(crate) async fn watch(engine: Arc<Engine>) {
    loop {
        // Registered before looking, so that a change in between is not missed.
        let changed = engine.schedules_changed.notified();
        let next = match engine.fire_due().await {
            Ok(next) => next,
            Err(error) if error.code == ErrorCode::NoSpace => {
                if engine.await_space().await {
                    continue;
                }
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a scheduled flow could not be started yet");
                tokio::select! {
                    () = tokio::time::sleep(AFTER_FAILURE) => continue,
                    () = engine.stop.requested() => return,
                }
            }
        };
        let due = async {
            match next {
                Some(next) => engine.clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = tokio::time::sleep(LOOK_UP), if next.is_some() => {}
            () = changed => {}
            () = engine.stop.requested() => return,
        }
    }
}

impl Engine {
    /// Starts what is due and brings the rows in line with what is deployed. Returns the earliest next start.
    async fn fire_due(self: &Arc<Self>) -> Result<Option<u64>, HostError> {
        let mut earliest: Option<u64> = None;
        let deployed = self.deployments.all();
        for deployment in &deployed {
            let next = self.fire(deployment).await?;
            earliest = match (earliest, next) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        self.forget_undeployed(&deployed).await.map_err(HostError::store)?;
        Ok(earliest)
    }

    /// Starts a flow if it is due; its next start.
    async fn fire(self: &Arc<Self>, deployment: &Deployment) -> Result<Option<u64>, HostError> {
        let Some(schedule) = deployment.flow.schedule() else { return Ok(None) };
        if matches!(schedule, Schedule::On(_)) {
            return Ok(None);
        }
        let flow = deployment.flow.id();
        let stored = self.store.get(Table::Schedules, flow.as_bytes()).map_err(HostError::store)?;
        let known = stored.as_deref().and_then(|bytes| serde_json::from_slice::<Row>(bytes).ok());
        let now = self.clock.now_ms();
        let row = self.current(schedule, deployment, known.clone(), now).map_err(HostError::store)?;
        let Some(next) = row.next.filter(|next| *next <= now) else {
            if known.as_ref() != Some(&row) {
                let mut batch = Batch::new();
                expect(&mut batch, &flow, stored);
                put(&mut batch, &flow, &row)?;
                self.commit(batch).await.map_err(HostError::store)?;
            }
            return Ok(row.next);
        };
        let mut after = match schedule {
            Schedule::After(_) => Row { next: None, ..row.clone() },
            _ => Row { next: schedule.next_after(now, row.anchor), ..row.clone() },
        };
        let request = StartRun {
            actor: Actor::System,
            flow: flow.clone(),
            input: json!({}),
            dedupe_key: None,
            trigger: "schedule".to_owned(),
        };
        let mut planned = None;
        let started = self
            .start_together(request, Labels::default(), |run, batch| {
                after.run = Some(run.to_owned());
                expect(batch, &flow, stored.clone());
                // Numbers and texts always serialise.
                batch.put(Table::Schedules, flow.as_str(), serde_json::to_vec(&after).unwrap_or_default());
                planned = after.next;
            })
            .await;
        match started {
            Ok(started) => {
                tracing::debug!(flow, run = started.run_id, next, "a scheduled flow was started");
                Ok(planned)
            }
            // Its time will come: the row is as it was.
            Err(error)
                if matches!(
                    error.code,
                    ErrorCode::Busy | ErrorCode::ShuttingDown | ErrorCode::Store | ErrorCode::NoSpace
                ) =>
            {
                Err(error)
            }
            // The line before the flow is full. Another tick comes: this one is left out, on record.
            Err(error) if error.code == ErrorCode::QueueFull => {
                tracing::warn!(flow, %error, "a scheduled start is skipped");
                let skipped = Row { next: schedule.next_after(now, row.anchor), run: row.run.clone(), ..row };
                let mut batch = Batch::new();
                expect(&mut batch, &flow, stored);
                put(&mut batch, &flow, &skipped)?;
                audit::start_skipped(&mut batch, self, &flow, next, &error.message);
                self.commit(batch).await.map_err(HostError::store)?;
                Ok(skipped.next)
            }
            // It would be refused again and again: this start is given up, the rhythm goes on.
            Err(error) => {
                tracing::error!(flow, %error, "a scheduled flow cannot be started");
                let skipped = Row { next: schedule.next_after(now, now), run: row.run.clone(), ..row };
                let mut batch = Batch::new();
                put(&mut batch, &flow, &skipped)?;
                self.commit(batch).await.map_err(HostError::store)?;
                Ok(skipped.next)
            }
        }
    }

    /// The row as it should be now, before anything is started.
    fn current(
        &self,
        schedule: &Schedule,
        deployment: &Deployment,
        known: Option<Row>,
        now: u64,
    ) -> Result<Row, StoreError> {
        let text = text(schedule);
        let Some(mut row) = known.filter(|row| row.schedule == text) else {
            let anchor = deployment.deployed_at();
            let next = schedule.next_after(now.max(anchor), anchor);
            return Ok(Row { schedule: text, anchor, next, run: None });
        };
        match (schedule, row.next) {
            // The clock was set back: the interval counts, not the moment.
            (Schedule::Every(every), Some(next)) if next > now.saturating_add(millis(*every)) => {
                row.next = schedule.next_after(now, row.anchor);
            }
            (Schedule::After(after), Some(next)) if next > now.saturating_add(millis(*after)) => {
                row.anchor = now;
                row.next = schedule.next_after(now, now);
            }
            (Schedule::After(_), None) => {
                let last = row.run.as_deref().map(|run| self.row(run)).transpose()?.flatten();
                match last {
                    Some(last) if !last.state.is_final() => {}
                    ended => {
                        row.anchor = ended.and_then(|row| row.ended_at).unwrap_or(now).min(now);
                        row.next = schedule.next_after(now, row.anchor);
                    }
                }
            }
            _ => {}
        }
        Ok(row)
    }

    /// Takes away the rows of flows that are not scheduled any more.
    async fn forget_undeployed(&self, deployed: &[Arc<Deployment>]) -> Result<(), StoreError> {
        let rows = self.store.scan(Table::Schedules, &ScanRange::default().limit(PAGE))?;
        let scheduled = |name: &[u8]| {
            let timed = |d: &&Arc<Deployment>| {
                d.flow.id().as_bytes() == name
                    && d.flow.schedule().is_some_and(|schedule| !matches!(schedule, Schedule::On(_)))
            };
            deployed.iter().any(|d| timed(&d))
        };
        let mut batch = Batch::new();
        for (name, _) in rows.iter().filter(|(name, _)| !scheduled(name)) {
            batch.delete(Table::Schedules, name.as_slice());
        }
        if batch.is_empty() { Ok(()) } else { self.commit(batch).await.map(drop) }
    }

    /// Lets the scheduler look again: a flow was deployed or taken off, or a run that it started has ended.
    pub(crate) fn schedules_changed(&self) {
        self.schedules_changed.notify_one();
    }

    /// When a flow starts next by itself.
    pub(crate) fn next_start(&self, flow: &str) -> Option<u64> {
        let stored = self.store.get(Table::Schedules, flow.as_bytes()).ok()??;
        serde_json::from_slice::<Row>(&stored).ok()?.next
    }
}

/// Whether the end of a run concerns the scheduler.
pub(crate) fn concerns(trigger: &str, state: RunState) -> bool {
    trigger == "schedule" && state.is_final()
}

fn expect(batch: &mut Batch, flow: &str, stored: Option<Vec<u8>>) {
    let expectation = stored.map_or(Expectation::Absent, Expectation::Value);
    batch.expect(Table::Schedules, flow, expectation);
}

fn put(batch: &mut Batch, flow: &str, row: &Row) -> Result<(), HostError> {
    batch.put(Table::Schedules, flow, serde_json::to_vec(row).map_err(HostError::internal)?);
    Ok(())
}

/// What tells one schedule from another.
fn text(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Every(every) => format!("every {} ms", every.as_millis()),
        Schedule::After(after) => format!("after {} ms", after.as_millis()),
        Schedule::Cron(cron) => format!("cron {} {}", cron.pattern(), cron.zone()),
        Schedule::On(_) => String::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

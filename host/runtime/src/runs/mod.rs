//! Runs: accepted, executed, suspended, woken, ended, parked. One file per transition; in each the order is decide,
//! journal, then act.
//!
//! A run has a row (where it stands), a journal (what happened) and entries in the indexes. All three change in the
//! same batch, with the audit entry of the change. An execution of a run holds a claim in the [`Queue`], so that no
//! run executes twice at a time; it is made from the journal and can be dropped at any moment without losing more
//! than effects that were in flight, which are then repeated under the same idempotency key.

mod await_end;
mod children;
mod drive;
mod effects;
mod finish;
mod history;
pub(crate) mod live;
mod park;
pub(crate) mod promises;
mod provisional;
mod queue;
pub(crate) mod replay;
mod resume;
mod row;
mod space;
mod start;
mod suspend;
mod timers;
mod view;
mod waiters;
mod wake;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use factotum_audit::AuditLog;
use factotum_store::{Batch, Committed, Slot, Store, StoreError, Table};
use tokio::sync::Notify;

use crate::actions::Actions;
use crate::calendars::Calendars;
use crate::clock::Clock;
use crate::config::Limits;
use crate::events::Events;
use crate::flow_rights::FlowRights;
use crate::flows::{Deployment, Deployments};
use crate::gate::{self, AtTheGate};
use crate::mailboxes::Mailboxes;
use crate::notices::Notices;
use crate::repair::Controls;
use crate::stop::StopSignal;

pub use history::{RunDetail, RunEvent};
pub use row::RunState;
pub use start::{StartRun, Started};
pub use view::{RunInfo, RunPage, RunQuery};

pub(crate) use promises::{PromiseId, Resolution, Resolved, open_promises_prefix};
pub(crate) use queue::{Lane, Queue};
pub(crate) use row::{Removed, Row, id_of_key as run_of_index, kept_for, prefix as runs_of_flow};
pub(crate) use waiters::Waiters;

/// Everything that runs share. Knows no plugins: actions are behind a trait.
pub(crate) struct Engine {
    pub store: Store,
    pub audit: AuditLog,
    pub clock: Arc<dyn Clock>,
    pub actions: Arc<dyn Actions>,
    pub deployments: Deployments,
    /// What flows may send by themselves.
    pub flow_rights: FlowRights,
    /// Business hours that flows name.
    pub calendars: Calendars,
    /// Whether any run has clocks: most hosts need not look for some at the end of every run.
    pub clocks_used: AtomicBool,
    pub limits: Limits,
    pub queue: Arc<Queue>,
    /// The runs of flows that have limits.
    pub gate: AtTheGate,
    pub waiters: Waiters,
    /// What people are told.
    pub notices: Notices,
    /// Where mail comes in.
    pub mailboxes: Mailboxes,
    /// What people want of runs.
    pub controls: Controls,
    pub events: Events,
    /// Says that the scheduler is to look again.
    pub schedules_changed: Notify,
    /// Says that a timer was set, or that one that was left alone can be looked at again.
    pub timers_changed: Notify,
    /// The watcher of timers left some alone: their runs were claimed, or the line was full.
    pub timers_blocked: AtomicBool,
    pub stop: StopSignal,
    #[cfg(test)]
    pub crash: tests::Crash,
}

/// A run that is being executed.
#[derive(Clone)]
pub(crate) struct Run {
    pub id: String,
    pub row: Row,
    pub deployment: Arc<Deployment>,
}

impl Engine {
    pub fn new(
        store: Store,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        actions: Arc<dyn Actions>,
        limits: Limits,
    ) -> Arc<Self> {
        let deployments = Deployments::new(store.clone());
        let flow_rights = FlowRights::new(store.clone(), audit.clone());
        let calendars = Calendars::new(store.clone(), audit.clone(), Arc::clone(&clock));
        let queue = Queue::new(limits.max_active_runs, limits.max_queued_runs);
        let gate = AtTheGate::new(limits.max_held_runs, limits.flow_limits);
        Arc::new(Self {
            store,
            audit,
            clock,
            actions,
            deployments,
            flow_rights,
            calendars,
            clocks_used: AtomicBool::new(false),
            limits,
            queue,
            gate,
            waiters: Waiters::default(),
            notices: Notices::default(),
            mailboxes: Mailboxes::default(),
            controls: Controls::default(),
            events: Events::default(),
            schedules_changed: Notify::new(),
            timers_changed: Notify::new(),
            timers_blocked: AtomicBool::new(false),
            stop: StopSignal::new(),
            #[cfg(test)]
            crash: tests::Crash::default(),
        })
    }

    /// Takes up unfinished runs, and begins to dispatch and to watch timers.
    pub fn begin(self: &Arc<Self>) -> Result<(), StoreError> {
        let wanted = self.controls.load(&self.store)?;
        self.open_events()?;
        self.flow_rights.open()?;
        self.calendars.open()?;
        self.find_clocks()?;
        self.resume_all()?;
        self.open_gate()?;
        tokio::spawn(drive::dispatch(Arc::clone(self)));
        tokio::spawn(gate::dispatch(Arc::clone(self)));
        tokio::spawn(timers::watch(Arc::clone(self)));
        tokio::spawn(crate::events::dispatch(Arc::clone(self)));
        self.events.announce();
        tokio::spawn(crate::schedule::watch(Arc::clone(self)));
        tokio::spawn(crate::clock_watch::watch(Arc::clone(self)));
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            for id in wanted {
                engine.enforce_unless_parked(&id).await;
            }
        });
        Ok(())
    }

    /// Stops taking on and executing runs. Calls in flight are given `grace` to end and to be journalled.
    pub async fn end(&self, grace: std::time::Duration) {
        self.stop.request();
        let _ = tokio::time::timeout(grace, self.queue.idle()).await;
        self.waiters.dismiss();
    }

    /// The one way from runs and deployments to the store.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        #[cfg(test)]
        self.crash.pass()?;
        self.slot(batch.bytes()).await?.submit(batch)?.wait().await
    }

    /// Room for a batch that is decided only when it is handed over.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<Slot<'_>, StoreError> {
        #[cfg(test)]
        self.crash.pass()?;
        self.slot(bytes).await
    }

    pub(crate) fn row(&self, id: &str) -> Result<Option<Row>, StoreError> {
        let Some(bytes) = self.store.get(Table::Runs, id.as_bytes())? else { return Ok(None) };
        read_row(id, &bytes).map(Some)
    }
}

/// Reads a row.
pub(crate) fn read_row(id: &str, bytes: &[u8]) -> Result<Row, StoreError> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::Corrupt {
        table: Table::Runs,
        key: id.as_bytes().to_vec(),
        reason: e.to_string(),
    })
}

/// Puts a row and moves the run in the index by state; a limited run in that of its limits as well.
pub(crate) fn put_row(
    batch: &mut Batch,
    id: &str,
    row: &Row,
    was: Option<RunState>,
) -> Result<(), serde_json::Error> {
    batch.put(Table::Runs, id, serde_json::to_vec(row)?);
    if was != Some(row.state) {
        if let Some(was) = was {
            batch.delete(Table::RunsByState, row::by_state_key(was, id));
        }
        batch.put(Table::RunsByState, row::by_state_key(row.state, id), *b"");
    }
    crate::gate::put_index(batch, id, row, was)
}

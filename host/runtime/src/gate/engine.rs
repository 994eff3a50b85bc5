//! Runs pass the gate: on acceptance, when their turn comes, and when they are over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use factotum_audit::Actor;
use factotum_store::{Batch, ScanRange, StoreError, Table};
use serde_json::Value;

use super::admission::{Closed, Entry};
use super::{Limited, START, index_key, is_under_way, parts};
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::flows::Deployment;
use crate::journal::{Record, WriteRecord};
use crate::runs::{Engine, Row, Run, RunInfo, RunState, put_row};

/// The most runs that are let start in one batch.
const MOST_AT_ONCE: usize = 64;
/// How long to leave alone what failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long to leave a run alone that somebody else is changing.
const AFTER_CLAIM: Duration = Duration::from_millis(20);
/// The wall clock may be set while the dispatcher sleeps: it looks up at least this often.
const LOOK_UP: Duration = Duration::from_secs(60);
/// When a refused caller should come back if nothing says when there is room, and at the latest.
const COME_BACK: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3_600));
/// Starts that count no more are forgotten so many at a time, with each new one.
const FORGET_AT_ONCE: usize = 4;

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
                Err(Closed::HostFull) => {
                    let message = "the host keeps as many runs that wait for their turn as it can; this one was not accepted";
                    return Err(HostError::new(ErrorCode::Busy, message)
                        .hint("send it again after the time given")
                        .retry_after(COME_BACK.0));
                }
                Err(Closed::FlowFull { queued, free_at }) => return Err(full(flow, queued, free_at, now)),
            }
        };
        let mut replaced = None;
        match &entry {
            Entry::Starts => limited.admitted_at = Some(now),
            Entry::Waits => {}
            Entry::Quiet { until, replaces } => {
                limited.until = Some(*until);
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
                gate.wait(id, &ticket, limited.until);
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

    /// Adds a start to a batch, if its flow has a rate, and takes off some that count no more.
    fn put_start(&self, batch: &mut Batch, flow: &str, limited: &Limited, id: &str, now: u64) {
        let limits = self.deployments.current(flow);
        let rate = limits.as_ref().and_then(|d| d.flow.limits()).and_then(|limits| limits.rate.as_ref());
        let Some(rate) = rate else { return };
        let per = u64::try_from(rate.per.as_millis()).unwrap_or(u64::MAX);
        let entry = [&now.to_be_bytes(), id.as_bytes()].concat();
        batch.put(Table::Limits, index_key(START, flow, &entry), limited.rate.as_bytes());
        let range = ScanRange::prefix(index_key(START, flow, b"")).limit(FORGET_AT_ONCE);
        for (key, _) in self.store.scan(Table::Limits, &range).unwrap_or_default() {
            if start_of(&key).is_some_and(|(_, at)| at.saturating_add(per) <= now) {
                batch.delete(Table::Limits, key);
            }
        }
    }

    /// Lets runs start whose turn it is: one batch for all of them. False when something stood in the way.
    async fn let_start(&self, ids: Vec<Arc<str>>) -> bool {
        let now = self.clock.now_ms();
        let mut batch = Batch::new();
        let (mut going, mut later) = (Vec::new(), Vec::new());
        for id in ids {
            if !self.queue.claim(&id) {
                later.push(id);
                continue;
            }
            match self.row(&id) {
                Ok(Some(mut row)) if row.state == RunState::Queued => {
                    if let Some(limited) = &mut row.limited {
                        (limited.admitted_at, limited.until) = (Some(now), None);
                        self.put_start(&mut batch, &row.flow, limited, &id, now);
                    }
                    row.state = RunState::Running;
                    audit::run_admitted(&mut batch, self, &row, &id, now);
                    match put_row(&mut batch, &id, &row, Some(RunState::Queued)) {
                        Ok(()) => going.push((id, row)),
                        Err(error) => {
                            tracing::error!(run = %id, %error, "a run that waits cannot be started");
                            self.queue.release(&id);
                        }
                    }
                }
                // Ended, or stopped by a person, in this moment.
                Ok(Some(row)) => {
                    self.queue.release(&id);
                    self.at_the_gate(&id, &row);
                }
                Ok(None) => {
                    self.queue.release(&id);
                    self.gate.lock().gone(&id);
                }
                Err(error) => {
                    self.park_unread(&id, error.to_string()).await;
                    self.queue.release(&id);
                    self.gate.lock().gone(&id);
                }
            }
        }
        let committed = if going.is_empty() { Ok(()) } else { self.commit(batch).await.map(drop) };
        let mut fine = later.is_empty();
        for id in later {
            self.gate.lock().back(&id, self.clock.now_ms());
        }
        for (id, row) in going {
            if committed.is_ok() {
                self.tell("workflow.started", &id, &row, None, Value::Null);
                self.queue.push_claimed(&id, row.lane());
            } else {
                self.gate.lock().back(&id, self.clock.now_ms());
                self.queue.release(&id);
            }
        }
        if let Err(error) = committed {
            tracing::error!(%error, "runs that wait cannot be started yet");
            tokio::time::sleep(AFTER_FAILURE).await;
            fine = false;
        }
        fine
    }

    /// Reads who waits and who is under way, at the start of the host.
    pub(crate) fn open_gate(&self) -> Result<(), StoreError> {
        let now = self.clock.now_ms();
        let mut gate = self.gate.lock();
        for deployment in self.deployments.all() {
            if let Some(limits) = deployment.flow.limits() {
                gate.set_rules(&deployment.flow.id(), Some(super::rules(limits)));
            }
        }
        let mut read = |kind: u8, each: &mut dyn FnMut(&mut super::Gate, &[u8], &[u8])| {
            let mut cursor = None;
            loop {
                let range = ScanRange::prefix([kind]).after(cursor).limit(1_000);
                let page = self.store.scan(Table::Limits, &range)?;
                let Some((last, _)) = page.last() else { return Ok::<_, StoreError>(()) };
                cursor = Some(last.clone());
                for (key, value) in &page {
                    each(&mut gate, key, value);
                }
            }
        };
        read(START, &mut |gate, key, rate| {
            if let (Some((flow, at)), Ok(rate)) = (start_of(key), std::str::from_utf8(rate)) {
                gate.started(flow, rate, at.min(now));
            }
        })?;
        read(super::RUN, &mut |gate, key, value| {
            let id = parts(key).and_then(|(flow, id)| Some((flow, std::str::from_utf8(id).ok()?)));
            match (id, serde_json::from_slice::<super::Indexed>(value)) {
                (Some((flow, id)), Ok(super::Indexed { at, limited })) => {
                    let ticket = limited.ticket(flow, at);
                    if limited.admitted_at.is_some() {
                        gate.goes(id, &ticket);
                    } else {
                        gate.wait(id, &ticket, limited.until);
                    }
                }
                _ => tracing::error!("an entry of the index of limited runs cannot be read and is left out"),
            }
        })
    }

    /// Takes off the index the starts that count no more.
    async fn forget_starts(&self) -> Result<(), StoreError> {
        let now = self.clock.now_ms();
        let mut cursor = None;
        loop {
            let range = ScanRange::prefix([START]).after(cursor).limit(1_000);
            let page = self.store.scan(Table::Limits, &range)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            cursor = Some(last.clone());
            let mut batch = Batch::new();
            for (key, _) in page {
                let counts = start_of(&key).is_some_and(|(flow, at)| {
                    let rate = self.gate.lock().rate_of(flow);
                    rate.is_some_and(|rate| at.saturating_add(rate.per) > now)
                });
                if !counts {
                    batch.delete(Table::Limits, key);
                }
            }
            if !batch.is_empty() {
                self.commit(batch).await?;
            }
        }
    }

    /// Flows that were taken off have runs that wait: the numbers of the deployment that one of those keeps to hold on.
    async fn rules_of_flows_taken_off(&self) {
        let flows: Vec<String> = self.gate.lock().flows().map(str::to_owned).collect();
        for flow in flows.into_iter().filter(|flow| self.deployments.current(flow).is_none()) {
            let range = ScanRange::prefix(index_key(super::RUN, &flow, b"")).limit(1).reverse();
            let last = self.store.scan(Table::Limits, &range).unwrap_or_default().pop();
            let id = last.and_then(|(key, _)| Some(std::str::from_utf8(parts(&key)?.1).ok()?.to_owned()));
            let row = id.and_then(|id| self.row(&id).ok().flatten());
            let Some(row) = row else { continue };
            match self.deployments.by_digest(&row.deployment).await {
                Ok(deployment) => {
                    let rules = deployment.flow.limits().map(super::rules);
                    self.gate.lock().set_rules(&flow, rules);
                }
                Err(error) => {
                    tracing::error!(flow, error, "the limits of a flow that was taken off are lost")
                }
            }
        }
    }
}

/// Lets runs start when their turn comes, until the host stops.
pub(crate) async fn dispatch(engine: Arc<Engine>) {
    engine.rules_of_flows_taken_off().await;
    if let Err(error) = engine.forget_starts().await {
        tracing::warn!(%error, "starts that count no more stay in the index for now");
    }
    loop {
        // Registered before looking, so that a change in between is not missed.
        let changed = engine.gate.changed.notified();
        // Set before looking, so that a run that leaves the line in between says so.
        engine.gate.blocked.store(true, Ordering::Release);
        let room = engine.queue.spare().min(MOST_AT_ONCE);
        let (next, alarm) = {
            let mut gate = engine.gate.lock();
            let now = engine.clock.now_ms();
            let next: Vec<Arc<str>> = (0..room).map_while(|_| gate.next(now)).collect();
            (next, gate.next_alarm())
        };
        if room > 0 {
            engine.gate.blocked.store(false, Ordering::Release);
        }
        if engine.stop.is_requested() {
            return;
        }
        if !next.is_empty() {
            if !engine.let_start(next).await {
                tokio::time::sleep(AFTER_CLAIM).await;
            }
            continue;
        }
        let due = async {
            match alarm.filter(|_| room > 0) {
                Some(at) => engine.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = tokio::time::sleep(LOOK_UP), if alarm.is_some() => {}
            () = changed => {}
            () = engine.stop.requested() => return,
        }
    }
}

/// The flow and the moment of a start in the index.
fn start_of(key: &[u8]) -> Option<(&str, u64)> {
    let (flow, rest) = parts(key)?;
    Some((flow, u64::from_be_bytes(rest.get(..8)?.try_into().ok()?)))
}

fn full(flow: &str, queued: usize, free_at: Option<u64>, now: u64) -> HostError {
    let message = format!(
        "{queued} runs of {flow} wait for their turn, as many as its limits let wait; this one was not accepted"
    );
    let after = free_at.map_or(COME_BACK.0, |at| Duration::from_secs(at.saturating_sub(now).div_ceil(1_000)));
    HostError::new(ErrorCode::QueueFull, message)
        .hint("send it again after the time given, or raise document.metadata.limits.queue")
        .retry_after(after.clamp(Duration::from_secs(1), COME_BACK.1))
}

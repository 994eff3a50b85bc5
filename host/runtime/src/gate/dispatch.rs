//! Runs that wait start when their turn comes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use factotum_store::Batch;
use serde_json::Value;

use crate::audit;
use crate::runs::{Engine, RunState, put_row};

/// The most runs that are let start in one batch.
const MOST_AT_ONCE: usize = 64;
/// How long to leave alone what failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long to leave a run alone that somebody else is changing.
const AFTER_CLAIM: Duration = Duration::from_millis(20);
/// The wall clock may be set while the dispatcher sleeps: it looks up at least this often.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How often the index is looked through for starts that count no more. Their keys may be of customers.
const SWEEP: Duration = Duration::from_secs(3_600);

/// Lets runs start when their turn comes, until the host stops.
pub(crate) async fn dispatch(engine: Arc<Engine>) {
    engine.rules_of_flows_taken_off().await;
    let mut swept: Option<Instant> = None;
    loop {
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
            swept = Some(Instant::now());
            if let Err(error) = engine.forget_starts().await {
                tracing::warn!(%error, "starts that count no more stay in the index for now");
            }
        }
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
        engine.break_deadlocks().await;
        let due = async {
            match alarm.filter(|_| room > 0) {
                Some(at) => engine.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = tokio::time::sleep(LOOK_UP) => {}
            () = changed => {}
            () = engine.stop.requested() => return,
        }
    }
}

impl Engine {
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
}

//! A clock rings: people are warned or told of the breach, flows get an event, and what the run asks is asked of others.

use factotum_audit::Actor;
use factotum_flow::Sla;
use factotum_store::{Batch, StoreError, Timer, Timers};
use serde_json::json;
use std::sync::Arc;

use super::change::set_timer;
use super::clocks::{Clocks, Rings, Target};
use crate::error::HostError;
use crate::notices::Notice;
use crate::runs::Engine;
use crate::time::rfc3339;

/// What the identifiers of clocks' timers begin with.
const PREFIX: &[u8] = b"sla\0";

/// Whether a timer is that of a run's clocks.
pub(crate) fn is_sla_timer(id: &[u8]) -> bool {
    id.starts_with(PREFIX)
}

/// The identifier of the timer of a run's clocks.
pub(super) fn timer_id(run: &str) -> Vec<u8> {
    [PREFIX, run.as_bytes()].concat()
}

impl Engine {
    /// Sees to the clocks of a run. Returns whether that was done: a run that is executed at this moment is looked at
    /// when it is released.
    pub(crate) async fn fire_sla_timer(self: &Arc<Self>, timer: &Timer) -> Result<bool, StoreError> {
        let run =
            timer.id.get(PREFIX.len()..).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default();
        if !self.queue.claim(run) {
            return Ok(false);
        }
        let rung = self.ring(run, timer).await;
        self.queue.release(run);
        if let Err(error) = rung {
            tracing::error!(run, %error, cause = error.cause(), "the clocks of a run could not be seen to");
            let mut batch = Batch::new();
            Timers::remove(&mut batch, timer.due_ms, &timer.id);
            match self.commit(batch).await {
                Err(error) if !error.is_conflict() => return Err(error),
                _ => {}
            }
        }
        Ok(true)
    }

    async fn ring(self: &Arc<Self>, run: &str, timer: &Timer) -> Result<(), HostError> {
        let now = self.clock.now_ms();
        let mut batch = Batch::new();
        Timers::remove(&mut batch, timer.due_ms, &timer.id);
        let Some(mut clocks) = self.clocks(run).map_err(HostError::store)? else {
            return self.commit(batch).await.map(drop).map_err(HostError::store);
        };
        let was = clocks.state();
        if let Some(row) = self.row(run).map_err(HostError::store)? {
            clocks.stop_with(&row);
        }
        let rung = clocks.ring(now);
        for (target, rings, due) in &rung {
            // Before it is written down that it was told: after a crash in between it is told again, and the event of the
            // same identifier counts once.
            self.publish_ring(run, &clocks, *target, *rings, *due).await;
            let action = match rings {
                Rings::Warned => "sla.warn",
                Rings::Breached => "sla.breach",
            };
            let entry = self.audit.entry(&Actor::System, action, &clocks.flow).run(run);
            entry.detail("clock", target.as_str()).detail("due", &rfc3339(*due)).add_to(&mut batch);
        }
        let breached = rung.iter().any(|(_, rings, _)| *rings == Rings::Breached);
        let sla = if rung.is_empty() { None } else { self.sla_of(run).await? };
        if let Some(to) = sla.as_ref().and_then(|sla| sla.escalate.as_ref()).filter(|_| breached) {
            for item in self.escalate_items(&mut batch, run, to)? {
                let notice = Notice::Asked { item: Box::new(item), again: true };
                self.notices.add_to(&mut batch, &notice, now);
            }
        }
        for (target, rings, due) in &rung {
            let notice = Notice::Clock {
                run: run.to_owned(),
                flow: clocks.flow.clone(),
                clock: target.as_str(),
                breached: *rings == Rings::Breached,
                due: *due,
                groups: sla.as_ref().map(|sla| sla.notify.clone()).unwrap_or_default(),
            };
            self.notices.add_to(&mut batch, &notice, now);
        }
        clocks.put(&mut batch, run, Some(was)).map_err(HostError::internal)?;
        set_timer(&mut batch, run, clocks.next());
        match self.commit(batch).await {
            Ok(_) => Ok(()),
            // Somebody answered what was to be escalated: the timer is still there, and is looked at again.
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => Err(HostError::store(error)),
        }
    }

    /// Publishes an event that flows can be started by. Nothing waits for it.
    async fn publish_ring(
        self: &Arc<Self>,
        run: &str,
        clocks: &Clocks,
        target: Target,
        rings: Rings,
        due: u64,
    ) {
        let what = match rings {
            Rings::Warned => "warned",
            Rings::Breached => "breached",
        };
        let event = json!({
            "specversion": "1.0",
            "id": format!("{run}-{}-{what}-{due}", target.as_str()),
            "source": format!("/flows/{}", clocks.flow),
            "type": format!("io.factotum.sla.{what}.v1"),
            "subject": run,
            "time": rfc3339(self.clock.now_ms()),
            "datacontenttype": "application/json",
            "data": { "run": run, "flow": clocks.flow, "clock": target.as_str(), "due": rfc3339(due) },
        });
        if let Err(error) = self.publish(&Actor::System, event).await {
            tracing::warn!(run, %error, "an event of a run's clock was not published");
        }
    }

    /// What a run is held to, as far as its deployment can be loaded.
    async fn sla_of(&self, run: &str) -> Result<Option<Sla>, HostError> {
        let Some(row) = self.row(run).map_err(HostError::store)? else { return Ok(None) };
        let Ok(deployment) = self.deployments.by_digest(&row.deployment).await else { return Ok(None) };
        Ok(deployment.flow.sla().cloned())
    }
}

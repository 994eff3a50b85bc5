//! Reminders, escalations and due times of questions.

use factotum_store::{Batch, Expectation, StoreError, Table, Timer, Timers};
use serde_json::json;

use super::item::{InboxState, Stored, Then, item_key};
use crate::audit;
use crate::error::HostError;
use crate::journal::Outcome;
use crate::notices::Notice;
use crate::runs::{Engine, Resolution, Resolved};
use crate::time::rfc3339;

/// What the identifiers of the inbox's timers begin with.
const PREFIX: &[u8] = b"inbox\0";

/// Whether a timer is one of the inbox.
pub(crate) fn is_inbox_timer(id: &[u8]) -> bool {
    id.starts_with(PREFIX)
}

/// The identifier of an item's timer.
pub(super) fn timer_id(id: &str) -> Vec<u8> {
    [PREFIX, id.as_bytes()].concat()
}

impl Engine {
    /// Does what is to happen to an item now. The timer is taken away or set anew, whatever comes of it.
    pub(crate) async fn fire_inbox_timer(&self, timer: &Timer) -> Result<(), StoreError> {
        let id = timer.id.get(PREFIX.len()..).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default();
        match self.happen(id, timer).await {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::error!(item = id, %error, cause = error.cause(), "what was to happen to an item of the inbox did not");
                let mut batch = Batch::new();
                Timers::remove(&mut batch, timer.due_ms, &timer.id);
                match self.commit(batch).await {
                    Err(error) if !error.is_conflict() => Err(error),
                    _ => Ok(()),
                }
            }
        }
    }

    async fn happen(&self, id: &str, timer: &Timer) -> Result<(), HostError> {
        let now = self.clock.now_ms();
        let mut batch = Batch::new();
        Timers::remove(&mut batch, timer.due_ms, &timer.id);
        let stored = self.stored_item(id)?;
        let Some((mut item, before)) = stored.filter(|(item, _)| item.state == InboxState::Open) else {
            return self.write(batch).await;
        };
        if !self.is_waited_for(&item)? {
            return self.withdraw(id).await;
        }
        if item.then.first().is_none_or(|(at, _)| *at > now) {
            return self.write(batch).await;
        }
        let (_, then) = item.then.remove(0);
        batch.expect(Table::Inbox, item_key(id), Expectation::Value(before));
        if let Some((due_ms, _)) = item.then.first() {
            Timers::set(&mut batch, &Timer { due_ms: *due_ms, id: timer.id.clone(), payload: Vec::new() });
        }
        let system = factotum_audit::Actor::System;
        match then {
            Then::Remind => {
                item.reminders = item.reminders.saturating_add(1);
                audit::inbox(&mut batch, self, &system, "inbox.remind", id, &item.promise, None);
                self.put_and_tell(item, batch).await
            }
            Then::Escalate { assignee, group } => {
                (item.assignee, item.group) = (assignee, group);
                item.escalated_at = Some(now);
                audit::inbox(&mut batch, self, &system, "inbox.escalate", id, &item.promise, None);
                self.put_and_tell(item, batch).await
            }
            Then::Expire => self.expire(item, batch, now).await,
        }
    }

    async fn put_and_tell(&self, item: Stored, mut batch: Batch) -> Result<(), HostError> {
        item.put(&mut batch).map_err(HostError::internal)?;
        let notice = Notice::Asked { item: Box::new(item.shown(false)), again: true };
        self.notices.add_to(&mut batch, &notice, self.clock.now_ms());
        self.write(batch).await
    }

    /// Nobody answered in time: the run goes on, and knows.
    async fn expire(&self, mut item: Stored, mut batch: Batch, now: u64) -> Result<(), HostError> {
        (item.state, item.closed_at) = (InboxState::Expired, Some(now));
        item.then.clear();
        item.outcome = Some("expired".into());
        item.put(&mut batch).map_err(HostError::internal)?;
        let system = factotum_audit::Actor::System;
        audit::inbox(&mut batch, self, &system, "inbox.expire", &item.id, &item.promise, None);
        let value = json!({ "outcome": "expired", "answer": null, "by": null, "at": rfc3339(now) });
        let resolution = Resolution { outcome: Outcome::Value(value), from: item.from.clone() };
        match self.resolve(&item.promise, &resolution, &batch).await.map_err(HostError::store)? {
            Resolved::Now => Ok(()),
            Resolved::NotOpen => self.withdraw(&item.id).await,
        }
    }

    async fn write(&self, batch: Batch) -> Result<(), HostError> {
        match self.commit(batch).await {
            Err(error) if !error.is_conflict() => Err(HostError::store(error)),
            // Somebody answered in this moment.
            _ => Ok(()),
        }
    }
}

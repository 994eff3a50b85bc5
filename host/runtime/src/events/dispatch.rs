//! The one dispatcher: delivers events in the order of their numbers, to listening runs and to flows that they start.

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::Actor;
use factotum_flow::Schedule;
use factotum_store::{Batch, ScanRange, StoreError, Table};
use futures_util::future::try_join_all;
use serde_json::Value;

use super::log::Stored;
use super::{keys, subscriptions};
use crate::error::{ErrorCode, HostError};
use crate::runs::{Engine, StartRun};

/// How long to leave alone what failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Delivers what is published, until the host stops.
pub(crate) async fn dispatch(engine: Arc<Engine>) {
    loop {
        let more = engine.events.published.notified();
        let failed = match engine.deliver_all().await {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!(%error, "events wait: one cannot be delivered yet");
                true
            }
        };
        tokio::select! {
            () = more, if !failed => {}
            () = tokio::time::sleep(AFTER_FAILURE), if failed => {}
            () = engine.stop.requested() => return,
        }
    }
}

impl Engine {
    /// Delivers everything that waits, in order.
    async fn deliver_all(self: &Arc<Self>) -> Result<(), HostError> {
        loop {
            let range = ScanRange::prefix(keys::kind(b'p')).limit(100);
            let waiting = self.store.scan(Table::Events, &range).map_err(HostError::store)?;
            if waiting.is_empty() || self.stop.is_requested() {
                return Ok(());
            }
            for (key, _) in waiting {
                let Some(number) = keys::number_of(&key) else { continue };
                if let Some(stored) = self.event(number).map_err(HostError::store)? {
                    self.deliver(number, &stored).await?;
                }
                let mut done = Batch::new();
                done.delete(Table::Events, key);
                self.commit(done).await.map_err(HostError::store)?;
                self.events.order().delivered = number;
            }
        }
    }

    async fn deliver(self: &Arc<Self>, number: u64, stored: &Stored) -> Result<(), HostError> {
        self.give_to_all(number, stored).await.map_err(HostError::store)?;
        for deployment in self.deployments.all() {
            let Some(Schedule::On(trigger)) = deployment.flow.schedule() else { continue };
            if !subscriptions::fits(&trigger.subscription(), &stored.event) || !trigger.accepts(&stored.event)
            {
                continue;
            }
            let flow = deployment.flow.id();
            let request = StartRun {
                actor: Actor::System,
                flow: flow.clone(),
                input: Value::Array(vec![super::cloud_event::as_heard(stored.event.clone())]),
                // However often this is tried, the event starts one run.
                dedupe_key: Some(format!("event {number}")),
                trigger: "event".to_owned(),
            };
            match self.start_with(request, stored.from.clone()).await {
                Ok(_) => {}
                Err(error)
                    if matches!(
                        error.code,
                        ErrorCode::Busy | ErrorCode::ShuttingDown | ErrorCode::Store | ErrorCode::NoSpace
                    ) =>
                {
                    return Err(error);
                }
                // It would be refused again. The event stays in the log.
                Err(error) => tracing::error!(flow, number, %error, "an event does not start its flow"),
            }
        }
        Ok(())
    }

    async fn give_to_all(&self, number: u64, stored: &Stored) -> Result<(), StoreError> {
        let names = self.asked_names()?;
        if names.is_empty() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(stored).map_err(|e| StoreError::Invalid(e.to_string()))?;
        for names in names {
            let mut cursor = None;
            loop {
                let (listeners, next) = self.listeners(&names, &stored.event, cursor)?;
                // At the same time, so that they share the disk's syncs.
                try_join_all(listeners.iter().map(|id| self.give(id, number, &bytes))).await?;
                if next.is_none() {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }
}

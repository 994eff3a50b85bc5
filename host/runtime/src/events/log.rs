//! The log of events: each once, numbered, the newest ones kept.

use std::sync::Arc;

use factotum_audit::Actor;
use factotum_provenance::Labels;
use factotum_store::{Batch, Expectation, ScanRange, StoreError, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MAX_LOG, MAX_WAITING, Numbers, cloud_event, keys};
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::runs::Engine;

/// When a publisher should come back after [`ErrorCode::Busy`].
const COME_BACK: std::time::Duration = std::time::Duration::from_secs(2);
/// The most events on a page.
const MAX_PAGE: usize = 1_000;

/// An event as the log keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// When it was published, in milliseconds since the Unix epoch.
    #[serde(rename = "at")]
    pub at: u64,
    /// Where its data comes from.
    #[serde(rename = "from", default, skip_serializing_if = "Labels::is_empty")]
    pub from: Labels,
    /// The event in its JSON form.
    #[serde(rename = "ev")]
    pub event: Value,
    /// The event as people may see it, when a flow published it that calls some of it sensitive.
    #[serde(rename = "see", default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Value>,
}

/// What became of a published event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Its number in the log; of the first one, when it is a duplicate.
    pub sequence: u64,
    /// Whether an event of the same source and identifier had been published before: this one counts for nothing.
    pub duplicate: bool,
}

/// Which events to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only of this type.
    pub kind: Option<String>,
    /// At most so many; 0 means 50.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<u64>,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishedEvent {
    /// Its number.
    pub sequence: u64,
    /// When it was published, in milliseconds since the Unix epoch, written as RFC 3339.
    #[serde(serialize_with = "crate::time::serde_ms::serialize")]
    pub at: u64,
    /// The CloudEvent in its JSON form.
    pub event: Value,
}

/// A page of the log, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventPage {
    /// The events.
    pub events: Vec<PublishedEvent>,
    /// What to ask for the next page with; absent after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
}

impl Engine {
    /// Takes up the numbers where the log ends.
    pub(crate) fn open_events(&self) -> Result<(), StoreError> {
        let end = |kind: u8, reverse: bool| {
            let range = ScanRange { reverse, ..ScanRange::prefix(keys::kind(kind)).limit(1) };
            let found = self.store.scan(Table::Events, &range)?.pop();
            Ok::<_, StoreError>(found.and_then(|(key, _)| keys::number_of(&key)))
        };
        let last = end(b'l', true)?.unwrap_or(0);
        let waiting = end(b'p', false)?;
        let mut numbers = self.events.order();
        numbers.last = last;
        numbers.delivered = waiting.map_or(last, |first| first.saturating_sub(1));
        Ok(())
    }

    /// Publishes an event from outside; when this returns, it is on disk and will be delivered.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        actor: &Actor,
        event: Value,
    ) -> Result<Published, HostError> {
        let event = cloud_event(event).map_err(|why| {
            HostError::new(ErrorCode::InvalidRequest, why)
                .hint("see the CloudEvents specification 1.0.2, section 3")
        })?;
        if self.stop.is_requested() {
            return Err(
                HostError::new(ErrorCode::ShuttingDown, "the host is stopping").retry_after(COME_BACK)
            );
        }
        if let Some(first) = self.known_event(&event).map_err(HostError::store)? {
            return Ok(Published { sequence: first, duplicate: true });
        }
        self.check_space()?;
        let stored = Stored { at: self.clock.now_ms(), from: Labels::trigger(), event, shown: None };
        let bytes = serde_json::to_vec(&stored).map_err(HostError::internal)?;
        let slot = self.reserve(bytes.len()).await.map_err(HostError::store)?;
        let (number, pending) = {
            let mut numbers = self.events.order();
            if numbers.last.saturating_sub(numbers.delivered) >= MAX_WAITING {
                return Err(HostError::new(ErrorCode::Busy, "too many events wait to be delivered")
                    .hint("send it again after the time given")
                    .retry_after(COME_BACK));
            }
            let mut batch = Batch::new();
            batch.expect(Table::Events, identity(&stored.event), Expectation::Absent);
            let number = self.add_event(&mut numbers, &mut batch, &stored, bytes);
            audit::event_published(&mut batch, self, actor, &stored.event);
            (number, slot.submit(batch))
        };
        let written = match pending {
            Ok(pending) => pending.wait().await,
            Err(error) => Err(error),
        };
        match written {
            Ok(_) => {
                self.events.announce();
                Ok(Published { sequence: number, duplicate: false })
            }
            // The same event came twice at the same moment.
            Err(error @ StoreError::Conflict { table: Table::Events, .. }) => {
                match self.known_event(&stored.event).map_err(HostError::store)? {
                    Some(first) => Ok(Published { sequence: first, duplicate: true }),
                    None => Err(HostError::store(error)),
                }
            }
            Err(error) => Err(HostError::store(error)),
        }
    }

    /// The number of an event that was published before.
    pub(crate) fn known_event(&self, event: &Value) -> Result<Option<u64>, StoreError> {
        let known = self.store.get(Table::Events, &identity(event))?;
        Ok(known.and_then(|number| keys::number_of(&number)))
    }

    /// Numbers an event and adds it to a batch, which is to be handed to the writer while `numbers` is held. The oldest
    /// event leaves the log.
    pub(crate) fn add_event(
        &self,
        numbers: &mut Numbers,
        batch: &mut Batch,
        stored: &Stored,
        bytes: Vec<u8>,
    ) -> u64 {
        numbers.last = numbers.last.saturating_add(1);
        let number = numbers.last;
        batch.put(Table::Events, identity(&stored.event), number.to_be_bytes());
        batch.put(Table::Events, keys::logged(number), bytes);
        batch.put(Table::Events, keys::pending(number), *b"");
        if let Some(old) = number.checked_sub(MAX_LOG).filter(|old| *old > 0) {
            if let Ok(Some(stored)) = self.event(old) {
                batch.delete(Table::Events, identity(&stored.event));
            }
            batch.delete(Table::Events, keys::logged(old));
        }
        number
    }

    /// An event of the log.
    pub(super) fn event(&self, number: u64) -> Result<Option<Stored>, StoreError> {
        let key = keys::logged(number);
        let Some(bytes) = self.store.get(Table::Events, &key)? else { return Ok(None) };
        read(&key, &bytes).map(Some)
    }

    /// A page of the log, newest first.
    pub(crate) fn list_events(&self, query: &EventQuery) -> Result<EventPage, HostError> {
        let limit = if query.limit == 0 { 50 } else { query.limit.min(MAX_PAGE) };
        let mut page = EventPage { events: Vec::new(), cursor: None };
        let mut cursor = query.cursor;
        // A rare type may be far apart: many are looked at for one page, but not all of them.
        for _ in 0..20 {
            let range = ScanRange::prefix(keys::kind(b'l'))
                .after(cursor.map(keys::logged))
                .limit(limit.saturating_add(1).max(200))
                .reverse();
            let found = self.store.scan(Table::Events, &range).map_err(HostError::store)?;
            if found.is_empty() {
                return Ok(page);
            }
            for (key, bytes) in found {
                let (Some(sequence), Ok(stored)) = (keys::number_of(&key), read(&key, &bytes)) else {
                    continue;
                };
                let kind = stored.event.get("type").and_then(Value::as_str);
                if page.events.len() == limit {
                    page.cursor = cursor;
                    return Ok(page);
                }
                cursor = Some(sequence);
                if query.kind.is_none() || query.kind.as_deref() == kind {
                    let event = stored.shown.unwrap_or(stored.event);
                    page.events.push(PublishedEvent { sequence, at: stored.at, event });
                }
            }
        }
        page.cursor = cursor;
        Ok(page)
    }
}

pub(super) fn read(key: &[u8], bytes: &[u8]) -> Result<Stored, StoreError> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::Corrupt {
        table: Table::Events,
        key: key.to_vec(),
        reason: e.to_string(),
    })
}

pub(super) fn identity(event: &Value) -> Vec<u8> {
    let text = |name| event.get(name).and_then(Value::as_str).unwrap_or_default();
    keys::identity(text("source"), text("id"))
}

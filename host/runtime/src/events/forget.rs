//! Events leave the log before it is full: their time is over, or they are about somebody whose data are erased.

use factotum_store::{Batch, ScanRange, StoreError, Table};
use serde_json::{Map, Value};

use super::log::{identity, read};
use super::{Stored, keys};
use crate::runs::Engine;

/// Events that are looked at at once.
const PAGE: usize = 200;
/// Source and identifier of what is left of the newest event, whose number must stay known.
const REMOVED: &str = "removed";

impl Engine {
    /// Removes the events that were published before a time and have been delivered. Returns how many.
    pub(crate) async fn forget_events(&self, until: u64) -> Result<u64, StoreError> {
        let mut count = 0_u64;
        let mut after = None;
        loop {
            let page = self.logged_events(after.take())?;
            let Some((last, _)) = page.last() else { return Ok(count) };
            after = Some(*last);
            let old: Vec<_> = page.iter().take_while(|(_, stored)| stored.at <= until).collect();
            for (number, stored) in &old {
                count = count.saturating_add(u64::from(self.forget_event(*number, stored).await?));
            }
            if old.len() < page.len() {
                return Ok(count);
            }
        }
    }

    /// A page of the log, the oldest first, after a number. What cannot be read is left out.
    pub(crate) fn logged_events(&self, after: Option<u64>) -> Result<Vec<(u64, Stored)>, StoreError> {
        let range = ScanRange::prefix(keys::kind(b'l')).after(after.map(keys::logged)).limit(PAGE);
        let found = self.store.scan(Table::Events, &range)?;
        Ok(found
            .into_iter()
            .filter_map(|(key, bytes)| Some((keys::number_of(&key)?, read(&key, &bytes).ok()?)))
            .collect())
    }

    /// Removes an event from the log; of the newest one, all but what names it. Returns whether anything was removed:
    /// nothing is of one that is still to be delivered.
    pub(crate) async fn forget_event(&self, number: u64, stored: &Stored) -> Result<bool, StoreError> {
        let (last, delivered) = {
            let numbers = self.events.order();
            (numbers.last, numbers.delivered)
        };
        if number > delivered {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.delete(Table::Events, identity(&stored.event));
        if number < last {
            batch.delete(Table::Events, keys::logged(number));
        } else {
            let Some(members) = stored.event.as_object() else { return Ok(false) };
            if members.get("source").and_then(Value::as_str) == Some(REMOVED) {
                return Ok(false);
            }
            let mut stump: Map<String, Value> = Map::new();
            stump.insert("specversion".into(), "1.0".into());
            stump.insert("id".into(), REMOVED.into());
            stump.insert("source".into(), REMOVED.into());
            stump.insert("type".into(), members.get("type").cloned().unwrap_or_default());
            let stored = Stored { event: Value::Object(stump), shown: None, ..stored.clone() };
            let bytes = serde_json::to_vec(&stored).map_err(|e| StoreError::Invalid(e.to_string()))?;
            batch.put(Table::Events, keys::logged(number), bytes);
        }
        self.commit(batch).await?;
        Ok(true)
    }
}

//! A run's questions go with its contents.

use factotum_store::{Batch, ScanRange, StoreError, Table, Timers};

use super::item::{CLOSED, ITEM, OPEN, PROMISED, Stored, index_key, item_key, run_key};
use super::timers::timer_id;
use crate::runs::Engine;

/// The most questions of one run that are looked up.
const MOST: usize = 2_000;

/// A question as it is stored: its key, the run that it belongs to, its bytes.
pub(crate) type StoredItem = (Vec<u8>, String, Vec<u8>);

impl Engine {
    /// Adds the removal of all questions of a run to a batch.
    pub(crate) fn forget_items(&self, batch: &mut Batch, run: &str) -> Result<(), StoreError> {
        let mut ids = Vec::new();
        let prefix = run_key(run);
        for (key, _) in self.store.scan(Table::Inbox, &ScanRange::prefix(prefix.clone()).limit(MOST))? {
            ids.extend(key.get(prefix.len()..).and_then(|id| String::from_utf8(id.to_vec()).ok()));
            batch.delete(Table::Inbox, key);
        }
        // Those of before the index by run: the last one at each place.
        let promised = [PROMISED.as_bytes(), b"o", run.as_bytes(), &[0]].concat();
        for (key, id) in self.store.scan(Table::Inbox, &ScanRange::prefix(promised).limit(MOST))? {
            ids.extend(String::from_utf8(id).ok());
            batch.delete(Table::Inbox, key);
        }
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(bytes) = self.store.get(Table::Inbox, &item_key(&id))? else { continue };
            batch.delete(Table::Inbox, item_key(&id));
            let Ok(item) = serde_json::from_slice::<Stored>(&bytes) else { continue };
            batch.delete(Table::Inbox, index_key(OPEN, item.opened_at, &id));
            if let Some(at) = item.closed_at {
                batch.delete(Table::Inbox, index_key(CLOSED, at, &id));
            }
            Timers::new(&self.store).cancel(batch, &timer_id(&id))?;
        }
        Ok(())
    }

    /// A page of all questions as they are stored, with the runs that they belong to, after a key.
    pub(crate) fn stored_items(&self, after: Option<Vec<u8>>) -> Result<Vec<StoredItem>, StoreError> {
        let found = self.store.scan(Table::Inbox, &ScanRange::prefix(ITEM).after(after).limit(200))?;
        let run = |bytes: &[u8]| {
            serde_json::from_slice::<Stored>(bytes).map(|item| item.promise.run).unwrap_or_default()
        };
        Ok(found.into_iter().map(|(key, bytes)| (key, run(&bytes), bytes)).collect())
    }
}

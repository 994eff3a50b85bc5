//! Everything that a run asks is asked of others: its clock is breached.

use factotum_flow::SlaEscalation;
use factotum_store::{Batch, Expectation, ScanRange, Table};

use super::item::PROMISED;
use super::item::{InboxItem, InboxState, item_key};
use crate::audit;
use crate::error::HostError;
use crate::runs::{Engine, open_promises_prefix};

/// The most questions of one run that are escalated at once.
const MAX_ITEMS: usize = 200;

impl Engine {
    /// Adds to a batch that the open questions of a run go to others. The batch ends in a conflict when one of them is
    /// answered meanwhile.
    pub(crate) fn escalate_items(
        &self,
        batch: &mut Batch,
        run: &str,
        to: &SlaEscalation,
    ) -> Result<Vec<InboxItem>, HostError> {
        let range = ScanRange::prefix(open_promises_prefix(run)).limit(MAX_ITEMS);
        let mut escalated = Vec::new();
        for (promise, _) in self.store.scan(Table::Promises, &range).map_err(HostError::store)? {
            let key = [PROMISED.as_bytes(), &promise].concat();
            let id = self.store.get(Table::Inbox, &key).map_err(HostError::store)?;
            let Some(id) = id.and_then(|id| String::from_utf8(id).ok()) else { continue };
            let Some((mut item, before)) = self.stored_item(&id)? else { continue };
            let same = (&item.assignee, &item.group) == (&to.assignee, &to.group);
            if item.state != InboxState::Open || same {
                continue;
            }
            (item.assignee, item.group) = (to.assignee.clone(), to.group.clone());
            item.escalated_at = Some(self.clock.now_ms());
            batch.expect(Table::Inbox, item_key(&id), Expectation::Value(before));
            item.put(batch).map_err(HostError::internal)?;
            let system = factotum_audit::Actor::System;
            audit::inbox(batch, self, &system, "inbox.escalate", &id, &item.promise, None);
            escalated.push(item.shown(false));
        }
        Ok(escalated)
    }
}

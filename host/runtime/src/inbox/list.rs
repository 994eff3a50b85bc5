//! What waits for people: lists and single items.

use std::collections::BTreeSet;

use factotum_store::{ScanRange, Table};
use serde::Serialize;

use super::answer::unknown;
use super::item::{CLOSED, InboxItem, InboxState, OPEN, id_of_index};
use crate::error::{ErrorCode, HostError};
use crate::runs::Engine;

/// The most items on one page.
const MAX_PAGE: usize = 500;
/// How many items are looked at for one page.
const MAX_LOOKED_AT: usize = 50_000;

/// Which items to list.
#[derive(Debug, Clone, Default)]
pub struct InboxQuery {
    /// Those that were closed, the newest first, instead of those that wait, the oldest first.
    pub closed: bool,
    /// Only those that this one is asked, by name or as a member of a group.
    pub for_name: Option<String>,
    /// Only those of flows in these namespaces: what the asker may see.
    pub within: Option<BTreeSet<String>>,
    /// At most so many; 0 means 50.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A page of items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InboxPage {
    /// The items, without forms and answers.
    pub items: Vec<InboxItem>,
    /// What to ask for the next page with; absent after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Engine {
    /// A page of items. What nobody waits for any more is closed on the way.
    pub async fn list_items(&self, query: &InboxQuery) -> Result<InboxPage, HostError> {
        let limit = if query.limit == 0 { 50 } else { query.limit.min(MAX_PAGE) };
        let prefix = if query.closed { CLOSED } else { OPEN };
        let mut after = query.cursor.as_deref().map(|cursor| read_cursor(prefix, cursor)).transpose()?;
        let (mut items, mut looked_at) = (Vec::new(), 0);
        loop {
            let range = ScanRange::prefix(prefix).after(after.clone()).limit(limit + 1);
            let range = if query.closed { range.reverse() } else { range };
            let page = self.store.scan(Table::Inbox, &range).map_err(HostError::store)?;
            if page.is_empty() {
                return Ok(InboxPage { items, cursor: None });
            }
            for (key, _) in page {
                looked_at += 1;
                if items.len() == limit || looked_at > MAX_LOOKED_AT {
                    let cursor = after
                        .as_deref()
                        .map(|last| hex::encode(last.get(prefix.len()..).unwrap_or_default()));
                    return Ok(InboxPage { items, cursor });
                }
                if let Some(item) = self.listed(&key, query).await? {
                    items.push(item);
                }
                after = Some(key);
            }
        }
    }

    async fn listed(&self, key: &[u8], query: &InboxQuery) -> Result<Option<InboxItem>, HostError> {
        let Some(id) = id_of_index(key) else { return Ok(None) };
        let Some((item, _)) = self.stored_item(id)? else { return Ok(None) };
        if query.within.as_ref().is_some_and(|within| !within.contains(item.namespace())) {
            return Ok(None);
        }
        let asked = |name: &String| {
            item.assignee.as_ref() == Some(name)
                || item.group.as_ref().is_some_and(|group| self.notices.is_member(group, name))
        };
        if query.for_name.as_ref().is_some_and(|name| !asked(name)) {
            return Ok(None);
        }
        if item.state == InboxState::Open && !self.is_waited_for(&item)? {
            self.withdraw(id).await?;
            return Ok(None);
        }
        Ok(Some(item.shown(false)))
    }

    /// An item with its form and its answer.
    pub fn item(&self, id: &str) -> Result<InboxItem, HostError> {
        let (item, _) = self.stored_item(id)?.ok_or_else(|| unknown(id))?;
        Ok(item.shown(true))
    }
}

fn read_cursor(prefix: &str, cursor: &str) -> Result<Vec<u8>, HostError> {
    let bytes = hex::decode(cursor).ok().filter(|bytes| bytes.len() <= 64);
    let bytes = bytes.ok_or_else(|| {
        HostError::new(ErrorCode::InvalidRequest, "this is no cursor of a list of items")
            .hint("pass the `cursor` of the page before, unchanged")
    })?;
    Ok([prefix.as_bytes(), &bytes].concat())
}

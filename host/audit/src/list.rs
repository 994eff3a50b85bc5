//! The log for reading: newest first, filtered, page by page.

use factotum_store::{ScanRange, Store, Table};

use crate::{AuditError, AuditLog, Entry, Outcome, Record, entry::rfc3339, log::PAGE, record::Link};

/// Most entries that one call looks at; a filter that matches little then gives a short page and a cursor to go on.
const MAX_LOOKED_AT: usize = 50_000;
/// Most entries on one page.
const MAX_PAGE: usize = 1000;

/// Which entries to list; everything given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// At or after this time, in milliseconds since 1970-01-01 UTC.
    pub since_ms: Option<i64>,
    /// Before this time, in milliseconds since 1970-01-01 UTC.
    pub until_ms: Option<i64>,
    /// The actor as written (`token:admin`), or its kind alone (`token`).
    pub actor: Option<String>,
    /// The action, or the beginning of it up to a dot (`capability.mail` matches `capability.mail.send`).
    pub action: Option<String>,
    /// The target.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The run.
    pub run: Option<String>,
    /// The plugin: as actor, as target, or in the detail `plugin`.
    pub plugin: Option<String>,
}

/// A page of the log, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub records: Vec<Record>,
    /// Where the next page starts; `None` when the beginning of the log was reached.
    pub cursor: Option<u64>,
}

impl AuditLog {
    /// At most `limit` entries (up to 1000) that match, newest first, older than the cursor of the page before.
    /// A page may be short although a cursor follows: a call looks at 50,000 entries at most.
    /// Entries that cannot be read are left out; [`AuditLog::verify`] names them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(
        &self,
        store: &Store,
        filter: &Filter,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<Page, AuditError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let since = filter.since_ms.map(rfc3339);
        let until = filter.until_ms.map(rfc3339);
        let mut page = Page { records: Vec::new(), cursor };
        let mut looked_at = 0;
        while looked_at < MAX_LOOKED_AT {
            let after = page.cursor.map(|cursor| cursor.to_be_bytes().to_vec());
            let range = ScanRange::default().reverse().after(after).limit(PAGE);
            let pairs = store.scan(Table::Audit, &range)?;
            if pairs.is_empty() {
                page.cursor = None;
                return Ok(page);
            }
            for (key, bytes) in pairs {
                looked_at += 1;
                page.cursor = Some(key.try_into().map_or(0, u64::from_be_bytes));
                let Some(record) = Link::decode(&bytes).as_ref().and_then(Link::record) else { continue };
                // Times have one form and one length, so they compare as text.
                let in_time = since.as_ref().is_none_or(|since| record.entry.time >= *since)
                    && until.as_ref().is_none_or(|until| record.entry.time < *until);
                if in_time && matches(filter, &record.entry) {
                    page.records.push(record);
                    if page.records.len() == limit {
                        return Ok(page);
                    }
                }
            }
        }
        Ok(page)
    }

    /// One entry by its number; `None` when there is none or it cannot be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn get(&self, store: &Store, sequence: u64) -> Result<Option<Record>, AuditError> {
        let bytes = store.get(Table::Audit, &sequence.to_be_bytes())?;
        Ok(bytes.and_then(|bytes| Link::decode(&bytes)).as_ref().and_then(Link::record))
    }
}

fn matches(filter: &Filter, entry: &Entry) -> bool {
    let same = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let begins = |wanted: &Option<String>, found: &str, separator: char| {
        wanted.as_ref().is_none_or(|wanted| {
            found
                .strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
        })
    };
    let plugin = filter.plugin.as_ref().is_none_or(|plugin| {
        entry.actor.strip_prefix("plugin:") == Some(plugin)
            || entry.target == *plugin
            || entry.target.strip_prefix("plugin:") == Some(plugin)
            || entry.detail.get("plugin") == Some(plugin)
    });
    begins(&filter.actor, &entry.actor, ':')
        && begins(&filter.action, &entry.action, '.')
        && same(&filter.target, &entry.target)
        && filter.outcome.is_none_or(|outcome| outcome == entry.outcome)
        && filter.run.as_ref().is_none_or(|run| entry.run.as_ref() == Some(run))
        && plugin
}

//! The tables and how their keys lie side by side in one ordered key space.
//!
//! One tree with a one-byte prefix per table, instead of a tree per table: then one engine batch covers all tables,
//! so a batch over several tables is atomic without multi-tree transactions.

/// A table. The number is its key prefix on disk: never reuse or change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Table {
    /// The store's and the host's own settings.
    Meta = 1,
    /// Runs by identifier.
    Runs = 2,
    /// Index: runs by the time they started.
    RunsByTime = 3,
    /// Index: runs by flow, then time.
    RunsByFlow = 4,
    /// Index: runs by state, then time.
    RunsByState = 5,
    /// Journals. Written by [`crate::Batch::append`] only.
    Journal = 6,
    /// Timers by due time, then identifier.
    Timers = 7,
    /// Index: timers by identifier.
    TimersById = 8,
    /// Deduplication keys of triggers.
    Dedupe = 9,
    /// Deployed flows and their versions.
    Flows = 10,
    /// Installed plugins and their grants.
    Plugins = 11,
    /// Plugins' key-value namespaces. Written through [`crate::KvNamespace`].
    KeyValue = 12,
    /// What each key-value namespace holds, in bytes and keys. Written by metered operations only.
    KeyValueUse = 13,
    /// Artifacts: name, media type, digest of the blob.
    Artifacts = 14,
    /// Blobs by digest: length and state.
    Blobs = 15,
    /// The bytes of blobs, in chunks.
    BlobChunks = 16,
    /// Outgoing mail.
    Mail = 17,
    /// The linked log. Written by [`crate::Batch::chain`] only.
    Audit = 18,
    /// The linked log's head. Written with the log only.
    AuditHead = 19,
    /// Where a run waits for a person.
    Inbox = 20,
    /// Secrets, sealed by the host.
    Secrets = 21,
    /// API tokens, by digest.
    Tokens = 22,
    /// Events waiting for a listener.
    Events = 23,
    /// Payloads kept apart from journals and the audit log.
    Payloads = 24,
    /// Schedules of flows.
    Schedules = 25,
    /// Compiled or downloaded things that can be made again.
    Cache = 26,
    /// Whose data stored places hold: key-value namespaces, plugins' artifacts.
    StoredLabels = 27,
    /// What runs wait for from outside: promises by run and place.
    Promises = 28,
    /// What listening runs want: subscriptions by run and place, and the index that finds them by an event's attributes.
    Subscriptions = 29,
    /// Index: unfinished runs of flows that have limits, and the starts of the time that their rates look back.
    Limits = 30,
    /// Business hours and holidays that flows name.
    Calendars = 31,
    /// Mailboxes: how far each folder is, which messages are known, which are kept aside.
    Mailboxes = 32,
    /// Within what time runs are to respond and to resolve: their clocks, and an index of runs by the clocks' state.
    Sla = 33,
}

impl Table {
    /// Every table, by its number.
    const ALL: [Table; 33] = [
        Table::Meta,
        Table::Runs,
        Table::RunsByTime,
        Table::RunsByFlow,
        Table::RunsByState,
        Table::Journal,
        Table::Timers,
        Table::TimersById,
        Table::Dedupe,
        Table::Flows,
        Table::Plugins,
        Table::KeyValue,
        Table::KeyValueUse,
        Table::Artifacts,
        Table::Blobs,
        Table::BlobChunks,
        Table::Mail,
        Table::Audit,
        Table::AuditHead,
        Table::Inbox,
        Table::Secrets,
        Table::Tokens,
        Table::Events,
        Table::Payloads,
        Table::Schedules,
        Table::Cache,
        Table::StoredLabels,
        Table::Promises,
        Table::Subscriptions,
        Table::Limits,
        Table::Calendars,
        Table::Mailboxes,
        Table::Sla,
    ];

    /// The table with this number.
    pub(crate) fn of_byte(byte: u8) -> Option<Table> {
        Self::ALL.into_iter().find(|table| *table as u8 == byte)
    }

    /// Whether its values are sealed at rest, once the store has a [`crate::Sealer`]. A table is, unless it is known to
    /// hold no payloads: names, numbers, times, digests, what administrators wrote, and what has a seal of its own.
    #[must_use]
    pub fn is_sealed(self) -> bool {
        !matches!(
            self,
            Table::Meta
                | Table::RunsByTime
                | Table::RunsByFlow
                | Table::RunsByState
                | Table::TimersById
                | Table::Dedupe
                | Table::Flows
                | Table::Plugins
                | Table::KeyValueUse
                | Table::Blobs
                | Table::Audit
                | Table::AuditHead
                | Table::Secrets
                | Table::Tokens
                | Table::Schedules
                | Table::Cache
                | Table::StoredLabels
                | Table::Calendars
                | Table::Sla
        )
    }
}

/// The prefix of what is no table: the parts of large values, of every table.
pub(crate) const PARTS: u8 = u8::MAX;
/// The key, in no table, of the last group's number.
pub(crate) const GROUPS: u8 = u8::MAX - 1;

impl Table {
    /// Whether ordinary puts and deletes are refused, because the table has rules that they would break.
    pub(crate) fn guarded(self) -> bool {
        matches!(self, Table::Journal | Table::Audit | Table::AuditHead | Table::KeyValueUse)
    }
}

/// The engine's key: the table's byte, then the key.
pub(crate) fn full_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(key.len() + 1);
    full.push(table as u8);
    full.extend_from_slice(key);
    full
}

/// Splits an engine key into its prefix byte and the key.
pub(crate) fn bare_key(full: &[u8]) -> Vec<u8> {
    full.get(1..).unwrap_or_default().to_vec()
}

/// A name that other parts of a key follow: its length first, so that no name is a prefix of another.
pub(crate) fn named(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    let mut key = Vec::with_capacity(name.len() + 10);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(name);
    key
}

/// The key of one journal record, without the table's prefix.
pub(crate) fn journal_key(journal: &[u8], position: u64) -> Vec<u8> {
    let mut key = named(journal);
    key.extend_from_slice(&position.to_be_bytes());
    key
}

/// The big-endian number at the end of a key.
pub(crate) fn trailing_number(key: &[u8]) -> Option<u64> {
    let start = key.len().checked_sub(8)?;
    Some(u64::from_be_bytes(key.get(start..)?.try_into().ok()?))
}

/// The first key after every key that starts with `prefix`; `None` when there is none (all bytes 0xFF).
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_right_after_it() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
    }

    #[test]
    fn every_number_names_its_table() {
        for table in Table::ALL {
            assert_eq!(Table::of_byte(table as u8), Some(table));
        }
        assert_eq!(Table::of_byte(PARTS), None);
    }

    #[test]
    fn no_named_key_reaches_into_another_name() {
        let longer = journal_key(b"run-10", 0);
        assert!(!longer.starts_with(&named(b"run-1")));
        assert_eq!(trailing_number(&journal_key(b"r", 77)), Some(77));
    }
}

//! A batch: operations and conditions that take effect together or not at all.

use std::ops::Range;

use crate::{StoreError, Table, table::named};

/// Largest key, in bytes.
pub const MAX_KEY: usize = 4 * 1024;
/// Largest value of one key, journal record or chain entry, in bytes.
pub const MAX_VALUE: usize = 4 * 1024 * 1024;
/// Largest batch, in bytes of keys and values.
pub const MAX_BATCH: usize = 8 * 1024 * 1024;
/// Most operations in one batch.
pub const MAX_OPERATIONS: usize = 8 * 1024;
/// Longest name of a journal or a metered account, in bytes.
pub const MAX_NAME: usize = 512;

/// What a key must hold for a batch to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// No value.
    Absent,
    /// Some value.
    Present,
    /// Exactly this value.
    Value(Vec<u8>),
}

/// An account that metered writes are charged to, and its bounds. The account's record is kept in the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// The account's name, at most [`MAX_NAME`] bytes.
    pub account: Vec<u8>,
    /// Most bytes of keys and values that the account may hold.
    pub max_bytes: u64,
    /// Most keys that the account may hold.
    pub max_keys: u64,
}

/// One operation. Operations of a batch see the effects of those before them.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put { table: Table, key: Vec<u8>, value: Vec<u8>, meter: Option<Meter> },
    Delete { table: Table, key: Vec<u8>, meter: Option<Meter> },
    Expect { table: Table, key: Vec<u8>, expectation: Expectation },
    Increment { table: Table, key: Vec<u8>, delta: u64, meter: Option<Meter> },
    Append { journal: Vec<u8>, position: u64, record: Vec<u8> },
    Trim { journal: Vec<u8>, position: u64 },
}

impl Op {
    /// The table that it is about.
    pub(crate) fn table(&self) -> Table {
        match self {
            Op::Put { table, .. }
            | Op::Delete { table, .. }
            | Op::Expect { table, .. }
            | Op::Increment { table, .. } => *table,
            Op::Append { .. } | Op::Trim { .. } => Table::Journal,
        }
    }
}

/// Operations and conditions for one [`crate::Store::commit`].
///
/// Conditions are checked in order, by the one writer, against everything committed before. If one does not hold,
/// nothing of the batch is written.
#[derive(Debug, Clone, Default)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) bytes: usize,
    fault: Option<String>,
}

impl Batch {
    /// An empty batch. Committing it waits until everything handed over before is decided.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.chain.is_empty()
    }

    /// How many operations and linked entries it holds.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.ops.len() + self.chain.len()
    }

    /// How many bytes of keys, values and entries it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.guard(table, "put");
        self.push(Op::Put { table, key: key.into(), value: value.into(), meter: None })
    }

    /// Sets a key that must not exist yet; otherwise the batch ends in [`StoreError::Conflict`].
    pub fn put_new(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        let key = key.into();
        self.expect(table, key.clone(), Expectation::Absent).put(table, key, value)
    }

    /// Removes a key; it need not exist.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) -> &mut Self {
        self.guard(table, "delete");
        self.push(Op::Delete { table, key: key.into(), meter: None })
    }

    /// Demands what a key holds at this point of the batch; otherwise the batch ends in [`StoreError::Conflict`].
    pub fn expect(&mut self, table: Table, key: impl Into<Vec<u8>>, expectation: Expectation) -> &mut Self {
        self.push(Op::Expect { table, key: key.into(), expectation })
    }

    /// Adds to a number kept as decimal text; an absent key counts as 0. The sum is in [`Committed::sums`].
    pub fn increment(&mut self, table: Table, key: impl Into<Vec<u8>>, delta: u64) -> &mut Self {
        self.guard(table, "increment");
        self.push(Op::Increment { table, key: key.into(), delta, meter: None })
    }

    /// Like [`Batch::put`], charged to an account; growth past its bounds ends the batch in [`StoreError::Quota`].
    pub fn put_metered(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>, meter: Meter) -> &mut Self {
        self.guard(table, "put");
        self.push(Op::Put { table, key, value, meter: Some(meter) })
    }

    /// Like [`Batch::delete`], credited to an account.
    pub fn delete_metered(&mut self, table: Table, key: Vec<u8>, meter: Meter) -> &mut Self {
        self.guard(table, "delete");
        self.push(Op::Delete { table, key, meter: Some(meter) })
    }

    /// Like [`Batch::increment`], charged to an account.
    pub fn increment_metered(&mut self, table: Table, key: Vec<u8>, delta: u64, meter: Meter) -> &mut Self {
        self.guard(table, "increment");
        self.push(Op::Increment { table, key, delta, meter: Some(meter) })
    }

    /// Appends a record to a journal, at the position the caller believes to be its end (the first is 0);
    /// otherwise the batch ends in [`StoreError::Position`].
    pub fn append(
        &mut self,
        journal: impl Into<Vec<u8>>,
        position: u64,
        record: impl Into<Vec<u8>>,
    ) -> &mut Self {
        self.push(Op::Append { journal: journal.into(), position, record: record.into() })
    }

    /// Removes a journal's last record, which must be at `position`. Purging goes from the end, so that what is left
    /// of a journal is always a beginning of it.
    pub(crate) fn trim(&mut self, journal: impl Into<Vec<u8>>, position: u64) -> &mut Self {
        self.push(Op::Trim { journal: journal.into(), position })
    }

    /// Appends an entry to the linked log. The store's [`crate::Linker`] links it in commit order, in the same
    /// atomic group as the rest of the batch.
    pub fn chain(&mut self, entry: impl Into<Vec<u8>>) -> &mut Self {
        let entry = entry.into();
        self.bytes = self.bytes.saturating_add(entry.len());
        if entry.len() > MAX_VALUE {
            self.fail(format!("a chain entry has {} bytes, at most {MAX_VALUE} are allowed", entry.len()));
        }
        self.chain.push(entry);
        self
    }

    /// Moves everything of `other` behind what is already here.
    pub fn merge(&mut self, other: Batch) -> &mut Self {
        self.ops.extend(other.ops);
        self.chain.extend(other.chain);
        self.bytes = self.bytes.saturating_add(other.bytes);
        if let Some(fault) = other.fault {
            self.fail(fault);
        }
        self
    }

    /// The first reason why this batch cannot be committed whatever the store holds.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if let Some(fault) = &self.fault {
            return Err(StoreError::Invalid(fault.clone()));
        }
        let count = self.operations();
        if count > MAX_OPERATIONS {
            return Err(StoreError::Invalid(format!(
                "a batch has {count} operations, at most {MAX_OPERATIONS} are allowed; split it"
            )));
        }
        if self.bytes > MAX_BATCH {
            return Err(StoreError::Invalid(format!(
                "a batch has {} bytes, at most {MAX_BATCH} are allowed; keep large payloads as blobs",
                self.bytes
            )));
        }
        Ok(())
    }

    fn guard(&mut self, table: Table, what: &str) {
        if table.guarded() {
            self.fail(format!("{what} is not allowed on table {table:?}, which has its own operations"));
        }
    }

    fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    fn push(&mut self, op: Op) -> &mut Self {
        let (key, value, name) = match &op {
            Op::Put { key, value, meter, .. } => {
                (key.len(), value.len(), meter.as_ref().map(|m| m.account.len()))
            }
            Op::Delete { key, meter, .. } | Op::Increment { key, meter, .. } => {
                (key.len(), 0, meter.as_ref().map(|m| m.account.len()))
            }
            Op::Expect { key, expectation: Expectation::Value(value), .. } => (key.len(), value.len(), None),
            Op::Expect { key, .. } => (key.len(), 0, None),
            Op::Append { journal, record, .. } => (0, record.len(), Some(journal.len())),
            Op::Trim { journal, .. } => (0, 0, Some(journal.len())),
        };
        if key > MAX_KEY {
            self.fail(format!("a key has {key} bytes, at most {MAX_KEY} are allowed"));
        }
        if value > MAX_VALUE {
            self.fail(format!("a value has {value} bytes, at most {MAX_VALUE} are allowed"));
        }
        if name.is_some_and(|length| length == 0 || length > MAX_NAME) {
            self.fail(format!("a journal or account name must have 1 to {MAX_NAME} bytes"));
        }
        self.bytes = self.bytes.saturating_add(key).saturating_add(value).saturating_add(name.unwrap_or(0));
        self.ops.push(op);
        self
    }
}

impl Meter {
    /// The key of the account's record in [`Table::KeyValueUse`].
    pub(crate) fn record_key(&self) -> Vec<u8> {
        named(&self.account)
    }

    /// The bytes of a key that are charged: a leading account name is the store's own addition and free.
    pub(crate) fn charged(&self, key: &[u8]) -> usize {
        let prefix = self.record_key();
        if key.starts_with(&prefix) { key.len().saturating_sub(prefix.len()) } else { key.len() }
    }
}

/// What a committed batch brought about. By the time it is handed out, it is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The sequence numbers of the batch's chain entries, in their order; empty when it had none.
    pub chain: Range<u64>,
    /// The results of the batch's increments, in their order.
    pub sums: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_be_committed_is_named() {
        let mut batch = Batch::new();
        batch.put(Table::Audit, *b"k", *b"v");
        assert!(batch.check().unwrap_err().to_string().contains("Audit"));
        let mut batch = Batch::new();
        batch.put(Table::Runs, vec![0; MAX_KEY + 1], *b"v");
        assert!(batch.check().is_err());
        let mut batch = Batch::new();
        batch.append(Vec::new(), 0, *b"record");
        assert!(batch.check().is_err());
        let mut outer = Batch::new();
        let mut inner = Batch::new();
        inner.delete(Table::Journal, *b"k");
        outer.merge(inner);
        assert!(outer.check().is_err(), "a merge carries the fault along");
    }
}

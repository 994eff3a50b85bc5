//! Timers: what is to happen when, found again after a restart without reading anything else.

use crate::{
    Batch, Expectation, ScanRange, Store, StoreError, Table,
    table::{named, trailing_number},
};

/// A timer that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// When it is due, in milliseconds since 1970-01-01 UTC.
    pub due_ms: u64,
    /// Its name, unique among the timers that are set.
    pub id: Vec<u8>,
    /// What its owner wants to read when it is due.
    pub payload: Vec<u8>,
}

/// The timers of a store.
#[derive(Debug, Clone)]
pub struct Timers {
    store: Store,
}

impl Timers {
    /// The timers of `store`.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Adds setting a timer to a batch. The batch ends in a conflict when one of that name is set already.
    pub fn set(batch: &mut Batch, timer: &Timer) {
        batch.put_new(Table::TimersById, timer.id.as_slice(), timer.due_ms.to_be_bytes());
        batch.put(Table::Timers, due_key(timer.due_ms, &timer.id), timer.payload.as_slice());
    }

    /// Adds the removal of a timer to a batch. The batch ends in a conflict when it is not set for that time any
    /// more, so that of two who fire or cancel it only one succeeds.
    pub fn remove(batch: &mut Batch, due_ms: u64, id: &[u8]) {
        batch.expect(Table::TimersById, id, Expectation::Value(due_ms.to_be_bytes().to_vec()));
        batch.delete(Table::TimersById, id);
        batch.delete(Table::Timers, due_key(due_ms, id));
    }

    /// Adds the removal of a timer, whenever it is due; `false` when none of that name is set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn cancel(&self, batch: &mut Batch, id: &[u8]) -> Result<bool, StoreError> {
        let Some(due) = self.due_of(id)? else { return Ok(false) };
        Self::remove(batch, due, id);
        Ok(true)
    }

    /// When a timer is due; `None` when it is not set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn due_of(&self, id: &[u8]) -> Result<Option<u64>, StoreError> {
        Ok(self.store.get(Table::TimersById, id)?.as_deref().and_then(trailing_number))
    }

    /// The timers due at or before `now_ms`, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn due(&self, now_ms: u64, limit: usize) -> Result<Vec<Timer>, StoreError> {
        let mut range = ScanRange::default().limit(limit);
        if let Some(after) = now_ms.checked_add(1) {
            range = range.until(after.to_be_bytes());
        }
        self.read(&range)
    }

    /// The timer that is due first; a clock needs to wake no earlier.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn first(&self) -> Result<Option<Timer>, StoreError> {
        Ok(self.read(&ScanRange::default().limit(1))?.pop())
    }

    fn read(&self, range: &ScanRange) -> Result<Vec<Timer>, StoreError> {
        let pairs = self.store.scan(Table::Timers, range)?;
        pairs
            .into_iter()
            .map(|(key, payload)| match parse(&key) {
                Some((due_ms, id)) => Ok(Timer { due_ms, id, payload }),
                None => Err(StoreError::Corrupt {
                    table: Table::Timers,
                    key,
                    reason: "the key has no time and name".to_owned(),
                }),
            })
            .collect()
    }
}

fn due_key(due_ms: u64, id: &[u8]) -> Vec<u8> {
    let mut key = due_ms.to_be_bytes().to_vec();
    key.extend(named(id));
    key
}

fn parse(key: &[u8]) -> Option<(u64, Vec<u8>)> {
    let due = u64::from_be_bytes(key.get(..8)?.try_into().ok()?);
    Some((due, key.get(10..)?.to_vec()))
}

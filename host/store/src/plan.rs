//! Decides a group of batches in order, each against the engine and the effects of those accepted before it.

use std::collections::HashMap;

use sled::IVec;

use crate::{
    Batch, Expectation, Meter, StoreError, Table,
    batch::Op,
    table::{full_key, journal_key, named, trailing_number},
};

/// What the plan needs to know of the engine.
pub(crate) trait View {
    /// The stored value of an engine key.
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError>;
    /// Whether an engine key is stored.
    fn contains(&self, key: &[u8]) -> Result<bool, StoreError>;
    /// The last stored engine key that starts with `prefix`.
    fn last_with_prefix(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The effects of a group so far: engine keys and their new values, `None` for a removal.
pub(crate) struct Plan<'a, V: View> {
    view: &'a V,
    effects: HashMap<Vec<u8>, Option<IVec>>,
    /// The effects of the batch at hand: they become the group's when all of it was accepted.
    batch: HashMap<Vec<u8>, Option<IVec>>,
    /// The ends of the journals that were written to, so that the engine is asked once for each.
    ends: HashMap<Vec<u8>, u64>,
}

impl<'a, V: View> Plan<'a, V> {
    pub(crate) fn new(view: &'a V) -> Self {
        Self { view, effects: HashMap::new(), batch: HashMap::new(), ends: HashMap::new() }
    }

    /// Takes up a whole batch, or leaves the plan as it was. Returns the sums of its increments.
    pub(crate) fn accept(&mut self, batch: Batch) -> Result<Vec<u64>, StoreError> {
        let mut sums = Vec::new();
        for op in batch.ops {
            if let Err(error) = self.step(op, &mut sums) {
                self.batch.clear();
                // Some may be those of this batch; they are asked for again.
                self.ends.clear();
                return Err(error);
            }
        }
        self.effects.extend(self.batch.drain());
        Ok(sums)
    }

    /// Adds an effect that belongs to no batch's conditions (a linked entry, the head).
    pub(crate) fn set(&mut self, key: Vec<u8>, value: &[u8]) {
        self.effects.insert(key, Some(IVec::from(value)));
    }

    /// The effects, for the engine.
    pub(crate) fn into_effects(self) -> HashMap<Vec<u8>, Option<IVec>> {
        self.effects
    }

    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match self.planned(key) {
            Some(effect) => Ok(effect.clone()),
            None => self.view.get(key),
        }
    }

    fn exists(&self, key: &[u8]) -> Result<bool, StoreError> {
        match self.planned(key) {
            Some(effect) => Ok(effect.is_some()),
            None => self.view.contains(key),
        }
    }

    /// What the group makes of a key so far.
    fn planned(&self, key: &[u8]) -> Option<&Option<IVec>> {
        self.batch.get(key).or_else(|| self.effects.get(key))
    }

    fn write(&mut self, key: Vec<u8>, value: Option<IVec>) {
        self.batch.insert(key, value);
    }

    fn step(&mut self, op: Op, sums: &mut Vec<u64>) -> Result<(), StoreError> {
        match op {
            Op::Put { table, key, value, meter } => {
                let full = full_key(table, &key);
                if let Some(meter) = meter {
                    let old = self.get(&full)?;
                    self.charge(&meter, meter.charged(&key), old.map(|v| v.len()), Some(value.len()))?;
                }
                self.write(full, Some(IVec::from(value)));
            }
            Op::Delete { table, key, meter } => {
                let full = full_key(table, &key);
                if let Some(meter) = meter {
                    let old = self.get(&full)?;
                    self.charge(&meter, meter.charged(&key), old.map(|v| v.len()), None)?;
                }
                self.write(full, None);
            }
            Op::Expect { table, key, expectation } => self.expect(table, key, &expectation)?,
            Op::Increment { table, key, delta, meter } => {
                let full = full_key(table, &key);
                let old = self.get(&full)?;
                let number =
                    old.as_deref().map_or(Some(0), decimal).ok_or_else(|| StoreError::NotANumber {
                        table,
                        key: key.clone(),
                        reason: "its value is not a decimal number below 2^64",
                    })?;
                let sum = number.checked_add(delta).ok_or_else(|| StoreError::NotANumber {
                    table,
                    key: key.clone(),
                    reason: "the sum would pass 2^64 - 1",
                })?;
                let text = sum.to_string();
                if let Some(meter) = meter {
                    self.charge(&meter, meter.charged(&key), old.map(|v| v.len()), Some(text.len()))?;
                }
                self.write(full, Some(IVec::from(text.into_bytes())));
                sums.push(sum);
            }
            Op::Append { journal, position, record } => {
                if !self.ends_at(&journal, position)? {
                    return Err(self.position_error(journal, position));
                }
                self.write(
                    full_key(Table::Journal, &journal_key(&journal, position)),
                    Some(IVec::from(record)),
                );
                self.ends.insert(journal, position.saturating_add(1));
            }
            Op::Trim { journal, position } => {
                if !self.ends_at(&journal, position.saturating_add(1))? {
                    return Err(self.position_error(journal, position));
                }
                self.write(full_key(Table::Journal, &journal_key(&journal, position)), None);
                self.ends.insert(journal, position);
            }
        }
        Ok(())
    }

    /// Whether a journal's next record takes `position`.
    fn ends_at(&self, journal: &[u8], position: u64) -> Result<bool, StoreError> {
        if let Some(end) = self.ends.get(journal) {
            return Ok(*end == position);
        }
        let has = |position| self.exists(&full_key(Table::Journal, &journal_key(journal, position)));
        Ok(position.checked_sub(1).map_or(Ok(true), &has)? && !has(position)?)
    }

    fn expect(&self, table: Table, key: Vec<u8>, expectation: &Expectation) -> Result<(), StoreError> {
        let full = full_key(table, &key);
        let rule = match expectation {
            Expectation::Absent if self.exists(&full)? => "it exists already",
            Expectation::Present if !self.exists(&full)? => "it does not exist",
            Expectation::Absent | Expectation::Present => return Ok(()),
            Expectation::Value(value) => match self.get(&full)? {
                None => "it does not exist, a certain value was expected",
                Some(found) if found != value.as_slice() => "its value has changed",
                Some(_) => return Ok(()),
            },
        };
        Err(StoreError::Conflict { table, key, rule })
    }

    /// Brings an account's record up to date with one key's old and new value length.
    fn charge(
        &mut self,
        meter: &Meter,
        key: usize,
        old: Option<usize>,
        new: Option<usize>,
    ) -> Result<(), StoreError> {
        let record = full_key(Table::KeyValueUse, &meter.record_key());
        let used = Usage::decode(self.get(&record)?.as_deref());
        let after = used.moved(key, old, new);
        let refuse =
            |unit, max, would_be| StoreError::Quota { account: meter.account.clone(), unit, max, would_be };
        // Only growth is refused, so that an account above a lowered quota can still be emptied.
        if after.bytes > used.bytes && after.bytes > meter.max_bytes {
            return Err(refuse("bytes", meter.max_bytes, after.bytes));
        }
        if after.keys > used.keys && after.keys > meter.max_keys {
            return Err(refuse("keys", meter.max_keys, after.keys));
        }
        self.write(record, Some(IVec::from(after.encode().as_slice())));
        Ok(())
    }

    /// The error for a journal write at a wrong position, with the position that would have been right.
    fn position_error(&self, journal: Vec<u8>, expected: u64) -> StoreError {
        let prefix = full_key(Table::Journal, &named(&journal));
        let stored = match self.view.last_with_prefix(&prefix) {
            Ok(last) => last,
            Err(error) => return error,
        };
        let mut actual = stored.as_deref().and_then(trailing_number).map_or(0, |last| last.saturating_add(1));
        // Effects of this group may have moved the end either way.
        while matches!(self.planned(&full_key(Table::Journal, &journal_key(&journal, actual))), Some(Some(_)))
        {
            actual = actual.saturating_add(1);
        }
        while let Some(before) = actual.checked_sub(1) {
            match self.planned(&full_key(Table::Journal, &journal_key(&journal, before))) {
                Some(None) => actual = before,
                _ => break,
            }
        }
        StoreError::Position { journal, expected, actual }
    }
}

/// What a metered account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Number of keys.
    pub keys: u64,
}

impl Usage {
    pub(crate) fn decode(record: Option<&[u8]>) -> Usage {
        let number = |range: std::ops::Range<usize>| {
            record.and_then(|r| r.get(range)).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
        };
        Usage { bytes: number(0..8), keys: number(8..16) }
    }

    pub(crate) fn encode(self) -> [u8; 16] {
        (u128::from(self.bytes) << 64 | u128::from(self.keys)).to_be_bytes()
    }

    /// The usage after one key's value went from `old` to `new` bytes.
    pub(crate) fn moved(self, key: usize, old: Option<usize>, new: Option<usize>) -> Usage {
        let size = |value: Option<usize>| value.map_or(0, |v| key.saturating_add(v) as u64);
        Usage {
            bytes: self.bytes.saturating_sub(size(old)).saturating_add(size(new)),
            keys: self.keys.saturating_sub(u64::from(old.is_some())).saturating_add(u64::from(new.is_some())),
        }
    }
}

/// A number in decimal text, as [`Batch::increment`] writes it.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

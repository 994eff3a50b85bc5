//! Packs: records that follow on one another lie together under the first one's key.
//!
//! Most of what a host writes are records of journals and entries of the linked log: small, many, appended and read in a row.
//! sled pays for each key; a run's records of one load are one key here, and so are dozens of entries of the log. Both
//! tables have keys that end in a position. A pack is only a way of keeping: reads and scans see single records, and a
//! record in the middle of one can be set or removed like any other.

use std::{
    collections::BTreeMap,
    ops::{Bound, RangeBounds as _},
};

use sled::IVec;

use crate::{StoreError, Table, base::io, parts, scan::Bounds, table::trailing_number};

/// Most records of a pack.
const MAX_RECORDS: usize = 64;
/// Most bytes of the records of a pack. A record that is longer lies by itself.
const MAX_BYTES: usize = 32 * 1024;
/// How a pack begins. A value that begins so by itself is kept in parts, so a pack is never mistaken.
pub(crate) const MAGIC: [u8; 16] = *b"\x00packs\xd1\x44\x8e\x0b\x92\xf7\x6a\x35\xc8\xff";
/// The tables that are packed, by their number.
const TABLES: [u8; 2] = [Table::Journal as u8, Table::Audit as u8];
/// Bytes of a position at the end of a key.
const POSITION: usize = 8;

/// What sled is to hold under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A value, in parts when it is large.
    Value(IVec),
    /// A pack.
    Pack(IVec),
}

/// A key of sled's and what it is to hold from here on.
pub(crate) type Change = (Vec<u8>, Option<Stored>);

/// What sled answers with.
pub(crate) type Pairs = Box<dyn Iterator<Item = Result<(IVec, IVec), StoreError>>>;

/// Whether a key is one of a record: those of the tables that are packed end in a position.
pub(crate) fn is_record(key: &[u8]) -> bool {
    key.first().is_some_and(|table| TABLES.contains(table)) && key.len() > POSITION
}

/// Whether a range of keys lies in a table of records. No range reaches beyond one table.
pub(crate) fn holds_records(bounds: &Bounds) -> bool {
    match &bounds.0 {
        Bound::Included(low) | Bound::Excluded(low) => {
            low.first().is_some_and(|table| TABLES.contains(table))
        }
        Bound::Unbounded => false,
    }
}

/// Whether two keys of records are of one journal.
pub(crate) fn are_of_one_row(a: &[u8], b: &[u8]) -> bool {
    is_record(b) && place(a).map(|(row, _)| row) == place(b).map(|(row, _)| row)
}

/// The key without its position, and the position.
fn place(key: &[u8]) -> Option<(&[u8], u64)> {
    let start = key.len().checked_sub(POSITION)?;
    Some((key.get(..start)?, trailing_number(key)?))
}

fn key(row: &[u8], position: u64) -> Vec<u8> {
    [row, &position.to_be_bytes()].concat()
}

/// The records of a pack, in their order; `None` when it is no pack.
fn records(stored: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut rest = stored.strip_prefix(&MAGIC)?;
    Some(std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let (record, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = behind;
        Some(record)
    }))
}

/// The records under a stored key, each with its position: one, when it is no pack.
fn unpacked(first: u64, stored: &IVec) -> Vec<(u64, IVec)> {
    match records(stored) {
        None => vec![(first, stored.clone())],
        Some(records) => (first..).zip(records.map(IVec::from)).collect(),
    }
}

/// The same with large values put together.
fn whole(db: &sled::Db, full: &[u8], first: u64, stored: &IVec) -> Result<Vec<(u64, IVec)>, StoreError> {
    let mut records = unpacked(first, stored);
    if let [(_, record)] = records.as_mut_slice() {
        *record = parts::whole(db, full, record.clone())?;
    }
    Ok(records)
}

/// What lies under the last key up to `upto` of the same row, with the position that it begins at.
fn at_or_before(db: &sled::Db, row: &[u8], upto: Bound<&[u8]>) -> Result<Option<(u64, IVec)>, StoreError> {
    let bounds: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(row), upto);
    let found = db.range::<&[u8], _>(bounds).next_back().transpose().map_err(io("look for a record"))?;
    Ok(found.and_then(|(key, stored)| match place(&key) {
        Some((of, first)) if of == row => Some((first, stored)),
        _ => None,
    }))
}

/// What is stored for one record.
pub(crate) fn get(db: &sled::Db, full: &[u8]) -> Result<Option<IVec>, StoreError> {
    let Some((row, position)) = place(full) else { return Ok(None) };
    if position == 0 {
        // Nothing reaches over it: a key is cheaper to look for than the end of a range.
        let stored = db.get(full).map_err(io("look for a record"))?;
        return Ok(stored.map(|stored| {
            records(&stored).and_then(|mut all| all.next().map(IVec::from)).unwrap_or(stored)
        }));
    }
    let Some((first, stored)) = at_or_before(db, row, Bound::Included(full))? else { return Ok(None) };
    let nth = usize::try_from(position.saturating_sub(first)).unwrap_or(usize::MAX);
    if let Some(mut records) = records(&stored) {
        return Ok(records.nth(nth).map(IVec::from));
    }
    Ok((nth == 0).then_some(stored))
}

/// The records between two bounds, in order.
pub(crate) fn range(db: &sled::Db, bounds: Bounds, reverse: bool) -> Result<Pairs, StoreError> {
    let low = match &bounds.0 {
        Bound::Included(low) | Bound::Excluded(low) => Some(low),
        Bound::Unbounded => None,
    };
    // A pack that begins before it, or with it when it is not meant itself, may reach in.
    let before = match low.and_then(|low| Some((low, place(low)?))) {
        Some((low, (row, _))) => {
            at_or_before(db, row, Bound::Included(low))?.map(|(first, _)| key(row, first))
        }
        None => None,
    };
    let from = before.map_or_else(|| bounds.0.clone(), Bound::Included);
    let mut stored = db.range((from, bounds.1.clone()));
    let mut ready: Vec<(IVec, IVec)> = Vec::new();
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(pair) = ready.pop() {
                return Some(Ok(pair));
            }
            let next = if reverse { stored.next_back() } else { stored.next() };
            let (full, stored) = match next?.map_err(io("scan a table")) {
                Ok(pair) => pair,
                Err(error) => return Some(Err(error)),
            };
            let Some((row, first)) = place(&full) else { continue };
            let records = unpacked(first, &stored).into_iter();
            ready = records
                .map(|(position, record)| (key(row, position), record))
                .filter(|(key, _)| bounds.contains(key))
                .map(|(key, record)| (IVec::from(key), record))
                .collect();
            // Taken from the end.
            if !reverse {
                ready.reverse();
            }
        }
    })))
}

/// What sled is to hold after records of one row were set and removed: keys with their new values. The effects come in the
/// order of their keys.
pub(crate) fn repacked(
    db: &sled::Db,
    effects: &[(&Vec<u8>, &Option<IVec>)],
) -> Result<Vec<Change>, StoreError> {
    let (Some((begin, _)), Some((end, _))) = (effects.first(), effects.last()) else { return Ok(Vec::new()) };
    let Some((row, first)) = place(begin) else { return Ok(Vec::new()) };
    // What is there and would be covered, or changed. Mostly nothing: what is appended lies behind everything.
    let mut old = BTreeMap::new();
    let last = at_or_before(db, row, Bound::Included(end.as_slice()))?;
    let behind = last.as_ref().is_none_or(|(at, stored)| {
        let records = records(stored).map_or(1, Iterator::count) as u64;
        at.saturating_add(records) <= first
    });
    if !behind {
        if let Some((at, stored)) = at_or_before(db, row, Bound::Excluded(begin.as_slice()))? {
            let records = whole(db, &key(row, at), at, &stored)?;
            if records.last().is_some_and(|(last, _)| *last >= first) {
                old.insert(at, records);
            }
        }
        let range = (Bound::Included(begin.as_slice()), Bound::Included(end.as_slice()));
        for pair in db.range::<&[u8], _>(range) {
            let (full, stored) = pair.map_err(io("look for a record"))?;
            if let Some((_, at)) = place(&full) {
                old.insert(at, whole(db, &full, at, &stored)?);
            }
        }
    }
    let mut records: BTreeMap<u64, IVec> = old.values().flatten().cloned().collect();
    for (full, value) in effects {
        let Some((_, position)) = place(full) else { continue };
        match value {
            Some(value) => records.insert(position, value.clone()),
            None => records.remove(&position),
        };
    }
    let mut new: BTreeMap<u64, Option<Stored>> = old.into_keys().map(|at| (at, None)).collect();
    let mut pack = Pack::default();
    for (position, record) in records {
        if !pack.takes(position, &record) {
            new.extend(pack.end());
        }
        pack.add(position, record);
    }
    new.extend(pack.end());
    Ok(new.into_iter().map(|(at, value)| (key(row, at), value)).collect())
}

/// A pack that is being made.
#[derive(Default)]
struct Pack {
    first: u64,
    records: Vec<IVec>,
    bytes: usize,
}

impl Pack {
    /// Whether a record can be added: it follows, there is room, and neither it nor what is there must lie by itself.
    fn takes(&self, position: u64, record: &IVec) -> bool {
        let next = self.first.saturating_add(self.records.len() as u64);
        let alone = self.records.iter().chain([record]).any(|record| parts::head(record).is_some());
        self.records.is_empty()
            || (position == next
                && self.records.len() < MAX_RECORDS
                && self.bytes.saturating_add(record.len()) <= MAX_BYTES
                && !alone)
    }

    fn add(&mut self, position: u64, record: IVec) {
        if self.records.is_empty() {
            self.first = position;
        }
        self.bytes = self.bytes.saturating_add(record.len());
        self.records.push(record);
    }

    /// What is to be stored for it, and an empty one in its place.
    fn end(&mut self) -> Option<(u64, Option<Stored>)> {
        let Pack { first, mut records, bytes } = std::mem::take(self);
        if records.len() < 2 {
            return records.pop().map(|record| (first, Some(Stored::Value(record))));
        }
        let mut stored = Vec::with_capacity(MAGIC.len() + bytes + 4 * records.len());
        stored.extend_from_slice(&MAGIC);
        for record in records {
            stored.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
            stored.extend_from_slice(&record);
        }
        Some((first, Some(Stored::Pack(IVec::from(stored)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::Base,
        recent::Generation,
        table::{full_key, journal_key},
    };
    use proptest::prelude::*;

    fn record(journal: u8, position: u64) -> Vec<u8> {
        full_key(Table::Journal, &journal_key(&[b'a', journal], position))
    }

    /// Records of every length that is kept in another way: small, too large for a pack with others, in parts, and such
    /// that look like a pack or like the head of parts.
    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            6 => proptest::collection::vec(any::<u8>(), 0..50),
            2 => (1..4_usize, any::<u8>()).prop_map(|(times, byte)| vec![byte; times * MAX_BYTES / 3 + 1]),
            1 => any::<u8>().prop_map(|byte| vec![byte; parts::INLINE + 1]),
            1 => Just([MAGIC.as_slice(), b"no pack"].concat()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn packed_records_read_like_a_map(
            loads in proptest::collection::vec(
                proptest::collection::vec((0..2_u8, 0..90_u64, 1..60_u64, proptest::option::weighted(0.8, value())), 1..5),
                1..6,
            ),
            from in (0..2_u8, 0..100_u64), to in (0..2_u8, 0..100_u64), reverse in any::<bool>(),
        ) {
            let base = Base::open(None, 0).unwrap();
            let mut all = BTreeMap::new();
            for (group, load) in loads.into_iter().enumerate() {
                let mut generation = Generation::new();
                for (journal, position, count, value) in load {
                    // Large ones singly: a pack of them all would take long to make.
                    let count = if value.as_ref().is_some_and(|value| value.len() > 1000) { 2 } else { count };
                    for position in position..position + count {
                        generation.insert(record(journal, position), value.clone().map(IVec::from));
                    }
                }
                for (key, value) in &generation {
                    match value {
                        Some(value) => all.insert(key.clone(), value.clone()),
                        None => all.remove(key),
                    };
                }
                base.take_in(&generation, group as u64).unwrap();
            }
            let db = base.db().unwrap();
            for journal in 0..2 {
                for position in 0..150 {
                    let key = record(journal, position);
                    let found = base.get(&key).unwrap();
                    prop_assert_eq!(found.as_ref(), all.get(&key));
                    prop_assert_eq!(base.contains(&key).unwrap(), all.contains_key(&key));
                }
            }
            let (from, to) = (record(from.0, from.1), record(to.0, to.1));
            let bounds: Bounds = (Bound::Excluded(from.clone().min(to.clone())), Bound::Included(from.clone().max(to.clone())));
            if from != to {
                let mut expected: Vec<_> = all.range(bounds.clone()).map(|(k, v)| (k.clone(), v.clone())).collect();
                if reverse {
                    expected.reverse();
                }
                let whole = |pair: Result<(IVec, IVec), StoreError>| {
                    let (key, stored) = pair.unwrap();
                    (key.to_vec(), parts::whole(&db, &key, stored).unwrap())
                };
                let found: Vec<_> = Base::range(&db, bounds, reverse).unwrap().map(whole).collect();
                prop_assert_eq!(found, expected);
            }
            // Nothing is left behind once everything is removed.
            let gone: Generation = all.keys().map(|key| (key.clone(), None)).collect();
            base.take_in(&gone, 99).unwrap();
            prop_assert_eq!(db.len(), 2, "the two numbers of groups");
        }
    }

    #[test]
    fn what_follows_the_first_of_a_pack_is_found() {
        let base = Base::open(None, 0).unwrap();
        let records = (4..8).map(|position| (record(0, position), Some(IVec::from(&[1]))));
        base.take_in(&records.collect(), 1).unwrap();
        let found = |bounds: Bounds| Base::range(&base.db().unwrap(), bounds, false).unwrap().count();
        assert_eq!(found((Bound::Excluded(record(0, 4)), Bound::Included(record(0, 6)))), 2);
        assert_eq!(found((Bound::Included(record(0, 4)), Bound::Excluded(record(0, 6)))), 2);
        assert_eq!(found((Bound::Excluded(record(0, 7)), Bound::Unbounded)), 0);
    }

    #[test]
    fn what_was_appended_lies_in_few_keys() {
        let base = Base::open(None, 0).unwrap();
        let records = (0..1_000_u64)
            .map(|n| (full_key(Table::Audit, &n.to_be_bytes()), Some(IVec::from(vec![7; 300]))));
        base.take_in(&records.collect(), 1).unwrap();
        let keys = base.db().unwrap().len() - 2;
        assert_eq!(keys, 1_000_usize.div_ceil(MAX_RECORDS));
    }
}

//! The boundary's second implementation: in memory, decided batch by batch in the plainest way.
//!
//! It shares no decision code with the engine's plan, so that running one test suite on both shows that the boundary
//! means what it says. It is for tests: nothing survives it.

use std::{
    collections::BTreeMap,
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Batch, Committed, Expectation, Health, Sealer, Space, StoreError, Table,
    backend::{Backend, Pending, PendingState, Room},
    batch::{Meter, Op},
    engine::Pair,
    plan::{Usage, decimal},
    scan::{Bounds, MAX_SCAN_BYTES},
    table::{full_key, journal_key, named},
    writer::Chain,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

struct State {
    map: Map,
    chain: Option<Chain>,
    batches: u64,
    closed: bool,
}

pub(crate) struct Memory(Mutex<State>);

impl Memory {
    pub(crate) fn new(chain: Option<Chain>) -> Memory {
        Memory(Mutex::new(State { map: Map::new(), chain, batches: 0, closed: false }))
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Closed) } else { Ok(state) }
    }

    fn commit_now(&self, batch: Batch) -> Result<Committed, StoreError> {
        let mut state = self.state()?;
        if !batch.chain.is_empty() && state.chain.is_none() {
            return Err(StoreError::NoLinker);
        }
        // Only the keys that the batch names can change: a copy of those is the way back.
        let named: Vec<_> = batch.ops.iter().flat_map(touched).collect();
        let before: Vec<_> = named.into_iter().map(|key| (state.map.get(&key).cloned(), key)).collect();
        let mut sums = Vec::new();
        for op in batch.ops {
            if let Err(error) = step(&mut state.map, op, &mut sums) {
                for (value, key) in before {
                    match value {
                        Some(value) => state.map.insert(key, value),
                        None => state.map.remove(&key),
                    };
                }
                return Err(error);
            }
        }
        let mut range = 0..0;
        if !batch.chain.is_empty() {
            let State { map, chain, .. } = &mut *state;
            if let Some(chain) = chain {
                let first = chain.next;
                for entry in &batch.chain {
                    let stored = chain.linker.link(chain.next, entry);
                    map.insert(full_key(Table::Audit, &chain.next.to_be_bytes()), stored);
                    chain.next += 1;
                }
                map.insert(full_key(Table::AuditHead, b"head"), chain.linker.head());
                chain.linker.durable();
                range = first..chain.next;
            }
        }
        state.batches += 1;
        Ok(Committed { chain: range, sums })
    }
}

impl Backend for Memory {
    fn reserve(&self, _bytes: usize) -> Pin<Box<dyn Future<Output = Result<Room, StoreError>> + Send + '_>> {
        Box::pin(ready(Ok(Room::Endless)))
    }

    fn submit(&self, _room: Room, batch: Batch) -> Pending {
        Pending(PendingState::Decided(self.commit_now(batch)))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state()?.map.get(key).cloned())
    }

    fn scan(&self, bounds: Bounds, limit: usize, reverse: bool) -> Result<Vec<Pair>, StoreError> {
        let state = self.state()?;
        let range = state.map.range(bounds);
        let all: &mut dyn Iterator<Item = (&Vec<u8>, &Vec<u8>)> =
            if reverse { &mut range.rev() } else { &mut { range } };
        let mut bytes = 0_usize;
        let mut pairs = Vec::new();
        for (key, value) in all.take(limit) {
            if bytes >= MAX_SCAN_BYTES {
                break;
            }
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            pairs.push((key.clone(), value.clone()));
        }
        Ok(pairs)
    }

    fn space(&self) -> Option<Space> {
        None
    }

    fn health(&self) -> Health {
        let batches = self.0.lock().unwrap_or_else(PoisonError::into_inner).batches;
        Health { failure: None, waiting: 0, groups: batches, batches }
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.state().map(|_| 0)
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }

    /// Nothing of it is ever at rest.
    fn seal_with(&self, _sealer: Arc<dyn Sealer>) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn is_locked(&self) -> bool {
        false
    }

    fn stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(key)
    }

    fn tamper(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let mut state = self.state()?;
        match value {
            Some(value) => state.map.insert(key, value),
            None => state.map.remove(&key),
        };
        Ok(())
    }
}

fn touched(op: &Op) -> Vec<Vec<u8>> {
    let meter_key =
        |meter: &Option<Meter>| meter.as_ref().map(|m| full_key(Table::KeyValueUse, &m.record_key()));
    match op {
        Op::Put { table, key, meter, .. }
        | Op::Delete { table, key, meter }
        | Op::Increment { table, key, meter, .. } => {
            std::iter::once(full_key(*table, key)).chain(meter_key(meter)).collect()
        }
        Op::Expect { .. } => Vec::new(),
        Op::Append { journal, position, .. } | Op::Trim { journal, position } => {
            vec![full_key(Table::Journal, &journal_key(journal, *position))]
        }
    }
}

fn step(map: &mut Map, op: Op, sums: &mut Vec<u64>) -> Result<(), StoreError> {
    match op {
        Op::Put { table, key, value, meter } => write(map, table, key, Some(value), meter),
        Op::Delete { table, key, meter } => write(map, table, key, None, meter),
        Op::Expect { table, key, expectation } => {
            let found = map.get(&full_key(table, &key));
            let rule = match &expectation {
                Expectation::Absent if found.is_some() => "it exists already",
                Expectation::Present if found.is_none() => "it does not exist",
                Expectation::Value(_) if found.is_none() => "it does not exist, a certain value was expected",
                Expectation::Value(value) if found != Some(value) => "its value has changed",
                _ => return Ok(()),
            };
            Err(StoreError::Conflict { table, key, rule })
        }
        Op::Increment { table, key, delta, meter } => {
            let number = match map.get(&full_key(table, &key)) {
                None => Some(0),
                Some(text) => decimal(text),
            };
            let refuse = |reason| StoreError::NotANumber { table, key: key.clone(), reason };
            let number = number.ok_or_else(|| refuse("its value is not a decimal number below 2^64"))?;
            let sum = number.checked_add(delta).ok_or_else(|| refuse("the sum would pass 2^64 - 1"))?;
            write(map, table, key, Some(sum.to_string().into_bytes()), meter)?;
            sums.push(sum);
            Ok(())
        }
        Op::Append { journal, position, record } => {
            let actual = journal_length(map, &journal);
            if actual != position {
                return Err(StoreError::Position { journal, expected: position, actual });
            }
            map.insert(full_key(Table::Journal, &journal_key(&journal, position)), record);
            Ok(())
        }
        Op::Trim { journal, position } => {
            let actual = journal_length(map, &journal);
            if actual != position.saturating_add(1) {
                return Err(StoreError::Position { journal, expected: position, actual });
            }
            map.remove(&full_key(Table::Journal, &journal_key(&journal, position)));
            Ok(())
        }
    }
}

fn journal_length(map: &Map, journal: &[u8]) -> u64 {
    let prefix = full_key(Table::Journal, &named(journal));
    map.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix)).count() as u64
}

fn write(
    map: &mut Map,
    table: Table,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    meter: Option<Meter>,
) -> Result<(), StoreError> {
    let full = full_key(table, &key);
    if let Some(meter) = meter {
        let record = full_key(Table::KeyValueUse, &meter.record_key());
        let used = Usage::decode(map.get(&record).map(Vec::as_slice));
        let after =
            used.moved(meter.charged(&key), map.get(&full).map(Vec::len), value.as_ref().map(Vec::len));
        for (unit, max, before, would_be) in [
            ("bytes", meter.max_bytes, used.bytes, after.bytes),
            ("keys", meter.max_keys, used.keys, after.keys),
        ] {
            if would_be > max && would_be > before {
                return Err(StoreError::Quota { account: meter.account, unit, max, would_be });
            }
        }
        map.insert(record, after.encode().to_vec());
    }
    match value {
        Some(value) => map.insert(full, value),
        None => map.remove(&full),
    };
    Ok(())
}

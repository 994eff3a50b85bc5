//! What listening runs want, how an event finds them, and what is kept for them until they read it.

use std::collections::BTreeMap;

use factotum_flow::Subscription;
use factotum_provenance::Labels;
use factotum_store::{Batch, Expectation, ScanRange, Store, StoreError, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MAX_KEPT, cloud_event, keys, log};
use crate::runs::Engine;

/// The most listeners read from the index at once.
pub(super) const PAGE: usize = 500;

/// Names of subscriptions, and where the next page begins, if there is one.
type Listeners = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// A subscription as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sub {
    /// The alternatives, as they stand in the index.
    #[serde(rename = "any")]
    any_of: Vec<BTreeMap<String, String>>,
    /// The number of the newest event that it was given, or that was there before it.
    last: u64,
    /// How many it was given.
    given: u64,
}

/// An event that was kept for a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub number: u64,
    /// As a run sees it: with `data`.
    pub event: Value,
    pub from: Labels,
}

/// Adds a new subscription to a batch, for events after number `last`. Returns what the store then keeps of it.
pub(crate) fn open(batch: &mut Batch, id: &[u8], wanted: &Subscription, last: u64) -> Vec<u8> {
    for alternative in &wanted.any_of {
        batch.put(Table::Subscriptions, keys::index(alternative, id), *b"");
    }
    let sub = Sub { any_of: wanted.any_of.clone(), last, given: 0 };
    let stored = sub.encode();
    batch.put(Table::Subscriptions, keys::subscription(id), stored.clone());
    stored
}

/// The store's key of a subscription, to demand that it did not change.
pub(crate) fn key(id: &[u8]) -> Vec<u8> {
    keys::subscription(id)
}

/// The next event that is kept for a subscription, after number `after`.
pub(crate) fn queued(store: &Store, id: &[u8], after: u64) -> Result<Option<Kept>, StoreError> {
    let range = ScanRange::prefix(keys::queue(id)).after(Some(keys::in_queue(id, after))).limit(1);
    let Some((key, bytes)) = store.scan(Table::Events, &range)?.pop() else { return Ok(None) };
    let number = keys::number_of(&key).unwrap_or_default();
    let stored = log::read(&key, &bytes)?;
    Ok(Some(Kept { number, event: cloud_event::as_heard(stored.event), from: stored.from }))
}

/// Adds to a batch that a run has read an event, the `used`th of this subscription.
pub(crate) fn use_up(batch: &mut Batch, id: &[u8], number: u64, used: u64) {
    batch.delete(Table::Events, keys::in_queue(id, number));
    batch.put(Table::Events, keys::used(id), used.to_be_bytes());
}

impl Sub {
    fn encode(&self) -> Vec<u8> {
        // Texts and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Engine {
    /// The sets of attribute names that listening runs have asked about.
    pub(super) fn asked_names(&self) -> Result<Vec<String>, StoreError> {
        let mut all = Vec::new();
        let mut start = keys::kind(b'i');
        loop {
            let range = ScanRange::prefix(keys::kind(b'i')).from(start).limit(1);
            let Some((key, _)) = self.store.scan(Table::Subscriptions, &range)?.pop() else { return Ok(all) };
            let Some(names) = keys::names_of(&key) else { return Ok(all) };
            start = keys::after_names(names);
            all.push(names.to_owned());
        }
    }

    /// A page of the subscriptions that an event fits by these names; the cursor is the last key of the page before.
    pub(super) fn listeners(
        &self,
        names: &str,
        event: &Value,
        cursor: Option<Vec<u8>>,
    ) -> Result<Listeners, StoreError> {
        let values: Option<Vec<String>> =
            names.split(',').filter(|name| !name.is_empty()).map(|name| text(event.get(name)?)).collect();
        let Some(values) = values else { return Ok((Vec::new(), None)) };
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let range = ScanRange::prefix(keys::index_of(names, &values)).after(cursor).limit(PAGE);
        let found = self.store.scan(Table::Subscriptions, &range)?;
        let cursor = (found.len() == PAGE).then(|| found.last().map(|(key, _)| key.clone())).flatten();
        let subs = found.iter().filter_map(|(key, _)| keys::sub_of(key).map(<[u8]>::to_vec)).collect();
        Ok((subs, cursor))
    }

    /// What the store keeps of a subscription.
    pub(crate) fn subscription(&self, id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(Table::Subscriptions, &keys::subscription(id))
    }

    /// Gives an event to a subscription and wakes its run. Nothing is given twice.
    pub(super) async fn give(&self, id: &[u8], number: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(run) = keys::run_of(id) else { return Ok(()) };
        let mut over = false;
        let key = keys::subscription(id);
        self.change_and_wake(run, |row, batch| {
            let Some(stored) = self.store.get(Table::Subscriptions, &key)? else { return Ok(false) };
            let mut sub = parse(&key, &stored)?;
            if row.state.is_final() {
                over = true;
                return Ok(false);
            }
            if sub.last >= number {
                return Ok(false);
            }
            let used = self.store.get(Table::Events, &keys::used(id))?;
            let used = used.and_then(|used| keys::number_of(&used)).unwrap_or(0);
            if sub.given.saturating_sub(used) >= MAX_KEPT {
                tracing::error!(
                    run,
                    number,
                    "a run does not read the events that it listens to; this one is not kept for it"
                );
                return Ok(false);
            }
            (sub.last, sub.given) = (number, sub.given.saturating_add(1));
            batch.expect(Table::Subscriptions, key.clone(), Expectation::Value(stored));
            batch.put(Table::Subscriptions, key.clone(), sub.encode());
            batch.put(Table::Events, keys::in_queue(id, number), bytes);
            Ok(true)
        })
        .await?;
        if over { self.close_subscription(id).await } else { Ok(()) }
    }

    /// Closes a subscription: what is kept for it and was not read is gone.
    pub(crate) async fn close_subscription(&self, id: &[u8]) -> Result<(), StoreError> {
        let key = keys::subscription(id);
        while let Some(stored) = self.store.get(Table::Subscriptions, &key)? {
            let mut batch = Batch::new();
            for alternative in parse(&key, &stored)?.any_of {
                batch.delete(Table::Subscriptions, keys::index(&alternative, id));
            }
            batch.expect(Table::Subscriptions, key.clone(), Expectation::Value(stored));
            batch.delete(Table::Subscriptions, key.clone());
            batch.delete(Table::Events, keys::used(id));
            match self.commit(batch).await {
                Ok(_) => break,
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        // Nothing is added to the queue any more.
        loop {
            let range = ScanRange::prefix(keys::queue(id)).limit(PAGE);
            let rest = self.store.scan(Table::Events, &range)?;
            if rest.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for (key, _) in rest {
                batch.delete(Table::Events, key);
            }
            self.commit(batch).await?;
        }
    }
}

/// An attribute as the text that subscriptions name it by.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether an event fits one of a subscription's alternatives.
pub(super) fn fits(wanted: &Subscription, event: &Value) -> bool {
    wanted.any_of.iter().any(|alternative| {
        alternative.iter().all(|(name, wanted)| event.get(name).and_then(text).as_ref() == Some(wanted))
    })
}

fn parse(key: &[u8], stored: &[u8]) -> Result<Sub, StoreError> {
    serde_json::from_slice(stored).map_err(|e| StoreError::Corrupt {
        table: Table::Subscriptions,
        key: key.to_vec(),
        reason: e.to_string(),
    })
}

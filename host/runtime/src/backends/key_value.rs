//! `wasi:keyvalue` on the store: every write is one commit, within the plugin's quota.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use factotum_grant::KeyValueGrant;
use factotum_sandbox::{BackendError, KeyValue};
use factotum_store::{Batch, KvNamespace, Quota, Store, StoreError};

/// The most places in listings that are remembered by key. A place that is not remembered is found by counting.
const MAX_PLACES: usize = 4_096;

/// Plugins' namespaces on the store.
pub(crate) struct StoredKeyValue {
    store: Store,
    /// By namespace and position: the key before it. The interface counts positions, the store goes on from keys.
    places: Mutex<HashMap<(String, u64), String>>,
}

impl StoredKeyValue {
    pub fn new(store: Store) -> Self {
        Self { store, places: Mutex::default() }
    }

    fn space(&self, namespace: &str, quota: Option<&KeyValueGrant>) -> Result<KvNamespace, BackendError> {
        let quota = quota.map_or(Quota { max_bytes: u64::MAX, max_keys: u64::MAX }, |grant| Quota {
            max_bytes: grant.quota_bytes,
            max_keys: grant.quota_keys,
        });
        KvNamespace::new(&self.store, namespace, quota).map_err(failed)
    }

    async fn commit(&self, batch: Batch) -> Result<(), BackendError> {
        self.store.commit(batch).await.map(drop).map_err(failed)
    }

    /// The key that stands before a position, from memory or by counting.
    fn before(
        &self,
        space: &KvNamespace,
        namespace: &str,
        position: u64,
    ) -> Result<Option<String>, BackendError> {
        if position == 0 {
            return Ok(None);
        }
        let known = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(&(namespace.to_owned(), position)) {
            return Ok(Some(key.clone()));
        }
        drop(known);
        let (mut cursor, mut left) = (None::<String>, usize::try_from(position).unwrap_or(usize::MAX));
        while left > 0 {
            let page = space.list_keys(cursor.as_deref(), left.min(5_000)).map_err(failed)?;
            left = left.saturating_sub(page.keys.len());
            let more = page.cursor.is_some();
            cursor = page.keys.into_iter().next_back().or(cursor);
            if !more {
                break;
            }
        }
        Ok(cursor)
    }

    fn remember(&self, namespace: &str, position: u64, key: String) {
        let mut known = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_PLACES {
            known.clear();
        }
        known.insert((namespace.to_owned(), position), key);
    }
}

/// What the plugin reads. Causes that concern only the host are for the log.
fn failed(error: StoreError) -> BackendError {
    match error {
        StoreError::Quota { unit, max, would_be, .. } => {
            BackendError(format!("the namespace would hold {would_be} {unit}; its quota is {max}"))
        }
        StoreError::NotANumber { reason, .. } => BackendError(format!("cannot add to the value: {reason}")),
        StoreError::Invalid(what) => BackendError(what),
        error => {
            tracing::error!(%error, "the store failed under a plugin's call");
            BackendError("the host's store failed".into())
        }
    }
}

#[async_trait]
impl KeyValue for StoredKeyValue {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        self.space(namespace, None)?.get(key).map_err(failed)
    }

    async fn get_many(&self, namespace: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        let space = self.space(namespace, None)?;
        keys.iter().map(|key| space.get(key).map_err(failed)).collect()
    }

    async fn set_many(
        &self,
        namespace: &str,
        pairs: Vec<(String, Vec<u8>)>,
        quota: &KeyValueGrant,
    ) -> Result<(), BackendError> {
        let space = self.space(namespace, Some(quota))?;
        let mut batch = Batch::new();
        for (key, value) in &pairs {
            space.set_in(&mut batch, key, value).map_err(failed)?;
        }
        self.commit(batch).await
    }

    async fn delete_many(&self, namespace: &str, keys: &[String]) -> Result<(), BackendError> {
        let space = self.space(namespace, None)?;
        let mut batch = Batch::new();
        for key in keys {
            space.delete_in(&mut batch, key).map_err(failed)?;
        }
        self.commit(batch).await
    }

    async fn exists(&self, namespace: &str, key: &str) -> Result<bool, BackendError> {
        self.space(namespace, None)?.exists(key).map_err(failed)
    }

    async fn list_keys(
        &self,
        namespace: &str,
        cursor: Option<u64>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<u64>), BackendError> {
        let space = self.space(namespace, None)?;
        let position = cursor.unwrap_or(0);
        let before = self.before(&space, namespace, position)?;
        let page = space.list_keys(before.as_deref(), limit as usize).map_err(failed)?;
        let next = position.saturating_add(page.keys.len() as u64);
        let next = page.cursor.map(|last| {
            self.remember(namespace, next, last);
            next
        });
        Ok((page.keys, next))
    }

    async fn increment(
        &self,
        namespace: &str,
        key: &str,
        delta: u64,
        quota: &KeyValueGrant,
    ) -> Result<u64, BackendError> {
        self.space(namespace, Some(quota))?.increment(key, delta).await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factotum_store::Options;

    #[tokio::test]
    async fn listings_go_on_where_they_stopped_with_and_without_memory() {
        let store = Store::in_memory(Options::default()).unwrap();
        let kv = StoredKeyValue::new(store.clone());
        let quota = KeyValueGrant::default();
        let pairs = (0..25).map(|i| (format!("k{i:02}"), vec![1])).collect();
        kv.set_many("crm", pairs, &quota).await.unwrap();
        kv.set_many("other", vec![("x".into(), vec![2])], &quota).await.unwrap();
        for forget in [false, true] {
            let (mut all, mut cursor) = (Vec::new(), None);
            loop {
                let kv = if forget { &StoredKeyValue::new(store.clone()) } else { &kv };
                let (keys, next) = kv.list_keys("crm", cursor, 10).await.unwrap();
                all.extend(keys);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(all, (0..25).map(|i| format!("k{i:02}")).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn the_quota_is_the_plugins_and_its_message_says_so() {
        let kv = StoredKeyValue::new(Store::in_memory(Options::default()).unwrap());
        let quota = KeyValueGrant { quota_bytes: 1000, quota_keys: 2 };
        let pair = |key: &str| (key.to_owned(), vec![0; 10]);
        kv.set_many("crm", vec![pair("a"), pair("b")], &quota).await.unwrap();
        let error = kv.set_many("crm", vec![pair("a"), pair("c")], &quota).await.unwrap_err();
        assert!(error.0.contains("3 keys") && error.0.contains("quota is 2"), "{error}");
        assert!(!kv.exists("crm", "c").await.unwrap(), "all or nothing");
        kv.delete_many("crm", &["a".into(), "nothing".into()]).await.unwrap();
        kv.set_many("crm", vec![pair("c")], &quota).await.unwrap();
        assert_eq!(kv.increment("n", "n", 5, &quota).await.unwrap(), 5);
        assert_eq!(kv.increment("n", "n", 2, &quota).await.unwrap(), 7);
    }
}

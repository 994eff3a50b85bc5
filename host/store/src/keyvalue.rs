//! Key-value namespaces with quotas, which back the plugins' `wasi:keyvalue`. Every write is a commit.

use crate::{
    Batch, Committed, Expectation, Meter, ScanRange, Store, StoreError, Table, Usage, table::full_key,
    table::named,
};

/// Longest key, in bytes.
pub const MAX_KV_KEY: usize = 1024;
/// Longest value, in bytes.
pub const MAX_KV_VALUE: usize = 1024 * 1024;

/// How much a namespace may hold. Deletes and shrinking writes are never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of keys and values.
    pub max_bytes: u64,
    /// Number of keys.
    pub max_keys: u64,
}

impl Default for Quota {
    /// 64 MiB in 100,000 keys.
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 * 1024, max_keys: 100_000 }
    }
}

/// A page of a namespace's keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPage {
    /// The keys, in byte order.
    pub keys: Vec<String>,
    /// Where the next page starts; `None` after the last.
    pub cursor: Option<String>,
}

/// One namespace: its keys are its own, and no other's are in its reach.
#[derive(Debug, Clone)]
pub struct KvNamespace {
    store: Store,
    name: Vec<u8>,
    quota: Quota,
}

impl KvNamespace {
    /// A namespace by its name (1 to 512 bytes); it exists as soon as something is in it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a name of another length.
    pub fn new(store: &Store, name: &str, quota: Quota) -> Result<Self, StoreError> {
        if name.is_empty() || name.len() > crate::MAX_NAME {
            return Err(StoreError::Invalid(format!(
                "a namespace's name must have 1 to {} bytes, this one has {}",
                crate::MAX_NAME,
                name.len()
            )));
        }
        Ok(Self { store: store.clone(), name: name.as_bytes().to_vec(), quota })
    }

    /// The names of all namespaces that something was ever in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn names(store: &Store) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let page =
                store.scan(Table::KeyValueUse, &ScanRange::default().after(after.take()).limit(1000))?;
            let Some((last, _)) = page.last() else { return Ok(names) };
            after = Some(last.clone());
            // Behind the length of the name.
            names.extend(page.iter().filter_map(|(key, _)| String::from_utf8(key.get(2..)?.to_vec()).ok()));
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// An invalid key, or an unreadable store.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(Table::KeyValue, &self.key(key)?)
    }

    /// Whether a key exists.
    ///
    /// # Errors
    /// Like [`KvNamespace::get`].
    pub fn exists(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.get(key)?.is_some())
    }

    /// A page of at most `limit` keys, after the cursor of the page before.
    ///
    /// # Errors
    /// Like [`KvNamespace::get`].
    pub fn list_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage, StoreError> {
        let prefix = named(&self.name);
        let limit = limit.clamp(1, crate::MAX_SCAN - 1);
        let after = cursor.map(|cursor| [prefix.as_slice(), cursor.as_bytes()].concat());
        // One more than asked for tells whether there is a next page.
        let range = ScanRange::prefix(prefix.clone()).after(after).limit(limit + 1);
        let pairs = self.store.scan(Table::KeyValue, &range)?;
        let mut bytes = 0_usize;
        let mut keys = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            // The scan's own bound counts the engine's key, which has the table's byte in front.
            bytes = bytes.saturating_add(full_key(Table::KeyValue, &key).len()).saturating_add(value.len());
            let text = key.get(prefix.len()..).and_then(|key| String::from_utf8(key.to_vec()).ok());
            keys.push(text.ok_or_else(|| StoreError::Corrupt {
                table: Table::KeyValue,
                key: key.clone(),
                reason: "the key is not UTF-8".to_owned(),
            })?);
        }
        let more = keys.len() > limit || bytes >= crate::MAX_SCAN_BYTES;
        keys.truncate(limit);
        let cursor = if more { keys.last().cloned() } else { None };
        Ok(KeyPage { keys, cursor })
    }

    /// What the namespace holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        Ok(Usage::decode(self.store.get(Table::KeyValueUse, &self.meter().record_key())?.as_deref()))
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`StoreError::Quota`], an invalid key or value, and like [`Store::commit`].
    pub async fn set(&self, key: &str, value: &[u8]) -> Result<Committed, StoreError> {
        let mut batch = Batch::new();
        self.set_in(&mut batch, key, value)?;
        self.store.commit(batch).await
    }

    /// Removes a key; it need not exist.
    ///
    /// # Errors
    /// An invalid key, and like [`Store::commit`].
    pub async fn delete(&self, key: &str) -> Result<Committed, StoreError> {
        let mut batch = Batch::new();
        self.delete_in(&mut batch, key)?;
        self.store.commit(batch).await
    }

    /// Adds to a number (decimal text; absent counts as 0) and returns the sum. No other write comes in between.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`], [`StoreError::Quota`], an invalid key, and like [`Store::commit`].
    pub async fn increment(&self, key: &str, delta: u64) -> Result<u64, StoreError> {
        let mut batch = Batch::new();
        batch.increment_metered(Table::KeyValue, self.key(key)?, delta, self.meter());
        Ok(self.store.commit(batch).await?.sums.first().copied().unwrap_or_default())
    }

    /// Sets a key if it still holds `expected` (`None`: is absent).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not, and like [`KvNamespace::set`].
    pub async fn swap(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Committed, StoreError> {
        let expectation = expected.map_or(Expectation::Absent, |value| Expectation::Value(value.to_vec()));
        let mut batch = Batch::new();
        batch.expect(Table::KeyValue, self.key(key)?, expectation);
        self.set_in(&mut batch, key, value)?;
        self.store.commit(batch).await
    }

    /// Adds setting a key to a batch, so that it happens together with what else is in there.
    ///
    /// # Errors
    /// An invalid key or value.
    pub fn set_in(&self, batch: &mut Batch, key: &str, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > MAX_KV_VALUE {
            return Err(StoreError::Invalid(format!(
                "the value has {} bytes, at most {MAX_KV_VALUE} are allowed; keep it as an artifact",
                value.len()
            )));
        }
        batch.put_metered(Table::KeyValue, self.key(key)?, value.to_vec(), self.meter());
        Ok(())
    }

    /// Adds removing a key to a batch.
    ///
    /// # Errors
    /// An invalid key.
    pub fn delete_in(&self, batch: &mut Batch, key: &str) -> Result<(), StoreError> {
        batch.delete_metered(Table::KeyValue, self.key(key)?, self.meter());
        Ok(())
    }

    fn meter(&self) -> Meter {
        Meter { account: self.name.clone(), max_bytes: self.quota.max_bytes, max_keys: self.quota.max_keys }
    }

    fn key(&self, key: &str) -> Result<Vec<u8>, StoreError> {
        if key.is_empty() || key.len() > MAX_KV_KEY {
            return Err(StoreError::Invalid(format!(
                "a key must have 1 to {MAX_KV_KEY} bytes, this one has {}",
                key.len()
            )));
        }
        let mut full = named(&self.name);
        full.extend_from_slice(key.as_bytes());
        Ok(full)
    }
}

//! `wasi:keyvalue`: the plugin's own namespace. Which one it is, the host decides; a guest can only name "its own".

use std::{future::Future, sync::Arc};

use factotum_grant::{Capability, KeyValueGrant};
use wasmtime::component::Resource;

use super::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::{BackendError, UseOutcome, state::State};

/// An open bucket. There is one per plugin, so it carries nothing.
pub struct Bucket(());

/// How many keys one page lists.
const PAGE: u32 = 1000;
/// The most keys or pairs that one batch may name.
const MAX_BATCH: usize = 10_000;
/// The longest key, in bytes.
const MAX_KEY: usize = 1024;
/// The longest value, in bytes.
const MAX_VALUE: usize = 1 << 20;
/// The most bytes of all values that one batch brings: the same large key may be named thousands of times.
const MAX_BATCH_BYTES: usize = 32 << 20;
/// How many keys of a batch the backend is asked for at once, so that no more than this many values come too many.
const BATCH_STEP: usize = 64;

type Answer<T> = wasmtime::Result<Result<T, store::Error>>;

fn other(error: BackendError) -> store::Error {
    store::Error::Other(error.0)
}

fn refuse(message: String) -> store::Error {
    store::Error::Other(message)
}

fn check_key(key: &str) -> Result<(), store::Error> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(refuse(format!("a key has 1 to {MAX_KEY} bytes, this one {}", key.len())));
    }
    Ok(())
}

fn check_pair(key: &str, value: &[u8]) -> Result<(), store::Error> {
    check_key(key)?;
    if value.len() > MAX_VALUE {
        return Err(refuse(format!(
            "a value has at most {MAX_VALUE} bytes, that of {key:?} {}",
            value.len()
        )));
    }
    Ok(())
}

fn check_batch(len: usize) -> Result<(), store::Error> {
    if len > MAX_BATCH {
        return Err(refuse(format!("a batch has at most {MAX_BATCH} keys, this one {len}")));
    }
    Ok(())
}

impl State {
    fn quota(&self) -> KeyValueGrant {
        self.grants().key_value.clone().unwrap_or(KeyValueGrant { quota_bytes: 0, quota_keys: 0 })
    }

    /// Runs one use and notes it. The bucket handle must be live.
    async fn kv<T>(
        &mut self,
        bucket: &Resource<Bucket>,
        action: &str,
        check: Result<(), store::Error>,
        effect: impl Future<Output = Result<T, BackendError>>,
    ) -> Answer<T> {
        self.table.get(bucket)?;
        if let Err(error) = check {
            return Ok(Err(error));
        }
        let result = effect.await;
        self.note(Capability::KeyValue, action, "own namespace", &result, |_| "failed".into());
        Ok(result.map_err(other))
    }
}

impl store::Host for State {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        match identifier.as_str() {
            "" | "default" => Ok(Ok(self.table.push(Bucket(()))?)),
            _ => {
                let outcome = UseOutcome::Failed { code: "no-such-store".into() };
                self.uses.add(Capability::KeyValue, "open", &identifier, outcome);
                Ok(Err(store::Error::NoSuchStore))
            }
        }
    }
}

impl store::HostBucket for State {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        let s = Arc::clone(&self.identity);
        self.kv(&bucket, "get", check_key(&key), s.backends.key_value.get(&s.name, &key)).await
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        let s = Arc::clone(&self.identity);
        let quota = self.quota();
        self.kv(&bucket, "set", check_pair(&key, &value), async move {
            s.backends.key_value.set_many(&s.name, vec![(key, value)], &quota).await
        })
        .await
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        let s = Arc::clone(&self.identity);
        self.kv(&bucket, "delete", check_key(&key), async move {
            s.backends.key_value.delete_many(&s.name, &[key]).await
        })
        .await
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        let s = Arc::clone(&self.identity);
        self.kv(&bucket, "get", check_key(&key), s.backends.key_value.exists(&s.name, &key)).await
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Answer<store::KeyResponse> {
        let s = Arc::clone(&self.identity);
        self.kv(&bucket, "list", Ok(()), async {
            let (keys, cursor) = s.backends.key_value.list_keys(&s.name, cursor, PAGE).await?;
            Ok(store::KeyResponse { keys, cursor })
        })
        .await
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for State {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: u64) -> Answer<u64> {
        let s = Arc::clone(&self.identity);
        let quota = self.quota();
        self.kv(&bucket, "increment", check_key(&key), async {
            s.backends.key_value.increment(&s.name, &key, delta, &quota).await
        })
        .await
    }
}

impl batch::Host for State {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let s = Arc::clone(&self.identity);
        let check = check_batch(keys.len()).and_then(|()| keys.iter().try_for_each(|key| check_key(key)));
        self.kv(&bucket, "get", check, async {
            let mut values = Vec::with_capacity(keys.len());
            let mut bytes = 0_usize;
            for step in keys.chunks(BATCH_STEP) {
                let found = s.backends.key_value.get_many(&s.name, step).await?;
                bytes = found.iter().flatten().fold(bytes, |sum, value| sum.saturating_add(value.len()));
                if bytes > MAX_BATCH_BYTES {
                    return Err(BackendError(format!(
                        "the values of this batch have more than {MAX_BATCH_BYTES} bytes; ask for fewer keys"
                    )));
                }
                values.extend(found);
            }
            Ok(keys.into_iter().zip(values).map(|(key, value)| value.map(|value| (key, value))).collect())
        })
        .await
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Answer<()> {
        let s = Arc::clone(&self.identity);
        let quota = self.quota();
        let check =
            check_batch(pairs.len()).and_then(|()| pairs.iter().try_for_each(|(k, v)| check_pair(k, v)));
        self.kv(&bucket, "set", check, async { s.backends.key_value.set_many(&s.name, pairs, &quota).await })
            .await
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        let s = Arc::clone(&self.identity);
        let check = check_batch(keys.len()).and_then(|()| keys.iter().try_for_each(|key| check_key(key)));
        self.kv(&bucket, "delete", check, async { s.backends.key_value.delete_many(&s.name, &keys).await })
            .await
    }
}

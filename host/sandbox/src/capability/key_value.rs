//! `wasi:keyvalue`: the plugin's own namespace, and those of other plugins that were opened to it. Which one is its own,
//! the host decides; a guest can only name "its own".

use std::{future::Future, sync::Arc};

use factotum_grant::{Access, Capability, Denial, KeyValueGrant, SharedNamespace};
use wasmtime::component::Resource;

use super::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::{BackendError, UseOutcome, backends::KeyValue, data::NotGiven, plugin::Identity, state::State};

/// An open bucket: the plugin it belongs to, or none for the plugin's own. Opening it gives nothing: each use asks anew.
pub struct Bucket(Option<Arc<str>>);

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

/// Where a use goes, and what it may fill there.
#[derive(Clone)]
struct Space {
    identity: Arc<Identity>,
    other: Option<Arc<str>>,
    quota: KeyValueGrant,
}

impl Space {
    fn name(&self) -> &str {
        self.other.as_deref().unwrap_or(&self.identity.name)
    }

    fn backend(&self) -> &dyn KeyValue {
        &*self.identity.backends.key_value
    }
}

/// A namespace as the audit log names it.
fn shown(other: Option<&str>) -> String {
    other.map_or_else(|| "own namespace".to_owned(), |name| format!("namespace of {name}"))
}

impl State {
    fn refused(&self, action: &str, other: Option<&str>, denial: &Denial) -> store::Error {
        self.deny(action, &shown(other), denial);
        store::Error::AccessDenied
    }

    /// Whether the right of this moment allows the use. The bucket handle must be live.
    fn space(&self, bucket: &Resource<Bucket>, action: &str, access: Access) -> Answer<Space> {
        let other = self.table.get(bucket)?.0.clone();
        let (right, identity) = (self.right(), self.identity());
        if let Err(denial) = right.effective.check_key_value(other.as_deref(), access) {
            return Ok(Err(self.refused(action, other.as_deref(), &denial)));
        }
        let quota = match &other {
            _ if access == Access::Read => KeyValueGrant { quota_bytes: 0, quota_keys: 0 },
            // What is written there counts against its owner.
            Some(owner) => identity.ledgers.quota_of(owner),
            None => {
                let own = right.effective.grants().key_value.clone();
                own.unwrap_or(KeyValueGrant { quota_bytes: 0, quota_keys: 0 })
            }
        };
        Ok(Ok(Space { identity: Arc::clone(identity), other, quota }))
    }

    /// Runs one use and notes it.
    async fn kv<T, F: Future<Output = Result<T, BackendError>>>(
        &mut self,
        bucket: &Resource<Bucket>,
        (action, access): (&str, Access),
        check: Result<(), store::Error>,
        effect: impl FnOnce(Space) -> F,
    ) -> Answer<T> {
        let space = match self.space(bucket, action, access)? {
            Ok(space) => space,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = check {
            return Ok(Err(error));
        }
        let target = shown(space.other.as_deref());
        let known = space.clone();
        // What takes data away brings none.
        let writes = access == Access::ReadWrite && action != "delete";
        let reads = access == Access::Read || action == "increment";
        let marked = match writes {
            true => self.data.will_write(&known.identity, known.name()).await,
            false => Ok(()),
        };
        let result = match marked {
            Ok(()) => effect(space).await,
            Err(error) => Err(error),
        };
        let result = match (result, reads) {
            (Ok(value), true) => {
                let right = self.right();
                match self.data.did_read(&known.identity, &right, Capability::KeyValue, known.name()).await {
                    Ok(()) => Ok(value),
                    Err(NotGiven::Failed(error)) => Err(error),
                    Err(NotGiven::Denied(denial)) => {
                        return Ok(Err(self.refused(action, known.other.as_deref(), &denial)));
                    }
                }
            }
            (result, _) => result,
        };
        self.note(Capability::KeyValue, action, &target, &result, |_| "failed".into());
        Ok(result.map_err(other))
    }
}

impl store::Host for State {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        let other = match identifier.as_str() {
            "" | "default" => None,
            name if SharedNamespace::is_name(name) => Some(name),
            _ => {
                let outcome = UseOutcome::Failed { code: "no-such-store".into() };
                self.uses.add(Capability::KeyValue, "open", &identifier, outcome);
                return Ok(Err(store::Error::NoSuchStore));
            }
        };
        // Whether or not there is a plugin of that name: who may not look there does not learn it.
        match self.right().effective.check_key_value(other, Access::Read) {
            Ok(()) => Ok(Ok(self.table.push(Bucket(other.map(Arc::from)))?)),
            Err(denial) => Ok(Err(self.refused("open", other, &denial))),
        }
    }
}

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

impl store::HostBucket for State {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        let check = check_key(&key);
        self.kv(&bucket, ("get", READ), check, |s| async move { s.backend().get(s.name(), &key).await }).await
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        let check = check_pair(&key, &value);
        self.kv(&bucket, ("set", WRITE), check, |s| async move {
            s.backend().set_many(s.name(), vec![(key, value)], &s.quota).await
        })
        .await
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        let check = check_key(&key);
        self.kv(&bucket, ("delete", WRITE), check, |s| async move {
            s.backend().delete_many(s.name(), &[key]).await
        })
        .await
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        let check = check_key(&key);
        self.kv(&bucket, ("get", READ), check, |s| async move { s.backend().exists(s.name(), &key).await })
            .await
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Answer<store::KeyResponse> {
        self.kv(&bucket, ("list", READ), Ok(()), |s| async move {
            let (keys, cursor) = s.backend().list_keys(s.name(), cursor, PAGE).await?;
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
        let check = check_key(&key);
        self.kv(&bucket, ("increment", WRITE), check, |s| async move {
            s.backend().increment(s.name(), &key, delta, &s.quota).await
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
        let check = check_batch(keys.len()).and_then(|()| keys.iter().try_for_each(|key| check_key(key)));
        self.kv(&bucket, ("get", READ), check, |s| async move {
            let mut values = Vec::with_capacity(keys.len());
            let mut bytes = 0_usize;
            for step in keys.chunks(BATCH_STEP) {
                let found = s.backend().get_many(s.name(), step).await?;
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
        let check =
            check_batch(pairs.len()).and_then(|()| pairs.iter().try_for_each(|(k, v)| check_pair(k, v)));
        self.kv(&bucket, ("set", WRITE), check, |s| async move {
            s.backend().set_many(s.name(), pairs, &s.quota).await
        })
        .await
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        let check = check_batch(keys.len()).and_then(|()| keys.iter().try_for_each(|key| check_key(key)));
        self.kv(&bucket, ("delete", WRITE), check, |s| async move {
            s.backend().delete_many(s.name(), &keys).await
        })
        .await
    }
}

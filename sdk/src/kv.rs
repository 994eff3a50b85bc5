//! The plugin's own keys and values (`wasi:keyvalue`), durable, and invisible to every other plugin.

use serde::{Serialize, de::DeserializeOwned};

use crate::Fault;
#[cfg(target_family = "wasm")]
use crate::bindings::wasi::keyvalue::{atomics, batch, store};

/// A bucket of keys and values. Keys are at most 1 KiB, values at most 1 MiB.
pub struct Bucket {
    #[cfg(target_family = "wasm")]
    inner: store::Bucket,
    #[cfg(not(target_family = "wasm"))]
    name: String,
}

/// One page of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The keys, in the order of their bytes.
    pub keys: Vec<String>,
    /// Where the next page starts; `None` on the last page.
    pub cursor: Option<u64>,
}

#[cfg(target_family = "wasm")]
fn fault(error: store::Error) -> Fault {
    match error {
        store::Error::NoSuchStore => Fault::not_found("key-value: no such bucket"),
        store::Error::AccessDenied => Fault::denied("key-value: access denied"),
        store::Error::Other(message) => Fault::unavailable(format!("key-value: {message}")),
    }
}

impl Bucket {
    /// Opens the plugin's own bucket.
    ///
    /// # Errors
    /// `denied` when the plugin has no key-value grant.
    pub fn open() -> Result<Self, Fault> {
        Self::named("default")
    }

    /// Opens a bucket by name; `default` is the plugin's own.
    ///
    /// # Errors
    /// `not-found` for a bucket that the host does not know, `denied` for one that is not granted.
    pub fn named(name: &str) -> Result<Self, Fault> {
        #[cfg(target_family = "wasm")]
        {
            Ok(Self { inner: store::open(name).map_err(fault)? })
        }
        #[cfg(not(target_family = "wasm"))]
        {
            Ok(Self { name: name.to_owned() })
        }
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// A technical fault when the store does not answer.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        #[cfg(target_family = "wasm")]
        {
            self.inner.get(key).map_err(fault)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            Ok(self.map(|map| map.get(key).cloned()))
        }
    }

    /// The values under `keys`, in that order, with one visit to the store.
    ///
    /// # Errors
    /// A technical fault when the store does not answer.
    pub fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        #[cfg(target_family = "wasm")]
        {
            let found = batch::get_many(&self.inner, keys).map_err(fault)?;
            Ok(found.into_iter().map(|pair| pair.map(|(_, value)| value)).collect())
        }
        #[cfg(not(target_family = "wasm"))]
        {
            Ok(self.map(|map| keys.iter().map(|key| map.get(key).cloned()).collect()))
        }
    }

    /// Puts `value` under `key`, over what was there.
    ///
    /// # Errors
    /// A fault when the quota is used up or the store does not answer.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        #[cfg(target_family = "wasm")]
        {
            self.inner.set(key, value).map_err(fault)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            self.map(|map| map.insert(key.to_owned(), value.to_vec()));
            Ok(())
        }
    }

    /// Puts all pairs, in the host with one visit to the disk and all or none of them.
    ///
    /// # Errors
    /// A fault when the quota is used up or the store does not answer.
    pub fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<(), Fault> {
        #[cfg(target_family = "wasm")]
        {
            batch::set_many(&self.inner, pairs).map_err(fault)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            self.map(|map| map.extend(pairs.iter().cloned()));
            Ok(())
        }
    }

    /// Takes `key` away; nothing happens when it is not there.
    ///
    /// # Errors
    /// A technical fault when the store does not answer.
    pub fn delete(&self, key: &str) -> Result<(), Fault> {
        #[cfg(target_family = "wasm")]
        {
            self.inner.delete(key).map_err(fault)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            self.map(|map| map.remove(key));
            Ok(())
        }
    }

    /// A page of keys, in the order of their bytes; `cursor` is the last page's.
    ///
    /// # Errors
    /// A technical fault when the store does not answer.
    pub fn list(&self, cursor: Option<u64>) -> Result<Keys, Fault> {
        #[cfg(target_family = "wasm")]
        {
            let page = self.inner.list_keys(cursor).map_err(fault)?;
            Ok(Keys { keys: page.keys, cursor: page.cursor })
        }
        #[cfg(not(target_family = "wasm"))]
        {
            const PAGE: usize = 1000;
            let from = usize::try_from(cursor.unwrap_or(0)).unwrap_or(usize::MAX);
            let (keys, total) =
                self.map(|map| (map.keys().skip(from).take(PAGE).cloned().collect::<Vec<_>>(), map.len()));
            let next = from.saturating_add(keys.len());
            Ok(Keys { keys, cursor: (next < total).then_some(next as u64) })
        }
    }

    /// Adds `delta` to the number under `key`, which starts at 0, and returns the sum. No other call sees it half done.
    ///
    /// # Errors
    /// A fault when the value is no number or the store does not answer.
    pub fn increment(&self, key: &str, delta: u64) -> Result<u64, Fault> {
        #[cfg(target_family = "wasm")]
        {
            atomics::increment(&self.inner, key, delta).map_err(fault)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            self.map(|map| {
                let old = match map.get(key) {
                    None => 0,
                    Some(bytes) => std::str::from_utf8(bytes)
                        .ok()
                        .and_then(|text| text.parse::<u64>().ok())
                        .ok_or_else(|| Fault::invalid_input(format!("{key} is no number")))?,
                };
                let sum = old.saturating_add(delta);
                map.insert(key.to_owned(), sum.to_string().into_bytes());
                Ok(sum)
            })
        }
    }

    /// The JSON value under `key`.
    ///
    /// # Errors
    /// `internal` when what is stored does not fit `T`.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fault> {
        let Some(bytes) = self.get(key)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Fault::internal(format!("key-value: what is stored under {key:?} cannot be read: {e}"))
        })
    }

    /// Puts `value` as JSON under `key`.
    ///
    /// # Errors
    /// As [`Bucket::set`].
    pub fn set_json<T: Serialize>(&self, key: &str, value: &T) -> Result<(), Fault> {
        let bytes =
            serde_json::to_vec(value).map_err(|e| Fault::internal(format!("key-value: {key:?}: {e}")))?;
        self.set(key, &bytes)
    }

    #[cfg(not(target_family = "wasm"))]
    fn map<R>(&self, f: impl FnOnce(&mut std::collections::BTreeMap<String, Vec<u8>>) -> R) -> R {
        crate::testing::with(|world| f(world.buckets.entry(self.name.clone()).or_default()))
    }
}

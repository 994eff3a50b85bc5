//! Counted lists: a counter, and one key for each entry. Two calls that append at once get different slots from the
//! counter, so neither overwrites the other and nothing is read to be written. A call that dies between counter and entry
//! leaves an empty slot, which readers pass over.

use factotum_sdk::{Fault, kv::Bucket};

use crate::keys;

/// Reserves the next slot of `list`.
pub fn reserve(bucket: &Bucket, list: &str) -> Result<u64, Fault> {
    bucket.increment(list, 1)
}

/// How many slots were reserved, from what is stored under the list's own key.
pub fn count(bucket: &Bucket, list: &str) -> Result<u64, Fault> {
    let Some(bytes) = bucket.get(list)? else { return Ok(0) };
    match std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()) {
        Some(count) => Ok(count),
        // How a host writes its counters is its own affair; adding nothing reads any of them.
        None => bucket.increment(list, 0),
    }
}

/// The entries of the slots `from..=to` that are filled, with their slots.
pub fn read(bucket: &Bucket, list: &str, from: u64, to: u64) -> Result<Vec<(u64, String)>, Fault> {
    let slots: Vec<u64> = (from..=to).collect();
    let keys: Vec<String> = slots.iter().map(|n| keys::slot(list, *n)).collect();
    let values = bucket.get_many(&keys)?;
    let entries = slots.into_iter().zip(values).filter_map(|(slot, value)| Some((slot, value?)));
    entries.map(|(slot, value)| Ok((slot, string(&keys::slot(list, slot), value)?))).collect()
}

/// A stored text.
pub fn string(key: &str, bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|_| damaged(key, "no text"))
}

/// A stored JSON value.
pub fn json<T: serde::de::DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|e| damaged(key, e))
}

/// A key with the JSON of its value.
pub fn pair<T: serde::Serialize>(key: String, value: &T) -> Result<(String, Vec<u8>), Fault> {
    let bytes = serde_json::to_vec(value).map_err(|e| Fault::internal(format!("key-value: {key:?}: {e}")))?;
    Ok((key, bytes))
}

fn damaged(key: &str, why: impl std::fmt::Display) -> Fault {
    Fault::internal(format!("key-value: what is stored under {key:?} cannot be read: {why}"))
}

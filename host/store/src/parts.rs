//! Large values in parts: no record of the engine's log may become a file of its own.
//!
//! sled 0.34 writes a log record above a quarter of its segment beside the log, into `blobs/`. When that write fails (a
//! full disk), the room it had reserved in the log is never given back, and every later flush waits for ever. A record
//! is one write or one whole page, and a page holds up to about 20 keys: hence segments of [`SEGMENT`] bytes, and values
//! above [`INLINE`] bytes cut into parts under keys of their own, with a short head where the value would be.

use std::{fs, path::Path};

use sha2::{Digest as _, Sha256};
use sled::IVec;

use crate::{StoreError, packs, table::PARTS};

/// Bytes of a log segment. A page of 21 items of the largest key and part stays below a quarter of it.
pub(crate) const SEGMENT: usize = 8 * 1024 * 1024;
/// The segments of folders that an earlier version made; the engine cannot change them.
const FIRST_SEGMENT: usize = 512 * 1024;
/// Longest value that is kept whole, in bytes, and the length of a part.
pub(crate) const INLINE: usize = 64 * 1024;
/// How a head begins. A value that begins so by itself is kept in parts too, so a head is never mistaken.
const MAGIC: [u8; 16] = *b"\x00parts\x9e\x17\xc4\xf1\x2b\xd8\x60\xa5\x3e\xff";

/// The head of a value of this length, when it has to be kept in parts.
pub(crate) fn head(value: &[u8]) -> Option<IVec> {
    if value.len() <= INLINE && !value.starts_with(&MAGIC) && !value.starts_with(&packs::MAGIC) {
        return None;
    }
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    Some(IVec::from([MAGIC.as_slice(), &length.to_be_bytes(), &mark(value)].concat()))
}

/// Tells one value from another of the same length: after a write that failed half way, parts of both may lie there.
fn mark(value: &[u8]) -> [u8; 32] {
    Sha256::digest(value).into()
}

/// The length of the value that a stored value is the head of; `None` when it is an ordinary value.
pub(crate) fn length(stored: &[u8]) -> Option<usize> {
    let length = stored.strip_prefix(&MAGIC)?.get(..4)?.try_into().ok().map(u32::from_be_bytes)?;
    usize::try_from(length).ok()
}

/// How many parts a value of this length has.
pub(crate) fn count(length: usize) -> usize {
    length.div_ceil(INLINE)
}

/// The key of a part. The index has a fixed length, so that no two keys share a part.
pub(crate) fn key(full: &[u8], index: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(full.len() + 5);
    key.push(PARTS);
    key.extend_from_slice(full);
    key.extend_from_slice(&u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes());
    key
}

/// The whole value under a key of which `stored` was read.
pub(crate) fn whole(db: &sled::Db, full: &[u8], stored: IVec) -> Result<IVec, StoreError> {
    let Some(length) = length(&stored) else { return Ok(stored) };
    let broken = |reason: &str| StoreError::Io {
        doing: "read a value that is kept in parts",
        reason: format!("{reason}; restore the folder from a backup"),
    };
    if length > crate::MAX_VALUE + crate::SEALING {
        return Err(broken("its length is not possible"));
    }
    let mut value = Vec::with_capacity(length);
    for index in 0..count(length) {
        let part = db.get(key(full, index)).map_err(crate::base::io("read a part of a value"))?;
        value.extend_from_slice(&part.ok_or_else(|| broken("a part is missing"))?);
    }
    if value.len() != length || !stored.ends_with(&mark(&value)) {
        return Err(broken("its parts do not belong together"));
    }
    Ok(IVec::from(value))
}

/// The segment size to open a folder with: ours for a new one, for an older one what it was made with.
pub(crate) fn segment_size(dir: &Path) -> usize {
    let Ok(settings) = fs::read(dir.join("conf")) else { return SEGMENT };
    String::from_utf8_lossy(&settings)
        .lines()
        .find_map(|line| line.strip_prefix("segment_size: ")?.trim().parse().ok())
        .unwrap_or(FIRST_SEGMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_largest_items_fits_a_record() {
        // sled splits a leaf above 16 items, an index above 256 keys, and merges a page of up to 3 (63) into a neighbour.
        let key = crate::MAX_KEY + crate::MAX_NAME + 64;
        assert!((17 + 4) * (key + INLINE) < SEGMENT / 4 - 4096);
        assert!((257 + 64) * (key + 16) < SEGMENT / 4 - 4096);
    }

    #[test]
    fn heads_are_told_from_values() {
        assert_eq!(head(&vec![7; INLINE]), None);
        let large = head(&vec![7; INLINE + 1]).unwrap();
        assert_eq!(length(&large), Some(INLINE + 1));
        // A value that looks like a head is kept in parts, and its head is not the value.
        let disguised = head(&large).unwrap();
        assert_eq!(length(&disguised), Some(large.len()));
        assert_eq!(length(b"ordinary"), None);
        assert_ne!(super::key(b"a", 0), super::key(b"a\0\0\0\0", 0));
    }
}

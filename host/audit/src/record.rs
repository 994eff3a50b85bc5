//! A stored entry with its links, and the hash that ties it to the one before.

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::Entry;

const DOMAIN: &[u8] = b"factotum-audit/1\n";
/// Stored before the canonical entry: its number, the hash before, its hash.
const LINKS: usize = 8 + 32 + 32;

/// An entry and its place in the chain, as one line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What was done.
    pub entry: Entry,
    /// The hash over the number, `prev` and the entry.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
    /// The hash of the entry before; zeros for the first.
    #[serde(with = "hex::serde")]
    pub prev: [u8; 32],
    /// The number, from 1 without holes.
    pub sequence: u64,
}

/// SHA-256 of the domain, the number, the hash before and the canonical entry.
pub(crate) fn hash(sequence: u64, prev: &[u8; 32], canonical: &[u8]) -> [u8; 32] {
    sha256(&[DOMAIN, &sequence.to_be_bytes(), prev, canonical])
}

/// SHA-256 (FIPS 180-4) of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Context::new(&SHA256);
    for part in parts {
        hasher.update(part);
    }
    // It has 32 bytes; zeros, which no entry has, would fail every check.
    hasher.finish().as_ref().try_into().unwrap_or_default()
}

/// The links and the canonical bytes of an entry, from the store or from an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    pub(crate) prev: [u8; 32],
    pub(crate) hash: [u8; 32],
    pub(crate) canonical: Vec<u8>,
}

impl Link {
    pub(crate) fn new(sequence: u64, prev: [u8; 32], canonical: &[u8]) -> Link {
        Link { sequence, prev, hash: hash(sequence, &prev, canonical), canonical: canonical.to_vec() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LINKS + self.canonical.len());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.prev);
        bytes.extend_from_slice(&self.hash);
        bytes.extend_from_slice(&self.canonical);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Link> {
        Some(Link {
            sequence: u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?),
            prev: bytes.get(8..40)?.try_into().ok()?,
            hash: bytes.get(40..LINKS)?.try_into().ok()?,
            canonical: bytes.get(LINKS..)?.to_vec(),
        })
    }

    /// Whether the hash is that of the content.
    pub(crate) fn holds(&self) -> bool {
        self.hash == hash(self.sequence, &self.prev, &self.canonical)
    }

    /// The entry, if the content is one in canonical form.
    pub(crate) fn record(&self) -> Option<Record> {
        let entry: Entry = serde_json::from_slice(&self.canonical).ok()?;
        Some(Record { entry, hash: self.hash, prev: self.prev, sequence: self.sequence })
    }
}

impl From<&Record> for Link {
    fn from(record: &Record) -> Link {
        Link {
            sequence: record.sequence,
            prev: record.prev,
            hash: record.hash,
            canonical: record.entry.canonical(),
        }
    }
}

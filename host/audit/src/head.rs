//! The head: the signed statement how far the log goes and what its last hash is.

use serde::{Deserialize, Serialize};

use crate::keys::MacKey;

const DOMAIN: &[u8] = b"factotum-audit-head/1\n";

/// A signed end of the log. Kept elsewhere it is an anchor: the log can be compared with it for ever after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The hash of the entry.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
    /// HMAC-SHA-256 over the other two, under a key that only the host has.
    #[serde(with = "hex::serde")]
    pub mac: [u8; 32],
    /// The number of the last entry.
    pub sequence: u64,
}

impl Head {
    pub(crate) fn sign(key: &MacKey, sequence: u64, hash: [u8; 32]) -> Head {
        Head { hash, mac: key.mac(&[DOMAIN, &sequence.to_be_bytes(), &hash]), sequence }
    }

    pub(crate) fn is_signed_by(&self, key: &MacKey) -> bool {
        key.verify(&[DOMAIN, &self.sequence.to_be_bytes(), &self.hash], &self.mac)
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// The head in `bytes`, if that is one and the key signed it.
    pub(crate) fn trusted(bytes: &[u8], key: &MacKey) -> Option<Head> {
        serde_json::from_slice::<Head>(bytes).ok().filter(|head| head.is_signed_by(key))
    }
}

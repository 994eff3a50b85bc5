//! Short, safe keys from texts of any length.

use sha2::{Digest, Sha256};

/// The first 80 bits of the SHA-256 of `kind` and `text`, as 20 hexadecimal digits: short enough for people, and long
/// enough that nobody finds a second text for the digest of a given one.
#[must_use]
pub fn digest(kind: &str, text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(text.as_bytes());
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(20);
    digits
}

/// The digest of this call's idempotency key for one action; `None` when the host gave no key.
#[must_use]
pub fn idempotency_digest(action: &str) -> Option<String> {
    let key = factotum_sdk::context::idempotency_key();
    (!key.is_empty()).then(|| digest(action, &key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_mix() {
        assert_eq!(digest("a", "b").len(), 20);
        assert_ne!(digest("a", "bc"), digest("ab", "c"));
        assert_eq!(digest("email", "x@y.z"), digest("email", "x@y.z"));
    }

    #[test]
    fn no_key_no_digest() {
        factotum_sdk::testing::set_idempotency_key("");
        assert_eq!(idempotency_digest("add-case"), None);
        factotum_sdk::testing::set_idempotency_key("k");
        assert_ne!(idempotency_digest("add-case"), idempotency_digest("add-note"));
    }
}

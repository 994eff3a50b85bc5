//! Identifiers: runs, deployments, idempotency keys.

use sha2::{Digest, Sha256};

/// A new run's identifier: a UUID of version 7 (RFC 9562, section 5.7) without hyphens, so that runs sort by their start.
pub(crate) fn new_run_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// The identifier of a run that another run starts at a place, the `again`th time: the same each time it is asked for. It
/// sorts beside its parent.
pub(crate) fn child_run_id(parent: &str, place: &str, again: u32) -> String {
    let digest = digest_parts("child", &[parent.as_bytes(), place.as_bytes(), &again.to_be_bytes()], 10);
    format!("{}{digest}", parent.get(..12).unwrap_or("000000000000"))
}

/// Whether a text from outside can be a run's identifier at all.
pub(crate) fn is_run_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The idempotency key of an effect: the same for each attempt of the same task and iteration of the same run, and for
/// nothing else. Hashed, because it goes to outside systems, which need not learn how our flows are built.
pub(crate) fn idempotency_key(run_id: &str, path: &str) -> String {
    digest_parts("effect", &[run_id.as_bytes(), path.as_bytes()], 16)
}

/// The idempotency key of a direct call to which the caller gave a key of its own.
pub(crate) fn direct_call_key(plugin: &str, function: &str, key: &str) -> String {
    digest_parts("call", &[plugin.as_bytes(), function.as_bytes(), key.as_bytes()], 16)
}

/// The first `len` bytes of a digest over parts that cannot run into one another, in hexadecimal.
pub(crate) fn digest_parts(purpose: &str, parts: &[&[u8]], len: usize) -> String {
    let mut hash = Sha256::new();
    hash.update(b"factotum/1/");
    hash.update(purpose);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize().get(..len.min(32)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_sort_by_start_and_are_recognised() {
        let ids: Vec<String> = (0..100).map(|_| new_run_id()).collect();
        assert!(ids.is_sorted() && ids.iter().all(|id| is_run_id(id)));
        for bad in ["", "x", "../../etc", &"A".repeat(32), &"a".repeat(33)] {
            assert!(!is_run_id(bad), "{bad}");
        }
    }

    #[test]
    fn parts_cannot_run_into_one_another() {
        assert_ne!(idempotency_key("ab", "c"), idempotency_key("a", "bc"));
        assert_ne!(direct_call_key("a", "b", "c"), digest_parts("effect", &[b"a", b"b", b"c"], 16));
        assert_eq!(idempotency_key("r", "/do/0"), idempotency_key("r", "/do/0"));
        assert_eq!(idempotency_key("r", "/do/0").len(), 32);
    }
}

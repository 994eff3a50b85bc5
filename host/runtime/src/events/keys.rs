//! Where events and subscriptions lie in the store.

use std::collections::BTreeMap;

use crate::ids::digest_parts;

/// The length of a subscription's identifier: the run's, a separator, the digest of the place.
const SUB_ID: usize = 32 + 1 + 32;

/// An event in the log, by number.
pub(super) fn logged(number: u64) -> Vec<u8> {
    numbered(b'l', number)
}

/// The mark that an event is still to be delivered.
pub(super) fn pending(number: u64) -> Vec<u8> {
    numbered(b'p', number)
}

/// The beginning of all keys of one kind.
pub(super) fn kind(kind: u8) -> Vec<u8> {
    vec![kind]
}

/// The number of an event, by its source and identifier: strangers choose their length.
pub(super) fn identity(source: &str, id: &str) -> Vec<u8> {
    let mut key = vec![b'd'];
    key.extend_from_slice(digest_parts("event", &[source.as_bytes(), id.as_bytes()], 16).as_bytes());
    key
}

/// The queue of a subscription, and in it an event.
pub(super) fn queue(sub: &[u8]) -> Vec<u8> {
    [b"q", sub].concat()
}

pub(super) fn in_queue(sub: &[u8], number: u64) -> Vec<u8> {
    let mut key = queue(sub);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// How many events a subscription's run has used up.
pub(super) fn used(sub: &[u8]) -> Vec<u8> {
    [b"u", sub].concat()
}

/// Names a subscription: the run and the place that listens.
pub(crate) fn sub_id(run: &str, key: &str) -> Vec<u8> {
    let mut id = run.as_bytes().to_vec();
    id.push(0);
    id.extend_from_slice(digest_parts("listen", &[key.as_bytes()], 16).as_bytes());
    id
}

/// The run of a subscription.
pub(super) fn run_of(sub: &[u8]) -> Option<&str> {
    std::str::from_utf8(sub.get(..sub.iter().position(|b| *b == 0)?)?).ok()
}

/// A subscription by its identifier.
pub(super) fn subscription(sub: &[u8]) -> Vec<u8> {
    [b"s", sub].concat()
}

/// The entry of a subscription in the index, for one of its alternatives: the names of the attributes, then a digest of
/// what they must be, then the subscription. So an event finds its listeners with one look for each set of names that is
/// in use, however many runs listen.
pub(super) fn index(alternative: &BTreeMap<String, String>, sub: &[u8]) -> Vec<u8> {
    let names: Vec<&str> = alternative.keys().map(String::as_str).collect();
    let values: Vec<&str> = alternative.values().map(String::as_str).collect();
    let mut key = index_of(&names.join(","), &values);
    key.extend_from_slice(sub);
    key
}

/// The beginning of the index entries for these names and values.
pub(super) fn index_of(names: &str, values: &[&str]) -> Vec<u8> {
    let mut key = vec![b'i'];
    key.extend_from_slice(names.as_bytes());
    key.push(0);
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    key.extend_from_slice(digest_parts("attributes", &values, 16).as_bytes());
    key
}

/// The names in an index entry.
pub(super) fn names_of(key: &[u8]) -> Option<&str> {
    let names = key.get(1..)?;
    std::str::from_utf8(names.get(..names.iter().position(|b| *b == 0)?)?).ok()
}

/// The first key after all index entries with these names.
pub(super) fn after_names(names: &str) -> Vec<u8> {
    let mut key = vec![b'i'];
    key.extend_from_slice(names.as_bytes());
    key.push(1);
    key
}

/// The subscription in an index entry.
pub(super) fn sub_of(key: &[u8]) -> Option<&[u8]> {
    key.get(key.len().checked_sub(SUB_ID)?..)
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The number at the end of a key.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(key.len().checked_sub(8)?..)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_what_they_are_made_of() {
        let sub = sub_id(&"a".repeat(32), "/do/0/listen");
        assert_eq!((sub.len(), run_of(&sub)), (SUB_ID, Some("a".repeat(32).as_str())));
        let alternative = BTreeMap::from([("source".into(), "s".into()), ("type".into(), "t".into())]);
        let key = index(&alternative, &sub);
        assert_eq!((names_of(&key), sub_of(&key)), (Some("source,type"), Some(sub.as_slice())));
        assert!(key.starts_with(&index_of("source,type", &["s", "t"])));
        assert!(key < after_names("source,type"));
        assert_eq!(names_of(&index(&BTreeMap::new(), &sub)), Some(""));
        assert_eq!(number_of(&in_queue(&sub, 7)), Some(7));
        assert_ne!(identity("ab", "c"), identity("a", "bc"));
    }
}

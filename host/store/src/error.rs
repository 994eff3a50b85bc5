//! The store's errors: each says what was wrong, where, and what to do about it.

use crate::Table;

/// Why the store refused or failed. Nothing of a refused batch was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A condition on one key did not hold: it was to be absent, present, or to have another value.
    #[error("conflict in table {table:?} at key {key}: {rule}; read it again and decide anew", key = shown(.key))]
    Conflict {
        /// The table of the key.
        table: Table,
        /// The key, without the table's prefix.
        key: Vec<u8>,
        /// Which rule did not hold, in words.
        rule: &'static str,
    },
    /// A journal was to be extended at a position that is not its end: another writer was there first.
    #[error("journal {journal} ends at position {actual}, the record was meant for {expected}; read the journal again", journal = shown(.journal))]
    Position {
        /// The journal's name.
        journal: Vec<u8>,
        /// The position the caller expected to write.
        expected: u64,
        /// The position that the next record would have.
        actual: u64,
    },
    /// A metered write would grow an account past its bound.
    #[error("account {account} would hold {would_be} {unit}, its quota is {max}; delete something or ask for a larger quota", account = shown(.account))]
    Quota {
        /// The metered account (a key-value namespace).
        account: Vec<u8>,
        /// What is counted: `bytes` or `keys`.
        unit: &'static str,
        /// The bound.
        max: u64,
        /// What the account would have held.
        would_be: u64,
    },
    /// An increment met a value that is not a decimal number, or would pass 2^64 - 1.
    #[error("cannot add to table {table:?} key {key}: {reason}", key = shown(.key))]
    NotANumber {
        /// The table of the key.
        table: Table,
        /// The key, without the table's prefix.
        key: Vec<u8>,
        /// Why the addition is impossible.
        reason: &'static str,
    },
    /// The request itself is not allowed (too large, a table with its own rules, an empty name).
    #[error("invalid request to the store: {0}")]
    Invalid(String),
    /// The batch carries chain entries but the store was opened without a linker.
    #[error(
        "the batch has chain entries but the store was opened without a linker; give one in Options::linker"
    )]
    NoLinker,
    /// The linker could not take up the stored chain.
    #[error("the linked log could not be taken up: {0}")]
    Chain(String),
    /// Another process (or another `Store` in this one) has the folder open.
    #[error("the data folder {folder} is in use by another process; stop that one or name another folder")]
    InUse {
        /// The folder that is locked.
        folder: String,
    },
    /// The folder was written by a version of this program with another layout.
    #[error(
        "the data folder {folder} has format {found}, this program reads format {expected}; use the version that wrote it"
    )]
    Format {
        /// The folder.
        folder: String,
        /// The format found.
        found: String,
        /// The format this program reads.
        expected: u32,
    },
    /// The engine failed on an operation that does not end the store (opening, a read).
    #[error("the store could not {doing}: {reason}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The engine's or the system's own words.
        reason: String,
    },
    /// A write failed earlier; the store takes no more of them, because it could not keep its promise.
    /// What was acknowledged before is on disk. Reads still answer as far as the engine can.
    #[error(
        "the store takes no more writes since one failed ({reason}); free disk space or mend the disk, then restart"
    )]
    Failed {
        /// The first failure.
        reason: String,
    },
    /// The folder's payloads are sealed, and the keys have not been handed over ([`crate::Store::seal_with`]).
    #[error(
        "the payloads in the data folder are sealed, and the store was not given the key; open it as the host does"
    )]
    Sealed,
    /// The log lost its end: groups that were acknowledged are not in it.
    #[error(
        "the store in {folder} has lost its end: it holds {found} groups of writes, and {acknowledged} were acknowledged. \
         Its log was damaged or cut off. Restore the folder from a backup; or remove {mark} and start again, to go on \
         without what is lost"
    )]
    Lost {
        /// The store's folder.
        folder: String,
        /// The number of the last group that is there.
        found: u64,
        /// The number of the last group that was acknowledged, as far as is known.
        acknowledged: u64,
        /// The file that says so.
        mark: String,
    },
    /// The disk is full up to what must stay free. Nothing was written; the same batch may be handed over again later.
    #[error(
        "the disk of {folder} has {free} bytes left, and at least {floor} are to stay free; make room on it or enlarge it"
    )]
    NoSpace {
        /// The store's folder.
        folder: String,
        /// Bytes left.
        free: u64,
        /// [`crate::Options::min_free_bytes`].
        floor: u64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Stored bytes do not have the form they were written in.
    #[error("corrupt data in table {table:?} at key {key}: {reason}; restore the folder from a backup", key = shown(.key))]
    Corrupt {
        /// The table of the key.
        table: Table,
        /// The key, without the table's prefix.
        key: Vec<u8>,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// Whether another writer won: the caller may read again and try with what it then knows.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, StoreError::Conflict { .. } | StoreError::Position { .. })
    }
}

/// A key as a person can read it: text where it is text, hexadecimal where it is not, never longer than a line.
fn shown(key: &[u8]) -> String {
    const LONGEST: usize = 96;
    let cut = key.get(..LONGEST).unwrap_or(key);
    let more = if key.len() > LONGEST { "…" } else { "" };
    match std::str::from_utf8(cut) {
        Ok(text) if !text.chars().any(char::is_control) => format!("\"{text}{more}\""),
        _ => format!("0x{}{more}", hex::encode(cut)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_readably_and_bounded() {
        assert_eq!(shown(b"run-1"), "\"run-1\"");
        assert_eq!(shown(&[0, 255]), "0x00ff");
        assert!(shown(&[b'a'; 5000]).chars().count() < 120);
    }
}

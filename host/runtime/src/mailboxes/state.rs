//! What the host remembers of a folder: how far it is, what is still to be marked, which messages it has seen.

use factotum_store::{Batch, Expectation, Store, StoreError, Table};
use serde::{Deserialize, Serialize};

use crate::ids::digest_parts;

/// The most messages that wait to be marked. Beyond it the oldest are left unmarked: the host does not need the mark.
const MAX_UNMARKED: usize = 1_000;

/// A folder, as the store keeps it. Times in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    /// What the numbers belong to (UIDVALIDITY, RFC 3501, section 2.3.1.1).
    #[serde(rename = "v")]
    pub uid_validity: u32,
    /// The number of the last message that was dealt with.
    #[serde(rename = "l")]
    pub last: u32,
    /// When the folder was looked at for the first time.
    #[serde(rename = "s")]
    pub since: u64,
    /// Messages below this number lay there already, and [`Row::old`] says which of them count.
    #[serde(rename = "f", default)]
    pub fresh_from: u32,
    /// Which of the old messages count.
    #[serde(rename = "o", default)]
    pub old: Old,
    /// Messages whose runs are on disk and that are not marked on the server yet.
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    pub unmarked: Vec<u32>,
    /// How many started a run, and how many were skipped, ever.
    #[serde(rename = "n", default)]
    pub taken: u64,
    #[serde(rename = "k", default)]
    pub skipped: u64,
    /// When the last run was started.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<u64>,
}

/// Which messages count of those that lay in a folder when it was first looked at, or when the server numbered anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Old {
    /// All.
    #[default]
    All,
    /// Those that nobody has seen.
    Unseen,
    /// Those that the server got since the folder was first looked at.
    Since,
}

impl Row {
    /// A message's run is on disk: its number is done, and it is to be marked.
    pub fn took(&mut self, uid: u32, at: u64) {
        self.last = self.last.max(uid);
        self.taken += 1;
        self.last_at = Some(at);
        self.remember_to_mark(uid);
    }

    /// A message is to be marked.
    pub fn remember_to_mark(&mut self, uid: u32) {
        self.unmarked.push(uid);
        let over = self.unmarked.len().saturating_sub(MAX_UNMARKED);
        self.unmarked.drain(..over);
    }

    pub fn encode(&self) -> Vec<u8> {
        // Numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A folder's row with what the store has of it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub key: Vec<u8>,
    pub row: Option<Row>,
    stored: Option<Vec<u8>>,
}

impl Kept {
    pub fn read(store: &Store, mailbox: &str, folder: &str) -> Result<Self, StoreError> {
        let key = key("row", mailbox, folder, &[]);
        let stored = store.get(Table::Mailboxes, &key)?;
        let row = match &stored {
            None => None,
            Some(bytes) => Some(serde_json::from_slice(bytes).map_err(|e| StoreError::Corrupt {
                table: Table::Mailboxes,
                key: key.clone(),
                reason: e.to_string(),
            })?),
        };
        Ok(Self { key, row, stored })
    }

    /// Adds to a batch that the row becomes another one, if it still is as it was read.
    pub fn put(&self, batch: &mut Batch, row: &Row) {
        let expectation = self.stored.clone().map_or(Expectation::Absent, Expectation::Value);
        batch.expect(Table::Mailboxes, self.key.clone(), expectation);
        batch.put(Table::Mailboxes, self.key.clone(), row.encode());
    }

    /// The batch is on disk.
    pub fn became(&mut self, row: Row) {
        self.stored = Some(row.encode());
        self.row = Some(row);
    }
}

/// The key of something that is kept of a folder. Names of mailboxes and folders hold no zero byte.
pub(super) fn key(kind: &str, mailbox: &str, folder: &str, rest: &[u8]) -> Vec<u8> {
    [kind.as_bytes(), b"\0", mailbox.as_bytes(), b"\0", folder.as_bytes(), b"\0", rest].concat()
}

/// The key under which a message is known, wherever the server puts it in its folder.
pub(super) fn known(mailbox: &str, folder: &str, identity: &[u8; 32]) -> Vec<u8> {
    let digest = digest_parts("letter", &[mailbox.as_bytes(), folder.as_bytes(), identity], 20);
    [&b"known\0"[..], digest.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_marked_is_bounded_and_numbers_only_grow() {
        let mut row = Row::default();
        for uid in 1..=1_500 {
            row.took(uid, u64::from(uid));
        }
        row.took(7, 9);
        assert_eq!((row.last, row.taken, row.last_at), (1_500, 1_501, Some(9)));
        assert_eq!((row.unmarked.len(), row.unmarked.last()), (MAX_UNMARKED, Some(&7)));
        assert_eq!(serde_json::from_slice::<Row>(&row.encode()).unwrap(), row);
    }

    #[test]
    fn a_message_is_known_in_its_folder_alone() {
        let known = |mailbox, folder| known(mailbox, folder, &[7; 32]);
        assert_eq!(known("a", "INBOX"), known("a", "INBOX"));
        assert_ne!(known("a", "INBOX"), known("a", "b"));
        assert_ne!(known("a", "b/c"), known("a/b", "c"));
    }
}

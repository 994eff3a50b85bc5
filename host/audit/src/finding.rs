//! What can be wrong with a log, each kind with the numbers of the entries it is about.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// The content is not what was hashed.
    #[error("entry {sequence} was changed")]
    Changed {
        /// The entry.
        sequence: u64,
    },
    /// Entries between others are gone.
    #[error("entries {from} to {to} were removed")]
    Removed {
        /// The first that is gone.
        from: u64,
        /// The last that is gone.
        to: u64,
    },
    /// An unchanged entry stands in another's place.
    #[error("entry {belongs_at} stands at place {found_at}: the order was changed")]
    Reordered {
        /// Where it stands.
        found_at: u64,
        /// Where it belongs.
        belongs_at: u64,
    },
    /// Two neighbours do not fit: one was replaced with its hash computed anew, or the log was cut and went on.
    #[error(
        "entry {sequence} does not follow the entry before it: one of them was replaced, or the log was cut there"
    )]
    BrokenLink {
        /// The later one of the two.
        sequence: u64,
    },
    /// Entries at the end are gone, which a signed head knew.
    #[error("entries {from} to {to} were cut off the end")]
    Truncated {
        /// The first that is gone.
        from: u64,
        /// The last that is known to have been there.
        to: u64,
    },
    /// Entries stand behind the signed end.
    #[error("entries {from} to {to} stand behind the signed end: they were not written by the host")]
    Appended {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A signed head names another hash for an entry: the chain was computed anew.
    #[error("the log was rewritten at or before entry {sequence}: a signed head names another hash for it")]
    Rewritten {
        /// The entry that the head names.
        sequence: u64,
    },
    /// The head is not signed by this host's key.
    #[error("the signed head is forged, or audit.key is another store's")]
    HeadForged,
    /// There are entries but no head (in an export: the last line is missing).
    #[error("the signed head is missing: whether entries were cut off the end cannot be known")]
    HeadMissing,
    /// The witness file is gone.
    #[error(
        "the file audit.witness is missing: whether the store was put back to an older state cannot be known"
    )]
    WitnessMissing,
    /// The witness file holds nothing that this host's key signed.
    #[error("the file audit.witness is forged or damaged")]
    WitnessForged,
    /// An anchor that was given is not signed by this host's key.
    #[error("the anchor for entry {sequence} was not signed by this host's key")]
    AnchorForged {
        /// The entry it names.
        sequence: u64,
    },
    /// A line of an export is not a record or a head.
    #[error("line {line} of the export is not a record of the log: {reason}")]
    Unreadable {
        /// The line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
}

//! The audit log: who did what to what, in a hash chain that shows every later change.
//!
//! An entry rides in the same [`factotum_store::Batch`] as the effect it speaks of: both are on disk or neither.
//! Payloads never enter the log, only keyed digests of them, so that customers' data can be deleted and the chain
//! still verifies.
//!
//! # The chain, for an auditor
//!
//! An export has one JSON object per line: `{"entry":E,"hash":H,"prev":P,"sequence":N}`. N counts from 1. P is the H of
//! the line before, and 64 zeros in line 1. With `C(E)` the RFC 8785 canonical JSON of E (keys sorted, no white space,
//! UTF-8; the values are strings and objects of strings only):
//!
//! ```text
//! H = SHA-256( "factotum-audit/1\n" || N as 8 bytes, big-endian || P as 32 bytes || C(E) )
//! ```
//!
//! The last line is `{"head":{"hash":H,"mac":M,"sequence":N}}` with the H and N of the last entry and
//! `M = HMAC-SHA-256(head key, "factotum-audit-head/1\n" || N as 8 bytes || H as 32 bytes)`.
//! `verify_export.py`, next to this crate, checks an export with nothing but Python's standard library.
//!
//! # What it shows, and what it cannot
//!
//! - A changed, removed, moved or inserted entry breaks the hashes or the sequence.
//! - A cut tail or a chain that was computed anew does not match the **head**, which only the key's owner can sign.
//! - A store put back to an older, then consistent state does not match the **witness**, a copy of the head in a file
//!   of its own beside the store.
//! - Whoever can write all files of the data folder can also read the key there, and sign what they like. Against
//!   them, keep a head elsewhere ([`AuditLog::head`], the last line of an export) as an **anchor**, and give it to
//!   [`AuditLog::verify`].
//!
//! A log that was cut is not mended in silence: it goes on after the highest number that the head or the witness
//! knew, so that the hole stays visible for ever.
//!
//! # Files
//!
//! `audit.key` (mode 0600): 32 random bytes, made once. The head key is HMAC-SHA-256 of it over `audit head`, the key for
//! payload digests over `payload digest`; without the latter nobody can find a short payload by trying.
//! `audit.witness` (mode 0600): the newest head, written after every group that holds entries.

mod check;
mod entry;
mod export;
mod finding;
mod head;
mod keys;
mod linker;
mod list;
mod log;
mod record;
mod witness;

pub use check::Report;
pub use entry::{Actor, Entry, EntryBuilder, Outcome};
pub use export::verify_export;
pub use finding::Finding;
pub use head::Head;
pub use linker::AuditLinker;
pub use list::{Filter, Page};
pub use log::{AuditLog, Clock};
pub use record::Record;

/// Why the audit log could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A file of the log's own (key, witness) cannot be used.
    #[error("the audit log cannot use {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What went wrong, and the mend where there is one.
        reason: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] factotum_store::StoreError),
    /// The export could not be written or read.
    #[error("the export cannot be written or read: {0}")]
    Io(#[from] std::io::Error),
}

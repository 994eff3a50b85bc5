//! Secrets at rest: a data key for each, sealed in one keyring under a master key.
//!
//! # What is on disk
//!
//! All of it in [`factotum_store::Table::Secrets`], written in batches that hold the audit entry of the act as well:
//!
//! | key | value |
//! |---|---|
//! | `s/NAME` | the values of one secret (the current one, and those still accepted after a rotation), sealed under its **data key**, padded to whole blocks of 256 bytes so that lengths do not show |
//! | `keyring` | the data keys, the names, who set what when, and the keys of payloads, sealed under the **master key** |
//!
//! Sealing is XChaCha20-Poly1305 with a random nonce. A secret's row is bound to its name and revision, the keyring
//! to the identity of its master key. Every write makes a new data key, so a row that was changed, swapped with
//! another, or put back from an earlier day does not open: [`SecretError::Damaged`]. A new master key is one write
//! of one row, so it cannot stop half-way.
//!
//! # Payloads
//!
//! What customers wrote and what runs made of it (journals, rows of runs, keys' values, artifacts, events, questions to
//! people, mail that waits) is sealed on its way to the files by [`SecretStore::seal_payloads`], under **keys of payloads**
//! that lie in the keyring: a new master key seals the keyring anew and rewrites no payload. A value is bound to its table
//! and key; the first byte says the form, the next four which key. The first start makes a key, and seals what an earlier
//! version left in clear. Without the keyring or its master key no payload opens, and the host does not start.
//!
//! What stays readable in the files: which tables and keys there are (identifiers of runs, names of flows, the keys of
//! key-value pairs, digests of artifacts and of deduplication keys, numbers and times of events), lengths, and the
//! documents of flows. What was written in clear before, and the sealed form of what was deleted, stay in the engine's
//! files until it reuses their room.
//!
//! # The master key
//!
//! 32 random bytes, as 64 hexadecimal digits or in base64 (`openssl rand -hex 32`). A password is not accepted:
//! there is no key stretching here that would make one safe. [`MasterKeySource`] says where it comes from. With the
//! host's own file ([`MasterKeySource::OwnFile`]), which lies beside the data, secrets are safe from whoever gets
//! the store's folder alone (a backup of it, a support bundle), not from whoever can read all of the host's files.
//! A master key that may have leaked is no longer a protection for what was sealed under it, whatever is done to
//! the keyring now: replace the key, then rotate the secrets themselves.
//!
//! # In memory
//!
//! Values are in [`SecretString`], decrypted for each use and wiped after it; keys are wiped on drop. No `Debug`,
//! no error and no log line shows either. [`forbid_core_dumps`] keeps them out of core files.
//!
//! # What it does not stop
//!
//! A store that was put back as a whole to an earlier state opens with the secrets of that day: compare
//! [`SecretStore::status`]'s revision with the newest `secret.*` entry of the audit log, which has it as a detail.
//! A process with the host's own user can read its memory.
//!
//! All calls are synchronous. The ones that change something wait for the disk: from async code, call them on a
//! blocking thread.

mod admin;
mod codec;
mod command;
mod core_dump;
mod error;
mod keyring;
mod layered;
mod master;
mod own_file;
mod payload;
mod private_file;
mod seal;
mod secret;
mod store;

pub use admin::NewMaster;
pub use core_dump::forbid_core_dumps;
pub use error::SecretError;
/// Secrets in memory: wiped on drop, and `Debug` shows none.
pub use factotum_egress::{ExposeSecret, SecretString};
pub use keyring::{Accepted, SecretInfo};
pub use layered::Layered;
pub use master::{KeyId, MAX_KEY_FILE_BYTES, MAX_PREVIOUS_KEYS, MasterKeySource, MasterKeys};
pub use private_file::read_private;
pub use store::{Finding, SecretStore, Status};

/// Most secrets of one host.
pub const MAX_SECRETS: usize = 1000;
/// Longest name of a secret, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Largest value of a secret, in bytes of UTF-8.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
/// Most values of one secret that are accepted at one time: the current one and earlier ones within their overlap.
pub const MAX_VERSIONS: usize = 4;
/// Most keys that payloads are sealed under, the present one and those before it.
pub const MAX_PAYLOAD_KEYS: usize = 64;
/// The longest time that an earlier value may stay accepted after a rotation: 30 days.
pub const MAX_OVERLAP: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 60 * 60);

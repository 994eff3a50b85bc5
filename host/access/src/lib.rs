//! Who may do what over the API: roles and their permissions, tokens, and a limit on failed attempts.
//!
//! A request goes through two doors. [`Access::authenticate`] says who it is: the owner of a token, or a
//! [`Refusal`]. [`Caller::allow`] says whether that one may do this, here: [`PERMISSIONS`] is the one table that
//! decides, and a token may be confined to namespaces on top of it. What the table does not allow is refused.
//!
//! # Tokens
//!
//! A token is `factotum_`, 64 hexadecimal digits of 256 random bits, and 8 digits of a checksum, which lets a
//! scanner of source code know one without asking, and tells a token that was cut when it was copied from one that
//! is wrong. It is shown once. Kept is its SHA-256: with 256 random bits there is nothing to try, so neither salt
//! nor stretching would add anything. There is no default password and no built-in token: [`Access::bootstrap`]
//! makes the first one at the first start.
//!
//! # Refusals
//!
//! Every refusal is an audit entry ([`Refusal::entry`]). Failed attempts are limited for each source and in total
//! ([`FAILURE_BURST`], [`FAILURES_PER_MINUTE`]); what is past the limit is counted and reported in one entry
//! instead of one each ([`Access::take_counted`]), so that a stranger cannot fill the disk through the audit log. A
//! valid token is never refused for what others did from the same address: behind one proxy that would let anybody
//! lock everybody out, and 256 random bits are not found by trying. Where people choose the secret (a webhook's
//! bearer token), ask [`Access::permit`] before the comparison: there the limit is strict.
//!
//! All calls are synchronous. The ones that change something wait for the disk: from async code, call them on a
//! blocking thread. [`Access::authenticate`] and [`Caller::allow`] touch memory only.

mod access;
mod caller;
mod error;
mod limiter;
mod manage;
mod permission;
mod record;
mod refusal;
mod source;
mod token;

pub use access::Access;
pub use caller::Caller;
pub use error::AccessError;
pub use limiter::{FAILURE_BURST, FAILURES_PER_MINUTE, MAX_SOURCES, TOTAL_BURST, TOTAL_PER_MINUTE};
pub use manage::{NewToken, TokenRequest};
pub use permission::{PERMISSIONS, Permission, PermissionRow, Reach, Role};
pub use record::{MAX_NAMESPACES, Scope, TokenInfo, TokenState};
pub use refusal::{Refusal, RefusalKind};
/// A token's text in memory: wiped on drop, and `Debug` shows none.
pub use secrecy::{ExposeSecret, SecretString};
pub use source::Source;
pub use token::{TOKEN_LENGTH, TOKEN_PREFIX};

/// Most tokens that are kept, revoked and expired ones included.
pub const MAX_TOKENS: usize = 10_000;
/// Longest name of a token, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest life of a token that expires: 10 years.
pub const MAX_LIFE: std::time::Duration = std::time::Duration::from_secs(3653 * 24 * 60 * 60);

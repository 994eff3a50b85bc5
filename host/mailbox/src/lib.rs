//! Mail in: an IMAP client that waits for messages, and what a message says, as data.
//!
//! [`Session`] speaks IMAP4rev1 (RFC 3501) with one server: it signs in, opens a folder, says which messages are new,
//! brings one, marks it when it is taken, and waits for the next (IDLE, RFC 2177). It keeps nothing and decides nothing;
//! whoever drives it knows which message was the last. [`read`] turns a message's bytes into a [`Letter`], and
//! [`Letter::input`] into JSON of a bounded size.
//!
//! Both sides are hostile: a server may answer anything, for ever, and a message is whatever a stranger sent. Every
//! answer is bounded in bytes and time, and a message in headers, parts, depth and what it says.

mod config;
mod fault;
mod folder;
mod message;
mod session;
mod tls;
mod wire;

pub use config::{Automatic, Begin, Handled, MailboxConfig, TlsMode};
pub use fault::{MailboxFault, SetupError};
pub use message::{
    Attachment, Bounds, Letter, MAX_ATTACHMENTS, MAX_DEPTH, MAX_HEADER_BYTES, MAX_PARTS, Person, Place,
    Unreadable, read,
};
pub use session::{Found, Opened, Session, Woken};

/// Secrets in memory: wiped on drop, and `Debug` shows none.
pub use secrecy::SecretString;

//! Mail out: SMTP with TLS and authentication, or an outbox folder of .eml files.
//!
//! A [`Mailer`] takes a [`MailMessage`] and the idempotency key of the call it comes from. The key gives the mail its
//! `Message-ID`, so a repeated attempt is the same mail, to people and to mail servers alike. Header injection is
//! impossible: whatever reaches a header is one line, checked and encoded. Who may write to whom is not decided here; the
//! caller has asked `factotum_grant::check_mail` before.
//!
//! Failures are typed the way a flow needs them: [`FaultKind::Business`] when this mail will never get through (the
//! recipient does not exist, an address is no address), [`FaultKind::Technical`] when it may a moment later (the server
//! says "later" or is away), and also when the server refuses *us* (a wrong password): nothing is wrong with the mail, so
//! it must not be given up before an administrator could mend the configuration.

mod compose;
mod config;
mod fault;
mod mailer;
mod outbox;
mod smtp;

pub use compose::{
    Attachment, MAX_ATTACHMENTS, MAX_MAIL_BYTES, MAX_RECIPIENTS, MailMessage, Mailbox, is_own_message_id,
    message_id,
};
pub use config::{MailConfig, SmtpConfig, TlsMode};
pub use fault::{FaultKind, MailFault, SetupError};
pub use mailer::{Mailer, Receipt};

/// Secrets in memory: wiped on drop, and `Debug` shows none.
pub use secrecy::SecretString;

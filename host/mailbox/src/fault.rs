//! How a mailbox fails, in words for an administrator.

/// What went wrong between the host and a mail server. Its text holds no password and little of the server's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxFault {
    /// There is no connection, or it broke.
    #[error("{0}")]
    Unavailable(String),
    /// The server did not answer in time.
    #[error("the server did not answer within {0} s")]
    Timeout(u64),
    /// The server's certificate or the start of TLS.
    #[error("TLS: {0}; check tls and ca-file of this mailbox")]
    Tls(String),
    /// The server does not let us in.
    #[error("signing in: {0}; check username and the secret of password-secret of this mailbox")]
    Denied(String),
    /// The server said no to a command.
    #[error("{command}: {words}")]
    Refused {
        /// What was asked for.
        command: &'static str,
        /// What the server said.
        words: String,
    },
    /// The server's answer is none, or larger than anything that was asked for.
    #[error("the server does not speak IMAP as it should: {0}")]
    Protocol(String),
}

/// A configuration that no mailbox can be read with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[mailboxes] {0}")]
pub struct SetupError(pub(crate) String);

/// The most characters of a server's words that are passed on.
const MAX_WORDS: usize = 200;

/// A server's words are a stranger's words: one short line.
pub(crate) fn words(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WORDS).collect()
}

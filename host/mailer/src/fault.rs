//! How sending fails, in the terms a flow understands.

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// This mail will never get through.
    Business,
    /// It may get through later.
    Technical,
}

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MailFault {
    /// Whether trying again can help.
    pub kind: FaultKind,
    /// A stable word: `invalid-input`, `recipient-refused`, `denied`, `unavailable`, `timeout`, `internal`.
    pub code: &'static str,
    /// What happened. Holds no secret and nothing of the mail's text.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How many milliseconds to wait before trying again, when the server said so.
    pub retry_after_ms: Option<u64>,
}

impl MailFault {
    pub(crate) fn business(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Business, code, message: message.into(), hint: None, retry_after_ms: None }
    }

    pub(crate) fn technical(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Technical, ..Self::business(code, message) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::business("invalid-input", message)
    }

    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A configuration that mail cannot be sent with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[mail] {0}")]
pub struct SetupError(pub(crate) String);

//! How a watched folder is doing, for administrators.

use serde::Serialize;

/// Where a folder stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxState {
    /// No deployed flow is started from it: there is no connection.
    #[default]
    Unused,
    /// It is being connected.
    Connecting,
    /// It is connected.
    Connected,
    /// It is connected, and the host has no room for another run.
    Waiting,
    /// It cannot be read; it is tried again.
    Failing,
}

impl MailboxState {
    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
            Self::Failing => "failing",
        }
    }
}

/// How a folder is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MailboxStatus {
    /// The mailbox, by its name in the configuration.
    pub mailbox: String,
    /// The folder.
    pub folder: String,
    /// The server, host and port.
    pub server: String,
    /// The flow that is started from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// Where it stands.
    pub state: MailboxState,
    /// Since when.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub since: Option<u64>,
    /// Whether the server tells of new messages by itself (IDLE); else the host asks.
    pub idle: bool,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the last run was started from it.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_message_at: Option<u64>,
    /// How many messages started a run, ever.
    pub taken: u64,
    /// How many were skipped; the audit log has why (`mail.skip`).
    pub skipped: u64,
    /// How many are kept aside now.
    pub aside: u64,
    /// How many runs are on disk whose messages are not marked on the server yet.
    pub unmarked: usize,
}

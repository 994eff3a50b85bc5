//! What the host refuses or fails at: a stable code, a text for the caller, and, apart from it, a text for the log.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use factotum_flow::Problems;
use factotum_store::{Space, StoreError};

/// When a caller should come back after [`ErrorCode::NoSpace`].
const MAKING_ROOM: Duration = Duration::from_secs(30);

/// The stable kinds of [`HostError`]. Programs match on these; the text may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request itself is wrong.
    InvalidRequest,
    /// The input is larger than the host takes.
    InputTooLarge,
    /// The input does not fit the flow's input schema.
    InvalidInput,
    /// There is no such flow.
    UnknownFlow,
    /// There is no such run.
    UnknownRun,
    /// There is no such plugin, or not in this version.
    UnknownPlugin,
    /// The plugin has no such function.
    UnknownFunction,
    /// There is no such artifact.
    UnknownArtifact,
    /// There is no such item in the inbox.
    UnknownItem,
    /// There is no calendar of this name.
    UnknownCalendar,
    /// This is for somebody else to do.
    Denied,
    /// The flow document is wrong; the problems say where.
    InvalidFlow,
    /// The bytes are no plugin that this host can take.
    InvalidPlugin,
    /// The plugin imports what it was not granted.
    MissingGrants,
    /// Another one stands in the way: same name and version with other bytes, or still in use.
    Conflict,
    /// A plugin's business fault in a direct call.
    ActionRefused,
    /// A plugin's technical fault in a direct call.
    ActionFailed,
    /// As many runs of the flow wait for their turn as its own limits let wait.
    QueueFull,
    /// More runs are waiting for their turn than the host takes on.
    Busy,
    /// The host is stopping.
    ShuttingDown,
    /// The run did not end in the time that the caller wanted to wait.
    StillRunning,
    /// The disk is nearly full: nothing new is taken on.
    NoSpace,
    /// The store failed.
    Store,
    /// A defect of the host.
    Internal,
}

impl ErrorCode {
    /// The code as a word, for problem types and scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::InputTooLarge => "input-too-large",
            Self::InvalidInput => "invalid-input",
            Self::UnknownFlow => "unknown-flow",
            Self::UnknownRun => "unknown-run",
            Self::UnknownPlugin => "unknown-plugin",
            Self::UnknownFunction => "unknown-function",
            Self::UnknownArtifact => "unknown-artifact",
            Self::UnknownItem => "unknown-item",
            Self::UnknownCalendar => "unknown-calendar",
            Self::Denied => "denied",
            Self::InvalidFlow => "invalid-flow",
            Self::InvalidPlugin => "invalid-plugin",
            Self::MissingGrants => "missing-grants",
            Self::Conflict => "conflict",
            Self::ActionRefused => "action-refused",
            Self::ActionFailed => "action-failed",
            Self::QueueFull => "queue-full",
            Self::Busy => "busy",
            Self::ShuttingDown => "shutting-down",
            Self::StillRunning => "still-running",
            Self::NoSpace => "insufficient-storage",
            Self::Store => "store-failed",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status (RFC 9110, section 15) that fits.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::UnknownFlow
            | Self::UnknownRun
            | Self::UnknownPlugin
            | Self::UnknownFunction
            | Self::UnknownArtifact
            | Self::UnknownItem
            | Self::UnknownCalendar => 404,
            Self::Denied => 403,
            Self::Conflict => 409,
            Self::InputTooLarge => 413,
            Self::InvalidInput
            | Self::InvalidFlow
            | Self::InvalidPlugin
            | Self::MissingGrants
            | Self::ActionRefused => 422,
            Self::QueueFull => 429,
            Self::Internal => 500,
            Self::ActionFailed => 502,
            Self::Busy | Self::ShuttingDown | Self::Store => 503,
            Self::StillRunning => 504,
            // RFC 4918, section 11.5.
            Self::NoSpace => 507,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal or a failure of the host. Its `Display` is the public message; [`internal`](Self::internal) is for the log
/// only and never goes to a caller.
#[derive(Debug, Clone)]
pub struct HostError {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong and where, for the caller.
    pub message: String,
    /// How to mend it, for the caller.
    pub hint: Option<String>,
    /// When to come back, for [`ErrorCode::Busy`], [`ErrorCode::QueueFull`] and a technical fault that names a time.
    pub retry_after: Option<Duration>,
    /// What is wrong with a flow document.
    pub problems: Option<Box<Problems>>,
    /// More for programs: the missing grants, a plugin's fault.
    pub detail: Option<serde_json::Value>,
    /// The cause, for the log.
    internal: Option<Box<Cause>>,
}

/// Boxed, like the problems, because errors travel in every `Result` and are rarely made.
#[derive(Debug, Clone)]
struct Cause(String);

impl HostError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
            problems: None,
            detail: None,
            internal: None,
        }
    }

    /// A defect: the caller learns that, the log learns the cause.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        let mut error = Self::new(ErrorCode::Internal, "the host failed at this; its log says why");
        error.internal = Some(Box::new(Cause(cause.to_string())));
        error
    }

    pub(crate) fn store(cause: impl fmt::Display + 'static) -> Self {
        match (&cause as &dyn Any).downcast_ref::<StoreError>() {
            Some(StoreError::NoSpace { free, floor, .. }) => {
                return Self::no_space(Space { free: *free, floor: *floor });
            }
            // The log has it since it happened.
            Some(failed @ StoreError::Failed { .. }) => {
                return Self::new(ErrorCode::Store, failed.to_string())
                    .hint("what was acknowledged before is safe and goes on after the restart");
            }
            _ => {}
        }
        let mut error = Self::new(ErrorCode::Store, "the store failed; nothing was acknowledged");
        error.hint = Some("look at the host's log and at the space on its disk".into());
        error.internal = Some(Box::new(Cause(cause.to_string())));
        error
    }

    /// The disk is nearly full.
    pub(crate) fn no_space(space: Space) -> Self {
        const MIB: u64 = 1 << 20;
        let message = format!(
            "the host's disk is nearly full: {} MiB are left, {} MiB are to stay free; this was not accepted",
            space.free / MIB,
            space.floor.div_ceil(MIB)
        );
        Self::new(ErrorCode::NoSpace, message)
            .hint("make room on the disk of the data folder; what was accepted before is safe and goes on by itself")
            .retry_after(MAKING_ROOM)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    pub(crate) fn detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The HTTP status that fits.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// The cause, for the host's own log. Not for callers.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.internal.as_deref().map(|cause| cause.0.as_str())
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HostError {}

impl From<Problems> for HostError {
    fn from(problems: Problems) -> Self {
        let count = problems.iter().count();
        let mut error = Self::new(
            ErrorCode::InvalidFlow,
            match problems.iter().next() {
                Some(first) if count == 1 => first.to_string(),
                Some(first) => format!("{first} (and {} more)", count - 1),
                None => "the flow document is wrong".into(),
            },
        );
        error.problems = Some(Box::new(problems));
        error
    }
}

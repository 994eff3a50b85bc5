//! The clocks of runs as people and programs see them.

use serde::{Deserialize, Serialize};

use super::clocks::Clock;
use crate::runs::{Engine, Row};

/// Where the clocks of a run stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlaState {
    /// They count.
    Running,
    /// One of them is near its end.
    Warned,
    /// They stand still: it is somebody else's turn.
    Paused,
    /// The time of one was over before what was wanted came.
    Breached,
    /// Everything came in time.
    Met,
    /// The run was cancelled before.
    Stopped,
}

impl SlaState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Warned, Self::Paused, Self::Breached, Self::Met, Self::Stopped];

    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Warned => "warned",
            Self::Paused => "paused",
            Self::Breached => "breached",
            Self::Met => "met",
            Self::Stopped => "stopped",
        }
    }
}

impl std::str::FromStr for SlaState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no state of an sla; known: {known}")
        })
    }
}

/// The clocks of a run. Times are written as RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSla {
    /// Where they stand, all in all.
    pub state: SlaState,
    /// Each of them.
    pub clocks: Vec<SlaClockInfo>,
}

/// One clock of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlaClockInfo {
    /// `respond` or `resolve`.
    pub clock: &'static str,
    /// By when, as things stand; absent while it stands still.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub due: Option<u64>,
    /// How much time is left, in milliseconds: of business time if `business`. Absent when it has been reached or breached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// How long it has been breached, in milliseconds of all time, until it was reached; absent when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_ms: Option<u64>,
    /// Whether it counts business time.
    pub business: bool,
    /// When people were warned.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub warned_at: Option<u64>,
    /// When its time was over.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub breached_at: Option<u64>,
    /// When what was wanted came.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub met_at: Option<u64>,
}

impl Engine {
    /// The clocks of a run, to be shown. What is left of business time is counted in the hours of the flow as it is
    /// deployed now.
    pub(crate) fn shown_clocks(&self, run: &str, row: &Row) -> Option<RunSla> {
        let mut clocks =
            self.clocks(run).inspect_err(|error| tracing::error!(run, %error, "unread clocks")).ok()??;
        let now = self.clock.now_ms();
        clocks.stop_with(row);
        let state = clocks.state();
        let over_at = clocks.over_at;
        let hours = clocks.clocks.iter().any(|clock| clock.business && clock.left.is_none());
        let calendar = match self.deployments.current(&row.flow) {
            Some(deployment) if hours && over_at.is_none() => self.calendar_of(deployment.flow.sla()),
            _ => None,
        };
        let left = |clock: &Clock| match clock.left {
            Some((_, left)) => Some(left),
            None if clock.met_at.is_some() || clock.breached_at.is_some() || over_at.is_some() => None,
            None => match &calendar {
                Some(calendar) if clock.business => Some(calendar.between(now, clock.due)),
                _ => Some(clock.due.saturating_sub(now)),
            },
        };
        let shown = |clock: &Clock| SlaClockInfo {
            clock: clock.target.as_str(),
            due: clock.left.is_none().then_some(clock.due),
            left_ms: left(clock),
            over_ms: clock.breached_at.map(|at| clock.met_at.or(over_at).unwrap_or(now).saturating_sub(at)),
            business: clock.business,
            warned_at: clock.warned_at,
            breached_at: clock.breached_at,
            met_at: clock.met_at,
        };
        Some(RunSla { state, clocks: clocks.clocks.iter().map(shown).collect() })
    }
}

//! Rehearsals: a flow runs through the real interpreter with every answer given and nothing done outside, on a simulated
//! clock. Tests of flows get their answers from mocks, replays from the journal of a run.

mod calendars;
mod cases;
mod difference;
mod edited;
mod effects;
mod mocks;
mod recorded;
mod replay;
mod simulated;
mod undo;

#[cfg(test)]
mod tests;

pub use cases::{CaseReport, Suite, SuiteError};
pub use difference::differences;
pub use edited::AnswersDiffer;
pub(crate) use edited::Edited;
pub(crate) use effects::{How, http_arguments};
pub use replay::{Asking, Differs, EditedPlugin, ReplayRun, Replayed};
pub use undo::TakenBack;

/// The most milliseconds that a simulated clock runs on: 100 years. A flow that waits for longer is a mistake.
const MAX_SIMULATED_MS: u64 = 100 * 366 * 86_400_000;

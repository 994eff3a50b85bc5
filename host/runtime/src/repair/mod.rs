//! Repair: what a person does to runs that did not go as they should. Retry, from the failed task or an earlier one, with
//! the deployed or a corrected flow; cancel; have one stand still and go on.
//!
//! A retry continues the run's own journal. It is not a new run: the idempotency keys of effects of which nobody knows
//! whether they were done, `$workflow.id`, and whoever waits for the run all depend on its identifier, and copying a
//! journal of megabytes for each of a thousand runs would double the disk. What is done again is set aside by number and
//! stays readable as history; the audit log's digests of it stay true.

mod bulk;
mod control;
mod cut;
mod host;
mod retry;
mod wanted;

#[cfg(test)]
mod tests;

pub use bulk::{RetriedRuns, RetryRuns, RunFilter};
pub use control::{CancelRun, Intervened};
pub(crate) use retry::still_there;
pub use retry::{DoneAgain, Retried, RetryFlow, RetryRun};
pub(crate) use wanted::{Controls, Wanted};

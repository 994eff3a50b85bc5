//! The clocks of runs: within what time a run is to respond and to resolve (`document.metadata.sla`).
//!
//! A run's clocks are a record of their own, made in the batch that accepts the run, with one timer for whatever comes next:
//! a warning or a breach. Only who holds the run's claim changes them, so that they need no other guard. Moments are
//! decided when a clock begins and when it goes on after a pause; a calendar that is edited changes no running clock.
//!
//! The clock to respond is reached by a task with `slaMet: respond`, both by the run's completion. A run that faulted or
//! is stuck has resolved nothing: its clocks go on until it is retried and completes, or is cancelled.

mod change;
mod clocks;
mod fire;
mod view;

pub(crate) use clocks::state_prefix;
pub(crate) use fire::is_sla_timer;
pub use view::{RunSla, SlaClockInfo, SlaState};

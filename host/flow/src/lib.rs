//! The flow language: model, validation, expressions and an interpreter that is pure over one effects trait.
//!
//! A flow is a document in the Serverless Workflow DSL 1.0.3 (now Open Workflow); `PROFILE.md` beside this crate says
//! which part of it runs. [`Flow::parse`] checks a document as a whole and compiles every expression and schema in it;
//! [`Flow::run`] executes it. The interpreter has no clock, no network, no random numbers and no store: it asks
//! [`Effects`], and asks the same questions in the same order whenever the answers are the same. So a run is resumed
//! by running it again with answers from a journal, found under [`Position::key`].
//!
//! Bounds, so that no document or data can hurt the host: 1 MiB of source, 64 levels, 5,000 tasks, no aliases; 100,000
//! task executions a run ([`MAX_STEPS`]); expressions as `src/expr/mod.rs` says.

mod auth;
mod client_name;
mod decode;
mod document;
mod duration;
mod endpoint;
mod error;
mod events;
mod expr;
mod hours;
mod limits;
mod operation;
mod problem;
mod reference;
mod reuse;
mod run;
mod schedule;
mod schema;
mod sites;
mod sla;
mod task;
mod trigger;
mod yaml;

pub use client_name::ClientName;
pub use document::{Document, Flow};
pub use duration::from_value as duration;
pub use error::FlowError;
pub use events::EventTrigger;
pub use factotum_calendar::{
    Calendar, Holidays, Length, MAX_FILE as MAX_HOLIDAY_FILE, Merged, Never, WrongFile,
};
pub use hours::{CalendarSite, Hours, length as business_length};
pub use limits::{Debounce, Limit, LimitKey, Limits, MAX_PRIORITY, Priority, Rate};
pub use problem::{Problem, Problems, Severity};
pub use reference::FunctionRef;
pub use run::{
    Answer, Ask, Authentication, Call, Credential, Deadline, Effects, Emit, HttpCall, HttpOutput, MAX_STEPS,
    Outcome, Position, Script, Start, Stop, Subflow, Subscription, TaskEvent, Undoing,
};
pub use schedule::{CronSchedule, Schedule};
pub use schema::fits_form;
pub use sites::{CallSite, HttpSite};
pub use sla::{Sla, SlaChange, SlaClock, SlaEscalation, SlaTime};
pub use task::{Declassified, Sensitive};
pub use trigger::{DEFAULT_TOLERANCE, DedupeKey, MailTrigger, Reply, WebhookAuth, WebhookTrigger};
pub use yaml::{MAX_DEPTH, MAX_SOURCE};

/// Reads a YAML or JSON file that belongs to flows, such as their test cases, under the same bounds as a flow's document.
///
/// # Errors
/// What is wrong with it, with line and column.
pub fn read_yaml(source: &str, file_name: &str) -> Result<serde_json::Value, Problem> {
    yaml::read(source, file_name).map(|node| node.to_json())
}

/// Stack of the thread that reads and compiles documents, in bytes: jaq's parser recurses with the text.
pub(crate) const COMPILE_STACK: usize = 64 * 1024 * 1024;

//! The inbox: where runs wait for a person.
//!
//! A question is an item that is opened in the same batch as the promise that its run waits for, and answered in the batch
//! that keeps that promise, with the audit entry of who answered. So a question is never without its run, and an answer
//! is taken once. Reminders, escalations and due times are timers of their own, which survive restarts.

mod answer;
mod ask;
mod escalate;
mod forget;
mod host;
mod item;
mod list;
mod timers;

#[cfg(test)]
mod tests;

pub use answer::AnswerItem;
pub(crate) use ask::Asked;
pub use item::{InboxItem, InboxState};
pub use list::{InboxPage, InboxQuery};
pub(crate) use timers::is_inbox_timer;

//! Events: published once, kept in a bounded log, delivered to the runs that listen and to the flows that they start.
//!
//! Publishing is one batch: the event, its number, the mark that it is still to be delivered. Numbers are given under a
//! lock that also hands the batch to the store's writer, so the order of numbers is the order in which events are on disk.
//! One dispatcher then delivers them in that order. What is delivered to a run is a copy in the run's own queue, in one
//! batch with the note of how far its subscription has come: after a crash nothing is delivered twice and nothing lost,
//! and the log may forget what a slow run has not yet read.

mod cloud_event;
mod dispatch;
mod forget;
mod keys;
mod lifecycle;
mod log;
mod subscriptions;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub use cloud_event::{MAX_EVENT, cloud_event};
pub use lifecycle::{Lived, RunWatch, Watched};

use lifecycle::Lifecycle;
pub use log::{EventPage, EventQuery, Published, PublishedEvent};

pub(crate) use dispatch::dispatch;
pub(crate) use keys::sub_id;
pub(crate) use log::Stored;
pub(crate) use subscriptions::{Kept, key, open, queued, use_up};

/// The newest events that the log keeps. As far back reaches the memory for duplicates.
pub(crate) const MAX_LOG: u64 = 100_000;
/// The most events that wait for delivery; more are not taken.
pub(crate) const MAX_WAITING: u64 = 10_000;
/// The most events that are kept for one listening run.
pub(crate) const MAX_KEPT: u64 = 1_000;

/// What publishers, the dispatcher and the live view share.
#[derive(Default)]
pub(crate) struct Events {
    numbers: Mutex<Numbers>,
    published: Notify,
    /// What happens to runs, for whoever watches.
    pub live: Lifecycle,
}

/// Where numbering and delivery stand.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// The number of the newest event; 0 before the first.
    pub last: u64,
    /// The number of the last event that was delivered to everyone.
    pub delivered: u64,
}

impl Events {
    /// Holds the order of events: who numbers one hands it to the writer before letting go of this.
    pub fn order(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the dispatcher that there is something to deliver.
    pub fn announce(&self) {
        self.published.notify_one();
    }
}

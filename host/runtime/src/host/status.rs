//! How the host is doing, for probes and administrators.

use factotum_store::{Space, StoreError};
use serde::Serialize;

use super::Host;
use crate::error::HostError;

/// How the host is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether it takes on runs.
    pub ready: bool,
    /// Why not, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Runs that execute.
    pub active_runs: usize,
    /// Accepted runs that stand in line.
    pub queued_runs: usize,
    /// Accepted runs that the limits of their flows hold back.
    pub held_runs: usize,
    /// Plugins that are installed, each version counted.
    pub plugins: usize,
    /// Of those, how many cannot be called.
    pub unavailable_plugins: usize,
    /// Deployed flows.
    pub flows: usize,
    /// The bytes that the store takes on disk.
    pub store_bytes: u64,
    /// The mailboxes and folders that cannot be read at present.
    pub failing_mailboxes: Vec<String>,
    /// Notices to people of the host that were not mailed yet.
    pub unsent_notices: usize,
    /// The bytes that its disk has left; absent when nothing is to stay free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// What was wrong with the end of the audit log when the host started.
    pub audit_findings: Vec<String>,
}

impl Host {
    /// Whether anything can be written at all: a write that failed ends writing until the next start, and a disk that is
    /// used up does until there is room again.
    ///
    /// # Errors
    /// [`ErrorCode::Store`] or [`ErrorCode::NoSpace`], with the mend.
    pub fn check_writable(&self) -> Result<(), HostError> {
        let store = &self.inner.store;
        if let Some(reason) = store.health().failure {
            return Err(HostError::store(StoreError::Failed { reason }));
        }
        match store.space().filter(Space::is_used_up) {
            Some(space) => Err(HostError::no_space(space)),
            None => Ok(()),
        }
    }

    /// How the host is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let (active_runs, queued_runs) = inner.engine.queue.counts();
        let (plugins, unavailable_plugins) = inner.plugins.counts();
        let reason = if inner.engine.stop.is_requested() {
            Some("the host is stopping".to_owned())
        } else if let Err(error) = self.check_writable() {
            Some(error.message)
        } else {
            inner.engine.check_space().err().map(|error| error.message)
        };
        Status {
            ready: reason.is_none(),
            reason,
            active_runs,
            queued_runs,
            held_runs: inner.engine.gate.lock().held(),
            plugins,
            unavailable_plugins,
            flows: inner.engine.deployments.all().len(),
            store_bytes: inner.store.size_on_disk().unwrap_or_default(),
            failing_mailboxes: inner.engine.mailboxes.failing(),
            unsent_notices: inner.engine.notices.unsent(),
            disk_free_bytes: inner.store.space().map(|space| space.free),
            audit_findings: inner.audit.found_at_open().iter().map(ToString::to_string).collect(),
        }
    }
}

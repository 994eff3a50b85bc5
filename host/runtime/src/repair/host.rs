//! Repair, as the host offers it.

use factotum_audit::Actor;

use super::{CancelRun, Intervened, Retried, RetriedRuns, RetryRun, RetryRuns};
use crate::Host;
use crate::error::HostError;

impl Host {
    /// Retries a run: from the failed task, or from an earlier one, with its own flow or the deployed one. When this
    /// returns, that is on disk and will be done whatever happens to this process.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownRun`]; [`crate::ErrorCode::Conflict`] when the run does not stand where it can be
    /// retried, or when that would change nothing; [`crate::ErrorCode::InvalidRequest`] for a task at which nothing
    /// happened.
    pub async fn retry_run(&self, request: RetryRun) -> Result<Retried, HostError> {
        self.engine().retry(request).await
    }

    /// Retries the runs that fit a filter, up to a cap.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidRequest`] for a cap or a state that is none.
    pub async fn retry_runs(&self, request: RetryRuns) -> Result<RetriedRuns, HostError> {
        self.engine().retry_many(request).await
    }

    /// Cancels a run. What its tasks did is taken back as its flow says.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownRun`], [`crate::ErrorCode::Conflict`] when it is over.
    pub async fn cancel_run(&self, request: CancelRun) -> Result<Intervened, HostError> {
        self.engine().cancel(request).await
    }

    /// Has a run stand still until [`Host::resume_run`].
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownRun`], [`crate::ErrorCode::Conflict`] when it does not go on by itself.
    pub async fn suspend_run(
        &self,
        actor: &Actor,
        run_id: &str,
        reason: Option<String>,
    ) -> Result<Intervened, HostError> {
        self.engine().hold(actor, run_id, reason).await
    }

    /// Lets a run go on that [`Host::suspend_run`] had stand still.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownRun`], [`crate::ErrorCode::Conflict`] when it does not stand still.
    pub async fn resume_run(&self, actor: &Actor, run_id: &str) -> Result<Intervened, HostError> {
        self.engine().let_go_on(actor, run_id).await
    }
}

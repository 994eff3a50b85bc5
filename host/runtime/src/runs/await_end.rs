//! Waiting for the end of a run: told in the moment it is on disk.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, RunInfo};
use crate::error::{ErrorCode, HostError};

impl Engine {
    /// Waits until a run is over or parked, at most `timeout`.
    pub async fn wait(&self, id: &str, timeout: Duration) -> Result<Arc<RunInfo>, HostError> {
        let told = self.waiters.subscribe(id);
        let done = match self.settled(id) {
            Ok(None) => match tokio::time::timeout(timeout, told).await {
                Ok(Ok(info)) => return Ok(info),
                Ok(Err(_)) | Err(_) => Err(still_running(id, timeout)),
            },
            Ok(Some(info)) => {
                drop(told);
                Ok(info)
            }
            Err(error) => {
                drop(told);
                Err(error)
            }
        };
        self.waiters.forget(id);
        done
    }

    fn settled(&self, id: &str) -> Result<Option<Arc<RunInfo>>, HostError> {
        let unknown = || HostError::new(ErrorCode::UnknownRun, "there is no run with this identifier");
        if !self.known_row(id)?.ok_or_else(unknown)?.state.is_settled() {
            return Ok(None);
        }
        self.info(id)?.ok_or_else(unknown).map(|info| Some(Arc::new(info)))
    }
}

fn still_running(id: &str, timeout: Duration) -> HostError {
    let message = format!("run {id} did not end within {} ms; it goes on", timeout.as_millis());
    HostError::new(ErrorCode::StillRunning, message).hint("ask for the run's state later")
}

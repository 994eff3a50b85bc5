//! Callers that wait for a run's end are told; nobody polls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::RunInfo;

/// Who waits for which run.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<String, Vec<oneshot::Sender<Arc<RunInfo>>>>>);

impl Waiters {
    /// Begins to wait. Look at the run's row after this, not before: its end may come in between.
    pub fn subscribe(&self, run_id: &str) -> oneshot::Receiver<Arc<RunInfo>> {
        let (tell, told) = oneshot::channel();
        let mut all = self.lock();
        let waiting = all.entry(run_id.to_owned()).or_default();
        waiting.retain(|sender| !sender.is_closed());
        waiting.push(tell);
        told
    }

    /// Whether anyone still waits for it.
    pub fn any(&self, run_id: &str) -> bool {
        self.lock().contains_key(run_id)
    }

    /// Tells everyone who waits for it.
    pub fn tell(&self, run_id: &str, info: &Arc<RunInfo>) {
        let waiting = self.lock().remove(run_id);
        for tell in waiting.into_iter().flatten() {
            // Whoever went away in the meantime need not be told.
            let _ = tell.send(Arc::clone(info));
        }
    }

    /// Forgets those who gave up.
    pub fn forget(&self, run_id: &str) {
        let mut all = self.lock();
        if let Some(waiting) = all.get_mut(run_id) {
            waiting.retain(|sender| !sender.is_closed());
            if waiting.is_empty() {
                all.remove(run_id);
            }
        }
    }

    /// Lets those go, untold, who wait for a run of which there is nothing to tell.
    pub fn let_go(&self, run_id: &str) {
        self.lock().remove(run_id);
    }

    /// Lets everyone go, untold: the host stops.
    pub fn dismiss(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<oneshot::Sender<Arc<RunInfo>>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

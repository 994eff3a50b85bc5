//! A run waits: journal, timer and row are one batch; the execution is then dropped.

use factotum_store::{Batch, Timer, Timers};

use super::{Engine, Run, RunState, put_row};

impl Engine {
    /// Suspends a run until `due`. `batch` holds the records that say why.
    pub(super) async fn suspend(&self, run: &mut Run, mut batch: Batch, due: u64) {
        let was = run.row.state;
        run.row.state = RunState::Waiting;
        run.row.due = Some(due);
        if let Err(error) = put_row(&mut batch, &run.id, &run.row, Some(was)) {
            tracing::error!(run = %run.id, %error, "a run could not be suspended");
            return;
        }
        Timers::set(&mut batch, &Timer { due_ms: due, id: run.id.clone().into_bytes(), payload: Vec::new() });
        // The timer's watcher is told when the claim is given up, not before: until then it could not wake the run.
        if let Err(error) = self.commit(batch).await {
            tracing::error!(run = %run.id, %error, "a run could not be suspended; it is resumed at the next start");
        }
    }
}

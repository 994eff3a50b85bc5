//! A run waits: journal, timer and row are one batch; the execution is then dropped.

use factotum_store::{Batch, Expectation, StoreError, Table, Timer, Timers};

use super::effects::Suspension;
use super::{Engine, Run, RunState, put_row};

/// How suspending a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspended {
    /// It waits.
    Waits,
    /// Something that it waits for came in the meantime: it is to be executed again.
    Again,
    /// That could not be written. It is taken up at the next start.
    Failed,
}

impl Engine {
    /// Suspends a run. `batch` holds the records that say why.
    pub(super) async fn suspend(&self, run: &mut Run, mut batch: Batch, on: Suspension) -> Suspended {
        let was = run.row.state;
        run.row.state = RunState::Waiting;
        run.row.due = on.due;
        let ready = put_row(&mut batch, &run.id, &run.row, Some(was))
            .map_err(|e| e.to_string())
            .and_then(|()| self.set_timer(&mut batch, &run.id, on.due).map_err(|e| e.to_string()));
        if let Err(error) = ready {
            tracing::error!(run = %run.id, error, "a run could not be suspended");
            return Suspended::Failed;
        }
        self.clocks_at_rest(&mut batch, run, &on.places);
        for promise in on.promises {
            batch.expect(Table::Promises, promise, Expectation::Present);
        }
        for (key, stored) in on.subscriptions {
            batch.expect(Table::Subscriptions, key, Expectation::Value(stored));
        }
        // The timer's watcher is told when the claim is given up, not before: until then it could not wake the run.
        match self.commit(batch).await {
            Ok(_) => {
                self.tell("workflow.suspended", &run.id, &run.row, None, serde_json::Value::Null);
                Suspended::Waits
            }
            Err(StoreError::Conflict { table: Table::Promises | Table::Subscriptions, .. }) => {
                Suspended::Again
            }
            Err(error) => {
                tracing::error!(run = %run.id, %error, "a run could not be suspended; it is resumed at the next start");
                Suspended::Failed
            }
        }
    }

    /// Sets the run's timer, in place of one that it may have left behind.
    fn set_timer(&self, batch: &mut Batch, id: &str, due: Option<u64>) -> Result<(), StoreError> {
        Timers::new(&self.store).cancel(batch, id.as_bytes())?;
        if let Some(due_ms) = due {
            Timers::set(batch, &Timer { due_ms, id: id.as_bytes().to_vec(), payload: Vec::new() });
        }
        Ok(())
    }
}

//! A run is parked: it cannot go on without a person, and must not hold up or wear out anything meanwhile.

use std::sync::Arc;

use factotum_store::{Batch, Table};

use super::{Engine, Run, RunInfo, RunState, put_row, row};
use crate::audit;
use crate::journal::{Record, WriteRecord};
use crate::notices::Notice;

impl Engine {
    /// Parks a run. `batch` holds records that come before the last one, which is at `next`.
    pub(crate) async fn park(&self, run: &mut Run, mut batch: Batch, next: u64, reason: &str) {
        let at = self.clock.now_ms();
        let was = run.row.state;
        run.row.state = RunState::Stuck;
        run.row.due = None;
        run.row.reason = Some(super::view::one_line(reason));
        let record: WriteRecord<'_> = Record::Stuck { at, reason: reason.to_owned() };
        let ready = record.encode().and_then(|record| {
            batch.append(run.id.as_str(), next, record);
            put_row(&mut batch, &run.id, &run.row, Some(was))
        });
        if let Err(error) = ready {
            tracing::error!(run = %run.id, %error, "a run could not be parked");
            return;
        }
        audit::run_parked(&mut batch, self, &run.id, reason);
        tracing::error!(run = %run.id, flow = %run.row.flow, reason, "a run is stuck and was parked");
        self.note_interrupted(&mut batch, &run.id, &run.row);
        match self.commit(batch).await {
            Ok(_) => {
                self.at_the_gate(&run.id, &run.row);
                self.waiters.tell(&run.id, &Arc::new(RunInfo::new(&run.id, &run.row, None)));
            }
            // Its journal is not what this execution believed: keep the journal, park the row.
            Err(error) if error.is_conflict() => {
                self.park_row(&run.id, run.row.clone(), Some(was), reason).await
            }
            Err(error) => tracing::error!(run = %run.id, %error, "a run could not be parked"),
        }
    }

    /// Parks a run whose journal or deployment cannot be read: nothing is added to the journal.
    pub(crate) async fn park_unread(&self, id: &str, reason: String) {
        tracing::error!(run = id, reason, "a run is stuck and was parked");
        match self.row(id) {
            Ok(Some(mut row)) => {
                let was = row.state;
                row.state = RunState::Stuck;
                row.due = None;
                row.reason = Some(super::view::one_line(&reason));
                self.park_row(id, row, Some(was), &reason).await;
            }
            // Without a row there is nothing to list; take it out of the index, so that it is not tried at each start.
            Ok(None) | Err(_) => {
                let mut batch = Batch::new();
                for state in [RunState::Running, RunState::Queued, RunState::Waiting] {
                    batch.delete(Table::RunsByState, row::by_state_key(state, id));
                }
                batch.put(Table::RunsByState, row::by_state_key(RunState::Stuck, id), *b"");
                audit::run_parked(&mut batch, self, id, &reason);
                if let Err(error) = self.commit(batch).await {
                    tracing::error!(run = id, %error, "a run could not be parked");
                }
            }
        }
    }

    /// Adds to a batch that the administrators are told that a run does not go on.
    pub(super) fn note_interrupted(&self, batch: &mut Batch, id: &str, row: &super::Row) {
        let notice = Notice::Interrupted {
            run: id.to_owned(),
            flow: row.flow.clone(),
            state: row.state.as_str(),
            reason: row.reason.clone().unwrap_or_default(),
        };
        self.notices.add_to(batch, &notice, self.clock.now_ms());
    }

    async fn park_row(&self, id: &str, row: super::Row, was: Option<RunState>, reason: &str) {
        let mut batch = Batch::new();
        let ready = put_row(&mut batch, id, &row, was).map_err(|e| e.to_string());
        audit::run_parked(&mut batch, self, id, reason);
        self.note_interrupted(&mut batch, id, &row);
        let written = match ready {
            Ok(()) => self.commit(batch).await.map(drop).map_err(|e| e.to_string()),
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                self.at_the_gate(id, &row);
                self.waiters.tell(id, &Arc::new(RunInfo::new(id, &row, None)));
            }
            Err(error) => tracing::error!(run = id, error, "a run could not be parked"),
        }
    }
}

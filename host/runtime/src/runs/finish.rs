//! A run ends: its last record, its row and its audit entry are one batch; then those who wait are told.

use std::sync::Arc;

use factotum_flow::FlowError;
use factotum_provenance::Labels;
use factotum_store::Batch;
use serde_json::Value;

use super::effects::MAX_RECORD;
use super::provisional::Beginning;
use super::{Engine, Row, Run, RunInfo, RunState, promises, put_row};
use crate::audit;
use crate::journal::{Outcome, Record, WriteRecord};
use crate::masking::Secret;

/// What an execution that ended a run leaves behind.
pub(super) struct Leftovers {
    /// Of a run that is not on disk yet.
    pub beginning: Option<Beginning>,
    /// Promises that nobody waits for any more, by their keys in the store.
    pub open: Vec<Vec<u8>>,
    /// Where the output may come from; only of runs that others wait for.
    pub from: Labels,
    /// Subscriptions that were not closed.
    pub subscriptions: Vec<Vec<u8>>,
    /// What people must not see.
    pub secret: Secret,
}

impl Engine {
    /// Ends a run. `batch` holds records that come before the last one, which is at `next`.
    pub(super) async fn finish(
        &self,
        run: &mut Run,
        mut batch: Batch,
        next: u64,
        Leftovers { beginning, open: still_open, from, subscriptions, secret }: Leftovers,
        mut result: Result<Value, FlowError>,
    ) {
        let now = self.clock.now_ms();
        let mut record = encode(now, &result);
        if let Ok(bytes) = &record
            && bytes.len() > MAX_RECORD
        {
            let detail = format!("the output has {} bytes; at most {MAX_RECORD} can be kept", bytes.len());
            result = Err(FlowError::runtime(detail).at("/output"));
            record = encode(now, &result);
        }
        let abandoned = self.children_of(&still_open);
        let was = beginning.is_none().then_some(run.row.state);
        if let Some(beginning) = beginning {
            batch = beginning.and_row(batch);
        }
        run.row.ended_at = Some(now);
        run.row.due = None;
        run.row.state = if result.is_ok() { RunState::Completed } else { RunState::Faulted };
        let reason = result.as_ref().err().map(|error| secret.masked(&error.to_string()));
        run.row.reason = reason.map(|reason| super::view::one_line(&reason));
        let ready = record.and_then(|record| {
            put_row(&mut batch, &run.id, &run.row, was)?;
            if run.row.state == RunState::Faulted {
                self.note_interrupted(&mut batch, &run.id, &run.row);
            }
            self.clocks_follow(&mut batch, &run.id, run.row.state);
            audit::run_ended(&mut batch, self, run, result.as_ref().err(), &record);
            batch.append(run.id.as_str(), next, record);
            for promise in &still_open {
                promises::forget(&mut batch, promise.clone());
            }
            for child in &abandoned {
                self.want_child_cancelled(&mut batch, &run.id, child)?;
            }
            Ok(batch)
        });
        let written = match ready {
            Ok(batch) => match &run.row.parent {
                None => self.commit(batch).await.map(drop).map_err(|e| e.to_string()),
                Some(parent) => {
                    self.finish_child(parent, batch, &result, from).await.map_err(|e| e.to_string())
                }
            },
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            tracing::error!(run = %run.id, %error, "the end of a run could not be written; if it was accepted, it is resumed at the next start");
            return self.waiters.let_go(&run.id);
        }
        tracing::debug!(run = %run.id, flow = %run.row.flow, state = run.row.state.as_str(), "run ended");
        self.at_the_gate(&run.id, &run.row);
        if crate::schedule::concerns(&run.row.trigger, run.row.state) {
            self.schedules_changed();
        }
        self.tell_end(run, result.as_ref().err());
        self.cancel_children(&run.id, abandoned).await;
        self.close_subscriptions(&run.id, subscriptions).await;
        if self.waiters.any(&run.id) {
            self.waiters.tell(&run.id, &Arc::new(RunInfo::new(&run.id, &run.row, Some(result))));
        }
    }
}

impl Engine {
    /// Tells whoever watches what happens to a run.
    pub(crate) fn tell(&self, kind: &str, id: &str, row: &Row, task: Option<&str>, more: Value) {
        let live = &self.events.live;
        if live.watched() {
            live.tell(kind, id, (&row.flow, &row.version), task, self.clock.now_ms(), more);
        }
    }

    /// Closes the subscriptions of a run that ended.
    pub(super) async fn close_subscriptions(&self, run: &str, subscriptions: Vec<Vec<u8>>) {
        for subscription in subscriptions {
            if let Err(error) = self.close_subscription(&subscription).await {
                tracing::warn!(run, %error, "a subscription of a run that ended stays until its next event");
            }
        }
    }

    fn tell_end(&self, run: &Run, error: Option<&FlowError>) {
        if !self.events.live.watched() {
            return;
        }
        let (kind, more) = match error {
            None => ("workflow.completed", Value::Null),
            Some(error) => {
                let error = serde_json::json!({"type": error.to_value().get("type"), "status": error.status});
                ("workflow.faulted", serde_json::json!({ "error": error }))
            }
        };
        self.tell(kind, &run.id, &run.row, None, more);
    }
}

fn encode(at: u64, result: &Result<Value, FlowError>) -> Result<Vec<u8>, serde_json::Error> {
    let outcome = match result {
        Ok(value) => Outcome::Value(value),
        Err(error) => Outcome::Error(error),
    };
    let record: WriteRecord<'_> = Record::Finished { at, outcome };
    record.encode()
}

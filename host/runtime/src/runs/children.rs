//! Runs that runs started (`run: workflow`): accepted with the promise of the one that waits, resolved at their end.

use factotum_audit::Actor;
use factotum_flow::FlowError;
use factotum_provenance::Labels;
use factotum_store::{Batch, Expectation, StoreError, Table};
use serde_json::Value;
use std::sync::Arc;

use super::promises::{self, PromiseId, Resolution};
use super::{Engine, Row, Run, RunState};
use crate::backends::lent;
use crate::flows::Deployment;
use crate::ids;
use crate::journal::{Outcome, Record, WriteRecord};

/// The most runs that stand above one another: a flow that starts itself ends here.
pub(super) const MAX_DEPTH: u8 = 16;
/// How often one place can start a flow anew after the run it started before has ended (a person had it retried).
const MAX_AGAIN: u32 = 1_000;

/// A run that a run starts.
pub(super) struct Child<'a> {
    pub parent: &'a Run,
    /// The place that starts it.
    pub key: &'a str,
    /// Whether the parent waits for its end.
    pub awaited: bool,
    pub deployment: Arc<Deployment>,
    pub input: &'a Value,
    pub from: Labels,
}

impl Engine {
    /// Adds a child to a batch, and returns its identifier: made from the parent and the place, so that a place starts one
    /// run however often it is executed.
    pub(super) fn add_child(&self, batch: &mut Batch, child: Child<'_>) -> Result<String, String> {
        let id = self.free_child_id(child.parent, child.key)?;
        let now = self.clock.now_ms();
        let record: WriteRecord<'_> = Record::Started { at: now, input: child.input, from: child.from };
        let record = record.encode().map_err(|e| e.to_string())?;
        let flow = child.deployment.flow.id();
        let mut limited = self.limited(&child.deployment, child.input).map_err(|e| e.to_string())?;
        if let Some(limited) = &mut limited {
            // That is for triggers: this run was asked for by one that goes on with it.
            limited.debounce = None;
            limited.awaited = child.awaited;
            let goes_along = |slot: &String| self.slot_above(&child.parent.row, &flow, slot);
            if child.awaited && limited.slot.as_ref().is_some_and(goes_along) {
                limited.slot = None;
            }
        }
        let state = if limited.is_some() { RunState::Queued } else { RunState::Running };
        let actor = Actor::Flow(child.parent.row.flow.clone());
        let row = Row {
            parent: child
                .awaited
                .then(|| PromiseId { run: child.parent.id.clone(), key: child.key.to_owned() }),
            depth: child.parent.row.depth.saturating_add(1),
            limited,
            ..Row::of_new(state, flow, &child.deployment, now, &actor, "flow".to_owned())
        };
        let run = Run { id, row, deployment: child.deployment };
        batch.expect(Table::Runs, run.id.as_str(), Expectation::Absent);
        self.add_run(batch, &run, &actor, record).map_err(|e| e.to_string())?;
        lent::lend(&self.store, batch, &child.parent.id, &run.id, child.input).map_err(|e| e.to_string())?;
        Ok(run.id)
    }

    /// A child is on disk: it is executed, or waits for its turn.
    pub(super) fn begin_child(&self, id: &str) {
        match self.row(id) {
            Ok(Some(row)) if row.state == RunState::Queued => self.at_the_gate(id, &row),
            Ok(Some(row)) => {
                self.queue.push(id, row.lane());
            }
            Ok(None) => tracing::error!(run = id, "a run that another one started is not there"),
            Err(error) => {
                tracing::error!(run = id, %error, "a run cannot be read; it begins at the next start")
            }
        }
    }

    fn free_child_id(&self, parent: &Run, key: &str) -> Result<String, String> {
        for again in 0..MAX_AGAIN {
            let id = ids::child_run_id(&parent.id, key, again);
            if self.store.get(Table::Runs, id.as_bytes()).map_err(|e| e.to_string())?.is_none() {
                return Ok(id);
            }
        }
        Err(format!("{key} started a flow {MAX_AGAIN} times"))
    }

    /// Ends a run that another one waits for: `batch` holds its end, and the promise is resolved with it.
    pub(crate) async fn finish_child(
        &self,
        parent: &PromiseId,
        batch: Batch,
        result: &Result<Value, FlowError>,
        from: Labels,
    ) -> Result<(), StoreError> {
        let outcome = match result {
            Ok(output) => Outcome::Value(output.clone()),
            Err(error) => Outcome::Error(error.clone()),
        };
        let mut resolution = Resolution { outcome, from };
        if promises::encode(&resolution).is_err() {
            resolution.outcome =
                Outcome::Error(FlowError::runtime("the output of the flow is too large to be passed on"));
        }
        let (open, stored) = (parent.open_key(), promises::encode(&resolution)?);
        let told = self
            .change_and_wake(&parent.run, |row, change| {
                if !row.state.is_final() && self.store.get(Table::Promises, &open)?.is_some() {
                    change.expect(Table::Promises, open.clone(), Expectation::Present);
                    change.delete(Table::Promises, open.clone());
                    change.put(Table::Promises, parent.kept_key(), stored.clone());
                }
                change.merge(batch.clone());
                Ok(true)
            })
            .await?;
        if told { Ok(()) } else { self.commit(batch).await.map(drop) }
    }

    /// The runs whose ends these promises wait for.
    pub(crate) fn children_of(&self, open: &[Vec<u8>]) -> Vec<String> {
        let child = |key: &Vec<u8>| {
            let stored = self.store.get(Table::Promises, key).ok().flatten()?;
            let stored: Value = serde_json::from_slice(&stored).ok()?;
            Some(stored.get("run")?.as_str()?.to_owned())
        };
        open.iter().filter_map(child).collect()
    }

    /// Lets go of promises and subscriptions that a run which waits does not wait for any more. What a crash leaves of it
    /// is let go of when the run waits again.
    pub(super) async fn let_go(&self, run: &str, (promises, subscriptions): (Vec<Vec<u8>>, Vec<Vec<u8>>)) {
        let open = |key: &Vec<u8>| {
            let kept = promises::kept_of(key);
            [key, &kept].into_iter().any(|key| matches!(self.store.get(Table::Promises, key), Ok(Some(_))))
        };
        let promises: Vec<Vec<u8>> = promises.into_iter().filter(open).collect();
        if !promises.is_empty() {
            let children = self.children_of(&promises);
            let mut batch = Batch::new();
            for promise in promises {
                promises::forget(&mut batch, promise);
            }
            match self.commit(batch).await {
                Ok(_) => self.cancel_children(run, children).await,
                Err(error) => {
                    tracing::warn!(run, %error, "what nobody waits for any more stays open for now")
                }
            }
        }
        self.close_subscriptions(run, subscriptions).await;
    }

    /// Cancels runs that nobody waits for any more.
    pub(crate) async fn cancel_children(&self, parent: &str, children: Vec<String>) {
        for child in children {
            if let Err(error) = self.cancel_child(parent, &child).await {
                tracing::error!(run = parent, child, %error, "a run that nobody waits for any more goes on");
            }
        }
    }
}

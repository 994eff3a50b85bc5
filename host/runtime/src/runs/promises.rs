//! Promises: what a run waits for, resolved from outside, exactly once.
//!
//! A promise is named by its run and the key of the effect that waits. It is opened by the run ([`Durable`] writes it
//! together with what is to resolve it), resolved by [`Engine::resolve`], used up by the run, which journals the answer.
//! Open and resolved ones lie under different keys, so that a run that comes to rest can demand that its promises are
//! still open, in the batch that says so: a promise that is kept while its run executes is never missed.
//!
//! [`Durable`]: super::effects::Durable

use factotum_flow::{FlowError, Position};
use factotum_provenance::Labels;
use factotum_store::{Batch, Expectation, StoreError, Table, Timers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Engine, Row, RunState, put_row};
use crate::ids;
use crate::journal::Outcome;
use crate::place::place;

/// How often a resolution is tried when others write to the same run at the same moment.
const TRIES: usize = 100;

/// Names a promise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PromiseId {
    /// The run that waits.
    #[serde(rename = "r")]
    pub run: String,
    /// The place of the effect that waits ([`place`]): the same when the run's flow is corrected meanwhile.
    #[serde(rename = "k")]
    pub key: String,
}

impl PromiseId {
    /// The promise of a run at a place.
    pub fn new(run: &str, at: &Position) -> Self {
        Self { run: run.to_owned(), key: place(at.key()) }
    }

    /// The store key of the promise while it is open.
    pub fn open_key(&self) -> Vec<u8> {
        self.stored(b'o')
    }

    /// The store key of the answer, until the run has used it up.
    pub fn kept_key(&self) -> Vec<u8> {
        self.stored(b'k')
    }

    /// Effect keys can be long: they are kept by digest.
    fn stored(&self, kind: u8) -> Vec<u8> {
        let mut key = vec![kind];
        key.extend_from_slice(self.run.as_bytes());
        key.push(0);
        key.extend_from_slice(ids::digest_parts("promise", &[self.key.as_bytes()], 16).as_bytes());
        key
    }
}

/// A promise that is open, as the store keeps it.
#[derive(Debug, Serialize)]
pub(crate) struct Open<'a> {
    #[serde(rename = "k")]
    pub key: &'a str,
    #[serde(rename = "task")]
    pub task: &'a str,
    /// What is waited for.
    #[serde(rename = "for")]
    pub what: &'a str,
    /// The run whose end is waited for.
    #[serde(rename = "run", skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// Since when.
    #[serde(rename = "at")]
    pub at: u64,
}

/// What a promise is resolved with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolution {
    /// The value; or the error that the waiting task ends with.
    #[serde(rename = "out")]
    pub outcome: Outcome<Value, FlowError>,
    /// Where it comes from.
    #[serde(rename = "from", default, skip_serializing_if = "Labels::is_empty")]
    pub from: Labels,
}

/// What became of a resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// It stands, and the run goes on.
    Now,
    /// There is nothing to resolve: it was resolved before, its deadline passed, or the run is over.
    NotOpen,
}

/// The beginning of the keys of a run's open promises.
pub(crate) fn open_promises_prefix(run: &str) -> Vec<u8> {
    [b"o", run.as_bytes(), b"\0"].concat()
}

impl Engine {
    /// Resolves a promise, wakes its run, and commits `with` (the resolver's own changes, such as an inbox item's row and
    /// an audit entry) in the same batch. The first resolution stands; of a later one, nothing is written.
    ///
    /// # Errors
    /// When the store fails, or a condition in `with` does not hold.
    pub(crate) async fn resolve(
        &self,
        id: &PromiseId,
        resolution: &Resolution,
        with: &Batch,
    ) -> Result<Resolved, StoreError> {
        let stored = encode(resolution)?;
        let open = id.open_key();
        let done = self
            .change_and_wake(&id.run, |row, batch| {
                if row.state.is_final() || self.store.get(Table::Promises, &open)?.is_none() {
                    return Ok(false);
                }
                batch.expect(Table::Promises, open.clone(), Expectation::Present);
                batch.delete(Table::Promises, open.clone());
                batch.put(Table::Promises, id.kept_key(), stored.clone());
                batch.merge(with.clone());
                Ok(true)
            })
            .await?;
        Ok(if done { Resolved::Now } else { Resolved::NotOpen })
    }

    /// Commits a change that concerns a run, and in the same batch lets the run go on if it waits. `change` is given the
    /// run's row and adds to the batch, or returns `false` to change nothing; it is asked again when someone else wrote to
    /// the run in between. Returns whether the change was made; `false` also when there is no such run.
    ///
    /// # Errors
    /// When the store fails, or a condition that `change` put does not hold for good.
    pub(crate) async fn change_and_wake(
        &self,
        run: &str,
        mut change: impl FnMut(&Row, &mut Batch) -> Result<bool, StoreError> + Send,
    ) -> Result<bool, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Some(before) = self.store.get(Table::Runs, run.as_bytes())? else { return Ok(false) };
            let mut row: Row = super::read_row(run, &before)?;
            let mut batch = Batch::new();
            if !change(&row, &mut batch)? {
                return Ok(false);
            }
            batch.expect(Table::Runs, run, Expectation::Value(before));
            let waited = row.state == RunState::Waiting;
            if waited {
                row.state = RunState::Running;
                if let Some(due) = row.due.take() {
                    Timers::remove(&mut batch, due, run.as_bytes());
                }
                put_row(&mut batch, run, &row, Some(RunState::Waiting))
                    .map_err(|e| StoreError::Invalid(e.to_string()))?;
            }
            match self.commit(batch).await {
                Ok(_) => {
                    if waited {
                        self.queue.push_or_note(run, row.lane());
                    }
                    return Ok(true);
                }
                Err(error) if error.is_conflict() && tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Adds the end of a promise to a batch, resolved or not: its run is over.
pub(crate) fn forget(batch: &mut Batch, open_key: Vec<u8>) {
    batch.delete(Table::Promises, kept_of(&open_key));
    batch.delete(Table::Promises, open_key);
}

/// The key of a promise's answer, from the key of the open promise.
pub(super) fn kept_of(open_key: &[u8]) -> Vec<u8> {
    let mut kept = open_key.to_vec();
    if let Some(kind) = kept.first_mut() {
        *kind = b'k';
    }
    kept
}

pub(super) fn encode(resolution: &Resolution) -> Result<Vec<u8>, StoreError> {
    let stored = serde_json::to_vec(resolution).map_err(|e| StoreError::Invalid(e.to_string()))?;
    if stored.len() > super::effects::MAX_RECORD {
        return Err(StoreError::Invalid(format!(
            "an answer has {} bytes, at most {} can be kept",
            stored.len(),
            super::effects::MAX_RECORD
        )));
    }
    Ok(stored)
}

//! What a run has to say that is not on disk yet.

use factotum_store::{Batch, StoreError};

use super::super::Run;
use super::super::provisional::Beginning;

/// So much of what is not on disk yet is written at the latest, in operations and in bytes.
const MAX_AHEAD: (usize, usize) = (64, 256 * 1024);

/// Records and audit entries in their order, and before them what opens the run in the store when it is not there yet. It is
/// handed out as a whole, so that nothing of a run is on disk before its beginning.
#[derive(Default)]
pub(super) struct Ahead {
    beginning: Option<Beginning>,
    batch: Batch,
}

impl Ahead {
    /// Of a run that is not on disk.
    pub fn opened_by(&mut self, beginning: Option<Beginning>) {
        self.beginning = beginning;
    }

    /// Whether the run itself is not on disk.
    pub fn is_provisional(&self) -> bool {
        self.beginning.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.beginning.is_none() && self.batch.is_empty()
    }

    /// Whether it is to be written now.
    pub fn is_full(&self) -> bool {
        self.batch.operations() >= MAX_AHEAD.0 || self.batch.bytes() >= MAX_AHEAD.1
    }

    /// Puts a journal record behind what is there.
    pub fn append(&mut self, run: &str, position: u64, record: Vec<u8>) {
        self.batch.append(run, position, record);
    }

    pub fn merge(&mut self, batch: Batch) {
        self.batch.merge(batch);
    }

    /// Takes what is to be written now.
    ///
    /// # Errors
    /// When the run's row cannot be written down.
    pub fn take(&mut self, run: &Run) -> Result<Batch, StoreError> {
        let batch = std::mem::take(&mut self.batch);
        match self.beginning.take() {
            None => Ok(batch),
            Some(beginning) => beginning.and(run, batch).map_err(|e| StoreError::Invalid(e.to_string())),
        }
    }

    /// What an execution leaves: the run's beginning, if that is not on disk, and what comes after it.
    pub fn into_parts(self) -> (Option<Beginning>, Batch) {
        (self.beginning, self.batch)
    }
}

//! How a run's journal is written: what stands ahead first, each batch under the lock that numbers its records.

use factotum_flow::Stop;
use factotum_store::{Batch, StoreError};

use super::{Durable, Halted, State};
use crate::journal::WriteRecord;

impl Durable<'_> {
    /// Commits what stands ahead, then `record` and `entries`, as one batch; returns when it is on disk. When the future
    /// is dropped before the batch was handed over, all of it stands ahead.
    pub(super) async fn write(&self, record: Option<Vec<u8>>, entries: Batch) -> Result<(), Stop> {
        let mut unwritten = Unwritten { durable: self, record, entries };
        let bytes = unwritten.record.as_ref().map_or(0, Vec::len) + unwritten.entries.bytes();
        let slot = self.engine.reserve(bytes).await;
        let submitted = slot.and_then(|slot| {
            let mut state = self.lock();
            unwritten.put(&mut state);
            // Handed over under the lock: the numbers of records and the order of batches are one.
            slot.submit(state.ahead.take(self.run)?)
        });
        drop(unwritten);
        let written = match submitted {
            Ok(pending) => pending.wait().await.map(drop),
            Err(error) => Err(error),
        };
        self.written(written)
    }

    /// What a commit that went wrong means for the run.
    pub(super) fn written(&self, written: Result<(), StoreError>) -> Result<(), Stop> {
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.is_conflict() => {
                Err(self.stuck(format!("someone else wrote into the run's journal: {error}")))
            }
            // Too large, or against a rule of the store: it would be refused again.
            Err(error @ StoreError::Invalid(_)) => {
                Err(self.stuck(format!("its journal cannot be written: {error}")))
            }
            Err(error) => {
                tracing::error!(run = %self.run.id, %error, "a run stops: its journal cannot be written");
                Err(self.halt(Halted::Abandon))
            }
        }
    }

    /// Puts on disk what the next effect may depend on. While the disk is nearly full, the run stands still here.
    pub(in crate::runs) async fn catch_up(&self) -> Result<(), Stop> {
        if !self.engine.await_space().await {
            return Err(self.halt(Halted::Abandon));
        }
        if self.lock().ahead.is_empty() { Ok(()) } else { self.write(None, Batch::new()).await }
    }

    /// Puts the run on disk, if it is not there.
    pub(in crate::runs) async fn put_on_disk(&self) -> Result<(), Stop> {
        let provisional = self.lock().ahead.is_provisional();
        if provisional { self.write(None, Batch::new()).await } else { Ok(()) }
    }

    /// Keeps in memory what is to be on disk before the next effect acts, up to a bound.
    pub(super) async fn put_ahead(&self, record: Vec<u8>, entries: Batch) -> Result<(), Stop> {
        let full = {
            let mut state = self.lock();
            state.put(&self.run.id, record);
            state.ahead.merge(entries);
            state.ahead.is_full()
        };
        if full { self.catch_up().await } else { Ok(()) }
    }

    pub(super) fn encode(&self, record: &WriteRecord<'_>) -> Result<Vec<u8>, Stop> {
        record.encode().map_err(|e| self.stuck(format!("a journal record cannot be written: {e}")))
    }
}

/// What is to be written, until it was handed over.
struct Unwritten<'d, 'r> {
    durable: &'d Durable<'r>,
    record: Option<Vec<u8>>,
    entries: Batch,
}

impl Unwritten<'_, '_> {
    fn put(&mut self, state: &mut State) {
        if let Some(record) = self.record.take() {
            state.put(&self.durable.run.id, record);
        }
        state.ahead.merge(std::mem::take(&mut self.entries));
    }
}

impl Drop for Unwritten<'_, '_> {
    fn drop(&mut self) {
        if self.record.is_some() || !self.entries.is_empty() {
            let durable = self.durable;
            self.put(&mut durable.lock());
        }
    }
}

impl State {
    /// Puts a journal record behind what stands ahead.
    pub(super) fn put(&mut self, run_id: &str, record: Vec<u8>) {
        self.ahead.append(run_id, self.next, record);
        self.next += 1;
    }
}

//! The contents of runs that ended are removed: first the rows say so, then everything goes, then the rows say that it is
//! done. What a crash interrupts is found by the rows and completed.

use factotum_store::{Batch, Expectation, ScanRange, StoreError, Table};

use super::Keeper;
use crate::runs::{Removed, Row, read_row};

/// The most entries of one kind that are looked up at once.
const PAGE: usize = 500;

/// A run that ended, and its row as it is stored.
pub(super) struct Ended {
    pub id: String,
    pub row: Row,
    before: Vec<u8>,
}

impl Keeper {
    /// A run that is over and has its contents; `None` for any other.
    pub(super) fn ended(&self, id: &str) -> Result<Option<Ended>, StoreError> {
        let Some(before) = self.engine.store.get(Table::Runs, id.as_bytes())? else { return Ok(None) };
        let row = read_row(id, &before)?;
        let is_whole = row.state.is_final() && row.removed.is_none();
        Ok(is_whole.then(|| Ended { id: id.to_owned(), row, before }))
    }

    /// Removes the contents of runs. `audit` is told which of them, and adds its entry to the batch that marks them. A run
    /// that somebody else changes at this moment is left as it is. Returns the runs that have no contents any more.
    pub(super) async fn empty(
        &self,
        runs: Vec<Ended>,
        removed: Removed,
        audit: impl Fn(&mut Batch, &[Ended]),
    ) -> Result<Vec<String>, StoreError> {
        let mut marked = Vec::new();
        if self.mark(&runs, removed, &audit).await? {
            marked.extend(runs.into_iter().map(|run| run.id));
        } else {
            for run in runs {
                if self.mark(std::slice::from_ref(&run), removed, &audit).await? {
                    marked.push(run.id);
                }
            }
        }
        self.complete(&marked).await?;
        Ok(marked)
    }

    async fn mark(
        &self,
        runs: &[Ended],
        removed: Removed,
        audit: &impl Fn(&mut Batch, &[Ended]),
    ) -> Result<bool, StoreError> {
        let mut batch = Batch::new();
        for Ended { id, row, before } in runs {
            let mut row = row.clone();
            // All of them are made of the message.
            (row.reason, row.dedupe_key, row.limited) = (None, None, None);
            row.removed = Some(Removed { left: true, ..removed });
            batch.expect(Table::Runs, id.as_str(), Expectation::Value(before.clone()));
            batch.put(Table::Runs, id.as_str(), encode(&row)?);
        }
        audit(&mut batch, runs);
        match self.engine.commit(batch).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes what is left of runs that are marked.
    pub(super) async fn complete(&self, ids: &[String]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let engine = &self.engine;
        engine.store.purge_journals(ids).await?;
        for id in ids {
            let stored = self.artifacts.of_run(id)?;
            self.artifacts.remove(&stored).await?;
            for subscription in self.subscriptions(id)? {
                engine.close_subscription(&subscription).await?;
            }
        }
        let mut batch = Batch::new();
        engine.forget_notices(&mut batch, ids)?;
        for id in ids {
            engine.forget_items(&mut batch, id)?;
            crate::backends::lent::forget(&engine.store, &mut batch, id)?;
            for kind in [b'o', b'k'] {
                let prefix = [&[kind], id.as_bytes(), &[0]].concat();
                for (key, _) in engine.store.scan(Table::Promises, &ScanRange::prefix(prefix).limit(PAGE))? {
                    batch.delete(Table::Promises, key);
                }
            }
            if let Some(before) = engine.store.get(Table::Runs, id.as_bytes())? {
                let mut row = read_row(id, &before)?;
                row.removed = row.removed.map(|removed| Removed { left: false, ..removed });
                batch.expect(Table::Runs, id.as_str(), Expectation::Value(before));
                batch.put(Table::Runs, id.as_str(), encode(&row)?);
            }
            if batch.operations() > PAGE {
                engine.commit(std::mem::take(&mut batch)).await?;
            }
        }
        engine.commit(batch).await.map(drop)
    }

    fn subscriptions(&self, run: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let prefix = [b"s", run.as_bytes(), &[0]].concat();
        let found = self.engine.store.scan(Table::Subscriptions, &ScanRange::prefix(prefix).limit(PAGE))?;
        Ok(found.into_iter().filter_map(|(key, _)| key.get(1..).map(<[u8]>::to_vec)).collect())
    }
}

fn encode(row: &Row) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(row).map_err(|e| StoreError::Invalid(e.to_string()))
}

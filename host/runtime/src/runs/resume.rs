//! Unfinished runs are taken up again from their journals.

use std::collections::BTreeMap;
use std::sync::Arc;

use factotum_store::{ScanRange, StoreError, Table};

use super::replay::{self, History};
use super::{Engine, Lane, Row, Run, RunState, row};
use crate::error::HostError;

/// The most records read at once.
const PAGE: usize = 1_000;
/// The most records of one journal. A run makes at most a hundred thousand steps.
const MAX_RECORDS: usize = 1_000_000;

impl Engine {
    /// Puts every run that was executing when the host went down in line. Waiting ones have their timers.
    pub(super) fn resume_all(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        let mut cursor = None;
        loop {
            let range = ScanRange::prefix(row::prefix(RunState::Running.as_str())).after(cursor).limit(PAGE);
            let page = self.store.scan(Table::RunsByState, &range)?;
            let Some((last, _)) = page.last() else { break };
            cursor = Some(last.clone());
            for id in page.iter().filter_map(|(key, _)| row::id_of_key(key)) {
                // One that cannot be read is parked when its turn comes.
                let row = self.row(id).ok().flatten();
                let lane = row.as_ref().map_or(Lane { flow: "", priority: 0 }, Row::lane);
                if self.queue.push(id, lane) {
                    count += 1;
                }
            }
        }
        if count > 0 {
            tracing::info!(count, "unfinished runs go on from their journals");
        }
        Ok(count)
    }

    /// The deployments that unfinished runs keep to, and how many runs each.
    pub fn unfinished_deployments(&self) -> Result<BTreeMap<String, usize>, HostError> {
        let mut counts = BTreeMap::new();
        let unfinished =
            [RunState::Running, RunState::Queued, RunState::Waiting, RunState::Stuck, RunState::Suspended];
        for state in unfinished {
            let mut cursor = None;
            loop {
                let range = ScanRange::prefix(row::prefix(state.as_str())).after(cursor).limit(PAGE);
                let page = self.store.scan(Table::RunsByState, &range).map_err(HostError::store)?;
                let Some((last, _)) = page.last() else { break };
                cursor = Some(last.clone());
                for id in page.iter().filter_map(|(key, _)| row::id_of_key(key)) {
                    if let Ok(Some(row)) = self.row(id) {
                        *counts.entry(row.deployment).or_insert(0) += 1;
                    }
                }
            }
        }
        Ok(counts)
    }

    /// Reads what is needed to execute a run; `None` when it is not to be executed any more. The error is the reason
    /// to park it.
    pub(super) async fn load(&self, id: &str) -> Result<Option<(Run, History)>, String> {
        let row = self.row(id).map_err(|e| e.to_string())?.ok_or("its row is missing")?;
        if row.state != RunState::Running {
            return Ok(None);
        }
        let history =
            replay::read(self.records(id)?.iter().map(|(number, record)| (*number, record.as_slice())))
                .map_err(|e| e.to_string())?;
        let deployment = self.deployments.by_digest(&row.deployment).await?;
        Ok(Some((Run { id: id.to_owned(), row, deployment: Arc::clone(&deployment) }, history)))
    }

    /// A whole journal.
    pub(crate) fn records(&self, id: &str) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let mut records = Vec::new();
        loop {
            let from = records.len() as u64;
            let page = self.store.journal(id, from, PAGE).map_err(|e| e.to_string())?;
            if page.is_empty() {
                return Ok(records);
            }
            records.extend(page);
            if records.len() > MAX_RECORDS {
                return Err(format!("its journal has more than {MAX_RECORDS} records"));
            }
        }
    }
}

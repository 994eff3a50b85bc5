//! Runs as people and programs see them: a line in a list, and the outcome.

use std::collections::BTreeSet;

use factotum_flow::FlowError;
use factotum_store::{ScanRange, Table};
use serde::Serialize;
use serde_json::Value;

use super::{Engine, Row, RunDetail, RunState, row};
use crate::error::{ErrorCode, HostError};
use crate::gate::Queued;
use crate::ids::is_run_id;
use crate::journal::{Outcome, ReadRecord, Record};
use crate::sla::{RunSla, SlaState, state_prefix};

/// The most runs on one page.
const MAX_PAGE: usize = 1_000;
/// The longest reason in a row, in characters.
const MAX_REASON: usize = 300;

/// A run, and its outcome once it has one. Times are milliseconds since the Unix epoch, written as RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunInfo {
    /// Its identifier.
    pub id: String,
    /// Its flow, `namespace/name`.
    pub flow: String,
    /// The version of the flow's document.
    pub flow_version: String,
    /// The digest of the deployment it keeps to.
    pub deployment: String,
    /// Where it stands.
    pub state: RunState,
    /// When it was accepted.
    #[serde(serialize_with = "crate::time::serde_ms::serialize")]
    pub started_at: u64,
    /// When it ended.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<u64>,
    /// When a waiting run goes on, or a queued one that waits for quiet starts.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub due: Option<u64>,
    /// Who started it.
    pub actor: String,
    /// What started it.
    pub trigger: String,
    /// The deduplication key it was started with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// One line on why it faulted or is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it has not started yet, while it is queued; of a run that is asked for by itself, also why it has no place to
    /// execute in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<Queued>,
    /// Within what time it is to respond and to resolve, if its flow says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sla: Option<RunSla>,
    /// That and why its input, history and output are gone; absent while they are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<String>,
    /// The output of a completed run. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The error of a faulted run. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FlowError>,
}

/// Which runs to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Only this flow's, `namespace/name`.
    pub flow: Option<String>,
    /// Only those in this state.
    pub state: Option<RunState>,
    /// Only those whose clocks are in this state.
    pub sla: Option<SlaState>,
    /// Only those of flows in these namespaces: what the asker may see.
    pub within: Option<BTreeSet<String>>,
    /// At most so many; 0 means 50.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

impl RunQuery {
    fn wants(&self, row: &Row) -> bool {
        let namespace = row.flow.split_once('/').map_or("", |(namespace, _)| namespace);
        self.state.is_none_or(|state| state == row.state)
            && self.flow.as_ref().is_none_or(|flow| *flow == row.flow)
            && self.within.as_ref().is_none_or(|within| within.contains(namespace))
    }
}

/// A page of runs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunInfo>,
    /// What to ask for the next page with; absent after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl RunInfo {
    pub(crate) fn new(id: &str, row: &Row, outcome: Option<Result<Value, FlowError>>) -> Self {
        let (output, error) = match outcome {
            Some(Ok(output)) => (Some(output), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Self {
            id: id.to_owned(),
            flow: row.flow.clone(),
            flow_version: row.version.clone(),
            deployment: row.deployment.clone(),
            state: row.state,
            started_at: row.started_at,
            ended_at: row.ended_at,
            due: row.due.or(row.limited.as_ref().and_then(|limited| limited.until)),
            actor: row.actor.clone(),
            trigger: row.trigger.clone(),
            dedupe_key: row.dedupe_key.clone(),
            reason: row.reason.clone(),
            queued: None,
            sla: None,
            removed: row.removed.map(|removed| removed.words()),
            output,
            error,
        }
    }
}

impl Engine {
    /// A page of runs, newest first. Every combination of flow and state walks an index.
    pub fn list(&self, query: &RunQuery) -> Result<RunPage, HostError> {
        let limit = if query.limit == 0 { 50 } else { query.limit.min(MAX_PAGE) };
        if let Some(cursor) = &query.cursor
            && !is_run_id(cursor)
        {
            return Err(HostError::new(ErrorCode::InvalidRequest, "this is no cursor of a list of runs")
                .hint("pass the `cursor` of the page before, unchanged"));
        }
        let (table, prefix) = match (&query.flow, query.state) {
            _ if let Some(sla) = query.sla => (Table::Sla, state_prefix(sla)),
            (Some(flow), _) => (Table::RunsByFlow, row::prefix(flow)),
            (None, Some(state)) => (Table::RunsByState, row::prefix(state.as_str())),
            (None, None) => (Table::Runs, Vec::new()),
        };
        let mut runs = Vec::new();
        let mut after = query.cursor.as_ref().map(|id| [prefix.as_slice(), id.as_bytes()].concat());
        // A flow's runs in a rare state may be far apart: look at many, but not at all of a million in one page.
        let mut looked_at = 0;
        loop {
            let range = ScanRange::prefix(prefix.clone()).after(after.clone()).limit(limit + 1).reverse();
            let page = self.store.scan(table, &range).map_err(HostError::store)?;
            let Some((last, _)) = page.last() else { return Ok(RunPage { runs, cursor: None }) };
            after = Some(last.clone());
            for (key, value) in page {
                looked_at += 1;
                let Some(id) = row::id_of_key(&key) else { continue };
                let row = if table == Table::Runs {
                    serde_json::from_slice(&value).ok()
                } else {
                    self.row(id).ok().flatten()
                };
                let Some(row) = row.filter(|row| query.wants(row)) else {
                    if looked_at >= 100 * MAX_PAGE {
                        return Ok(RunPage { runs, cursor: Some(id.to_owned()) });
                    }
                    continue;
                };
                if runs.len() == limit {
                    let cursor = runs.last().map(|run: &RunInfo| run.id.clone());
                    return Ok(RunPage { runs, cursor });
                }
                runs.push(self.told(id, &row, false));
            }
        }
    }

    /// A run and its outcome.
    pub fn info(&self, id: &str) -> Result<Option<RunInfo>, HostError> {
        let Some(row) = self.known_row(id)? else { return Ok(None) };
        let mut info = self.told(id, &row, true);
        match if row.state.is_final() { self.outcome(id)? } else { None } {
            Some(Ok(output)) => info.output = Some(output),
            Some(Err(error)) => info.error = Some(error),
            None => {}
        }
        Ok(Some(info))
    }

    /// A run with its history.
    pub fn detail(&self, id: &str) -> Result<Option<RunDetail>, HostError> {
        let Some(row) = self.known_row(id)? else { return Ok(None) };
        let mut detail =
            RunDetail { info: self.told(id, &row, true), input: Value::Null, history: Vec::new() };
        if row.removed.is_some() {
            // Of a removal that is under way, nothing is shown either.
            return Ok(Some(detail));
        }
        for (number, bytes) in self.records(id).map_err(HostError::store)? {
            match ReadRecord::decode(number, &bytes) {
                Ok(record) => detail.add(record),
                Err(error) => detail.unreadable(&error),
            }
        }
        Ok(Some(detail))
    }

    /// A run as it stands, and why it waits if it does; for a place to execute in only if it is asked for `alone`.
    fn told(&self, id: &str, row: &Row, alone: bool) -> RunInfo {
        let mut info = RunInfo::new(id, row, None);
        info.queued = match row.state {
            RunState::Queued => self.why_queued(id, &row.flow),
            RunState::Running if alone => self.why_not_executed(id, &row.flow),
            _ => None,
        };
        info.sla = self.shown_clocks(id, row);
        info
    }

    pub(super) fn known_row(&self, id: &str) -> Result<Option<Row>, HostError> {
        if is_run_id(id) { self.row(id).map_err(HostError::store) } else { Ok(None) }
    }

    fn outcome(&self, id: &str) -> Result<Option<Result<Value, FlowError>>, HostError> {
        let end = self.store.journal_end(id).map_err(HostError::store)?;
        let last = self.store.journal(id, end.saturating_sub(1), 1).map_err(HostError::store)?.pop();
        Ok(last.and_then(|(number, bytes)| match ReadRecord::decode(number, &bytes) {
            Ok(Record::Finished { outcome, .. }) => Some(outcome.into()),
            _ => None,
        }))
    }
}

impl From<Outcome<Value, FlowError>> for Result<Value, FlowError> {
    fn from(outcome: Outcome<Value, FlowError>) -> Self {
        match outcome {
            Outcome::Value(value) => Ok(value),
            Outcome::Error(error) => Err(error),
        }
    }
}

/// A text on one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let mut line: String =
        text.chars().take(MAX_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_REASON).is_some() {
        line.push('…');
    }
    line
}

//! Many runs are retried at once: found by a filter, counted first, up to a cap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use factotum_audit::Actor;
use serde::Serialize;

use super::control::invalid;
use super::retry::{RetryFlow, RetryRun};
use crate::error::HostError;
use crate::runs::{Engine, RunInfo, RunQuery, RunState};

/// The most runs that one request retries.
const MAX_CAP: usize = 1_000;
/// How many runs are looked at to find those that fit.
const MAX_LOOKED_AT: usize = 100_000;
/// The most refusals that are told one by one.
const MAX_TOLD: usize = 50;

/// Which runs.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only this flow's, `namespace/name`.
    pub flow: Option<String>,
    /// Those in this state: faulted, stuck or cancelled.
    pub state: Option<RunState>,
    /// Only those that ended, or else started, at this time or later: milliseconds since the Unix epoch.
    pub since: Option<u64>,
    /// Only those that ended, or else started, before this time.
    pub until: Option<u64>,
    /// Only those whose reason contains this text, in whatever case.
    pub reason: Option<String>,
    /// Only those of flows in these namespaces: what the asker may see.
    pub within: Option<BTreeSet<String>>,
}

/// What is needed to retry many runs.
#[derive(Debug, Clone)]
pub struct RetryRuns {
    /// Who retries them.
    pub actor: Actor,
    /// Which.
    pub filter: RunFilter,
    /// From which task on; the failed one of each when absent.
    pub from: Option<String>,
    /// With which flow.
    pub flow: RetryFlow,
    /// At most so many, up to 1000; the oldest first, as they came.
    pub cap: usize,
    /// Only say what would be done.
    pub preview: bool,
}

/// What became of a request about many runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RetriedRuns {
    /// How many runs fit the filter.
    pub matched: usize,
    /// Whether there may be more, because not all runs were looked at.
    pub more: bool,
    /// How many were retried, or would be.
    pub retried: usize,
    /// How many calls of each function that had been done or refused are made again.
    pub again: BTreeMap<String, usize>,
    /// How many were left because of the cap.
    pub left: usize,
    /// Those that cannot be retried, and why; the first 50.
    pub refused: BTreeMap<String, String>,
    /// How many cannot be.
    pub refusals: usize,
    /// Whether this only tells what would be done.
    pub preview: bool,
}

impl Engine {
    /// Retries many runs, or says what that would do.
    pub async fn retry_many(self: &Arc<Self>, request: RetryRuns) -> Result<RetriedRuns, HostError> {
        if request.cap == 0 || request.cap > MAX_CAP {
            return Err(invalid(format!("the cap is 1 to {MAX_CAP} runs"))
                .hint("retry more in several requests, each after a look at how the last went"));
        }
        let state = request.filter.state.unwrap_or(RunState::Faulted);
        if !matches!(state, RunState::Faulted | RunState::Stuck | RunState::Cancelled) {
            return Err(invalid("only runs that are faulted, stuck or cancelled are retried by a filter")
                .hint("retry others one by one, with --from"));
        }
        let (mut found, more) = self.matching(&request.filter, state)?;
        let mut told =
            RetriedRuns { matched: found.len(), more, preview: request.preview, ..RetriedRuns::default() };
        found.reverse();
        for run in found {
            if told.retried == request.cap {
                told.left += 1;
                continue;
            }
            let one = RetryRun {
                actor: request.actor.clone(),
                run_id: run.id.clone(),
                from: request.from.clone(),
                flow: request.flow,
                preview: request.preview,
            };
            match self.retry(one).await {
                Ok(retried) => {
                    told.retried += 1;
                    for call in retried.again.into_iter().filter(|call| call.known) {
                        *told.again.entry(call.function).or_default() += 1;
                    }
                }
                Err(error) if error.code.status() >= 500 => return Err(error),
                Err(error) => {
                    told.refusals += 1;
                    if told.refused.len() < MAX_TOLD {
                        told.refused.insert(run.id, error.message);
                    }
                }
            }
        }
        Ok(told)
    }

    /// The runs that fit, newest first, and whether there may be more.
    fn matching(&self, filter: &RunFilter, state: RunState) -> Result<(Vec<RunInfo>, bool), HostError> {
        let wanted = filter.reason.as_ref().map(|text| text.to_lowercase());
        let fits = |run: &RunInfo| {
            let when = run.ended_at.unwrap_or(run.started_at);
            filter.since.is_none_or(|since| when >= since)
                && filter.until.is_none_or(|until| when < until)
                && wanted.as_ref().is_none_or(|wanted| {
                    run.reason.as_ref().is_some_and(|reason| reason.to_lowercase().contains(wanted))
                })
        };
        let mut query = RunQuery {
            flow: filter.flow.clone(),
            state: Some(state),
            sla: None,
            within: filter.within.clone(),
            limit: 1_000,
            cursor: None,
        };
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.list(&query)?;
            looked_at += page.runs.len().max(1);
            found.extend(page.runs.into_iter().filter(|run| fits(run)));
            query.cursor = page.cursor;
            if query.cursor.is_none() {
                return Ok((found, false));
            }
            if looked_at >= MAX_LOOKED_AT {
                return Ok((found, true));
            }
        }
    }
}

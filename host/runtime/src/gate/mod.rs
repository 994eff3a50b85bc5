//! The gate: how many runs of a flow there may be (`document.metadata.limits`), who goes next, and why one waits.
//!
//! **What is promised.** A run that a limit holds back is accepted like any other: input, row and audit entry are on disk,
//! in the state `queued`, before anyone hears of it. It starts when its turn comes, whatever happens to the host.
//!
//! **What counts.** For `concurrency`, a run counts from its start to its end, also while it waits for a time, an event or
//! a person, and while a person has it stand still. One that is parked (`stuck`) does not: a poisoned run blocks nobody;
//! retried, it stands in line again, as every run does that is retried after its end. For `rate`, starts count, in a
//! sliding window. For `debounce`, a trigger replaces one with the same key that has not started yet: that one ends as
//! cancelled and names its successor, in the batch that accepts the other. The last of them starts when nothing came for
//! `after`, and while triggers keep coming, so long after the first as `maxWait` says: an endless stream of them holds up
//! nothing for ever.
//!
//! **Where it is kept.** The keys of a run stand in its row. An index ([`factotum_store::Table::Limits`]) has an entry for
//! every limited run that is not over, changed in the batches that change the row, and the starts of the time that rates
//! look back. From these the structure in memory ([`Gate`]) is made anew at each start of the host. A flow without limits
//! writes none of this.
//!
//! **Who is refused.** A flow's line has a bound (`queue`, else [`DEFAULT_QUEUE`]). Beyond it, whoever can be told to come
//! back (a webhook, the API) is told so, with a time, and nothing is kept: when the line will be half as long, as far as
//! the rate's window and the pace of its starts so far tell; a tick of a schedule is skipped, which is
//! audited. What was accepted elsewhere before (an event, a mail, a sub-flow of a run) is never refused by it. All flows
//! together have a bound as well ([`crate::Limits::max_held_runs`]): then the host is full, for everyone.
//!
//! **Sub-flows.** A run that another one waits for goes with the slot of the nearest run above it that holds one of the
//! same flow and key: a flow that calls itself does not wait for itself. Flows that call one another, each limited, can
//! come to wait for one another: the run that would close such a circle is cancelled, and whoever waits for it is told
//! with an error that it may catch (`deadlock.rs`). Debounce is for triggers only.
//!
//! **A changed flow.** The numbers that count are those of the deployed document. A run keeps the keys and the priority
//! that it was accepted with, and its deployment. Runs that were accepted before their flow had limits do not count. When
//! the flow is taken off, the numbers of the last deployment that its runs keep to hold on.

mod admission;
mod deadlock;
mod dispatch;
mod engine;
mod flow;
mod line;
mod look;
mod pace;
mod restore;
mod summary;
#[cfg(test)]
mod tests;
mod why;
mod window;

use std::sync::{Mutex, MutexGuard, PoisonError};

use factotum_flow::{FlowError, Limits};
use factotum_store::{Batch, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::ids;
use crate::runs::{Row, RunState};

pub(crate) use admission::Gate;
use admission::{Quiet, Ticket};
pub(crate) use dispatch::dispatch;
pub(crate) use engine::Entering;
use flow::{QuietRule, Rules};
pub use summary::FlowLimits;
pub use why::{Queued, WaitsFor};
use window::RateRule;

/// How many runs of a flow may wait when its document says nothing of it.
pub const DEFAULT_QUEUE: u64 = 1_000;
/// The longest key that is kept as it is, in bytes. Triggers choose what is in it.
const LONGEST_KEY: usize = 160;
/// The first byte of the index entries of runs, and of those of starts.
const RUN: u8 = b'm';
const START: u8 = b's';

/// What a limited run's row says of its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limited {
    /// The key under which it holds a slot; none when it goes with the slot of a run above it.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The key under which its start counts.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub rate: String,
    /// The key under which triggers replace one another.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub debounce: Option<String>,
    /// When the first came of those that replaced one another, in milliseconds since the Unix epoch.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Until when it waits for one that replaces it, in milliseconds since the Unix epoch.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Whether another run waits for its end.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub awaited: bool,
    /// 0 to 9.
    #[serde(rename = "p", default)]
    pub priority: u8,
    /// When it started, in milliseconds since the Unix epoch; none while it waits.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub admitted_at: Option<u64>,
}

/// An entry of the index: a run that is not over.
#[derive(Debug, Serialize, Deserialize)]
struct Indexed {
    /// When it was accepted.
    #[serde(rename = "a")]
    at: u64,
    #[serde(rename = "l")]
    limited: Limited,
}

impl Limited {
    /// The keys and the priority of an input.
    fn of(limits: &Limits, input: &Value) -> Result<Self, FlowError> {
        let key = |key: Option<&factotum_flow::LimitKey>| {
            key.map_or(Ok(String::new()), |key| key.key(input).map(|key| bounded(&key)))
        };
        let slot = key(limits.concurrency.as_ref().and_then(|limit| limit.key.as_ref()))?;
        let rate = key(limits.rate.as_ref().and_then(|rate| rate.limit.key.as_ref()))?;
        let debounce = limits.debounce.as_ref().map(|debounce| key(debounce.key.as_ref())).transpose()?;
        let priority = limits.priority.as_ref().map_or(Ok(0), |priority| priority.of(input))?;
        Ok(Self {
            slot: Some(slot),
            rate,
            debounce,
            since: None,
            until: None,
            awaited: false,
            priority,
            admitted_at: None,
        })
    }

    /// How it waits for quiet, if it does; one of an earlier edition of the host came when it was accepted (`at`).
    fn quiet(&self, at: u64) -> Option<Quiet> {
        Some(Quiet { since: self.since.unwrap_or(at), until: self.until? })
    }

    fn ticket(&self, flow: &str, at: u64) -> Ticket {
        Ticket {
            flow: flow.to_owned(),
            at,
            slot: self.slot.clone(),
            rate: self.rate.clone(),
            debounce: self.debounce.clone(),
            awaited: self.awaited,
            priority: self.priority,
        }
    }
}

/// The numbers of a document's limits.
fn rules(limits: &Limits) -> Rules {
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Rules {
        concurrency: limits.concurrency.as_ref().map(|limit| limit.max),
        rate: limits.rate.as_ref().map(|rate| RateRule { max: rate.limit.max, per: ms(rate.per) }),
        debounce: limits
            .debounce
            .as_ref()
            .map(|debounce| QuietRule { after: ms(debounce.after), max_wait: ms(debounce.max_wait) }),
        queue: limits.queue.unwrap_or(DEFAULT_QUEUE),
    }
}

/// A key of bounded length: a long one keeps its beginning and a digest of the whole.
fn bounded(key: &str) -> String {
    if key.len() <= LONGEST_KEY {
        return key.to_owned();
    }
    let mut end = LONGEST_KEY / 2;
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    let digest = ids::digest_parts("limit", &[key.as_bytes()], 16);
    format!("{}…{digest}", key.get(..end).unwrap_or_default())
}

/// Whether a run of this row counts as under way.
fn is_under_way(row: &Row) -> bool {
    match row.state {
        RunState::Running | RunState::Waiting => true,
        RunState::Suspended => row.limited.as_ref().is_some_and(|limited| limited.admitted_at.is_some()),
        _ => false,
    }
}

/// Adds to the batch of a row's change what the index says of it from then on.
pub(crate) fn put_index(
    batch: &mut Batch,
    id: &str,
    row: &Row,
    was: Option<RunState>,
) -> serde_json::Result<()> {
    let Some(limited) = &row.limited else { return Ok(()) };
    let key = index_key(RUN, &row.flow, id.as_bytes());
    if row.state == RunState::Queued || is_under_way(row) {
        let goes_on = |state| matches!(state, RunState::Running | RunState::Waiting);
        if !(was.is_some_and(goes_on) && goes_on(row.state)) {
            let indexed = Indexed { at: row.started_at, limited: (**limited).clone() };
            batch.put(Table::Limits, key, serde_json::to_vec(&indexed)?);
        }
    } else {
        batch.delete(Table::Limits, key);
    }
    Ok(())
}

fn index_key(kind: u8, flow: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(flow.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

/// The flow and the rest of an index key.
fn parts(key: &[u8]) -> Option<(&str, &[u8])> {
    let zero = key.iter().position(|b| *b == 0)?;
    Some((std::str::from_utf8(key.get(1..zero)?).ok()?, key.get(zero + 1..)?))
}

/// The gate as the engine has it.
pub(crate) struct AtTheGate {
    gate: Mutex<Gate>,
    /// Says that there may be someone to start, or that one who waits for quiet is on disk.
    pub changed: Notify,
    arrived: Notify,
    /// The dispatcher found the line before the host's places full.
    pub blocked: std::sync::atomic::AtomicBool,
    /// Whether limits hold. They do not where runs only show what they would do.
    enforced: bool,
}

impl AtTheGate {
    pub fn new(bound: usize, enforced: bool) -> Self {
        Self {
            gate: Mutex::new(Gate::new(bound)),
            changed: Notify::new(),
            arrived: Notify::new(),
            blocked: std::sync::atomic::AtomicBool::new(false),
            enforced,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

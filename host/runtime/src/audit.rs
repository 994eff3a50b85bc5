//! What this room writes into the audit log, one function for each kind of entry.
//!
//! Every function adds to the batch of the change it speaks of, so that both are on disk or neither. Payloads enter by
//! digest only.

mod calls;
mod changes;
mod mail;

use calls::payload;
pub(crate) use calls::{Called, direct_call, direct_call_begun, run_call, run_request, run_script};
pub(crate) use changes::{
    PluginAdded, flow_deployed, flow_removed, plugin_added, plugin_refused, plugin_removed,
};
pub(crate) use mail::{
    mail_dismissed, mail_kept_aside, mail_sent, mail_skipped, mail_taken, mailbox_connected, mailbox_failed,
    notice_given_up, notice_mailed,
};

use factotum_audit::{Actor, EntryBuilder, Outcome};
use factotum_flow::{FlowError, Position};
use factotum_store::Batch;
use serde_json::Value;

use crate::events::Stored;
use crate::runs::{Engine, Row, Run, RunState};

/// What the host does to a run by itself.
fn by_host<'a>(engine: &'a Engine, action: &str, target: &str, run: &str) -> EntryBuilder<'a> {
    engine.audit.entry(&Actor::System, action, target).run(run)
}

/// A run was accepted. `record` is the journal record that holds its input.
pub(crate) fn run_started(batch: &mut Batch, engine: &Engine, run: &Run, actor: &Actor, record: &[u8]) {
    let mut entry = engine
        .audit
        .entry(actor, "run.start", &run.row.flow)
        .outcome(Outcome::Started)
        .run(&run.id)
        .payload("record", record)
        .detail("deployment", &run.row.deployment)
        .detail("trigger", &run.row.trigger);
    if run.row.state == RunState::Queued {
        entry = entry.detail("state", run.row.state.as_str());
    }
    if let Some(key) = &run.row.dedupe_key {
        entry = entry.payload("dedupe-key", key.as_bytes());
    }
    entry.add_to(batch);
}

/// A run ended. `record` is the journal record that holds its outcome.
pub(crate) fn run_ended(
    batch: &mut Batch,
    engine: &Engine,
    run: &Run,
    error: Option<&FlowError>,
    record: &[u8],
) {
    let outcome = match (run.row.state, error) {
        (RunState::Cancelled, _) => Outcome::Cancelled,
        (_, Some(error)) => of_error(error),
        (_, None) => Outcome::Ok,
    };
    let actor = Actor::Flow(run.row.flow.clone());
    engine
        .audit
        .entry(&actor, "run.end", &run.row.flow)
        .outcome(outcome)
        .run(&run.id)
        .payload("record", record)
        .detail("state", run.row.state.as_str())
        .add_to(batch);
}

/// A run that its flow's limits held back starts.
pub(crate) fn run_admitted(batch: &mut Batch, engine: &Engine, row: &Row, id: &str, now: u64) {
    by_host(engine, "run.admit", &row.flow, id)
        .detail("waited-ms", &now.saturating_sub(row.started_at).to_string())
        .add_to(batch);
}

/// A run that waited was replaced by a later one. `record` is the journal record that says so.
pub(crate) fn run_superseded(
    batch: &mut Batch,
    engine: &Engine,
    flow: &str,
    id: &str,
    by: &str,
    record: &[u8],
) {
    by_host(engine, "run.end", flow, id)
        .outcome(Outcome::Cancelled)
        .payload("record", record)
        .detail("state", RunState::Cancelled.as_str())
        .detail("superseded-by", by)
        .add_to(batch);
}

/// A scheduled start was left out.
pub(crate) fn start_skipped(batch: &mut Batch, engine: &Engine, flow: &str, due: u64, reason: &str) {
    engine
        .audit
        .entry(&Actor::System, "schedule.skip", flow)
        .outcome(Outcome::Denied)
        .detail("due", &crate::time::rfc3339(due))
        .detail("reason", reason)
        .add_to(batch);
}

/// An event came in from outside.
pub(crate) fn event_published(batch: &mut Batch, engine: &Engine, actor: &Actor, event: &Value) {
    event_entry(engine, actor, event, None).add_to(batch);
}

/// A run published an event.
pub(crate) fn event_emitted(
    batch: &mut Batch,
    engine: &Engine,
    actor: &Actor,
    run: &Run,
    at: &Position,
    event: &Stored,
) {
    event_entry(engine, actor, &event.event, event.shown.as_ref()).run(&run.id).task(at.key()).add_to(batch);
}

fn event_entry<'a>(
    engine: &'a Engine,
    actor: &Actor,
    event: &Value,
    shown: Option<&Value>,
) -> EntryBuilder<'a> {
    let text = |name| shown.unwrap_or(event).get(name).and_then(Value::as_str).unwrap_or_default();
    let entry = engine
        .audit
        .entry(actor, "event.publish", text("type"))
        .detail("source", text("source"))
        .detail("id", text("id"));
    payload(entry, "event", event)
}

/// A run was parked.
pub(crate) fn run_parked(batch: &mut Batch, engine: &Engine, id: &str, reason: &str) {
    by_host(engine, "run.park", id, id)
        .outcome(Outcome::TechnicalFault)
        .detail("reason", reason)
        .add_to(batch);
}

/// A person had a run retried.
pub(crate) fn run_retried(
    batch: &mut Batch,
    engine: &Engine,
    actor: &Actor,
    flow: &str,
    retried: &crate::repair::Retried,
    set_aside: usize,
) {
    let mut entry = engine
        .audit
        .entry(actor, "run.retry", flow)
        .run(&retried.run_id)
        .detail("was", retried.was.as_str())
        .detail("deployment", &retried.deployment)
        .detail("set-aside", &set_aside.to_string());
    if let Some(from) = &retried.from {
        entry = entry.detail("from", from);
    }
    entry.add_to(batch);
}

/// A person wants something of a run, or lets it go on.
pub(crate) fn run_intervened(
    batch: &mut Batch,
    engine: &Engine,
    actor: &Actor,
    action: &str,
    flow: &str,
    id: &str,
    reason: Option<&str>,
) {
    let entry = engine.audit.entry(actor, action, flow).run(id);
    let entry = if let Some(reason) = reason { entry.detail("reason", reason) } else { entry };
    entry.add_to(batch);
}

/// Something happened to a question to a person; with an answer, its outcome in a word and its bytes.
pub(crate) fn inbox(
    batch: &mut Batch,
    engine: &Engine,
    actor: &Actor,
    action: &str,
    item: &str,
    promise: &crate::runs::PromiseId,
    answer: Option<(&str, &[u8])>,
) {
    let mut entry = engine.audit.entry(actor, action, item).run(&promise.run).task(&promise.key);
    if let Some((outcome, bytes)) = answer {
        entry = entry.detail("outcome", outcome).payload("answer", bytes);
    }
    entry.add_to(batch);
}

/// A run was ended as it was. `record` is the journal record that says so.
pub(crate) fn run_aborted(batch: &mut Batch, engine: &Engine, by: &str, flow: &str, id: &str, record: &[u8]) {
    engine
        .audit
        .entry(&Actor::Flow(flow.to_owned()), "run.end", flow)
        .outcome(Outcome::Cancelled)
        .run(id)
        .payload("record", record)
        .detail("state", RunState::Cancelled.as_str())
        .detail("by", by)
        .add_to(batch);
}

fn of_error(error: &FlowError) -> Outcome {
    match error.extra.get("kind") {
        Some(Value::String(kind)) if kind == "technical" => Outcome::TechnicalFault,
        Some(Value::String(kind)) if kind == "business" && error.status == 403 => Outcome::Denied,
        Some(_) => Outcome::BusinessFault,
        None if error.status >= 500 => Outcome::TechnicalFault,
        None => Outcome::BusinessFault,
    }
}

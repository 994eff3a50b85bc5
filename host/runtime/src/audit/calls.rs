//! Entries of calls of plugins, of flows' own requests and scripts, and of what they used.

use factotum_audit::{Actor, AuditLog, EntryBuilder, Outcome};
use factotum_flow::{FlowError, Position};
use factotum_grant::{Capability, DataDenial};
use factotum_sandbox::{CallFault, CallReport, CapabilityUse, FaultKind, UseOutcome};
use factotum_store::Batch;
use serde_json::Value;

use super::of_error;
use crate::actions::Pin;
use crate::masking::Secret;
use crate::requests::{Exchange, Used};
use crate::runs::{Engine, Run};

/// A call of a run: which, and how it went.
pub(crate) struct Called<'a> {
    pub run: &'a Run,
    pub at: &'a Position,
    pub pin: &'a Pin,
    pub with: &'a Value,
    pub result: Result<&'a Value, &'a FlowError>,
    pub attempt: u32,
    pub uses: &'a [CapabilityUse],
    /// Why the plugin was not even started.
    pub not_given: Option<&'a DataDenial>,
    /// What must not stand in the log.
    pub secret: &'a Secret,
}

/// One attempt of a call, and what it used.
pub(crate) fn run_call(batch: &mut Batch, engine: &Engine, called: &Called<'_>) {
    let Called { run, pin, with, result, attempt, uses, .. } = *called;
    fn place<'a>(entry: EntryBuilder<'a>, called: &Called<'_>) -> EntryBuilder<'a> {
        entry.run(&called.run.id).task(called.at.key())
    }
    let actor = Actor::Flow(run.row.flow.clone());
    let mut entry = place(plugin_call(&engine.audit, &actor, pin, with), called)
        .outcome(result.err().map_or(Outcome::Ok, of_error))
        .detail("attempt", &attempt.to_string());
    match result {
        Ok(output) => entry = payload(entry, "output", output),
        Err(error) => {
            if let Some(Value::String(code)) = error.extra.get("code") {
                entry = entry.detail("code", code);
            }
        }
    }
    not_given(entry, called.not_given).add_to(batch);
    for used in unwritten(uses) {
        let used = CapabilityUse { target: called.secret.masked(&used.target), ..used.clone() };
        place(use_entry(&engine.audit, &pin.plugin, &used), called).add_to(batch);
    }
}

/// One attempt of a request of the flow's own: an entry for each request on the way, with the status of its answer.
pub(crate) fn run_request(
    batch: &mut Batch,
    engine: &Engine,
    run: &Run,
    at: &Position,
    attempt: u32,
    exchange: &Exchange,
    secret: &Secret,
) {
    let actor = Actor::Flow(run.row.flow.clone());
    for Used { place, outcome } in &exchange.used {
        let action = format!("capability.http.{}", place.method.to_ascii_lowercase());
        let entry = engine
            .audit
            .entry(&actor, &action, &secret.masked(&place.target))
            .run(&run.id)
            .task(at.key())
            .detail("attempt", &attempt.to_string());
        let entry = match outcome {
            Ok(status) => entry.detail("status", &status.to_string()),
            Err(error) => match error.denial() {
                Some(denial) => {
                    tracing::warn!(
                        flow = run.row.flow,
                        "{}; the least grant for it: {}",
                        denial.message,
                        denial.mend
                    );
                    let why = entry.outcome(Outcome::Denied).detail("why", &denial.message);
                    why.detail("mend", &denial.mend)
                }
                None => entry.outcome(Outcome::TechnicalFault).detail("code", error.code()),
            },
        };
        entry.add_to(batch);
    }
}

/// A script of the flow was run.
pub(crate) fn run_script(
    batch: &mut Batch,
    engine: &Engine,
    run: &Run,
    at: &Position,
    input: &Value,
    result: Result<&Value, &FlowError>,
) {
    let actor = Actor::Flow(run.row.flow.clone());
    let entry = engine.audit.entry(&actor, "script.run", at.pointer()).run(&run.id).task(at.key());
    let entry = payload(entry, "input", input);
    match result {
        Ok(output) => {
            let code = output.get("code").map(ToString::to_string).unwrap_or_default();
            payload(entry, "output", output).detail("exit", &code)
        }
        Err(error) => entry.outcome(of_error(error)),
    }
    .add_to(batch);
}

/// Which data the grant keeps away from the plugin, and where in the argument it stands.
fn not_given<'a>(entry: EntryBuilder<'a>, denial: Option<&DataDenial>) -> EntryBuilder<'a> {
    match denial {
        Some(denial) => entry.detail("why", &denial.message).detail("mend", &denial.mend),
        None => entry,
    }
}

/// A direct call is about to be made. What it used is written with its outcome, and a host that is killed in between does
/// not make it again, as it would a run's: this entry is what tells of it.
pub(crate) fn direct_call_begun(batch: &mut Batch, audit: &AuditLog, actor: &Actor, pin: &Pin, with: &Value) {
    plugin_call(audit, actor, pin, with).outcome(Outcome::Started).add_to(batch);
}

/// A direct call, and what it used.
pub(crate) fn direct_call(
    batch: &mut Batch,
    audit: &AuditLog,
    actor: &Actor,
    pin: &Pin,
    with: &Value,
    report: &CallReport,
) {
    let CallReport { result, uses, not_given: refused, .. } = report;
    let entry = plugin_call(audit, actor, pin, with);
    let entry = match result {
        Ok(output) => payload(entry, "output", output),
        Err(fault) => entry.outcome(of_fault(fault)).detail("code", &fault.code),
    };
    not_given(entry, refused.as_ref()).add_to(batch);
    for used in unwritten(uses) {
        use_entry(audit, &pin.plugin, used).add_to(batch);
    }
}

fn plugin_call<'a>(audit: &'a AuditLog, actor: &Actor, pin: &Pin, with: &Value) -> EntryBuilder<'a> {
    let target = format!("{}/{}", pin.plugin, pin.function);
    let entry = audit
        .entry(actor, "plugin.call", &target)
        .detail("plugin", &pin.plugin)
        .detail("version", &pin.version.to_string())
        .detail("digest", &pin.digest);
    payload(entry, "input", with)
}

/// A JSON value as a payload.
pub(super) fn payload<'a>(entry: EntryBuilder<'a>, name: &str, value: &Value) -> EntryBuilder<'a> {
    // A JSON value with string keys always serialises.
    entry.payload(name, &serde_json::to_vec(value).unwrap_or_default())
}

/// Uses that no one else wrote down: a mail that was sent is written by whoever sent it, together with its receipt.
fn unwritten(uses: &[CapabilityUse]) -> impl Iterator<Item = &CapabilityUse> {
    uses.iter().filter(|used| !(used.capability == Capability::Mail && used.outcome == UseOutcome::Ok))
}

fn use_entry<'a>(audit: &'a AuditLog, plugin: &str, used: &CapabilityUse) -> EntryBuilder<'a> {
    let action = format!("capability.{}.{}", used.capability, used.action.to_ascii_lowercase());
    let entry = audit.entry(&Actor::Plugin(plugin.to_owned()), &action, &used.target);
    let entry = if used.count > 1 { entry.detail("count", &used.count.to_string()) } else { entry };
    match &used.outcome {
        UseOutcome::Ok => entry,
        UseOutcome::Denied { mend } => entry.outcome(Outcome::Denied).detail("mend", mend),
        UseOutcome::Failed { code } => entry.outcome(Outcome::TechnicalFault).detail("code", code),
    }
}

fn of_fault(fault: &CallFault) -> Outcome {
    match fault.kind {
        FaultKind::Technical => Outcome::TechnicalFault,
        FaultKind::Business if matches!(fault.code.as_str(), "denied" | "data-not-allowed") => {
            Outcome::Denied
        }
        FaultKind::Business => Outcome::BusinessFault,
    }
}

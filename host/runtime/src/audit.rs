//! What this room writes into the audit log, one function for each kind of entry.
//!
//! Every function adds to the batch of the change it speaks of, so that both are on disk or neither. Payloads enter by
//! digest only.

use factotum_audit::{Actor, AuditLog, EntryBuilder, Outcome};
use factotum_flow::{FlowError, Position};
use factotum_grant::{Capability, DataDenial};
use factotum_mailbox::Place;
use factotum_sandbox::{CallFault, CallReport, CapabilityUse, FaultKind, UseOutcome};
use factotum_store::Batch;
use serde_json::Value;

use crate::actions::Pin;
use crate::events::Stored;
use crate::flows::Deployment;
use crate::mailboxes::KeptAside;
use crate::masking::Secret;
use crate::requests::{Exchange, Used};
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

/// A message started a run. `raw` is the whole of it.
pub(crate) fn mail_taken(
    batch: &mut Batch,
    engine: &Engine,
    folder: &str,
    place: &Place,
    run: &str,
    raw: &[u8],
) {
    mail_entry(engine, "mail.take", folder, place).run(run).payload("message", raw).add_to(batch);
}

/// A message was passed over.
pub(crate) fn mail_skipped(batch: &mut Batch, engine: &Engine, folder: &str, place: &Place, reason: &str) {
    mail_entry(engine, "mail.skip", folder, place)
        .outcome(Outcome::Denied)
        .detail("reason", reason)
        .add_to(batch);
}

/// A message was kept aside.
pub(crate) fn mail_kept_aside(
    batch: &mut Batch,
    engine: &Engine,
    folder: &str,
    place: &Place,
    id: &str,
    reason: &str,
) {
    mail_entry(engine, "mail.keep-aside", folder, place)
        .outcome(Outcome::BusinessFault)
        .detail("id", id)
        .detail("reason", reason)
        .add_to(batch);
}

/// Somebody wants a message that was kept aside to be forgotten.
pub(crate) fn mail_dismissed(batch: &mut Batch, engine: &Engine, actor: &Actor, kept: &KeptAside) {
    let folder = format!("{}/{}", kept.mailbox, kept.folder);
    engine.audit.entry(actor, "mail.dismiss", &folder).detail("id", &kept.id).add_to(batch);
}

fn mail_entry<'a>(engine: &'a Engine, action: &str, folder: &str, place: &Place) -> EntryBuilder<'a> {
    let number = format!("{}/{}", place.uid_validity, place.uid);
    engine.audit.entry(&Actor::System, action, folder).detail("uid", &number)
}

/// A mailbox cannot be read.
pub(crate) fn mailbox_failed(batch: &mut Batch, engine: &Engine, folder: &str, reason: &str) {
    engine
        .audit
        .entry(&Actor::System, "mailbox.fail", folder)
        .outcome(Outcome::TechnicalFault)
        .detail("reason", reason)
        .add_to(batch);
}

/// A mailbox can be read again.
pub(crate) fn mailbox_connected(batch: &mut Batch, engine: &Engine, folder: &str) {
    engine.audit.entry(&Actor::System, "mailbox.connect", folder).add_to(batch);
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

/// A mail was handed over for delivery. The addresses are a customer's data: the log holds their domains, and a keyed digest
/// of the whole list.
pub(crate) fn mail_sent(
    batch: &mut Batch,
    audit: &AuditLog,
    plugin: &str,
    run: Option<&str>,
    task: Option<&str>,
    message_id: &str,
    recipients: &str,
) {
    let mut entry = audit
        .entry(&Actor::Plugin(plugin.to_owned()), "capability.mail.send", &shortened(recipients))
        .payload("recipients", recipients.as_bytes())
        .detail("message-id", message_id);
    if let Some(run) = run {
        entry = entry.run(run);
    }
    if let Some(task) = task {
        entry = entry.task(task);
    }
    entry.add_to(batch);
}

/// Addresses, each with the first letter of its mailbox only.
fn shortened(recipients: &str) -> String {
    let shorten = |address: &str| match address.rsplit_once('@') {
        Some((mailbox, domain)) => {
            format!("{}…@{domain}", mailbox.chars().next().map(String::from).unwrap_or_default())
        }
        None => "…".to_owned(),
    };
    recipients.split(", ").map(shorten).collect::<Vec<_>>().join(", ")
}

/// A flow was deployed.
pub(crate) fn flow_deployed(batch: &mut Batch, engine: &Engine, actor: &Actor, deployment: &Deployment) {
    let mut entry = engine
        .audit
        .entry(actor, "flow.deploy", &deployment.flow.id())
        .detail("deployment", &deployment.digest)
        .detail("version", &deployment.flow.document().version.to_string());
    let declassified = deployment.flow.declassified();
    if !declassified.is_empty() {
        // First, and counted, so that many calls do not hide it.
        entry = entry.detail("declassifies", &declassified.len().to_string());
    }
    for (n, task) in declassified.iter().take(6).enumerate() {
        let said = format!("{} of {}: {}", task.path, task.names(), task.reason);
        entry = entry.detail(&format!("declassify-{}", n.saturating_add(1)), &said);
    }
    for pin in deployment.pins().iter().take(12) {
        entry = entry.detail(&pin.call, &format!("{} {} {}", pin.plugin, pin.version, pin.digest));
    }
    entry.add_to(batch);
}

/// A flow was taken off.
pub(crate) fn flow_removed(batch: &mut Batch, engine: &Engine, actor: &Actor, deployment: &Deployment) {
    engine
        .audit
        .entry(actor, "flow.remove", &deployment.flow.id())
        .detail("deployment", &deployment.digest)
        .add_to(batch);
}

/// A plugin as it was installed; grants and configuration as they are kept.
pub(crate) struct PluginAdded<'a> {
    pub plugin: &'a str,
    pub version: &'a str,
    pub digest: &'a str,
    pub grants: &'a str,
    pub config: &'a [u8],
}

/// A plugin was installed, or its grants or configuration were changed.
pub(crate) fn plugin_added(batch: &mut Batch, audit: &AuditLog, actor: &Actor, added: &PluginAdded<'_>) {
    audit
        .entry(actor, "plugin.add", added.plugin)
        .detail("version", added.version)
        .detail("digest", added.digest)
        .detail("grants", added.grants)
        .payload("grants", added.grants.as_bytes())
        .payload("config", added.config)
        .add_to(batch);
}

/// Someone tried to install a plugin and was refused.
pub(crate) fn plugin_refused(batch: &mut Batch, audit: &AuditLog, actor: &Actor, plugin: &str, why: &str) {
    audit.entry(actor, "plugin.add", plugin).outcome(Outcome::Denied).detail("reason", why).add_to(batch);
}

/// A plugin was removed.
pub(crate) fn plugin_removed(
    batch: &mut Batch,
    audit: &AuditLog,
    actor: &Actor,
    plugin: &str,
    version: &str,
    digest: &str,
) {
    audit
        .entry(actor, "plugin.remove", plugin)
        .detail("version", version)
        .detail("digest", digest)
        .add_to(batch);
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

fn payload<'a>(entry: EntryBuilder<'a>, name: &str, value: &Value) -> EntryBuilder<'a> {
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

fn of_error(error: &FlowError) -> Outcome {
    match error.extra.get("kind") {
        Some(Value::String(kind)) if kind == "technical" => Outcome::TechnicalFault,
        Some(Value::String(kind)) if kind == "business" && error.status == 403 => Outcome::Denied,
        Some(_) => Outcome::BusinessFault,
        None if error.status >= 500 => Outcome::TechnicalFault,
        None => Outcome::BusinessFault,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shortened_to_a_letter_and_their_domain() {
        assert_eq!(shortened("ann@example.com, 李@例.com"), "a…@example.com, 李…@例.com");
        assert_eq!(shortened("nobody"), "…");
    }
}

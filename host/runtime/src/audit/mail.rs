//! Entries of mail, in and out.

use factotum_audit::{Actor, AuditLog, EntryBuilder, Outcome};
use factotum_mailbox::Place;
use factotum_store::Batch;

use crate::mailboxes::KeptAside;
use crate::runs::Engine;

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

/// A mail of notices was handed over for delivery.
pub(crate) fn notice_mailed(batch: &mut Batch, engine: &Engine, to: &str, message_id: &str, runs: &[String]) {
    let entry = engine.audit.entry(&Actor::System, "notice.mail", &shortened(to));
    of_run(entry.detail("message-id", message_id), runs).add_to(batch);
}

/// A mail of notices is tried no more.
pub(crate) fn notice_given_up(
    batch: &mut Batch,
    engine: &Engine,
    to: &str,
    tries: u32,
    reason: &str,
    runs: &[String],
) {
    let entry = engine
        .audit
        .entry(&Actor::System, "notice.give-up", &shortened(to))
        .outcome(Outcome::TechnicalFault)
        .detail("tries", &tries.to_string())
        .detail("reason", reason);
    of_run(entry, runs).add_to(batch);
}

/// Names the run that a mail tells of, when it is one.
fn of_run<'a>(entry: EntryBuilder<'a>, runs: &[String]) -> EntryBuilder<'a> {
    match runs {
        [run] => entry.run(run),
        _ => entry,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shortened_to_a_letter_and_their_domain() {
        assert_eq!(shortened("ann@example.com, 李@例.com"), "a…@example.com, 李…@例.com");
        assert_eq!(shortened("nobody"), "…");
    }
}

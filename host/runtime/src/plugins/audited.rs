//! What changes of grants and upgrades write into the audit log: who, what, and the difference in words. Each function adds
//! to the batch of the change it speaks of.

use factotum_audit::{Actor, AuditLog, Outcome};
use factotum_grant::Grants;
use factotum_store::Batch;
use semver::Version;

use super::{GrantChange, MoreAsked, Record};

/// The most lines of a difference that one entry holds; the digests commit to the whole.
const MAX_LINES: usize = 5;

/// Adds lines as `name.1`, `name.2`, …
fn lines<'a>(
    mut entry: factotum_audit::EntryBuilder<'a>,
    name: &str,
    lines: &[&str],
) -> factotum_audit::EntryBuilder<'a> {
    for (number, line) in lines.iter().take(MAX_LINES).enumerate() {
        entry = entry.detail(&format!("{name}.{}", number + 1), line);
    }
    if let Some(rest) = lines.len().checked_sub(MAX_LINES).filter(|rest| *rest > 0) {
        entry = entry.detail(&format!("{name}.more"), &rest.to_string());
    }
    entry
}

fn toml(grants: &Grants) -> Vec<u8> {
    // What was read from TOML can be written as TOML.
    grants.to_toml().unwrap_or_default().into_bytes()
}

/// A change of one version's grants: `plugin.grant` or `plugin.revoke`.
pub(super) fn granted(
    batch: &mut Batch,
    audit: &AuditLog,
    actor: &Actor,
    action: &str,
    record: &Record,
    (before, after): (&Grants, &Grants),
) {
    let entry = audit
        .entry(actor, action, &record.name)
        .detail("version", &record.version.to_string())
        .payload("before", &toml(before))
        .payload("after", &toml(after));
    with_change(entry, &GrantChange::between(before, after)).add_to(batch);
}

/// The entry with what was gained and lost, in words.
pub(crate) fn with_change<'a>(
    entry: factotum_audit::EntryBuilder<'a>,
    change: &GrantChange,
) -> factotum_audit::EntryBuilder<'a> {
    let english = |told: &'_ [super::Told]| told.iter().map(|told| told.en.clone()).collect::<Vec<_>>();
    let (gained, lost) = (english(&change.gained), english(&change.lost));
    let entry = lines(entry, "gained", &gained.iter().map(String::as_str).collect::<Vec<_>>());
    lines(entry, "lost", &lost.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A step of an upgrade: `plugin.upgrade` (installed under the old grant), `plugin.upgrade.hold`, `plugin.upgrade.agree`,
/// `plugin.upgrade.decline`.
pub(super) struct Upgrade<'a> {
    pub action: &'a str,
    /// The version that was the newest before.
    pub from: &'a Version,
    pub record: &'a Record,
    pub more: &'a [MoreAsked],
    /// The grant that the version gets; absent when it gets none.
    pub grants: Option<&'a Grants>,
}

pub(super) fn upgrade(batch: &mut Batch, audit: &AuditLog, actor: &Actor, step: &Upgrade<'_>) {
    let outcome = match step.action {
        "plugin.upgrade.hold" => Outcome::Started,
        "plugin.upgrade.decline" => Outcome::Cancelled,
        _ => Outcome::Ok,
    };
    let mut entry = audit
        .entry(actor, step.action, &step.record.name)
        .outcome(outcome)
        .detail("from", &step.from.to_string())
        .detail("version", &step.record.version.to_string())
        .detail("digest", &step.record.digest);
    if let Some(grants) = step.grants {
        entry = entry.payload("grants", &toml(grants));
    }
    let more: Vec<&str> = step.more.iter().map(|asked| asked.en.as_str()).collect();
    lines(entry, "asks", &more).add_to(batch);
}

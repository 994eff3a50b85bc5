//! Entries of what was deployed, installed and removed.

use factotum_audit::{Actor, AuditLog, Outcome};
use factotum_store::Batch;

use crate::flows::Deployment;
use crate::runs::Engine;

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

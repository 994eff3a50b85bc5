//! Grants are changed and taken back while a plugin runs.
//!
//! What is taken away is gone from memory first, and so from the next effect of every call, also of those under way; then
//! it is written down. What is given is written down first, and then holds. Either way the audit entry stands in the same
//! batch as the new grants.

use std::sync::Arc;

use factotum_audit::Actor;
use factotum_grant::{Capability, Grants, Narrowing, contains, narrow};
use factotum_sandbox::LinkError;
use factotum_store::{Batch, Table};
use semver::Version;

use super::{GrantChange, Installed, PluginInfo, Plugins, Record, audited, call::unknown_plugin};
use crate::error::{ErrorCode, HostError};

/// A change of what a plugin may do.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedGrants {
    /// The plugin with its new grants; of several versions, the newest that was changed.
    pub plugin: PluginInfo,
    /// What it gained and lost.
    pub change: GrantChange,
}

impl Plugins {
    /// Replaces what one version (the newest when absent) may do. With `expected`, only when that is what it may do now.
    pub async fn set_grants(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&Version>,
        grants: Grants,
        expected: Option<&Grants>,
    ) -> Result<ChangedGrants, HostError> {
        let _changing = self.changing.lock().await;
        let installed = self.version(name, version)?;
        let old = installed.record.grants().unwrap_or_default();
        if expected.is_some_and(|expected| *expected != old) {
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("the grants of {name} were changed by somebody else in the meantime"),
            )
            .hint("look at them again, and repeat the change"));
        }
        let record = changed(&installed.record, &grants)?;
        let only_takes = contains(&old, &grants).is_ok();
        if only_takes {
            apply(&installed, &grants)?;
        } else {
            // What cannot hold must not be written down.
            check(&installed, &grants)?;
        }
        let mut batch = Batch::new();
        put(&mut batch, &record)?;
        audited::granted(&mut batch, &self.audit, actor, "plugin.grant", &record, (&old, &grants));
        self.store.commit(batch).await.map_err(HostError::store)?;
        if !only_takes {
            apply(&installed, &grants)?;
        }
        tracing::info!(plugin = name, version = %record.version, "grants changed");
        let change = GrantChange::between(&old, &grants);
        Ok(ChangedGrants { plugin: self.replace(&installed, record), change })
    }

    /// Takes capabilities away from every version of a plugin, or from one; all of them when none is named. A plugin
    /// without any stays installed, and can only compute.
    pub async fn revoke(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&Version>,
        capabilities: &[Capability],
    ) -> Result<ChangedGrants, HostError> {
        let _changing = self.changing.lock().await;
        let catalog = self.catalog();
        let versions = catalog.get(name).ok_or_else(|| unknown_plugin(name))?;
        if let Some(version) = version {
            self.version(name, Some(version))?;
        }
        let leaves = |capability: &Capability| capabilities.is_empty() || capabilities.contains(capability);
        let stays = Narrowing::to_capabilities(Capability::ALL.into_iter().filter(|c| !leaves(c)));
        let mut batch = Batch::new();
        let mut changes = Vec::new();
        for installed in versions.values().filter(|one| version.is_none_or(|v| *v == one.record.version)) {
            let old = installed.record.grants().unwrap_or_default();
            let left = narrow(&old, &stays);
            // At once: whatever happens to the store, it is gone.
            apply(installed, &left)?;
            let record = changed(&installed.record, &left)?;
            put(&mut batch, &record)?;
            audited::granted(&mut batch, &self.audit, actor, "plugin.revoke", &record, (&old, &left));
            changes.push((Arc::clone(installed), record, GrantChange::between(&old, &left)));
        }
        if let Err(error) = self.store.commit(batch).await {
            let mut error = HostError::store(error);
            error.message = format!(
                "{name} may do this no longer until the host restarts, but it could not be written down: {}",
                error.message
            );
            return Err(error);
        }
        let mut last = None;
        for (installed, record, change) in changes {
            tracing::warn!(plugin = name, version = %record.version, "grants taken back");
            last = Some(ChangedGrants { plugin: self.replace(&installed, record), change });
        }
        last.ok_or_else(|| unknown_plugin(name))
    }

    /// One version of a plugin, the newest when none is named.
    pub(super) fn version(&self, name: &str, version: Option<&Version>) -> Result<Arc<Installed>, HostError> {
        let newest = self.newest(name).ok_or_else(|| unknown_plugin(name))?;
        let Some(version) = version else { return Ok(newest) };
        let catalog = self.catalog();
        let versions = catalog.get(name).ok_or_else(|| unknown_plugin(name))?;
        versions.get(version).cloned().ok_or_else(|| {
            let known: Vec<String> = versions.keys().map(ToString::to_string).collect();
            HostError::new(ErrorCode::UnknownPlugin, format!("{name} {version} is not installed"))
                .hint(format!("installed are {}", known.join(", ")))
        })
    }

    /// Puts the changed record in the old one's place; the linked plugin stays the same.
    fn replace(&self, installed: &Installed, record: Record) -> PluginInfo {
        let installed = Installed { record, plugin: installed.plugin.clone() };
        let info = PluginInfo::of(&installed);
        self.insert(installed);
        info
    }
}

fn changed(record: &Record, grants: &Grants) -> Result<Record, HostError> {
    let grants = grants.to_toml().map_err(|e| {
        HostError::new(ErrorCode::InvalidRequest, format!("the grants cannot be written down: {e}"))
    })?;
    Ok(Record { grants, ..record.clone() })
}

fn put(batch: &mut Batch, record: &Record) -> Result<(), HostError> {
    batch.put(Table::Plugins, record.key(), serde_json::to_vec(record).map_err(HostError::internal)?);
    Ok(())
}

/// Makes the grants hold. One that cannot be called has nothing to hold them.
fn apply(installed: &Installed, grants: &Grants) -> Result<(), HostError> {
    let Ok(plugin) = &installed.plugin else { return Ok(()) };
    plugin.set_grants(grants.clone()).map_err(|error| refused(installed, &error))
}

/// Whether the grants could hold: asked before they are written down.
fn check(installed: &Installed, grants: &Grants) -> Result<(), HostError> {
    let Ok(plugin) = &installed.plugin else { return Ok(()) };
    plugin.check_grants(grants).map_err(|error| refused(installed, &error))
}

fn refused(installed: &Installed, error: &LinkError) -> HostError {
    HostError::new(ErrorCode::InvalidRequest, format!("{}: {error}", installed.record.name))
}

#[cfg(test)]
mod tests {
    use factotum_audit::AuditLog;
    use factotum_sandbox::{Sandbox, SandboxConfig, testing::Memory};
    use factotum_store::{Options, Store};

    use super::*;
    use crate::clock::manual::ManualClock;
    use crate::plugins::AddPlugin;

    fn grants(recipient: &str) -> Grants {
        Grants::from_toml(&format!("config = true\n[mail]\nrecipients = [\"{recipient}\"]")).unwrap()
    }

    #[tokio::test]
    async fn what_is_taken_back_is_gone_though_the_store_fails_and_what_is_given_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let (audit, linker) = AuditLog::open(dir.path()).unwrap();
        let store =
            Store::in_memory(Options { linker: Some(Box::new(linker)), ..Options::default() }).unwrap();
        let sandbox = Sandbox::new(SandboxConfig { max_calls: 1, ..SandboxConfig::default() }).unwrap();
        let (backends, _) = Memory::backends();
        let clock = Arc::new(ManualClock::at(1));
        let plugins =
            Plugins::new(sandbox, backends, crate::scripts::Scripts::new(None), store.clone(), audit, clock);
        let anna = Actor::Token("anna".into());
        let version: Version = "1.0.0".parse().unwrap();
        let request = AddPlugin {
            wasm: wat::parse_str("(component)").unwrap(),
            name: Some("p".into()),
            version: Some(version.clone()),
            grants: Some(grants("a@shop.test")),
            ..AddPlugin::default()
        };
        plugins.add(&anna, request).await.unwrap();
        // What a call under way holds.
        let held = plugins.linked("p", &version).unwrap();
        store.close();

        let given = plugins.set_grants(&anna, "p", None, grants("*@shop.test"), None).await;
        assert_eq!(given.unwrap_err().code, ErrorCode::Store);
        assert_eq!(*held.grants(), grants("a@shop.test"), "what is not written down is not given");

        let taken = plugins.revoke(&anna, "p", None, &[Capability::Mail]).await.unwrap_err();
        assert_eq!(taken.code, ErrorCode::Store);
        assert!(taken.message.contains("no longer until the host restarts"), "{}", taken.message);
        assert!(!held.grants().allows(Capability::Mail) && held.grants().config, "gone all the same");

        let less = Grants::from_toml("").unwrap();
        let narrower = plugins.set_grants(&anna, "p", None, less.clone(), None).await;
        assert_eq!(narrower.unwrap_err().code, ErrorCode::Store);
        assert_eq!(*held.grants(), less, "a change that only takes goes the same way");
    }
}

//! A plugin is upgraded: a higher version of the same plugin, installed beside the old one.
//!
//! When it asks for no more than the old one asked for or was granted, it is installed and takes the old grant over. When it
//! asks for more, it is held: on disk, looked at and compiled once, not callable; the old version goes on. Deployed flows
//! keep the version they were deployed with in either case, until they are deployed again.

use std::collections::BTreeMap;
use std::sync::Arc;

use factotum_audit::Actor;
use factotum_registry::{Manifest, Package};
use factotum_sandbox::{Component, Plugin};
use factotum_store::{Batch, Blobs, Table};
use semver::Version;

use super::pending::Pending;
use super::{Installed, PendingUpgrade, PluginInfo, Plugins, Record, asks, audited, call::unknown_plugin};
use crate::error::{ErrorCode, HostError};

/// The new version of an installed plugin.
#[derive(Debug, Clone, Default)]
pub struct UpgradePlugin {
    /// The component.
    pub wasm: Vec<u8>,
    /// The version, for a component without a manifest.
    pub version: Option<Version>,
    /// Configuration on top of the old version's.
    pub config: BTreeMap<String, String>,
}

/// What became of an upgrade.
#[derive(Debug, Clone, PartialEq)]
pub enum Upgraded {
    /// It asks for no more: installed, with the old grant.
    Installed(Box<PluginInfo>),
    /// It asks for more: it waits for an administrator to agree or to decline.
    Held(Box<PendingUpgrade>),
}

impl Plugins {
    /// Upgrades a plugin, or holds the upgrade.
    pub async fn upgrade(
        self: &Arc<Self>,
        actor: &Actor,
        name: &str,
        request: UpgradePlugin,
    ) -> Result<Upgraded, HostError> {
        let old = self.newest(name).ok_or_else(|| unknown_plugin(name))?;
        let UpgradePlugin { wasm, version, config } = request;
        let wasm = Arc::new(wasm);
        let package = Self::read(&wasm).await?;
        same_plugin(&old.record, &package)?;
        let component = self.compile(&wasm).await;
        let _changing = self.changing.lock().await;
        // The newest may be another one by now.
        let old = self.newest(name).ok_or_else(|| unknown_plugin(name))?;
        let old = &old.record;
        same_plugin(old, &package)?;
        let config = carried(&old.config, package.manifest.as_ref(), config);
        let grants = old.usable();
        let record = self.record(actor, package, Some(name.to_owned()), version, &grants, config)?;
        if record.version <= old.version {
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("{name} {} is installed; {} is no higher version", old.version, record.version),
            )
            .hint("an upgrade raises the version; to install an older one beside it, use plugin add"));
        }
        let more = asks::beyond(old, &record);
        // Looked at with what it could get, so that nobody is asked to agree to what does not work.
        let plugin = match component {
            Ok(component) => self.link_upgrade(&record, component).await,
            Err(error) => Err(error),
        };
        let plugin = match plugin {
            Ok(plugin) => plugin,
            Err(error) => {
                self.note_refusal(actor, name, &error).await;
                return Err(error);
            }
        };
        Blobs::new(&self.store).put(&wasm).await.map_err(HostError::store)?;
        if more.is_empty() {
            let step = audited::Upgrade {
                action: "plugin.upgrade",
                from: &old.version,
                record: &record,
                more: &more,
                grants: Some(&grants),
            };
            return self
                .install(actor, &step, plugin, Batch::new())
                .await
                .map(Box::new)
                .map(Upgraded::Installed);
        }
        let pending = Pending { from: old.version.clone(), record, more };
        self.hold(actor, &pending).await?;
        Ok(Upgraded::Held(Box::new(self.describe(&pending))))
    }

    /// Reads a package off the async threads.
    pub(super) async fn read(wasm: &Arc<Vec<u8>>) -> Result<Package, HostError> {
        let wasm = Arc::clone(wasm);
        tokio::task::spawn_blocking(move || Package::read(&wasm))
            .await
            .map_err(HostError::internal)?
            .map_err(|e| HostError::new(ErrorCode::InvalidPlugin, e.to_string()))
    }

    /// Links what may lack grants for some of its imports: their effects are denied.
    pub(super) async fn link_upgrade(
        self: &Arc<Self>,
        record: &Record,
        component: Component,
    ) -> Result<Plugin, HostError> {
        let (plugins, record) = (Arc::clone(self), record.clone());
        tokio::task::spawn_blocking(move || plugins.link_installed(&record, &component))
            .await
            .map_err(HostError::internal)?
    }

    /// Writes an upgraded version down, with what `batch` holds and its audit entry, and makes it callable.
    pub(super) async fn install(
        &self,
        actor: &Actor,
        step: &audited::Upgrade<'_>,
        plugin: Plugin,
        mut batch: Batch,
    ) -> Result<PluginInfo, HostError> {
        let record = step.record.clone();
        batch.put(Table::Plugins, record.key(), serde_json::to_vec(&record).map_err(HostError::internal)?);
        audited::upgrade(&mut batch, &self.audit, actor, step);
        self.store.commit(batch).await.map_err(HostError::store)?;
        tracing::info!(plugin = record.name, from = %step.from, to = %record.version, "plugin upgraded");
        let installed = Installed { record, plugin: Ok(plugin) };
        let info = PluginInfo::of(&installed);
        self.insert(installed);
        Ok(info)
    }
}

/// Whether the package is a later version of the same plugin, as far as manifests tell.
pub(super) fn same_plugin(old: &Record, package: &Package) -> Result<(), HostError> {
    let refuse = |message: String| Err(HostError::new(ErrorCode::Conflict, message));
    match (&old.manifest, &package.manifest) {
        (Some(old_manifest), Some(new)) if old_manifest.name != new.name => refuse(format!(
            "this is another plugin: its manifest says {}, and that of the installed {} says {}",
            new.name, old.name, old_manifest.name
        )),
        (Some(_), None) => refuse(format!(
            "the installed {} has a manifest, and this component has none; what it asks for cannot be compared",
            old.name
        )),
        _ => Ok(()),
    }
}

/// The old configuration, as far as the new version reads it, under what is given now.
pub(super) fn carried(
    old: &BTreeMap<String, String>,
    manifest: Option<&Manifest>,
    given: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let reads = |key: &str| manifest.is_none_or(|m| m.config.iter().any(|known| known.covers(key)));
    let mut config: BTreeMap<String, String> =
        old.iter().filter(|(key, _)| reads(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    config.extend(given);
    config
}

//! A plugin is installed: looked at, compiled, linked with just what is granted, and only then written down.

use std::collections::BTreeMap;
use std::sync::Arc;

use factotum_audit::Actor;
use factotum_grant::Grants;
use factotum_registry::{Manifest, Package};
use factotum_sandbox::{Component, LinkError, Plugin};
use factotum_store::{Batch, Blobs, Table};
use semver::Version;
use serde_json::json;

use super::{Installed, PluginInfo, Plugins, Record};
use crate::audit;
use crate::error::{ErrorCode, HostError};

/// The most configuration keys of one plugin, and the most bytes of one value.
const MAX_CONFIG_KEYS: usize = 256;
const MAX_CONFIG_VALUE: usize = 1 << 20;

/// A plugin to install.
#[derive(Debug, Clone, Default)]
pub struct AddPlugin {
    /// The component.
    pub wasm: Vec<u8>,
    /// The name to install it under; the manifest's when absent. Flows call it by this name.
    pub name: Option<String>,
    /// The version to install it as; the manifest's when absent.
    pub version: Option<Version>,
    /// What it may do. `None` grants nothing: what a manifest suggests is for the administrator to take up.
    pub grants: Option<Grants>,
    /// Its configuration.
    pub config: BTreeMap<String, String>,
}

impl Plugins {
    /// Installs a plugin; the same bytes again under the same name and version get the new grants and configuration.
    pub async fn add(self: &Arc<Self>, actor: &Actor, request: AddPlugin) -> Result<PluginInfo, HostError> {
        let AddPlugin { wasm, name, version, grants, config } = request;
        let wasm = Arc::new(wasm);
        let package = Self::read(&wasm).await?;
        let grants = grants.unwrap_or_default();
        let record = self.record(actor, package, name, version, &grants, config)?;
        self.check_conflict(&record)?;
        let component = self.compile(&wasm).await;
        let _changing = self.changing.lock().await;
        // Another install may have come first while this one was compiled.
        self.check_conflict(&record)?;
        let plugin = match component {
            Ok(component) => self.link(&record, component).await,
            Err(error) => Err(error),
        };
        let plugin = match plugin {
            Ok(plugin) => plugin,
            Err(error) => {
                self.note_refusal(actor, &record.name, &error).await;
                return Err(error);
            }
        };
        Blobs::new(&self.store).put(&wasm).await.map_err(HostError::store)?;
        let mut batch = Batch::new();
        let stored = serde_json::to_vec(&record).map_err(HostError::internal)?;
        let config = serde_json::to_vec(&record.config).map_err(HostError::internal)?;
        batch.put(Table::Plugins, record.key(), stored);
        let added = audit::PluginAdded {
            plugin: &record.name,
            version: &record.version.to_string(),
            digest: &record.digest,
            grants: &record.grants,
            config: &config,
        };
        audit::plugin_added(&mut batch, &self.audit, actor, &added);
        self.store.commit(batch).await.map_err(HostError::store)?;
        tracing::info!(plugin = record.name, version = %record.version, digest = record.digest, "plugin installed");
        // Calls under way under the grants that it had so far get the new ones as well.
        if let Some(before) = self.catalog().get(&record.name).and_then(|all| all.get(&record.version))
            && let Ok(before) = &before.plugin
            && let Err(error) = before.set_grants(grants)
        {
            tracing::error!(plugin = record.name, %error, "calls under way keep the grants they began with");
        }
        let installed = Installed { record, plugin: Ok(plugin) };
        let info = PluginInfo::of(&installed);
        self.insert(installed);
        Ok(info)
    }

    pub(super) fn record(
        &self,
        actor: &Actor,
        package: Package,
        name: Option<String>,
        version: Option<Version>,
        grants: &Grants,
        config: BTreeMap<String, String>,
    ) -> Result<Record, HostError> {
        let missing = |what: &str| {
            HostError::new(
                ErrorCode::InvalidRequest,
                format!("the component has no manifest, so its {what} is not known"),
            )
            .hint(format!("say under which {what} to install it"))
        };
        let manifest = package.manifest;
        let name =
            name.or_else(|| manifest.as_ref().map(|m| m.name.clone())).ok_or_else(|| missing("name"))?;
        let version = version
            .or_else(|| manifest.as_ref().map(|m| m.version.clone()))
            .ok_or_else(|| missing("version"))?;
        factotum_registry::manifest::check_name(&name)
            .map_err(|e| HostError::new(ErrorCode::InvalidRequest, e.to_string()))?;
        check_config(&name, manifest.as_ref(), &config)?;
        let grants = grants.to_toml().map_err(|e| {
            HostError::new(ErrorCode::InvalidRequest, format!("the grants cannot be written down: {e}"))
        })?;
        Ok(Record {
            name,
            version,
            digest: package.digest,
            grants,
            config,
            manifest,
            imports: package.imports,
            installed_at: self.clock.now_ms(),
            installed_by: actor.to_string(),
        })
    }

    /// One name and version means one set of bytes for ever: deployed flows rely on it.
    fn check_conflict(&self, record: &Record) -> Result<(), HostError> {
        let catalog = self.catalog();
        let Some(there) = catalog.get(&record.name).and_then(|versions| versions.get(&record.version)) else {
            return Ok(());
        };
        if there.record.digest == record.digest {
            return Ok(());
        }
        let message = format!(
            "{} {} is installed with other bytes (sha256 {})",
            record.name, record.version, there.record.digest
        );
        Err(HostError::new(ErrorCode::Conflict, message)
            .hint("raise the version, or install it under another name or version"))
    }

    /// Links, off the async threads.
    async fn link(self: &Arc<Self>, record: &Record, component: Component) -> Result<Plugin, HostError> {
        let (plugins, name, spec) = (Arc::clone(self), record.name.clone(), Self::spec(record)?);
        let linking = move || plugins.sandbox.link(&component, spec, &plugins.backends);
        let linked = tokio::task::spawn_blocking(linking).await.map_err(HostError::internal)?;
        linked.map_err(|error| link_error(&name, &error))
    }

    /// A refused install is an administrative act too.
    pub(super) async fn note_refusal(&self, actor: &Actor, name: &str, error: &HostError) {
        let mut batch = Batch::new();
        audit::plugin_refused(&mut batch, &self.audit, actor, name, &error.message);
        if let Err(error) = self.store.commit(batch).await {
            tracing::error!(%error, "a refused install could not be written to the audit log");
        }
    }
}

pub(super) fn link_error(name: &str, error: &LinkError) -> HostError {
    let message = format!("{name}: {error}");
    match error {
        LinkError::MissingGrants(missing) => {
            let list: Vec<_> = missing
                .iter()
                .map(|m| json!({"import": m.import, "capability": m.capability, "mend": m.mend}))
                .collect();
            // A capability may have several imports; its grant is said once.
            let mut mends: Vec<&str> = missing.iter().map(|m| m.mend.as_str()).collect();
            mends.dedup();
            HostError::new(ErrorCode::MissingGrants, message)
                .hint(format!(
                    "grant it, narrowed as far as you can; the smallest grants are:\n{}",
                    mends.join("\n")
                ))
                .detail(json!({ "missing": list }))
        }
        _ => HostError::new(ErrorCode::InvalidPlugin, message),
    }
}

fn check_config(
    name: &str,
    manifest: Option<&Manifest>,
    config: &BTreeMap<String, String>,
) -> Result<(), HostError> {
    let refuse = |message: String| Err(HostError::new(ErrorCode::InvalidRequest, message));
    if config.len() > MAX_CONFIG_KEYS {
        return refuse(format!("{name}: {} configuration keys; at most {MAX_CONFIG_KEYS}", config.len()));
    }
    if let Some((key, value)) = config.iter().find(|(_, value)| value.len() > MAX_CONFIG_VALUE) {
        let (bytes, max) = (value.len(), MAX_CONFIG_VALUE);
        return refuse(format!("{name}: the configuration key {key:?} has {bytes} bytes; at most {max}"));
    }
    let Some(manifest) = manifest else { return Ok(()) };
    if let Some(key) = config.keys().find(|key| !manifest.config.iter().any(|known| known.covers(key))) {
        let list = manifest.config.iter().map(|key| key.key.as_str()).collect::<Vec<_>>().join(", ");
        let list = if list.is_empty() { "none".to_owned() } else { list };
        return refuse(format!("{name} reads no configuration key {key:?}; it reads: {list}"));
    }
    match manifest.config.iter().find(|key| key.required && !config.contains_key(&key.key)) {
        Some(key) => refuse(format!(
            "{name} cannot work without the configuration key {:?}: {}",
            key.key, key.description.en
        )),
        None => Ok(()),
    }
}

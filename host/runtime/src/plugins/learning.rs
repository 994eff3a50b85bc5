//! An installed plugin is linked once more, to learn what it needs: with every capability that it asks for wide open, and
//! nothing behind them but what the caller gives. An edited edition of it is linked in the same way, to be tried.

use std::sync::Arc;

use factotum_audit::AuditLog;
use factotum_grant::{Access, Capability, Grants, KeyValueScope, SharedNamespace};
use factotum_sandbox::{Backends, Plugin};
use factotum_store::Store;

use super::upgrade::{carried, same_plugin};
use super::{Plugins, Record, add::link_error, call::unknown_plugin};
use crate::actions::Pin;
use crate::error::{ErrorCode, HostError};
use crate::rehearsal::Edited;

/// The most namespaces that stand open while learning: as many as a grant can name.
const MAX_SHARED: usize = 64;

/// What is known of a plugin whose needs are learned.
pub(crate) struct Subject {
    /// What it may do today.
    pub granted: Grants,
    /// What its manifest suggests.
    pub suggested: Grants,
    /// The capabilities that its manifest asks for; without one, those that it imports.
    pub asked: Vec<Capability>,
    /// The capabilities that it imports.
    pub imported: Vec<Capability>,
}

impl Plugins {
    pub(crate) fn subject(&self, pin: &Pin) -> Result<Subject, HostError> {
        let record = self.pinned_record(pin)?;
        let imported = record.capabilities();
        let asks = record.manifest.as_ref().map(|m| m.asks.iter().map(|ask| ask.capability).collect());
        Ok(Subject {
            granted: record.grants().unwrap_or_default(),
            suggested: record.manifest.map(|manifest| manifest.grants).unwrap_or_default(),
            asked: asks.unwrap_or_else(|| imported.clone()),
            imported,
        })
    }

    /// Links a plugin with `backends` behind wide-open capabilities. Its limits stay what they are.
    pub(crate) async fn link_to_learn(
        self: &Arc<Self>,
        pin: &Pin,
        backends: Backends,
    ) -> Result<Plugin, HostError> {
        let mut record = self.pinned_record(pin)?;
        let open = self.wide_open(&record);
        record.grants = open.to_toml().map_err(HostError::internal)?;
        let plugins = Arc::clone(self);
        let linking = move || {
            let wasm =
                plugins.bytes(&record).map_err(|reason| HostError::new(ErrorCode::Internal, reason))?;
            let component = plugins.compile_blocking(&wasm)?;
            let linked = plugins.sandbox.link_installed(&component, Self::spec(&record)?, &backends);
            linked.map_err(|error| HostError::new(ErrorCode::InvalidPlugin, error.to_string()))
        };
        tokio::task::spawn_blocking(linking).await.map_err(HostError::internal)?
    }

    /// Links an edited edition of an installed plugin, with its configuration and limits, and with `backends` behind
    /// wide-open capabilities. It is not installed.
    pub(crate) async fn link_edited(
        self: &Arc<Self>,
        name: &str,
        wasm: Vec<u8>,
        backends: Backends,
    ) -> Result<Edited, HostError> {
        let old = self.newest(name).ok_or_else(|| unknown_plugin(name))?.record.clone();
        let wasm = Arc::new(wasm);
        let package = Self::read(&wasm).await?;
        same_plugin(&old, &package)?;
        let component = self.compile(&wasm).await?;
        let config = carried(&old.config, package.manifest.as_ref(), std::collections::BTreeMap::new());
        let version = package.manifest.as_ref().map_or_else(|| old.version.clone(), |m| m.version.clone());
        let grants = self.wide_open(&old).to_toml().map_err(HostError::internal)?;
        let record = Record {
            version,
            digest: package.digest,
            grants,
            config,
            manifest: package.manifest,
            imports: package.imports,
            ..old
        };
        let (plugins, spec) = (Arc::clone(self), Self::spec(&record)?);
        let linking = move || plugins.sandbox.link_installed(&component, spec, &backends);
        let linked = tokio::task::spawn_blocking(linking).await.map_err(HostError::internal)?;
        let plugin = linked.map_err(|error| link_error(&record.name, &error))?;
        let runtime = tokio::runtime::Handle::current();
        Ok(Edited { name: record.name, version: record.version, digest: record.digest, plugin, runtime })
    }

    fn pinned_record(&self, pin: &Pin) -> Result<Record, HostError> {
        let catalog = self.catalog();
        let found = catalog.get(&pin.plugin).and_then(|versions| versions.get(&pin.version));
        found.map(|installed| installed.record.clone()).ok_or_else(|| unknown_plugin(&pin.plugin))
    }

    /// Everything, of what grants bound. Requests need no rule here: what answers them asks for none.
    fn wide_open(&self, record: &Record) -> Grants {
        let any = || "*".parse().into_iter().collect();
        let others = self
            .catalog()
            .keys()
            .filter(|name| **name != record.name)
            .take(MAX_SHARED)
            .cloned()
            .collect::<Vec<_>>();
        let shared =
            others.into_iter().map(|namespace| SharedNamespace { namespace, access: Access::ReadWrite });
        Grants {
            run_context: true,
            config: true,
            key_value: Some(factotum_grant::KeyValueGrant::default()),
            key_value_scope: KeyValueScope { access: Access::ReadWrite, shared: shared.collect() },
            artifacts: Some(factotum_grant::ArtifactsGrant::default()),
            mail: Some(factotum_grant::MailGrant {
                senders: any(),
                recipients: any(),
                ..factotum_grant::MailGrant::default()
            }),
            http: Vec::new(),
            data: factotum_grant::DataGrant::default(),
            limits: record.grants().unwrap_or_default().limits,
        }
    }

    pub(crate) fn audit(&self) -> &AuditLog {
        &self.audit
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

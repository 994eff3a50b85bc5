//! The installed plugins are linked again when the host starts, several at a time.

use std::sync::Arc;

use factotum_grant::Narrowing;
use factotum_registry::Manifest;
use factotum_sandbox::{Component, Plugin, PluginSpec, SandboxError};
use factotum_store::{Blobs, ScanRange, StoreError, Table};

use super::{Installed, Plugins, Record, add::link_error, pending::PREFIX};
use crate::backends::digest_of;
use crate::error::{ErrorCode, HostError};

/// What a manifest leaves of any grant: the capabilities that it asks for. What it suggests to grant is no bound: where the
/// plugin's server stands, only the administrator knows.
fn asked(manifest: &Manifest) -> Narrowing {
    Narrowing::to_capabilities(manifest.asks.iter().map(|ask| ask.capability))
}

impl Plugins {
    /// Links everything that is installed. What cannot be linked stays installed and says why; its calls park their
    /// runs rather than fail them.
    pub async fn load_all(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut tasks = tokio::task::JoinSet::new();
        // Compiling uses all cores by itself; taking from the cache is mostly waiting for the disk.
        let places = Arc::new(tokio::sync::Semaphore::new(4));
        let mut cursor = None;
        loop {
            let page = self.store.scan(Table::Plugins, &ScanRange::default().after(cursor).limit(100))?;
            let Some((last, _)) = page.last() else { break };
            cursor = Some(last.clone());
            // What waits for an administrator is not callable.
            for (key, bytes) in page.into_iter().filter(|(key, _)| !key.starts_with(PREFIX)) {
                let record: Record = match serde_json::from_slice(&bytes) {
                    Ok(record) => record,
                    Err(error) => {
                        let key = String::from_utf8_lossy(&key).into_owned();
                        tracing::error!(key, %error, "the record of an installed plugin cannot be read");
                        continue;
                    }
                };
                let (plugins, places) = (Arc::clone(self), Arc::clone(&places));
                tasks.spawn(async move {
                    // Never closed while tasks wait for it.
                    let _place = places.acquire_owned().await;
                    tokio::task::spawn_blocking(move || plugins.load(record)).await
                });
            }
        }
        while let Some(done) = tasks.join_next().await {
            if let Err(error) | Ok(Err(error)) = done {
                tracing::error!(%error, "a plugin could not be loaded");
            }
        }
        Ok(())
    }

    fn load(&self, record: Record) {
        let plugin = self.bytes(&record).and_then(|wasm| {
            let linked = self.compile_blocking(&wasm).and_then(|it| self.link_installed(&record, &it));
            linked.map_err(|error| match error.cause() {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            })
        });
        if let Err(reason) = &plugin {
            let (plugin, version) = (&record.name, &record.version);
            tracing::error!(plugin, %version, reason, "an installed plugin cannot be called");
        }
        self.insert(Installed { record, plugin });
    }

    /// Links what was installed before, though a grant that it had then may have been taken back since. An import without
    /// a grant is linked, and its effects are denied.
    pub(super) fn link_installed(&self, record: &Record, component: &Component) -> Result<Plugin, HostError> {
        let linked = self.sandbox.link_installed(component, Self::spec(record)?, &self.backends);
        linked.map_err(|error| link_error(&record.name, &error))
    }

    /// What the sandbox is to know of a plugin.
    pub(super) fn spec(record: &Record) -> Result<PluginSpec, HostError> {
        let invalid = |text: String| HostError::new(ErrorCode::InvalidPlugin, text);
        Ok(PluginSpec {
            name: record.name.clone(),
            version: record.version.to_string(),
            digest: record.digest.clone(),
            grants: record.grants().map_err(invalid)?,
            asked: record.manifest.as_ref().map(asked).unwrap_or_default(),
            config: record.config.clone(),
        })
    }

    /// Compiles a stranger's bytes, or takes them from the cache, off the async threads and some at a time. To be called
    /// before the catalog is locked: this may take minutes, and a grant must be taken back meanwhile.
    pub(super) async fn compile(self: &Arc<Self>, wasm: &Arc<Vec<u8>>) -> Result<Component, HostError> {
        let place = Arc::clone(&self.compiling).acquire_owned().await.map_err(HostError::internal)?;
        let (plugins, wasm) = (Arc::clone(self), Arc::clone(wasm));
        let compiling = move || {
            // Kept while it works, also when the caller has gone.
            let _place = place;
            plugins.compile_blocking(&wasm)
        };
        tokio::task::spawn_blocking(compiling).await.map_err(HostError::internal)?
    }

    pub(super) fn compile_blocking(&self, wasm: &[u8]) -> Result<Component, HostError> {
        self.sandbox.load(wasm).map_err(|error| {
            let code = match error {
                SandboxError::Busy => ErrorCode::Busy,
                _ => ErrorCode::InvalidPlugin,
            };
            HostError::new(code, error.to_string())
        })
    }

    pub(super) fn bytes(&self, record: &Record) -> Result<Vec<u8>, String> {
        let digest = digest_of(&record.digest).ok_or("its digest is none")?;
        let bytes = Blobs::new(&self.store).get(&digest).map_err(|e| e.to_string())?;
        bytes.ok_or_else(|| "its bytes are missing from the store".to_owned())
    }
}

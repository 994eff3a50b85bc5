//! A plugin is removed, when nothing can call it any more.

use factotum_audit::Actor;
use factotum_grant::Grants;
use factotum_store::{Batch, Table};
use semver::Version;

use super::{Plugins, Record, call::unknown_plugin, key};
use crate::actions::Pin;
use crate::audit;
use crate::error::{ErrorCode, HostError};

impl Plugins {
    /// Removes a plugin, or one version of it. `users` tells who may still call a version: flows and unfinished runs.
    /// Its key-value namespace and its artifacts stay; they are customers' data.
    pub async fn remove(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&Version>,
        users: impl Fn(&dyn Fn(&Pin) -> bool) -> Result<Vec<String>, HostError>,
    ) -> Result<(), HostError> {
        let _changing = self.changing.lock().await;
        let catalog = self.catalog();
        let versions = catalog.get(name).ok_or_else(|| unknown_plugin(name))?;
        let leaving: Vec<&Record> = versions
            .values()
            .map(|installed| &installed.record)
            .filter(|record| version.is_none_or(|version| *version == record.version))
            .collect();
        if leaving.is_empty() {
            let known: Vec<String> = versions.keys().map(ToString::to_string).collect();
            return Err(HostError::new(
                ErrorCode::UnknownPlugin,
                format!("{name} is not installed in this version"),
            )
            .hint(format!("installed are {}", known.join(", "))));
        }
        let used =
            users(&|pin: &Pin| leaving.iter().any(|r| r.name == pin.plugin && r.version == pin.version))?;
        if !used.is_empty() {
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("{name} is still used by {}", used.join(", ")),
            )
            .hint("remove or redeploy these flows first, and let their runs end"));
        }
        let mut batch = Batch::new();
        for record in &leaving {
            batch.delete(Table::Plugins, key(&record.name, &record.version));
            let version = record.version.to_string();
            audit::plugin_removed(&mut batch, &self.audit, actor, &record.name, &version, &record.digest);
        }
        if leaving.len() == versions.len() {
            self.forget_pending(&mut batch, name)?;
        }
        self.store.commit(batch).await.map_err(HostError::store)?;
        for record in &leaving {
            // A direct call may be under way.
            if let Some(plugin) = self.linked(&record.name, &record.version) {
                plugin.set_grants(Grants::default()).map_err(HostError::internal)?;
            }
        }
        self.change(|catalog| {
            if let Some(versions) = catalog.get_mut(name) {
                versions.retain(|version, _| !leaving.iter().any(|record| record.version == *version));
                if versions.is_empty() {
                    catalog.remove(name);
                }
            }
        });
        Ok(())
    }
}

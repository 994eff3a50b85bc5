//! Upgrades that wait for an administrator: held, listed, agreed to, declined. They stand in the store beside the installed
//! plugins and survive a restart; nothing in them can be called.

use std::sync::Arc;

use factotum_audit::Actor;
use factotum_grant::Grants;
use factotum_registry::Manifest;
use factotum_store::{Batch, Blobs, ScanRange, Table};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::view::Sentences;
use super::{GrantChange, MoreAsked, PluginInfo, Plugins, Record, asks, audited};
use crate::backends::digest_of;
use crate::error::{ErrorCode, HostError};

/// Before the keys of upgrades that wait. No plugin's name begins with a zero byte.
pub(super) const PREFIX: &[u8] = b"\0pending\0";
/// The most upgrades of one plugin that wait at one time.
const MAX_PENDING: usize = 8;

/// An upgrade that waits, as the store keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The version that was the newest when it came.
    pub from: Version,
    /// The new version, with the grant it would take over.
    pub record: Record,
    /// What it asks for beyond that.
    pub more: Vec<MoreAsked>,
}

/// An upgrade that waits for an administrator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PendingUpgrade {
    /// The plugin.
    pub name: String,
    /// The version that was the newest when the upgrade came.
    pub from: String,
    /// The version that waits.
    pub version: String,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub digest: String,
    /// Its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// What it asks for beyond what the plugin asked for or was granted so far.
    pub more: Vec<MoreAsked>,
    /// What it may do when all of that is agreed to, as TOML in the grant language.
    pub proposed: String,
    /// The same in sentences.
    pub may: Sentences,
    /// Since when it waits.
    #[serde(serialize_with = "crate::time::serde_ms::serialize")]
    pub held_at: u64,
    /// Who brought it.
    pub held_by: String,
}

impl Pending {
    /// What the audit log says of a step, from the version that is the newest when it is taken.
    fn step<'a>(
        &'a self,
        action: &'a str,
        from: &'a Version,
        record: &'a Record,
        grants: Option<&'a Grants>,
    ) -> audited::Upgrade<'a> {
        audited::Upgrade { action, from, record, more: &self.more, grants }
    }
}

fn key(name: &str, version: &Version) -> Vec<u8> {
    [PREFIX, &super::key(name, version)].concat()
}

fn of_plugin(name: &str) -> Vec<u8> {
    [PREFIX, name.as_bytes(), b"\0"].concat()
}

impl Plugins {
    /// Writes an upgrade down to wait.
    pub(super) async fn hold(&self, actor: &Actor, pending: &Pending) -> Result<(), HostError> {
        let (name, version) = (&pending.record.name, &pending.record.version);
        let waiting = self.waiting(Some(name))?;
        if waiting.len() >= MAX_PENDING && !waiting.iter().any(|one| one.record.version == *version) {
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("{MAX_PENDING} upgrades of {name} wait already"),
            )
            .hint("agree to one, or decline them"));
        }
        let mut batch = Batch::new();
        batch.put(
            Table::Plugins,
            key(name, version),
            serde_json::to_vec(pending).map_err(HostError::internal)?,
        );
        let step = pending.step("plugin.upgrade.hold", &pending.from, &pending.record, None);
        audited::upgrade(&mut batch, &self.audit, actor, &step);
        self.store.commit(batch).await.map_err(HostError::store)?;
        tracing::warn!(plugin = name, %version, "an upgrade asks for more and waits");
        Ok(())
    }

    /// The upgrades that wait, by name and version; of one plugin, or of all.
    pub fn pending(&self, name: Option<&str>) -> Result<Vec<PendingUpgrade>, HostError> {
        Ok(self.waiting(name)?.iter().map(|pending| self.describe(pending)).collect())
    }

    fn waiting(&self, name: Option<&str>) -> Result<Vec<Pending>, HostError> {
        let prefix = name.map_or_else(|| PREFIX.to_vec(), of_plugin);
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let range = ScanRange::prefix(prefix.clone()).after(cursor).limit(100);
            let page = self.store.scan(Table::Plugins, &range).map_err(HostError::store)?;
            let Some((last, _)) = page.last() else { break };
            cursor = Some(last.clone());
            for (key, bytes) in page {
                match serde_json::from_slice(&bytes) {
                    Ok(pending) => found.push(pending),
                    Err(error) => {
                        let key = String::from_utf8_lossy(&key).into_owned();
                        tracing::error!(key, %error, "the record of an upgrade that waits cannot be read");
                    }
                }
            }
        }
        Ok(found)
    }

    /// What the version gets when all that it asks for is agreed to: more than the newest may do at this moment, so that
    /// what was taken back in the meantime does not return.
    fn proposal(&self, pending: &Pending) -> Grants {
        let newest = self.newest(&pending.record.name);
        let now = newest.map_or_else(Grants::default, |installed| installed.record.usable());
        asks::agreed(&now, &pending.more)
    }

    pub(super) fn describe(&self, pending: &Pending) -> PendingUpgrade {
        let proposed = self.proposal(pending);
        let record = &pending.record;
        PendingUpgrade {
            name: record.name.clone(),
            from: pending.from.to_string(),
            version: record.version.to_string(),
            digest: record.digest.clone(),
            manifest: record.manifest.clone(),
            more: pending.more.clone(),
            may: Sentences::of(&proposed),
            // What was read from TOML can be written as TOML.
            proposed: proposed.to_toml().unwrap_or_default(),
            held_at: record.installed_at,
            held_by: record.installed_by.clone(),
        }
    }

    /// Agrees to an upgrade that waits: installs it under `grants`, or with all that it asks for. With `digest`, only when
    /// it is still the one with these bytes.
    pub async fn agree(
        self: &Arc<Self>,
        actor: &Actor,
        name: &str,
        version: &Version,
        digest: Option<&str>,
        grants: Option<Grants>,
    ) -> Result<(PluginInfo, GrantChange), HostError> {
        let waiting = self.waiting_one(name, version, digest)?;
        let bytes = digest_of(&waiting.record.digest)
            .ok_or_else(|| HostError::internal("the digest of an upgrade that waits is none"))
            .and_then(|digest| Blobs::new(&self.store).get(&digest).map_err(HostError::store))?
            .ok_or_else(|| HostError::internal("the bytes of an upgrade that waits are missing"))?;
        let component = self.compile(&Arc::new(bytes)).await?;
        let _changing = self.changing.lock().await;
        // The one that was compiled, if it still waits.
        let pending = self.waiting_one(name, version, Some(&waiting.record.digest))?;
        let newest = self.version(name, None)?;
        if newest.record.version >= *version {
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("{name} {} is installed by now, which is no lower version", newest.record.version),
            )
            .hint("decline this one"));
        }
        let grants = grants.unwrap_or_else(|| self.proposal(&pending));
        let written = grants.to_toml().map_err(|e| {
            HostError::new(ErrorCode::InvalidRequest, format!("the grants cannot be written down: {e}"))
        })?;
        let record = Record {
            grants: written,
            installed_at: self.clock.now_ms(),
            installed_by: actor.to_string(),
            ..pending.record.clone()
        };
        let plugin = self.link_upgrade(&record, component).await?;
        let mut batch = Batch::new();
        batch.delete(Table::Plugins, key(name, version));
        let step = pending.step("plugin.upgrade.agree", &newest.record.version, &record, Some(&grants));
        let change = GrantChange::between(&newest.record.grants().unwrap_or_default(), &grants);
        let info = self.install(actor, &step, plugin, batch).await?;
        Ok((info, change))
    }

    /// Declines an upgrade that waits: it is forgotten, and the old version goes on.
    pub async fn decline(&self, actor: &Actor, name: &str, version: &Version) -> Result<(), HostError> {
        let _changing = self.changing.lock().await;
        let pending = self.waiting_one(name, version, None)?;
        let mut batch = Batch::new();
        batch.delete(Table::Plugins, key(name, version));
        let step = pending.step("plugin.upgrade.decline", &pending.from, &pending.record, None);
        audited::upgrade(&mut batch, &self.audit, actor, &step);
        self.store.commit(batch).await.map_err(HostError::store)?;
        Ok(())
    }

    /// Forgets what waits for a plugin that leaves.
    pub(super) fn forget_pending(&self, batch: &mut Batch, name: &str) -> Result<(), HostError> {
        for pending in self.waiting(Some(name))? {
            batch.delete(Table::Plugins, key(name, &pending.record.version));
        }
        Ok(())
    }

    fn waiting_one(&self, name: &str, version: &Version, digest: Option<&str>) -> Result<Pending, HostError> {
        let waiting = self.waiting(Some(name))?;
        let known: Vec<String> = waiting.iter().map(|one| one.record.version.to_string()).collect();
        let found = waiting.into_iter().find(|one| one.record.version == *version);
        let pending = found.ok_or_else(|| {
            let name: String = name.chars().take(80).collect();
            HostError::new(ErrorCode::UnknownPlugin, format!("no upgrade of {name:?} to {version} waits"))
                .hint(if known.is_empty() {
                    "none does".into()
                } else {
                    format!("there are {}", known.join(", "))
                })
        })?;
        if digest.is_some_and(|digest| digest != pending.record.digest) {
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("the upgrade of {name} to {version} was replaced by other bytes in the meantime"),
            )
            .hint("look at it again"));
        }
        Ok(pending)
    }
}

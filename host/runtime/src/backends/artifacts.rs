//! Artifacts: files that runs produce and people fetch, kept as blobs by digest.

use std::sync::Arc;

use async_trait::async_trait;
use factotum_sandbox::{ArtifactInfo, Artifacts, CallContext, CallFault};
use factotum_store::{Batch, Blobs, Digest, MAX_BLOB, ScanRange, Store, StoreError, Table};
use serde::{Deserialize, Serialize};

use super::store_fault;
use crate::clock::Clock;
use crate::ids::digest_parts;

/// Stands before a mailbox's name where an artifact names its plugin: the file came with a message from there.
pub(crate) const MAILBOX: &str = "mailbox:";

/// A stored artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its media type (RFC 6838).
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// The plugin that stored it; `mailbox:` and a name when it came in by mail.
    pub plugin: String,
    /// The run in which it was stored; absent for a direct call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<String>,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub stored_at: u64,
}

/// An artifact with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactContent {
    /// What is known of it.
    pub info: Artifact,
    /// Its bytes, checked against the digest.
    pub content: Vec<u8>,
}

/// Artifacts on the store.
pub(crate) struct StoredArtifacts {
    pub(super) store: Store,
    clock: Arc<dyn Clock>,
    /// Shared by who stores, held alone by who removes: bytes that are found to be there must still be there when their
    /// artifact is written down.
    pub(super) removing: tokio::sync::RwLock<()>,
}

impl StoredArtifacts {
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, removing: tokio::sync::RwLock::default() }
    }

    /// An artifact, for people.
    pub fn read(&self, id: &str) -> Result<Option<ArtifactContent>, StoreError> {
        if !is_artifact_id(id) {
            return Ok(None);
        }
        let Some(info) = self.record(id)? else { return Ok(None) };
        let corrupt = |reason: &str| StoreError::Corrupt {
            table: Table::Artifacts,
            key: id.as_bytes().to_vec(),
            reason: reason.to_owned(),
        };
        let digest = digest_of(&info.sha256).ok_or_else(|| corrupt("its digest is none"))?;
        let content = Blobs::new(&self.store).get(&digest)?.ok_or_else(|| corrupt("its bytes are gone"))?;
        Ok(Some(ArtifactContent { info, content }))
    }

    /// Whether a plugin may read an artifact in a call: its own, and what came with the message that started the run, or was
    /// handed on to it. The run was given the identifier of the latter, and hands it on as data.
    fn is_for(&self, artifact: &Artifact, plugin: &str, context: &CallContext) -> Result<bool, CallFault> {
        if artifact.plugin == plugin {
            return Ok(true);
        }
        super::lent::is_for_run(&self.store, artifact, context.run_id.as_deref()).map_err(|e| store_fault(&e))
    }

    pub(super) fn record(&self, id: &str) -> Result<Option<Artifact>, StoreError> {
        let Some(bytes) = self.store.get(Table::Artifacts, id.as_bytes())? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| StoreError::Corrupt {
            table: Table::Artifacts,
            key: id.as_bytes().to_vec(),
            reason: e.to_string(),
        })
    }
}

#[async_trait]
impl Artifacts for StoredArtifacts {
    async fn put(
        &self,
        plugin: &str,
        context: &CallContext,
        name: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<ArtifactInfo, CallFault> {
        if content.len() > MAX_BLOB {
            let message = format!("an artifact has at most {MAX_BLOB} bytes, this one {}", content.len());
            return Err(CallFault::business("invalid-input", message));
        }
        let _none_removed = self.removing.read().await;
        let digest = Blobs::new(&self.store).put(&content).await.map_err(|e| store_fault(&e))?;
        // The same bytes under the same name in the same run are the same artifact. Direct calls have no run; the
        // idempotency key stands in for it.
        let scope = scope(context);
        let id = digest_parts(
            "artifact",
            &[plugin.as_bytes(), scope.as_bytes(), name.as_bytes(), media_type.as_bytes(), &digest],
            16,
        );
        let artifact = Artifact {
            id,
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            size: content.len() as u64,
            sha256: hex::encode(digest),
            plugin: plugin.to_owned(),
            run: context.run_id.clone(),
            stored_at: self.clock.now_ms(),
        };
        let record =
            serde_json::to_vec(&artifact).map_err(|e| CallFault::technical("internal", e.to_string()))?;
        let mut batch = Batch::new();
        batch.put(Table::Artifacts, artifact.id.as_str(), record);
        batch.put(
            Table::Artifacts,
            [list_prefix(plugin, scope), artifact.id.clone().into_bytes()].concat(),
            "",
        );
        super::forget::index(&mut batch, &artifact);
        self.store.commit(batch).await.map_err(|e| store_fault(&e))?;
        Ok(info_of(artifact))
    }

    async fn get(&self, plugin: &str, context: &CallContext, id: &str) -> Result<Vec<u8>, CallFault> {
        match self.read(id) {
            Ok(Some(artifact)) if self.is_for(&artifact.info, plugin, context)? => Ok(artifact.content),
            // Another plugin's artifact is not told apart from one that is not there.
            Ok(_) => Err(not_found()),
            Err(error) => Err(store_fault(&error)),
        }
    }

    async fn info(&self, plugin: &str, context: &CallContext, id: &str) -> Result<ArtifactInfo, CallFault> {
        if !is_artifact_id(id) {
            return Err(not_found());
        }
        match self.record(id).map_err(|e| store_fault(&e))? {
            Some(artifact) if self.is_for(&artifact, plugin, context)? => Ok(info_of(artifact)),
            _ => Err(not_found()),
        }
    }

    async fn list(
        &self,
        plugin: &str,
        context: &CallContext,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ArtifactInfo>, CallFault> {
        let prefix = list_prefix(plugin, scope(context));
        let after = after.map(|id| [prefix.as_slice(), id.as_bytes()].concat());
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let range = ScanRange::prefix(prefix.clone()).after(after).limit(limit);
        let keys = self.store.scan(Table::Artifacts, &range).map_err(|e| store_fault(&e))?;
        let mut found = Vec::with_capacity(keys.len());
        for (key, _) in keys {
            let id = key.get(prefix.len()..).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default();
            // Removed meanwhile: not there any more.
            if let Some(artifact) = self.record(id).map_err(|e| store_fault(&e))? {
                found.push(info_of(artifact));
            }
        }
        Ok(found)
    }
}

fn not_found() -> CallFault {
    CallFault::business("not-found", "this plugin stored no such artifact")
}

/// What belongs together: a run's artifacts, or those of one direct call and its repetitions.
fn scope(context: &CallContext) -> &str {
    context.run_id.as_deref().unwrap_or(&context.idempotency_key)
}

/// Where the identifiers of what a plugin stored in a run are listed. Identifiers are hexadecimal, so that no list's key
/// is one; the digest keeps names that a plugin or a caller chose out of the key's structure.
pub(super) fn list_prefix(plugin: &str, scope: &str) -> Vec<u8> {
    format!("list/{}/", digest_parts("artifact-list", &[plugin.as_bytes(), scope.as_bytes()], 16))
        .into_bytes()
}

fn info_of(artifact: Artifact) -> ArtifactInfo {
    let Artifact { id, name, media_type, size, sha256, .. } = artifact;
    ArtifactInfo { id, name, media_type, size, sha256 }
}

pub(super) fn is_artifact_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The bytes of a digest in hexadecimal.
pub(crate) fn digest_of(hex_digest: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    hex::decode_to_slice(hex_digest, &mut digest).ok().map(|()| digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::testing::call_of;
    use crate::clock::manual::ManualClock;
    use factotum_store::Options;

    #[tokio::test]
    async fn artifacts_are_stored_once_and_are_their_plugins_own() {
        let store = Store::in_memory(Options::default()).unwrap();
        let artifacts = StoredArtifacts::new(store, Arc::new(ManualClock::at(7)));
        let context = call_of(Some("r"));
        let put = |name: &'static str| artifacts.put("report", &context, name, "text/html", b"<p>".to_vec());
        let first = put("a.html").await.unwrap();
        assert_eq!(first.id, put("a.html").await.unwrap().id);
        assert_ne!(first.id, put("b.html").await.unwrap().id);
        assert_eq!(artifacts.get("report", &context, &first.id).await.unwrap(), b"<p>");
        assert_eq!(artifacts.get("crm", &context, &first.id).await.unwrap_err().code, "not-found");
        assert_eq!(artifacts.get("report", &context, "../x").await.unwrap_err().code, "not-found");
        assert_eq!(artifacts.info("report", &context, &first.id).await.unwrap(), first);
        assert_eq!(artifacts.info("crm", &context, &first.id).await.unwrap_err().code, "not-found");
        let list = |plugin, after, limit| Artifacts::list(&artifacts, plugin, &context, after, limit);
        let all = list("report", None, 100).await.unwrap();
        assert_eq!(all.len(), 2);
        assert!(all.contains(&first) && all[0].id < all[1].id);
        assert_eq!(list("report", None, 1).await.unwrap(), all[..1]);
        assert_eq!(list("report", Some(&all[0].id), 100).await.unwrap(), all[1..]);
        assert!(list("crm", None, 100).await.unwrap().is_empty(), "another plugin's are not listed");
        let other = call_of(Some("r2"));
        assert!(artifacts.list("report", &other, None, 100).await.unwrap().is_empty(), "nor another run's");
        let read = artifacts.read(&first.id).unwrap().unwrap();
        assert_eq!((read.info.stored_at, read.info.size, read.content.as_slice()), (7, 3, &b"<p>"[..]));
    }

    #[tokio::test]
    async fn what_came_by_mail_is_for_the_plugins_of_its_run_alone() {
        let store = Store::in_memory(Options::default()).unwrap();
        let artifacts = StoredArtifacts::new(store.clone(), Arc::new(ManualClock::at(7)));
        let digest = Blobs::new(&store).put(b"%PDF").await.unwrap();
        let id = "0".repeat(32);
        let artifact = Artifact {
            id: id.clone(),
            name: "invoice.pdf".into(),
            media_type: "application/pdf".into(),
            size: 4,
            sha256: hex::encode(digest),
            plugin: format!("{MAILBOX}support"),
            run: Some("r".into()),
            stored_at: 7,
        };
        let mut batch = Batch::new();
        batch.put(Table::Artifacts, id.as_str(), serde_json::to_vec(&artifact).unwrap());
        store.commit(batch).await.unwrap();
        assert_eq!(artifacts.get("crm", &call_of(Some("r")), &id).await.unwrap(), b"%PDF");
        assert_eq!(artifacts.info("crm", &call_of(Some("r")), &id).await.unwrap().name, "invoice.pdf");
        for elsewhere in [Some("r2"), None] {
            assert_eq!(artifacts.get("crm", &call_of(elsewhere), &id).await.unwrap_err().code, "not-found");
            assert_eq!(artifacts.info("crm", &call_of(elsewhere), &id).await.unwrap_err().code, "not-found");
        }
    }
}

//! Artifacts are removed: which belong to a run, and when nobody else has the same bytes.

use factotum_store::{Batch, Blobs, Digest, ScanRange, StoreError, Table};

use super::artifacts::{Artifact, StoredArtifacts, digest_of, is_artifact_id, list_prefix};

/// Entries that are looked at at once.
const PAGE: usize = 500;
/// Says that the artifacts of an earlier version stand in the indexes as well.
const INDEXED: &[u8] = b"artifacts-indexed";

/// Where the artifacts of a run are listed.
/// A key of the table, and the artifact under it where it is one that can be read.
pub(crate) type Kept = (Vec<u8>, Option<Artifact>);

fn run_prefix(run: &str) -> Vec<u8> {
    format!("run/{run}/").into_bytes()
}

/// Where the artifacts with the same bytes are listed.
fn bytes_prefix(sha256: &str) -> Vec<u8> {
    format!("bytes/{sha256}/").into_bytes()
}

/// Adds what finds an artifact by its run and by its bytes to a batch.
pub(crate) fn index(batch: &mut Batch, artifact: &Artifact) {
    let id = artifact.id.as_bytes();
    batch.put(Table::Artifacts, [bytes_prefix(&artifact.sha256).as_slice(), id].concat(), *b"");
    if let Some(run) = &artifact.run {
        batch.put(Table::Artifacts, [run_prefix(run).as_slice(), id].concat(), *b"");
    }
}

impl StoredArtifacts {
    /// Brings what an earlier version stored into the indexes, once.
    pub(crate) async fn index_once(&self) -> Result<(), StoreError> {
        if self.store.get(Table::Meta, INDEXED)?.is_some() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let page = self.page(after.take())?;
            let mut batch = Batch::new();
            let over = page.is_empty();
            if over {
                batch.put(Table::Meta, INDEXED, *b"1");
            }
            for (key, artifact) in page {
                if let Some(artifact) = artifact {
                    index(&mut batch, &artifact);
                }
                after = Some(key);
            }
            self.store.commit(batch).await?;
            if over {
                return Ok(());
            }
        }
    }

    /// A page of everything that lies in the table, after a key; with the artifact where it is one that can be read.
    pub(crate) fn page(&self, after: Option<Vec<u8>>) -> Result<Vec<Kept>, StoreError> {
        let found = self.store.scan(Table::Artifacts, &ScanRange::default().after(after).limit(PAGE))?;
        let artifact = |key: &[u8], bytes: &[u8]| {
            let is_one = std::str::from_utf8(key).is_ok_and(is_artifact_id);
            is_one.then(|| serde_json::from_slice(bytes).ok()).flatten()
        };
        let with = |(key, bytes): (Vec<u8>, Vec<u8>)| {
            let artifact = artifact(&key, &bytes);
            (key, artifact)
        };
        Ok(found.into_iter().map(with).collect())
    }

    /// The artifacts that were stored in a run.
    pub(crate) fn of_run(&self, run: &str) -> Result<Vec<String>, StoreError> {
        let prefix = run_prefix(run);
        let mut ids = Vec::new();
        let mut after = None;
        loop {
            let range = ScanRange::prefix(prefix.clone()).after(after.take()).limit(PAGE);
            let page = self.store.scan(Table::Artifacts, &range)?;
            let Some((last, _)) = page.last() else { return Ok(ids) };
            after = Some(last.clone());
            ids.extend(
                page.iter().filter_map(|(key, _)| {
                    Some(std::str::from_utf8(key.get(prefix.len()..)?).ok()?.to_owned())
                }),
            );
        }
    }

    /// Removes artifacts, and their bytes where nothing else has the same. Returns how many there were.
    pub(crate) async fn remove(&self, ids: &[String]) -> Result<usize, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        self.index_once().await?;
        let _alone = self.removing.write().await;
        let mut count = 0;
        for id in ids {
            let Ok(Some(artifact)) = self.record(id) else {
                // It cannot be read: nobody knows its bytes, but it is gone.
                let mut batch = Batch::new();
                batch.delete(Table::Artifacts, id.as_str());
                self.store.commit(batch).await?;
                continue;
            };
            let mut batch = Batch::new();
            batch.delete(Table::Artifacts, id.as_str());
            let of_bytes = bytes_prefix(&artifact.sha256);
            batch.delete(Table::Artifacts, [of_bytes.as_slice(), id.as_bytes()].concat());
            if let Some(run) = &artifact.run {
                batch.delete(Table::Artifacts, [run_prefix(run).as_slice(), id.as_bytes()].concat());
                let listed = [list_prefix(&artifact.plugin, run), id.clone().into_bytes()].concat();
                batch.delete(Table::Artifacts, listed);
            }
            self.store.commit(batch).await?;
            count += 1;
            if let Some(digest) = digest_of(&artifact.sha256) {
                self.remove_bytes(&digest, &artifact.sha256).await?;
            }
        }
        Ok(count)
    }

    async fn remove_bytes(&self, digest: &Digest, sha256: &str) -> Result<(), StoreError> {
        let others = ScanRange::prefix(bytes_prefix(sha256)).limit(1);
        if !self.store.scan(Table::Artifacts, &others)?.is_empty() || self.is_plugin(sha256)? {
            return Ok(());
        }
        match Blobs::new(&self.store).delete(digest).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether an installed plugin, or one that waits to be, has these bytes: components lie among the artifacts'.
    fn is_plugin(&self, sha256: &str) -> Result<bool, StoreError> {
        let mut after = None;
        loop {
            let range = ScanRange::default().after(after.take()).limit(PAGE);
            let page = self.store.scan(Table::Plugins, &range)?;
            let Some((last, _)) = page.last() else { return Ok(false) };
            after = Some(last.clone());
            let named = |bytes: &[u8]| bytes.windows(sha256.len()).any(|part| part == sha256.as_bytes());
            if page.iter().any(|(key, record)| named(key) || named(record)) {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::testing::call_of;
    use crate::clock::manual::ManualClock;
    use factotum_sandbox::Artifacts;
    use factotum_store::{Options, Store};
    use std::sync::Arc;

    #[tokio::test]
    async fn bytes_go_with_the_last_artifact_that_has_them_and_never_a_plugins() {
        let store = Store::in_memory(Options::default()).unwrap();
        let artifacts = StoredArtifacts::new(store.clone(), Arc::new(ManualClock::at(7)));
        let (one, two) = (call_of(Some("one")), call_of(Some("two")));
        let mut put = Vec::new();
        for (context, content) in [(&one, "same"), (&two, "same"), (&one, "own"), (&one, "wasm")] {
            put.push(artifacts.put("p", context, "n", "text/plain", content.into()).await.unwrap());
        }
        let mut batch = Batch::new();
        batch.put(Table::Plugins, "x", format!("{{\"digest\":\"{}\"}}", put[3].sha256));
        store.commit(batch).await.unwrap();
        let there =
            |n: usize| Blobs::new(&store).length(&digest_of(&put[n].sha256).unwrap()).unwrap().is_some();
        let of_one = artifacts.of_run("one").unwrap();
        assert_eq!(of_one.len(), 3);
        assert_eq!(artifacts.remove(&of_one).await.unwrap(), 3);
        assert!(artifacts.of_run("one").unwrap().is_empty());
        assert!(artifacts.list("p", &one, None, 10).await.unwrap().is_empty());
        assert_eq!([there(0), there(2), there(3)], [true, false, true]);
        assert_eq!(artifacts.read(&put[1].id).unwrap().unwrap().content, b"same");
        assert_eq!(artifacts.remove(&artifacts.of_run("two").unwrap()).await.unwrap(), 1);
        assert!(!there(0));
        let left = store.scan(Table::Artifacts, &ScanRange::default()).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn artifacts_of_before_the_indexes_are_found_and_counted() {
        let store = Store::in_memory(Options::default()).unwrap();
        let artifacts = StoredArtifacts::new(store.clone(), Arc::new(ManualClock::at(7)));
        let old =
            artifacts.put("p", &call_of(Some("old")), "n", "text/plain", b"same".to_vec()).await.unwrap();
        for (key, _) in store.scan(Table::Artifacts, &ScanRange::default()).unwrap() {
            if key.starts_with(b"run/") || key.starts_with(b"bytes/") {
                store.tamper(Table::Artifacts, &key, None).unwrap();
            }
        }
        let new =
            artifacts.put("p", &call_of(Some("new")), "n", "text/plain", b"same".to_vec()).await.unwrap();
        assert_eq!(artifacts.remove(std::slice::from_ref(&new.id)).await.unwrap(), 1);
        assert_eq!(artifacts.read(&old.id).unwrap().unwrap().content, b"same", "it has the same bytes");
        assert_eq!(artifacts.of_run("old").unwrap(), [old.id]);
    }
}

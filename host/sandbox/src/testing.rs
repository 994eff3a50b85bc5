//! Backends in memory, for tests of plugins and of this crate. Nothing here is durable.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::missing_panics_doc, missing_docs)] // test support: a broken lock or index fails the test

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use factotum_egress::{Egress, EgressConfig, NoSecrets, Secrets, SystemResolver};
use factotum_grant::KeyValueGrant;
use factotum_provenance::{Labels, Provenance};
use sha2::{Digest, Sha256};

use crate::{
    ArtifactInfo, Artifacts, BackendError, Backends, CallContext, CallFault, KeyValue, MailMessage, MailOut,
    MailReceipt, StoredLabels,
};

/// Every backend in memory, open to inspection.
#[derive(Default)]
pub struct Memory {
    pub pairs: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    pub mails: Mutex<Vec<(String, MailMessage)>>,
    pub files: Mutex<Vec<(ArtifactInfo, Vec<u8>)>>,
    pub labels: Mutex<BTreeMap<String, Labels>>,
}

impl Memory {
    /// The backends over a fresh memory, and the memory.
    pub fn backends() -> (Backends, Arc<Self>) {
        Self::backends_with(Arc::new(NoSecrets))
    }

    /// The same with secrets for outgoing requests.
    pub fn backends_with(secrets: Arc<dyn Secrets>) -> (Backends, Arc<Self>) {
        let memory = Arc::new(Self::default());
        let egress = Egress::new(EgressConfig::default(), Arc::new(SystemResolver), secrets).unwrap();
        let backends = Backends {
            key_value: memory.clone(),
            mail: memory.clone(),
            artifacts: memory.clone(),
            egress: Arc::new(egress),
            labels: memory.clone(),
        };
        (backends, memory)
    }
}

/// A context as a direct call has it.
pub fn context(idempotency_key: &str) -> CallContext {
    CallContext {
        run_id: Some("run-1".into()),
        flow: Some("test/flow".into()),
        task: Some("/do/0/test".into()),
        attempt: 1,
        idempotency_key: idempotency_key.into(),
        timeout: None,
        data: Provenance::default(),
    }
}

#[async_trait]
impl StoredLabels for Memory {
    async fn labels(&self, place: &str) -> Result<Labels, BackendError> {
        Ok(self.labels.lock().unwrap().get(place).cloned().unwrap_or_default())
    }
    async fn mark(&self, place: &str, labels: &Labels) -> Result<(), BackendError> {
        let mut known = self.labels.lock().unwrap();
        let before = known.entry(place.into()).or_default();
        *before = before.union(labels);
        Ok(())
    }
}

#[async_trait]
impl KeyValue for Memory {
    async fn get(&self, ns: &str, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.pairs.lock().unwrap().get(&(ns.into(), key.into())).cloned())
    }
    async fn get_many(&self, ns: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        let pairs = self.pairs.lock().unwrap();
        Ok(keys.iter().map(|key| pairs.get(&(ns.into(), key.clone())).cloned()).collect())
    }
    async fn set_many(
        &self,
        ns: &str,
        new: Vec<(String, Vec<u8>)>,
        quota: &KeyValueGrant,
    ) -> Result<(), BackendError> {
        let mut pairs = self.pairs.lock().unwrap();
        let mut next = pairs.clone();
        next.extend(new.into_iter().map(|(key, value)| ((ns.to_owned(), key), value)));
        let own = next.iter().filter(|((n, _), _)| n == ns);
        let (keys, bytes) =
            own.fold((0, 0), |(k, b), ((_, key), value)| (k + 1, b + key.len() + value.len()));
        if keys > quota.quota_keys || bytes as u64 > quota.quota_bytes {
            return Err(BackendError("the quota is used up".into()));
        }
        *pairs = next;
        Ok(())
    }
    async fn delete_many(&self, ns: &str, keys: &[String]) -> Result<(), BackendError> {
        let mut pairs = self.pairs.lock().unwrap();
        for key in keys {
            pairs.remove(&(ns.to_owned(), key.clone()));
        }
        Ok(())
    }
    async fn exists(&self, ns: &str, key: &str) -> Result<bool, BackendError> {
        Ok(KeyValue::get(self, ns, key).await?.is_some())
    }
    async fn list_keys(
        &self,
        ns: &str,
        cursor: Option<u64>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<u64>), BackendError> {
        let pairs = self.pairs.lock().unwrap();
        let all: Vec<&String> = pairs.keys().filter(|(n, _)| n == ns).map(|(_, key)| key).collect();
        let from = (cursor.unwrap_or(0) as usize).min(all.len());
        let to = (from + limit as usize).min(all.len());
        Ok((all[from..to].iter().map(|k| (*k).clone()).collect(), (to < all.len()).then_some(to as u64)))
    }
    async fn increment(
        &self,
        ns: &str,
        key: &str,
        delta: u64,
        _quota: &KeyValueGrant,
    ) -> Result<u64, BackendError> {
        let mut pairs = self.pairs.lock().unwrap();
        let value = pairs.entry((ns.into(), key.into())).or_insert_with(|| b"0".to_vec());
        let old: u64 = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| BackendError(format!("{key} is no number")))?;
        let sum = old.checked_add(delta).ok_or_else(|| BackendError(format!("{key} would overflow")))?;
        *value = sum.to_string().into_bytes();
        Ok(sum)
    }
}

#[async_trait]
impl MailOut for Memory {
    async fn send(
        &self,
        _plugin: &str,
        context: &CallContext,
        message: MailMessage,
    ) -> Result<MailReceipt, CallFault> {
        let mut mails = self.mails.lock().unwrap();
        let repeated = mails.iter().any(|(key, _)| *key == context.idempotency_key);
        if !repeated {
            mails.push((context.idempotency_key.clone(), message));
        }
        Ok(MailReceipt { message_id: format!("<{}@test>", context.idempotency_key), repeated })
    }
}

#[async_trait]
impl Artifacts for Memory {
    async fn put(
        &self,
        plugin: &str,
        _context: &CallContext,
        name: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<ArtifactInfo, CallFault> {
        let mut files = self.files.lock().unwrap();
        let info = ArtifactInfo {
            id: format!("{plugin}-{}", files.len() + 1),
            name: name.into(),
            media_type: media_type.into(),
            size: content.len() as u64,
            sha256: hex::encode(Sha256::digest(&content)),
        };
        files.push((info.clone(), content));
        Ok(info)
    }
    async fn get(&self, plugin: &str, _: &CallContext, id: &str) -> Result<Vec<u8>, CallFault> {
        let files = self.files.lock().unwrap();
        files
            .iter()
            .find(|(info, _)| info.id == id && id.starts_with(plugin))
            .map(|(_, bytes)| bytes.clone())
            .ok_or_else(|| CallFault::business("not-found", format!("artifact {id}")))
    }
    async fn info(&self, plugin: &str, _: &CallContext, id: &str) -> Result<ArtifactInfo, CallFault> {
        let files = self.files.lock().unwrap();
        files
            .iter()
            .find(|(info, _)| info.id == id && id.starts_with(plugin))
            .map(|(info, _)| info.clone())
            .ok_or_else(|| CallFault::business("not-found", format!("artifact {id}")))
    }
    async fn list(
        &self,
        plugin: &str,
        _context: &CallContext,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ArtifactInfo>, CallFault> {
        let files = self.files.lock().unwrap();
        let own = files.iter().map(|(info, _)| info).filter(|info| info.id.starts_with(plugin));
        Ok(own.filter(|i| after.is_none_or(|a| i.id.as_str() > a)).take(limit as usize).cloned().collect())
    }
}

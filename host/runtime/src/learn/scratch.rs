//! Backends that do nothing: they answer from fixtures and a scratch memory, and note what was attempted.
//!
//! Nothing of this reaches the network, the mailer, the store or the artifacts of the host; it has no way to any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factotum_egress::{EgressError, Limits, Login, Policy, look_at};
use factotum_grant::{Access, Attempt, HttpRule, KeyValueGrant};
use factotum_provenance::Labels;
use factotum_sandbox::{
    ArtifactInfo, Artifacts, BackendError, Backends, CallContext, CallFault, HttpOut, KeyValue, MailMessage,
    MailOut, MailReceipt, StoredLabels,
};
use sha2::{Digest, Sha256};

use super::Fixtures;

/// The most different attempts of one plugin that are noted; the rest is the same over and over, or hostile.
const MAX_ATTEMPTS: usize = 2_000;
/// The most bytes that all plugins together may store.
const MAX_SCRATCH_BYTES: usize = 64 << 20;
/// The most notes of one kind.
const MAX_NOTES: usize = 100;

/// What all plugins of one learning run share.
#[derive(Default)]
pub(crate) struct Scratch {
    fixtures: Fixtures,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    pairs: BTreeMap<(String, String), Vec<u8>>,
    files: BTreeMap<String, (ArtifactInfo, String, Vec<u8>)>,
    bytes: usize,
    seen: BTreeMap<String, Seen>,
    /// Whose data the namespaces and the plugins' artifacts hold.
    labels: BTreeMap<String, Labels>,
}

/// What one plugin attempted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub attempts: Vec<Attempt>,
    /// How many attempts there were, repetitions among them.
    pub count: u64,
    /// What no grant could allow.
    pub unlearnable: BTreeSet<String>,
    /// Requests that no fixture answered.
    pub unanswered: BTreeSet<String>,
}

impl Scratch {
    pub fn new(fixtures: Fixtures) -> Arc<Self> {
        let pairs = fixtures.pairs.clone();
        let memory = Mutex::new(Memory { pairs, ..Memory::default() });
        Arc::new(Self { fixtures, memory })
    }

    /// The backends for one plugin.
    pub fn backends(self: &Arc<Self>, plugin: &str) -> Backends {
        let mine = Arc::new(Mine { plugin: plugin.to_owned(), scratch: Arc::clone(self) });
        Backends {
            key_value: Arc::clone(&mine) as _,
            mail: Arc::clone(&mine) as _,
            artifacts: Arc::clone(&mine) as _,
            egress: Arc::clone(&mine) as _,
            labels: mine as _,
        }
    }

    /// What each plugin attempted.
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        self.memory().seen.clone()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scratch as one plugin sees it.
struct Mine {
    plugin: String,
    scratch: Arc<Scratch>,
}

impl Mine {
    fn note(&self, attempt: Attempt) {
        let mut memory = self.scratch.memory();
        let seen = memory.seen.entry(self.plugin.clone()).or_default();
        seen.count += 1;
        if seen.attempts.len() < MAX_ATTEMPTS && !seen.attempts.contains(&attempt) {
            seen.attempts.push(attempt);
        }
    }

    fn remark(&self, list: fn(&mut Seen) -> &mut BTreeSet<String>, text: String) {
        let mut memory = self.scratch.memory();
        let list = list(memory.seen.entry(self.plugin.clone()).or_default());
        if list.len() < MAX_NOTES {
            list.insert(text);
        }
    }

    fn uses(&self, namespace: &str, access: Access) {
        let namespace = (namespace != self.plugin).then(|| namespace.to_owned());
        self.note(Attempt::KeyValue { namespace, access });
    }
}

#[async_trait]
impl HttpOut for Mine {
    async fn send(
        &self,
        _policy: &dyn Policy,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        self.answer(&request, None, limits)
    }

    async fn send_as(
        &self,
        _policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: &Login,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        self.answer(&request, Some(login), limits)
    }
}

impl Mine {
    /// Notes a request, and answers it from the fixtures.
    fn answer(
        &self,
        request: &http::Request<Bytes>,
        login: Option<&Login>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let place = |request: &http::Request<Bytes>| {
            format!(
                "{} {}",
                request.method(),
                request.uri().to_string().split('?').next().unwrap_or_default()
            )
        };
        let (observed, answer) =
            look_at(request, |seen| (HttpRule::observed(seen), self.scratch.fixtures.answer(seen)))?;
        match observed {
            Ok(mut rule) => {
                rule.usable = login
                    .map(|login| login.secrets().into_iter().map(str::to_owned).collect())
                    .unwrap_or_default();
                self.note(Attempt::Http(Box::new(rule)));
            }
            Err(problem) => self.remark(|seen| &mut seen.unlearnable, problem.to_string()),
        }
        if let Some(login) = login {
            let (attempts, unknown) = super::own::of_login(login, &self.scratch.fixtures);
            for attempt in attempts {
                self.note(attempt);
            }
            if let Some(unknown) = unknown {
                self.remark(|seen| &mut seen.unlearnable, unknown);
            }
        }
        let Some(answer) = answer else {
            self.remark(|seen| &mut seen.unanswered, place(request));
            let host = request.uri().host().unwrap_or_default().to_owned();
            return Err(EgressError::Unreachable { host, problem: "no fixture answers this request".into() });
        };
        if answer.body().len() as u64 > limits.max_response_bytes {
            return Err(EgressError::TooLarge {
                what: "the answer's body",
                limit: limits.max_response_bytes,
            });
        }
        Ok(answer)
    }
}

#[async_trait]
impl MailOut for Mine {
    async fn send(
        &self,
        _plugin: &str,
        context: &CallContext,
        message: MailMessage,
    ) -> Result<MailReceipt, CallFault> {
        let recipients =
            message.to.iter().chain(&message.cc).map(|mailbox| mailbox.address.clone()).collect();
        self.note(Attempt::Mail { sender: message.sender.map(|sender| sender.address), recipients });
        Ok(MailReceipt {
            message_id: format!("<{}@learning.invalid>", context.idempotency_key),
            repeated: false,
        })
    }
}

#[async_trait]
impl Artifacts for Mine {
    async fn put(
        &self,
        _plugin: &str,
        _context: &CallContext,
        name: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<ArtifactInfo, CallFault> {
        let size = content.len() as u64;
        self.note(Attempt::Artifact { bytes: size });
        let mut memory = self.scratch.memory();
        memory.take(content.len()).map_err(|problem| CallFault::technical("unavailable", problem))?;
        let info = ArtifactInfo {
            id: format!("learning-{}", memory.files.len() + 1),
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            size,
            sha256: hex::encode(Sha256::digest(&content)),
        };
        memory.files.insert(info.id.clone(), (info.clone(), self.plugin.clone(), content));
        Ok(info)
    }

    async fn get(&self, _plugin: &str, _: &CallContext, id: &str) -> Result<Vec<u8>, CallFault> {
        self.note(Attempt::Artifact { bytes: 0 });
        match self.scratch.memory().files.get(id) {
            Some((_, owner, content)) if *owner == self.plugin => Ok(content.clone()),
            _ => Err(CallFault::business("not-found", "there is no such artifact of this plugin")),
        }
    }

    async fn info(&self, _plugin: &str, _: &CallContext, id: &str) -> Result<ArtifactInfo, CallFault> {
        self.note(Attempt::Artifact { bytes: 0 });
        match self.scratch.memory().files.get(id) {
            Some((info, owner, _)) if *owner == self.plugin => Ok(info.clone()),
            _ => Err(CallFault::business("not-found", "there is no such artifact of this plugin")),
        }
    }

    async fn list(
        &self,
        _plugin: &str,
        _context: &CallContext,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ArtifactInfo>, CallFault> {
        self.note(Attempt::Artifact { bytes: 0 });
        let memory = self.scratch.memory();
        let own = memory.files.values().filter(|(_, owner, _)| *owner == self.plugin).map(|(info, ..)| info);
        let page = own.filter(|info| after.is_none_or(|after| info.id.as_str() > after));
        Ok(page.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }
}

impl Memory {
    /// Counts bytes that are kept. What is overwritten is not counted back: a run is short.
    fn take(&mut self, bytes: usize) -> Result<(), String> {
        let all = self.bytes.saturating_add(bytes);
        if all > MAX_SCRATCH_BYTES {
            return Err(format!("a learning run stores at most {MAX_SCRATCH_BYTES} bytes"));
        }
        self.bytes = all;
        Ok(())
    }

    fn of<'m>(&'m self, namespace: &'m str) -> impl Iterator<Item = &'m String> {
        let from = (namespace.to_owned(), String::new());
        self.pairs
            .range(from..)
            .map(|((of, key), _)| (of, key))
            .take_while(move |(of, _)| *of == namespace)
            .map(|(_, key)| key)
    }
}

#[async_trait]
impl StoredLabels for Mine {
    async fn labels(&self, place: &str) -> Result<Labels, BackendError> {
        Ok(self.scratch.memory().labels.get(place).cloned().unwrap_or_default())
    }

    async fn mark(&self, place: &str, labels: &Labels) -> Result<(), BackendError> {
        let mut memory = self.scratch.memory();
        let known = memory.labels.entry(place.to_owned()).or_default();
        *known = known.union(labels);
        Ok(())
    }
}

#[async_trait]
impl KeyValue for Mine {
    async fn get(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        self.uses(namespace, Access::Read);
        Ok(self.scratch.memory().pairs.get(&(namespace.to_owned(), key.to_owned())).cloned())
    }

    async fn get_many(&self, namespace: &str, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        self.uses(namespace, Access::Read);
        let memory = self.scratch.memory();
        Ok(keys.iter().map(|key| memory.pairs.get(&(namespace.to_owned(), key.clone())).cloned()).collect())
    }

    async fn set_many(
        &self,
        namespace: &str,
        pairs: Vec<(String, Vec<u8>)>,
        _quota: &KeyValueGrant,
    ) -> Result<(), BackendError> {
        self.uses(namespace, Access::ReadWrite);
        let mut memory = self.scratch.memory();
        memory.take(pairs.iter().map(|(key, value)| key.len() + value.len()).sum()).map_err(BackendError)?;
        memory.pairs.extend(pairs.into_iter().map(|(key, value)| ((namespace.to_owned(), key), value)));
        Ok(())
    }

    async fn delete_many(&self, namespace: &str, keys: &[String]) -> Result<(), BackendError> {
        self.uses(namespace, Access::ReadWrite);
        let mut memory = self.scratch.memory();
        for key in keys {
            memory.pairs.remove(&(namespace.to_owned(), key.clone()));
        }
        Ok(())
    }

    async fn exists(&self, namespace: &str, key: &str) -> Result<bool, BackendError> {
        self.uses(namespace, Access::Read);
        Ok(self.scratch.memory().pairs.contains_key(&(namespace.to_owned(), key.to_owned())))
    }

    async fn list_keys(
        &self,
        namespace: &str,
        cursor: Option<u64>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<u64>), BackendError> {
        self.uses(namespace, Access::Read);
        let from = usize::try_from(cursor.unwrap_or(0)).unwrap_or(usize::MAX);
        let memory = self.scratch.memory();
        let mut rest = memory.of(namespace).skip(from);
        let keys: Vec<String> = rest.by_ref().take(limit as usize).cloned().collect();
        let next = rest.next().map(|_| from.saturating_add(keys.len()) as u64);
        Ok((keys, next))
    }

    async fn increment(
        &self,
        namespace: &str,
        key: &str,
        delta: u64,
        _quota: &KeyValueGrant,
    ) -> Result<u64, BackendError> {
        self.uses(namespace, Access::ReadWrite);
        let mut memory = self.scratch.memory();
        memory.take(key.len() + 20).map_err(BackendError)?;
        let value =
            memory.pairs.entry((namespace.to_owned(), key.to_owned())).or_insert_with(|| b"0".to_vec());
        let old = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        let sum = old
            .and_then(|old| old.checked_add(delta))
            .ok_or_else(|| BackendError("cannot add to the value: it is no number, or too large".into()))?;
        *value = sum.to_string().into_bytes();
        Ok(sum)
    }
}

//! Flows: checked, deployed, found again.
//!
//! Deploying fixes what every call of a flow means: plugin, version and digest. A deployment is the document and those
//! pins, named by the digest over both. The current deployment of a flow takes new runs; a run keeps the deployment it
//! was started with, so deployments stay on disk.

mod check;
mod deploy;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use factotum_flow::{Flow, FunctionRef};
use factotum_sandbox::Narrowed;
use factotum_store::{ScanRange, Store, Table};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::actions::Pin;

pub use deploy::FlowInfo;

pub(crate) use check::{check, doubts, is_expression};

/// The prefix of the keys that name the current deployment of a flow.
const CURRENT: &str = "current\0";
/// The prefix of the keys of deployments by digest.
const BY_DIGEST: &str = "deployment\0";
/// The prefix of the keys that name the last deployment of a version.
const BY_VERSION: &str = "version\0";

/// A deployed flow: the document, ready to run, and what its calls mean.
#[derive(Debug)]
pub struct Deployment {
    /// The digest over document and pins, lower-case hexadecimal.
    pub digest: String,
    /// The document, ready to run.
    pub flow: Flow,
    pins: HashMap<FunctionRef, Arc<Pin>>,
    /// By task: what the flow leaves of the plugin's rights there.
    narrowed: HashMap<String, Arc<Narrowed>>,
    record: Record,
}

/// A deployment as the store keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The document's source.
    pub source: String,
    /// The name it had where it came from.
    pub file: String,
    pub pins: Vec<Pin>,
    pub deployed_at: u64,
    pub deployed_by: String,
}

impl Deployment {
    fn new(digest: String, flow: Flow, record: Record) -> Result<Self, String> {
        let mut pins = HashMap::new();
        for pin in &record.pins {
            let function: FunctionRef = pin.call.parse().map_err(|e| format!("pin {}: {e}", pin.call))?;
            pins.insert(function, Arc::new(pin.clone()));
        }
        let calls = flow.calls().iter().map(|site| (&site.path, &site.grants));
        let requests = flow.https().iter().map(|site| (&site.path, &site.grants));
        let narrowed = calls.chain(requests).filter_map(|(path, grants)| {
            let by = grants.clone()?;
            Some((path.clone(), Arc::new(Narrowed::new(by))))
        });
        let narrowed = narrowed.collect();
        Ok(Self { digest, flow, pins, narrowed, record })
    }

    /// What the flow leaves of the plugin's rights, or of its own, at a task (a JSON Pointer); `None` when it leaves all.
    pub(crate) fn narrowed(&self, task: &str) -> Option<&Arc<Narrowed>> {
        self.narrowed.get(task)
    }

    /// What a call of the flow means.
    pub(crate) fn pin(&self, function: &FunctionRef) -> Option<&Arc<Pin>> {
        self.pins.get(function)
    }

    /// What the flow's calls mean, each once.
    #[must_use]
    pub fn pins(&self) -> &[Pin] {
        &self.record.pins
    }

    /// The name that the document's file had where it came from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.record.file
    }

    /// When it was deployed, in milliseconds since the Unix epoch.
    pub(crate) fn deployed_at(&self) -> u64 {
        self.record.deployed_at
    }

    /// The document's source, as it was deployed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.record.source
    }
}

/// The deployments of a host.
pub(crate) struct Deployments {
    store: Store,
    known: RwLock<Known>,
    /// Changes with what is deployed.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    /// By `namespace/name`.
    current: HashMap<String, Arc<Deployment>>,
    /// Deployments that runs still keep to; loaded when asked for.
    by_digest: HashMap<String, std::sync::Weak<Deployment>>,
}

impl Deployments {
    pub fn new(store: Store) -> Self {
        Self { store, known: RwLock::default(), changed: watch::Sender::new(()) }
    }

    /// The deployment that takes new runs of a flow.
    pub fn current(&self, flow: &str) -> Option<Arc<Deployment>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).current.get(flow).cloned()
    }

    /// Tells when a flow is deployed or taken off.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All current deployments, by name.
    pub fn all(&self) -> Vec<Arc<Deployment>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.current.values().cloned().collect();
        drop(known);
        all.sort_by_key(|deployment| deployment.flow.id());
        all
    }

    /// A deployment that some run keeps to, read from the store when it is not in memory.
    pub async fn by_digest(&self, digest: &str) -> Result<Arc<Deployment>, String> {
        if let Some(found) = self.in_memory(digest) {
            return Ok(found);
        }
        let stored = self.store.get(Table::Flows, &key(BY_DIGEST, digest)).map_err(|e| e.to_string())?;
        let stored = stored.ok_or_else(|| format!("the deployment {digest} that it keeps to is gone"))?;
        let wanted = digest.to_owned();
        let loaded =
            tokio::task::spawn_blocking(move || load(wanted, &stored)).await.map_err(|e| e.to_string())??;
        Ok(self.remember(loaded))
    }

    /// The last deployment of a version of a flow; of the current one when it has that version.
    pub async fn of_version(&self, flow: &str, version: &str) -> Result<Option<Arc<Deployment>>, String> {
        if let Some(current) = self.current(flow)
            && current.flow.document().version.to_string() == version
        {
            return Ok(Some(current));
        }
        let digest = self.store.get(Table::Flows, &version_key(flow, version)).map_err(|e| e.to_string())?;
        match digest {
            Some(digest) => self.by_digest(&String::from_utf8_lossy(&digest)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Loads what was deployed before. A flow that cannot be loaded any more is reported and left out.
    pub fn open(&self) -> Result<(), factotum_store::StoreError> {
        let mut cursor = None;
        loop {
            let range = ScanRange::prefix(CURRENT).after(cursor).limit(100);
            let page = self.store.scan(Table::Flows, &range)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            cursor = Some(last.clone());
            for (name, digest) in page {
                let name =
                    String::from_utf8_lossy(name.get(CURRENT.len()..).unwrap_or_default()).into_owned();
                let digest = String::from_utf8_lossy(&digest).into_owned();
                let loaded = match self.store.get(Table::Flows, &key(BY_DIGEST, &digest))? {
                    Some(stored) => load(digest, &stored),
                    None => Err("its deployment is missing".into()),
                };
                match loaded {
                    Ok(deployment) => self.set_current(Arc::new(deployment)),
                    Err(reason) => {
                        tracing::error!(
                            flow = name,
                            reason,
                            "a deployed flow cannot be loaded and takes no runs"
                        );
                    }
                }
            }
        }
    }

    /// What the calls of a deployment mean, whether or not the host still reads its document.
    pub fn pins_of(&self, digest: &str) -> Result<Vec<Pin>, factotum_store::StoreError> {
        if let Some(found) = self.in_memory(digest) {
            return Ok(found.pins().to_vec());
        }
        let stored = self.store.get(Table::Flows, &key(BY_DIGEST, digest))?;
        Ok(stored
            .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok())
            .map(|r| r.pins)
            .unwrap_or_default())
    }

    fn set_current(&self, deployment: Arc<Deployment>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.by_digest.insert(deployment.digest.clone(), Arc::downgrade(&deployment));
        known.current.insert(deployment.flow.id(), deployment);
        drop(known);
        self.changed.send_replace(());
    }

    fn take_off(&self, flow: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).current.remove(flow);
        self.changed.send_replace(());
    }

    fn in_memory(&self, digest: &str) -> Option<Arc<Deployment>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_digest.get(digest).and_then(std::sync::Weak::upgrade)
    }

    fn remember(&self, deployment: Deployment) -> Arc<Deployment> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.by_digest.get(&deployment.digest).and_then(std::sync::Weak::upgrade) {
            return found;
        }
        known.by_digest.retain(|_, deployment| deployment.strong_count() > 0);
        let deployment = Arc::new(deployment);
        known.by_digest.insert(deployment.digest.clone(), Arc::downgrade(&deployment));
        deployment
    }
}

fn key(prefix: &str, name: &str) -> Vec<u8> {
    [prefix.as_bytes(), name.as_bytes()].concat()
}

/// The key of the last deployment of a version of a flow.
fn version_key(flow: &str, version: &str) -> Vec<u8> {
    key(BY_VERSION, &format!("{flow}\0{version}"))
}

fn load(digest: String, stored: &[u8]) -> Result<Deployment, String> {
    let record: Record =
        serde_json::from_slice(stored).map_err(|e| format!("the deployment {digest}: {e}"))?;
    let flow = Flow::parse(&record.source, &record.file).map_err(|problems| {
        format!("this version of the host does not read the deployment {digest}: {problems}")
    })?;
    Deployment::new(digest, flow, record)
}

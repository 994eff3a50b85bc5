//! Plugins: installed, linked, resolved, called, granted more or less, upgraded, removed.
//!
//! Several versions of a plugin may be installed under one name. What is called is decided when a flow is deployed; a
//! plugin that a deployed flow or an unfinished run may still call cannot be removed.

mod add;
mod asks;
mod audited;
mod call;
mod change;
mod grants;
mod learning;
mod load;
mod pending;
mod remove;
mod resolve;
mod upgrade;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use factotum_audit::AuditLog;
use factotum_grant::Grants;
use factotum_registry::Manifest;
use factotum_sandbox::{Backends, Plugin, Sandbox};
use factotum_store::Store;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::scripts::Scripts;

pub use add::AddPlugin;
pub use asks::MoreAsked;
pub(crate) use audited::with_change;
pub use change::{GrantChange, Told};
pub use grants::ChangedGrants;
pub use pending::PendingUpgrade;
pub use upgrade::{UpgradePlugin, Upgraded};
pub use view::{FunctionInfo, PluginInfo, Sentences};

/// The installed plugins and what executes them.
pub(crate) struct Plugins {
    sandbox: Sandbox,
    backends: Backends,
    scripts: Arc<Scripts>,
    store: Store,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    catalog: RwLock<Arc<Catalog>>,
    /// Held while the catalog is changed, so that checks made before a commit still hold after it.
    changing: tokio::sync::Mutex<()>,
    /// How many strangers' components are compiled at one time.
    compiling: Arc<tokio::sync::Semaphore>,
}

/// One that is slow must not hold up the next; more than that only share the cores and the memory.
const MAX_COMPILING: usize = 2;

/// By name, then version.
type Catalog = BTreeMap<String, BTreeMap<Version, Arc<Installed>>>;

/// An installed plugin.
struct Installed {
    record: Record,
    /// Ready to be called; or why it is not, though it is installed.
    plugin: Result<Plugin, String>,
}

/// An installed plugin as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    name: String,
    version: Version,
    /// SHA-256 of the component, under which its bytes are kept as a blob.
    digest: String,
    /// As TOML, the way an administrator wrote and reads them.
    grants: String,
    config: BTreeMap<String, String>,
    manifest: Option<Manifest>,
    imports: Vec<String>,
    installed_at: u64,
    installed_by: String,
}

impl Record {
    fn grants(&self) -> Result<Grants, String> {
        Grants::from_toml(&self.grants).map_err(|e| format!("its grants cannot be read: {e}"))
    }

    /// The key in the store: no name contains a zero byte.
    fn key(&self) -> Vec<u8> {
        key(&self.name, &self.version)
    }
}

fn key(name: &str, version: &Version) -> Vec<u8> {
    format!("{name}\0{version}").into_bytes()
}

impl Plugins {
    pub fn new(
        sandbox: Sandbox,
        backends: Backends,
        scripts: Arc<Scripts>,
        store: Store,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (catalog, changing) = (RwLock::default(), tokio::sync::Mutex::default());
        let compiling = Arc::new(tokio::sync::Semaphore::new(MAX_COMPILING));
        Arc::new(Self { sandbox, backends, scripts, store, audit, clock, catalog, changing, compiling })
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the catalog by a changed copy. Calls that hold the old one go on with it.
    fn change(&self, change: impl FnOnce(&mut Catalog)) {
        let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Catalog::clone(&catalog);
        change(&mut next);
        *catalog = Arc::new(next);
    }

    fn insert(&self, installed: Installed) {
        self.change(|catalog| {
            let versions = catalog.entry(installed.record.name.clone()).or_default();
            versions.insert(installed.record.version.clone(), Arc::new(installed));
        });
    }

    /// A version of a plugin that can be called.
    fn linked(&self, name: &str, version: &Version) -> Option<Plugin> {
        self.catalog().get(name)?.get(version)?.plugin.as_ref().ok().cloned()
    }

    /// The highest version of a plugin, releases first.
    fn newest(&self, name: &str) -> Option<Arc<Installed>> {
        let catalog = self.catalog();
        let versions = catalog.get(name)?;
        let version = factotum_registry::resolve(versions.keys(), None)?;
        versions.get(version).cloned()
    }

    /// How many versions are installed, and how many of them cannot be called.
    pub fn counts(&self) -> (usize, usize) {
        let catalog = self.catalog();
        let all = || catalog.values().flat_map(BTreeMap::values);
        (all().count(), all().filter(|installed| installed.plugin.is_err()).count())
    }
}

//! The host's secrets: what the machine's configuration names goes before what is sealed in the store.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use factotum_egress::{SecretString, Secrets};
use factotum_secrets::{Layered, MasterKeySource, MasterKeys, SecretError, SecretStore};

use crate::config::HostConfig;

/// The secrets of one host, from both places.
pub struct HostSecrets {
    both: Layered,
    configured: Arc<dyn Secrets>,
    sealed: SecretStore,
    /// What was asked for in vain and is in the log for it. Grants and the configuration name secrets, so it stays small.
    missed: Mutex<BTreeSet<String>>,
}

impl HostSecrets {
    pub(crate) fn new(configured: Arc<dyn Secrets>, sealed: SecretStore) -> Self {
        let both = Layered(vec![Arc::clone(&configured), Arc::new(sealed.clone())]);
        Self { both, configured, sealed, missed: Mutex::default() }
    }

    /// The sealed ones, which can be set, rotated and removed.
    #[must_use]
    pub fn sealed(&self) -> &SecretStore {
        &self.sealed
    }

    /// Whether the configuration gives this secret a value, so that a sealed one of that name is not used.
    #[must_use]
    pub fn is_configured(&self, name: &str) -> bool {
        self.configured.get(name).is_some()
    }

    /// Every value that is accepted from others now, the current one first: more than one while a rotation overlaps.
    ///
    /// # Errors
    /// [`SecretError::Damaged`], [`SecretError::Store`].
    pub fn accepted(&self, name: &str) -> Result<Vec<SecretString>, SecretError> {
        match self.configured.get(name) {
            Some(value) => Ok(vec![value]),
            None => self.sealed.accepted(name),
        }
    }
}

impl Secrets for HostSecrets {
    fn get(&self, name: &str) -> Option<SecretString> {
        let found = self.both.get(name);
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_some() {
            missed.remove(name);
        } else if missed.insert(name.to_owned()) {
            // A plugin is not told which one it was; whoever can set it reads the log, and not once for each request.
            tracing::warn!(
                "the secret {name:?} is needed and not set; set it with: factotum secret set {name}"
            );
        }
        found
    }
}

impl fmt::Debug for HostSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSecrets").field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

/// Where the master key comes from: as configured, else the host's own file in the data folder.
pub(crate) fn master_keys(config: &HostConfig) -> MasterKeys {
    config.master_keys.clone().unwrap_or_else(|| {
        MasterKeys::new(MasterKeySource::OwnFile(config.data_dir.join("keys").join("secrets.key")))
    })
}

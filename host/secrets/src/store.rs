//! The store of secrets: opened with its master key, read, listed and checked.

use std::{
    collections::BTreeSet,
    fmt, io,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use factotum_audit::{Actor, AuditLog, Clock};
use factotum_egress::Secrets;
use factotum_store::{Batch, Expectation, ScanRange, Store, Table};
use secrecy::SecretString;

use crate::{
    KeyId, MAX_PREVIOUS_KEYS, MasterKeySource, MasterKeys, SecretError, SecretInfo,
    keyring::{Entry, Keyring, ROW},
    master::MasterKey,
    payload::PayloadSealer,
    secret::{self, Numbered, ROWS},
};

/// Rows that a check reads at once.
const PAGE: usize = 100;

/// The secrets of one host; clones share them. Only one may be open on a [`Store`].
///
/// As [`Secrets`] it answers with current values; a damaged row is logged and answered like an absent one.
#[derive(Clone)]
pub struct SecretStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) audit: AuditLog,
    pub(crate) clock: Clock,
    /// Held for the whole of every change, so that changes come one after the other.
    pub(crate) admin: Mutex<Admin>,
    /// What readers see; replaced as a whole after a change is on disk.
    pub(crate) ring: RwLock<Arc<Keyring>>,
    /// Who seals payloads, once the store has it.
    pub(crate) payloads: OnceLock<Arc<PayloadSealer>>,
}

/// What only changes need.
pub(crate) struct Admin {
    pub(crate) master: MasterKey,
    pub(crate) source: MasterKeySource,
    /// The keyring's row as it is stored; `None` before the first change.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// How the store of secrets stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The identity of the master key.
    pub master_key: KeyId,
    /// Where it comes from.
    pub source: String,
    /// Grows by one with each change; audit entries have it as the detail `revision`.
    pub revision: u64,
    /// The number of the key that payloads are sealed under; 0 when none are sealed.
    pub payload_key: u32,
    /// How many secrets there are.
    pub secrets: usize,
}

/// Something [`SecretStore::verify`] found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The row of a secret is absent.
    Missing(String),
    /// The row of a secret does not open: it was changed, swapped, or put back from an earlier time.
    Damaged(String),
    /// A row that no secret of the keyring owns: of a removed secret that was put back, or written by another
    /// program. It cannot be opened and is never read.
    Stray(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the secret {name:?} is gone from the store; set it again"),
            Self::Damaged(name) => {
                write!(f, "the secret {name:?} was changed by something other than this host; set it again")
            }
            Self::Stray(key) => write!(f, "the row {key:?} belongs to no secret; it is never read"),
        }
    }
}

impl SecretStore {
    /// Opens the secrets of a store. `audit` must be the log whose linker the store was opened with.
    ///
    /// When the secrets are sealed under one of the previous keys, they are sealed anew under the current one. When
    /// a change of the host's own key file was interrupted, it is completed or taken back. In every other case
    /// nothing is written.
    ///
    /// # Errors
    /// [`SecretError::MasterKey`] when the key cannot be had, [`SecretError::WrongMasterKey`] when it is another,
    /// [`SecretError::Damaged`] when the keyring was changed or removed, [`SecretError::Store`].
    pub fn open(store: Store, audit: AuditLog, keys: &MasterKeys) -> Result<Self, SecretError> {
        Self::open_with_clock(store, audit, keys, Arc::new(system_clock))
    }

    /// [`SecretStore::open`] with another clock (milliseconds since 1970), for tests of overlaps.
    ///
    /// # Errors
    /// Like [`SecretStore::open`].
    pub fn open_with_clock(
        store: Store,
        audit: AuditLog,
        keys: &MasterKeys,
        clock: Clock,
    ) -> Result<Self, SecretError> {
        let source = keys.current.clone();
        let sealed = store.get(Table::Secrets, ROW)?;
        let Some(row) = &sealed else {
            let rows = store.scan(Table::Secrets, &ScanRange::prefix(ROWS).limit(1))?;
            if !rows.is_empty() {
                return Err(keyring_damaged("is gone, though secrets are there"));
            }
            let master = source.load_or_make()?;
            return Ok(Self::new(store, audit, clock, Admin { master, source, sealed }, Keyring::default()));
        };
        let wanted = Keyring::sealed_under(row)
            .ok_or_else(|| keyring_damaged("is not one that this version wrote"))?;
        let present = source.load()?;
        let own = source.own();
        if present.id == wanted {
            if let Some(own) = own {
                tidy(own.drop_next());
                tidy(own.drop_previous(SystemTime::now()));
            }
            let ring = unseal(&present, row)?;
            return Ok(Self::new(store, audit, clock, Admin { master: present, source, sealed }, ring));
        }
        let recovered = own.map_or(Ok(None), |own| own.recover(wanted));
        if let Some(key) = recovered.map_err(|error| source.refuse(error.to_string()))? {
            let ring = unseal(&key, row)?;
            return Ok(Self::new(store, audit, clock, Admin { master: key, source, sealed }, ring));
        }
        let mut tried = vec![format!("{source} holds {}", present.id)];
        for previous in keys.previous.iter().take(MAX_PREVIOUS_KEYS) {
            match previous.load() {
                Ok(old) if old.id == wanted => {
                    let ring = unseal(&old, row)?;
                    let opened = Self::new(
                        store,
                        audit,
                        clock,
                        Admin { master: old, source: previous.clone(), sealed },
                        ring,
                    );
                    {
                        let mut admin = opened.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
                        opened.adopt(&mut admin, &Actor::System, present, source)?;
                    }
                    return Ok(opened);
                }
                Ok(other) => tried.push(format!("{previous} holds {}", other.id)),
                Err(error) => tried.push(error.to_string()),
            }
        }
        Err(SecretError::WrongMasterKey { wanted, tried: tried.join(", ") })
    }

    fn new(store: Store, audit: AuditLog, clock: Clock, admin: Admin, ring: Keyring) -> Self {
        let (admin, ring) = (Mutex::new(admin), RwLock::new(Arc::new(ring)));
        Self { inner: Arc::new(Inner { store, audit, clock, admin, ring, payloads: OnceLock::new() }) }
    }

    /// The current value; `None` when there is no such secret.
    ///
    /// # Errors
    /// [`SecretError::Damaged`] when the stored row is not what this host wrote, [`SecretError::Store`].
    pub fn read(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        let values = self.values(name, |entry, number| number == entry.current())?;
        Ok(values.and_then(|mut values| values.pop()).map(|(_, value)| value))
    }

    /// Every value that is accepted now, the current one first: for checking what somebody else presents (the
    /// signature of a webhook) while a rotation is under way. Empty when there is no such secret.
    ///
    /// # Errors
    /// Like [`SecretStore::read`].
    pub fn accepted(&self, name: &str) -> Result<Vec<SecretString>, SecretError> {
        let now = (self.inner.clock)();
        let values = self.values(name, |entry, number| entry.accepts(number, now))?.unwrap_or_default();
        Ok(values.into_iter().rev().map(|(_, value)| value).collect())
    }

    /// What there is, by name. No value is decrypted for it.
    #[must_use]
    pub fn list(&self) -> Vec<SecretInfo> {
        let now = (self.inner.clock)();
        self.ring().entries.iter().map(|(name, entry)| entry.info(name, now)).collect()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let admin = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring();
        Status {
            master_key: admin.master.id,
            source: admin.source.to_string(),
            revision: ring.revision,
            payload_key: ring.payloads.last_key_value().map_or(0, |(number, _)| *number),
            secrets: ring.entries.len(),
        }
    }

    /// Opens every row and looks for rows that belong to no secret. Changes wait meanwhile.
    ///
    /// # Errors
    /// When the store cannot be read; what is wrong with the secrets is in the result.
    pub fn verify(&self) -> Result<Vec<Finding>, SecretError> {
        let _still = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring();
        let mut findings = Vec::new();
        let mut seen = BTreeSet::new();
        let mut cursor = None;
        loop {
            let range = ScanRange::default().after(cursor.take()).limit(PAGE);
            let page = self.inner.store.scan(Table::Secrets, &range)?;
            let Some((last, _)) = page.last() else { break };
            cursor = Some(last.clone());
            for (key, row) in page {
                let name = key.strip_prefix(ROWS).and_then(|name| std::str::from_utf8(name).ok());
                match name.and_then(|name| ring.entries.get_key_value(name)) {
                    Some((name, entry)) => {
                        seen.insert(name.as_str());
                        if secret::open_row(&entry.key, name, entry.revision, &row, |_| false).is_none() {
                            findings.push(Finding::Damaged(name.clone()));
                        }
                    }
                    None if key == ROW => {}
                    None => {
                        findings.push(Finding::Stray(crate::error::shown(&String::from_utf8_lossy(&key))))
                    }
                }
            }
        }
        let missing = ring.entries.keys().filter(|name| !seen.contains(name.as_str()));
        findings.extend(missing.map(|name| Finding::Missing(name.clone())));
        Ok(findings)
    }

    /// What readers see now.
    pub(crate) fn ring(&self) -> Arc<Keyring> {
        Arc::clone(&self.inner.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn values(
        &self,
        name: &str,
        wanted: impl Fn(&Entry, u32) -> bool,
    ) -> Result<Option<Vec<Numbered>>, SecretError> {
        let Some(entry) = self.ring().entries.get(name).cloned() else { return Ok(None) };
        if let Some(values) = self.open_row(name, &entry, |number| wanted(&entry, number))? {
            return Ok(Some(values));
        }
        // The row may have been replaced by a change that is about to be on disk: wait for its end and look again.
        let _still = self.inner.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = self.ring().entries.get(name).cloned() else { return Ok(None) };
        let values = self.open_row(name, &entry, |number| wanted(&entry, number))?;
        values.map(Some).ok_or_else(|| secret_damaged(name))
    }

    pub(crate) fn open_row(
        &self,
        name: &str,
        entry: &Entry,
        wanted: impl Fn(u32) -> bool,
    ) -> Result<Option<Vec<Numbered>>, SecretError> {
        let row = self.inner.store.get(Table::Secrets, &secret::row_key(name))?;
        Ok(row.and_then(|row| secret::open_row(&entry.key, name, entry.revision, &row, wanted)))
    }

    /// Commits a change: the keyring as it is to be, and whatever `more` holds. Readers see it once it is on disk.
    /// Sealed under `key`, or the present master key.
    pub(crate) fn commit(
        &self,
        admin: &mut Admin,
        key: Option<&MasterKey>,
        ring: Keyring,
        more: Batch,
    ) -> Result<(), SecretError> {
        let row =
            ring.seal(key.unwrap_or(&admin.master)).ok_or_else(|| keyring_damaged("cannot be sealed"))?;
        let mut batch = Batch::new();
        let before = admin.sealed.clone().map_or(Expectation::Absent, Expectation::Value);
        batch.expect(Table::Secrets, ROW, before).put(Table::Secrets, ROW, row.clone()).merge(more);
        self.inner.store.commit_blocking(batch)?;
        admin.sealed = Some(row);
        *self.inner.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }
}

impl Secrets for SecretStore {
    fn get(&self, name: &str) -> Option<SecretString> {
        self.read(name).unwrap_or_else(|error| {
            tracing::error!(%error, "a secret cannot be read");
            None
        })
    }
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretStore").field("secrets", &self.ring().entries.len()).finish_non_exhaustive()
    }
}

fn unseal(master: &MasterKey, row: &[u8]) -> Result<Keyring, SecretError> {
    Keyring::open(master, row).ok_or_else(|| keyring_damaged("was changed by something other than this host"))
}

/// Leftovers beside the host's own key file: not needed, so no reason not to open.
pub(crate) fn tidy(done: io::Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, "a master key that is no longer needed could not be removed");
    }
}

pub(crate) fn keyring_damaged(problem: &'static str) -> SecretError {
    SecretError::Damaged {
        what: "the keyring of the secrets".to_owned(),
        problem,
        mend: "restore the store from a backup",
    }
}

pub(crate) fn secret_damaged(name: &str) -> SecretError {
    SecretError::Damaged {
        what: format!("the secret {name:?}"),
        problem: "was changed or removed by something other than this host",
        mend: "set it again, and look into who can write the store",
    }
}

fn system_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

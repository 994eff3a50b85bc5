//! A desk with a store, its audit log, a clock, and a master key.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use factotum_audit::{Actor, AuditLog, Entry, Filter};
use factotum_secrets::{ExposeSecret, MasterKeySource, MasterKeys, SecretError, SecretStore, SecretString};
use factotum_store::{Options, ScanRange, Store, Table};

pub const START: i64 = 1_795_222_800_000;

pub struct Desk {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub audit: AuditLog,
    pub time: Arc<AtomicI64>,
}

impl Desk {
    /// In memory.
    pub fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let (audit, linker) = AuditLog::open(&dir.path().join("audit")).unwrap();
        let store =
            Store::in_memory(Options { linker: Some(Box::new(linker)), ..Options::default() }).unwrap();
        Desk { dir, store, audit, time: Arc::new(AtomicI64::new(START)) }
    }

    /// The host's own key file.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("keys/secrets.key")
    }

    pub fn keys(&self) -> MasterKeys {
        MasterKeys::new(MasterKeySource::OwnFile(self.key()))
    }

    pub fn open(&self) -> SecretStore {
        self.open_with(&self.keys()).unwrap()
    }

    pub fn open_with(&self, keys: &MasterKeys) -> Result<SecretStore, SecretError> {
        let time = Arc::clone(&self.time);
        let clock = Arc::new(move || time.load(Ordering::Relaxed));
        SecretStore::open_with_clock(self.store.clone(), self.audit.clone(), keys, clock)
    }

    pub fn pass(&self, seconds: i64) {
        self.time.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    pub fn entries(&self) -> Vec<Entry> {
        let page = self.audit.list(&self.store, &Filter::default(), None, 100).unwrap();
        page.records.into_iter().rev().map(|record| record.entry).collect()
    }

    pub fn rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.store.scan(Table::Secrets, &ScanRange::default().limit(1000)).unwrap()
    }

    pub fn row(&self, key: &str) -> Vec<u8> {
        self.store.get(Table::Secrets, key.as_bytes()).unwrap().unwrap()
    }

    pub fn tamper(&self, key: &str, value: Option<Vec<u8>>) {
        self.store.tamper(Table::Secrets, key.as_bytes(), value).unwrap();
    }
}

pub fn admin() -> Actor {
    Actor::Token("admin".into())
}

pub fn value(text: &str) -> SecretString {
    SecretString::from(text)
}

pub fn read(secrets: &SecretStore, name: &str) -> Option<String> {
    secrets.read(name).unwrap().map(|value| value.expose_secret().to_owned())
}

pub fn accepted(secrets: &SecretStore, name: &str) -> Vec<String> {
    secrets.accepted(name).unwrap().iter().map(|value| value.expose_secret().to_owned()).collect()
}

/// A key file of an administrator's.
pub fn key_file(path: &Path, digit: u8) -> MasterKeySource {
    use std::os::unix::fs::PermissionsExt;
    let text: String = (0..32_u8).map(|n| format!("{:02x}", n.wrapping_mul(7) ^ digit)).collect();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    MasterKeySource::File(path.to_owned())
}

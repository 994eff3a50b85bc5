//! The cache of compiled components. Its files are native code, so they count only with the host's own seal.
//!
//! A file is `SEAL || compiled bytes`, where SEAL = HMAC-SHA-256(key, name || 0 || compiled bytes). The name binds the component's digest
//! and the engine's configuration, so that a file cannot stand in for another. A file is read whole, checked, and then
//! loaded from the very bytes that were checked. Anything wrong: the file goes, and the component is compiled again.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use crate::SandboxError;

const SEAL_BYTES: usize = 32;

pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    max_bytes: u64,
    engine_hash: String,
}

impl Cache {
    pub(crate) fn open(
        dir: PathBuf,
        key: [u8; 32],
        max_bytes: u64,
        engine: &Engine,
    ) -> Result<Self, SandboxError> {
        let fail = |error| SandboxError::Cache { path: dir.clone(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(fail)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_hash = hex::encode(hasher.0.finalize()).chars().take(16).collect();
        Ok(Self { dir, key, max_bytes, engine_hash })
    }

    fn name(&self, wasm: &[u8]) -> String {
        format!("{}-{}.bin", hex::encode(Sha256::digest(wasm)), self.engine_hash)
    }

    fn mac(&self, name: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac.update(body);
        Some(mac)
    }

    /// The compiled component, when there is a sound file of it.
    pub(crate) fn get(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let name = self.name(wasm);
        let path = self.dir.join(&name);
        let bytes = fs::read(&path).ok()?;
        let loaded = self.unseal(engine, &name, &bytes);
        if loaded.is_none() {
            tracing::warn!(file = %path.display(), "a cached component was altered or is of no use here; it is removed and compiled again");
            let _ = fs::remove_file(&path);
        }
        loaded
    }

    fn unseal(&self, engine: &Engine, name: &str, bytes: &[u8]) -> Option<Component> {
        let (seal, body) = bytes.split_at_checked(SEAL_BYTES)?;
        self.mac(name, body)?.verify_slice(seal).ok()?;
        // SAFETY: `deserialize` demands bytes that `serialize` of this very wasmtime made. The seal, made with a key that
        // only this host has, shows that we wrote these bytes, under a name that binds component and configuration.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, body) };
        component.inspect_err(|e| tracing::debug!("cached component: {e:#}")).ok()
    }

    /// Keeps a compiled component. Failing to is no failure: the next start compiles again.
    pub(crate) fn put(&self, wasm: &[u8], component: &Component) {
        let name = self.name(wasm);
        let kept = component.serialize().map_err(io::Error::other).and_then(|body| {
            let mac = self.mac(&name, &body).ok_or_else(|| io::Error::other("no key"))?;
            self.write(&name, &mac.finalize().into_bytes(), &body)
        });
        match kept {
            Ok(()) => self.shrink(),
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), "a compiled component could not be kept: {error}")
            }
        }
    }

    /// Writes beside, syncs, renames: a reader sees the whole file or none.
    fn write(&self, name: &str, seal: &[u8], body: &[u8]) -> io::Result<()> {
        let unique = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let temporary = self.dir.join(format!(".{name}.{}.{unique}", std::process::id()));
        let written = (|| {
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(seal)?;
            file.write_all(body)?;
            file.sync_all()?;
            fs::rename(&temporary, self.dir.join(name))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes the oldest files until the rest fits.
    fn shrink(&self) {
        let mut files = list(&self.dir);
        let mut total: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        files.sort_by_key(|(_, modified, _)| *modified);
        for (path, _, bytes) in files {
            if total <= self.max_bytes {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                total = total.saturating_sub(bytes);
            }
        }
    }
}

fn list(dir: &Path) -> Vec<(PathBuf, SystemTime, u64)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((entry.path(), meta.modified().ok()?, meta.len()))
        })
        .collect()
}

/// The standard library's hashers are not stable between builds; SHA-256 is.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

//! What a host opens before anything else: its data folder, with the store, the audit log and the secrets in it, and the engine.

use std::path::Path;
use std::sync::Arc;

use factotum_audit::AuditLog;
use factotum_egress::Secrets;
use factotum_sandbox::{Sandbox, SandboxConfig};
use factotum_secrets::SecretStore;
use factotum_store::{Options, Store};

use crate::backends::Post;
use crate::config::HostConfig;
use crate::error::{ErrorCode, HostError};
use crate::keys;
use crate::secrets::{self, HostSecrets};

/// What is open.
pub(super) struct Rooms {
    pub store: Store,
    pub audit: AuditLog,
    pub secrets: Arc<HostSecrets>,
    pub sandbox: Sandbox,
}

/// Opens the data folder. Waits for the disk.
pub(super) fn open_rooms(config: &HostConfig) -> Result<Rooms, HostError> {
    let dir = &config.data_dir;
    let open = |what: &str, error: &dyn std::fmt::Display| {
        HostError::new(ErrorCode::Store, format!("the {what} in {} cannot be opened: {error}", dir.display()))
    };
    keys::private_folder(dir).map_err(|e| open("data folder", &e))?;
    let cache_key = keys::read_or_make(&dir.join("keys").join("cache.key")).map_err(|e| open("keys", &e))?;
    // The engine takes as long to start as the store to open.
    let sandbox = std::thread::scope(|scope| {
        let sandbox = scope.spawn(|| sandbox(dir, cache_key, config.max_calls));
        let (audit, linker) = AuditLog::open(&dir.join("audit")).map_err(|e| open("audit log", &e))?;
        let options = Options {
            cache_bytes: config.store_cache_bytes,
            durability: config.durability,
            min_free_bytes: config.min_free_bytes,
            linker: Some(Box::new(linker)),
            ..Options::default()
        };
        let store = Store::open(&dir.join("store"), options).map_err(|e| open("store", &e))?;
        let keys = secrets::master_keys(config);
        let sealed = SecretStore::open(store.clone(), audit.clone(), &keys)
            .map_err(|e| HostError::new(ErrorCode::Store, format!("the secrets cannot be opened: {e}")))?;
        sealed.seal_payloads().map_err(|e| open("payloads", &e))?;
        let secrets = Arc::new(HostSecrets::new(Arc::clone(&config.secrets), sealed));
        let sandbox =
            sandbox.join().map_err(|_| HostError::internal("the engine panicked while it started"))??;
        Ok::<_, HostError>(Rooms { store, audit, secrets, sandbox })
    })?;
    Ok(sandbox)
}

/// What sends mail.
pub(super) fn post(config: &HostConfig, secrets: Arc<dyn Secrets>) -> Result<Post, HostError> {
    let mut mail = config.mail.clone();
    mail.outbox = mail.outbox.map(|outbox| config.data_dir.join(outbox));
    Post::new(mail, secrets).map_err(|e| HostError::new(ErrorCode::InvalidRequest, e.to_string()))
}

fn sandbox(dir: &Path, cache_key: [u8; 32], max_calls: u32) -> Result<Sandbox, HostError> {
    let config = SandboxConfig {
        cache_dir: Some(dir.join("cache")),
        cache_key,
        max_calls,
        ..SandboxConfig::default()
    };
    Sandbox::new(config).map_err(|e| HostError::new(ErrorCode::Internal, e.to_string()))
}

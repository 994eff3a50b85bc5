//! The host process: data folder, admin token, listener, and an orderly stop.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use factotum_egress::Secrets;
use factotum_runtime::{Host, HostConfig};
use rand::RngExt;
use tokio::net::TcpListener;

use crate::{
    config::{Config, ConfiguredSecrets, Durability},
    http::{App, TokenCheck, router},
};

/// Where the host listens when nothing else is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7070";
/// The file with the admin token, in the data folder.
pub const TOKEN_FILE: &str = "admin.token";
/// The file with the address the host listens on, in the data folder.
pub const ADDRESS_FILE: &str = "address";

/// What `serve` was told.
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Where to listen; over the file's word.
    pub listen: Option<SocketAddr>,
}

/// Runs the host until it is told to stop (SIGINT, SIGTERM).
pub async fn serve(options: Options) -> Result<()> {
    let config = options.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let listen = match options.listen.or(config.listen) {
        Some(address) => address,
        None => DEFAULT_LISTEN.parse().context("the default address")?,
    };
    let secrets = ConfiguredSecrets(config.secrets.clone());
    secrets.check()?;
    let secrets: Arc<dyn Secrets> = Arc::new(secrets);
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listening on {listen}; choose another address with --listen"))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "listening beyond this machine without TLS; put a TLS-terminating proxy in front");
    }
    let host = Host::open(host_config(&options.data, &config, Arc::clone(&secrets))?).await?;
    let token = admin_token(&options.data)?;
    write_file(&options.data.join(ADDRESS_FILE), &format!("http://{address}\n"))?;
    let max_hook_bytes = config.limits.max_input_bytes.unwrap_or(1 << 20);
    let app = App { host: host.clone(), token: Arc::new(TokenCheck::new(&token)), secrets, max_hook_bytes };
    tracing::info!(%address, data = %options.data.display(), "ready");
    axum::serve(listener, router(app)).with_graceful_shutdown(stop_signal()).await?;
    tracing::info!("stopping; runs that are not done go on at the next start");
    host.shutdown().await;
    // The address is only true while somebody listens there.
    let _ = fs::remove_file(options.data.join(ADDRESS_FILE));
    Ok(())
}

fn host_config(data: &Path, config: &Config, secrets: Arc<dyn Secrets>) -> Result<HostConfig> {
    let mut host = HostConfig::new(data);
    host.secrets = secrets;
    host.durability = match config.durability {
        Durability::Disk => factotum_store::Durability::Disk,
        Durability::System => factotum_store::Durability::System,
    };
    if let Some(mail) = &config.mail {
        host.mail = mail.clone();
    }
    for path in &config.http.ca_files {
        let pem = fs::read(path).with_context(|| format!("the certificate file {}", path.display()))?;
        host.egress.extra_roots.push(pem);
    }
    let limits = &config.limits;
    if let Some(n) = limits.max_active_runs {
        host.limits.max_active_runs = n;
    }
    if let Some(n) = limits.max_queued_runs {
        host.limits.max_queued_runs = n;
    }
    if let Some(n) = limits.max_input_bytes {
        host.limits.max_input_bytes = n;
    }
    if let Some(n) = limits.max_calls {
        host.max_calls = n;
    }
    Ok(host)
}

/// The admin token: made at the first start, readable by the owner alone.
fn admin_token(data: &Path) -> Result<String> {
    let path = data.join(TOKEN_FILE);
    if let Ok(text) = fs::read_to_string(&path) {
        let token = text.trim();
        if token.len() >= 32 {
            return Ok(token.to_owned());
        }
    }
    let bytes: [u8; 32] = rand::rng().random();
    let token = format!("ft_{}", hex::encode(bytes));
    write_file(&path, &format!("{token}\n"))?;
    Ok(token)
}

/// Writes a file that only the owner can read, whole or not at all.
fn write_file(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("new");
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.with_context(|| format!("writing {}", path.display()))
}

async fn stop_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

//! The host process: data folder, first token, listener, and an orderly stop.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use factotum_access::{Access, ExposeSecret, RefusalKind, Role, Scope, TokenRequest};
use factotum_audit::Actor;
use factotum_runtime::{Host, HostConfig};
use factotum_store::Batch;
use tokio::net::TcpListener;

use crate::{
    config::{Config, ConfiguredSecrets, Durability},
    http::{App, Shared, callers::Callers, router},
    tls::{self, Loaded, Peer, Tls, TlsListener},
    upkeep,
};

/// Where the host listens when nothing else is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7070";
/// The file with the first admin token, in the data folder.
pub const TOKEN_FILE: &str = "admin.token";
/// The file with the address the host listens on, in the data folder.
pub const ADDRESS_FILE: &str = "address";
/// The fingerprint (SHA-256) of the certificate that it shows there, for its own command line, in the data folder. Absent
/// over plain HTTP.
pub const CERTIFICATE_FILE: &str = "address.sha256";

/// What `serve` was told.
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Where to listen; over the file's word.
    pub listen: Option<SocketAddr>,
    /// Make another admin token, for an owner who has lost every one.
    pub new_admin_token: bool,
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
    let tls = Tls::open(config.tls.clone())?;
    let callers = Callers::new(&config.proxies, tls.clone())?;
    let secure = tls.present().server.is_some();
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listening on {listen}; choose another address with --listen"))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && !secure {
        tracing::warn!(%address, "listening beyond this machine without TLS; give it a certificate ([tls]), or put a TLS-terminating proxy in front");
    }
    let host = Host::open(host_config(&options.data, &config, secrets)?).await?;
    let access = open_access(&host, &options.data, options.new_admin_token).await?;
    show_certificate(&options.data, &tls.present());
    let address_file = options.data.join(ADDRESS_FILE);
    let scheme = if secure { "https" } else { "http" };
    write_file(&address_file, &format!("{scheme}://{address}\n"))
        .with_context(|| format!("writing {}", address_file.display()))?;
    let max_hook_bytes = config.limits.max_input_bytes.unwrap_or(1 << 20);
    let app = App::new(Shared { host: host.clone(), access: access.clone(), max_hook_bytes, callers });
    let upkeep = upkeep::begin(host.clone(), access.clone());
    let data = options.data.clone();
    let renewal = tokio::spawn(tls::watch(tls.clone(), move |loaded| show_certificate(&data, loaded)));
    tracing::info!(%address, tls = secure, data = %options.data.display(), "ready");
    // Who watches runs would watch for ever.
    let watched = host.clone();
    let stop = async move {
        stop_signal().await;
        watched.end_watching();
    };
    if secure {
        let refused = audit_handshake(host.clone(), access.clone());
        answer(TlsListener::new(listener, tls, refused)?, app, stop).await?;
    } else {
        answer(listener, app, stop).await?;
    }
    renewal.abort();
    tracing::info!("stopping; runs that are not done go on at the next start");
    upkeep.abort();
    let last = (host.clone(), access);
    tokio::task::spawn_blocking(move || upkeep::note_tokens(&last.0, &last.1)).await?;
    host.shutdown().await;
    // The address is only true while somebody listens there.
    let _ = fs::remove_file(address_file);
    let _ = fs::remove_file(options.data.join(CERTIFICATE_FILE));
    Ok(())
}

/// Answers what comes in until `stop` is done. Who calls goes along: failed attempts are limited by where they come from.
async fn answer<L>(listener: L, app: App, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
    Peer: for<'a> Connected<IncomingStream<'a, L>>,
{
    let service = router(app).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}

/// Puts handshakes that a client's certificate ended on record, as refusals further in are, and within the same limit.
fn audit_handshake(host: Host, access: Access) -> tls::Refused {
    Arc::new(move |peer, cause| {
        let refusal = access.refuse(RefusalKind::CertificateUntrusted, Actor::Anonymous, peer.ip().into());
        let Some(entry) = refusal.entry(host.audit(), &format!("TLS handshake: {cause}")) else { return };
        let mut batch = Batch::new();
        entry.add_to(&mut batch);
        let store = host.store().clone();
        tokio::spawn(async move {
            if let Err(error) = store.commit(batch).await {
                tracing::error!("a refused handshake could not be audited: {error}");
            }
        });
    })
}

/// Leaves the host's certificate where its own command line finds it. That one reaches the host by an address of this
/// machine, which no certificate names, and knows it by this file, which only the data folder's owner can write.
fn show_certificate(data: &Path, loaded: &Loaded) {
    let path = data.join(CERTIFICATE_FILE);
    let written = match &loaded.certificate {
        Some(certificate) => write_file(&path, &format!("{}\n", hex::encode(tls::fingerprint(certificate)))),
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    };
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), "the certificate's fingerprint cannot be left for the command line: {error}");
    }
}

fn host_config(data: &Path, config: &Config, secrets: ConfiguredSecrets) -> Result<HostConfig> {
    let mut host = HostConfig::new(data);
    host.secrets = Arc::new(secrets);
    host.master_keys = config.master_keys()?;
    host.retention = config.retention()?;
    host.script_engine = config.script_engine.clone().or_else(|| {
        let beside = std::env::current_exe().ok()?.with_file_name("script.wasm");
        beside.is_file().then_some(beside)
    });
    host.durability = match config.durability {
        Durability::Disk => factotum_store::Durability::Disk,
        Durability::System => factotum_store::Durability::System,
    };
    host.notices = config.notices.clone();
    if let Some(mail) = &config.mail {
        host.mail = mail.clone();
    }
    host.mailboxes = config.mailboxes.clone();
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
    if let Some(n) = limits.max_held_runs {
        host.limits.max_held_runs = n;
    }
    if let Some(n) = limits.max_input_bytes {
        host.limits.max_input_bytes = n;
    }
    if let Some(n) = limits.min_free_bytes {
        host.min_free_bytes = n;
    }
    if let Some(n) = limits.max_calls {
        host.max_calls = n;
    }
    Ok(host)
}

/// Opens the tokens, and sees to it that somebody can administer the host: at the first start, the bearer of a token that
/// is left in a file which only its owner can read.
async fn open_access(host: &Host, data: &Path, another: bool) -> Result<Access> {
    let (store, audit) = (host.store().clone(), host.audit().clone());
    let path = data.join(TOKEN_FILE);
    let opened = tokio::task::spawn_blocking(move || -> Result<Access> {
        let access = Access::open(store, audit)?;
        let present = fs::read_to_string(&path).ok();
        let made = access.bootstrap(present.as_deref(), |token| {
            write_file(&path, &format!("{}\n", token.expose_secret()))
        })?;
        if let Some(info) = made {
            tracing::info!(token = info.name, file = %path.display(), "made the first admin token");
        } else if another {
            let name = another_admin(&access, &path)?;
            tracing::warn!(token = name, file = %path.display(), "made another admin token; revoke what was lost");
        }
        Ok(access)
    });
    opened.await?
}

/// Makes an admin token beside those that there are, into the owner's file; its name. Whoever can start the host on the
/// data may do this: they can read and change everything in it anyway.
fn another_admin(access: &Access, path: &Path) -> Result<String> {
    let taken: Vec<String> = access.list().into_iter().map(|token| token.name).collect();
    let name =
        (2..).map(|n: u32| format!("admin-{n}")).find(|name| !taken.contains(name)).unwrap_or_default();
    let request = TokenRequest { name: name.clone(), role: Role::Admin, scope: Scope::Host, life: None };
    let made = access.create(&Actor::System, &request)?;
    write_file(path, &format!("{}\n", made.token.expose_secret()))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(name)
}

/// Writes a file that only the owner can read, whole or not at all.
fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The name must be on disk before the store knows the token.
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, os::unix::fs::PermissionsExt};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_owners_file_opens_the_host_at_the_first_start_and_after_a_loss() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(TOKEN_FILE);
        let host = Host::open(HostConfig::new(dir.path())).await.unwrap();
        let opens = |access: &Access, token: &str| {
            let from = std::net::IpAddr::V4(Ipv4Addr::LOCALHOST).into();
            access.authenticate(Some(token), from).map(|caller| (caller.name().to_owned(), caller.role()))
        };
        let access = open_access(&host, dir.path(), false).await.unwrap();
        let first = fs::read_to_string(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(opens(&access, &first).unwrap(), ("admin".into(), Role::Admin));

        fs::remove_file(&file).unwrap();
        open_access(&host, dir.path(), false).await.unwrap();
        assert!(!file.exists(), "a lost file alone makes no new token");
        let access = open_access(&host, dir.path(), true).await.unwrap();
        let second = fs::read_to_string(&file).unwrap();
        assert_eq!(opens(&access, &second).unwrap(), ("admin-2".into(), Role::Admin));
        assert_eq!(opens(&access, &first).unwrap().0, "admin", "the lost one holds until it is revoked");
        host.shutdown().await;
    }
}

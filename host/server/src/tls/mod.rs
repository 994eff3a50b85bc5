//! TLS of the host's own face: its certificate, the authorities whose clients webhooks take, and both read again when their
//! files change.
//!
//! ```toml
//! [tls]
//! certificate = "/etc/factotum/tls/fullchain.pem"     # the certificate first, then what signed it (PEM)
//! key = "/etc/factotum/tls/key.pem"                   # its private key (PEM), mode 0600
//! client-authorities = ["/etc/factotum/partners.pem"] # who signs clients' certificates for webhooks with `mtls`
//! ```
//!
//! With `certificate` and `key` the host speaks HTTPS, TLS 1.2 or newer, and nothing else on its port. The authorities may
//! stand there without them, for certificates that a trusted proxy hands on.

mod clients;
mod listener;
mod peer;

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use factotum_secrets::read_private;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::danger::ClientCertVerifier,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

pub use clients::{Fault, check, fingerprint};
pub use listener::{Refused, TlsListener};
pub use peer::Peer;

/// How often the files are looked at. What changed holds for connections from then on.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The largest file of certificates, in bytes.
const MAX_CERTIFICATES_BYTES: u64 = 1 << 20;
/// The largest file of a private key, in bytes.
const MAX_KEY_BYTES: usize = 64 << 10;
/// A certificate that ends sooner than this is warned about when it is read.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The section `[tls]` of the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TlsConfig {
    /// PEM file of the host's certificate and those that lead to its authority.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key, which only the host's user can read.
    pub key: Option<PathBuf>,
    /// PEM files of the authorities that sign clients' certificates for webhooks.
    pub client_authorities: Vec<PathBuf>,
}

/// What the files hold now; clones share it.
#[derive(Clone)]
pub struct Tls {
    files: Arc<TlsConfig>,
    present: Arc<RwLock<Arc<Loaded>>>,
}

/// What was read of the files at one time.
pub struct Loaded {
    /// For connections to the host; none when it speaks plain HTTP.
    pub server: Option<Arc<ServerConfig>>,
    /// The host's certificate, for its own command line.
    pub certificate: Option<CertificateDer<'static>>,
    /// Who checks clients' certificates; none when no authority is trusted for that.
    pub clients: Option<Arc<dyn ClientCertVerifier>>,
    /// Of everything that was read.
    digest: [u8; 32],
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, and why.
    pub fn open(files: TlsConfig) -> Result<Self> {
        match (&files.certificate, &files.key) {
            (Some(_), None) => bail!("[tls] has a certificate and no key; name its private key: key = \"…\""),
            (None, Some(_)) => bail!("[tls] has a key and no certificate; name it: certificate = \"…\""),
            _ => {}
        }
        let loaded = load(&files)?;
        Ok(Self { files: Arc::new(files), present: Arc::new(RwLock::new(Arc::new(loaded))) })
    }

    /// What holds now.
    pub fn present(&self) -> Arc<Loaded> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again. Whether anything changed; when not everything can be read, all stays as it was.
    ///
    /// # Errors
    /// Which file is wrong, and why.
    pub fn renew(&self) -> Result<bool> {
        let next = load(&self.files)?;
        if next.digest == self.present().digest {
            return Ok(false);
        }
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(true)
    }
}

impl Default for Tls {
    fn default() -> Self {
        let nothing = Loaded {
            server: None,
            certificate: None,
            clients: None,
            digest: Sha256::new().finalize().into(),
        };
        Self { files: Arc::default(), present: Arc::new(RwLock::new(Arc::new(nothing))) }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Looks at the files for ever, and calls `changed` after each change.
pub async fn watch(tls: Tls, changed: impl Fn(&Loaded)) {
    // A file that is wrong is told once, not every few seconds.
    let mut told = String::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let looking = tls.clone();
        match tokio::task::spawn_blocking(move || looking.renew()).await {
            Ok(Ok(false)) => told.clear(),
            Ok(Ok(true)) => {
                told.clear();
                tracing::info!("the TLS certificates changed and hold from now on");
                changed(&tls.present());
            }
            Ok(Err(error)) => {
                let error = format!("{error:#}");
                if error != told {
                    tracing::error!(
                        "the TLS certificates changed and cannot be used; the ones before still hold: {error}"
                    );
                    told = error;
                }
            }
            Err(error) => tracing::error!("looking at the TLS certificates broke off: {error}"),
        }
    }
}

fn load(files: &TlsConfig) -> Result<Loaded> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut digest = Sha256::new();
    let mut authorities = Vec::new();
    for path in &files.client_authorities {
        authorities.extend(certificates(path, &mut digest)?);
    }
    let clients = if files.client_authorities.is_empty() {
        None
    } else {
        Some(clients::verifier(authorities, Arc::clone(&provider))?)
    };
    let (server, certificate) = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, &mut digest)?;
            let first = chain.first().cloned();
            warn_of_end(certificate, first.as_ref());
            let key = private_key(key, &mut digest)?;
            let server = server(chain, key, clients.clone(), provider)
                .with_context(|| format!("the certificate {} with its key", certificate.display()))?;
            (Some(Arc::new(server)), first)
        }
        _ => (None, None),
    };
    Ok(Loaded { server, certificate, clients, digest: digest.finalize().into() })
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a PEM file; at least one.
fn certificates(path: &Path, digest: &mut Sha256) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path).with_context(|| format!("the certificate file {}", path.display()))?;
    digest.update(pem.len().to_be_bytes());
    digest.update(&pem);
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|error| anyhow!("the certificate file {}: {error}", path.display()))?;
    if all.is_empty() {
        bail!("the certificate file {} holds none (PEM, -----BEGIN CERTIFICATE-----)", path.display());
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_CERTIFICATES_BYTES + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_CERTIFICATES_BYTES {
        bail!("it is larger than {MAX_CERTIFICATES_BYTES} bytes");
    }
    Ok(pem)
}

fn private_key(path: &Path, digest: &mut Sha256) -> Result<PrivateKeyDer<'static>> {
    let pem = read_private(path, MAX_KEY_BYTES)
        .map_err(|problem| anyhow!("the private key {}: {problem}", path.display()))?;
    digest.update(pem.as_slice());
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        anyhow!(
            "the private key {}: {error}; it must be PEM without a password (-----BEGIN PRIVATE KEY-----)",
            path.display()
        )
    })
}

/// Says so when a certificate has ended or soon will. It is used all the same: the callers decide whom they trust.
fn warn_of_end(path: &Path, certificate: Option<&CertificateDer<'_>>) {
    let Some(end) = certificate.and_then(clients::valid_until) else { return };
    let path = path.display();
    match end.duration_since(std::time::SystemTime::now()) {
        Err(_) => tracing::warn!(%path, "the TLS certificate has expired; callers will refuse it"),
        Ok(left) if left < WARN_BEFORE => {
            let days = left.as_secs() / 86_400;
            tracing::warn!(%path, days, "the TLS certificate expires soon; a new one in its place is taken up by itself");
        }
        Ok(_) => {}
    }
}

#[cfg(test)]
mod tests;

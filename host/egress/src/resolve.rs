//! From names to addresses, and the check that stands between them and a connection.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;

use crate::{AddressKind, classify};

/// Finds the addresses of a name. A trait, so that tests can answer any name without asking the network.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, a DNS name in ASCII.
    ///
    /// # Errors
    /// When the name does not exist, or the resolver does not answer.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why the check let no address through. Travels inside of the HTTP client's error, and is found there again.
#[derive(Debug)]
pub(crate) enum Refused {
    Address(IpAddr, AddressKind),
    Unresolved(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address, kind) => write!(f, "{address} is {}", kind.words()),
            Self::Unresolved(problem) => f.write_str(problem),
        }
    }
}

impl Error for Refused {}

/// The resolver that the connector is given: it hands out checked addresses only, so what is connected to is what was
/// checked.
pub(crate) struct Checked {
    pub(crate) inner: Arc<dyn Resolve>,
    pub(crate) private_network: bool,
}

impl Checked {
    async fn addresses(
        inner: Arc<dyn Resolve>,
        host: &str,
        private_network: bool,
    ) -> Result<Vec<IpAddr>, Refused> {
        let found = inner.resolve(host).await.map_err(|e| Refused::Unresolved(e.to_string()))?;
        if found.is_empty() {
            return Err(Refused::Unresolved("it has no address".into()));
        }
        // One bad address among good ones is an attack or a mistake; neither is worth a connection.
        for address in &found {
            let kind = classify(*address);
            if !kind.may_connect(private_network, false) {
                return Err(Refused::Address(*address, kind));
            }
        }
        Ok(found)
    }
}

impl reqwest::dns::Resolve for Checked {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (inner, private_network) = (Arc::clone(&self.inner), self.private_network);
        Box::pin(async move {
            let found = Self::addresses(inner, name.as_str(), private_network).await?;
            // Port 0: the connector puts the URL's port in.
            let found: Vec<SocketAddr> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

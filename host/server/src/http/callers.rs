//! Who a request comes from: the peer of its connection, or whom a trusted proxy speaks for.
//!
//! ```toml
//! [proxies]
//! trusted = ["10.0.0.5", "10.1.0.0/16"]   # peers whose word counts; nobody's without this
//! address = "x-forwarded-for"             # or "forwarded": where they write the caller's address
//! client-cert = true                      # they check the handshake, and write Client-Cert (RFC 9440)
//! ```
//!
//! A caller can write these headers as well. They are believed from trusted peers only, and the address is the last one in
//! the list that no trusted proxy has: what stands before it is the caller's own word. One header is chosen, because a proxy
//! that sets one lets the other pass. `client-cert` is asked for by itself, because a proxy that does not set the header does
//! not take it away from callers either, and certificates are no secrets.

use std::{net::IpAddr, sync::Arc};

use anyhow::{Result, bail};
use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::forwarded::{self, AddressHeader, CLIENT_CERT, CLIENT_CERT_CHAIN};
use crate::tls::{Peer, Tls};

/// The most networks of trusted proxies.
const MAX_TRUSTED: usize = 256;

/// The section `[proxies]` of the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ProxyConfig {
    /// Addresses and networks of the proxies in front of the host.
    pub trusted: Vec<String>,
    /// Where they write the caller's address.
    pub address: AddressHeader,
    /// Whether they write the caller's certificate.
    pub client_cert: bool,
}

/// What is needed to tell who calls; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Callers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    trusted: Vec<IpNet>,
    address: AddressHeader,
    client_cert: bool,
    tls: Tls,
}

/// Who a request comes from, in its extensions.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The address.
    pub address: IpAddr,
    /// The certificate that was shown.
    pub certificate: Shown,
}

/// A client's certificate, not yet checked by whoever wants one.
#[derive(Debug, Clone)]
pub enum Shown {
    /// None.
    Nothing,
    /// These, the client's own first.
    Chain(Arc<[CertificateDer<'static>]>),
    /// Something that is none, in words.
    Unreadable(&'static str),
}

impl Callers {
    /// Reads the networks.
    ///
    /// # Errors
    /// Which entry is none.
    pub fn new(config: &ProxyConfig, tls: Tls) -> Result<Self> {
        if config.trusted.len() > MAX_TRUSTED {
            bail!(
                "[proxies] trusts more than {MAX_TRUSTED} addresses and networks; name the network instead"
            );
        }
        if config.client_cert && config.trusted.is_empty() {
            bail!(
                "[proxies] takes client-cert from nobody; name those who write it: trusted = [\"10.0.0.5\"]"
            );
        }
        let mut trusted = Vec::new();
        for text in &config.trusted {
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            match network {
                Some(network) if network.prefix_len() > 0 => trusted.push(network.trunc()),
                Some(_) => {
                    bail!("[proxies] trusted: {text:?} is everybody; name the addresses of the proxies")
                }
                None => bail!("[proxies] trusted: {text:?} is no address and no network such as 10.1.0.0/16"),
            }
        }
        let (address, client_cert) = (config.address, config.client_cert);
        Ok(Self(Arc::new(Inner { trusted, address, client_cert, tls })))
    }

    /// The certificates that hold now.
    pub fn tls(&self) -> &Tls {
        &self.0.tls
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.trusted.iter().any(|network| network.contains(&address))
    }

    fn origin(&self, request: &Request) -> Option<Origin> {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<Peer>>()?;
        let own = peer.address.ip().to_canonical();
        if !self.trusts(own) {
            let certificate = peer.certificates.clone().map_or(Shown::Nothing, Shown::Chain);
            return Some(Origin { address: own, certificate });
        }
        // A certificate of this connection is the proxy's, not its caller's.
        let certificate = if self.0.client_cert {
            match forwarded::certificates(request.headers()) {
                Ok(None) => Shown::Nothing,
                Ok(Some(chain)) => Shown::Chain(chain.into_iter().map(CertificateDer::from).collect()),
                Err(problem) => Shown::Unreadable(problem),
            }
        } else {
            Shown::Nothing
        };
        Some(Origin { address: self.caller(request, own), certificate })
    }

    /// The last address that no trusted proxy has; where that is not told, the proxy's that does not tell it.
    fn caller(&self, request: &Request, proxy: IpAddr) -> IpAddr {
        let mut known = proxy;
        for address in forwarded::addresses(request.headers(), self.0.address) {
            let Some(address) = address else { break };
            known = address;
            if !self.trusts(address) {
                break;
            }
        }
        known
    }
}

/// Notes who a request comes from, and takes away what only proxies write, so that nothing further in believes a caller.
pub async fn identify(State(callers): State<Callers>, mut request: Request, next: Next) -> Response {
    if let Some(origin) = callers.origin(&request) {
        request.extensions_mut().insert(origin);
    }
    for name in [CLIENT_CERT, CLIENT_CERT_CHAIN] {
        request.headers_mut().remove(name);
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn callers(trusted: &[&str], client_cert: bool) -> Callers {
        let trusted = trusted.iter().map(|text| (*text).to_owned()).collect();
        let config = ProxyConfig { trusted, client_cert, ..ProxyConfig::default() };
        Callers::new(&config, Tls::default()).unwrap()
    }

    fn origin(callers: &Callers, peer: &str, fields: &[(&str, &str)], shown: bool) -> Origin {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let certificates = shown.then(|| vec![CertificateDer::from(vec![9])].into());
        let peer = Peer { address: format!("{peer}:443").parse().unwrap(), certificates };
        request.extensions_mut().insert(ConnectInfo(peer));
        callers.origin(&request).unwrap()
    }

    #[test]
    fn the_address_is_the_last_that_no_trusted_proxy_has() {
        let callers = callers(&["10.0.0.0/8", "2001:db8::5"], false);
        let from = |peer: &str, list: &str| {
            origin(&callers, peer, &[("x-forwarded-for", list)], false).address.to_string()
        };
        assert_eq!(from("192.0.2.9", "198.51.100.1"), "192.0.2.9", "not a proxy: its word is nothing");
        assert_eq!(from("10.1.1.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(from("[::ffff:10.1.1.1]", "198.51.100.1"), "198.51.100.1");
        assert_eq!(from("[2001:db8::5]", "198.51.100.1"), "198.51.100.1");
        assert_eq!(
            from("10.1.1.1", "6.6.6.6, 198.51.100.1, 10.2.2.2"),
            "198.51.100.1",
            "what the caller wrote before"
        );
        assert_eq!(from("10.1.1.1", "6.6.6.6, unknown, 10.2.2.2"), "10.2.2.2", "as far as it is told");
        assert_eq!(from("10.1.1.1", "10.3.3.3, 10.2.2.2"), "10.3.3.3");
        assert_eq!(from("10.1.1.1", ""), "10.1.1.1");
    }

    #[test]
    fn a_certificate_in_a_header_is_believed_of_proxies_that_set_it() {
        let field = [("client-cert", ":AQID:")];
        let shown =
            |callers: &Callers, peer: &str, tls: bool| match origin(callers, peer, &field, tls).certificate {
                Shown::Nothing => Vec::new(),
                Shown::Chain(chain) => chain[0].to_vec(),
                Shown::Unreadable(problem) => panic!("{problem}"),
            };
        let (set, unset) = (callers(&["10.0.0.5"], true), callers(&["10.0.0.5"], false));
        assert_eq!(shown(&set, "10.0.0.5", false), [1, 2, 3]);
        assert_eq!(
            shown(&set, "10.0.0.5", true),
            [1, 2, 3],
            "the proxy's own certificate is not its caller's"
        );
        assert!(shown(&unset, "10.0.0.5", true).is_empty());
        assert!(shown(&set, "10.0.0.6", false).is_empty(), "nobody else's header counts");
        assert_eq!(shown(&set, "10.0.0.6", true), [9], "the connection's own does");
        let twice = [("client-cert", ":AQID:"), ("client-cert", ":AQID:")];
        assert!(matches!(origin(&set, "10.0.0.5", &twice, false).certificate, Shown::Unreadable(_)));
    }

    #[test]
    fn what_trusts_everybody_or_nobody_is_refused() {
        let read = |trusted: &[&str], client_cert| {
            let trusted = trusted.iter().map(|text| (*text).to_owned()).collect();
            let config = ProxyConfig { trusted, client_cert, ..ProxyConfig::default() };
            Callers::new(&config, Tls::default()).unwrap_err().to_string()
        };
        assert!(read(&["0.0.0.0/0"], false).contains("everybody"));
        assert!(read(&["::/0"], false).contains("everybody"));
        assert!(read(&["proxy.example"], false).contains("no address"));
        assert!(read(&[], true).contains("from nobody"));
    }
}

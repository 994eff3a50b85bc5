//! Who is at the other end of a connection: its address, and the certificate that it showed in the handshake.

use std::{net::SocketAddr, sync::Arc};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;

use super::TlsListener;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// The certificates that it showed, its own first; checked against the client authorities in the handshake.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self { address: *stream.remote_addr(), certificates: None }
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let certificates = connection
            .peer_certificates()
            .map(|chain| chain.iter().cloned().map(CertificateDer::into_owned).collect());
        Self { address: *stream.remote_addr(), certificates }
    }
}

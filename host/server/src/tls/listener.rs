//! Accepts connections and makes their TLS handshakes, each for itself: a slow or a bad one holds up no other.

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Tls;

/// How long a handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// The most handshakes under way. For one more the oldest is broken off: a whole one takes a few round trips, so that those
/// who dawdle make room first.
pub const MAX_HANDSHAKES: usize = 512;
/// Finished handshakes that wait to be taken.
const READY: usize = 64;
/// How long to wait when the operating system gives no more connections (no more files can be opened).
const AFTER_ERROR: Duration = Duration::from_millis(200);

type Ready = (TlsStream<TcpStream>, SocketAddr);

/// Is told of handshakes that broke off because of the client's certificate.
pub type Refused = Arc<dyn Fn(SocketAddr, &rustls::Error) + Send + Sync>;

/// Connections whose handshake is done.
pub struct TlsListener {
    ready: mpsc::Receiver<Ready>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl TlsListener {
    /// Takes the connections of `listener` from now on, with what `tls` holds at the time of each.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn new(listener: TcpListener, tls: Tls, refused: Refused) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(READY);
        let accepting = tokio::spawn(accept(listener, tls, sender, refused));
        Ok(Self { ready, address, accepting })
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // Nobody accepts any more: the host stops.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

async fn accept(listener: TcpListener, tls: Tls, ready: mpsc::Sender<Ready>, refused: Refused) {
    let mut handshakes = Handshakes::default();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // One that was gone before it was accepted needs no pause; what the machine lacks comes back with time.
                let gone = matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                );
                if !gone {
                    tracing::error!("no connection can be accepted: {error}");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
                continue;
            }
        };
        let Some(server) = tls.present().server.clone() else { continue };
        let _ = stream.set_nodelay(true);
        let (ready, refused) = (ready.clone(), Arc::clone(&refused));
        let task = tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(server).accept(stream)).await {
                Ok(Ok(stream)) => {
                    let _ = ready.send((stream, peer)).await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%peer, "a TLS handshake failed: {error}");
                    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
                    if let Some(cause @ rustls::Error::InvalidCertificate(_)) = cause {
                        refused(peer, cause);
                    }
                }
                Err(_) => {
                    tracing::debug!(%peer, "a TLS handshake took longer than {} s", HANDSHAKE.as_secs())
                }
            }
        });
        handshakes.add(task.abort_handle());
    }
}

/// The handshakes under way, oldest first. Those that are left are broken off with it.
#[derive(Default)]
struct Handshakes(VecDeque<AbortHandle>);

impl Handshakes {
    fn add(&mut self, handshake: AbortHandle) {
        if self.0.len() >= MAX_HANDSHAKES {
            self.0.retain(|one| !one.is_finished());
        }
        if self.0.len() >= MAX_HANDSHAKES
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(handshake);
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

//! The host's wish to stop, seen by everything that runs.

use tokio::sync::watch;

/// Whether the host is to stop.
pub(crate) struct StopSignal(watch::Sender<bool>);

impl StopSignal {
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Asks everything to stop.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the stop is requested.
    pub async fn requested(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as this future borrows it.
        let _ = seen.wait_for(|stop| *stop).await;
    }
}

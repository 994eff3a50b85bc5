//! A disk that is nearly full: no new work, runs stand still before their next effect, and what is under way is written
//! down. With room again everything goes on by itself.

use std::time::Duration;

use factotum_store::{Slot, Space, StoreError};

use super::Engine;
use crate::error::HostError;

/// How often to look whether there is room again.
const LOOK: Duration = Duration::from_millis(500);

impl Engine {
    /// Refuses new work while the disk is nearly full.
    pub(crate) fn check_space(&self) -> Result<(), HostError> {
        match self.store.space().filter(Space::is_low) {
            Some(space) => Err(HostError::no_space(space)),
            None => Ok(()),
        }
    }

    /// Returns once there is room for what an effect leaves behind; `false` when the host stops first.
    pub(crate) async fn await_space(&self) -> bool {
        while self.store.space().is_some_and(|space| space.is_low()) {
            if self.look_again().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Room for a batch of what is under way: it waits while nothing can be written.
    pub(super) async fn slot(&self, bytes: usize) -> Result<Slot<'_>, StoreError> {
        loop {
            match self.store.reserve(bytes).await {
                Err(error @ StoreError::NoSpace { .. }) => self.look_again().await.map_err(|()| error)?,
                other => return other,
            }
        }
    }

    async fn look_again(&self) -> Result<(), ()> {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => Ok(()),
            () = self.stop.requested() => Err(()),
        }
    }
}

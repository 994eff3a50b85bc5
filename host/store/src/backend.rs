//! The narrow boundary: all that the rest of the house asks of an engine. A shared engine would implement this.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::{Batch, Committed, Sealer, Space, StoreError, engine::Pair, scan::Bounds, writer::Message};

/// How the store is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why no write is taken any more; `None` while the store serves.
    pub failure: Option<String>,
    /// Batches that wait for the writer.
    pub waiting: usize,
    /// Groups written and synced since the store was opened.
    pub groups: u64,
    /// Batches accepted since the store was opened.
    pub batches: u64,
}

/// Room for one batch, given back when it is dropped.
pub(crate) enum Room {
    /// A place in the writer's queue, and a share of its bytes.
    Queue { share: OwnedSemaphorePermit, place: mpsc::OwnedPermit<Message> },
    /// Nothing is waited for.
    Endless,
}

/// A batch that was handed over and is decided whether or not anyone waits for it.
#[must_use = "whether the batch was accepted is only known at the end of the wait"]
pub struct Pending(pub(crate) PendingState);

pub(crate) enum PendingState {
    Decided(Result<Committed, StoreError>),
    Waiting(oneshot::Receiver<Result<Committed, StoreError>>),
}

impl Pending {
    /// Returns when the batch is on disk, or refused.
    ///
    /// # Errors
    /// Like [`crate::Store::commit`].
    pub async fn wait(self) -> Result<Committed, StoreError> {
        match self.0 {
            PendingState::Decided(result) => result,
            PendingState::Waiting(answer) => answer.await.map_err(|_| StoreError::Closed)?,
        }
    }
}

/// An engine behind the boundary. Keys are engine keys (table byte first).
pub(crate) trait Backend: Send + Sync {
    /// Waits for room for a batch of about so many bytes.
    fn reserve(&self, bytes: usize) -> Pin<Box<dyn Future<Output = Result<Room, StoreError>> + Send + '_>>;
    /// Hands a checked batch to the writer, behind everything that was handed over before.
    fn submit(&self, room: Room, batch: Batch) -> Pending;
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    fn scan(&self, bounds: Bounds, limit: usize, reverse: bool) -> Result<Vec<Pair>, StoreError>;
    fn health(&self) -> Health;
    /// `None` where nothing bounds it.
    fn space(&self) -> Option<Space>;
    fn size_on_disk(&self) -> Result<u64, StoreError>;
    fn close(&self);
    /// Takes the sealer; returns how many values were there in clear.
    fn seal_with(&self, sealer: Arc<dyn Sealer>) -> Result<u64, StoreError>;
    /// Whether payloads are sealed and the sealer has not come yet.
    fn is_locked(&self) -> bool;
    fn tamper(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StoreError>;
    /// The value of an engine key as it is stored, sealed or not.
    fn stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
}

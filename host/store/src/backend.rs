//! The narrow boundary: all that the rest of the house asks of an engine. A shared engine would implement this.

use std::{future::Future, pin::Pin};

use crate::{Batch, Committed, StoreError, engine::Pair, scan::Bounds};

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

/// An engine behind the boundary. Keys are engine keys (table byte first).
pub(crate) trait Backend: Send + Sync {
    /// Decides a checked batch and answers when it is durable.
    fn commit(
        &self,
        batch: Batch,
    ) -> Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + Send + '_>>;
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    fn scan(&self, bounds: Bounds, limit: usize, reverse: bool) -> Result<Vec<Pair>, StoreError>;
    fn health(&self) -> Health;
    fn size_on_disk(&self) -> Result<u64, StoreError>;
    fn close(&self);
    fn tamper(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StoreError>;
}

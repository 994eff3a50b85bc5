//! The linked log's seam: who links an entry to the one before it, and what it finds when the store opens.

/// What the store holds of the linked log when it opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainState {
    /// The last stored entry as [`Linker::link`] returned it, with its sequence number.
    pub last: Option<(u64, Vec<u8>)>,
    /// The head as [`Linker::head`] last returned it.
    pub head: Option<Vec<u8>>,
}

/// Links entries in commit order. The writer alone calls it, so that the predecessor of an entry is settled once.
pub trait Linker: Send {
    /// Takes up a stored log; returns the sequence number of the next entry (1 for an empty log), which must be
    /// above that of the last stored entry.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on; the store then does not open.
    fn restore(&mut self, state: ChainState) -> Result<u64, String>;

    /// The bytes to store for `entry` at `sequence`. Called only for batches whose conditions all held.
    fn link(&mut self, sequence: u64, entry: &[u8]) -> Vec<u8>;

    /// The head that speaks for the log up to the last linked entry; stored in the same atomic group.
    fn head(&mut self) -> Vec<u8>;

    /// Everything linked so far is on disk.
    fn durable(&mut self) {}
}

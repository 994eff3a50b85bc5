//! The store's face: commit a batch, read a key, scan a table, read a journal.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use crate::{
    Batch, ChainState, Committed, Health, Linker, ScanRange, Sealer, Space, StoreError, Table,
    backend::{Backend, Pending, Room},
    engine::Pair,
    local::Local,
    memory::Memory,
    table::{bare_key, full_key, journal_key, named, trailing_number},
    writer::Chain,
};

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The group is on the device (fdatasync): it survives a power cut. The default.
    #[default]
    Disk,
    /// The group was handed to the operating system, and the device is not waited for. It survives the death of the
    /// process, not always that of the machine.
    System,
}

/// How to open a store.
pub struct Options {
    /// The engine's page cache, in bytes; at least 32 MiB are used. Default 64 MiB.
    pub cache_bytes: u64,
    /// Most batches that may wait for the writer; further callers wait to be let in. Default 1024.
    pub queue_bound: usize,
    /// Most bytes that may wait for the writer. Default 64 MiB.
    pub queue_bytes: usize,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Bytes of recent writes, beside the log in memory, at which they are moved into sled while others go on; up to twice
    /// as much is held. Default 8 MiB.
    pub recent_bytes: usize,
    /// How long a group of writes may take. Past that the disk has stopped answering, every caller would wait for ever,
    /// and the process ends with a line in the log: what was acknowledged is safe. Default 60 s.
    pub stall_limit: Duration,
    /// What is to stay free on the disk, in bytes. Below it [`Store::space`] says so, and below a quarter of it nothing is
    /// written ([`StoreError::NoSpace`]), so that the engine never meets a full disk. 0 (the default) looks at nothing.
    pub min_free_bytes: u64,
    /// Links the entries of [`Batch::chain`]; without one such batches are refused.
    pub linker: Option<Box<dyn Linker>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 * 1024 * 1024,
            queue_bound: 1024,
            queue_bytes: 64 * 1024 * 1024,
            durability: Durability::default(),
            recent_bytes: 8 * 1024 * 1024,
            stall_limit: Duration::from_secs(60),
            min_free_bytes: 0,
            linker: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("cache_bytes", &self.cache_bytes)
            .field("queue_bound", &self.queue_bound)
            .field("queue_bytes", &self.queue_bytes)
            .field("durability", &self.durability)
            .field("recent_bytes", &self.recent_bytes)
            .field("stall_limit", &self.stall_limit)
            .field("min_free_bytes", &self.min_free_bytes)
            .field("linker", &self.linker.is_some())
            .finish()
    }
}

/// A handle to the store; clones share it. When the last one is dropped, what waits is written and the folder freed.
///
/// Reads see a batch once it is as durable as was promised, and not before: what they show may be told to anybody.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// Room for one batch in the writer's queue, given back when dropped.
pub struct Slot<'s> {
    store: &'s Store,
    room: Room,
}

impl Slot<'_> {
    /// Hands a batch to the writer without waiting for it: batches are decided in the order of these calls. From here on
    /// the batch is decided whatever happens to the caller.
    ///
    /// # Errors
    /// When the batch can never be committed, whatever the store holds.
    pub fn submit(self, batch: Batch) -> Result<Pending, StoreError> {
        batch.check()?;
        Ok(self.store.backend.submit(self.room, batch))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("health", &self.health()).finish()
    }
}

impl Store {
    /// Opens the store in a folder, which is made (mode 0700) when absent.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::Format`] when another version wrote it,
    /// [`StoreError::Chain`] when the linker refuses the stored log, [`StoreError::Io`] for the rest.
    pub fn open(dir: &Path, options: Options) -> Result<Store, StoreError> {
        Ok(Store { backend: Arc::new(Local::open(Some(dir), options)?) })
    }

    /// The same engine in a folder that vanishes with the last handle, without waiting for disks. For tests.
    ///
    /// # Errors
    /// Like [`Store::open`].
    pub fn temporary(options: Options) -> Result<Store, StoreError> {
        Ok(Store { backend: Arc::new(Local::open(None, options)?) })
    }

    /// A store in memory, another implementation of the same rules. For tests.
    ///
    /// # Errors
    /// [`StoreError::Chain`] when the linker refuses an empty log.
    pub fn in_memory(options: Options) -> Result<Store, StoreError> {
        let chain = match options.linker {
            Some(mut linker) => {
                let next = linker.restore(ChainState::default()).map_err(StoreError::Chain)?;
                Some(Chain { linker, next })
            }
            None => None,
        };
        Ok(Store { backend: Arc::new(Memory::new(chain)) })
    }

    /// Commits a batch: all of it or nothing, in one order with all others. Returns after it is on disk.
    ///
    /// Dropping the future before it returns does not take the batch back: it may be committed or not.
    ///
    /// # Errors
    /// The condition that did not hold, or why writing is impossible; nothing of the batch was written, except after
    /// [`StoreError::Failed`] and [`StoreError::Closed`], when the store cannot know (a restart tells).
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let slot = self.reserve(batch.bytes).await?;
        slot.submit(batch)?.wait().await
    }

    /// Waits until the writer has room for a batch of about `bytes` bytes. Who must hand over several batches in a
    /// certain order while more than one task writes reserves first, and then decides and submits in one step.
    ///
    /// # Errors
    /// When writing is impossible.
    pub async fn reserve(&self, bytes: usize) -> Result<Slot<'_>, StoreError> {
        let room = self.backend.reserve(bytes).await?;
        Ok(Slot { store: self, room })
    }

    /// [`Store::commit`] for synchronous code; blocks the thread.
    ///
    /// # Errors
    /// Like [`Store::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed, StoreError> {
        pollster::block_on(self.commit(batch))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the engine cannot read, [`StoreError::Closed`] after [`Store::close`].
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.backend.get(&full_key(table, key))
    }

    /// A part of a table, in key order; whole batches, never half of one. Bounded by the range's limit,
    /// [`crate::MAX_SCAN`] and [`crate::MAX_SCAN_BYTES`]: go on with the last key as the cursor.
    ///
    /// # Errors
    /// Like [`Store::get`].
    pub fn scan(&self, table: Table, range: &ScanRange) -> Result<Vec<Pair>, StoreError> {
        let Some(bounds) = range.bounds(table) else { return Ok(Vec::new()) };
        let pairs = self.backend.scan(bounds, range.bounded_limit(), range.reverse)?;
        Ok(pairs.into_iter().map(|(key, value)| (bare_key(&key), value)).collect())
    }

    /// A journal's records with their positions, from `from` on; bounded like [`Store::scan`].
    ///
    /// # Errors
    /// Like [`Store::get`].
    pub fn journal(
        &self,
        journal: impl AsRef<[u8]>,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let journal = journal.as_ref();
        let range = ScanRange::prefix(named(journal)).from(journal_key(journal, from)).limit(limit);
        let records = self.scan(Table::Journal, &range)?;
        Ok(records.into_iter().filter_map(|(key, record)| Some((trailing_number(&key)?, record))).collect())
    }

    /// The position that a journal's next record takes: 0 for a journal that does not exist.
    ///
    /// # Errors
    /// Like [`Store::get`].
    pub fn journal_end(&self, journal: impl AsRef<[u8]>) -> Result<u64, StoreError> {
        let range = ScanRange::prefix(named(journal.as_ref())).reverse().limit(1);
        let last = self.scan(Table::Journal, &range)?.pop();
        Ok(last.and_then(|(key, _)| trailing_number(&key)).map_or(0, |last| last.saturating_add(1)))
    }

    /// Removes a journal, from its end to its beginning in batches: what a crash leaves is a beginning of it.
    ///
    /// # Errors
    /// [`StoreError::Position`] when someone appends to it meanwhile, and like [`Store::commit`].
    pub async fn purge_journal(&self, journal: impl AsRef<[u8]>) -> Result<(), StoreError> {
        const STEP: u64 = 1000;
        let journal = journal.as_ref();
        let mut end = self.journal_end(journal)?;
        while end > 0 {
            let down_to = end.saturating_sub(STEP);
            let mut batch = Batch::new();
            for position in (down_to..end).rev() {
                batch.trim(journal, position);
            }
            self.commit(batch).await?;
            end = down_to;
        }
        Ok(())
    }

    /// Hands over who seals and opens payloads ([`Table::is_sealed`]), once, before any payload is read or written. A
    /// folder that holds some in clear is sealed here, however long that takes; returns how many values that were.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when it has a sealer already, and when its files cannot be read or written.
    pub fn seal_with(&self, sealer: Arc<dyn Sealer>) -> Result<u64, StoreError> {
        self.backend.seal_with(sealer)
    }

    /// Whether the folder's payloads are sealed and nobody who can open them has come yet.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.backend.is_locked()
    }

    /// Removes several journals, as few batches as their length allows; each from its end to its beginning.
    ///
    /// # Errors
    /// Like [`Store::purge_journal`].
    pub async fn purge_journals<J: AsRef<[u8]>>(&self, journals: &[J]) -> Result<(), StoreError> {
        const STEP: usize = 1000;
        let mut batch = Batch::new();
        for journal in journals.iter().map(AsRef::as_ref) {
            for position in (0..self.journal_end(journal)?).rev() {
                batch.trim(journal, position);
                if batch.operations() >= STEP {
                    self.commit(std::mem::take(&mut batch)).await?;
                }
            }
        }
        if batch.is_empty() { Ok(()) } else { self.commit(batch).await.map(drop) }
    }

    /// How the store is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        self.backend.health()
    }

    /// How much room the disk has; `None` in memory, and where [`Options::min_free_bytes`] is 0.
    #[must_use]
    pub fn space(&self) -> Option<Space> {
        self.backend.space()
    }

    /// The bytes its files take; 0 in memory.
    ///
    /// # Errors
    /// Like [`Store::get`].
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.backend.size_on_disk()
    }

    /// Writes what waits, frees the folder and answers every later call with [`StoreError::Closed`].
    /// Blocks until that is done, but not longer than [`Options::stall_limit`] for any part of it.
    pub fn close(&self) {
        self.backend.close();
    }

    /// Writes one key past every rule, as an intruder with the folder would. For tests of what must be noticed;
    /// no feature hides it, since every crate that would be built a second time for it includes the engine.
    ///
    /// # Errors
    /// Like [`Store::get`].
    #[doc(hidden)]
    pub fn tamper(&self, table: Table, key: &[u8], value: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.backend.tamper(full_key(table, key), value)
    }

    /// What an intruder with the folder would read there. For tests.
    ///
    /// # Errors
    /// Like [`Store::get`].
    #[doc(hidden)]
    pub fn stored(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.backend.stored(&full_key(table, key))
    }
}

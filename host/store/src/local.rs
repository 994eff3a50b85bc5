//! The boundary's first implementation: sled in this process, with its writer thread.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    Batch, ChainState, Durability, Health, Options, Sealer, Space, StoreError, Table,
    backend::{Backend, Pending, PendingState, Room},
    engine::{Engine, Opened, Pair},
    mark::Mark,
    scan::{Bounds, ScanRange},
    space::Gauge,
    table::{bare_key, full_key, trailing_number},
    watch::{Watch, end_process},
    writer::{Chain, Job, Message, Shared, Writer},
};

/// The layout on disk. Raise it with every change that an older program could not read.
const FORMAT: u32 = 4;
/// The same with sealed payloads: what is not sealed reads the same.
pub(crate) const SEALED: &[u8] = b"5";
/// Where the layout is named.
pub(crate) const FORMAT_KEY: &[u8] = b"store-format";
/// The layouts before there was a log beside sled, without and with parts of large values: what they hold reads the same.
const BEFORE: [&[u8]; 2] = [b"1", b"2"];
/// The last of them, with sealed payloads.
const BEFORE_SEALED: &[u8] = b"3";
/// The queue's bytes are accounted in units of this many.
const PERMIT_BYTES: usize = 1024;
/// How long the engine may take to end, after a write failed and before the process ends anyway.
const CLOSE_FAILED: Duration = Duration::from_secs(5);

pub(crate) struct Local {
    engine: Arc<Engine>,
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    permits: u32,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Until the writer has ended.
    watch: Mutex<Option<Watch>>,
    stall_limit: Duration,
    gauge: Option<Gauge>,
}

impl Local {
    /// Opens a folder, or a temporary store without one.
    pub(crate) fn open(dir: Option<&Path>, options: Options) -> Result<Local, StoreError> {
        let opened = Opened::open(dir, options.cache_bytes, options.durability)?;
        let sealed = check_format(&opened, dir)?;
        // What a power cut takes of unsynced groups is no loss where nobody was promised more.
        let marked = dir.filter(|_| options.durability == Durability::Disk);
        let mark = Mark::open(opened.last(), marked)?;
        let shared = Arc::new(Shared::default());
        let engine = opened.take_up(options.recent_bytes, Arc::clone(&shared.failed))?;
        if sealed {
            engine.sealing.lock();
        }
        let chain = options.linker.map(|linker| take_up(linker, &engine)).transpose()?;
        let engine = Arc::new(engine);
        let (sender, receiver) = mpsc::channel(options.queue_bound.max(1));
        let failed =
            |error: std::io::Error| StoreError::Io { doing: "start its writer", reason: error.to_string() };
        let watch = Watch::start(options.stall_limit, Box::new(end_process)).map_err(failed)?;
        let writer = Writer {
            engine: Arc::clone(&engine),
            shared: Arc::clone(&shared),
            chain,
            mark,
            watch: watch.state(),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(failed)?;
        // Room for at least one batch of the largest size, or that batch would wait for ever.
        let permits = options.queue_bytes.max(2 * crate::MAX_BATCH) / PERMIT_BYTES;
        let permits = u32::try_from(permits).unwrap_or(u32::MAX >> 4).min(u32::MAX >> 4);
        Ok(Local {
            engine,
            shared,
            queue: sender,
            room: Arc::new(Semaphore::new(permits as usize)),
            permits,
            thread: Mutex::new(Some(thread)),
            watch: Mutex::new(Some(watch)),
            stall_limit: options.stall_limit,
            gauge: dir
                .filter(|_| options.min_free_bytes > 0)
                .map(|dir| Gauge::new(dir, options.min_free_bytes)),
        })
    }

    async fn room(&self, bytes: usize) -> Result<Room, StoreError> {
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        self.gauge.as_ref().map_or(Ok(()), Gauge::check)?;
        let units = u32::try_from(bytes / PERMIT_BYTES + 1).unwrap_or(u32::MAX).min(self.permits);
        let share = Arc::clone(&self.room).acquire_many_owned(units).await.map_err(|_| StoreError::Closed)?;
        let place = self.queue.clone().reserve_owned().await.map_err(|_| StoreError::Closed)?;
        Ok(Room::Queue { share, place })
    }
}

impl Backend for Local {
    fn reserve(&self, bytes: usize) -> Pin<Box<dyn Future<Output = Result<Room, StoreError>> + Send + '_>> {
        Box::pin(self.room(bytes))
    }

    fn submit(&self, room: Room, batch: Batch) -> Pending {
        let Room::Queue { share, place } = room else {
            return Pending(PendingState::Decided(Err(StoreError::Closed)));
        };
        if self.engine.sealing.is_locked()
            && batch.ops.iter().any(|op| crate::sealing::is_sealed(&[op.table() as u8]))
        {
            return Pending(PendingState::Decided(Err(StoreError::Sealed)));
        }
        let (reply, answer) = oneshot::channel();
        // To a writer that has ended, the reply is dropped with the job, which says so.
        place.send(Message::Commit(Job { batch, reply, _permit: share }));
        Pending(PendingState::Waiting(answer))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.engine.get(key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, bounds: Bounds, limit: usize, reverse: bool) -> Result<Vec<Pair>, StoreError> {
        self.engine.scan(bounds, limit, reverse)
    }

    fn health(&self) -> Health {
        Health {
            failure: self.shared.failed.get().cloned(),
            waiting: self.queue.max_capacity().saturating_sub(self.queue.capacity()),
            groups: self.shared.groups.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
        }
    }

    fn space(&self) -> Option<Space> {
        self.gauge.as_ref().map(Gauge::space)
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.engine.size_on_disk()
    }

    fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // Behind everything that waits already; a full queue is emptied by the writer, or the watch ends the process.
        let _ = pollster::block_on(self.queue.send(Message::Stop));
        if thread.join().is_err() {
            tracing::error!("the store's writer ended in a panic");
        }
        drop(self.watch.lock().unwrap_or_else(PoisonError::into_inner).take());
        let patience = if self.shared.failed.get().is_some() {
            CLOSE_FAILED.min(self.stall_limit)
        } else {
            self.stall_limit
        };
        if !self.engine.close(patience) {
            tracing::error!(
                "the storage engine did not end in time; its folder stays locked until this process ends. What was \
                 acknowledged is safe"
            );
        }
    }

    fn tamper(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.engine.write(vec![(key, value.map(sled::IVec::from))]).map(drop)
    }

    fn stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.engine.stored(key)?.map(|value| value.to_vec()))
    }

    fn seal_with(&self, sealer: Arc<dyn Sealer>) -> Result<u64, StoreError> {
        self.engine.sealing.begin(&self.engine, sealer)
    }

    fn is_locked(&self) -> bool {
        self.engine.sealing.is_locked()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether the folder's payloads are sealed. A folder of before is raised to this layout first: a program that does not know
/// the log would miss what is in it.
fn check_format(opened: &Opened, dir: Option<&Path>) -> Result<bool, StoreError> {
    let key = full_key(Table::Meta, FORMAT_KEY);
    let format = FORMAT.to_string().into_bytes();
    match opened.stored(&key)? {
        Some(found) if *found == *format => Ok(false),
        Some(found) if *found == *SEALED => Ok(true),
        Some(found) if *found == *BEFORE_SEALED => opened.put_base(&key, SEALED).map(|()| true),
        Some(found) if !BEFORE.contains(&&*found) => Err(StoreError::Format {
            folder: dir.map_or_else(String::new, |dir| dir.display().to_string()),
            found: String::from_utf8_lossy(&found).into_owned(),
            expected: FORMAT,
        }),
        _ => opened.put_base(&key, &format).map(|()| false),
    }
}

/// Hands the stored end of the linked log to the linker.
fn take_up(mut linker: Box<dyn crate::Linker>, engine: &Engine) -> Result<Chain, StoreError> {
    let last = match ScanRange::default().reverse().limit(1).bounds(Table::Audit) {
        Some(bounds) => engine.scan(bounds, 1, true)?.pop(),
        None => None,
    };
    let last = last.and_then(|(key, value)| Some((trailing_number(&bare_key(&key))?, value)));
    let head = engine.get(&full_key(Table::AuditHead, b"head"))?.map(|head| head.to_vec());
    let stored = last.as_ref().map_or(0, |(sequence, _)| *sequence);
    let next = linker.restore(ChainState { last, head }).map_err(StoreError::Chain)?;
    if next <= stored {
        return Err(StoreError::Chain(format!(
            "the linker wants to go on at {next}, but entry {stored} is stored already"
        )));
    }
    Ok(Chain { linker, next })
}

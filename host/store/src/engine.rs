//! sled, opened, written and synced the way the store promises.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::{Duration, SystemTime},
};

use sled::IVec;

use crate::{
    Durability, StoreError, parts,
    plan::View,
    scan::{Bounds, MAX_SCAN_BYTES},
    sealing::Sealing,
};

/// The smallest page cache. A group must fit well inside: sled would wait for itself if it had to read back a page
/// that the batch at hand has just written.
const MIN_CACHE: u64 = 32 * 1024 * 1024;
/// How long an earlier owner of the folder may take to let go of its lock (a store closes in the background).
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The opened engine. Readers share the lock; applying a group holds it alone, so that a scan sees whole batches.
pub(crate) struct Engine {
    db: RwLock<Option<sled::Db>>,
    files: Option<Files>,
    pub(crate) sealing: Arc<Sealing>,
}

/// What the engine does not sync by itself.
struct Files {
    log: File,
    blobs: File,
    blobs_path: PathBuf,
}

impl Engine {
    pub(crate) fn open(dir: Option<&Path>, cache: u64, durability: Durability) -> Result<Engine, StoreError> {
        // flush_every_ms: only the writer syncs, so that what is on disk is always a whole number of groups.
        let config = sled::Config::new().cache_capacity(cache.max(MIN_CACHE)).flush_every_ms(None);
        let Some(dir) = dir else {
            let config = config.segment_size(parts::SEGMENT);
            let db = config.temporary(true).open().map_err(io("open a temporary store"))?;
            return Ok(Engine { db: RwLock::new(Some(db)), files: None, sealing: Arc::default() });
        };
        create_private_folder(dir)?;
        let config = config.path(dir).segment_size(parts::segment_size(dir));
        let started = std::time::Instant::now();
        let db = loop {
            match config.open() {
                Ok(db) => break db,
                Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                    if started.elapsed() > LOCK_PATIENCE {
                        return Err(StoreError::InUse { folder: dir.display().to_string() });
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(io("open its folder")(error)),
            }
        };
        let files = match durability {
            Durability::Disk => Some(Files::open(dir)?),
            Durability::System => None,
        };
        Ok(Engine { db: RwLock::new(Some(db)), files, sealing: Arc::default() })
    }

    fn lock(&self) -> RwLockReadGuard<'_, Option<sled::Db>> {
        self.db.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_alone(&self) -> RwLockWriteGuard<'_, Option<sled::Db>> {
        self.db.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn db(&self) -> Result<sled::Db, StoreError> {
        self.lock().clone().ok_or(StoreError::Closed)
    }

    pub(crate) fn view(&self) -> Result<DbView, StoreError> {
        Ok(DbView { db: self.db()?, sealing: Arc::clone(&self.sealing) })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let guard = self.lock();
        let db = guard.as_ref().ok_or(StoreError::Closed)?;
        let Some(stored) = db.get(key).map_err(io("read a key"))? else { return Ok(None) };
        Ok(Some(self.sealing.opened(key, parts::whole(db, key, stored)?)?.to_vec()))
    }

    pub(crate) fn scan(&self, bounds: Bounds, limit: usize, reverse: bool) -> Result<Vec<Pair>, StoreError> {
        self.walk(bounds, limit, reverse, |key, stored| self.sealing.shown(key, stored))
    }

    /// What is stored, sealed or not.
    pub(crate) fn scan_stored(&self, bounds: Bounds, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.walk(bounds, limit, false, |_, stored| Ok(stored))
    }

    fn walk(
        &self,
        bounds: Bounds,
        limit: usize,
        reverse: bool,
        shown: impl Fn(&[u8], IVec) -> Result<IVec, StoreError>,
    ) -> Result<Vec<Pair>, StoreError> {
        let guard = self.lock();
        let db = guard.as_ref().ok_or(StoreError::Closed)?;
        let mut pairs = Vec::new();
        let mut bytes = 0_usize;
        let mut range = db.range(bounds);
        while pairs.len() < limit && bytes < MAX_SCAN_BYTES {
            let next = if reverse { range.next_back() } else { range.next() };
            let Some(pair) = next else { break };
            let (key, stored) = pair.map_err(io("scan a table"))?;
            let value = shown(&key, parts::whole(db, &key, stored)?)?;
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            pairs.push((key.to_vec(), value.to_vec()));
        }
        Ok(pairs)
    }

    /// Writes all effects as one engine batch: after a crash either all of it is found again or nothing.
    pub(crate) fn apply(&self, effects: HashMap<Vec<u8>, Option<IVec>>) -> Result<(), StoreError> {
        let sealed = |(key, value): (Vec<u8>, Option<IVec>)| {
            let value = value.map(|value| self.sealing.sealed(&key, value)).transpose()?;
            Ok((key, value))
        };
        self.write(effects.into_iter().map(sealed).collect::<Result<_, StoreError>>()?)
    }

    /// The same with what is to be stored as it is.
    pub(crate) fn write(&self, mut effects: Vec<(Vec<u8>, Option<IVec>)>) -> Result<(), StoreError> {
        // In order: neighbours in the tree are looked at one after another, while their page is at hand.
        effects.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let guard = self.lock_alone();
        let db = guard.as_ref().ok_or(StoreError::Closed)?;
        let mut batch = sled::Batch::default();
        for (key, value) in effects {
            let before = db.get(&key).map_err(io("read a key"))?;
            let before = before.and_then(|stored| parts::length(&stored)).map_or(0, parts::count);
            let head = value.as_ref().and_then(|value| parts::head(value));
            let mut after = 0;
            if let (Some(_), Some(value)) = (&head, &value) {
                for part in value.chunks(parts::INLINE) {
                    batch.insert(parts::key(&key, after), part);
                    after += 1;
                }
            }
            for index in after..before {
                batch.remove(parts::key(&key, index));
            }
            match head.or(value) {
                Some(stored) => batch.insert(key, stored),
                None => batch.remove(key),
            }
        }
        db.apply_batch(batch).map_err(io("write a batch"))
    }

    /// Returns when everything applied before is on disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.db()?.flush().map_err(io("sync to disk"))?;
        self.files.as_ref().map_or(Ok(()), Files::sync)
    }

    pub(crate) fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.db()?.size_on_disk().map_err(io("measure its files"))
    }

    /// Lets go of the files; every later call answers `Closed`. After a failed write the engine may wait for itself
    /// when it is dropped: then it is left behind after `patience`, and `false` is returned.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        let Some(db) = self.lock_alone().take() else { return true };
        let (done, dropped) = std::sync::mpsc::channel();
        let closer = thread::Builder::new().name("store-closer".to_owned()).spawn(move || {
            drop(db);
            let _ = done.send(());
        });
        // Without a thread the engine was dropped with the closure, here.
        closer.is_err() || dropped.recv_timeout(patience) != Err(std::sync::mpsc::RecvTimeoutError::Timeout)
    }
}

impl Files {
    fn open(dir: &Path) -> Result<Files, StoreError> {
        let blobs_path = dir.join("blobs");
        let open = |path: &Path| File::open(path).map_err(file_error);
        let files = Files { log: open(&dir.join("db"))?, blobs: open(&blobs_path)?, blobs_path };
        // The names of fresh files and folders must survive a power cut too.
        files.blobs.sync_all().map_err(file_error)?;
        open(dir)?.sync_all().map_err(file_error)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            open(parent)?.sync_all().map_err(file_error)?;
        }
        Ok(files)
    }

    /// sled 0.34 ends its flush with sync_file_range(2) on Linux, which writes pages but neither the file's new
    /// length nor the device's own cache: after a power cut an acknowledged group could be gone. This closes the gap.
    fn sync(&self) -> Result<(), StoreError> {
        self.log.sync_data().map_err(file_error)?;
        // Folders of an earlier version have small segments: there sled keeps oversized pages as files of their own
        // and syncs those, but not the folder that names them.
        // A folder untouched for longer than the coarsest clock tick needs nothing.
        let changed = fs::metadata(&self.blobs_path).and_then(|meta| meta.modified()).map_err(file_error)?;
        let age = SystemTime::now().duration_since(changed).unwrap_or_default();
        if age < Duration::from_secs(2) {
            self.blobs.sync_all().map_err(file_error)?;
        }
        Ok(())
    }
}

/// The engine as the plan sees it.
pub(crate) struct DbView {
    db: sled::Db,
    sealing: Arc<Sealing>,
}

impl View for DbView {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match self.db.get(key).map_err(io("read a key"))? {
            Some(stored) => self.sealing.opened(key, parts::whole(&self.db, key, stored)?).map(Some),
            None => Ok(None),
        }
    }

    fn contains(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.db.contains_key(key).map_err(io("look for a key"))
    }

    fn last_with_prefix(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.db.scan_prefix(prefix).next_back() {
            None => Ok(None),
            Some(pair) => Ok(Some(pair.map_err(io("scan a table"))?.0.to_vec())),
        }
    }
}

pub(crate) fn io(doing: &'static str) -> impl Fn(sled::Error) -> StoreError {
    move |error| StoreError::Io { doing, reason: error.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn file_error(error: std::io::Error) -> StoreError {
    StoreError::Io { doing: "sync its files to disk", reason: error.to_string() }
}

/// The folder holds customers' data: its owner alone may enter.
fn create_private_folder(dir: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| StoreError::Io {
        doing: "create its folder",
        reason: format!("{}: {error}", dir.display()),
    })
}

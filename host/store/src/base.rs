//! sled, opened, read and written the way the store promises: what the engine keeps once it is no longer recent.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard},
    thread,
    time::{Duration, SystemTime},
};

use sled::IVec;

use crate::{
    StoreError,
    packs::{self, Stored},
    parts,
    recent::Generation,
    scan::Bounds,
    table::GROUPS,
};

/// The smallest page cache.
const MIN_CACHE: u64 = 32 * 1024 * 1024;
/// How long an earlier owner of the folder may take to let go of its lock (a store closes in the background).
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// The key, in no table, of the last group that is here as a whole.
const LAST_GROUP: &[u8] = &[GROUPS];
/// The key of the last group that may be here in part: it is written before a generation is taken in.
const BEGUN_GROUP: &[u8] = &[GROUPS, 1];

/// The opened engine.
pub(crate) struct Base {
    db: RwLock<Option<sled::Db>>,
    files: Option<Files>,
}

/// What the engine does not sync by itself.
struct Files {
    log: File,
    blobs: File,
    blobs_path: PathBuf,
}

impl Base {
    pub(crate) fn open(dir: Option<&Path>, cache: u64) -> Result<Base, StoreError> {
        // flush_every_ms: only whoever moves a generation here syncs, once it is whole.
        let config = sled::Config::new().cache_capacity(cache.max(MIN_CACHE)).flush_every_ms(None);
        let Some(dir) = dir else {
            let config = config.segment_size(parts::SEGMENT);
            let db = config.temporary(true).open().map_err(io("open a temporary store"))?;
            return Ok(Base { db: RwLock::new(Some(db)), files: None });
        };
        create_private_folder(dir).map_err(|error| StoreError::Io {
            doing: "create its folder",
            reason: format!("{}: {error}", dir.display()),
        })?;
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
        Ok(Base { db: RwLock::new(Some(db)), files: Some(Files::open(dir)?) })
    }

    fn lock(&self) -> RwLockReadGuard<'_, Option<sled::Db>> {
        self.db.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// sled itself, until the engine is closed.
    pub(crate) fn db(&self) -> Result<sled::Db, StoreError> {
        self.lock().clone().ok_or(StoreError::Closed)
    }

    /// The value of a key as it is stored, whole.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        let guard = self.lock();
        let db = guard.as_ref().ok_or(StoreError::Closed)?;
        let stored = if packs::is_record(key) {
            packs::get(db, key)?
        } else {
            db.get(key).map_err(io("read a key"))?
        };
        stored.map(|stored| parts::whole(db, key, stored)).transpose()
    }

    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, StoreError> {
        let guard = self.lock();
        let db = guard.as_ref().ok_or(StoreError::Closed)?;
        if packs::is_record(key) {
            return Ok(packs::get(db, key)?.is_some());
        }
        db.contains_key(key).map_err(io("look for a key"))
    }

    /// Keys with what is stored under them, in order. Large values are not put together yet ([`parts::whole`]).
    pub(crate) fn range(db: &sled::Db, bounds: Bounds, reverse: bool) -> Result<packs::Pairs, StoreError> {
        if packs::holds_records(&bounds) {
            return packs::range(db, bounds, reverse);
        }
        let mut range = db.range(bounds);
        Ok(Box::new(std::iter::from_fn(move || {
            let next = if reverse { range.next_back() } else { range.next() };
            next.map(|pair| pair.map_err(io("scan a table")))
        })))
    }

    /// The number of the last group that is here as a whole; 0 in a new folder.
    pub(crate) fn last_group(&self) -> Result<u64, StoreError> {
        self.number(LAST_GROUP)
    }

    /// The number of the last group of which something may be here: what comes behind [`Base::last_group`] is whole only
    /// together with the log.
    pub(crate) fn begun_group(&self) -> Result<u64, StoreError> {
        self.number(BEGUN_GROUP)
    }

    fn number(&self, key: &[u8]) -> Result<u64, StoreError> {
        let stored = self.get(key)?;
        Ok(stored.as_deref().and_then(|number| number.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Takes in a generation, whose last group this is; returns when it is on disk. What a crash leaves of that is no harm:
    /// the log still has the whole, and what is written twice is the same.
    pub(crate) fn take_in(&self, generation: &Generation, group: u64) -> Result<(), StoreError> {
        let db = self.db()?;
        let number = |key| db.insert(key, &group.to_be_bytes()).map_err(io("write a key"));
        number(BEGUN_GROUP)?;
        // In order: neighbours in the tree are looked at one after another, while their page is at hand.
        let mut rest = generation.iter().peekable();
        while let Some((key, value)) = rest.next() {
            if !packs::is_record(key) {
                put(&db, key, value.clone().map(Stored::Value)).map_err(io("write a key"))?;
                continue;
            }
            let mut row = vec![(key, value)];
            while let Some(next) = rest.next_if(|(next, _)| packs::are_of_one_row(key, next)) {
                row.push(next);
            }
            for (key, value) in packs::repacked(&db, &row)? {
                put(&db, &key, value).map_err(io("write a key"))?;
            }
        }
        number(LAST_GROUP)?;
        self.sync(&db)
    }

    /// Writes one key that programs before this one are to find; returns when it is on disk.
    pub(crate) fn put_now(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let db = self.db()?;
        put(&db, key, Some(Stored::Value(IVec::from(value)))).map_err(io("write a key"))?;
        self.sync(&db)
    }

    fn sync(&self, db: &sled::Db) -> Result<(), StoreError> {
        db.flush().map_err(io("sync to disk"))?;
        self.files.as_ref().map_or(Ok(()), Files::sync)
    }

    pub(crate) fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.db()?.size_on_disk().map_err(io("measure its files"))
    }

    /// Lets go of the files; every later call answers `Closed`. After a failed write sled may wait for itself when it is
    /// dropped: then it is left behind after `patience`, and `false` is returned.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        let Some(db) = self.db.write().unwrap_or_else(PoisonError::into_inner).take() else { return true };
        let (done, dropped) = std::sync::mpsc::channel();
        let closer = thread::Builder::new().name("store-closer".to_owned()).spawn(move || {
            drop(db);
            let _ = done.send(());
        });
        // Without a thread the engine was dropped with the closure, here.
        closer.is_err() || dropped.recv_timeout(patience) != Err(std::sync::mpsc::RecvTimeoutError::Timeout)
    }
}

/// Sets a key, or removes it, with the parts of a large value.
fn put(db: &sled::Db, key: &[u8], value: Option<Stored>) -> sled::Result<()> {
    let mut after = 0;
    let before = match value {
        None => db.remove(key)?,
        Some(Stored::Pack(pack)) => db.insert(key, pack)?,
        Some(Stored::Value(value)) => match parts::head(&value) {
            None => db.insert(key, value)?,
            Some(head) => {
                for part in value.chunks(parts::INLINE) {
                    db.insert(parts::key(key, after), part)?;
                    after += 1;
                }
                db.insert(key, head)?
            }
        },
    };
    let before = before.and_then(|stored| parts::length(&stored)).map_or(0, parts::count);
    for index in after..before {
        db.remove(parts::key(key, index))?;
    }
    Ok(())
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

pub(crate) fn io(doing: &'static str) -> impl Fn(sled::Error) -> StoreError {
    move |error| StoreError::Io { doing, reason: error.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn file_error(error: std::io::Error) -> StoreError {
    StoreError::Io { doing: "sync its files to disk", reason: error.to_string() }
}

/// The folder holds customers' data: its owner alone may enter.
pub(crate) fn create_private_folder(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

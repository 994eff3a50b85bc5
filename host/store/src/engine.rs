//! The engine behind the writer: a log that makes groups durable, recent writes in memory, and sled below them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use sled::IVec;

use crate::{
    Durability, StoreError,
    base::Base,
    mover::{Load, Mover, Place},
    parts,
    plan::View,
    recent::{Origin, Recent},
    redo::{Effect, Found, Log},
    scan::{Bounds, MAX_SCAN_BYTES, prefixed},
    sealing::Sealing,
};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Reads look at what is recent first and then at sled, under one lock, so that a scan sees whole groups. Values are sealed
/// on their way in and opened on their way out.
pub(crate) struct Engine {
    base: Arc<Base>,
    recent: Arc<RwLock<Recent>>,
    log: Mutex<Redo>,
    mover: Mover,
    dir: Option<PathBuf>,
    /// Why no generation is moved any more; shared with the writer, who then writes no more.
    failed: Arc<OnceLock<String>>,
    /// Bytes at which recent writes are moved into sled.
    turn_at: usize,
    pub(crate) sealing: Arc<Sealing>,
}

/// Where groups are written.
enum Redo {
    File(Log),
    /// A store that vanishes has no log: the number of the last group.
    None(u64),
}

/// An engine that was opened and has not taken up what its log holds: so far nothing was changed.
pub(crate) struct Opened {
    base: Base,
    dir: Option<PathBuf>,
    durable: bool,
    found: Option<Found>,
    last: u64,
    torn: bool,
}

impl Opened {
    pub(crate) fn open(dir: Option<&Path>, cache: u64, durability: Durability) -> Result<Opened, StoreError> {
        let base = Base::open(dir, cache)?;
        let last = base.last_group()?;
        let found = dir.map(|dir| Log::read(dir, last).map_err(io("read its log"))).transpose()?;
        let last = found.as_ref().map_or(last, |found| found.last);
        let torn = base.begun_group()? > last;
        let durable = durability == Durability::Disk;
        Ok(Opened { base, dir: dir.map(Path::to_owned), durable, found, last, torn })
    }

    /// The number of the last group that is there.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// What is stored under a key.
    pub(crate) fn stored(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match self.found.as_ref().and_then(|found| found.effects.get(key)) {
            Some(known) => Ok(known.clone()),
            None => self.base.get(key),
        }
    }

    /// Writes what programs before this one are to find.
    pub(crate) fn put_base(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.base.put_now(key, value)
    }

    /// Takes up what the log holds, and goes on. `turn_at`: bytes of recent writes at which they are moved into sled.
    pub(crate) fn take_up(self, turn_at: usize, failed: Arc<OnceLock<String>>) -> Result<Engine, StoreError> {
        let Opened { base, dir, durable, found, last, torn } = self;
        if torn {
            tracing::error!(
                "the log lost groups of writes that were being moved into their place; of those, single keys may be there"
            );
        }
        let base = Arc::new(base);
        let recent = Arc::new(RwLock::new(Recent::default()));
        let place = Place {
            base: Arc::clone(&base),
            recent: Arc::clone(&recent),
            dir: dir.clone(),
            failed: Arc::clone(&failed),
        };
        let mover = Mover::start(place).map_err(io("start what moves writes into it"))?;
        let log = match (&dir, found) {
            (Some(dir), Some(found)) => {
                let log = Log::go_on(dir, durable, &found).map_err(io("go on with its log"))?;
                let segment = log.before();
                if found.effects.is_empty() {
                    Log::forget(dir, segment).map_err(io("clear its log"))?;
                } else {
                    let mut recent = recent.write().unwrap_or_else(PoisonError::into_inner);
                    recent.take(found.effects.into_iter().collect());
                    let generation = recent.turn();
                    mover.hand_over(Load { generation, group: last, segment, log: None, spare: log.spare() });
                }
                Redo::File(log)
            }
            _ => Redo::None(last),
        };
        Ok(Engine {
            base,
            recent,
            log: Mutex::new(log),
            mover,
            dir,
            failed,
            turn_at,
            sealing: Arc::default(),
        })
    }
}

impl Engine {
    fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Redo> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is stored under a key, sealed or not.
    pub(crate) fn stored(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        let recent = self.recent();
        match recent.get(key) {
            Some(known) => {
                self.base.db()?;
                Ok(known.clone())
            }
            None => self.base.get(key),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        self.stored(key)?.map(|stored| self.sealing.opened(key, stored)).transpose()
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
        let recent = self.recent();
        let db = self.base.db()?;
        let stored = Base::range(&db, bounds.clone(), reverse)?;
        let mut pairs = Vec::new();
        let mut bytes = 0_usize;
        let mut walk = recent.over(&bounds, reverse, stored);
        while pairs.len() < limit && bytes < MAX_SCAN_BYTES {
            let Some(next) = walk.next() else { break };
            let (key, stored, origin) = next?;
            let whole = match origin {
                Origin::Recent => stored,
                Origin::Engine => parts::whole(&db, &key, stored)?,
            };
            let value = shown(&key, whole)?;
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            pairs.push((key, value.to_vec()));
        }
        Ok(pairs)
    }

    /// Writes all effects as one group: after a crash either all of it is found again or nothing. When this returns they
    /// are as durable as was promised, and only then does anybody see them. Returns the group's number.
    pub(crate) fn apply(&self, effects: HashMap<Vec<u8>, Option<IVec>>) -> Result<u64, StoreError> {
        let sealed = |(key, value): (Vec<u8>, Option<IVec>)| {
            let value = value.map(|value| self.sealing.sealed(&key, value)).transpose()?;
            Ok((key, value))
        };
        self.write(effects.into_iter().map(sealed).collect::<Result<_, StoreError>>()?)
    }

    /// The same with what is to be stored as it is.
    pub(crate) fn write(&self, effects: Vec<Effect>) -> Result<u64, StoreError> {
        let mut log = self.log();
        self.base.db()?;
        if self.is_grown(&log) {
            // The writer's watch looks after how long this takes.
            self.turn(&mut log, None)?;
        }
        let group = match &mut *log {
            Redo::File(log) => log.append(&effects).map_err(io("write its log"))?,
            Redo::None(last) => {
                *last = last.saturating_add(1);
                *last
            }
        };
        self.recent.write().unwrap_or_else(PoisonError::into_inner).take(effects);
        Ok(group)
    }

    fn is_grown(&self, log: &Redo) -> bool {
        let full = match log {
            Redo::File(log) => log.is_full(),
            Redo::None(_) => false,
        };
        full || self.recent().bytes() >= self.turn_at
    }

    /// Hands the recent writes over to be moved into sled, once those before them are.
    fn turn(&self, log: &mut Redo, patience: Option<Duration>) -> Result<(), StoreError> {
        if !self.mover.wait_idle(patience) {
            let reason = "what was written before is not in its place yet".to_owned();
            return Err(StoreError::Io { doing: "move recent writes into its files", reason });
        }
        if let Some(reason) = self.failed.get() {
            return Err(StoreError::Failed { reason: reason.clone() });
        }
        if self.recent().bytes() == 0 {
            return Ok(());
        }
        let (group, (segment, file), spare) = match log {
            Redo::File(log) => {
                (log.last(), log.turn().map_err(io("begin another part of its log"))?, log.spare())
            }
            Redo::None(last) => (*last, (0, None), None),
        };
        let generation = self.recent.write().unwrap_or_else(PoisonError::into_inner).turn();
        self.mover.hand_over(Load { generation, group, segment, log: file, spare });
        Ok(())
    }

    pub(crate) fn size_on_disk(&self) -> Result<u64, StoreError> {
        let log = self.dir.as_deref().map_or(Ok(0), Log::size).map_err(io("measure its log"))?;
        Ok(self.base.size_on_disk()?.saturating_add(log))
    }

    /// Moves everything into sled and lets go of the files; every later call answers `Closed`. Returns `false` when a part
    /// of that takes longer than `patience`; what was acknowledged is in the log then.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        if self.base.db().is_err() {
            return true;
        }
        if self.failed.get().is_none() {
            let mut log = self.log();
            if let Err(error) = self.turn(&mut log, Some(patience)) {
                tracing::warn!(%error, "the log stays as it is; it is read again at the next start");
            }
        }
        let stopped = self.mover.stop(patience);
        self.base.close(patience) && stopped
    }
}

impl View for Engine {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        Engine::get(self, key)
    }

    fn contains(&self, key: &[u8]) -> Result<bool, StoreError> {
        let recent = self.recent();
        recent.get(key).map_or_else(|| self.base.contains(key), |known| Ok(known.is_some()))
    }

    fn last_with_prefix(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let last = self.walk(prefixed(prefix), 1, true, |_, _| Ok(IVec::default()))?;
        Ok(last.into_iter().next().map(|(key, _)| key))
    }
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |error| StoreError::Io { doing, reason: error.to_string() }
}

//! How much room the disk has left: nothing is written below a floor, so that the engine does not meet a full disk.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::StoreError;

/// How old a measurement may be. A disk does not lose a quarter of its floor to the store in this time.
const MAX_AGE: Duration = Duration::from_millis(100);

/// How much room the disk of a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written.
    pub free: u64,
    /// What is to stay free, in bytes: [`crate::Options::min_free_bytes`].
    pub floor: u64,
}

impl Space {
    /// Whether no new work is to be taken on.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.free < self.floor
    }

    /// Whether nothing is written any more. What lies between this and the floor is for the outcomes of work under way.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.free < self.floor / 4
    }
}

/// Measures the disk of a folder, not more often than is of use.
pub(crate) struct Gauge {
    folder: PathBuf,
    floor: u64,
    epoch: Instant,
    /// Milliseconds after `epoch`, plus one; 0 before the first measurement.
    measured: AtomicU64,
    free: AtomicU64,
    low: AtomicBool,
}

impl Gauge {
    pub(crate) fn new(folder: &Path, floor: u64) -> Gauge {
        Gauge {
            folder: folder.to_owned(),
            floor,
            epoch: Instant::now(),
            measured: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            low: AtomicBool::new(false),
        }
    }

    pub(crate) fn space(&self) -> Space {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let measured = self.measured.load(Ordering::Relaxed);
        let age = Duration::from_millis(now.saturating_sub(measured));
        if measured == 0 || age >= MAX_AGE {
            self.measured.store(now, Ordering::Relaxed);
            // A disk that does not tell is not held against anybody: a write that fails still is.
            let free = rustix::fs::statvfs(&self.folder)
                .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
            self.free.store(free, Ordering::Relaxed);
            let low = free < self.floor;
            if low != self.low.swap(low, Ordering::Relaxed) {
                self.tell(free, low);
            }
        }
        Space { free: self.free.load(Ordering::Relaxed), floor: self.floor }
    }

    /// Refuses a write when the room is used up.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let Space { free, floor } = self.space();
        if free >= floor / 4 {
            return Ok(());
        }
        Err(StoreError::NoSpace { folder: self.folder.display().to_string(), free, floor })
    }

    fn tell(&self, free: u64, low: bool) {
        let (folder, floor) = (self.folder.display(), self.floor);
        if low {
            tracing::error!(
                %folder, free, floor,
                "the disk is nearly full: no new work is taken on, and runs stand still. Make room; they go on by themselves"
            );
        } else {
            tracing::info!(%folder, free, floor, "the disk has room again: work goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_measured_and_judged() {
        let temp = tempfile::tempdir().unwrap();
        let there = Gauge::new(temp.path(), 1).space();
        assert!(there.free > 1 && !there.is_low() && !there.is_used_up());
        Gauge::new(temp.path(), 1).check().unwrap();
        let never = Gauge::new(temp.path(), u64::MAX);
        assert!(never.space().is_low() && never.space().is_used_up());
        let error = never.check().unwrap_err().to_string();
        assert!(error.contains("make room") && error.contains(&temp.path().display().to_string()), "{error}");
        let between = Space { free: 300, floor: 1000 };
        assert!(between.is_low() && !between.is_used_up());
        assert!(!Gauge::new(Path::new("/no/such/folder"), 1000).space().is_low());
    }
}

//! What people want of runs, kept where every effect can look at it and where it survives the host.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use factotum_store::{ScanRange, Store, StoreError, Table};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// The prefix of the keys under which is kept what is wanted of runs.
const WANTED: &str = "control\0";

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// It is to end, and to take back what it did.
    Cancel,
    /// It is to end as it is.
    Abort,
    /// It is to stand still.
    Suspend,
}

/// What somebody wants of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Control {
    pub wanted: Wanted,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is wanted of which runs: a copy of what the store has, because every effect looks at it.
#[derive(Default)]
pub(crate) struct Controls {
    all: Mutex<HashMap<String, Control>>,
    count: AtomicUsize,
    /// The cancelled runs that take back what they did: when one waits meanwhile, that is no reason to have it go on.
    unwinding: Mutex<HashSet<String>>,
    /// Says that there is something new.
    pub changed: Notify,
}

impl Controls {
    /// What is wanted of a run.
    pub fn of(&self, id: &str) -> Option<Control> {
        if self.count.load(Ordering::Acquire) == 0 { None } else { self.lock().get(id).cloned() }
    }

    pub(super) fn set(&self, id: &str, control: Control) {
        let mut all = self.lock();
        all.insert(id.to_owned(), control);
        self.count.store(all.len(), Ordering::Release);
        drop(all);
        self.changed.notify_waiters();
    }

    /// Notes that a run takes back what it did, if somebody wants it cancelled.
    pub fn unwinds(&self, id: &str) {
        if self.of(id).is_some_and(|control| control.wanted == Wanted::Cancel) {
            self.unwinding.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        }
    }

    /// Whether a run was seen to take back what it did.
    pub(super) fn is_unwinding(&self, id: &str) -> bool {
        self.unwinding.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    pub(super) fn remove(&self, id: &str) {
        self.unwinding.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let mut all = self.lock();
        all.remove(id);
        self.count.store(all.len(), Ordering::Release);
    }

    /// Reads what was wanted when the host went down.
    pub fn load(&self, store: &Store) -> Result<Vec<String>, StoreError> {
        let mut cursor = None;
        loop {
            let range = ScanRange::prefix(WANTED).after(cursor).limit(1_000);
            let page = store.scan(Table::Meta, &range)?;
            let Some((last, _)) = page.last() else { return Ok(self.lock().keys().cloned().collect()) };
            cursor = Some(last.clone());
            for (key, value) in page {
                let id = key.get(WANTED.len()..).and_then(|id| std::str::from_utf8(id).ok());
                match (id, serde_json::from_slice(&value)) {
                    (Some(id), Ok(control)) => self.set(id, control),
                    _ => tracing::error!("what was wanted of a run cannot be read and is left out"),
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Control>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key under which is kept what is wanted of a run.
pub(super) fn key(id: &str) -> Vec<u8> {
    [WANTED.as_bytes(), id.as_bytes()].concat()
}

//! How long what customers wrote is kept, and how one customer's data are erased.
//!
//! A run that ended has contents: its journal (input, answers of plugins and people, output), its questions to people, the
//! artifacts that it stored. They are removed when the flow's retention is over ([`sweep`]) or a person's data are to be
//! erased ([`erase`]). What stays is the row of the run: which flow, when, how it ended, that and why its contents are
//! gone. The audit log stays whole: it holds payloads by keyed digest only.
//!
//! What is removed is gone for every reader at once. In the engine's files its sealed form stays until that room is used
//! again, and opens with the host's keys only (`factotum_secrets`).

mod contents;
mod erase;
mod packed;
mod search;
mod subject;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backends::StoredArtifacts;
use crate::runs::Engine;

pub use erase::{Erase, Erased, ErasedKey, ErasedRun};
pub use search::{Closed, LookedAt};
pub(crate) use sweep::watch;

/// Removes what is not to be kept any more.
pub(crate) struct Keeper {
    engine: Arc<Engine>,
    artifacts: Arc<StoredArtifacts>,
    /// How long what runs held is kept when their flow does not say; for ever when this does not.
    retention: Option<Duration>,
    /// The folder that mails are put into instead of being sent, when there is one.
    outbox: Option<PathBuf>,
    /// By flow, the end of a stretch of runs at the beginning that have no contents any more.
    done: Mutex<HashMap<String, Vec<u8>>>,
    /// Retentions of deployments that are not current, by digest.
    known: Mutex<HashMap<String, Option<Duration>>>,
    /// Held while somebody's data are erased: one at a time.
    erasing: tokio::sync::Mutex<()>,
}

impl Keeper {
    pub fn new(
        engine: Arc<Engine>,
        artifacts: Arc<StoredArtifacts>,
        retention: Option<Duration>,
        outbox: Option<PathBuf>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            artifacts,
            retention,
            outbox,
            done: Mutex::default(),
            known: Mutex::default(),
            erasing: tokio::sync::Mutex::default(),
        })
    }
}

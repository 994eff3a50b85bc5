//! The store: sled behind one group-commit writer. It knows no flows and no wasmtime.
//!
//! Everything that must be true together travels in one [`Batch`]: conditions, writes, journal records and entries of
//! the linked log. One thread decides all batches in order, writes those that wait as one group to the end of a log, syncs
//! once and then answers; sled gets what has come together a little later, in larger loads, and what was overwritten
//! meanwhile not at all. After a crash the folder holds a whole number of groups, and every acknowledged one.
//!
//! The boundary is this narrow (commit, get, scan) because a shared engine will stand behind it when one machine is
//! outgrown; [`Store::in_memory`] is a second implementation that the test suite holds to the same rules.
//! Payloads are encrypted on their way to the files by whoever has the keys: [`Sealer`].
//!
//! On top lie small typed modules: [`Timers`], [`Blobs`], [`KvNamespace`].

mod backend;
mod base;
mod batch;
mod blobs;
mod chain;
mod engine;
mod error;
mod keyvalue;
mod local;
mod mark;
mod memory;
mod mover;
mod packs;
mod parts;
mod plan;
mod recent;
mod redo;
mod scan;
mod sealing;
mod space;
mod store;
mod table;
mod timers;
mod watch;
mod writer;

pub use backend::{Health, Pending};
pub use batch::{
    Batch, Committed, Expectation, MAX_BATCH, MAX_KEY, MAX_NAME, MAX_OPERATIONS, MAX_VALUE, Meter,
};
pub use blobs::{BlobReader, Blobs, Digest, MAX_BLOB};
pub use chain::{ChainState, Linker};
pub use engine::Pair;
pub use error::StoreError;
pub use keyvalue::{KeyPage, KvNamespace, MAX_KV_KEY, MAX_KV_VALUE, Quota};
pub use plan::Usage;
pub use scan::{MAX_SCAN, MAX_SCAN_BYTES, ScanRange};
pub use sealing::{SEALING, Sealer, UNREADABLE};
pub use space::Space;
pub use store::{Durability, Options, Slot, Store};
pub use table::Table;
pub use timers::{Timer, Timers};

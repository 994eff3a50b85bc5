//! What one call may use of the machine.

use serde::{Deserialize, Serialize};

/// Bounds of one plugin's calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// The most linear memory one call may hold over all of its memories, in bytes. At most 128 MiB.
    pub memory_bytes: u64,
    /// The longest one call may take, in milliseconds of wall-clock time, waiting included.
    pub time_ms: u64,
    /// The most calls of this plugin at one time.
    pub concurrency: u32,
}

impl Limits {
    /// The most memory any grant may give, in bytes: what the pooling allocator reserves for one memory.
    pub const MAX_MEMORY_BYTES: u64 = 128 << 20;
    /// The longest any grant may let a call take, in milliseconds.
    pub const MAX_TIME_MS: u64 = 15 * 60 * 1000;
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, time_ms: 30_000, concurrency: 64 }
    }
}

//! Which part of a table a scan reads. Every scan is bounded, in entries and in bytes.

use std::ops::Bound;

use crate::{
    Table,
    table::{after_prefix, full_key},
};

/// Most entries one scan returns.
pub const MAX_SCAN: usize = 10_000;
/// A scan stops after the entry that takes it past this many bytes of keys and values.
pub const MAX_SCAN_BYTES: usize = 8 * 1024 * 1024;

/// A part of a table in key order. All bounds apply together; the default is the first 100 entries of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRange {
    /// Only keys that start with this.
    pub prefix: Vec<u8>,
    /// Only keys at or after this.
    pub start: Option<Vec<u8>>,
    /// Only keys before this.
    pub end: Option<Vec<u8>>,
    /// The cursor: the last key of the page before. Only keys that follow it in the direction of the scan.
    pub after: Option<Vec<u8>>,
    /// Most entries to return, at most [`MAX_SCAN`].
    pub limit: usize,
    /// From the last key to the first.
    pub reverse: bool,
}

impl Default for ScanRange {
    fn default() -> Self {
        Self { prefix: Vec::new(), start: None, end: None, after: None, limit: 100, reverse: false }
    }
}

impl ScanRange {
    /// The keys that start with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }

    /// Only keys at or after `start`.
    #[must_use]
    pub fn from(mut self, start: impl Into<Vec<u8>>) -> Self {
        self.start = Some(start.into());
        self
    }

    /// Only keys before `end`.
    #[must_use]
    pub fn until(mut self, end: impl Into<Vec<u8>>) -> Self {
        self.end = Some(end.into());
        self
    }

    /// Only keys that follow the cursor, the last key of the page before; `None` starts at the first page.
    #[must_use]
    pub fn after(mut self, cursor: Option<Vec<u8>>) -> Self {
        self.after = cursor;
        self
    }

    /// At most this many entries.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// From the last key to the first.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The bounds as engine keys; `None` when no key can lie between them.
    pub(crate) fn bounds(&self, table: Table) -> Option<Bounds> {
        let (mut low, mut high) = prefixed(&full_key(table, &self.prefix));
        if let Some(start) = &self.start {
            low = higher(low, Bound::Included(full_key(table, start)));
        }
        if let Some(end) = &self.end {
            high = lower(high, Bound::Excluded(full_key(table, end)));
        }
        if let Some(cursor) = &self.after {
            let cursor = Bound::Excluded(full_key(table, cursor));
            if self.reverse {
                high = lower(high, cursor);
            } else {
                low = higher(low, cursor);
            }
        }
        let empty = match (&low, &high) {
            (Bound::Included(l), Bound::Included(h)) => l > h,
            (Bound::Included(l) | Bound::Excluded(l), Bound::Included(h) | Bound::Excluded(h)) => l >= h,
            _ => false,
        };
        (!empty && self.limit > 0).then_some((low, high))
    }

    pub(crate) fn bounded_limit(&self) -> usize {
        self.limit.min(MAX_SCAN)
    }
}

/// The two ends of a range of engine keys.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The engine keys that start with `prefix`.
pub(crate) fn prefixed(prefix: &[u8]) -> Bounds {
    let end = after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(prefix.to_vec()), end)
}

fn parts(bound: &Bound<Vec<u8>>) -> Option<(&Vec<u8>, bool)> {
    match bound {
        Bound::Included(key) => Some((key, false)),
        Bound::Excluded(key) => Some((key, true)),
        Bound::Unbounded => None,
    }
}

/// The lower bound that lets fewer keys through.
fn higher(a: Bound<Vec<u8>>, b: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (parts(&a), parts(&b)) {
        (None, _) => b,
        (_, None) => a,
        (Some(x), Some(y)) => {
            if y > x {
                b
            } else {
                a
            }
        }
    }
}

/// The upper bound that lets fewer keys through.
fn lower(a: Bound<Vec<u8>>, b: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (parts(&a), parts(&b)) {
        (None, _) => b,
        (_, None) => a,
        // At the same key the excluding bound is the narrower one.
        (Some((x, x_out)), Some((y, y_out))) => {
            if (y, !y_out) < (x, !x_out) {
                b
            } else {
                a
            }
        }
    }
}

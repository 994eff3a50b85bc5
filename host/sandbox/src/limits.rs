//! The memory limit of one call: over all of its memories and tables together, not for each alone.

use wasmtime::ResourceLimiter;

/// What one element of a table costs the host.
const TABLE_ELEMENT_BYTES: usize = 16;

pub(crate) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// Whether a wish was refused; makes a following trap readable.
    pub(crate) hit: bool,
}

impl MemoryLimit {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, hit: false }
    }

    /// The limit, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn grow(&mut self, more: usize) -> bool {
        match self.used.checked_add(more) {
            Some(sum) if sum <= self.limit => {
                self.used = sum;
                true
            }
            _ => {
                self.hit = true;
                false
            }
        }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_all_memories_together() {
        let mut limit = MemoryLimit::new(10 << 16);
        assert!(limit.memory_growing(0, 6 << 16, None).unwrap());
        assert!(!limit.memory_growing(0, 6 << 16, None).unwrap() && limit.hit);
        assert!(limit.memory_growing(0, 3 << 16, None).unwrap());
        assert!(!limit.table_growing(0, 1 << 16, None).unwrap());
    }
}

//! The audit log: a hash chain over the store that shows a changed, removed, reordered or cut entry.

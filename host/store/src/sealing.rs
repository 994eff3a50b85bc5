//! Sealing: what the tables with payloads hold is encrypted on its way to the engine and opened on its way back.
//!
//! One place for all of them, below batches and above the files: conditions, sums and quotas are decided over what the
//! callers wrote, and no caller can forget it. The keys are not the store's: whoever has them hands over a [`Sealer`]. A
//! value is sealed together with its table and key, so one that was moved elsewhere does not open there.
//!
//! Keys of entries are not sealed: they are looked up and walked in order. [`Table::is_sealed`] says which tables are; a
//! table is, unless it is named as one that holds no payloads.
//!
//! A folder that was written before is sealed when a sealer is first handed over, page by page; what a crash leaves of
//! that goes on at the next start, and until it is done no payload is read or written. Programs of before refuse it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use sled::IVec;

use crate::{
    StoreError, Table,
    engine::Engine,
    scan::prefixed,
    table::{GROUPS, PARTS, bare_key, full_key},
};

/// Most bytes by which sealing lengthens a value.
pub const SEALING: usize = 64;
/// What a scan shows in place of a value that does not open. It is no JSON; whoever reads on sees that it is not what
/// was written.
pub const UNREADABLE: &[u8] = b"\x00does not open";
/// Where it is kept how far a folder of before has been sealed.
const PROGRESS: &[u8] = b"sealed-up-to";
/// Entries that are sealed in one write.
const PAGE: usize = 500;

/// Seals values and opens them again.
pub trait Sealer: Send + Sync + 'static {
    /// The sealed form of `plain`, at most [`SEALING`] bytes longer, which opens at `place` only.
    ///
    /// # Errors
    /// Why it cannot be sealed.
    fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, String>;

    /// What was sealed at `place`.
    ///
    /// # Errors
    /// When it was not sealed there, under another key, or has changed.
    fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String>;
}

/// Whether and by whom an engine's payloads are sealed.
#[derive(Default)]
pub(crate) struct Sealing {
    sealer: OnceLock<Arc<dyn Sealer>>,
    /// The payloads are sealed, and who can open them has not come yet.
    locked: AtomicBool,
}

impl Sealing {
    pub(crate) fn lock(&self) {
        self.locked.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// What the engine is to keep under an engine key.
    pub(crate) fn sealed(&self, key: &[u8], value: IVec) -> Result<IVec, StoreError> {
        if !is_sealed(key) {
            return Ok(value);
        }
        match self.sealer()? {
            None => Ok(value),
            Some(sealer) => seal(sealer, key, &value),
        }
    }

    /// What was put under an engine key of which `stored` was read.
    pub(crate) fn opened(&self, key: &[u8], stored: IVec) -> Result<IVec, StoreError> {
        if !is_sealed(key) {
            return Ok(stored);
        }
        let Some(sealer) = self.sealer()? else { return Ok(stored) };
        sealer.open(key, &stored).map(IVec::from).map_err(|reason| {
            let Some(table) = key.first().copied().and_then(Table::of_byte) else {
                return StoreError::Io { doing: "open a sealed value", reason };
            };
            StoreError::Corrupt { table, key: bare_key(key), reason }
        })
    }

    /// The same for a scan: one value that does not open must not hide the others.
    pub(crate) fn shown(&self, key: &[u8], stored: IVec) -> Result<IVec, StoreError> {
        match self.opened(key, stored) {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "a stored value does not open");
                Ok(IVec::from(UNREADABLE))
            }
            other => other,
        }
    }

    fn sealer(&self) -> Result<Option<&dyn Sealer>, StoreError> {
        if self.is_locked() {
            return Err(StoreError::Sealed);
        }
        Ok(self.sealer.get().map(Arc::as_ref))
    }

    /// Takes the sealer, and seals what the folder holds in clear. Returns how many values that were.
    pub(crate) fn begin(&self, engine: &Engine, sealer: Arc<dyn Sealer>) -> Result<u64, StoreError> {
        if self.sealer.get().is_some() {
            return Err(StoreError::Invalid("the store has a sealer already".to_owned()));
        }
        let progress = full_key(Table::Meta, PROGRESS);
        let mut done = engine.get(&progress)?.map(|done| done.to_vec());
        let mut count = 0;
        if !self.is_locked() {
            self.lock();
            // From here on programs that know no sealing refuse the folder, as they must with half of it sealed.
            done = Some(Vec::new());
            engine.write(vec![
                (full_key(Table::Meta, crate::local::FORMAT_KEY), Some(IVec::from(crate::local::SEALED))),
                (progress.clone(), Some(IVec::default())),
            ])?;
        }
        if let Some(done) = done {
            count = seal_all(engine, &*sealer, &progress, done)?;
            engine.write(vec![(progress, None)])?;
        }
        let _ = self.sealer.set(sealer);
        self.locked.store(false, Ordering::SeqCst);
        Ok(count)
    }
}

fn seal(sealer: &dyn Sealer, key: &[u8], value: &[u8]) -> Result<IVec, StoreError> {
    sealer.seal(key, value).map(IVec::from).map_err(|reason| StoreError::Io { doing: "seal a value", reason })
}

/// Seals every payload behind the engine key `done`.
fn seal_all(
    engine: &Engine,
    sealer: &dyn Sealer,
    progress: &[u8],
    mut done: Vec<u8>,
) -> Result<u64, StoreError> {
    use std::ops::Bound;
    let mut count = 0;
    let first = done.first().copied().unwrap_or(1);
    for byte in (first..PARTS).filter(|byte| is_sealed(&[*byte])) {
        let (_, end) = prefixed(&[byte]);
        loop {
            let begin = if done.first() == Some(&byte) {
                Bound::Excluded(done.clone())
            } else {
                Bound::Included(vec![byte])
            };
            let page = engine.scan_stored((begin, end.clone()), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            done.clone_from(last);
            let mut effects = Vec::with_capacity(page.len() + 1);
            for (key, value) in page {
                let sealed = seal(sealer, &key, &value)?;
                effects.push((key, Some(sealed)));
                count += 1;
            }
            effects.push((progress.to_vec(), Some(IVec::from(done.as_slice()))));
            engine.write(effects)?;
        }
    }
    Ok(count)
}

/// Whether an engine key lies in a table with payloads. One whose table is not known counts as such: a table that somebody
/// forgets to list must not lie in clear for it.
pub(crate) fn is_sealed(key: &[u8]) -> bool {
    match key.first() {
        // The engine's own: the count of groups, and the parts of values that were sealed as a whole.
        None | Some(&(0 | GROUPS | PARTS)) => false,
        Some(byte) => Table::of_byte(*byte).is_none_or(Table::is_sealed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_nobody_listed_is_sealed() {
        assert!(is_sealed(&[200, 1]) && is_sealed(&[Table::Mailboxes as u8]));
        assert!(
            !is_sealed(&[GROUPS])
                && !is_sealed(&[PARTS, 6])
                && !is_sealed(&[])
                && !is_sealed(&[Table::Flows as u8])
        );
    }
}

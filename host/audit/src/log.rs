//! The log's face: open it, add entries, look at its head, check it.

use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, OnceLock, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use factotum_store::{ScanRange, Store, Table};

use crate::{
    Actor, AuditError, AuditLinker, EntryBuilder, Finding, Head, Report,
    check::Checker,
    keys::{Keys, refuse},
    record::Link,
    witness::{self, Statement},
};

/// Where in the store the head is kept.
const HEAD_KEY: &[u8] = b"head";
/// Entries that are read at once.
pub(crate) const PAGE: usize = 500;

/// The time in milliseconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The audit log of one store; clones share it.
#[derive(Clone)]
pub struct AuditLog {
    keys: Keys,
    witness: witness::Shared,
    clock: Clock,
    found: Arc<OnceLock<Vec<Finding>>>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("witness", &self.witness).finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens the log's own files in `dir` (made when absent) and gives the linker for the store.
    ///
    /// # Errors
    /// [`AuditError::File`] when a file cannot be made, read or kept private.
    pub fn open(dir: &Path) -> Result<(AuditLog, AuditLinker), AuditError> {
        Self::open_with_clock(dir, Arc::new(system_clock))
    }

    /// [`AuditLog::open`] with another clock, for tests and replays.
    ///
    /// # Errors
    /// Like [`AuditLog::open`].
    pub fn open_with_clock(dir: &Path, clock: Clock) -> Result<(AuditLog, AuditLinker), AuditError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir).map_err(|error| refuse(dir, &error.to_string()))?;
        let (keys, fresh) = Keys::open(&dir.join("audit.key"))?;
        let witness = witness::open(&dir.join("audit.witness"), &keys.head, fresh)?;
        let statement = witness.lock().unwrap_or_else(PoisonError::into_inner).read(&keys.head)?;
        let found = Arc::new(OnceLock::new());
        let linker = AuditLinker::new(keys.head.clone(), Arc::clone(&witness), statement, Arc::clone(&found));
        Ok((AuditLog { keys, witness, clock, found }, linker))
    }

    /// Begins an entry: who did what to what, now.
    pub fn entry(&self, actor: &Actor, action: &str, target: &str) -> EntryBuilder<'_> {
        EntryBuilder::new(self, actor, action, target, (self.clock)())
    }

    /// The keyed digest by which the log commits to a payload: `hmac-sha256:` and 64 hexadecimal digits.
    /// The same payload has the same digest throughout one store, and another in every other store.
    #[must_use]
    pub fn digest(&self, payload: &[u8]) -> String {
        format!("hmac-sha256:{}", hex::encode(self.keys.payload.mac(&[payload])))
    }

    /// What was wrong with the end of the log when the store was opened; the host reports it and goes on.
    /// Empty before the store is open.
    #[must_use]
    pub fn found_at_open(&self) -> &[Finding] {
        self.found.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// The signed end of the log, for keeping elsewhere as an anchor; `None` for an empty log or a forged head.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn head(&self, store: &Store) -> Result<Option<Head>, AuditError> {
        Ok(store.get(Table::AuditHead, HEAD_KEY)?.and_then(|bytes| Head::trusted(&bytes, &self.keys.head)))
    }

    /// Whether this log's key signed a head.
    #[must_use]
    pub fn signed(&self, head: &Head) -> bool {
        head.is_signed_by(&self.keys.head)
    }

    /// Checks the whole log against its hashes, its head, its witness and the anchors given; the log may grow
    /// meanwhile. Memory does not depend on its length.
    ///
    /// # Errors
    /// When the store or the witness cannot be read; what is wrong with the log stands in the report.
    pub fn verify(&self, store: &Store, anchors: &[Head]) -> Result<Report, AuditError> {
        let mut marks = Vec::new();
        let mut findings = Vec::new();
        for anchor in anchors {
            if self.signed(anchor) {
                marks.push(*anchor);
            } else {
                findings.push(Finding::AnchorForged { sequence: anchor.sequence });
            }
        }
        // Witness before head before entries: each may only be behind the one that is read after it.
        let statement = self.witness.lock().unwrap_or_else(PoisonError::into_inner).read(&self.keys.head)?;
        match statement {
            Statement::Signed(head) if head.sequence > 0 => marks.push(head),
            Statement::Signed(_) => {}
            Statement::Missing => findings.push(Finding::WitnessMissing),
            Statement::Forged => findings.push(Finding::WitnessForged),
        }
        let stored = store.get(Table::AuditHead, HEAD_KEY)?;
        let head = stored.as_deref().and_then(|bytes| Head::trusted(bytes, &self.keys.head));
        if stored.is_some() && head.is_none() {
            findings.push(Finding::HeadForged);
        }
        if let Some(head) = head {
            marks.push(head);
        }
        let mut checker = Checker::new(Some(1), marks);
        let mut cursor = None;
        loop {
            let range = ScanRange::default().after(cursor.take()).limit(PAGE);
            let page = store.scan(Table::Audit, &range)?;
            let Some((last, _)) = page.last() else { break };
            cursor = Some(last.clone());
            for (key, bytes) in page {
                let place = key.try_into().map_or(u64::MAX, u64::from_be_bytes);
                checker.see(place, Link::decode(&bytes));
            }
        }
        if stored.is_none() && checker.end() > 0 {
            // Written for the first time meanwhile, or gone.
            if store.get(Table::AuditHead, HEAD_KEY)?.is_none() {
                findings.push(Finding::HeadMissing);
            }
        }
        for finding in findings {
            checker.find(finding);
        }
        // Read after the entries: what was added meanwhile is signed by now.
        let limit = self.head(store)?.map(|now| now.sequence).max(head.map(|head| head.sequence));
        Ok(checker.finish(head, limit, true))
    }
}

fn system_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

//! Links entries in the store's writer, and takes up the log without covering what happened to it.

use std::sync::{Arc, OnceLock, PoisonError};

use factotum_store::{ChainState, Linker};

use crate::{
    Finding, Head,
    keys::MacKey,
    record::{Link, sha256},
    witness::{self, Statement},
};

/// What [`factotum_store::Options::linker`] takes.
#[derive(Debug)]
pub struct AuditLinker {
    key: KeyHolder,
    witness: witness::Shared,
    statement: Statement,
    found: Arc<OnceLock<Vec<Finding>>>,
    sequence: u64,
    hash: [u8; 32],
}

/// Keeps the key out of debug output.
struct KeyHolder(MacKey);

impl std::fmt::Debug for KeyHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl AuditLinker {
    pub(crate) fn new(
        key: MacKey,
        witness: witness::Shared,
        statement: Statement,
        found: Arc<OnceLock<Vec<Finding>>>,
    ) -> AuditLinker {
        AuditLinker { key: KeyHolder(key), witness, statement, found, sequence: 0, hash: [0; 32] }
    }
}

impl Linker for AuditLinker {
    /// Goes on from the newest signed end. Where the stored log does not reach it or does not match it, the next
    /// entry leaves the hole or the broken link as it is, so that every later check shows it.
    fn restore(&mut self, state: ChainState) -> Result<u64, String> {
        let mut found = Vec::new();
        let (place, link) = match state.last {
            Some((place, bytes)) => (place, Link::decode(&bytes)),
            None => (0, None),
        };
        let head = state.head.as_deref().map(|bytes| Head::trusted(bytes, &self.key.0));
        match head {
            Some(None) => found.push(Finding::HeadForged),
            None if place > 0 => found.push(Finding::HeadMissing),
            _ => {}
        }
        let witness = match self.statement {
            Statement::Signed(head) => Some(head),
            Statement::Missing => {
                found.push(Finding::WitnessMissing);
                None
            }
            Statement::Forged => {
                found.push(Finding::WitnessForged);
                None
            }
        };
        let newest = [head.flatten(), witness].into_iter().flatten().max_by_key(|head| head.sequence);
        self.sequence = place;
        self.hash = link.as_ref().map_or([0; 32], |link| link.hash);
        match newest {
            Some(newest) if newest.sequence > place => {
                found.push(Finding::Truncated { from: place + 1, to: newest.sequence });
                (self.sequence, self.hash) = (newest.sequence, newest.hash);
            }
            Some(newest) if newest.sequence == place => {
                if place > 0 && self.hash != newest.hash {
                    found.push(Finding::Rewritten { sequence: place });
                }
                self.hash = newest.hash;
            }
            // The witness alone may lag; entries behind the head were not written by the host.
            Some(newest) => {
                if head.flatten().is_some() {
                    found.push(Finding::Appended { from: newest.sequence + 1, to: place });
                }
                self.hash = break_in(place, &newest.hash);
            }
            // Nothing signed vouches for what is there: the link to it stays broken.
            None if place > 0 => self.hash = break_in(place, &self.hash),
            None => {}
        }
        for finding in &found {
            tracing::error!(%finding, "the audit log was tampered with");
        }
        let _ = self.found.set(found);
        self.sequence.checked_add(1).ok_or_else(|| "the log's numbers are used up".to_owned())
    }

    fn link(&mut self, sequence: u64, entry: &[u8]) -> Vec<u8> {
        let link = Link::new(sequence, self.hash, entry);
        (self.sequence, self.hash) = (sequence, link.hash);
        link.encode()
    }

    fn head(&mut self) -> Vec<u8> {
        Head::sign(&self.key.0, self.sequence, self.hash).to_bytes()
    }

    fn durable(&mut self) {
        let head = Head::sign(&self.key.0, self.sequence, self.hash);
        self.witness.lock().unwrap_or_else(PoisonError::into_inner).state(&head);
    }
}

/// A hash that no entry has, so that the next entry visibly follows nothing that is stored.
fn break_in(place: u64, hash: &[u8; 32]) -> [u8; 32] {
    sha256(&[b"factotum-audit-break/1\n", &place.to_be_bytes(), hash])
}

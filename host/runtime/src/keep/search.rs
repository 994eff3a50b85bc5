//! Where one customer's data are: everything that is kept is looked through, page by page.

use std::collections::BTreeMap;
use std::path::PathBuf;

use factotum_store::{KvNamespace, Quota, ScanRange, StoreError, Table};
use serde::Serialize;

use super::Keeper;
use super::packed::{self, Looked};
use super::subject::Subject;
use crate::events::Stored;
use crate::runs::{Row, read_row, run_of_index};

/// Entries that are read at once.
const PAGE: usize = 200;
/// Records of a journal that are read at once.
const RECORDS: usize = 500;
/// The largest artifact or mail that is looked into, in bytes.
const LARGEST: u64 = 8 << 20;
/// The most remarks.
const MAX_REMARKS: usize = 50;
/// The most names of what cannot be looked into.
const MAX_CLOSED: usize = 1_000;

/// How much was looked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LookedAt {
    /// Runs that have contents.
    pub runs: u64,
    /// Artifacts.
    pub artifacts: u64,
    /// Keys of plugins' key-value namespaces.
    pub keys: u64,
    /// Events of the log.
    pub events: u64,
    /// Mails in the outbox folder.
    pub mails: u64,
    /// Entries of the audit log.
    pub audit_entries: u64,
}

/// Something that could not be looked into: it may mention the customer, and is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// What: an artifact by identifier and name, a key by its namespace, a mail by its file.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What mentions a subject.
#[derive(Default)]
pub(super) struct Found {
    /// Runs, whole or under way.
    pub runs: BTreeMap<String, Row>,
    pub artifacts: Vec<String>,
    /// Namespace and key.
    pub keys: Vec<(String, String)>,
    pub events: Vec<(u64, Stored)>,
    pub mails: Vec<PathBuf>,
    /// Messages of mailboxes that are kept aside, by their keys in the store.
    pub kept_aside: Vec<Vec<u8>>,
    /// Starts that rates look back at, by their keys in the store.
    pub starts: Vec<Vec<u8>>,
    /// What could not be looked into, up to a bound, and how much there was of it.
    pub closed: Vec<Closed>,
    pub closed_count: u64,
    /// Entries of the audit log, which stay.
    pub audit_entries: u64,
    pub looked_at: LookedAt,
    pub remarks: Vec<String>,
    cap: usize,
}

impl Found {
    /// Whether there may be more than was looked for.
    pub fn is_full(&self) -> bool {
        let all =
            [self.runs.len(), self.artifacts.len(), self.keys.len(), self.events.len(), self.mails.len()];
        all.into_iter().fold(0_usize, usize::saturating_add) >= self.cap
    }

    /// Whether all that is kept was looked into.
    pub fn is_everything(&self) -> bool {
        !self.is_full() && self.remarks.is_empty() && self.closed_count == 0
    }

    fn closed(&mut self, what: impl FnOnce() -> String, why: &str) {
        self.closed_count += 1;
        if self.closed.len() < MAX_CLOSED {
            self.closed.push(Closed { what: what(), why: why.to_owned() });
        }
    }

    fn remark(&mut self, remark: String) {
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(remark);
        }
    }
}

impl Keeper {
    /// Looks through everything; waits for the disk. Ends when `cap` finds were made.
    pub(super) fn search(&self, subject: &Subject, cap: usize) -> Result<Found, StoreError> {
        let mut found = Found { cap, ..Found::default() };
        self.search_runs(subject, &mut found)?;
        self.search_waiting(subject, &mut found)?;
        self.search_artifacts(subject, &mut found)?;
        self.search_keys(subject, &mut found)?;
        self.search_events(subject, &mut found)?;
        self.search_mails(subject, &mut found);
        self.search_mailboxes(subject, &mut found)?;
        self.search_starts(subject, &mut found)?;
        self.search_audit(subject, &mut found)?;
        Ok(found)
    }

    fn search_runs(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        let mut after = None;
        while !found.is_full() {
            let range = ScanRange::default().after(after.take()).limit(PAGE);
            let page = self.engine.store.scan(Table::Runs, &range)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, bytes) in page {
                let Some(id) = run_of_index(&key) else { continue };
                let row = match read_row(id, &bytes) {
                    Ok(row) if row.removed.is_some() => continue,
                    Ok(row) => row,
                    Err(_) => {
                        found.remark(format!("the run {id} cannot be read"));
                        continue;
                    }
                };
                found.looked_at.runs += 1;
                if subject.is_in_json(&bytes) || self.is_in_journal(subject, id)? {
                    found.runs.insert(id.to_owned(), row);
                }
                if found.is_full() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn is_in_journal(&self, subject: &Subject, id: &str) -> Result<bool, StoreError> {
        let mut from = 0;
        loop {
            let page = self.engine.store.journal(id, from, RECORDS)?;
            let Some((last, _)) = page.last() else { return Ok(false) };
            from = last.saturating_add(1);
            if page.iter().any(|(_, record)| subject.is_in_json(record)) {
                return Ok(true);
            }
        }
    }

    /// What belongs to runs and does not stand in their journals: questions to people, answers and events that were not
    /// used yet.
    fn search_waiting(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        let mut mentioned = Vec::new();
        let mut after = None;
        loop {
            let page = self.engine.stored_items(after.take())?;
            let Some((last, _, _)) = page.last() else { break };
            after = Some(last.clone());
            mentioned.extend(
                page.into_iter().filter(|(_, _, item)| subject.is_in_json(item)).map(|(_, run, _)| run),
            );
        }
        // The runs' identifiers follow one letter and end in a zero byte.
        for (table, kind) in [(Table::Promises, b'k'), (Table::Events, b'q'), (Table::Subscriptions, b's')] {
            let mut after = None;
            loop {
                let range = ScanRange::prefix([kind]).after(after.take()).limit(PAGE);
                let page = self.engine.store.scan(table, &range)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (key, bytes) in page {
                    let run = key.get(1..).and_then(|rest| rest.split(|byte| *byte == 0).next());
                    if subject.is_in_json(&bytes)
                        && let Some(run) = run.and_then(|run| std::str::from_utf8(run).ok())
                    {
                        mentioned.push(run.to_owned());
                    }
                }
            }
        }
        for run in mentioned {
            if let Ok(Some(row)) = self.engine.row(&run)
                && row.removed.is_none()
            {
                found.runs.insert(run, row);
            }
        }
        Ok(())
    }

    fn search_artifacts(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        let mut after = None;
        while !found.is_full() {
            let page = self.artifacts.page(after.take())?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for artifact in page.into_iter().filter_map(|(_, artifact)| artifact) {
                found.looked_at.artifacts += 1;
                let of_run = artifact.run.as_ref().is_some_and(|run| found.runs.contains_key(run));
                let what = || format!("artifact {} {}", artifact.id, artifact.name);
                let named = subject.is_in_name(&artifact.name);
                let looked = match (named, artifact.size <= LARGEST) {
                    (true, _) => Looked { mentions: true, closed: None },
                    (false, false) => Looked { mentions: false, closed: Some("it is too large") },
                    (false, true) => match self.artifacts.read(&artifact.id) {
                        Ok(Some(content)) => packed::look(
                            subject,
                            &content.content,
                            artifact.media_type.starts_with("message/"),
                        ),
                        Ok(None) => Looked::default(),
                        Err(_) => Looked { mentions: false, closed: Some("it cannot be read") },
                    },
                };
                // What belongs to a run that is erased goes with it.
                if let Some(why) = looked.closed.filter(|_| !of_run) {
                    found.closed(what, why);
                }
                let mentions = looked.mentions;
                if mentions {
                    found.artifacts.push(artifact.id);
                }
            }
        }
        Ok(())
    }

    fn search_keys(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        for name in KvNamespace::names(&self.engine.store)? {
            let space = KvNamespace::new(&self.engine.store, &name, Quota::default())?;
            let mut after = None;
            loop {
                let page = space.list_keys(after.as_deref(), PAGE)?;
                for key in page.keys {
                    found.looked_at.keys += 1;
                    let named = !subject.has_path() && subject.is_in_text(&key);
                    let looked = match (named, space.get(&key)) {
                        (true, _) => Looked { mentions: true, closed: None },
                        (false, Ok(value)) => {
                            value.map_or_else(Looked::default, |value| packed::look(subject, &value, false))
                        }
                        (false, Err(_)) => Looked { mentions: false, closed: Some("it cannot be read") },
                    };
                    if let Some(why) = looked.closed {
                        found.closed(|| format!("key {name} {key}"), why);
                    }
                    let mentions = looked.mentions;
                    if mentions {
                        found.keys.push((name.clone(), key));
                    }
                }
                after = page.cursor;
                if after.is_none() || found.is_full() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn search_events(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        let mut after = None;
        while !found.is_full() {
            let page = self.engine.logged_events(after.take())?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (number, stored) in page {
                found.looked_at.events += 1;
                if subject.is_in(&stored.event) {
                    found.events.push((number, stored));
                }
            }
        }
        Ok(())
    }

    fn search_mails(&self, subject: &Subject, found: &mut Found) {
        let Some(folder) = self.outbox.as_ref().filter(|_| !subject.has_path()) else { return };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return found.remark(format!("the outbox cannot be read: {error}")),
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if found.is_full() || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            found.looked_at.mails += 1;
            if entry.metadata().is_ok_and(|about| about.len() > LARGEST) {
                found.closed(|| format!("mail {name}"), "it is too large");
                continue;
            }
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let looked = packed::look(subject, &bytes, true);
                    if let Some(why) = looked.closed {
                        found.closed(|| format!("mail {name}"), why);
                    }
                    if looked.mentions {
                        found.mails.push(path);
                    }
                }
                Err(error) => found.closed(|| format!("mail {name}"), &format!("it cannot be read: {error}")),
            }
        }
    }

    fn search_mailboxes(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let range = ScanRange::prefix(*b"aside\0").after(after.take()).limit(PAGE);
            let page = self.engine.store.scan(Table::Mailboxes, &range)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let mentions = page.into_iter().filter(|(_, row)| subject.is_in_json(row));
            found.kept_aside.extend(mentions.map(|(key, _)| key));
        }
    }

    /// Rates look back at starts, by keys that flows make of their inputs. (Those of runs that wait stand in the runs' rows.)
    fn search_starts(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        if subject.has_path() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let page = self.engine.rate_starts(after.take(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let mentions = page.into_iter().filter(|(_, key)| subject.is_in_text(key));
            found.starts.extend(mentions.map(|(start, _)| start));
        }
    }

    fn search_audit(&self, subject: &Subject, found: &mut Found) -> Result<(), StoreError> {
        if subject.has_path() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let range = ScanRange::default().after(after.take()).limit(PAGE);
            let page = self.engine.store.scan(Table::Audit, &range)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (_, entry) in page {
                found.looked_at.audit_entries += 1;
                found.audit_entries += u64::from(subject.is_in_bytes(&entry));
            }
        }
    }
}

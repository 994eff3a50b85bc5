//! What is not mailed yet, as the store keeps it, beside the records of mails that plugins sent.
//!
//! A notice that waits is one entry for each address. Those for one address become one letter, in one batch: its text and
//! its `Message-ID` stay as they are from then on, so that a mail server which is given it twice is given the same mail.

use factotum_store::{Batch, ScanRange, Store, StoreError, Table};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

use crate::ids;

/// The prefix of the keys of notices that wait, in the order of their coming.
const WAITING: &[u8] = b"n\0";
/// The prefix of the keys of letters.
const LETTER: &[u8] = b"l\0";
/// The most notices told in one mail.
const MAX_IN_LETTER: usize = 50;
/// The longest subject, in characters.
const MAX_SUBJECT: usize = 200;
/// How many entries are read at once.
const PAGE: usize = 500;
/// The most entries of a kind that are read.
const MAX_READ: usize = 50_000;

/// A notice that waits for being mailed to one address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub to: String,
    /// The first line is the subject.
    pub text: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The run that it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Waiting {
    /// Adds it to a batch.
    pub fn put(&self, batch: &mut Batch) -> Result<(), serde_json::Error> {
        let key = [WAITING, ids::new_run_id().as_bytes()].concat();
        batch.put(Table::Mail, key, serde_json::to_vec(self)?);
        Ok(())
    }
}

/// A mail that tells of one or several notices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Letter {
    /// What its `Message-ID` is made of.
    pub id: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    /// When the oldest notice in it came, in milliseconds since the Unix epoch.
    pub since: u64,
    /// The runs that it tells of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// How often it was tried.
    #[serde(default)]
    pub tries: u32,
    /// When it is tried next.
    pub next: u64,
    /// Why it was not sent at the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<u64>,
}

impl Letter {
    /// Of notices to one address, at least one, the oldest first.
    pub fn of(to: &str, notices: &[Waiting], now: u64) -> Self {
        let subject = match notices {
            [one] => one.text.lines().next().unwrap_or_default().chars().take(MAX_SUBJECT).collect(),
            several => format!("{} notices / {} 条通知", several.len(), several.len()),
        };
        let texts: Vec<&str> =
            notices.iter().take(MAX_IN_LETTER).map(|notice| notice.text.as_str()).collect();
        let mut text = texts.join("\n\n");
        if notices.len() > MAX_IN_LETTER {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n\n… and {} more", notices.len() - MAX_IN_LETTER);
        }
        let mut runs: Vec<String> = notices.iter().filter_map(|notice| notice.run.clone()).collect();
        runs.sort_unstable();
        runs.dedup();
        Self {
            id: ids::new_run_id(),
            to: to.to_owned(),
            subject,
            text,
            since: notices.iter().map(|notice| notice.at).min().unwrap_or(now),
            runs,
            tries: 0,
            next: now,
            error: None,
            given_up: None,
        }
    }

    /// Adds it to a batch.
    pub fn put(&self, batch: &mut Batch) -> Result<(), serde_json::Error> {
        batch.put(Table::Mail, self.key(), serde_json::to_vec(self)?);
        Ok(())
    }

    /// Takes it out.
    pub fn delete(&self, batch: &mut Batch) {
        batch.delete(Table::Mail, self.key());
    }

    fn key(&self) -> Vec<u8> {
        [LETTER, self.id.as_bytes()].concat()
    }
}

/// The notices that wait, with their keys, the oldest first.
pub(super) fn waiting(store: &Store) -> Result<Vec<(Vec<u8>, Waiting)>, StoreError> {
    read(store, WAITING)
}

/// The letters, the oldest first.
pub(super) fn letters(store: &Store) -> Result<Vec<Letter>, StoreError> {
    Ok(read(store, LETTER)?.into_iter().map(|(_, letter)| letter).collect())
}

/// Adds to a batch that nothing is told of runs any more.
pub(super) fn forget(store: &Store, batch: &mut Batch, runs: &[String]) -> Result<(), StoreError> {
    for (key, notice) in waiting(store)? {
        if notice.run.is_some_and(|run| runs.contains(&run)) {
            batch.delete(Table::Mail, key);
        }
    }
    for letter in letters(store)? {
        if letter.runs.iter().any(|run| runs.contains(run)) {
            letter.delete(batch);
        }
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(
    store: &Store,
    prefix: &[u8],
) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
    let (mut all, mut after) = (Vec::new(), None);
    while all.len() < MAX_READ {
        let page = store.scan(Table::Mail, &ScanRange::prefix(prefix).after(after).limit(PAGE))?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (key, bytes) in page {
            match serde_json::from_slice(&bytes) {
                Ok(entry) => all.push((key, entry)),
                Err(error) => tracing::error!(%error, "a notice cannot be read and is left out"),
            }
        }
    }
    Ok(all)
}

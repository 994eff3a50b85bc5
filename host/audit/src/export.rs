//! Export as JSON Lines, and the check of such a file without the store.

use std::io::{BufRead, Read, Write};

use factotum_store::{ScanRange, Store, Table};
use serde::{Deserialize, Serialize};

use crate::{AuditError, AuditLog, Finding, Head, Record, Report, check::Checker, log::PAGE, record::Link};

/// Longest line of an export, in bytes; an entry's fields are bounded far below this.
const MAX_LINE: u64 = 256 * 1024;

/// The last line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    head: Head,
}

impl AuditLog {
    /// Writes the log from entry `from` (1 for all of it) to its signed end as JSON Lines, the head in the last line.
    /// Returns how many entries were written. An entry that cannot be read ends the export; see [`AuditLog::verify`].
    ///
    /// # Errors
    /// When the store cannot be read, holds an unreadable entry, or the writer fails.
    pub fn export(&self, store: &Store, from: u64, writer: &mut dyn Write) -> Result<u64, AuditError> {
        let head = self.head(store)?;
        let end = head.map_or(u64::MAX, |head| head.sequence);
        let mut written = 0;
        let mut cursor = None;
        loop {
            let range = ScanRange::default().from(from.to_be_bytes()).after(cursor.take()).limit(PAGE);
            let page = store.scan(Table::Audit, &range)?;
            let Some((last, _)) = page.last() else { break };
            let done = number(last).is_none_or(|last| last >= end);
            cursor = Some(last.clone());
            for (key, bytes) in page {
                let place = number(&key).unwrap_or(u64::MAX);
                if place > end {
                    break;
                }
                let record = Link::decode(&bytes).as_ref().and_then(Link::record).ok_or_else(|| {
                    std::io::Error::other(format!(
                        "entry {place} cannot be read; verify the log in the store"
                    ))
                })?;
                line(writer, &record)?;
                written += 1;
            }
            if done {
                break;
            }
        }
        if let Some(head) = head {
            line(writer, &HeadLine { head })?;
        }
        writer.flush()?;
        Ok(written)
    }
}

/// Checks an export line by line in bounded memory. With the log of the store it came from, the head's signature is
/// checked as well; without it (an outside auditor) compare the head with one you kept.
///
/// # Errors
/// When the reader fails; what is wrong with the export stands in the report.
pub fn verify_export(
    reader: &mut dyn BufRead,
    log: Option<&AuditLog>,
    anchors: &[Head],
) -> Result<Report, AuditError> {
    let mut checker = Checker::new(None, anchors.to_vec());
    let mut head: Option<Head> = None;
    let mut number = 0;
    loop {
        number += 1;
        let mut text = Vec::new();
        reader.take(MAX_LINE + 1).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            break;
        }
        if text.len() as u64 > MAX_LINE {
            checker.find(unreadable(number, "it is too long"));
            break;
        }
        if head.is_some() {
            checker.find(unreadable(number, "it stands behind the head, which is the last line"));
            break;
        }
        match serde_json::from_slice::<Record>(&text) {
            Ok(record) => checker.see(record.sequence, Some(Link::from(&record))),
            Err(error) => match serde_json::from_slice::<HeadLine>(&text) {
                Ok(line) => head = Some(line.head),
                Err(_) => checker.find(unreadable(number, &error.to_string())),
            },
        }
    }
    match (&head, log) {
        (Some(head), Some(log)) if !log.signed(head) => checker.find(Finding::HeadForged),
        (None, _) => checker.find(Finding::HeadMissing),
        _ => {}
    }
    Ok(checker.finish(head, head.map(|head| head.sequence), log.is_some()))
}

fn unreadable(line: u64, reason: &str) -> Finding {
    Finding::Unreadable { line, reason: reason.to_owned() }
}

fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

fn line(writer: &mut dyn Write, value: &impl Serialize) -> Result<(), AuditError> {
    let mut text = serde_json::to_vec(value).map_err(std::io::Error::other)?;
    text.push(b'\n');
    writer.write_all(&text)?;
    Ok(())
}

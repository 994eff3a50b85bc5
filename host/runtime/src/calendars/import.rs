//! Holidays of an iCalendar file into a calendar: read, laid beside what is there, and kept as one change.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike};
use factotum_audit::Actor;
use factotum_flow::Holidays;
use serde::Serialize;

use super::{Calendars, unknown};
use crate::error::{ErrorCode, HostError};

/// How many years after this one holidays may be taken for.
const MAX_YEARS: u8 = 20;

/// For how many years after this one holidays are taken; this one is among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolidayYears(u8);

impl HolidayYears {
    /// So many years after this one.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] for more than 20.
    pub fn new(years: u8) -> Result<Self, HostError> {
        if years <= MAX_YEARS {
            return Ok(Self(years));
        }
        let message = format!("holidays are taken for at most {MAX_YEARS} years after this one");
        Err(HostError::new(ErrorCode::InvalidRequest, message).hint("import the file again every few years"))
    }
}

impl Default for HolidayYears {
    /// This year and the next three.
    fn default() -> Self {
        Self(3)
    }
}

/// What is to be imported.
#[derive(Debug, Clone)]
pub struct HolidayImport {
    /// The file.
    pub file: String,
    /// For which years.
    pub years: HolidayYears,
    /// Whether the dates that are holidays now go. Days of every year stay.
    pub replace: bool,
    /// Only say what would change.
    pub dry_run: bool,
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Imported {
    /// The calendar.
    pub name: String,
    /// The first year.
    pub from: i16,
    /// The last year.
    pub until: i16,
    /// The days that were not holidays before, with their names.
    pub added: BTreeMap<String, String>,
    /// The days that were holidays before and are not any more.
    pub removed: Vec<String>,
    /// How many days of the file were holidays already, or have hours of their own.
    pub known: usize,
    /// Events that were left out because they have a time of day.
    pub timed: usize,
    /// Events that were left out because they are cancelled.
    pub cancelled: usize,
    /// Events none of whose days are in these years.
    pub outside: usize,
    /// Whether nothing was done.
    pub dry_run: bool,
}

impl Calendars {
    /// Adds the holidays of a file to a calendar that is there.
    pub async fn import(
        &self,
        actor: &Actor,
        name: &str,
        import: HolidayImport,
    ) -> Result<Imported, HostError> {
        let now = i64::try_from(self.clock.now_ms()).unwrap_or_default();
        let from = DateTime::from_timestamp_millis(now).map_or(1970, |now| now.year());
        let from = i16::try_from(from).map_err(HostError::internal)?;
        let until = from.saturating_add(import.years.0.into());
        // A large file is read on a thread that has the time.
        let file = import.file;
        let read = tokio::task::spawn_blocking(move || Holidays::read(&file, from, until)).await;
        let holidays = read.map_err(HostError::internal)?.map_err(|wrong| {
            let message = format!("the file, line {}: {}", wrong.line, wrong.message);
            HostError::new(ErrorCode::InvalidRequest, message).hint(wrong.hint)
        })?;
        let _changing = self.changing.lock().await;
        let before = self.named(name).ok_or_else(|| unknown(name))?;
        let merged = holidays.merge(before.definition(), import.replace);
        if !import.dry_run && merged.calendar != *before.definition() {
            let details = [
                ("added", merged.added.len().to_string()),
                ("removed", merged.removed.len().to_string()),
                ("years", format!("{from}-{until}")),
            ];
            self.keep(actor, name, merged.calendar, "calendar.import", &details).await?;
        }
        let named = |day: String| {
            let called = holidays.days.get(&day).cloned().unwrap_or_default();
            (day, called)
        };
        Ok(Imported {
            name: name.to_owned(),
            from,
            until,
            added: merged.added.into_iter().map(named).collect(),
            removed: merged.removed,
            known: merged.known,
            timed: holidays.timed,
            cancelled: holidays.cancelled,
            outside: holidays.outside,
            dry_run: import.dry_run,
        })
    }
}

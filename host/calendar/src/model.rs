//! What a calendar is: a time zone, a week of openings, and the days that are other than the week says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

/// The times of a day at which it is open, as milliseconds of the wall clock since midnight: from, and until before.
/// In order, and apart.
pub(crate) type Day = Vec<(i64, i64)>;

/// When a desk is open.
#[derive(Debug, Clone)]
pub struct Calendar {
    pub(crate) zone: TimeZone,
    /// From Monday on.
    pub(crate) week: [Day; 7],
    /// Days on which it is closed.
    pub(crate) holidays: BTreeSet<Date>,
    /// Days of every year on which it is closed: month and day.
    pub(crate) yearly: BTreeSet<(i8, i8)>,
    /// Days with hours of their own. They count before all others.
    pub(crate) special: BTreeMap<Date, Day>,
    pub(crate) definition: Value,
}

/// Two calendars are one when they are written alike.
impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        self.zone == other.zone && self.definition == other.definition
    }
}

impl Calendar {
    /// The IANA name of the time zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The calendar as it was written.
    #[must_use]
    pub fn definition(&self) -> &Value {
        &self.definition
    }

    /// When it is open on a date.
    pub(crate) fn on(&self, date: Date) -> &[(i64, i64)] {
        if let Some(day) = self.special.get(&date) {
            return day;
        }
        if self.holidays.contains(&date) || self.yearly.contains(&(date.month(), date.day())) {
            return &[];
        }
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
        self.week.get(weekday).map_or(&[], Vec::as_slice)
    }
}

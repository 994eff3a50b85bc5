//! The stretches of time in which a calendar is open, one after the other.
//!
//! The walk goes by stretches in which the offset from UTC does not change, and in each by the days of the wall clock. In
//! such a stretch the wall clock runs as time does, so what is open by the wall clock is open in fact: an hour that is
//! skipped is in no stretch, and one that is repeated is in two.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::Calendar;

/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// A stretch of time in which it is open, within one day of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// Its first moment, in milliseconds since the Unix epoch.
    pub from: i64,
    /// The first moment after it.
    pub until: i64,
    /// The day, in days since 1970-01-01.
    pub day: i64,
    /// What the wall clock is ahead of UTC, in milliseconds.
    pub offset: i64,
}

/// All openings from a moment on, until another.
pub(crate) struct Openings<'c> {
    calendar: &'c Calendar,
    at: i64,
    end: i64,
    offset: i64,
    /// Until when the offset holds.
    holds: i64,
    /// What is left of the day's, the next at the end.
    left: Vec<Opening>,
}

impl<'c> Openings<'c> {
    /// The openings of `calendar` within two moments. What both begin or end in is cut.
    pub fn new(calendar: &'c Calendar, from: i64, end: i64) -> Self {
        Self { calendar, at: from, end, offset: 0, holds: i64::MIN, left: Vec::new() }
    }

    /// Finds the offset that holds now, and until when.
    fn look(&mut self) -> Option<()> {
        let now = Timestamp::from_millisecond(self.at).ok()?;
        self.offset = i64::from(self.calendar.zone.to_offset(now).seconds()) * 1000;
        let next = self.calendar.zone.following(now).next();
        self.holds = next.map_or(i64::MAX, |next| next.timestamp().as_millisecond());
        Some(())
    }
}

impl Iterator for Openings<'_> {
    type Item = Opening;

    fn next(&mut self) -> Option<Opening> {
        loop {
            if let Some(opening) = self.left.pop() {
                return Some(opening);
            }
            if self.at >= self.end {
                return None;
            }
            if self.at >= self.holds {
                self.look()?;
            }
            let day = self.at.checked_add(self.offset)?.div_euclid(DAY_MS);
            let midnight = day * DAY_MS - self.offset;
            let until = (midnight + DAY_MS).min(self.holds).min(self.end);
            for (opens, closes) in self.calendar.on(date(day)?).iter().rev() {
                let (from, until) = ((midnight + opens).max(self.at), (midnight + closes).min(until));
                if from < until {
                    self.left.push(Opening { from, until, day, offset: self.offset });
                }
            }
            self.at = until;
        }
    }
}

/// The date of a number of days since 1970-01-01.
fn date(day: i64) -> Option<Date> {
    let days = jiff::Span::new().try_days(day).ok()?;
    Date::constant(1970, 1, 1).checked_add(days).ok()
}

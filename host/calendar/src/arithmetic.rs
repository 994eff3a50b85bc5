//! Arithmetic in the time that a calendar is open.

use crate::Calendar;
use crate::openings::{DAY_MS, Openings};

/// How far ahead is looked: fifty years, in milliseconds.
pub const HORIZON_MS: u64 = 50 * 366 * 86_400_000;

/// A length of business time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Length {
    /// Business days: a day that opens at all counts as one, however short it is.
    pub days: u32,
    /// Opening time after those, in milliseconds.
    pub ms: u64,
}

/// A moment that does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the calendar does not open for so long within fifty years")]
pub struct Never;

impl Calendar {
    /// Whether it is open at a moment (milliseconds since the Unix epoch).
    #[must_use]
    pub fn is_open(&self, at: u64) -> bool {
        let at = signed(at);
        Openings::new(self, at, at.saturating_add(1)).next().is_some()
    }

    /// The first moment from `at` on at which it is open; `at` itself when it is.
    ///
    /// # Errors
    /// When it does not open within [`HORIZON_MS`].
    pub fn next_opening(&self, at: u64) -> Result<u64, Never> {
        self.ahead(at).next().map(|opening| unsigned(opening.from)).ok_or(Never)
    }

    /// The moment at which a length of business time has passed since `from`.
    ///
    /// Days come first: they lead to the same time of the wall clock that many business days later, or to the nearest
    /// time at which that day is open, after it if there is one. Then opening time passes. A length of nothing leads to
    /// the next opening. The result is a moment at which it is open, or closes.
    ///
    /// # Errors
    /// When that does not come within [`HORIZON_MS`].
    pub fn add(&self, from: u64, length: Length) -> Result<u64, Never> {
        let from = if length.days == 0 { from } else { self.add_days(from, length.days)? };
        if length.days > 0 && length.ms == 0 {
            return Ok(from);
        }
        let mut left = i64::try_from(length.ms).map_err(|_| Never)?;
        for opening in self.ahead(from) {
            let long = opening.until - opening.from;
            if left <= long {
                return Ok(unsigned(opening.from + left));
            }
            left -= long;
        }
        Err(Never)
    }

    /// How long it is open between two moments, in milliseconds; 0 when `to` is not after `from`. Looks no further than
    /// [`HORIZON_MS`].
    #[must_use]
    pub fn between(&self, from: u64, to: u64) -> u64 {
        let end = signed(to).min(signed(from.saturating_add(HORIZON_MS)));
        let openings = Openings::new(self, signed(from), end);
        openings.map(|opening| unsigned(opening.until - opening.from)).sum()
    }

    fn add_days(&self, from: u64, days: u32) -> Result<u64, Never> {
        let mut openings = self.ahead(from);
        let first = openings.next().ok_or(Never)?;
        // The time of the wall clock, in milliseconds since midnight.
        let time = first.from + first.offset - first.day * DAY_MS;
        let (mut day, mut left, mut closes) = (first.day, days, None);
        for opening in openings {
            if opening.day > day {
                if closes.is_some() {
                    break;
                }
                day = opening.day;
                left -= 1;
            }
            if left > 0 || opening.day < day {
                continue;
            }
            let (from, until) = (clock(opening.from, &opening), clock(opening.until, &opening));
            if time < until {
                return Ok(unsigned(opening.from + (time - from).max(0)));
            }
            closes = Some(opening.until);
        }
        closes.map(unsigned).ok_or(Never)
    }

    fn ahead(&self, from: u64) -> Openings<'_> {
        Openings::new(self, signed(from), signed(from.saturating_add(HORIZON_MS)))
    }
}

/// The time of the wall clock at a moment of an opening's day, in milliseconds since midnight.
fn clock(at: i64, opening: &crate::openings::Opening) -> i64 {
    at + opening.offset - opening.day * DAY_MS
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}

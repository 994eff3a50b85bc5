//! Reads the times of cases, and gathers days into as many columns as a chart can show.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};

use crate::Count;

/// The most columns of one chart: a quarter of a year in days, and then as many months.
const MAX_COLUMNS: u64 = 92;

/// One column: its first day and its number of cases.
pub type Column = (NaiveDate, u64);

/// How much time one column stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Step {
    fn start(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => Some(day),
            Self::Month => NaiveDate::from_ymd_opt(day.year(), day.month(), 1),
            Self::Year => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        }
        .unwrap_or(day)
    }

    fn next(self, start: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => start.checked_add_days(Days::new(1)),
            Self::Month if start.month() == 12 => NaiveDate::from_ymd_opt(start.year().checked_add(1)?, 1, 1),
            Self::Month => NaiveDate::from_ymd_opt(start.year(), start.month().checked_add(1)?, 1),
            Self::Year => NaiveDate::from_ymd_opt(start.year().checked_add(1)?, 1, 1),
        }
    }

    /// The column's name, as ISO 8601 shortens a date.
    pub fn label(self, start: NaiveDate) -> String {
        let format = match self {
            Self::Day => "%Y-%m-%d",
            Self::Month => "%Y-%m",
            Self::Year => "%Y",
        };
        start.format(format).to_string()
    }
}

/// The moment that an RFC 3339 time names.
pub fn moment(created: &str) -> Option<DateTime<Utc>> {
    // Longer than any RFC 3339 time: not worth parsing.
    if created.len() > 64 {
        return None;
    }
    DateTime::parse_from_rfc3339(created.trim()).ok().map(|time| time.to_utc())
}

/// The calendar day in UTC of an RFC 3339 time; four-digit years only, so that days sort as text.
pub fn day(created: &str) -> Option<NaiveDate> {
    moment(created).map(|time| time.date_naive()).filter(|day| (0..=9999).contains(&day.year()))
}

/// The columns of a chart over `by_day`, without gaps while they fit, and what each stands for.
pub fn columns(by_day: &[Count]) -> (Step, Vec<Column>) {
    let days: Vec<(NaiveDate, u64)> =
        by_day.iter().filter_map(|count| Some((count.value.parse().ok()?, count.count))).collect();
    let (Some((first, _)), Some((last, _))) = (days.first(), days.last()) else {
        return (Step::Day, Vec::new());
    };
    let span = last.signed_duration_since(*first).num_days().unsigned_abs();
    let step = match span {
        _ if span < MAX_COLUMNS => Step::Day,
        _ if span / 30 < MAX_COLUMNS => Step::Month,
        _ => Step::Year,
    };
    let mut columns = BTreeMap::new();
    if span / 365 < MAX_COLUMNS {
        let mut at = Some(step.start(*first));
        while let Some(start) = at.filter(|start| start <= last) {
            columns.insert(start, 0_u64);
            at = step.next(start);
        }
    }
    for (day, count) in days {
        let sum = columns.entry(step.start(day)).or_default();
        *sum = sum.saturating_add(count);
    }
    // Centuries of stray dates: the newest columns say most.
    let surplus = columns.len().saturating_sub(MAX_COLUMNS as usize);
    (step, columns.into_iter().skip(surplus).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(days: &[&str]) -> Vec<Count> {
        days.iter().map(|day| Count { value: (*day).into(), count: 2, share: 0.1 }).collect()
    }

    #[test]
    fn quiet_days_are_columns_too() {
        let (step, columns) = columns(&counts(&["2026-02-27", "2026-03-02", "unknown"]));
        assert_eq!(step, Step::Day);
        assert_eq!(columns.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [2, 0, 0, 2]);
    }

    #[test]
    fn long_spans_become_months_and_years_and_stay_bounded() {
        let (step, months) = columns(&counts(&["2025-11-15", "2025-11-16", "2026-11-15"]));
        assert_eq!((step, months.len()), (Step::Month, 13));
        assert_eq!(months[0].1, 4);
        assert_eq!(step.label(months[12].0), "2026-11");
        let (step, years) = columns(&counts(&["0000-01-01", "1970-01-01", "2026-11-15"]));
        assert_eq!((step, years.len()), (Step::Year, 3));
        let many: Vec<String> = (0..9999).map(|year| format!("{year:04}-06-01")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(columns(&counts(&many)).1.len(), MAX_COLUMNS as usize);
    }
}

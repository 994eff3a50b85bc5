//! Counts cases.

use std::collections::BTreeMap;

use crate::{CaseRow, Count, Statistics, days, text};

/// The value of cases without one.
pub const UNKNOWN: &str = "unknown";
/// The most characters of a value; a longer one is no category but a text in the wrong field.
const MAX_VALUE: usize = 64;

/// The figures of `cases`.
pub fn of(cases: &[CaseRow]) -> Statistics {
    let total = cases.len() as u64;
    let by = |value: fn(&CaseRow) -> Option<&str>| {
        let mut counts = tally(cases.iter().map(|case| named(value(case))), total);
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        counts
    };
    // The tally is in the order of its keys, which for ISO dates is the order of days, and `unknown` comes after digits.
    let by_day = tally(
        cases.iter().map(|case| days::day(&case.created).map_or(UNKNOWN.into(), |d| d.to_string())),
        total,
    );
    Statistics {
        total,
        by_category: by(|case| case.category.as_deref()),
        by_priority: by(|case| case.priority.as_deref()),
        by_sentiment: by(|case| case.sentiment.as_deref()),
        by_language: by(|case| case.language.as_deref()),
        by_channel: by(|case| Some(&case.channel)),
        by_day,
    }
}

/// The value as it is counted: one bounded line, or `unknown`.
pub fn named(value: Option<&str>) -> String {
    let line = text::one_line(value.unwrap_or_default(), MAX_VALUE);
    if line.is_empty() { UNKNOWN.to_owned() } else { line }
}

fn tally(values: impl Iterator<Item = String>, total: u64) -> Vec<Count> {
    let mut counts = BTreeMap::<String, u64>::new();
    for value in values {
        let count = counts.entry(value).or_default();
        *count = count.saturating_add(1);
    }
    counts.into_iter().map(|(value, count)| Count { value, count, share: share(count, total) }).collect()
}

/// `part` of `total`, 0 to 1; 0 of nothing.
pub fn share(part: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::case;

    #[test]
    fn shares_sum_to_one_and_order_is_by_count_then_value() {
        let cases: Vec<CaseRow> = (0..1000_u32)
            .map(|i| {
                let mut case = case(i, "2026-11-02T08:00:00Z");
                case.category =
                    ["refund", "billing", "refund", "delivery"].get(i as usize % 4).map(|c| (*c).to_owned());
                case
            })
            .collect();
        let figures = of(&cases);
        assert_eq!(figures.total, 1000);
        let order: Vec<_> = figures.by_category.iter().map(|c| (c.value.as_str(), c.count)).collect();
        assert_eq!(order, [("refund", 500), ("billing", 250), ("delivery", 250)]);
        for list in [
            &figures.by_category,
            &figures.by_priority,
            &figures.by_sentiment,
            &figures.by_language,
            &figures.by_channel,
            &figures.by_day,
        ] {
            assert!((list.iter().map(|c| c.share).sum::<f64>() - 1.0).abs() < 1e-9, "{list:?}");
            assert_eq!(list.iter().map(|c| c.count).sum::<u64>(), 1000);
        }
    }

    #[test]
    fn days_are_in_order_and_in_utc_and_what_is_no_date_is_unknown() {
        let cases: Vec<CaseRow> = [
            "2026-11-03T00:30:00+08:00",
            "yesterday",
            "2026-11-01T23:59:59Z",
            "",
            "2026-11-10T10:00:00.123Z",
            "2026-02-30T00:00:00Z",
        ]
        .iter()
        .map(|created| case(1, created))
        .collect();
        let days: Vec<_> = of(&cases).by_day.into_iter().map(|c| (c.value, c.count)).collect();
        let expected = [("2026-11-01", 1), ("2026-11-02", 1), ("2026-11-10", 1), ("unknown", 3)];
        assert_eq!(days, expected.map(|(day, count)| (day.to_owned(), count)));
    }

    #[test]
    fn absent_blank_and_oversized_values() {
        let mut blank = case(1, "2026-11-01T00:00:00Z");
        blank.category = Some(" \u{0} ".into());
        blank.priority = None;
        blank.channel = "x".repeat(10_000);
        let figures = of(&[blank]);
        assert_eq!(figures.by_category[0].value, UNKNOWN);
        assert_eq!(figures.by_priority[0].value, UNKNOWN);
        assert_eq!(figures.by_channel[0].value.len(), MAX_VALUE);
    }

    #[test]
    fn nothing_gives_nothing() {
        let figures = of(&[]);
        assert_eq!(figures.total, 0);
        assert!(figures.by_category.is_empty() && figures.by_day.is_empty());
    }
}

//! Tryton's values in JSON: dates with times, records, identifiers.

use factotum_crm_contract::Instant;
use serde::{Deserialize, Serialize};

/// A date with time in UTC, as Tryton writes it: `{"__class__": "datetime", "year": 2026, …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateTime {
    #[serde(rename = "__class__")]
    class: String,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    #[serde(default)]
    microsecond: i64,
}

impl DateTime {
    /// As RFC 3339 with milliseconds, or `None` when it is no real date.
    pub fn rfc3339(&self) -> Option<String> {
        let Self { year, month, day, hour, minute, second, .. } = self;
        let millis = self.microsecond.checked_div(1000)?;
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
        factotum_crm_contract::parse_time("date", &text).ok().map(Instant::rfc3339)
    }

    /// From an instant.
    pub fn from_instant(instant: Instant) -> Option<Self> {
        // The text has one fixed shape: `2026-03-01T01:00:00.000Z`.
        let text = instant.rfc3339();
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
        Some(Self {
            class: "datetime".into(),
            year: number(0, 4)?,
            month: number(5, 7)?,
            day: number(8, 10)?,
            hour: number(11, 13)?,
            minute: number(14, 16)?,
            second: number(17, 19)?,
            microsecond: number(20, 23)?.checked_mul(1000)?,
        })
    }
}

/// A record of which only the identifier is wanted.
#[derive(Debug, Deserialize)]
pub struct Only {
    pub id: i64,
}

/// The record identifier in a contract identifier; Tryton's are positive 32-bit numbers.
pub fn record_id(id: &str) -> Option<i64> {
    let number: i32 = id.parse().ok()?;
    (number > 0 && number.to_string() == id).then_some(i64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_one_way_to_write_an_identifier() {
        assert_eq!(record_id("17"), Some(17));
        for bad in ["", "0", "-1", "+1", "017", "1.0", "1 ", "2147483648", "x", "1/../2"] {
            assert_eq!(record_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_date_that_is_none_is_none() {
        let text = r#"{"__class__": "datetime", "year": 2026, "month": 13, "day": 1, "hour": 0, "minute": 0, "second": 0}"#;
        assert_eq!(serde_json::from_str::<DateTime>(text).unwrap().rfc3339(), None);
    }

    proptest! {
        #[test]
        fn instants_survive(millis in 0_i64..4_000_000_000_000) {
            let instant = Instant::from_millis(millis);
            prop_assert_eq!(DateTime::from_instant(instant).unwrap().rfc3339().unwrap(), instant.rfc3339());
        }
    }
}

//! Instants, in and out of RFC 3339.

use factotum_sdk::Fault;
use jiff::Timestamp;

use crate::text::excerpt;

/// An instant in whole milliseconds since 1970-01-01T00:00:00Z. Written out it always has the same length, so that the
/// order of the texts is the order of the instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i64);

impl Instant {
    /// From milliseconds since 1970, brought into the years that RFC 3339 can write (0000 to 9999).
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(-62_167_219_200_000, 253_402_207_200_000))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// As RFC 3339, in UTC, with milliseconds.
    #[must_use]
    pub fn rfc3339(self) -> String {
        Timestamp::from_millisecond(self.0).map(|t| format!("{t:.3}")).unwrap_or_default()
    }
}

/// The present instant.
#[must_use]
pub fn now() -> Instant {
    Instant::from_millis(Timestamp::now().as_millisecond())
}

/// Reads an RFC 3339 time with its offset, such as `2026-03-01T09:00:00+08:00`.
///
/// # Errors
/// `invalid-input` when it is none.
pub fn parse_time(what: &str, given: &str) -> Result<Instant, Fault> {
    given.trim().parse::<Timestamp>().map(|t| Instant::from_millis(t.as_millisecond())).map_err(|_| {
        Fault::invalid_input(format!("{what} {:?} is no RFC 3339 time", excerpt(given)))
            .with_hint("write it with an offset, such as 2026-03-01T09:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_offsets_and_refuses_the_rest() {
        assert_eq!(
            parse_time("since", "2026-03-01T09:00:00+08:00").unwrap().rfc3339(),
            "2026-03-01T01:00:00.000Z"
        );
        for bad in ["", "yesterday", "2026-03-01", "2026-13-01T00:00:00Z", "2026-03-01T09:00:00"] {
            assert_eq!(parse_time("since", bad).unwrap_err().code, "invalid-input", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_ordered_as_instants(a in 0_i64..4_000_000_000_000, b in 0_i64..4_000_000_000_000) {
            let (a, b) = (Instant::from_millis(a), Instant::from_millis(b));
            prop_assert_eq!(a.cmp(&b), a.rfc3339().cmp(&b.rfc3339()));
            prop_assert_eq!(parse_time("x", &a.rfc3339()).unwrap(), a);
        }

        #[test]
        fn every_instant_can_be_written(millis in any::<i64>()) {
            prop_assert!(!Instant::from_millis(millis).rfc3339().is_empty());
        }
    }
}

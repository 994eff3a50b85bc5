//! Milliseconds since the Unix epoch, as people and other programs read them.

use chrono::{DateTime, SecondsFormat};

/// As RFC 3339 in UTC, with milliseconds. A number that no calendar has becomes the epoch.
pub(crate) fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// For serde: a time in milliseconds is written as RFC 3339.
pub(crate) mod serde_ms {
    use serde::Serializer;

    pub fn serialize<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::rfc3339(*ms))
    }
}

/// The same for a time that may be missing.
pub(crate) mod serde_ms_option {
    use serde::Serializer;

    pub fn serialize<S: Serializer>(ms: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match ms {
            Some(ms) => serializer.serialize_some(&super::rfc3339(*ms)),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_rfc3339() {
        assert_eq!(super::rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(super::rfc3339(u64::MAX), "1970-01-01T00:00:00.000Z");
    }
}

//! Durations as the DSL writes them: an object, an ISO 8601 literal, or an expression that gives one of the two.

use crate::decode::{At, Decoder};
use crate::expr::{Expr, Vars};
use crate::yaml::Kind;
use serde_json::Value;
use std::time::Duration;

/// No duration in a flow is longer than ten years; a longer one is a mistake.
const MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

const UNITS: [(&str, u64); 5] =
    [("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1000), ("milliseconds", 1)];

/// A duration, or the expression that gives it.
#[derive(Debug)]
pub(crate) enum Length {
    Fixed(Duration),
    Computed(Expr),
}

/// Reads an ISO 8601 duration. Years and months have no fixed length and are refused.
pub(crate) fn iso8601(text: &str) -> Result<Duration, String> {
    let fail = || format!("\"{}\" is not an ISO 8601 duration such as PT30S, PT1H30M or P2D", text);
    let rest = text.strip_prefix('P').ok_or_else(fail)?;
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    if date.is_empty() && time.is_none_or(str::is_empty) || time.is_some_and(str::is_empty) {
        return Err(fail());
    }
    if date.contains(['Y', 'M']) {
        return Err(format!(
            "\"{text}\" counts in years or months, which have no fixed length; use weeks or days"
        ));
    }
    let days = parts(date, &[('W', 604_800.0), ('D', 86_400.0)]).ok_or_else(fail)?;
    let seconds = parts(time.unwrap_or(""), &[('H', 3600.0), ('M', 60.0), ('S', 1.0)]).ok_or_else(fail)?;
    bounded(Duration::try_from_secs_f64(days + seconds).map_err(|_| fail())?)
}

/// The sum of `<number><unit>` parts, whose units stand in the given order, each at most once.
fn parts(mut text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut sum = 0.0;
    let mut units = units.iter();
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(end);
        let unit = rest.chars().next()?;
        let (_, size) = units.find(|(u, _)| *u == unit)?;
        if number.is_empty() || number.starts_with('.') || number.ends_with('.') {
            return None;
        }
        sum += number.parse::<f64>().ok()? * size;
        text = rest.get(unit.len_utf8()..)?;
    }
    Some(sum)
}

fn bounded(duration: Duration) -> Result<Duration, String> {
    if duration > MAX { Err("this is longer than ten years".into()) } else { Ok(duration) }
}

/// A duration out of a computed value: an ISO 8601 string or an object of units.
pub fn from_value(value: &Value) -> Result<Duration, String> {
    match value {
        Value::String(text) => iso8601(text),
        Value::Object(map) if !map.is_empty() => {
            let mut sum = 0u64;
            for (key, value) in map {
                let Some((_, size)) = UNITS.iter().find(|(unit, _)| unit == key) else {
                    return Err(format!("\"{key}\" is not a unit of a duration"));
                };
                let Some(n) = value.as_u64() else {
                    return Err(format!("\"{key}\" of a duration must be a whole number, 0 or more"));
                };
                sum = sum.saturating_add(n.saturating_mul(*size));
            }
            bounded(Duration::from_millis(sum))
        }
        _ => Err("a duration must be an ISO 8601 string or an object such as {seconds: 30}".into()),
    }
}

/// A duration for people: `1d 2h 3m 4.5s`.
pub(crate) fn words(duration: Duration) -> String {
    let (mut seconds, mut text) = (duration.as_secs(), String::new());
    for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds >= size {
            text.push_str(&format!("{}{unit} ", seconds / size));
            seconds %= size;
        }
    }
    let rest = Duration::new(seconds, duration.subsec_nanos()).as_secs_f64();
    if rest > 0.0 || text.is_empty() {
        text.push_str(&format!("{rest}s"));
    }
    text.trim_end().to_owned()
}

/// Decodes a duration that must be known when the flow is deployed.
pub(crate) fn fixed(d: &mut Decoder<'_>, at: &At<'_>) -> Option<Duration> {
    let result = match &at.node.kind {
        Kind::Text(text) => iso8601(text),
        Kind::Map(_) => {
            let units = UNITS.map(|(unit, _)| unit);
            d.object(at.clone(), &units)?;
            from_value(&at.node.to_json())
        }
        _ => {
            Err("expected a duration: an object such as {seconds: 30} or an ISO 8601 string such as PT30S"
                .into())
        }
    };
    match result {
        Ok(duration) => Some(duration),
        Err(message) => {
            d.error(at, message);
            None
        }
    }
}

/// Decodes a duration that may be an expression.
pub(crate) fn length(d: &mut Decoder<'_>, at: &At<'_>, vars: &Vars) -> Option<Length> {
    if let Kind::Text(text) = &at.node.kind
        && crate::expr::is_expression(text)
    {
        return crate::expr::decode(d, at, vars).map(Length::Computed);
    }
    fixed(d, at).map(Length::Fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn iso8601_literals() {
        assert_eq!(iso8601("PT1H30M"), Ok(Duration::from_secs(5400)));
        assert_eq!(iso8601("P1W2DT0.5S"), Ok(Duration::from_millis((9 * 86_400) * 1000 + 500)));
        for bad in [
            "",
            "P",
            "PT",
            "1H",
            "PT1",
            "PTS",
            "PT1S1H",
            "PT.5S",
            "P1DT",
            "PT-1S",
            "P1Y",
            "P1M",
            "P99999999W",
        ] {
            assert!(iso8601(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_told_in_words() {
        let told = |ms| words(Duration::from_millis(ms));
        assert_eq!(
            [told(0), told(1500), told(90_061_000), told(120_000)],
            ["0s", "1.5s", "1d 1h 1m 1s", "2m"]
        );
    }

    #[test]
    fn objects_of_units() {
        assert_eq!(from_value(&json!({"minutes": 1, "milliseconds": 5})), Ok(Duration::from_millis(60_005)));
        for bad in [json!({}), json!({"weeks": 1}), json!({"days": -1}), json!({"days": 1e9}), json!(5)] {
            assert!(from_value(&bad).is_err(), "{bad}");
        }
    }
}

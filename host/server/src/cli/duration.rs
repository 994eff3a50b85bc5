//! Lengths of time as people write them: `90s`, `15m`, `24h`, `30d`.

use std::time::Duration;

/// Reads a whole number with its unit: `s`, `m`, `h` or `d`.
///
/// # Errors
/// What is wrong with it, with an example.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time; write it like 90s, 15m, 24h or 30d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    // `parse` alone would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "s", "24", "-1h", "+1h", "1.5h", "1 h", "1w", "１h", "h时", "99999999999999999999d"]
        {
            assert!(parse(bad).unwrap_err().contains("24h"), "{bad}");
        }
    }
}

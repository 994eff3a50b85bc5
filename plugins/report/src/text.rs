//! Makes text that others wrote fit to stand in a document.

/// `text` as one line of at most `max` UTF-16 code units, the unit in which Excel counts a cell's 32,767; what HTML shows is
/// shorter anyway. Line breaks and tabs become spaces; control characters and what XML 1.0 forbids (section 2.2) go.
pub fn one_line(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    let mut left = max;
    for c in text.trim().chars() {
        let c = match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' | '\u{85}' => ' ',
            '\u{fffe}' | '\u{ffff}' => continue,
            c if c.is_control() => continue,
            c => c,
        };
        let Some(rest) = left.checked_sub(c.len_utf16()) else { break };
        left = rest;
        out.push(c);
    }
    out
}

/// The same, with an ellipsis in place of what does not fit.
pub fn shortened(text: &str, max: usize) -> String {
    let line = one_line(text, max.saturating_add(1));
    if line.encode_utf16().count() <= max {
        return line;
    }
    let mut short = one_line(&line, max.saturating_sub(1));
    short.push('…');
    short
}

/// A number with its thousands set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len().saturating_mul(2));
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share, 0 to 1, as a percentage with one decimal.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_without_controls() {
        assert_eq!(one_line(" a\r\nb\u{0}\u{7}\u{1b}[31m\tc\u{ffff} ", 100), "a  b[31m c");
    }

    #[test]
    fn length_is_counted_in_utf16_and_never_splits_a_character() {
        assert_eq!(one_line("订单😀😀", 5), "订单😀");
        assert_eq!(one_line(&"长".repeat(40_000), 32_767).chars().count(), 32_767);
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abcd", 4), "abcd");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(100_000), "100,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(percent(0.1236), "12.4%");
    }
}

//! When two telephone numbers are the same: when their digits are.

/// The digits by which telephone numbers are compared: of `+44 (0)20 7946-0018`, `004420 79460018` and `+442079460018`
/// alike `442079460018`. Full-width digits, as Chinese keyboards type them, count as digits. Empty when there is none.
///
/// Without knowing the country, `020 7946 0018` cannot be the same number; it is compared as written.
#[must_use]
pub fn phone_digits(given: &str) -> String {
    let international = {
        let start = given.trim_start();
        start.starts_with(['+', '\u{FF0B}']) || start.starts_with("00")
    };
    // "(0)" after a country code is the trunk prefix that callers from abroad leave out (ITU-T E.123, section 2.3).
    let without_trunk = if international { given.replacen("(0)", "", 1) } else { given.to_owned() };
    let digits: String = without_trunk
        .chars()
        .filter_map(|c| match c {
            '0'..='9' => Some(c),
            '\u{FF10}'..='\u{FF19}' => char::from_digit(u32::from(c).wrapping_sub(0xFF10), 10),
            _ => None,
        })
        .collect();
    match digits.strip_prefix("00") {
        Some(rest) if international => rest.to_owned(),
        _ => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ways_to_write_one_number() {
        for same in [
            "+44 20 7946 0018",
            "004420 7946-0018",
            "+44 (0)20 7946 0018",
            " +44.20.7946.0018",
            "\u{FF0B}\u{FF14}\u{FF14} 20 7946 0018",
            "+44 20 7946 0018",
            "442079460018",
        ] {
            assert_eq!(phone_digits(same), "442079460018", "{same}");
        }
        assert_eq!(phone_digits("(0)20 7946 0018"), "02079460018");
        assert_eq!(phone_digits("138 0013 8000"), "13800138000");
        assert_eq!(phone_digits("call me"), "");
    }

    proptest! {
        #[test]
        fn only_digits_come_out(given in any::<String>()) {
            prop_assert!(phone_digits(&given).bytes().all(|b| b.is_ascii_digit()));
        }

        #[test]
        fn separators_do_not_matter(number in "[1-9][0-9]{6,13}", separator in "[ .-]") {
            let spaced: Vec<String> = number.chars().map(String::from).collect();
            let spaced = spaced.join(&separator);
            prop_assert_eq!(phone_digits(&format!("+{spaced}")), number.clone());
            prop_assert_eq!(phone_digits(&format!("00{number}")), number);
        }
    }
}

//! The rules for single texts: mail addresses, language tags, one line, many lines.

use factotum_sdk::Fault;

/// The longest mail address, in bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;

/// A mail address in lower case, or `None` when nothing was given. Internationalised addresses (RFC 6531) are addresses.
///
/// # Errors
/// `invalid-input` when it cannot be an address.
pub fn email(given: &str) -> Result<Option<String>, Fault> {
    let given = given.trim();
    if given.is_empty() {
        return Ok(None);
    }
    let bad = |why: &str| Fault::invalid_input(format!("email {:?}: {why}", excerpt(given)));
    if given.len() > MAX_EMAIL_BYTES {
        return Err(bad("longer than 254 bytes"));
    }
    let (local, domain) = given.rsplit_once('@').ok_or_else(|| bad("has no @"))?;
    if local.is_empty() || local.len() > MAX_LOCAL_BYTES || local.contains('@') {
        return Err(bad("the part before the @ is empty, too long, or has an @ itself"));
    }
    if given.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c)) {
        return Err(bad("holds a character that does not belong into an address"));
    }
    let labels_good = domain.split('.').all(|label| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    });
    if !labels_good || !domain.contains('.') {
        return Err(bad("the part after the @ is no domain name"));
    }
    Ok(Some(given.to_lowercase()))
}

/// A language tag as given (BCP 47), or `None` when nothing or `und` (undetermined) was given.
///
/// # Errors
/// `invalid-input` when it does not have the shape of a tag.
pub fn language(given: &str) -> Result<Option<String>, Fault> {
    let given = given.trim();
    if given.is_empty() || given.eq_ignore_ascii_case("und") {
        return Ok(None);
    }
    let mut subtags = given.split('-');
    let primary = subtags.next().unwrap_or_default();
    let good = given.len() <= 35
        && (2..=8).contains(&primary.len())
        && primary.chars().all(|c| c.is_ascii_alphabetic())
        && subtags.all(|s| (1..=8).contains(&s.len()) && s.chars().all(|c| c.is_ascii_alphanumeric()));
    if good {
        Ok(Some(given.to_owned()))
    } else {
        Err(Fault::invalid_input(format!(
            "language {:?} is no language tag such as en or zh-CN",
            excerpt(given)
        )))
    }
}

/// A text made one line: line breaks and other control characters become spaces, runs of spaces become one. Mail subjects
/// arrive folded (RFC 5322, section 2.2.3), so this mends rather than refuses.
///
/// # Errors
/// `invalid-input` when it is longer than `max` characters.
pub fn one_line(what: &str, given: &str, max: usize) -> Result<String, Fault> {
    // A character has at most four bytes, so a longer text need not be counted, nor mended.
    let too_long = || Fault::invalid_input(format!("{what}: longer than {max} characters"));
    if given.len() > max.saturating_mul(8) {
        return Err(too_long());
    }
    let mut line = String::with_capacity(given.len());
    for word in given.split(|c: char| c.is_whitespace() || is_unwanted(c)).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.chars().count() > max { Err(too_long()) } else { Ok(line) }
}

/// A text of many lines: control characters other than tabs and line breaks are taken out (no database keeps a NUL).
///
/// # Errors
/// `invalid-input` when it is longer than `max` bytes.
pub fn text(what: &str, given: &str, max: usize) -> Result<String, Fault> {
    if given.len() > max {
        let hint = "cut it, or store it as an artifact and name that";
        return Err(
            Fault::invalid_input(format!("{what}: {} bytes; at most {max}", given.len())).with_hint(hint)
        );
    }
    Ok(given.chars().filter(|c| !is_unwanted(*c) || matches!(c, '\n' | '\r' | '\t')).collect())
}

/// Control characters, and the marks that turn the reading direction, with which one text can pose as another.
fn is_unwanted(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// So much of a hostile text as a message may hold.
pub(crate) fn excerpt(given: &str) -> String {
    let mut short: String = given.chars().take(60).collect();
    if short.len() < given.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        assert_eq!(email(" Jane.Doe+Shop@Example.COM ").unwrap().unwrap(), "jane.doe+shop@example.com");
        assert_eq!(email("用户@例子.中国").unwrap().unwrap(), "用户@例子.中国");
        assert_eq!(email("  ").unwrap(), None);
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "jane",
            "@example.com",
            "jane@",
            "jane@localhost",
            "a@b@c.com",
            "a b@c.com",
            "a@c..com",
            "a@-c.com",
            "a@c.com\r\nBcc: x@y.z",
            "<a@c.com>",
            "a\0@c.com",
            &long,
        ] {
            assert_eq!(email(bad).unwrap_err().code, "invalid-input", "{bad:?}");
        }
    }

    #[test]
    fn tags() {
        assert_eq!(language("zh-Hans-CN").unwrap().unwrap(), "zh-Hans-CN");
        assert_eq!(language("und").unwrap(), None);
        for bad in ["e", "english language", "en_GB", "en-", "12", "en-\0"] {
            assert!(language(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn subjects_are_unfolded_and_bounded() {
        assert_eq!(one_line("subject", " Re:\r\n  my\torder \u{202E}x", 500).unwrap(), "Re: my order x");
        assert!(one_line("subject", &"退".repeat(500), 500).is_ok());
        assert!(one_line("subject", &"退".repeat(501), 500).is_err());
        assert!(one_line("subject", &" ".repeat(1 << 20), 500).is_err());
    }

    proptest! {
        #[test]
        fn a_checked_text_stays_as_it_is(given in any::<String>()) {
            let line = one_line("x", &given, 10_000).unwrap();
            prop_assert_eq!(&one_line("x", &line, 10_000).unwrap(), &line);
            let many = text("x", &given, 1 << 20).unwrap();
            prop_assert_eq!(&text("x", &many, 1 << 20).unwrap(), &many);
        }

        #[test]
        fn a_checked_address_stays_as_it_is(given in "[a-zA-Z0-9._%+-]{1,20}@[a-z0-9-]{1,10}\\.(com|中国)") {
            if let Ok(Some(address)) = email(&given) {
                prop_assert_eq!(email(&address).unwrap(), Some(address.clone()));
                prop_assert!(!address.contains(char::is_whitespace));
            }
        }

        #[test]
        fn hostile_addresses_never_panic(given in any::<String>()) {
            let _ = email(&given);
            let _ = language(&given);
        }
    }
}

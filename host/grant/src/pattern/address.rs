//! Which mail addresses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{PatternError, refuse, text_serde};

/// Which mail addresses: `desk@example.com`, `*@example.com`, or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressPattern {
    text: String,
}
text_serde!(AddressPattern);

impl AddressPattern {
    /// Whether `address` (`local@domain`) matches. Compared without regard to ASCII case. What could be more than one
    /// address, or a route (`a%other.test@example.com`, `other.test!a@example.com`), matches no star.
    #[must_use]
    pub fn matches(&self, address: &str) -> bool {
        let Some((local, domain)) = address.rsplit_once('@') else { return false };
        if local.is_empty() || domain.is_empty() {
            return false;
        }
        match self.text.rsplit_once('@') {
            None => is_one_address(address),
            Some(("*", wanted)) => {
                domain.eq_ignore_ascii_case(wanted) && is_one_address(address) && !local.contains(['%', '!'])
            }
            Some((wanted_local, wanted)) => {
                domain.eq_ignore_ascii_case(wanted) && local.eq_ignore_ascii_case(wanted_local)
            }
        }
    }

    /// Whether every address that `other` matches is matched by this.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match other.text.rsplit_once('@') {
            None => self == other,
            Some(("*", _)) => self.text == "*" || self == other,
            Some(_) => self.matches(&other.text),
        }
    }

    /// The addresses that both match: two patterns contain one another or have nothing in common.
    pub(crate) fn common(&self, other: &Self) -> Option<Self> {
        if self.contains(other) {
            Some(other.clone())
        } else if other.contains(self) {
            Some(self.clone())
        } else {
            None
        }
    }
}

/// Whether `text` can only be read as a single address: no list, no comment, no quoted part, no second `@`.
fn is_one_address(text: &str) -> bool {
    text.matches('@').count() == 1
        && !text.contains(|c: char| {
            c.is_control()
                || c.is_whitespace()
                || matches!(c, ',' | ';' | ':' | '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\\')
        })
}

impl FromStr for AddressPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |problem| refuse("address", text, problem);
        if text == "*" {
            return Ok(Self { text: text.into() });
        }
        let Some((local, domain)) = text.rsplit_once('@') else {
            return Err(error("is desk@example.com, *@example.com, or * for any"));
        };
        if domain.is_empty()
            || domain.contains('*')
            || local.is_empty()
            || (local != "*" && local.contains('*'))
        {
            return Err(error("a star stands for the whole local part, as in *@example.com"));
        }
        if text.len() > 320 || !is_one_address(text) {
            return Err(error("is more than one plain address; leave names, quotes and lists out"));
        }
        Ok(Self { text: text.to_ascii_lowercase() })
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> AddressPattern {
        text.parse().unwrap()
    }

    #[test]
    fn addresses() {
        let any = pattern("*");
        assert!(any.matches("a@b.c") && !any.matches("nobody") && !any.matches("@b.c"));
        let domain = pattern("*@Example.com");
        assert!(domain.matches("a@EXAMPLE.com") && !domain.matches("a@sub.example.com"));
        assert!(!domain.matches("a@example.com@evil.test"));
    }

    #[test]
    fn what_may_be_more_than_one_address_matches_no_star() {
        for trick in [
            "eve@evil.test,a@example.com",
            "eve@evil.test\r\nBcc: a@example.com",
            "eve@evil.test <a@example.com",
            "\"eve@evil.test\"@example.com",
            "eve%evil.test@example.com",
            "evil.test!eve@example.com",
            "eve@evil.test@example.com",
            "@evil.test:a@example.com",
            "a b@example.com",
        ] {
            assert!(!pattern("*@example.com").matches(trick), "{trick}");
        }
        for bad in ["", "desk", "@x", "*@*", "a*@x", "a@x,b@x", "<a@x>"] {
            assert!(bad.parse::<AddressPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn containment() {
        for (wide, narrow, yes) in [
            ("*", "*@x.test", true),
            ("*", "*", true),
            ("*@x.test", "A@X.test", true),
            ("*@x.test", "*", false),
            ("*@x.test", "a%y@x.test", false),
            ("a@x.test", "*@x.test", false),
        ] {
            assert_eq!(pattern(wide).contains(&pattern(narrow)), yes, "{wide} {narrow}");
        }
    }
}

//! Which hosts: names, names below a name, and addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{PatternError, refuse, text_serde};

/// Which hosts: `api.example.com`, `*.example.com` (one or more labels below, never `example.com` itself), an IP
/// address as text (`127.0.0.1`, `::1`). There is no pattern for "any host".
///
/// Upper case, one trailing dot, the brackets of an IPv6 address and its long spellings are made normal when the pattern
/// is read; what could be an address in disguise (`127.1`, `0x7f.0.0.1`, `*.0.0.1`) is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    below: bool,
    name: String,
    address: Option<IpAddr>,
}
text_serde!(HostPattern);

/// The longest host name, in bytes (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;
/// The longest label of one, in bytes.
const MAX_LABEL: usize = 63;

impl HostPattern {
    /// Whether `host` (no port) matches. Compared without regard to ASCII case, to one trailing dot and to the brackets of
    /// an IPv6 address. What is no host name or address matches nothing. Allocates nothing.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        if let Some(address) = self.address {
            return parse_address(host) == Some(address);
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if !self.below {
            return host.eq_ignore_ascii_case(&self.name);
        }
        host.len()
            .checked_sub(self.name.len())
            .and_then(|cut| host.split_at_checked(cut))
            .filter(|(_, name)| name.eq_ignore_ascii_case(&self.name))
            .and_then(|(rest, _)| rest.strip_suffix('.'))
            .is_some_and(is_name)
    }

    /// Whether it is a pattern with a star, which may match hosts that nobody thought of.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.below
    }

    /// Whether every host that `other` matches is matched by this.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        if !other.below {
            return match other.address {
                Some(_) => self == other,
                None => self.matches(&other.name),
            };
        }
        self.below
            && other
                .name
                .strip_suffix(self.name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The hosts that both match: two patterns contain one another or have nothing in common.
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

/// An address as text; IPv6 with or without brackets, IPv4 with or without a trailing dot.
fn parse_address(host: &str) -> Option<IpAddr> {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    host.strip_suffix('.').unwrap_or(host).parse().ok()
}

/// Whether `text` is one or more labels of letters, digits, hyphens and underscores.
fn is_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.split('.').all(|label| !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(good))
}

/// Whether a URL parser would take the name for an IPv4 address ("ends in a number", WHATWG URL, section 3.5).
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || last.bytes().all(|b| b.is_ascii_digit())
}

impl FromStr for HostPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |problem| refuse("host", text, problem);
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if rest.is_empty() || rest == "." {
            return Err(error("is empty; name a host such as api.example.com"));
        }
        if rest.contains('@') {
            return Err(error("holds a user; name the host alone, and inject a secret instead"));
        }
        if let Some(address) = parse_address(rest) {
            return if below {
                Err(error("an address has nothing below it"))
            } else {
                Ok(Self { below, name: address.to_string(), address: Some(address) })
            };
        }
        let name = rest.strip_suffix('.').unwrap_or(rest).to_ascii_lowercase();
        if name.contains('*') {
            return Err(error("a star stands only in front, as in *.example.com"));
        }
        if name.len() > MAX_NAME || !is_name(&name) {
            return Err(error("is no host name; leave scheme, port and path out, and write IDN as xn--…"));
        }
        if ends_in_number(&name) {
            return Err(error("reads like an address; write one in full, as in 127.0.0.1, without a star"));
        }
        if below && !name.contains('.') {
            return Err(error("would match a whole top-level domain"));
        }
        Ok(Self { below, name, address: None })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below { write!(f, "*.{}", self.name) } else { f.write_str(&self.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(pattern: &str, host: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(host)
    }

    #[test]
    fn hosts() {
        assert!(host("api.example.com", "API.example.com."));
        assert!(!host("api.example.com", "api.example.com.evil.test"));
        assert!(host("*.example.com", "a.b.example.com"));
        assert!(!host("*.example.com", "example.com"));
        assert!(!host("*.example.com", "evilexample.com"));
        assert!(!host("*.example.com", ".example.com"));
        assert!(host("::1", "[::1]"));
    }

    #[test]
    fn what_is_no_pattern() {
        for bad in [
            "",
            ".",
            "*",
            "*.",
            "*.com",
            "a.*.com",
            "http://a.com",
            "a.com:80",
            "a.com/x",
            "a.com#",
            "user@a.com",
            "@a.com",
            "*.user@a.com",
            "bücher.de",
            "a..com",
            "a.com..",
            "-a b.com",
            // Addresses in disguise.
            "*.127.0.0.1",
            "*.0.0.1",
            "*.1",
            "*.0x7f",
            "*.::1",
            "*.[::1]",
            "127.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "1.2.3.4.5",
            "256.1.1.1",
            "a.0x",
            "fe80::1%eth0",
            "[127.0.0.1]",
            "[::1",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
        assert!(format!("{}.com", "a".repeat(64)).parse::<HostPattern>().is_err());
    }

    #[test]
    fn spellings_become_one() {
        for (text, normal) in [
            ("API.Example.COM.", "api.example.com"),
            ("*.Example.com.", "*.example.com"),
            ("[0:0:0:0:0:0:0:1]", "::1"),
            ("2001:DB8:0::00ff", "2001:db8::ff"),
            ("127.0.0.1.", "127.0.0.1"),
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), normal);
        }
        for spelling in ["::1", "[::1]", "0:0::0:1", "[0000:0000::0001]"] {
            assert!(host("0::1", spelling), "{spelling}");
        }
        // An IPv4 address inside of an IPv6 one is another address.
        assert!(!host("127.0.0.1", "::ffff:127.0.0.1"));
    }

    #[test]
    fn tricks_match_no_star() {
        for trick in [
            "user@x.example.com",
            "evil.test/.example.com",
            "evil.test#.example.com",
            "evil.test:80.example.com",
            "evil.test\0.example.com",
            "evil.test\\.example.com",
            "a..example.com",
            "x.example.com..",
            "客.example.com",
            "[x.example.com]",
            "x .example.com",
        ] {
            assert!(!host("*.example.com", trick), "{trick}");
        }
    }

    #[test]
    fn containment() {
        let pattern = |text: &str| text.parse::<HostPattern>().unwrap();
        for (wide, narrow, yes) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "*.a.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "*.notexample.com", false),
            ("*.a.example.com", "*.example.com", false),
            ("a.example.com", "*.a.example.com", false),
            ("::1", "0:0::1", true),
            ("127.0.0.1", "127.0.0.2", false),
        ] {
            assert_eq!(pattern(wide).contains(&pattern(narrow)), yes, "{wide} {narrow}");
        }
    }
}

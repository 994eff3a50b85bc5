//! The patterns that grants are written in: hosts, paths and mail addresses.
//!
//! All three are narrow on purpose: no regular expressions, so that whether one pattern contains another stays
//! decidable, and a reader sees at a glance what is allowed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} pattern {pattern:?}: {problem}")]
pub struct PatternError {
    what: &'static str,
    pattern: String,
    problem: &'static str,
}

macro_rules! text_serde {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = PatternError;
            fn try_from(text: String) -> Result<Self, PatternError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(pattern: $name) -> String {
                pattern.to_string()
            }
        }
    };
}

/// Which hosts: `api.example.com`, `*.example.com` (one or more labels below, never `example.com` itself), an IP
/// address as text (`127.0.0.1`, `::1`). There is no pattern for "any host".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    below: bool,
    name: String,
}
text_serde!(HostPattern);

impl HostPattern {
    /// Whether `host` (no port, no brackets) matches. Compared without regard to ASCII case and to one trailing dot.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = normal_host(host);
        if !self.below {
            return host == self.name;
        }
        host.strip_suffix(&self.name)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|below| !below.is_empty() && !below.starts_with('.') && !below.contains(".."))
    }
}

/// The form in which hosts are compared: ASCII lower case, without the root dot and without IPv6 brackets.
fn normal_host(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl FromStr for HostPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |problem| PatternError { what: "host", pattern: text.into(), problem };
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let name = normal_host(rest);
        if name.is_empty() {
            return Err(error("is empty; name a host such as api.example.com"));
        }
        if name.contains('*') {
            return Err(error("a star stands only in front, as in *.example.com"));
        }
        if name.parse::<std::net::IpAddr>().is_ok() {
            return if below {
                Err(error("an address has nothing below it"))
            } else {
                Ok(Self { below, name })
            };
        }
        if name.contains(['/', '@', ':', '?', '#', '%', ' ']) || !name.is_ascii() {
            return Err(error("is no host name; leave scheme, port and path out, and write IDN as xn--…"));
        }
        if below && !name.contains('.') {
            return Err(error("would match a whole top-level domain"));
        }
        Ok(Self { below, name })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below { write!(f, "*.{}", self.name) } else { f.write_str(&self.name) }
    }
}

/// Which paths: `/contacts`, `/contacts/*` (one segment), `/files/**` (any rest, also none). Compared segment by segment,
/// after the caller made the path normal; a path that is not normal matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
}
text_serde!(PathPattern);

impl PathPattern {
    /// Whether `path` (no query) matches. A path with `.`/`..` segments, empty segments, a backslash, a semicolon, or an
    /// encoded slash, backslash, dot or NUL matches nothing: servers disagree on what those mean.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        if !is_plain_path(path) {
            return false;
        }
        let mut wanted = self.text.split('/').skip(1);
        let mut given = path.split('/').skip(1);
        loop {
            match (wanted.next(), given.next()) {
                (Some("**"), _) => return true,
                (Some("*"), Some(segment)) if !segment.is_empty() => {}
                (Some(wanted), Some(segment)) if wanted == segment => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

/// Whether every server reads this path the same way.
fn is_plain_path(path: &str) -> bool {
    if !path.starts_with('/') || path.contains(['\\', ';', '\0', '?', '#']) || path.contains("//") {
        return false;
    }
    let lower = path.to_ascii_lowercase();
    if ["%2f", "%5c", "%2e", "%00", "%3b", "%25"].iter().any(|bad| lower.contains(bad)) {
        return false;
    }
    path.split('/').all(|segment| segment != "." && segment != "..")
}

impl FromStr for PathPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |problem| PatternError { what: "path", pattern: text.into(), problem };
        if !text.starts_with('/') {
            return Err(error("starts with a slash, as in /contacts/*"));
        }
        let mut segments = text.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            if segment == "**" && segments.peek().is_some() {
                return Err(error("** stands only at the end"));
            }
            if segment.contains('*') && segment != "*" && segment != "**" {
                return Err(error("a star stands for a whole segment"));
            }
        }
        if !is_plain_path(text) {
            return Err(error("holds a part that servers read in different ways (.., //, ;, %2f, …)"));
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which mail addresses: `desk@example.com`, `*@example.com`, or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressPattern {
    text: String,
}
text_serde!(AddressPattern);

impl AddressPattern {
    /// Whether `address` (`local@domain`) matches. Compared without regard to ASCII case.
    #[must_use]
    pub fn matches(&self, address: &str) -> bool {
        let Some((local, domain)) = address.rsplit_once('@') else { return false };
        if local.is_empty() || domain.is_empty() {
            return false;
        }
        match self.text.rsplit_once('@') {
            None => true,
            Some(("*", wanted)) => domain.eq_ignore_ascii_case(wanted),
            Some((wanted_local, wanted)) => {
                domain.eq_ignore_ascii_case(wanted) && local.eq_ignore_ascii_case(wanted_local)
            }
        }
    }
}

impl FromStr for AddressPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |problem| PatternError { what: "address", pattern: text.into(), problem };
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

    fn host(pattern: &str, host: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(host)
    }

    fn path(pattern: &str, path: &str) -> bool {
        pattern.parse::<PathPattern>().unwrap().matches(path)
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
        for bad in [
            "",
            "*",
            "*.com",
            "a.*.com",
            "http://a.com",
            "a.com:80",
            "user@a.com",
            "*.127.0.0.1",
            "bücher.de",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths() {
        assert!(path("/contacts", "/contacts"));
        assert!(!path("/contacts", "/contacts/"));
        assert!(path("/contacts/*", "/contacts/7"));
        assert!(!path("/contacts/*", "/contacts/7/notes"));
        assert!(!path("/contacts/*", "/contacts/"));
        assert!(path("/files/**", "/files/a/b"));
        assert!(path("/files/**", "/files"));
        assert!(path("/**", "/"));
        for trick in [
            "/files/../admin",
            "/files/%2e%2e/admin",
            "/files/a%2Fb",
            "/files//a",
            "/files/;/a",
            "/files/\\a",
            "/files/%252e",
        ] {
            assert!(!path("/**", trick), "{trick}");
        }
        for bad in ["files", "/**/a", "/a*", "/a/../b"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        let any: AddressPattern = "*".parse().unwrap();
        assert!(any.matches("a@b.c") && !any.matches("nobody") && !any.matches("@b.c"));
        let domain: AddressPattern = "*@Example.com".parse().unwrap();
        assert!(domain.matches("a@EXAMPLE.com") && !domain.matches("a@sub.example.com"));
        assert!(!domain.matches("a@example.com@evil.test"));
    }
}

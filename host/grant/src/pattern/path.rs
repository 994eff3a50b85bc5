//! Which paths of a URL, and which paths every server reads the same way.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{PatternError, refuse, text_serde};

/// Which paths: `/contacts`, `/contacts/*` (one segment), `/files/**` (any rest, also none). Compared segment by segment,
/// after the caller made the path normal; a path that is not normal matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
    /// How many bytes stand before the slash of the first segment with a star; all, when there is none.
    fixed: usize,
}
text_serde!(PathPattern);

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 2048;

impl PathPattern {
    fn of(text: String) -> Self {
        let fixed = text.find("/*").unwrap_or(text.len());
        Self { text, fixed }
    }

    /// Whether `path` (no query) matches, byte for byte, so that `/Contacts` is not `/contacts`. A path that servers read
    /// in different ways matches nothing: one with `.` or `..` segments, empty segments, a backslash, a semicolon, a
    /// broken escape, or an encoded slash, backslash, dot, percent sign or control character. Allocates nothing.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        is_plain_path(path) && self.matches_plain(path)
    }

    /// [`Self::matches`], for a path of which [`is_plain_path`] said yes.
    pub(crate) fn matches_plain(&self, path: &str) -> bool {
        let Some((fixed, wanted)) = self.text.split_at_checked(self.fixed) else { return false };
        let Some(given) = path.strip_prefix(fixed) else { return false };
        if wanted.is_empty() || !(given.is_empty() || given.starts_with('/')) {
            return wanted == given;
        }
        let mut wanted = wanted.split('/').skip(1);
        let mut given = given.split('/').skip(1);
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

    /// Whether every path that `other` matches is matched by this.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        // What stands before the first star stands in the other as well. Most pairs end here: lists are compared each with
        // each, and a manifest's may be long.
        if self.text.get(..self.fixed).is_none_or(|fixed| !other.text.starts_with(fixed)) {
            return false;
        }
        let mut wide = self.text.split('/').skip(1);
        let mut narrow = other.text.split('/').skip(1);
        loop {
            match (wide.next(), narrow.next()) {
                (Some("**"), _) => return true,
                (_, Some("**")) => return false,
                (Some("*"), Some(segment)) if !segment.is_empty() => {}
                (Some(wanted), Some(segment)) if wanted == segment => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    /// The paths that both match, which is one pattern, or none.
    pub(crate) fn common(&self, other: &Self) -> Option<Self> {
        let mut one = self.text.split('/').skip(1);
        let mut two = other.text.split('/').skip(1);
        let mut text = String::new();
        let mut push = |segment: &str| {
            text.push('/');
            text.push_str(segment);
        };
        loop {
            let (mine, its) = (one.next(), two.next());
            match (mine, its) {
                (Some("**"), rest) => {
                    rest.into_iter().chain(two).for_each(push);
                    break;
                }
                (rest, Some("**")) => {
                    rest.into_iter().chain(one).for_each(push);
                    break;
                }
                (Some("*"), Some(segment)) | (Some(segment), Some("*")) if !segment.is_empty() => {
                    push(segment)
                }
                (Some(mine), Some(its)) if mine == its => push(mine),
                (None, None) => break,
                _ => return None,
            }
        }
        Some(Self::of(text))
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether every server reads this path the same way.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return false;
    }
    let mut rest = bytes.iter();
    // Since the last slash: is there anything, and anything but dots and spaces? Some servers drop those at the end of a
    // segment, so that `..%20` is `..` to them.
    let (mut empty, mut only_dots) = (false, true);
    let mut first = true;
    while let Some(&byte) = rest.next() {
        match byte {
            b'/' => {
                if !first && (empty || only_dots) {
                    return false;
                }
                (empty, only_dots, first) = (true, true, false);
            }
            0..=b' ' | 0x7f.. | b'\\' | b';' | b'?' | b'#' => return false,
            b'%' => {
                let (Some(high), Some(low)) = (hex(rest.next()), hex(rest.next())) else { return false };
                let value = high << 4 | low;
                // Control characters; what a second reading would split or decode; bytes that are in no UTF-8 text, such
                // as the overlong forms of a dot or a slash.
                if matches!(
                    value,
                    0..=0x1f | 0x7f | b'/' | b'\\' | b'.' | b';' | b'%' | 0xc0 | 0xc1 | 0xf5..
                ) {
                    return false;
                }
                // The full-width dot, slash and backslash (U+FF0E, U+FF0F, U+FF3C), which some systems fold to ASCII.
                let ahead = rest.as_slice().get(..6).unwrap_or_default();
                if value == 0xef
                    && [b"%bc%8e", b"%bc%8f", b"%bc%bc"].iter().any(|fold| ahead.eq_ignore_ascii_case(*fold))
                {
                    return false;
                }
                empty = false;
                only_dots &= value == b' ';
            }
            _ => {
                empty = false;
                only_dots &= byte == b'.';
            }
        }
    }
    empty || !only_dots
}

impl FromStr for PathPattern {
    type Err = PatternError;
    fn from_str(given: &str) -> Result<Self, PatternError> {
        let error = |problem| refuse("path", given, problem);
        if !given.starts_with('/') {
            return Err(error("starts with a slash, as in /contacts/*"));
        }
        // As it is sent: letters beyond ASCII are percent-encoded UTF-8 (RFC 3987, section 3.1).
        let mut text = String::with_capacity(given.len());
        for c in given.chars() {
            if c.is_ascii() {
                text.push(c);
            } else {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    text.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        if text.len() > MAX_PATTERN {
            return Err(error("is too long"));
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
        if !is_plain_path(&text) {
            return Err(error("holds a part that servers read in different ways (.., //, ;, %2f, …)"));
        }
        Ok(Self::of(text))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    fn path(text: &str, path: &str) -> bool {
        pattern(text).matches(path)
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
        assert!(path("/files/**", "/files/"));
        assert!(path("/**", "/"));
        assert!(path("/**", "/a.b/c..d/%E5%AE%A2/x%20y"));
        for bad in ["files", "", "/**/a", "/a*", "/a/../b", "/a b", "/a\nb", "/a?b"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tricks_match_nothing() {
        for trick in [
            "/files/../admin",
            "/files/./admin",
            "/..",
            "/.",
            "/files/%2e%2e/admin",
            "/files/%2E%2e/admin",
            "/files/.%2e/admin",
            "/files/a%2Fb",
            "/files/a%2fb",
            "/files/a%5cb",
            "/files//a",
            "//files",
            "/files//",
            "/files/;/a",
            "/files/..;/a",
            "/files/%3b/a",
            "/files/\\a",
            "/files/%252e",
            "/files/%",
            "/files/%2",
            "/files/%zz",
            "/files/%u002e",
            "/files/a%00",
            "/files/a%0d%0aX: 1",
            "/files/%c0%ae%c0%ae/admin",
            "/files/%c0%af",
            "/files/%ef%bc%8e%EF%BC%8E/a",
            "/files/%ef%bc%8fa",
            "/files/..%20/admin",
            "/files/.../admin",
            "/files/%20/admin",
            "/files/a b",
            "/files/a\tb",
            "/files/a?b",
            "/files/a#b",
            "/files/客",
            "",
            "files",
        ] {
            assert!(!path("/**", trick), "{trick}");
        }
        for case in ["/CONTACTS", "/Contacts", "/%63ontacts"] {
            assert!(!path("/contacts", case), "{case}");
        }
    }

    #[test]
    fn letters_beyond_ascii_are_written_as_they_are_sent() {
        assert_eq!(pattern("/客户/*").to_string(), "/%E5%AE%A2%E6%88%B7/*");
        assert!(path("/客户/*", "/%E5%AE%A2%E6%88%B7/7"));
    }

    #[test]
    fn containment_and_what_is_common() {
        for (wide, narrow, yes) in [
            ("/a/**", "/a", true),
            ("/a/**", "/a/*", true),
            ("/a/**", "/a/b/**", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/**", false),
            ("/a/*", "/a/", false),
            ("/a/b", "/a/*", false),
            ("/a", "/a/**", false),
            ("/**", "/", true),
        ] {
            assert_eq!(pattern(wide).contains(&pattern(narrow)), yes, "{wide} {narrow}");
        }
        for (one, two, common) in [
            ("/a/**", "/a", Some("/a")),
            ("/a/**", "/*/b", Some("/a/b")),
            ("/*/x", "/y/*", Some("/y/x")),
            ("/**", "/**", Some("/**")),
            ("/a/**", "/b/**", None),
            ("/a/*", "/a", None),
            ("/a/*", "/a/", None),
        ] {
            let common = common.map(pattern);
            assert_eq!(pattern(one).common(&pattern(two)), common, "{one} {two}");
            assert_eq!(pattern(two).common(&pattern(one)), common, "{two} {one}");
        }
    }
}

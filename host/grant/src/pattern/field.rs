//! Which fields of a JSON body.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{PatternError, refuse, text_serde};

/// Which fields of a JSON body, as a JSON Pointer (RFC 6901): `/contact/name` is that field and everything inside of it;
/// the empty pointer is the whole body. A segment `*` stands for any one member or element, as in `/items/*/price`, so a
/// member that is really called `*` cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPointer {
    text: String,
    /// The segments, decoded; `None` for a star.
    segments: Vec<Option<String>>,
}
text_serde!(FieldPointer);

/// The longest pointer, in bytes.
const MAX_POINTER: usize = 512;

/// The pointer's text for one member, escaped.
pub(crate) fn escape(member: &str) -> String {
    member.replace('~', "~0").replace('/', "~1")
}

impl FieldPointer {
    /// The whole body.
    pub(crate) const ROOT: Self = Self { text: String::new(), segments: Vec::new() };

    /// The members that lead to the field, decoded; `None` when a star stands for one of them.
    #[must_use]
    pub fn members(&self) -> Option<Vec<&str>> {
        self.segments.iter().map(|segment| segment.as_deref()).collect()
    }

    /// How many segments it has.
    pub(crate) fn depth(&self) -> usize {
        self.segments.len()
    }

    /// Whether the segment at `depth` (from 0) is there and stands for `member`.
    pub(crate) fn takes(&self, depth: usize, member: &str) -> bool {
        match self.segments.get(depth) {
            Some(Some(name)) => name == member,
            Some(None) => true,
            None => false,
        }
    }

    /// Whether every field that `other` names is named by this.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.depth() <= other.depth()
            && self.segments.iter().zip(&other.segments).all(|(mine, its)| mine.is_none() || mine == its)
    }

    /// The fields that both name, which is one pointer, or none.
    pub(crate) fn common(&self, other: &Self) -> Option<Self> {
        let mut segments = Vec::with_capacity(self.depth().max(other.depth()));
        for at in 0..self.depth().max(other.depth()) {
            segments.push(match (self.segments.get(at), other.segments.get(at)) {
                (Some(Some(mine)), Some(Some(its))) if mine != its => return None,
                (Some(Some(name)), _) | (_, Some(Some(name))) => Some(name.clone()),
                _ => None,
            });
        }
        let text = segments
            .iter()
            .map(|segment| {
                segment.as_ref().map_or_else(|| "/*".to_owned(), |name| format!("/{}", escape(name)))
            })
            .collect();
        Some(Self { text, segments })
    }
}

impl FromStr for FieldPointer {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |problem| refuse("field", text, problem);
        if text.len() > MAX_POINTER {
            return Err(error("is too long"));
        }
        if text.chars().any(char::is_control) {
            return Err(error("holds a control character"));
        }
        if text.is_empty() {
            return Ok(Self { text: String::new(), segments: Vec::new() });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(error("starts with a slash, as in /contact/name"));
        };
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            if segment.contains('*') && segment != "*" {
                return Err(error("a star stands for a whole segment"));
            }
            if segment.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
                return Err(error("~ is written ~0, and / inside of a name ~1"));
            }
            segments.push((segment != "*").then(|| segment.replace("~1", "/").replace("~0", "~")));
        }
        Ok(Self { text: text.to_owned(), segments })
    }
}

impl fmt::Display for FieldPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> FieldPointer {
        text.parse().unwrap()
    }

    #[test]
    fn pointers() {
        assert!(pointer("/a~1b/c~0d").takes(0, "a/b") && pointer("/a~1b/c~0d").takes(1, "c~d"));
        assert!(pointer("/~01").takes(0, "~1"));
        for bad in ["a", "/a*", "/~", "/~2", "/a\n", &"/a".repeat(300)] {
            assert!(bad.parse::<FieldPointer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn containment_and_what_is_common() {
        for (wide, narrow, yes) in [
            ("", "/a", true),
            ("/a", "/a/b", true),
            ("/*", "/a", true),
            ("/*/x", "/a/x/y", true),
            ("/a", "/*", false),
            ("/a/b", "/a", false),
        ] {
            assert_eq!(pointer(wide).contains(&pointer(narrow)), yes, "{wide} {narrow}");
        }
        for (one, two, common) in [
            ("/a", "/a/b", Some("/a/b")),
            ("/*/b", "/a", Some("/a/b")),
            ("/*", "", Some("/*")),
            ("/a~1", "/*/c", Some("/a~1/c")),
            ("/a", "/b", None),
        ] {
            assert_eq!(pointer(one).common(&pointer(two)), common.map(pointer), "{one} {two}");
            assert_eq!(pointer(two).common(&pointer(one)), common.map(pointer), "{two} {one}");
        }
    }
}

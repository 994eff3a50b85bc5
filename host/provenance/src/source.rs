//! Whose data is meant, where an administrator or an author of a flow names it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Label;

/// How a class of sensitivity is told from an origin.
const CLASS: &str = "class:";

/// Names data by its origin (`crm`, `trigger`) or by its class from any origin (`class:personal`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// All data from one plugin, by the name it is installed under; what came in from outside (`trigger`); or what flows
    /// themselves asked of a host (`http:api.example.com`).
    Origin(String),
    /// All data of a class.
    Class(String),
}

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no data: write an installed plugin's name, trigger, http: and a host, or class: and a class, as in class:personal"
)]
pub struct SourceError(String);

/// Whether `text` is a name as plugins and classes have them: 1 to 63 lower-case letters, digits and hyphens, a letter
/// first.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// How the origin of a flow's own HTTP answers is told from a plugin's name.
const HTTP: &str = "http:";

/// Whether `text` can be an origin: a name, or `http:` and a host, the origin of what a flow itself asked of that host. The
/// host is in lower case, as in `http:api.example.com`.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let Some(host) = text.strip_prefix(HTTP) else { return is_name(text) };
    let one = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':' | b'_');
    (1..=253).contains(&host.len()) && host.bytes().all(one)
}

impl Source {
    /// Whether data with this label is meant.
    #[must_use]
    pub fn matches(&self, label: &Label) -> bool {
        label.is_anything()
            || match self {
                Self::Origin(origin) => label.origin() == origin,
                Self::Class(class) => label.class() == Some(class),
            }
    }
}

impl FromStr for Source {
    type Err = SourceError;
    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (name, class) = text.strip_prefix(CLASS).map_or((text, false), |name| (name, true));
        if !(if class { is_name(name) } else { is_origin(name) }) {
            return Err(SourceError(text.chars().take(80).collect()));
        }
        Ok(if class { Self::Class(name.to_owned()) } else { Self::Origin(name.to_owned()) })
    }
}

impl TryFrom<String> for Source {
    type Error = SourceError;
    fn try_from(text: String) -> Result<Self, SourceError> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(name) => f.write_str(name),
            Self::Class(name) => write!(f, "{CLASS}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written() {
        for text in ["crm", "trigger", "class:personal", "http:api.example.com", "http:2001:db8::1"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "class:",
            "CRM",
            "crm/personal",
            "*",
            "class:Personal",
            "class:a:b",
            "a b",
            "http:",
            "http:A.test",
            "http:a/b",
            "class:http:a",
            "https:a.test",
        ] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_source_matches_by_origin_or_by_class() {
        let source = |text: &str| text.parse::<Source>().unwrap();
        let personal = Label::new("crm", Some("personal"));
        assert!(source("crm").matches(&personal) && source("class:personal").matches(&personal));
        assert!(!source("personal").matches(&personal) && !source("class:crm").matches(&personal));
        assert!(!source("class:personal").matches(&Label::new("crm", None)));
        assert!(source("erp").matches(&Label::anything()));
    }
}

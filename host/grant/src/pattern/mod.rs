//! The patterns that grants are written in: hosts, paths, mail addresses and JSON fields.
//!
//! All are narrow on purpose: no regular expressions, so that whether one pattern contains another, and what two have in
//! common, stays decidable, and a reader sees at a glance what is allowed.

mod address;
mod field;
mod host;
mod path;

pub use address::AddressPattern;
pub use field::FieldPointer;
pub(crate) use field::escape as escape_member;
pub use host::HostPattern;
pub use path::PathPattern;
pub(crate) use path::is_plain_path;

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} pattern {pattern:?}: {problem}")]
pub struct PatternError {
    what: &'static str,
    pattern: String,
    problem: &'static str,
}

/// Makes an error for the pattern `text`; a long one is cut, for it ends in logs.
fn refuse(what: &'static str, text: &str, problem: &'static str) -> PatternError {
    PatternError { what, pattern: text.chars().take(200).collect(), problem }
}

macro_rules! text_serde {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = $crate::PatternError;
            fn try_from(text: String) -> Result<Self, $crate::PatternError> {
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
use text_serde;

//! Whose data: a text that names one customer (an address, a number), and where values mention it.
//!
//! It is found as a word of its own, in whatever case, in every text of a value, in names of members and in numbers:
//! `ann@example.com` in `From: <Ann@Example.com>`, not in `joann@example.com`; `4711` not in `47110`. Letters of scripts
//! that put no spaces between words need none around them.

use serde_json::Value;

use crate::error::{ErrorCode, HostError};

/// The shortest subject, in characters: a shorter one would be found everywhere.
const SHORTEST: usize = 4;
/// The shortest of a script such as Chinese, where two characters are a name.
const SHORTEST_WIDE: usize = 2;
/// The longest, in bytes.
const LONGEST: usize = 512;
/// Marks that stand inside of addresses and numbers.
const INSIDE: [char; 5] = ['.', '-', '_', '@', '+'];

/// What to look for.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    text: String,
    /// Only what stands there: keys from the top, an empty one for every item of a list.
    path: Option<Vec<String>>,
    /// Whether its bytes stand in JSON as they are, so that bytes without them need not be read.
    plain: bool,
}

impl Subject {
    pub fn new(text: &str, path: Option<&str>) -> Result<Self, HostError> {
        let wrong = |why: String| HostError::new(ErrorCode::InvalidRequest, why);
        let text = text.trim().to_lowercase();
        let shortest = if text.is_ascii() { SHORTEST } else { SHORTEST_WIDE };
        if text.chars().count() < shortest || text.len() > LONGEST {
            return Err(wrong(format!(
                "a subject has {SHORTEST} characters ({SHORTEST_WIDE} in a script such as Chinese) to {LONGEST} bytes"
            ))
            .hint("give what names one customer and nobody else: an address, a customer's number"));
        }
        if text.chars().any(char::is_control) || !text.chars().any(char::is_alphanumeric) {
            return Err(wrong("a subject is a text on one line with letters or digits".into()));
        }
        let path = path.map(keys).transpose().map_err(wrong)?;
        let plain = text.bytes().all(|b| b.is_ascii() && !matches!(b, b'"' | b'\\'));
        Ok(Self { text, path, plain })
    }

    /// Whether a path was given: then texts that are no values cannot be looked at.
    pub fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// Whether a value mentions it, at the path where one was given.
    pub fn is_in(&self, value: &Value) -> bool {
        match &self.path {
            None => self.anywhere(value),
            Some(path) => self.at(value, path),
        }
    }

    /// Whether JSON mentions it; `false` for what is no JSON.
    pub fn is_in_json(&self, bytes: &[u8]) -> bool {
        if self.plain && !contains(bytes, self.text.as_bytes()) {
            return false;
        }
        serde_json::from_slice(bytes).is_ok_and(|value| self.is_in(&value))
    }

    /// Whether what somebody stored mentions it: JSON, text, or the text that stands between other bytes.
    pub fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        if self.plain && !contains(bytes, self.text.as_bytes()) {
            return false;
        }
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => self.is_in(&value),
            Err(_) => !self.has_path() && self.is_in_text(&String::from_utf8_lossy(bytes)),
        }
    }

    /// Whether the name of a file mentions it, also right in front of its extension.
    pub fn is_in_name(&self, name: &str) -> bool {
        let stem = |part: &str| part.rsplit_once('.').is_some_and(|(stem, _)| self.is_in_text(stem));
        !self.has_path() && (self.is_in_text(name) || name.split(['/', '\\']).any(stem))
    }

    /// Whether a text mentions it.
    pub fn is_in_text(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        text.match_indices(self.text.as_str()).any(|(at, found)| {
            let before = text.get(..at).unwrap_or_default();
            let after = text.get(at + found.len()..).unwrap_or_default();
            let first = found.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
            let last = found.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
            let inside = first && goes_on(before.chars().rev()) || last && goes_on(after.chars());
            !inside
        })
    }

    fn anywhere(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_in_text(text),
            Value::Number(number) => number.to_string() == self.text,
            Value::Array(items) => items.iter().any(|item| self.anywhere(item)),
            Value::Object(members) => {
                members.iter().any(|(name, member)| self.is_in_text(name) || self.anywhere(member))
            }
            Value::Null | Value::Bool(_) => false,
        }
    }

    /// At a path counted from here, or from any value inside: a journal's records hold inputs and outputs.
    fn at(&self, value: &Value, path: &[String]) -> bool {
        if exactly(value, path).iter().any(|found| self.anywhere(found)) {
            return true;
        }
        match value {
            Value::Array(items) => items.iter().any(|item| self.at(item, path)),
            Value::Object(members) => members.values().any(|member| self.at(member, path)),
            _ => false,
        }
    }
}

/// What stands at a path.
fn exactly<'v>(value: &'v Value, path: &[String]) -> Vec<&'v Value> {
    let Some((key, rest)) = path.split_first() else { return vec![value] };
    match value {
        Value::Array(items) if key.is_empty() => items.iter().flat_map(|item| exactly(item, rest)).collect(),
        Value::Object(members) => members.get(key).map(|member| exactly(member, rest)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Whether the word at hand goes on: with a letter or digit, or with one behind a mark that stands inside of addresses.
fn goes_on(mut rest: impl Iterator<Item = char>) -> bool {
    match rest.next() {
        Some(c) if c.is_ascii_alphanumeric() => true,
        Some(c) if INSIDE.contains(&c) => rest.next().is_some_and(|c| c.is_ascii_alphanumeric()),
        _ => false,
    }
}

/// Whether bytes contain a text in lower case, in whatever case of ASCII.
fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let Some(first) = text.first() else { return true };
    let (low, high) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    bytes.iter().enumerate().any(|(at, byte)| {
        (*byte == low || *byte == high)
            && bytes.get(at..at + text.len()).is_some_and(|part| part.eq_ignore_ascii_case(text))
    })
}

/// `.customer.email` or `.contacts[].email` as keys.
fn keys(path: &str) -> Result<Vec<String>, String> {
    let wrong = || {
        format!(
            "{:?} is no path; write it as .customer.email or .contacts[].email",
            path.chars().take(80).collect::<String>()
        )
    };
    let mut keys = Vec::new();
    for part in path.strip_prefix('.').ok_or_else(wrong)?.split('.') {
        let name = part.trim_end_matches("[]");
        if name.is_empty() || keys.len() > 64 {
            return Err(wrong());
        }
        keys.push(name.to_owned());
        keys.extend(std::iter::repeat_n(String::new(), (part.len() - name.len()) / 2));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn subject(text: &str) -> Subject {
        Subject::new(text, None).unwrap()
    }

    #[test]
    fn a_customer_is_found_as_a_word_of_its_own_in_whatever_case() {
        let ann = subject(" Ann@Example.com ");
        for text in [
            "ann@example.com",
            "From: Ann <ANN@example.COM>,",
            "mailto:ann@example.com.",
            "/contacts/ann@example.com",
        ] {
            assert!(ann.is_in_text(text), "{text}");
        }
        for text in
            ["joann@example.com", "j.ann@example.com", "ann@example.com.au", "ann@example.community", ""]
        {
            assert!(!ann.is_in_text(text), "{text}");
        }
        assert!(
            subject("4711").is_in(&json!({"n": 4711}))
                && !subject("4711").is_in(&json!([47110, "A-4711", 0.4711]))
        );
        assert!(subject("王小明").is_in_text("客户王小明的订单"));
        assert!(subject("ann@example.com").is_in(&json!([{"ann@example.com": 1}])), "the name of a member");
        assert!(subject("Zoë Müller").is_in_json("{\"a\":\"dear zoë MÜLLER\"}".as_bytes()));
        assert!(subject("say \"hi\"").is_in_json(br#"{"a":"say \"hi\" now"}"#));
    }

    #[test]
    fn a_file_s_name_may_go_on_with_an_extension() {
        let ann = subject("ann@example.com");
        for name in [
            "ann@example.com.pdf",
            "letters/ann@example.com.txt",
            "to ann@example.com",
            "x\\ann@example.com.zip",
        ] {
            assert!(ann.is_in_name(name), "{name}");
        }
        for name in ["joann@example.com.pdf", "ann@example.community.pdf", "ann@example", ""] {
            assert!(!ann.is_in_name(name), "{name}");
        }
    }

    #[test]
    fn a_path_is_held_to() {
        let subject = Subject::new("ann@example.com", Some(".contacts[].email")).unwrap();
        assert!(
            subject.is_in(
                &json!({"start": {"in": {"contacts": [{"email": "x"}, {"email": "ann@example.com"}]}}})
            )
        );
        assert!(!subject.is_in(&json!({"contacts": [{"name": "ann@example.com"}]})));
        assert!(!subject.is_in_bytes(b"text with ann@example.com"));
    }

    #[test]
    fn bytes_are_json_or_text_or_hold_some() {
        let ann = subject("ann@example.com");
        assert!(ann.is_in_bytes(br#"{"to":"ann@example.com"}"#));
        assert!(ann.is_in_bytes(b"Dear Ann@example.com!"));
        assert!(ann.is_in_bytes(b"\x89PNG\xff\0ann@example.com\0\xfe"));
        assert!(!ann.is_in_bytes(b"\xff\xfe nothing"));
    }

    #[test]
    fn what_would_be_found_everywhere_is_refused() {
        for text in ["", "ab", "   ", "王", "....", "a\nbcd", &"x".repeat(LONGEST + 1)] {
            assert!(Subject::new(text, None).is_err(), "{text:?}");
        }
        for path in ["x", ".", ".a..b", ""] {
            assert!(Subject::new("abcd", Some(path)).is_err(), "{path}");
        }
    }
}

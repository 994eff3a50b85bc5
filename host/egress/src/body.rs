//! Puts a secret into a JSON body, at one place, and leaves every other byte as the plugin wrote and the grant checked it.

use serde::de::IgnoredAny;
use zeroize::Zeroizing;

/// Why a secret cannot be put into a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyProblem {
    /// It is no JSON, or no object where one must be.
    NoObject,
    /// It names a key on the way twice, or the plugin wrote the field itself.
    Written,
}

/// `body` with `value` as a string under the member that `members` lead to. Objects on the way that are not there are made.
pub(crate) fn insert(body: &[u8], members: &[&str], value: &str) -> Result<Vec<u8>, BodyProblem> {
    let text = std::str::from_utf8(body).map_err(|_| BodyProblem::NoObject)?;
    // From here on brackets match and strings end.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| BodyProblem::NoObject)?;
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    for (depth, member) in members.iter().enumerate() {
        let start = scan.enter()?;
        let (found, empty) = scan.find(text, member)?;
        let Some(value_at) = found else {
            let (before, after) = text.split_at_checked(start).ok_or(BodyProblem::NoObject)?;
            let new = written(members.get(depth..).unwrap_or_default(), value)?;
            let comma = if empty { "" } else { "," };
            return Ok([before, &new, comma, after].concat().into_bytes());
        };
        scan.at = value_at;
    }
    Err(BodyProblem::Written)
}

/// `"a":{"b":"value"}` for the members a, b.
fn written(members: &[&str], value: &str) -> Result<Zeroizing<String>, BodyProblem> {
    let quoted =
        |text: &str| serde_json::to_string(text).map(Zeroizing::new).map_err(|_| BodyProblem::NoObject);
    let Some((last, way)) = members.split_last() else { return Err(BodyProblem::NoObject) };
    let mut out = Zeroizing::new(String::with_capacity(value.len().saturating_mul(2) + 1024));
    for member in way {
        out.push_str(&quoted(member)?);
        out.push_str(":{");
    }
    out.push_str(&quoted(last)?);
    out.push(':');
    out.push_str(&quoted(value)?);
    way.iter().for_each(|_| out.push('}'));
    Ok(out)
}

/// Walks over JSON that was found to be valid.
struct Scan<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Into the object that stands here; says where its inside begins.
    fn enter(&mut self) -> Result<usize, BodyProblem> {
        if self.peek() != Some(b'{') {
            return Err(BodyProblem::NoObject);
        }
        self.at += 1;
        Ok(self.at)
    }

    /// Where the value of `member` begins in the object whose inside begins here, and whether the object is empty.
    fn find(&mut self, text: &str, member: &str) -> Result<(Option<usize>, bool), BodyProblem> {
        let (mut found, mut empty) = (None, true);
        while self.peek() == Some(b'"') {
            empty = false;
            let start = self.at;
            self.string();
            let key = text.get(start..self.at).unwrap_or_default();
            let key: String = serde_json::from_str(key).map_err(|_| BodyProblem::NoObject)?;
            if self.peek() == Some(b':') {
                self.at += 1;
            }
            self.peek();
            if key == member && found.replace(self.at).is_some() {
                return Err(BodyProblem::Written);
            }
            self.value();
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
        Ok((found, empty))
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += match byte {
                b'\\' => 2,
                _ => 1,
            };
            if *byte == b'"' {
                return;
            }
        }
    }

    fn value(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => self.string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b',' | b'}' | b']') | None => return,
                Some(_) => self.at += 1,
            }
            // The end of a string, object or list is the end of the value; a number or word ends at what follows it.
            let ended = self.at.checked_sub(1).and_then(|last| self.bytes.get(last));
            if depth == 0 && matches!(ended, Some(b'"' | b'}' | b']')) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(body: &str, members: &[&str]) -> Result<String, BodyProblem> {
        insert(body.as_bytes(), members, "s3\"cret").map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_secret_goes_to_its_place_and_nothing_else_changes() {
        for (body, members, expected) in [
            ("{}", &["key"][..], r#"{"key":"s3\"cret"}"#),
            (" { \"a\" : 1.50 }", &["key"], " {\"key\":\"s3\\\"cret\", \"a\" : 1.50 }"),
            (
                r#"{"a":{"x":[1,{"key":2}],"y":"}"}}"#,
                &["a", "key"],
                r#"{"a":{"key":"s3\"cret","x":[1,{"key":2}],"y":"}"}}"#,
            ),
            (r#"{"a":1,"b":{}}"#, &["b", "c", "key"], r#"{"a":1,"b":{"c":{"key":"s3\"cret"}}}"#),
            (
                r#"{"a\"":true,"\u0062":{"z":null}}"#,
                &["b", "key"],
                r#"{"a\"":true,"\u0062":{"key":"s3\"cret","z":null}}"#,
            ),
        ] {
            assert_eq!(put(body, members).unwrap(), expected, "{body}");
            serde_json::from_str::<serde_json::Value>(expected).unwrap();
        }
    }

    #[test]
    fn what_the_plugin_wrote_is_not_written_over() {
        for body in [r#"{"key":1}"#, r#"{"a":2,"k\u0065y":null}"#, r#"{"key":{},"key":1}"#] {
            assert_eq!(put(body, &["key"]), Err(BodyProblem::Written), "{body}");
        }
        assert_eq!(put(r#"{"a":{"key":1}}"#, &["a", "key"]), Err(BodyProblem::Written));
        for body in ["", "[]", "7", "{", r#"{"a":[]}"#, r#"{"a":1} x"#] {
            assert_eq!(put(body, &["a", "key"]), Err(BodyProblem::NoObject), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_rest_stays_what_it_was(text in "[\\[\\]{}\",:a1\\\\ ]{0,24}", inner in "[a-c\"\\\\}{]{0,6}") {
            let body = serde_json::json!({"x": [text, {"key": inner}], "y": {"z": text}}).to_string();
            let put = put(&body, &["y", "key"]).unwrap();
            let mut value: serde_json::Value = serde_json::from_str(&put).unwrap();
            let gone = value["y"].as_object_mut().unwrap().remove("key");
            proptest::prop_assert_eq!(gone, Some(serde_json::json!("s3\"cret")));
            let before: serde_json::Value = serde_json::from_str(&body).unwrap();
            proptest::prop_assert_eq!(value, before);
        }
    }
}

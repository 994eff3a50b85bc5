//! `metadata.sensitive`: members of a task's input and output that people must not see in histories, logs and exports.
//!
//! ```yaml
//! - pay:
//!     call: bank/transfer
//!     metadata: { sensitive: [ .iban, .customer.birthday, '.cards[].number' ] }
//! ```

use crate::decode::{At, Decoder, shorten};
use serde_json::Value;

/// Paths of one task.
const MAX_PATHS: usize = 64;
/// What stands in place of a masked value.
const MASK: &str = "***";

/// What of a task's data is sensitive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Sensitive {
    /// The task: a JSON Pointer (RFC 6901).
    pub path: String,
    /// The members: each a list of keys from the top, an empty key standing for every item of a list.
    pub members: Vec<Vec<String>>,
}

/// Decodes `metadata.sensitive` of the task at `path`.
pub(super) fn decode(d: &mut Decoder<'_>, at: &At<'_>, path: &str) -> Option<Sensitive> {
    let items = d.list(at)?;
    if items.is_empty() || items.len() > MAX_PATHS {
        d.error(at, format!("`sensitive` names 1 to {MAX_PATHS} members"));
        return None;
    }
    let mut members = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let at = at.child(&i.to_string(), item);
        let text = d.text(&at)?;
        let Some(keys) = keys(text) else {
            let message = format!("\"{}\" is not the path of a member", shorten(text, 60));
            d.error_hint(
                &at,
                message,
                "for example .customer.iban, or .cards[].number for each item of a list",
            );
            return None;
        };
        members.push(keys);
    }
    Some(Sensitive { path: path.to_owned(), members })
}

/// `.a.b[].c` to `a`, `b`, the empty key, `c`.
fn keys(text: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    for part in text.strip_prefix('.')?.split('.') {
        let mut name = part;
        let mut items = 0;
        while let Some(rest) = name.strip_suffix("[]") {
            name = rest;
            items += 1;
        }
        let word = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if name.is_empty() || !word || items > 8 {
            return None;
        }
        keys.push(name.to_owned());
        keys.extend(std::iter::repeat_n(String::new(), items));
    }
    Some(keys)
}

impl Sensitive {
    /// Puts a mask over the sensitive members of a value, whatever is behind them.
    pub fn mask(&self, value: &mut Value) {
        for keys in &self.members {
            mask(value, keys);
        }
    }
}

fn mask(value: &mut Value, keys: &[String]) {
    let Some((key, rest)) = keys.split_first() else {
        if !value.is_null() {
            *value = Value::from(MASK);
        }
        return;
    };
    match value {
        Value::Array(items) if key.is_empty() => items.iter_mut().for_each(|item| mask(item, rest)),
        Value::Object(members) => {
            if let Some(member) = members.get_mut(key) {
                mask(member, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_masked_and_nothing_else() {
        let paths = [".iban", ".customer.born", ".cards[].number", ".no.such"];
        let members = paths.iter().map(|p| keys(p).unwrap()).collect();
        let sensitive = Sensitive { path: String::new(), members };
        let mut value = json!({"iban": "DE1", "customer": {"born": {"y": 1}, "name": "Ann"}, "cards": [{"number": 1}, 5], "no": 1});
        sensitive.mask(&mut value);
        assert_eq!(
            value,
            json!({"iban": "***", "customer": {"born": "***", "name": "Ann"}, "cards": [{"number": "***"}, 5], "no": 1})
        );
        for bad in ["", "iban", ".", ".a..b", ".a | .b", ".a[0]"] {
            assert_eq!(keys(bad), None, "{bad}");
        }
    }
}

//! Differences between two JSON values, a line each, as people read them.

use serde_json::Value;

/// The most differences that are told.
const MAX_TOLD: usize = 50;
/// The longest value in a difference, in characters.
const MAX_VALUE: usize = 120;

/// Where two values differ: `/a/b: expected 1, found 2`. Empty when they do not. With `part`, members that only the second
/// has do not count, and lists are compared item by item.
#[must_use]
pub fn differences(expected: &Value, found: &Value, part: bool) -> Vec<String> {
    let mut told = Vec::new();
    compare("", expected, found, part, &mut told);
    if told.len() > MAX_TOLD {
        let more = told.len() - MAX_TOLD;
        told.truncate(MAX_TOLD);
        told.push(format!("… and {more} more"));
    }
    told
}

/// Whether everything in `part` is also in `whole`.
pub(super) fn contains(whole: &Value, part: &Value) -> bool {
    let mut told = Vec::new();
    compare("", part, whole, true, &mut told);
    told.is_empty()
}

fn compare(at: &str, expected: &Value, found: &Value, part: bool, told: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, value) in expected {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                match found.get(name) {
                    Some(other) => compare(&at, value, other, part, told),
                    None => told.push(format!("{at}: expected {}, found nothing", short(value))),
                }
            }
            for (name, value) in found.iter().filter(|(name, _)| !part && !expected.contains_key(*name)) {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                told.push(format!("{at}: expected nothing, found {}", short(value)));
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            if one.len() != other.len() {
                told.push(format!("{}: expected {} items, found {}", here(at), one.len(), other.len()));
            }
            for (index, (expected, found)) in one.iter().zip(other).enumerate() {
                compare(&format!("{at}/{index}"), expected, found, part, told);
            }
        }
        _ if same(expected, found) => {}
        _ => told.push(format!("{}: expected {}, found {}", here(at), short(expected), short(found))),
    }
}

fn here(at: &str) -> &str {
    if at.is_empty() { "the value" } else { at }
}

/// 1 and 1.0 are one number.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || matches!((one, other), (Value::Number(a), Value::Number(b)) if a.as_f64().is_some() && a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()))
}

/// A value on one line of bounded length.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_VALUE) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_difference_has_its_place() {
        let expected = json!({"a": {"b": 1, "gone": true}, "l": [1, 2], "same": "x", "n": 1});
        let found = json!({"a": {"b": 2, "new/er": null}, "l": [1, 3, 4], "same": "x", "n": 1.0});
        assert_eq!(
            differences(&expected, &found, false),
            [
                "/a/b: expected 1, found 2",
                "/a/gone: expected true, found nothing",
                "/a/new~1er: expected nothing, found null",
                "/l: expected 2 items, found 3",
                "/l/1: expected 2, found 3",
            ]
        );
        assert!(differences(&json!({"a": 1}), &json!({"a": 1, "b": 2}), true).is_empty());
        assert_eq!(differences(&json!(1), &json!("1"), true), ["the value: expected 1, found \"1\""]);
        let many = differences(&json!(vec![1; 200]), &json!(vec![2; 200]), false);
        assert_eq!((many.len(), many.last().unwrap().as_str()), (51, "… and 150 more"));
    }
}

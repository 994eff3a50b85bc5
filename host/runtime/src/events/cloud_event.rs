//! What a CloudEvent is (CloudEvents 1.0.2, JSON event format): checked, bounded, and brought into one form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The most bytes of an event, as JSON.
pub const MAX_EVENT: usize = 512 * 1024;
/// The most bytes of an attribute.
const MAX_ATTRIBUTE: usize = 4 * 1024;
/// The most attributes, data not counted.
const MAX_ATTRIBUTES: usize = 64;

/// Checks an event in its JSON form. Members that are null are left out, as if they were absent.
///
/// # Errors
/// What is wrong with it, for whoever sent it.
pub fn cloud_event(event: Value) -> Result<Value, String> {
    let Value::Object(members) = event else { return Err("an event is a JSON object".into()) };
    let members: Map<String, Value> = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
    match members.get("specversion") {
        Some(Value::String(version)) if version == "1.0" => {}
        Some(other) => return Err(format!("specversion is {other}; this host reads \"1.0\"")),
        None => return Err("an event needs specversion, \"1.0\"".into()),
    }
    for name in ["id", "source", "type"] {
        match members.get(name) {
            Some(Value::String(text)) if !text.is_empty() => {}
            _ => return Err(format!("an event needs {name}, a text that is not empty")),
        }
    }
    for name in ["subject", "dataschema", "datacontenttype"] {
        if members.get(name).is_some_and(|value| value.as_str().is_none_or(str::is_empty)) {
            return Err(format!("{name} is a text that is not empty"));
        }
    }
    if let Some(time) = members.get("time") {
        let sound = time.as_str().is_some_and(|time| chrono::DateTime::parse_from_rfc3339(time).is_ok());
        if !sound {
            return Err("time is a time as RFC 3339 writes it, such as 2026-01-31T08:00:00Z".into());
        }
    }
    if members.contains_key("data") && members.contains_key("data_base64") {
        return Err("an event has data or data_base64, not both".into());
    }
    if members.get("data_base64").is_some_and(|data| decoded(data).is_none()) {
        return Err("data_base64 is not Base64 (RFC 4648)".into());
    }
    let attributes = members.iter().filter(|(name, _)| !matches!(name.as_str(), "data" | "data_base64"));
    if attributes.clone().count() > MAX_ATTRIBUTES {
        return Err(format!("an event has at most {MAX_ATTRIBUTES} attributes"));
    }
    for (name, value) in attributes {
        attribute(name, value)?;
    }
    let event = Value::Object(members);
    let bytes = serde_json::to_vec(&event).map(|bytes| bytes.len()).unwrap_or(usize::MAX);
    if bytes > MAX_EVENT {
        return Err(format!("the event has {bytes} bytes as JSON; at most {MAX_EVENT} are taken"));
    }
    Ok(event)
}

fn attribute(name: &str, value: &Value) -> Result<(), String> {
    let fine =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !fine {
        let shown: String = name.chars().take(80).collect();
        return Err(format!("{shown:?} cannot name an attribute: lower-case letters and digits, at most 64"));
    }
    match value {
        Value::String(text) if text.len() > MAX_ATTRIBUTE => {
            Err(format!("{name} has {} bytes; at most {MAX_ATTRIBUTE} are taken", text.len()))
        }
        Value::String(_) | Value::Bool(_) => Ok(()),
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
        _ => Err(format!("{name} is a text, a boolean or a whole number of 32 bits")),
    }
}

/// An event as a run sees it: `data` is there whatever its media type.
pub(super) fn as_heard(mut event: Value) -> Value {
    let Some(members) = event.as_object_mut() else { return event };
    if members.contains_key("data") {
        return event;
    }
    let Some(encoded) = members.get("data_base64") else {
        members.insert("data".into(), Value::Null);
        return event;
    };
    let media_type = members.get("datacontenttype").and_then(Value::as_str).unwrap_or_default();
    let data = decoded(encoded).and_then(|bytes| {
        if is_json(media_type) {
            serde_json::from_slice(&bytes).ok()
        } else if media_type.starts_with("text/") {
            String::from_utf8(bytes).ok().map(Value::String)
        } else {
            None
        }
    });
    let data = data.unwrap_or_else(|| encoded.clone());
    members.insert("data".into(), data);
    event
}

/// Whether a media type says JSON: `…/json` or `…+json`.
pub(super) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn decoded(data: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(data.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(more: Value) -> Value {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }

    #[test]
    fn sound_events_are_taken_and_null_counts_as_absent() {
        let full = event(
            json!({"subject": "x", "time": "2026-01-31T08:00:00.5+01:00", "priority": 3, "urgent": true,
            "data": {"a": null}}),
        );
        assert_eq!(cloud_event(full.clone()).unwrap(), full);
        assert_eq!(cloud_event(event(json!({"subject": null}))).unwrap(), event(json!({})));
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_reason() {
        for (bad, said) in [
            (json!([]), "object"),
            (event(json!({"specversion": "0.3"})), "0.3"),
            (event(json!({"id": ""})), "id"),
            (event(json!({"source": 1})), "source"),
            (event(json!({"type": null})), "type"),
            (event(json!({"time": "yesterday"})), "time"),
            (event(json!({"subject": ""})), "subject"),
            (event(json!({"comExample": "x"})), "comExample"),
            (event(json!({"nested": {}})), "nested"),
            (event(json!({"large": 2_147_483_648_u64})), "large"),
            (event(json!({"data": 1, "data_base64": "AA=="})), "both"),
            (event(json!({"data_base64": "*"})), "Base64"),
            (event(json!({"data": "x".repeat(MAX_EVENT)})), "bytes"),
            (event(json!({"long": "x".repeat(MAX_ATTRIBUTE + 1)})), "long"),
        ] {
            let error = cloud_event(bad).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn data_is_there_whatever_its_media_type() {
        let heard = |more: Value| as_heard(event(more))["data"].clone();
        let encoded = STANDARD.encode(r#"{"a":1}"#);
        assert_eq!(
            heard(json!({"data_base64": encoded, "datacontenttype": "application/json; charset=utf-8"})),
            json!({"a": 1})
        );
        assert_eq!(heard(json!({"data_base64": "aGk=", "datacontenttype": "text/plain"})), json!("hi"));
        assert_eq!(heard(json!({"data_base64": "/wA=", "datacontenttype": "image/png"})), json!("/wA="));
        assert_eq!(heard(json!({})), Value::Null);
    }
}

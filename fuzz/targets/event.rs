//! CloudEvents of strangers: taken or refused, and a taken one is taken again as the same.
//!
//! An input is JSON. The file that reads events stands here by itself: the rest of its room brings the engine.
#![no_main]

#[path = "../../host/runtime/src/events/cloud_event.rs"]
mod cloud_event;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use cloud_event::{MAX_EVENT, as_heard, cloud_event, is_json};

fuzz_target!(|data: &[u8]| {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    let event = match cloud_event(json.clone()) {
        Ok(event) => event,
        Err(reason) => {
            assert!(!reason.is_empty() && reason.len() < 1024, "{} bytes of a reason", reason.len());
            return;
        }
    };
    assert_eq!(cloud_event(event.clone()).as_ref(), Ok(&event), "what was taken is an event");
    let members = event.as_object().expect("an event is an object");
    assert!(members.values().all(|value| !value.is_null()) && event.to_string().len() <= MAX_EVENT);
    // Nothing but members without a value is left out, and nothing is changed.
    let given = json.as_object().expect("an event was an object");
    assert!(given.iter().all(|(name, value)| value.is_null() || members.get(name) == Some(value)));

    let heard = as_heard(event.clone());
    let seen = heard.as_object().expect("an event stays an object");
    assert!(seen.contains_key("data"), "a run sees data");
    assert!(members.iter().all(|(name, value)| seen.get(name) == Some(value)), "and all the rest");
    let media_type = members.get("datacontenttype").and_then(Value::as_str).unwrap_or_default();
    if !members.contains_key("data") && members.contains_key("data_base64") && !is_json(media_type) {
        assert!(seen["data"].is_string(), "bytes that are no JSON are a text");
    }
});

//! CloudEvents in, the log of them, and what happens to runs as a stream.

use std::convert::Infallible;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_runtime::{EventPage, EventQuery, RunWatch, Watched, cloud_event};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::{App, Problem, auth::Who, blocking};

/// The most events of one batch.
const MAX_BATCH: usize = 1_000;

/// Takes a CloudEvent in structured, binary or batched mode (CloudEvents HTTP binding 1.0.2). Answered when all of it is on
/// disk; an event of the same source and id as before counts for nothing.
#[utoipa::path(post, path = "/events", tag = "events", security(("token" = ["event.send"])),
    request_body(content = serde_json::Value, content_type = "application/cloudevents+json"),
    responses(
        (status = 202, description = "On disk; `published` has number and `duplicate` for each.", body = serde_json::Value),
        (status = 400, description = "What was sent is no event.", body = Problem),
        (status = 413, description = "It is too large.", body = Problem),
        (status = 503, description = "Too many wait; the same request may be sent again.", body = Problem),
    ))]
pub async fn publish(
    State(app): State<App>,
    Extension(caller): Who,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let events = read(&headers, &body).map_err(|why| {
        Problem::bad_request(why).hint("see the CloudEvents HTTP protocol binding 1.0.2, section 3")
    })?;
    // All or none is taken, as far as it can be told beforehand.
    for (index, event) in events.iter().enumerate() {
        cloud_event(event.clone()).map_err(|why| Problem::bad_request(format!("event {index}: {why}")))?;
    }
    let mut published = Vec::with_capacity(events.len());
    for event in events {
        published.push(app.host.publish_event(&caller.actor(), event).await?);
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "published": published }))).into_response())
}

/// Reads the events of a request in any of the three modes.
fn read(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Value>, String> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let json = || serde_json::from_slice::<Value>(body).map_err(|e| format!("the body is no JSON: {e}"));
    match media_type.to_ascii_lowercase().as_str() {
        "application/cloudevents+json" => Ok(vec![json()?]),
        "application/cloudevents-batch+json" => match json()? {
            Value::Array(events) if events.len() <= MAX_BATCH => Ok(events),
            Value::Array(events) => Err(format!("{} events in one batch; at most {MAX_BATCH}", events.len())),
            _ => Err("a batch is a JSON array of events".into()),
        },
        other if other.starts_with("application/cloudevents") => {
            Err("of the event formats, JSON is read: application/cloudevents+json".into())
        }
        _ => binary(headers, content_type, body).map(|event| vec![event]),
    }
}

/// Binary mode: attributes in `ce-` headers, the body is the data.
fn binary(headers: &HeaderMap, content_type: Option<&str>, body: &[u8]) -> Result<Value, String> {
    let mut event = Map::new();
    for (name, value) in headers {
        if let Some(attribute) = name.as_str().strip_prefix("ce-") {
            let value = value.to_str().map_err(|_| format!("the header {name} holds more than ASCII"))?;
            event.insert(attribute.to_owned(), Value::String(unescaped(value)?));
        }
    }
    if event.is_empty() {
        return Err(
            "this is no event: neither a ce-specversion header nor an application/cloudevents+json body"
                .into(),
        );
    }
    if let Some(content_type) = content_type {
        event.insert("datacontenttype".into(), content_type.into());
    }
    if !body.is_empty() {
        let essence = content_type.unwrap_or("application/json").split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        if essence.ends_with("/json") || essence.ends_with("+json") {
            let data = serde_json::from_slice(body).map_err(|e| format!("the data is no JSON: {e}"))?;
            event.insert("data".into(), data);
        } else if let (true, Ok(text)) = (essence.starts_with("text/"), std::str::from_utf8(body)) {
            event.insert("data".into(), text.into());
        } else {
            event.insert("data_base64".into(), STANDARD.encode(body).into());
        }
    }
    Ok(Value::Object(event))
}

/// A header's value as section 3.1.3.2 of the binding says: quotes off, then percent-decoded as UTF-8.
fn unescaped(value: &str) -> Result<String, String> {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let plain = match inner {
        Some(inner) => {
            let mut plain = String::with_capacity(inner.len());
            let mut escaped = false;
            for c in inner.chars() {
                escaped = c == '\\' && !escaped;
                if !escaped {
                    plain.push(c);
                }
            }
            plain
        }
        None => value.to_owned(),
    };
    let mut bytes = Vec::with_capacity(plain.len());
    let mut rest = plain.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|code| hex::decode(code).ok());
        match code.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "a ce- header is no UTF-8 after percent-decoding".into())
}

/// Which events to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// At most so many, up to 1000; 50 when absent.
    #[serde(default)]
    limit: usize,
    /// Where the page before ended: its `cursor`.
    cursor: Option<u64>,
}

/// A page of the events that were published, newest first. The log keeps the newest 100,000.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", security(("token" = ["event.read"])), params(ListQuery), responses(
    (status = 200, description = "The page.", body = serde_json::Value),
))]
pub async fn list(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Result<Json<EventPage>, Problem> {
    let query = EventQuery { kind: query.kind, limit: query.limit, cursor: query.cursor };
    blocking(move || Ok(app.host.events(&query)?)).await.map(Json)
}

/// What to watch.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WatchQuery {
    /// Only this run.
    run: Option<String>,
    /// Only this flow's runs, `namespace/name`.
    flow: Option<String>,
}

/// What happens to runs and tasks from now on, as server-sent events, each a CloudEvent
/// (`io.serverlessworkflow.workflow.started.v1` and its like). Who reads too slowly is told by an event `missed` how many
/// are lost to him.
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "events", security(("token" = ["event.read"])), params(WatchQuery),
    responses(
        (status = 200, description = "The stream.", content_type = "text/event-stream"),
        (status = 503, description = "Too many watch.", body = Problem),
    ))]
pub async fn watch(
    State(app): State<App>,
    Query(query): Query<WatchQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let watch = app.host.watch_runs().ok_or_else(|| {
        let mut problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many watch this host already");
        problem.retry_after = Some(10);
        problem
    })?;
    let source = query.flow.map(|flow| format!("/flows/{flow}"));
    let wanted = Wanted { run: query.run, source };
    let stream = stream::unfold((watch, wanted), |(mut watch, wanted)| async move {
        let event = next(&mut watch, &wanted).await?;
        Some((Ok(event), (watch, wanted)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

struct Wanted {
    run: Option<String>,
    source: Option<String>,
}

async fn next(watch: &mut RunWatch, wanted: &Wanted) -> Option<Event> {
    loop {
        let lived = match watch.next().await? {
            Watched::Missed(count) => {
                return Some(Event::default().event("missed").data(json!({ "missed": count }).to_string()));
            }
            Watched::Lived(lived) => lived,
        };
        let is = |name: &str, wanted: &Option<String>| {
            wanted.is_none() || lived.event.get(name).and_then(Value::as_str) == wanted.as_deref()
        };
        if is("subject", &wanted.run) && is("source", &wanted.source) {
            let id = lived.event.get("id").and_then(Value::as_str).unwrap_or_default();
            return Some(Event::default().id(id).event("cloudevent").data(lived.event.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_three_modes_are_read() {
        let structured = headers(&[("content-type", "application/cloudevents+json; charset=UTF-8")]);
        let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}});
        assert_eq!(read(&structured, event.to_string().as_bytes()).unwrap(), std::slice::from_ref(&event));

        let batch = headers(&[("content-type", "application/cloudevents-batch+json")]);
        assert_eq!(read(&batch, json!([event, event]).to_string().as_bytes()).unwrap().len(), 2);
        assert_eq!(read(&batch, b"[]").unwrap().len(), 0);
        assert!(read(&batch, b"{}").is_err());
        let many = Value::Array(vec![Value::Null; MAX_BATCH + 1]);
        assert!(read(&batch, many.to_string().as_bytes()).unwrap_err().contains("at most"));

        let attributes = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-note", "Euro%20%E2%82%AC"),
            ("ce-quoted", "\"a \\\"b\\\"\""),
        ];
        let with = |media_type| {
            let mut all = attributes.to_vec();
            all.push(("content-type", media_type));
            headers(&all)
        };
        let read_one = |media_type, body: &[u8]| read(&with(media_type), body).unwrap().remove(0);
        let json_mode = read_one("application/json", br#"{"a":1}"#);
        assert_eq!(
            (&json_mode["data"], &json_mode["datacontenttype"]),
            (&json!({"a": 1}), &json!("application/json"))
        );
        assert_eq!((&json_mode["note"], &json_mode["quoted"]), (&json!("Euro €"), &json!("a \"b\"")));
        assert_eq!(read_one("text/plain", b"hi")["data"], "hi");
        assert_eq!(read_one("image/png", &[255, 0])["data_base64"], "/wA=");
        assert!(read_one("application/json", b"").get("data").is_none());
        for event in [json_mode, read_one("text/plain", b"hi"), read_one("image/png", &[255, 0])] {
            cloud_event(event).unwrap();
        }
        assert!(read(&with("application/json"), b"{").is_err());
        assert!(read(&headers(&[]), b"{}").unwrap_err().contains("ce-specversion"));
        assert!(read(&headers(&[("content-type", "application/cloudevents+avro")]), b"").is_err());
    }
}

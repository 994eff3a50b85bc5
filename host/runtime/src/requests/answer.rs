//! What the flow gets of an answer, and how a request that brought none fails.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_egress::EgressError;
use factotum_flow::{FlowError, HttpOutput};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{Exchange, Sent};

/// The most bytes of a failure's body that the error keeps.
const MAX_FAILURE_BYTES: usize = 16 * 1024;
/// Header fields of a request that no output repeats.
const HIDDEN: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// How the flow wants its answer.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub output: HttpOutput,
    /// Whether a status from 300 to 399 is no failure.
    pub redirect: bool,
    /// The request as the flow wrote it, for [`HttpOutput::Response`].
    pub method: String,
    pub headers: HeaderMap,
}

/// What an exchange gives: the output, or the error, whether trying again can help, and when the other side wants that.
pub(crate) fn outcome(
    exchange: &Exchange,
    shape: &Shape,
    attempt: u32,
    now_ms: u64,
) -> Result<Value, (FlowError, bool, Option<u64>)> {
    let place = exchange.used.last().map(|used| &used.place);
    let failed = |error: FlowError, code: &str, transient: bool, after: Option<u64>| {
        let kind = if transient { "technical" } else { "business" };
        let mut error = error.with("kind", kind).with("code", code).with("attempts", attempt);
        if let Some(place) = place {
            error = error.with("request", format!("{} {}", place.method, place.target));
        }
        (error, transient, after)
    };
    match &exchange.result {
        Err(error) => {
            let (flow_error, after) = unsent(error);
            let code = if exchange.not_given.is_some() { "data-not-allowed" } else { error.code() };
            Err(failed(flow_error, code, error.is_transient(), after))
        }
        Ok(Sent { uri, answer }) => {
            let status = answer.status();
            if status.is_success() || (shape.redirect && status.is_redirection()) {
                return shaped(uri, answer, shape).map_err(|problem| {
                    failed(FlowError::communication(problem).with_status(502), "internal", false, None)
                });
            }
            let transient = is_transient(status);
            let after = retry_after(answer.headers(), now_ms).filter(|_| transient);
            let reason = status.canonical_reason().unwrap_or("no success");
            let target = place.map_or("the server", |place| place.target.as_str());
            let detail = format!("{target} answered {} {reason}", status.as_u16());
            let code = if status == StatusCode::TOO_MANY_REQUESTS { "rate-limited" } else { "http-status" };
            let error = FlowError::communication(detail)
                .with_status(status.as_u16())
                .with("response", failure_body(answer));
            Err(failed(error, code, transient, after))
        }
    }
}

/// Whether the same request may fare better later. 503 and its kin say so; a 500 does not, and what it did is not known.
fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `Retry-After` (RFC 9110, section 10.2.3), in milliseconds from now.
fn retry_after(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(u64::try_from(date.timestamp_millis()).ok()?.saturating_sub(now_ms))
}

/// Why nothing came back. Grants, addresses and certificates are the administrator's to know: those stand in the audit log.
fn unsent(error: &EgressError) -> (FlowError, Option<u64>) {
    let text = error.to_string();
    let error_of = match error {
        EgressError::Denied(_) | EgressError::ForbiddenAddress { .. } => FlowError::authorization(text).with(
            "hint",
            "an administrator grants it: factotum flow grant; the audit log says what is lacking",
        ),
        EgressError::TooMany { retry_after, .. } => {
            let after = retry_after.and_then(|after| u64::try_from(after.as_millis()).ok());
            return (FlowError::communication(text).with_status(429), after);
        }
        EgressError::InvalidRequest(_) => FlowError::validation(text),
        EgressError::TooLarge { .. } => FlowError::communication(text).with_status(413),
        EgressError::SecretMissing(_) | EgressError::SecretUnusable { .. } | EgressError::Setup(_) => {
            FlowError::configuration(text)
        }
        EgressError::LoginRefused { .. } => FlowError::authentication(text),
        EgressError::Unresolved { .. } | EgressError::Unreachable { .. } | EgressError::Tls { .. } => {
            FlowError::communication(text).with_status(503)
        }
        EgressError::Timeout { .. } => FlowError::timeout(text).with_status(504),
        EgressError::Protocol { .. } => FlowError::communication(text).with_status(502),
    };
    (error_of, None)
}

fn shaped(uri: &http::Uri, answer: &http::Response<bytes::Bytes>, shape: &Shape) -> Result<Value, String> {
    Ok(match shape.output {
        HttpOutput::Raw => STANDARD.encode(answer.body()).into(),
        HttpOutput::Content => content(answer)?,
        HttpOutput::Response => json!({
            "request": {
                "method": shape.method,
                "uri": uri.to_string(),
                "headers": fields(&shape.headers, &HIDDEN),
            },
            "statusCode": answer.status().as_u16(),
            "headers": fields(answer.headers(), &[]),
            "content": content(answer)?,
        }),
    })
}

/// Fields by their names in lower case; those that stand there more than once with commas between (RFC 9110, section 5.3).
fn fields(headers: &HeaderMap, without: &[HeaderName]) -> Map<String, Value> {
    let mut all = Map::new();
    for name in headers.keys().filter(|name| !without.contains(name)) {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        all.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    all
}

/// The body: parsed when its media type is JSON, else text; Base64 when it is not text.
fn content(answer: &http::Response<bytes::Bytes>) -> Result<Value, String> {
    let body = answer.body();
    let field = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type =
        field.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if body.is_empty() {
        return Ok(if media_type.starts_with("text/") { "".into() } else { Value::Null });
    }
    if media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json") {
        return serde_json::from_slice(body).map_err(|e| {
            format!("the answer says that it is JSON, and is not: line {}, column {}", e.line(), e.column())
        });
    }
    Ok(match std::str::from_utf8(body) {
        Ok(text) => text.into(),
        Err(_) => STANDARD.encode(body).into(),
    })
}

/// What the other side said of a failure, bounded: `{statusCode, content}`.
fn failure_body(answer: &http::Response<bytes::Bytes>) -> Value {
    let content = if answer.body().len() <= MAX_FAILURE_BYTES {
        content(answer).unwrap_or_else(|_| String::from_utf8_lossy(answer.body()).into())
    } else {
        let start = answer.body().get(..MAX_FAILURE_BYTES).unwrap_or_default();
        String::from_utf8_lossy(start).into()
    };
    json!({ "statusCode": answer.status().as_u16(), "content": content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{Place, Used};
    use bytes::Bytes;
    use std::time::Duration;

    fn answered(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Exchange {
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let answer = answer.body(Bytes::copy_from_slice(body)).unwrap();
        let uri: http::Uri = "https://a.test/x?q=1".parse().unwrap();
        let place = Place { method: "GET".into(), target: "https://a.test/x".into() };
        Exchange {
            used: vec![Used { place, outcome: Ok(status) }],
            result: Ok(Sent { uri, answer }),
            not_given: None,
            from: Default::default(),
            elapsed: Duration::ZERO,
        }
    }

    fn shape(output: HttpOutput, redirect: bool) -> Shape {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer x".parse().unwrap());
        headers.insert("x-a", "1".parse().unwrap());
        Shape { output, redirect, method: "GET".into(), headers }
    }

    fn give(exchange: &Exchange, output: HttpOutput) -> Value {
        outcome(exchange, &shape(output, false), 1, 0).unwrap()
    }

    #[test]
    fn an_answer_is_given_raw_as_content_or_whole() {
        let json =
            answered(200, &[("content-type", "application/problem+json; charset=utf-8")], br#"{"a":[1]}"#);
        assert_eq!(give(&json, HttpOutput::Content), json!({"a": [1]}));
        assert_eq!(give(&json, HttpOutput::Raw), json!("eyJhIjpbMV19"));
        let whole = give(&json, HttpOutput::Response);
        assert_eq!(
            whole["request"],
            json!({"method": "GET", "uri": "https://a.test/x?q=1", "headers": {"x-a": "1"}}),
            "credentials are not repeated"
        );
        assert_eq!((&whole["statusCode"], &whole["content"]), (&json!(200), &json!({"a": [1]})));
        assert_eq!(whole["headers"]["content-type"], "application/problem+json; charset=utf-8");
        let text = answered(200, &[("content-type", "text/plain")], "Grüße".as_bytes());
        assert_eq!(give(&text, HttpOutput::Content), json!("Grüße"));
        let bytes = answered(200, &[("content-type", "image/png")], &[0xff, 0x00]);
        assert_eq!(give(&bytes, HttpOutput::Content), json!("/wA="));
        assert_eq!(give(&answered(204, &[], b""), HttpOutput::Content), Value::Null);
        assert_eq!(
            give(&answered(200, &[("content-type", "text/plain")], b""), HttpOutput::Content),
            json!("")
        );
    }

    #[test]
    fn json_that_is_none_is_an_error_and_quotes_nothing_of_it() {
        let broken = answered(200, &[("content-type", "application/json")], b"{\"name\": Jane");
        let (error, transient, _) = outcome(&broken, &shape(HttpOutput::Content, false), 1, 0).unwrap_err();
        assert!(
            !transient && error.status == 502 && !error.to_value().to_string().contains("Jane"),
            "{error}"
        );
    }

    #[test]
    fn a_status_that_is_no_success_is_an_error_with_it() {
        for (status, transient) in [
            (400, false),
            (404, false),
            (409, false),
            (408, true),
            (429, true),
            (500, false),
            (502, true),
            (503, true),
            (504, true),
        ] {
            let failed = answered(status, &[("retry-after", "7")], b"why");
            let (error, again, after) =
                outcome(&failed, &shape(HttpOutput::Content, false), 2, 0).unwrap_err();
            assert_eq!((error.status, again), (status, transient));
            assert_eq!(after, transient.then_some(7_000), "{status}");
            assert_eq!(error.extra["response"], json!({"statusCode": status, "content": "why"}));
            assert!(error.is_type("https://serverlessworkflow.io/spec/1.0.0/errors/communication"));
            assert_eq!(error.extra["attempts"], 2);
        }
        let moved = answered(302, &[("location", "/y")], b"");
        assert_eq!(outcome(&moved, &shape(HttpOutput::Content, false), 1, 0).unwrap_err().0.status, 302);
        assert!(outcome(&moved, &shape(HttpOutput::Content, true), 1, 0).is_ok());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let headers = |text: &str| HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&headers("120"), 0), Some(120_000));
        // RFC 9110, section 5.6.7: 784111777 seconds after the epoch.
        let date = headers("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(&date, 784_111_770_000), Some(7_000));
        assert_eq!(retry_after(&date, 784_111_780_000), Some(0));
        assert_eq!(retry_after(&headers("soon"), 0), None);
    }
}

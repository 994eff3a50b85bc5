//! `call: http`: a request of the flow's own.
//!
//! ```yaml
//! - getOrder:
//!     call: http
//!     with:
//!       method: get
//!       endpoint: { uri: 'https://shop.example.com/orders/{id}', authentication: { use: shop } }
//!       headers: { accept: application/json }
//!       query: { expand: '${ .expand }' }
//!       output: response
//! ```
//!
//! A status outside of 200 to 299 (to 399 with `redirect: true`) is a communication error with that status.

use super::with::With;
use super::{Around, Kind, Ran, flat, grants, idempotency};
use crate::FlowError;
use crate::auth::Policy;
use crate::decode::{At, Decoder, Object, shorten};
use crate::endpoint::{self, Endpoint};
use crate::expr::{self, Data, Expr, Template, is_expression};
use crate::reuse::Context;
use crate::run::{Halt, HttpCall, HttpOutput, Position, Run, Running, Scope, answered};
use crate::sites::HttpSite;
use crate::yaml::Kind as NodeKind;
use factotum_provenance::{Labels, Provenance};
use serde_json::{Map, Value};

/// A request.
#[derive(Debug)]
struct Http {
    method: String,
    endpoint: Endpoint,
    headers: Option<Template>,
    query: Option<Template>,
    body: Option<Template>,
    how: How,
}

/// What every request of a flow has.
#[derive(Debug)]
pub(super) struct How {
    pub key: Option<idempotency::Key>,
    pub output: HttpOutput,
    pub redirect: bool,
    pub host_retries: bool,
    pub metadata: Map<String, Value>,
}

const KEYS: [&str; 7] = ["method", "endpoint", "headers", "query", "body", "output", "redirect"];

pub(super) fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    own: Option<At<'_>>,
    base: Option<At<'_>>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let with = With::decode(d, &object.at, own, base, &KEYS)?;
    let method = with.required(d, "method").and_then(|at| method(d, &at));
    let place = with.required(d, "endpoint");
    let (endpoint, secrets) =
        cx.with_secrets(|cx| place.clone().and_then(|at| endpoint::decode(d, at, cx, around.vars)));
    let mut map = |key: &str| with.get(key).map(|at| members(d, &at, around));
    let (headers, query) = (map("headers"), map("query"));
    let body = with.get("body").map(|at| expr::template(d, &at, around.vars));
    let how = how(d, &with, around);
    let (place, endpoint) = (place?, endpoint?);
    let grants = grants::of_request(d, object)?;
    cx.https.push(HttpSite {
        path: object.at.path.clone(),
        line: place.node.mark.line,
        column: place.node.mark.column,
        method: method.clone(),
        endpoint: endpoint.uri.literal(),
        described: false,
        secrets,
        grants,
    });
    Some(Box::new(Http {
        method: method?,
        endpoint,
        headers: flat(headers)?,
        query: flat(query)?,
        body: flat(body)?,
        how: how?,
    }))
}

/// `output` and `redirect`.
pub(super) fn how(d: &mut Decoder<'_>, with: &With<'_>, around: &Around<'_>) -> Option<How> {
    let output = with.get("output").map(|at| match d.text(&at)? {
        "raw" => Some(HttpOutput::Raw),
        "content" => Some(HttpOutput::Content),
        "response" => Some(HttpOutput::Response),
        other => {
            let message = format!("\"{}\" is not an output", shorten(other, 40));
            d.error_hint(&at, message, "use raw, content or response");
            None
        }
    });
    let redirect = with.get("redirect").map(|at| d.flag(&at));
    let key = idempotency::decode(d, around)?;
    Some(How {
        key,
        output: flat(output)?.unwrap_or_default(),
        redirect: flat(redirect)?.unwrap_or(false),
        host_retries: !around.retried,
        metadata: around.metadata.clone(),
    })
}

fn method(d: &mut Decoder<'_>, at: &At<'_>) -> Option<String> {
    let text = d.text(at)?;
    let word = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    if !word {
        let message = format!("\"{}\" is not a method", shorten(text, 40));
        d.error_hint(at, message, "write it out, for example get or post; grants name methods");
        return None;
    }
    Some(text.to_ascii_uppercase())
}

fn members(d: &mut Decoder<'_>, at: &At<'_>, around: &Around<'_>) -> Option<Template> {
    match &at.node.kind {
        NodeKind::Map(entries) => {
            for entry in entries {
                d.text(&at.entry(entry))?;
            }
        }
        NodeKind::Text(text) if is_expression(text) => {}
        _ => {
            let message = format!("expected an object or an expression, found {}", at.node.describe());
            d.error_hint(at, message, "write `name: value` for each");
            return None;
        }
    }
    expr::template(d, at, around.vars)
}

/// The pairs of a header or query object; a list is repeated, null is left out.
pub(super) fn pairs(value: Value, what: &str) -> Result<Vec<(String, String)>, String> {
    let Value::Object(map) = value else {
        return Err(format!("{what} must be an object, not {}", shorten(&value.to_string(), 60)));
    };
    let mut pairs = Vec::with_capacity(map.len());
    for (key, value) in map {
        let values = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            other => vec![other],
        };
        for value in values {
            pairs.push((key.clone(), endpoint::scalar(&value, &format!("{what}.{key}"))?));
        }
    }
    Ok(pairs)
}

/// What is asked of the host, before it has a place.
pub(super) struct Request<'a> {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
    pub authentication: Option<&'a Policy>,
    pub output: HttpOutput,
    pub redirect: bool,
    pub from: Provenance,
}

/// Sends a request; the answer carries all that went in.
pub(super) async fn send(
    run: &Run<'_>,
    scope: &Scope<'_>,
    at: &Position,
    input: &Data,
    request: Request<'_>,
    how: &How,
) -> Result<Data, Halt> {
    let mut from = request.from;
    let authentication = match request.authentication {
        None => None,
        Some(policy) => {
            let (filled, labels) = policy.fill(run, input, scope)?;
            if !labels.is_empty() {
                from = from.with_member("authentication", labels.into());
            }
            Some(filled)
        }
    };
    let mut idempotency_key = None;
    if let Some(key) = &how.key {
        let (key, labels) = key.of(run, input, scope)?;
        from = from.with_member(idempotency::ARGUMENT, labels);
        idempotency_key = Some(key);
    }
    let call = HttpCall {
        idempotency_key,
        method: request.method,
        uri: request.uri,
        headers: request.headers,
        query: request.query,
        body: request.body,
        authentication: authentication.as_ref(),
        redirect: request.redirect,
        output: request.output,
        from,
        host_retries: how.host_retries,
        metadata: &how.metadata,
        deadline: scope.deadline(),
    };
    answered(run.fx.http(at, &call).await, call.from.total())
}

impl Http {
    fn pairs(
        template: Option<&Template>,
        what: &str,
        run: &Run<'_>,
        input: &Data,
        scope: &Scope<'_>,
    ) -> Result<(Vec<(String, String)>, Labels), Halt> {
        let Some(template) = template else { return Ok((Vec::new(), Labels::default())) };
        let value = run.fill(template, input, scope)?;
        let labels = value.labels();
        match pairs(value.into_value().map_err(Halt::Fault)?, what) {
            Ok(pairs) => Ok((pairs, labels)),
            Err(message) => Err(Halt::Fault(FlowError::expression(message).and_labels(&labels))),
        }
    }
}

impl Kind for Http {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let (uri, uri_from) = self.endpoint.uri.fill(run, &input, scope)?;
            let (headers, headers_from) = Http::pairs(self.headers.as_ref(), "headers", run, &input, scope)?;
            let (query, query_from) = Http::pairs(self.query.as_ref(), "query", run, &input, scope)?;
            let (body, body_from) = match &self.body {
                None => (None, Provenance::default()),
                Some(template) => {
                    let body = run.fill(template, &input, scope)?;
                    let from = body.provenance().clone();
                    (Some(body.into_value().map_err(Halt::Fault)?), from)
                }
            };
            let parts: [(&str, Provenance); 4] = [
                ("uri", uri_from.into()),
                ("headers", headers_from.into()),
                ("query", query_from.into()),
                ("body", body_from),
            ];
            let parts = parts.into_iter().filter(|(_, from)| !from.is_empty());
            let request = Request {
                method: self.method.clone(),
                uri,
                headers,
                query,
                body,
                authentication: self.endpoint.authentication.as_ref(),
                output: self.how.output,
                redirect: self.how.redirect,
                from: Provenance::object(parts.map(|(key, from)| (key.into(), from))),
            };
            send(run, scope, at, &input, request, &self.how).await.map(Ran::done)
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.endpoint.any_expr(test)
            || [&self.headers, &self.query, &self.body]
                .into_iter()
                .flatten()
                .any(|template| template.any(test))
            || self.how.key.as_ref().is_some_and(|key| key.any_expr(test))
    }
}

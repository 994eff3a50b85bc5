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

use super::compensate::{Plan, Undoes, Way, of_another_kind};
use super::with::With;
use super::{Around, Kind, Ran, flat, grants, idempotency};
use crate::FlowError;
use crate::auth::Policy;
use crate::decode::{At, Decoder, Object, shorten};
use crate::endpoint::{self, Endpoint};
use crate::expr::{self, Data, Expr, Template, is_expression};
use crate::reuse::Context;
use crate::run::{
    Authentication, Halt, HttpCall, HttpOutput, Position, Run, Running, Scope, Undoing, answered,
};
use crate::sites::HttpSite;
use crate::yaml::Kind as NodeKind;
use factotum_provenance::{Labels, Provenance};
use serde::{Deserialize, Deserializer, Serialize};
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

/// What is asked of the host, before it has a place. Where it comes from is not written down with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub output: HttpOutput,
    pub redirect: bool,
    #[serde(skip)]
    pub from: Provenance,
}

/// A body that is written down is there, also when it is null.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// How a request shows who it is, with the run's data in it, which are noted in `from`.
pub(super) fn shows(
    policy: Option<&Policy>,
    run: &Run<'_>,
    scope: &Scope<'_>,
    input: &Data,
    from: &mut Provenance,
) -> Result<Option<Authentication>, Halt> {
    let Some(policy) = policy else { return Ok(None) };
    let (filled, labels) = policy.fill(run, input, scope)?;
    if !labels.is_empty() {
        *from = std::mem::take(from).with_member("authentication", labels.into());
    }
    Ok(Some(filled))
}

impl How {
    /// The request's key, if the flow computes it; where it comes from is noted in `from`.
    pub fn key(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        input: &Data,
        from: &mut Provenance,
    ) -> Result<Option<String>, Halt> {
        let Some(key) = &self.key else { return Ok(None) };
        let (key, labels) = key.of(run, input, scope)?;
        *from = std::mem::take(from).with_member(idempotency::ARGUMENT, labels);
        Ok(Some(key))
    }
}

/// Sends a request; the answer carries all that went in.
pub(super) async fn send(
    run: &Run<'_>,
    at: &Position,
    request: Request,
    how: &How,
    way: Way,
) -> Result<Data, Halt> {
    let call = HttpCall {
        idempotency_key: request.key,
        method: request.method,
        uri: request.uri,
        headers: request.headers,
        query: request.query,
        body: request.body,
        authentication: request.authentication.as_ref(),
        redirect: request.redirect,
        output: request.output,
        from: request.from,
        host_retries: how.host_retries,
        metadata: &how.metadata,
        deadline: way.deadline,
    };
    let asked = match way.takes_back {
        true => run.fx.compensate(at, &Undoing::Http(&call)).await,
        false => run.fx.http(at, &call).await,
    };
    answered(asked, call.from.total())
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

    /// The request for this input.
    fn request(&self, run: &Run<'_>, scope: &Scope<'_>, input: &Data) -> Result<Request, Halt> {
        let (uri, uri_from) = self.endpoint.uri.fill(run, input, scope)?;
        let (headers, headers_from) = Http::pairs(self.headers.as_ref(), "headers", run, input, scope)?;
        let (query, query_from) = Http::pairs(self.query.as_ref(), "query", run, input, scope)?;
        let (body, body_from) = match &self.body {
            None => (None, Provenance::default()),
            Some(template) => {
                let body = run.fill(template, input, scope)?;
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
        let mut from = Provenance::object(parts.map(|(key, from)| (key.into(), from)));
        let authentication = shows(self.endpoint.authentication.as_ref(), run, scope, input, &mut from)?;
        let key = self.how.key(run, scope, input, &mut from)?;
        let (output, redirect) = (self.how.output, self.how.redirect);
        let method = self.method.clone();
        Ok(Request { method, uri, headers, query, body, authentication, key, output, redirect, from })
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
            let request = self.request(run, scope, &input)?;
            let way = Way { deadline: scope.deadline(), takes_back: false };
            send(run, at, request, &self.how, way).await.map(Ran::done)
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

    fn undoes(self: Box<Self>) -> Option<Box<dyn Undoes>> {
        Some(self)
    }
}

impl Undoes for Http {
    fn name(&self) -> String {
        match self.endpoint.uri.literal() {
            Some(uri) => format!("{} {uri}", self.method),
            None => format!("{} (an endpoint that the flow computes)", self.method),
        }
    }

    fn plan(&self, run: &Run<'_>, scope: &Scope<'_>, input: &Data) -> Result<Plan, Halt> {
        self.request(run, scope, input).map(Plan::Http)
    }

    fn carry_out<'a>(
        &'a self,
        run: &'a Run<'a>,
        at: &'a Position,
        plan: Plan,
        way: Way,
    ) -> Running<'a, Data> {
        Box::pin(async move {
            let Plan::Http(request) = plan else { return Err(of_another_kind()) };
            send(run, at, request, &self.how, way).await
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        Kind::any_expr(self, test)
    }
}

//! `call: openapi`: a request that an OpenAPI document (3.x, or Swagger 2.0) describes.
//!
//! ```yaml
//! - findPets:
//!     call: openapi
//!     with:
//!       document: { endpoint: 'https://petstore.example.com/v2/swagger.json' }
//!       operationId: findPetsByStatus
//!       parameters: { status: available }
//! ```
//!
//! The document is a request of its own, recorded like every other, so that a replay sees the same one. What it says is
//! data like any answer's: the request that comes out goes through the same grants. `body` in `parameters` is the request's
//! body; without it, what is neither path, query, header nor cookie is its members.

use super::http::{self, How, Request};
use super::with::With;
use super::{Around, Kind, Ran, flat, grants};
use crate::auth::{self, Policy};
use crate::decode::{At, Decoder, Object, shorten};
use crate::endpoint::{self, Endpoint};
use crate::expr::{self, Data, Expr, Template};
use crate::reuse::Context;
use crate::run::{Halt, HttpOutput, Position, Run, Running, Scope};
use crate::sites::HttpSite;
use crate::yaml::Kind as NodeKind;
use crate::{FlowError, operation, yaml};
use factotum_provenance::Provenance;
use serde_json::{Map, Value};

/// A call of a described operation.
#[derive(Debug)]
struct OpenApi {
    document: Endpoint,
    operation: String,
    parameters: Option<Template>,
    authentication: Option<Policy>,
    how: How,
}

const KEYS: [&str; 6] = ["document", "operationId", "parameters", "authentication", "output", "redirect"];

pub(super) fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    own: Option<At<'_>>,
    base: Option<At<'_>>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let with = With::decode(d, &object.at, own, base, &KEYS)?;
    let place = with.required(d, "document");
    let (document, mut secrets) = cx.with_secrets(|cx| {
        let resource = d.object(place.clone()?, &["name", "endpoint"])?;
        if let Some(name) = resource.get("name") {
            d.text(&name)?;
        }
        let at = d.required(&resource, "endpoint")?;
        endpoint::decode(d, at, cx, around.vars)
    });
    let operation = with.required(d, "operationId").and_then(|at| {
        let text = d.text(&at)?;
        if text.contains("${") {
            d.error_hint(&at, "an operation is named at deploy", "write its operationId out");
            return None;
        }
        Some(text.to_owned())
    });
    let parameters = with.get("parameters").map(|at| {
        if !matches!(at.node.kind, NodeKind::Map(_)) {
            d.error(&at, format!("expected an object, found {}", at.node.describe()));
            return None;
        }
        expr::template(d, &at, around.vars)
    });
    let (authentication, more) =
        cx.with_secrets(|cx| with.get("authentication").map(|at| auth::decode(d, at, cx, around.vars)));
    secrets.extend(more);
    secrets.sort_unstable();
    secrets.dedup();
    let how = http::how(d, &with, around);
    let (place, document) = (place?, document?);
    let grants = grants::of_request(d, object)?;
    cx.https.push(HttpSite {
        path: object.at.path.clone(),
        line: place.node.mark.line,
        column: place.node.mark.column,
        method: None,
        endpoint: document.uri.literal(),
        described: true,
        secrets,
        grants,
    });
    Some(Box::new(OpenApi {
        document,
        operation: operation?,
        parameters: flat(parameters)?,
        authentication: flat(authentication)?,
        how: how?,
    }))
}

/// The document as it came: parsed by the host when it is JSON, else text that may be YAML.
fn read(document: Value) -> Result<Value, String> {
    match document {
        Value::Object(_) => Ok(document),
        Value::String(text) => yaml::read(&text, "OpenAPI document")
            .map(|node| node.to_json())
            .map_err(|problem| problem.to_string()),
        other => Err(format!("expected an object, found {}", shorten(&other.to_string(), 40))),
    }
}

impl Kind for OpenApi {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let (uri, uri_from) = self.document.uri.fill(run, &input, scope)?;
            let from = match uri_from.is_empty() {
                true => Provenance::default(),
                false => Provenance::object([("uri".into(), uri_from.into())]),
            };
            let request = Request {
                method: "GET".into(),
                uri: uri.clone(),
                headers: vec![("accept".into(), "application/json, application/yaml;q=0.9".into())],
                query: Vec::new(),
                body: None,
                authentication: self.document.authentication.as_ref(),
                output: HttpOutput::Content,
                redirect: true,
                from,
            };
            let document = http::send(run, scope, &at.effect("document"), &input, request, &self.how).await?;
            let parameters = match &self.parameters {
                Some(template) => run.fill(template, &input, scope)?,
                None => Data::from(Value::Object(Map::new())),
            };
            let from = parameters.provenance().and(&document.labels());
            let labels = from.total();
            let fail = |error: FlowError| Halt::Fault(error.and_labels(&labels));
            let document = read(document.into_value().map_err(Halt::Fault)?)
                .map_err(|e| fail(FlowError::configuration(format!("{uri} is no OpenAPI document: {e}"))))?;
            let Value::Object(parameters) = parameters.into_value().map_err(Halt::Fault)? else {
                return Err(fail(FlowError::expression("`parameters` must be an object")));
            };
            let made = operation::request(&document, &uri, &self.operation, parameters).map_err(fail)?;
            let request = Request {
                method: made.method,
                uri: made.uri,
                headers: made.headers,
                query: made.query,
                body: made.body,
                authentication: self.authentication.as_ref(),
                output: self.how.output,
                redirect: self.how.redirect,
                from,
            };
            http::send(run, scope, at, &input, request, &self.how).await.map(Ran::done)
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.document.any_expr(test)
            || self.parameters.as_ref().is_some_and(|template| template.any(test))
            || self.how.key.as_ref().is_some_and(|key| key.any_expr(test))
            || self.authentication.as_ref().is_some_and(|policy| policy.any_expr(test))
    }
}

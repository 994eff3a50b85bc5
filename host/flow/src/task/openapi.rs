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

use super::compensate::{Plan, Undoes, Way, of_another_kind};
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

impl OpenApi {
    fn plan(&self, run: &Run<'_>, scope: &Scope<'_>, input: &Data) -> Result<Plan, Halt> {
        let (uri, uri_from) = self.document.uri.fill(run, input, scope)?;
        let mut document_from = match uri_from.is_empty() {
            true => Provenance::default(),
            false => Provenance::object([("uri".into(), uri_from.into())]),
        };
        let shown = self.document.authentication.as_ref();
        let authentication = http::shows(shown, run, scope, input, &mut document_from)?;
        let document = Request {
            method: "GET".into(),
            uri,
            headers: vec![("accept".into(), "application/json, application/yaml;q=0.9".into())],
            query: Vec::new(),
            body: None,
            authentication,
            key: self.how.key(run, scope, input, &mut document_from)?,
            output: HttpOutput::Content,
            redirect: true,
            from: document_from,
        };
        let parameters = match &self.parameters {
            Some(template) => run.fill(template, input, scope)?,
            None => Data::from(Value::Object(Map::new())),
        };
        let mut from = parameters.provenance().clone();
        let parameters = parameters.into_value().map_err(Halt::Fault)?;
        let authentication = http::shows(self.authentication.as_ref(), run, scope, input, &mut from)?;
        let key = self.how.key(run, scope, input, &mut from)?;
        Ok(Plan::OpenApi { document, parameters, authentication, key, from })
    }

    async fn send(&self, run: &Run<'_>, at: &Position, plan: Plan, way: Way) -> Result<Data, Halt> {
        let Plan::OpenApi { document, parameters, authentication, key, from } = plan else {
            return Err(of_another_kind());
        };
        let uri = document.uri.clone();
        let document = http::send(run, &at.effect("document"), document, &self.how, way).await?;
        let from = from.and(&document.labels());
        let labels = from.total();
        let fail = |error: FlowError| Halt::Fault(error.and_labels(&labels));
        let document = read(document.into_value().map_err(Halt::Fault)?)
            .map_err(|e| fail(FlowError::configuration(format!("{uri} is no OpenAPI document: {e}"))))?;
        let Value::Object(parameters) = parameters else {
            return Err(fail(FlowError::expression("`parameters` must be an object")));
        };
        let made = operation::request(&document, &uri, &self.operation, parameters).map_err(fail)?;
        let request = Request {
            method: made.method,
            uri: made.uri,
            headers: made.headers,
            query: made.query,
            body: made.body,
            authentication,
            key,
            output: self.how.output,
            redirect: self.how.redirect,
            from,
        };
        http::send(run, at, request, &self.how, way).await
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
            let plan = OpenApi::plan(self, run, scope, &input)?;
            let way = Way { deadline: scope.deadline(), takes_back: false };
            self.send(run, at, plan, way).await.map(Ran::done)
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.document.any_expr(test)
            || self.parameters.as_ref().is_some_and(|template| template.any(test))
            || self.how.key.as_ref().is_some_and(|key| key.any_expr(test))
            || self.authentication.as_ref().is_some_and(|policy| policy.any_expr(test))
    }

    fn undoes(self: Box<Self>) -> Option<Box<dyn Undoes>> {
        Some(self)
    }
}

impl Undoes for OpenApi {
    fn name(&self) -> String {
        let document = self.document.uri.literal();
        let document = document.as_deref().unwrap_or("a document that the flow computes the place of");
        format!("{} of {document}", self.operation)
    }

    fn plan(&self, run: &Run<'_>, scope: &Scope<'_>, input: &Data) -> Result<Plan, Halt> {
        OpenApi::plan(self, run, scope, input)
    }

    fn carry_out<'a>(
        &'a self,
        run: &'a Run<'a>,
        at: &'a Position,
        plan: Plan,
        way: Way,
    ) -> Running<'a, Data> {
        Box::pin(self.send(run, at, plan, way))
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        Kind::any_expr(self, test)
    }
}

//! Flows over the API: check, deploy, list, show, start.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use factotum_access::{Permission, Scope};
use factotum_flow::Severity;
use factotum_runtime::{FlowInfo, RunState, StartRun};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

use super::{
    App, Body, Problem,
    auth::Who,
    blocking,
    callers::Callers,
    plugins::idempotency_key,
    runs::{DiagramQuery, drawn},
};

/// A flow document.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The document, YAML or JSON.
    source: String,
    /// The file's name, for messages.
    #[serde(default = "unnamed")]
    file: String,
}

fn unnamed() -> String {
    "flow.yaml".into()
}

/// Checks a document without deploying it: syntax, names, expressions, and every call against the plugins' types.
#[utoipa::path(post, path = "/api/v1/flows/check", tag = "flows", security(("token" = ["flow.check"])), request_body = Document, responses(
    (status = 200, description = "It can be deployed.", body = serde_json::Value),
    (status = 422, description = "It cannot; `problems` says where and why.", body = Problem),
))]
pub async fn check(
    State(app): State<App>,
    Body(document): Body<Document>,
) -> Result<Json<FlowInfo>, Problem> {
    Ok(Json(checked(app, document.source, document.file).await?))
}

async fn checked(app: App, source: String, file: String) -> Result<FlowInfo, Problem> {
    let callers = app.callers.clone();
    let name = file.clone();
    let info = examined(app, source, file).await?;
    Ok(doubted(&callers, info, &name))
}

/// With what this host's own face makes doubtful.
fn doubted(callers: &Callers, mut info: FlowInfo, file: &str) -> FlowInfo {
    if info.mutual_tls && callers.tls().present().clients.is_none() {
        info.warnings.0.push(factotum_flow::Problem {
            severity: Severity::Warning,
            file: file.to_owned(),
            line: 1,
            column: 1,
            path: "/document/metadata/trigger/webhook/auth/mtls".into(),
            message:
                "this host trusts no authority for clients' certificates, so the webhook refuses everybody"
                    .into(),
            hint: Some(
                "an administrator names one in the configuration file: [tls] client-authorities".into(),
            ),
        });
    }
    info
}

async fn examined(app: App, source: String, file: String) -> Result<FlowInfo, Problem> {
    let unsound = |problems| {
        let detail = "the flow document is not sound";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-flow", detail)
            .with("problems", serde_json::to_value(problems).unwrap_or_default())
    };
    blocking(move || app.host.check_flow(&source, &file).map_err(unsound)).await
}

/// Deploys a document. New runs take it; running ones keep what they were started with.
#[utoipa::path(post, path = "/api/v1/flows", tag = "flows", security(("token" = ["flow.deploy"])), request_body = Document, responses(
    (status = 201, description = "Deployed.", body = serde_json::Value),
    (status = 422, description = "It cannot be; `problems` says where and why.", body = Problem),
))]
pub async fn deploy(
    State(app): State<App>,
    Extension(caller): Who,
    Body(document): Body<Document>,
) -> Result<(StatusCode, Json<FlowInfo>), Problem> {
    if *caller.scope() != Scope::Host {
        // The namespace stands in the document, so it must be read first.
        let info = checked(app.clone(), document.source.clone(), document.file.clone()).await?;
        caller.allow(Permission::FlowDeploy, Some(&info.namespace))?;
    }
    let info = app.host.deploy_flow(&caller.actor(), &document.source, &document.file).await?;
    Ok((StatusCode::CREATED, Json(doubted(&app.callers, info, &document.file))))
}

/// The deployed flows.
#[utoipa::path(get, path = "/api/v1/flows", tag = "flows", security(("token" = ["flow.read"])), responses(
    (status = 200, description = "The flows.", body = Vec<serde_json::Value>),
))]
pub async fn list(State(app): State<App>, Extension(caller): Who) -> Json<Vec<FlowInfo>> {
    let mut flows = app.host.flows();
    flows.retain(|flow| caller.sees(&flow.namespace));
    Json(flows)
}

/// One flow, with its document.
#[utoipa::path(get, path = "/api/v1/flows/{namespace}/{name}", tag = "flows", security(("token" = ["flow.read"])),
    params(("namespace" = String, Path, description = "Its namespace."), ("name" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The flow.", body = serde_json::Value),
        (status = 404, description = "There is none of that name.", body = Problem),
    ))]
pub async fn show(
    State(app): State<App>,
    Extension(caller): Who,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    caller.allow(Permission::FlowRead, Some(&namespace))?;
    let known = |flow: &FlowInfo| caller.sees(&flow.namespace);
    let info = app.host.flow(&namespace, &name).ok_or_else(|| unknown(&app, &namespace, &name, known))?;
    let source = app.host.deployment(&namespace, &name).map(|deployment| deployment.source().to_owned());
    Ok(Json(json!({ "info": info, "source": source })))
}

/// A flow as a diagram.
#[utoipa::path(get, path = "/api/v1/flows/{namespace}/{name}/diagram", tag = "flows", security(("token" = ["flow.read"])),
    params(("namespace" = String, Path, description = "Its namespace."), ("name" = String, Path, description = "Its name."), DiagramQuery),
    responses(
        (status = 200, description = "The diagram.", content_type = "image/svg+xml"),
        (status = 404, description = "There is none of that name.", body = Problem),
    ))]
pub async fn diagram(
    State(app): State<App>,
    Extension(caller): Who,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<DiagramQuery>,
) -> Result<Response, Problem> {
    caller.allow(Permission::FlowRead, Some(&namespace))?;
    let format = query.format()?;
    let known = |flow: &FlowInfo| caller.sees(&flow.namespace);
    let diagram = app.host.flow_diagram(&namespace, &name, format);
    Ok(drawn(diagram.ok_or_else(|| unknown(&app, &namespace, &name, known))?, format))
}

/// How to start a run.
#[derive(Deserialize, IntoParams)]
pub struct StartQuery {
    /// Wait for the run's end, at most so many seconds (up to 300).
    wait: Option<u64>,
}

/// Starts a run with the body as its input.
#[utoipa::path(post, path = "/api/v1/flows/{namespace}/{name}/runs", tag = "flows", security(("token" = ["flow.run"])),
    params(("namespace" = String, Path, description = "Its namespace."), ("name" = String, Path, description = "Its name."), StartQuery,
        ("idempotency-key" = Option<String>, Header, description = "A second request with the same key gets the first one's run.")),
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "The run ended; with `wait`.", body = serde_json::Value),
        (status = 202, description = "The run is on disk and goes on.", body = serde_json::Value),
        (status = 404, description = "There is no such flow.", body = Problem),
        (status = 422, description = "The input does not fit the flow's schema.", body = Problem),
        (status = 429, description = "As many runs wait for their turn as the flow's limits let wait; come back after Retry-After.", body = Problem),
        (status = 503, description = "Too many runs wait for their turn.", body = Problem),
    ))]
pub async fn start(
    State(app): State<App>,
    Extension(caller): Who,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<StartQuery>,
    headers: HeaderMap,
    Body(input): Body<Value>,
) -> Result<Response, Problem> {
    caller.allow(Permission::FlowRun, Some(&namespace))?;
    if app.host.flow(&namespace, &name).is_none() {
        return Err(unknown(&app, &namespace, &name, |flow| caller.sees(&flow.namespace)));
    }
    let request = StartRun {
        actor: caller.actor(),
        flow: format!("{namespace}/{name}"),
        input,
        dedupe_key: idempotency_key(&headers)?,
        trigger: "api".into(),
    };
    let started = match query.wait {
        None => app.host.start_run(request).await?,
        Some(seconds) => {
            let timeout = Duration::from_secs(seconds.min(300));
            match app.host.start_and_wait(request, timeout).await? {
                (_, Some(info)) if info.state != RunState::Running => {
                    let shown = app.host.masked_info(&info).await?;
                    return Ok(Json(&*shown).into_response());
                }
                (started, _) => started,
            }
        }
    };
    Ok((StatusCode::ACCEPTED, Json(started)).into_response())
}

/// There is no flow of that name. `shown` are those that the asker may know of.
pub fn unknown(app: &App, namespace: &str, name: &str, shown: impl Fn(&FlowInfo) -> bool) -> Problem {
    let known: Vec<String> = app
        .host
        .flows()
        .into_iter()
        .filter(shown)
        .map(|info| format!("{}/{}", info.namespace, info.name))
        .take(20)
        .collect();
    let asked: String = format!("{namespace}/{name}").chars().take(160).collect();
    Problem::new(StatusCode::NOT_FOUND, "unknown-flow", format!("there is no flow {asked:?}")).hint(
        if known.is_empty() {
            "deploy one: factotum flow deploy FILE".into()
        } else {
            format!("there are {}", known.join(", "))
        },
    )
}

//! Runs over the API, and the artifacts they leave.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use factotum_access::{Permission, Scope};
use factotum_runtime::{ArtifactContent, DiagramFormat, RunDetail, RunPage, RunQuery, RunState};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{App, Problem, auth::Who, blocking};

/// Which runs to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only this flow's, `namespace/name`.
    flow: Option<String>,
    /// Only those in this state: `running`, `queued`, `waiting`, `completed`, `faulted`, `cancelled`, `stuck`, `suspended`.
    state: Option<String>,
    /// Only those whose clocks are in this state: `running`, `warned`, `paused`, `breached`, `met`, `stopped`.
    sla: Option<String>,
    /// At most so many, up to 1000; 50 when absent.
    #[serde(default)]
    limit: usize,
    /// Where the page before ended: its `cursor`.
    cursor: Option<String>,
}

/// A page of runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", security(("token" = ["run.list"])), params(ListQuery), responses(
    (status = 200, description = "The page.", body = serde_json::Value),
    (status = 400, description = "The query is not one.", body = Problem),
))]
pub async fn list(
    State(app): State<App>,
    Extension(caller): Who,
    Query(query): Query<ListQuery>,
) -> Result<Json<RunPage>, Problem> {
    let state = query.state.map(|text| parse_state(&text)).transpose()?;
    let sla = query.sla.map(|text| text.parse().map_err(Problem::bad_request)).transpose()?;
    if let Some(flow) = &query.flow {
        caller.allow(Permission::RunList, Some(namespace_of(flow)))?;
    }
    let within = match caller.scope() {
        Scope::Host => None,
        Scope::Namespaces(names) => Some(names.clone()),
    };
    let (flow, limit, cursor) = (query.flow, query.limit, query.cursor);
    let query = RunQuery { flow, state, sla, within, limit, cursor };
    let mut page = app.host.runs(&query)?;
    if !caller.role().has(Permission::RunRead) {
        // Both are made of the message, so they may hold a customer's data.
        for run in &mut page.runs {
            (run.dedupe_key, run.reason, run.queued) = (None, None, None);
        }
    }
    Ok(Json(page))
}

pub fn namespace_of(flow: &str) -> &str {
    flow.split_once('/').map_or(flow, |(namespace, _)| namespace)
}

fn parse_state(text: &str) -> Result<RunState, Problem> {
    RunState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let all = RunState::ALL.map(RunState::as_str).join(", ");
        Problem::bad_request(format!("state is one of {all}"))
    })
}

/// One run with its history. What its flow calls sensitive is masked.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", security(("token" = ["run.read"])),
    params(("id" = String, Path, description = "The run's identifier.")),
    responses(
        (status = 200, description = "The run.", body = serde_json::Value),
        (status = 404, description = "There is none of that identifier.", body = Problem),
    ))]
pub async fn show(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
) -> Result<Json<RunDetail>, Problem> {
    let info = app.host.run_info(&id)?.ok_or_else(|| unknown(&id))?;
    caller.allow(Permission::RunRead, Some(namespace_of(&info.flow)))?;
    let detail = app.host.run_masked(&id).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(detail))
}

/// How to draw a diagram.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DiagramQuery {
    /// `svg` or `mermaid`; `svg` when absent.
    format: Option<String>,
}

impl DiagramQuery {
    /// The format that is asked for.
    pub fn format(&self) -> Result<DiagramFormat, Problem> {
        self.format.as_deref().map_or(Ok(DiagramFormat::Svg), str::parse).map_err(Problem::bad_request)
    }
}

/// A diagram as an answer. People wrote what stands in it: the browser must not run it.
pub fn drawn(diagram: String, format: DiagramFormat) -> Response {
    let mut response = diagram.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// The flow of a run as a diagram, with the path that the run took.
#[utoipa::path(get, path = "/api/v1/runs/{id}/diagram", tag = "runs", security(("token" = ["run.read"])),
    params(("id" = String, Path, description = "The run's identifier."), DiagramQuery),
    responses(
        (status = 200, description = "The diagram.", content_type = "image/svg+xml"),
        (status = 404, description = "There is none of that identifier.", body = Problem),
    ))]
pub async fn diagram(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
    Query(query): Query<DiagramQuery>,
) -> Result<Response, Problem> {
    let info = app.host.run_info(&id)?.ok_or_else(|| unknown(&id))?;
    caller.allow(Permission::RunRead, Some(namespace_of(&info.flow)))?;
    let format = query.format()?;
    Ok(drawn(app.host.run_diagram(&id, format).await?, format))
}

/// There is no such run.
pub fn unknown(id: &str) -> Problem {
    let shown: String = id.chars().take(80).collect();
    Problem::new(StatusCode::NOT_FOUND, "unknown-run", format!("there is no run {shown:?}"))
        .hint("factotum run list shows the newest")
}

/// An artifact's bytes.
#[utoipa::path(get, path = "/api/v1/artifacts/{id}", tag = "runs", security(("token" = ["run.read"])),
    params(("id" = String, Path, description = "The artifact's identifier.")),
    responses(
        (status = 200, description = "The bytes, as a download.", content_type = "application/octet-stream"),
        (status = 404, description = "There is none of that identifier.", body = Problem),
    ))]
pub async fn artifact(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let shown: String = id.chars().take(80).collect();
    let found = blocking(move || {
        let Some(found) = app.host.artifact(&id)? else { return Ok(None) };
        if *caller.scope() != Scope::Host {
            // An artifact belongs where its run does; one of a direct call belongs to the whole host.
            let run = found.info.run.as_deref().map(|run| app.host.run(run)).transpose()?.flatten();
            caller.allow(Permission::RunRead, run.as_ref().map(|run| namespace_of(&run.info.flow)))?;
        }
        Ok(Some(found))
    });
    let found = found.await?;
    let Some(ArtifactContent { info, content }) = found else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-artifact",
            format!("there is no artifact {shown:?}"),
        ));
    };
    // A plugin chose name and type: the browser must neither run it nor trust it.
    let name: String =
        info.name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"));
    let media_type = HeaderValue::from_str(&info.media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = content.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    Ok(response)
}

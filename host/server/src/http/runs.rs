//! Runs over the API, and the artifacts they leave.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use factotum_runtime::{ArtifactContent, RunDetail, RunPage, RunQuery, RunState};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{App, Problem};

/// Which runs to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only this flow's, `namespace/name`.
    flow: Option<String>,
    /// Only those in this state: `running`, `waiting`, `completed`, `faulted`, `cancelled`, `stuck`.
    state: Option<String>,
    /// At most so many, up to 1000; 50 when absent.
    #[serde(default)]
    limit: usize,
    /// Where the page before ended: its `cursor`.
    cursor: Option<String>,
}

/// A page of runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", security(("token" = [])), params(ListQuery), responses(
    (status = 200, description = "The page.", body = serde_json::Value),
    (status = 400, description = "The query is not one.", body = Problem),
))]
pub async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Result<Json<RunPage>, Problem> {
    let state = query.state.map(|text| parse_state(&text)).transpose()?;
    let query = RunQuery { flow: query.flow, state, limit: query.limit, cursor: query.cursor };
    Ok(Json(app.host.runs(&query)?))
}

fn parse_state(text: &str) -> Result<RunState, Problem> {
    RunState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let all = RunState::ALL.map(RunState::as_str).join(", ");
        Problem::bad_request(format!("state is one of {all}"))
    })
}

/// One run with its history.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", security(("token" = [])),
    params(("id" = String, Path, description = "The run's identifier.")),
    responses(
        (status = 200, description = "The run.", body = serde_json::Value),
        (status = 404, description = "There is none of that identifier.", body = Problem),
    ))]
pub async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<RunDetail>, Problem> {
    let shown: String = id.chars().take(80).collect();
    app.host.run(&id)?.map(Json).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "unknown-run", format!("there is no run {shown:?}"))
            .hint("factotum run list shows the newest")
    })
}

/// An artifact's bytes.
#[utoipa::path(get, path = "/api/v1/artifacts/{id}", tag = "runs", security(("token" = [])),
    params(("id" = String, Path, description = "The artifact's identifier.")),
    responses(
        (status = 200, description = "The bytes, as a download.", content_type = "application/octet-stream"),
        (status = 404, description = "There is none of that identifier.", body = Problem),
    ))]
pub async fn artifact(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let shown: String = id.chars().take(80).collect();
    let found = tokio::task::spawn_blocking(move || app.host.artifact(&id)).await.map_err(|error| {
        tracing::error!("reading an artifact: {error}");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the host failed at this; its log says why",
        )
    })??;
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

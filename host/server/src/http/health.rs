//! Liveness, readiness, and the state of the host.

use axum::{Json, extract::State, http::StatusCode};
use factotum_runtime::Status;

use super::{App, Problem};

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It lives.")))]
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether the host takes work.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "It takes work."),
    (status = 503, description = "It does not, and why.", body = Problem),
))]
pub async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    let status = app.host.status();
    if status.ready {
        return Ok("ready\n");
    }
    let mut problem =
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the host takes no work at present");
    problem.retry_after = Some(2);
    Err(problem)
}

/// The state of the host: runs, queue, store, plugins.
#[utoipa::path(get, path = "/api/v1/status", tag = "health", security(("token" = ["status.read"])), responses(
    (status = 200, description = "The state.", body = serde_json::Value),
))]
pub async fn status(State(app): State<App>) -> Json<Status> {
    Json(app.host.status())
}

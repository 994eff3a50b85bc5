//! Notices over the API: what people of the host were not told by mail yet.

use axum::{
    Json,
    extract::{Query, State},
};
use factotum_runtime::UnsentNotice;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{App, Problem, blocking};

/// The most that are told at once.
const MAX: usize = 1_000;

/// How many to tell.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// At most so many; 100 when absent, 1000 at most.
    limit: Option<usize>,
}

/// Notices that were not mailed.
#[derive(Serialize)]
pub struct Notices {
    notices: Vec<UnsentNotice>,
}

/// The notices that were not mailed yet, with the reason of the last try, and those that were given up in the last week.
#[utoipa::path(get, path = "/api/v1/notices", tag = "mailboxes", security(("token" = ["notice.read"])), params(Asked), responses(
    (status = 200, description = "The notices, the oldest first.", body = serde_json::Value),
))]
pub async fn list(State(app): State<App>, Query(asked): Query<Asked>) -> Result<Json<Notices>, Problem> {
    let limit = asked.limit.unwrap_or(100).min(MAX);
    blocking(move || Ok(Json(Notices { notices: app.host.unsent_notices(limit)? }))).await
}

//! Learning over the API: a deployed flow is run on fixtures, and grants are proposed.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use factotum_runtime::{Fixtures, LearnRequest, Learned};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{App, Body, Problem, auth::Who, flows::unknown};

/// What to learn from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// An input for each run, at most 100.
    inputs: Vec<Value>,
    /// What the plugins' effects are answered with, TOML: see the documentation of learning mode.
    #[serde(default)]
    fixtures: String,
    /// Only this plugin's grant is proposed.
    plugin: Option<String>,
}

/// Runs a deployed flow with every effect answered from fixtures and none of them done, and proposes the least grant for
/// each plugin that it calls, and for the flow's own requests.
#[utoipa::path(post, path = "/api/v1/flows/{namespace}/{name}/learn", tag = "plugins", security(("token" = ["plugin.grant"])),
    params(("namespace" = String, Path, description = "Its namespace."), ("name" = String, Path, description = "Its name.")),
    request_body = Lesson,
    responses(
        (status = 200, description = "How the runs went, and a grant for each plugin and for the flow itself, as TOML and in sentences.", body = serde_json::Value),
        (status = 400, description = "The fixtures cannot be read.", body = Problem),
        (status = 404, description = "There is no such flow.", body = Problem),
        (status = 503, description = "Another flow is being learned from.", body = Problem),
    ))]
pub async fn learn(
    State(app): State<App>,
    Extension(caller): Who,
    Path((namespace, name)): Path<(String, String)>,
    Body(lesson): Body<Lesson>,
) -> Result<Json<Learned>, Problem> {
    let deployment =
        app.host.deployment(&namespace, &name).ok_or_else(|| unknown(&app, &namespace, &name, |_| true))?;
    let fixtures = Fixtures::from_toml(&lesson.fixtures)
        .map_err(|problem| Problem::bad_request(format!("the fixtures cannot be read: {problem}")))?;
    let request = LearnRequest {
        source: deployment.source().to_owned(),
        file: deployment.file().to_owned(),
        inputs: lesson.inputs,
        fixtures,
        plugin: lesson.plugin,
    };
    Ok(Json(app.host.learn(&caller.actor(), request).await?))
}

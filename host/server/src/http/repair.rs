//! Repair over the API: runs are retried, one or many, cancelled, suspended, resumed.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_access::{Caller, Permission, Scope};
use factotum_runtime::{
    CancelRun, EditedPlugin, Fixtures, Intervened, ReplayRun, Replayed, Retried, RetriedRuns, RetryFlow,
    RetryRun, RetryRuns, RunFilter, RunState,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{App, Body, Problem, auth::Who, runs::namespace_of};

/// Which flow a retried run goes on with.
#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// The one that it was started with.
    #[default]
    Recorded,
    /// The one that is deployed now; its tasks are found again by their names.
    Deployed,
}

impl From<Version> for RetryFlow {
    fn from(version: Version) -> Self {
        match version {
            Version::Recorded => Self::Recorded,
            Version::Deployed => Self::Deployed,
        }
    }
}

/// How to retry a run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The task's execution to begin again at: a `key` of the run's history. The failed one when absent.
    from: Option<String>,
    /// With which flow: `recorded` or `deployed`.
    #[serde(default)]
    version: Version,
    /// Only tell what would be done.
    #[serde(default)]
    preview: bool,
}

/// Retries a run: it goes on from its failed task, or is done again from an earlier one on. What it did before that is not
/// repeated.
#[utoipa::path(post, path = "/api/v1/runs/{id}/retry", tag = "runs", security(("token" = ["run.control"])),
    params(("id" = String, Path, description = "The run's identifier.")), request_body = Retry,
    responses(
        (status = 200, description = "What is done again; nothing yet with `preview`.", body = serde_json::Value),
        (status = 404, description = "There is no such run.", body = Problem),
        (status = 409, description = "It does not stand where it can be retried, or that would change nothing.", body = Problem),
    ))]
pub async fn retry(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
    Body(retry): Body<Retry>,
) -> Result<Json<Retried>, Problem> {
    allowed(&app, &caller, &id)?;
    let request = RetryRun {
        actor: caller.actor(),
        run_id: id,
        from: retry.from,
        flow: retry.version.into(),
        preview: retry.preview,
    };
    Ok(Json(app.host.retry_run(request).await?))
}

/// Which runs to retry, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryMany {
    /// Only this flow's, `namespace/name`.
    flow: Option<String>,
    /// Those in this state: `faulted`, `stuck` or `cancelled`; `faulted` when absent.
    state: Option<String>,
    /// Only those that ended, or else started, then or later (RFC 3339).
    since: Option<String>,
    /// Only those that ended, or else started, before (RFC 3339).
    until: Option<String>,
    /// Only those whose reason contains this text.
    reason: Option<String>,
    /// From which task on; the failed one of each when absent.
    from: Option<String>,
    /// With which flow: `recorded` or `deployed`.
    #[serde(default)]
    version: Version,
    /// At most so many, 1 to 1000; the oldest first.
    cap: usize,
    /// Only count them, and tell what would be done.
    #[serde(default)]
    preview: bool,
}

/// Retries the runs that fit a filter, up to a cap.
#[utoipa::path(post, path = "/api/v1/runs/retry", tag = "runs", security(("token" = ["run.control"])), request_body = RetryMany,
    responses(
        (status = 200, description = "How many fit, were retried, were left, and cannot be.", body = serde_json::Value),
        (status = 400, description = "The filter or the cap is none.", body = Problem),
    ))]
pub async fn retry_many(
    State(app): State<App>,
    Extension(caller): Who,
    Body(many): Body<RetryMany>,
) -> Result<Json<RetriedRuns>, Problem> {
    if let Some(flow) = &many.flow {
        caller.allow(Permission::RunControl, Some(namespace_of(flow)))?;
    }
    let within = match caller.scope() {
        Scope::Host => None,
        Scope::Namespaces(names) => Some(names.clone()),
    };
    let state = many.state.map(|text| text.parse::<RunState>().map_err(Problem::bad_request)).transpose()?;
    let time = |name: &str, text: Option<String>| text.map(|text| moment(name, &text)).transpose();
    let filter = RunFilter {
        flow: many.flow,
        state,
        since: time("since", many.since)?,
        until: time("until", many.until)?,
        reason: many.reason,
        within,
    };
    let request = RetryRuns {
        actor: caller.actor(),
        filter,
        from: many.from,
        flow: many.version.into(),
        cap: many.cap,
        preview: many.preview,
    };
    Ok(Json(app.host.retry_runs(request).await?))
}

/// How to cancel a run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Why, for its history.
    reason: Option<String>,
    /// End it as it is: take nothing back.
    #[serde(default)]
    abort: bool,
    /// Only tell what would be taken back.
    #[serde(default)]
    preview: bool,
}

/// Cancels a run, and takes back what its tasks did as its flow says.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", security(("token" = ["run.control"])),
    params(("id" = String, Path, description = "The run's identifier.")), request_body = Cancel,
    responses(
        (status = 200, description = "Where it stands, and what is taken back.", body = serde_json::Value),
        (status = 202, description = "It ends as soon as the call in flight does.", body = serde_json::Value),
        (status = 404, description = "There is no such run.", body = Problem),
        (status = 409, description = "It is over.", body = Problem),
    ))]
pub async fn cancel(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
    Body(cancel): Body<Cancel>,
) -> Result<(StatusCode, Json<Intervened>), Problem> {
    allowed(&app, &caller, &id)?;
    let request = CancelRun {
        actor: caller.actor(),
        run_id: id,
        reason: cancel.reason,
        abort: cancel.abort,
        preview: cancel.preview,
    };
    Ok(answer(app.host.cancel_run(request).await?))
}

/// Why a run is to stand still.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// For its history.
    reason: Option<String>,
}

/// Has a run stand still before its next effect.
#[utoipa::path(post, path = "/api/v1/runs/{id}/suspend", tag = "runs", security(("token" = ["run.control"])),
    params(("id" = String, Path, description = "The run's identifier.")), request_body = Suspend,
    responses(
        (status = 200, description = "Where it stands.", body = serde_json::Value),
        (status = 202, description = "It stands still as soon as the call in flight ends.", body = serde_json::Value),
        (status = 404, description = "There is no such run.", body = Problem),
        (status = 409, description = "It does not go on by itself.", body = Problem),
    ))]
pub async fn suspend(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
    Body(suspend): Body<Suspend>,
) -> Result<(StatusCode, Json<Intervened>), Problem> {
    allowed(&app, &caller, &id)?;
    Ok(answer(app.host.suspend_run(&caller.actor(), &id, suspend.reason).await?))
}

/// Lets a run go on that stood still.
#[utoipa::path(post, path = "/api/v1/runs/{id}/resume", tag = "runs", security(("token" = ["run.control"])),
    params(("id" = String, Path, description = "The run's identifier.")),
    responses(
        (status = 200, description = "It goes on.", body = serde_json::Value),
        (status = 404, description = "There is no such run.", body = Problem),
        (status = 409, description = "It does not stand still.", body = Problem),
    ))]
pub async fn resume(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
) -> Result<Json<Intervened>, Problem> {
    allowed(&app, &caller, &id)?;
    Ok(Json(app.host.resume_run(&caller.actor(), &id).await?))
}

/// What to replay a run against.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The edited document, YAML or JSON; the deployed one when absent.
    source: Option<String>,
    /// Its file's name, for messages.
    #[serde(default = "unnamed")]
    file: String,
    /// A plugin that is called anew in place of the recorded answers.
    plugin: Option<ReplayPlugin>,
}

/// An edited plugin to replay a run with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayPlugin {
    /// The name under which it is installed and the flow calls it.
    name: String,
    /// The edited component, base64 (RFC 4648, section 4).
    wasm: String,
    /// What its effects are answered with, TOML: see the documentation of learning mode.
    #[serde(default)]
    fixtures: String,
}

fn unnamed() -> String {
    "flow.yaml".into()
}

/// Replays a run against an edited flow or plugin, with answers from its history, and from the plugin on fixtures. Does
/// nothing; tells where the two part. To hand in a plugin needs `plugin.manage` as well.
#[utoipa::path(post, path = "/api/v1/runs/{id}/replay", tag = "runs", security(("token" = ["run.control"])),
    params(("id" = String, Path, description = "The run's identifier.")), request_body = Replay,
    responses(
        (status = 200, description = "Where they part, and how each ends.", body = serde_json::Value),
        (status = 404, description = "There is no such run.", body = Problem),
        (status = 422, description = "The document is wrong; `problems` says where and why.", body = Problem),
    ))]
pub async fn replay(
    State(app): State<App>,
    Extension(caller): Who,
    Path(id): Path<String>,
    Body(replay): Body<Replay>,
) -> Result<Json<Replayed>, Problem> {
    allowed(&app, &caller, &id)?;
    let document = replay.source.map(|source| (source, replay.file));
    let plugin = match replay.plugin {
        None => None,
        Some(ReplayPlugin { name, wasm, fixtures }) => {
            caller.allow(Permission::PluginManage, None)?;
            let wasm = STANDARD
                .decode(&wasm)
                .map_err(|e| Problem::bad_request(format!("wasm is not base64: {e}")))?;
            let fixtures = Fixtures::from_toml(&fixtures)
                .map_err(|problem| Problem::bad_request(format!("the fixtures cannot be read: {problem}")))?;
            Some(EditedPlugin { name, wasm, fixtures })
        }
    };
    let request = ReplayRun { actor: caller.actor(), run_id: id, document, plugin };
    Ok(Json(app.host.replay_run(request).await?))
}

fn answer(done: Intervened) -> (StatusCode, Json<Intervened>) {
    (if done.pending { StatusCode::ACCEPTED } else { StatusCode::OK }, Json(done))
}

/// Whether the caller may control this run.
pub fn allowed(app: &App, caller: &Caller, id: &str) -> Result<(), Problem> {
    let info = app.host.run_info(id)?.ok_or_else(|| super::runs::unknown(id))?;
    caller.allow(Permission::RunControl, Some(namespace_of(&info.flow)))?;
    Ok(())
}

fn moment(name: &str, text: &str) -> Result<u64, Problem> {
    let time = chrono::DateTime::parse_from_rfc3339(text)
        .map_err(|e| Problem::bad_request(format!("{name} is no time (RFC 3339): {e}")))?;
    Ok(u64::try_from(time.timestamp_millis()).unwrap_or(0))
}

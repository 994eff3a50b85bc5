//! Webhooks: the outside starts a flow. Who it is and what it sends is checked before anything is kept.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use factotum_audit::Actor;
use factotum_egress::{ExposeSecret, Secrets};
use factotum_flow::{FlowError, Reply, WebhookAuth, WebhookTrigger};
use factotum_runtime::{RunInfo, RunState, StartRun, Started};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{
    App, Problem,
    auth::{TokenCheck, bearer},
    flows,
    plugins::idempotency_key,
    problem::unsupported_media_type,
};

/// The header that names the run an answer comes from.
const RUN: HeaderName = HeaderName::from_static("factotum-run");

/// Starts the flow with the body as its input. When this answers 2xx, the message is on disk.
#[utoipa::path(post, path = "/hooks/{namespace}/{flow}", tag = "hooks",
    params(
        ("namespace" = String, Path, description = "The flow's namespace."),
        ("flow" = String, Path, description = "The flow's name."),
        ("idempotency-key" = Option<String>, Header, description = "A second message with the same key gets the first one's answer."),
    ),
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "The flow's output, when the flow replies synchronously.", body = serde_json::Value),
        (status = 202, description = "The message is on disk; the run's id.", body = serde_json::Value),
        (status = 401, description = "The flow wants a token or a signature.", body = Problem),
        (status = 404, description = "There is no such flow, or it has no webhook.", body = Problem),
        (status = 413, description = "The body is too large.", body = Problem),
        (status = 415, description = "The body is not declared as JSON.", body = Problem),
        (status = 422, description = "The message does not fit the flow's input schema.", body = Problem),
        (status = 503, description = "Too many runs wait for their turn; come back after Retry-After.", body = Problem),
    ))]
pub async fn receive(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let deployment =
        app.host.deployment(&namespace, &name).ok_or_else(|| flows::unknown(&app, &namespace, &name))?;
    let trigger = deployment.flow.trigger().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no-webhook",
            format!("the flow {namespace}/{name} has no webhook"),
        )
        .hint("give it one: document.metadata.trigger.webhook")
    })?;
    let body = body.map_err(|rejection| body_problem(&rejection, app.max_hook_bytes))?;
    let flow = format!("{namespace}/{name}");
    if let Err(problem) = authenticate(trigger, &*app.secrets, &headers, &body) {
        app.audit_refusal(&format!("POST /hooks/{flow}")).await;
        return Err(problem);
    }
    let input = parse(&headers, &body)?;
    let dedupe_key = match idempotency_key(&headers)? {
        Some(key) => Some(key),
        None => dedupe_key(trigger, &headers, &input)?,
    };
    let actor = match trigger.auth {
        WebhookAuth::None => Actor::Anonymous,
        _ => Actor::Token(format!("webhook {flow}")),
    };
    let started =
        app.host.start_run(StartRun { actor, flow, input, dedupe_key, trigger: "webhook".into() }).await?;
    match trigger.reply {
        Reply::Async => Ok(accepted(&started)),
        Reply::Sync => reply(&app, &started, trigger.timeout).await,
    }
}

fn body_problem(rejection: &BytesRejection, limit: usize) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "input-too-large",
            format!("the body is larger than {limit} bytes"),
        )
        .hint("send large files elsewhere and their address here");
    }
    Problem::bad_request(rejection.body_text())
}

fn authenticate(
    trigger: &WebhookTrigger,
    secrets: &dyn Secrets,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    let missing = |name: &str| {
        tracing::error!(secret = name, "a webhook's secret is not set; its messages are refused");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-configured",
            "this webhook's secret is not set on the host",
        )
        .hint("an administrator sets it in the configuration file under [secrets]")
    };
    let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    match &trigger.auth {
        WebhookAuth::None => Ok(()),
        WebhookAuth::Bearer { secret } => {
            let secret = secrets.get(secret).ok_or_else(|| missing(secret))?;
            let check = TokenCheck::new(secret.expose_secret());
            match bearer(headers) {
                Some(token) if check.accepts(token) => Ok(()),
                _ => Err(refused("this webhook wants a valid Authorization: Bearer …")),
            }
        }
        WebhookAuth::Hmac { secret, header, prefix } => {
            let secret = secrets.get(secret).ok_or_else(|| missing(secret))?;
            let given = headers
                .get(header)
                .and_then(|value| value.to_str().ok())
                .and_then(|text| text.strip_prefix(prefix.as_deref().unwrap_or_default()))
                .and_then(|text| hex::decode(text).ok());
            let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
                .map_err(|_| missing("(empty)"))?;
            match given {
                Some(signature) if mac.chain_update(body).verify_slice(&signature).is_ok() => Ok(()),
                _ => Err(refused(&format!(
                    "this webhook wants the HMAC-SHA-256 of the body, in hexadecimal, in the header {header}"
                ))),
            }
        }
    }
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type != "application/json"
        && !(media_type.starts_with("application/") && media_type.ends_with("+json"))
    {
        return Err(unsupported_media_type());
    }
    serde_json::from_slice(body).map_err(|e| {
        Problem::bad_request(format!("the body is no JSON: {e}"))
            .hint("check it with a JSON tool; strings and member names stand in double quotes, in UTF-8")
    })
}

/// The key that the flow's own expression makes of the message.
fn dedupe_key(
    trigger: &WebhookTrigger,
    headers: &HeaderMap,
    body: &Value,
) -> Result<Option<String>, Problem> {
    let Some(dedupe) = &trigger.dedupe else { return Ok(None) };
    let headers: Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| !matches!(**name, header::AUTHORIZATION | header::COOKIE))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect();
    dedupe.key(&json!({ "body": body, "headers": headers })).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", {
            format!(
                "the flow's deduplication key cannot be made of this message: {}",
                error.detail.unwrap_or(error.title)
            )
        })
    })
}

fn accepted(started: &Started) -> Response {
    (StatusCode::ACCEPTED, [(RUN, run_header(&started.run_id))], Json(started)).into_response()
}

fn run_header(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("-"))
}

/// Waits for the run's end. A run that takes longer than the flow wants its callers to wait goes on without them.
async fn reply(app: &App, started: &Started, timeout: Duration) -> Result<Response, Problem> {
    let info = match app.host.wait_run(&started.run_id, timeout).await {
        Ok(info) => info,
        Err(error) if error.code.status() == 504 => return Ok(accepted(started)),
        Err(error) => return Err(error.into()),
    };
    let run = run_header(&info.id);
    match info.state {
        RunState::Completed => Ok(([(RUN, run)], Json(&info.output)).into_response()),
        RunState::Faulted => Ok(([(RUN, run)], faulted(&info)).into_response()),
        RunState::Cancelled | RunState::Stuck => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "run-not-completed",
            format!("the run {} is {}", info.id, info.state.as_str()),
        )
        .hint(format!("factotum run show {}", info.id))),
        _ => Ok(accepted(started)),
    }
}

/// A fault is the flow's own problem document; its status is kept where it can be one of an answer.
fn faulted(info: &RunInfo) -> Problem {
    let error = info.error.clone().unwrap_or_else(|| FlowError::runtime("the run faulted"));
    let status = StatusCode::from_u16(error.status)
        .ok()
        .filter(|s| s.is_client_error() || s.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = error.extra.get("code").and_then(Value::as_str).unwrap_or("run-faulted").to_owned();
    let mut problem =
        Problem::new(status, &code, error.detail.clone().unwrap_or_else(|| error.title.clone()));
    problem.type_ = error.type_.clone();
    problem.title = if error.title.is_empty() { problem.title } else { error.title.clone() };
    problem.hint = error.extra.get("hint").and_then(Value::as_str).map(str::to_owned);
    if let Some(instance) = &error.instance {
        problem = problem.with("instance", instance.clone());
    }
    problem.with("run_id", info.id.clone())
}

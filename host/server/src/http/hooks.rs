//! Webhooks: the outside starts a flow. Who it is and what it sends is checked before anything is kept.

use std::time::{Duration, SystemTime};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use factotum_access::{RefusalKind, Source};
use factotum_audit::Actor;
use factotum_egress::{ExposeSecret, SecretString};
use factotum_flow::{ClientName, FlowError, Reply, WebhookAuth, WebhookTrigger};
use factotum_runtime::{FlowInfo, RunInfo, RunState, StartRun, Started};
use serde_json::{Map, Value, json};

use super::{
    App, Problem,
    auth::{self, bearer},
    callers::{Origin, Shown},
    flows,
    plugins::idempotency_key,
    problem::unsupported_media_type,
    signatures::{Scheme, Unverified},
};
use crate::tls::{self, Fault};

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
        (status = 401, description = "The flow wants a token, a signature or a client's certificate.", body = Problem),
        (status = 403, description = "The client's certificate is not one that the flow takes.", body = Problem),
        (status = 404, description = "There is no such flow, or it has no webhook.", body = Problem),
        (status = 413, description = "The body is too large.", body = Problem),
        (status = 415, description = "The body is not declared as JSON.", body = Problem),
        (status = 422, description = "The message does not fit the flow's input schema.", body = Problem),
        (status = 429, description = "Too many failed attempts from there, or as many runs wait as the flow's limits let wait; come back after Retry-After.", body = Problem),
        (status = 503, description = "Too many runs wait for their turn; come back after Retry-After.", body = Problem),
        (status = 507, description = "The host's disk is nearly full; come back after Retry-After.", body = Problem),
    ))]
pub async fn receive(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let deployment = app.host.deployment(&namespace, &name).ok_or_else(|| {
        // Whoever asks may be anybody: only what the outside is meant to know.
        let hooked = |flow: &FlowInfo| {
            let found = app.host.deployment(&flow.namespace, &flow.name);
            found.is_some_and(|deployment| deployment.flow.trigger().is_some())
        };
        flows::unknown(&app, &namespace, &name, hooked)
    })?;
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
    authenticate(&app, trigger, &extensions, &headers, &body)?;
    let input = parse(&headers, &body)?;
    let dedupe_key = match idempotency_key(&headers)? {
        Some(key) => Some(key),
        None => match dedupe_key(trigger, &headers, &input)? {
            Some(key) => Some(key),
            None => Scheme::of(&trigger.auth).and_then(|(_, scheme)| scheme.delivery(&headers)),
        },
    };
    let actor = match trigger.auth {
        WebhookAuth::None => Actor::Anonymous,
        _ => Actor::Token(format!("webhook {flow}")),
    };
    let request = StartRun { actor, flow, input, dedupe_key, trigger: "webhook".into() };
    match trigger.reply {
        Reply::Async => Ok(accepted(&app.host.start_run(request).await?)),
        Reply::Sync => reply(&app, request, trigger.timeout).await,
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

/// Whether the message comes from whom the flow takes messages. While a secret is rotated, what is made with the value
/// before is accepted as well.
fn authenticate(
    app: &App,
    trigger: &WebhookTrigger,
    extensions: &Extensions,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    let source = auth::source(extensions);
    let refused = |shown: bool, wants: &str| {
        let kind = if shown { RefusalKind::Unknown } else { RefusalKind::Missing };
        let mut problem = Problem::from(app.access.refuse(kind, Actor::Anonymous, source));
        if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
            (problem.detail, problem.hint) = (Some(wants.to_owned()), None);
        }
        problem
    };
    match &trigger.auth {
        WebhookAuth::None => Ok(()),
        WebhookAuth::Mtls { clients } => certified(app, clients, extensions.get(), source),
        WebhookAuth::Bearer { secret } => {
            // People chose this one, so it must not be found by trying.
            app.access.permit(source)?;
            let given = bearer(headers);
            let accepted = values_of(app, secret)?;
            let matches = |token: &str| {
                accepted.iter().fold(false, |found, one| found | auth::same(one.expose_secret(), token))
            };
            if given.is_some_and(matches) {
                return Ok(());
            }
            Err(refused(given.is_some(), "this webhook wants a valid Authorization: Bearer …"))
        }
        signed => {
            let (secret, scheme) = Scheme::of(signed).ok_or_else(super::internal)?;
            let accepted = values_of(app, secret)?;
            match scheme.verify(headers, body, &accepted, SystemTime::now()) {
                Ok(()) => Ok(()),
                Err(Unverified { shown, wants }) => Err(refused(shown, &wants)),
            }
        }
    }
}

/// Whether the caller showed a certificate that the flow takes. It is checked here also when the handshake has done so: the
/// connection may be older than the certificate's end, or than a change of the authorities.
fn certified(
    app: &App,
    clients: &[ClientName],
    origin: Option<&Origin>,
    source: Source,
) -> Result<(), Problem> {
    let loaded = app.callers.tls().present();
    let Some(verifier) = &loaded.clients else {
        tracing::error!("a webhook wants clients' certificates, and no authority is trusted for them");
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-configured",
            "this webhook wants a client's certificate, and the host trusts no authority for these",
        )
        .hint("an administrator names one in the configuration file: [tls] client-authorities = [\"…\"]"));
    };
    let refused = |kind, certificate: Option<String>, detail: Option<String>| {
        let refusal = app.access.refuse(kind, Actor::Anonymous, source).certificate(certificate);
        let mut problem = Problem::from(refusal);
        if problem.retry_after.is_none() && detail.is_some() {
            problem.detail = detail;
        }
        problem
    };
    let chain = match origin.map(|origin| &origin.certificate) {
        None | Some(Shown::Nothing) => {
            let wants = "this webhook wants a client's certificate (mutual TLS), and none was shown";
            return Err(refused(RefusalKind::CertificateMissing, None, Some(wants.into())));
        }
        Some(Shown::Unreadable(problem)) => {
            return Err(refused(RefusalKind::CertificateUntrusted, None, Some((*problem).into())));
        }
        Some(Shown::Chain(chain)) => chain,
    };
    let own = chain.first().map(|own| hex::encode(tls::fingerprint(own)));
    match tls::check(verifier.as_ref(), chain, clients, SystemTime::now()) {
        Ok(()) => Ok(()),
        Err(Fault::Untrusted(why)) => Err(refused(RefusalKind::CertificateUntrusted, own, Some(why))),
        Err(Fault::NotListed) => {
            let shown = own.as_deref().unwrap_or_default();
            let detail = format!("this webhook does not list the client's certificate (SHA-256 {shown})");
            Err(refused(RefusalKind::CertificateNotListed, own, Some(detail)))
        }
    }
}

/// The values of a webhook's secret; at least one.
fn values_of(app: &App, name: &str) -> Result<Vec<SecretString>, Problem> {
    let values = app.host.secrets().accepted(name).unwrap_or_else(|error| {
        tracing::error!(%error, "a webhook's secret cannot be read");
        Vec::new()
    });
    if values.is_empty() {
        tracing::error!(secret = name, "a webhook's secret is not set; its messages are refused");
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-configured",
            "this webhook's secret is not set on the host",
        )
        .hint("an administrator sets it: factotum secret set, or [secrets] in the configuration file"));
    }
    Ok(values)
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

/// Starts the run and waits for its end. A run that takes longer than the flow wants its callers to wait goes on without them.
async fn reply(app: &App, request: StartRun, timeout: Duration) -> Result<Response, Problem> {
    let (started, end) = app.host.start_and_wait(request, timeout).await?;
    let Some(info) = end else { return Ok(accepted(&started)) };
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
        _ => Ok(accepted(&started)),
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

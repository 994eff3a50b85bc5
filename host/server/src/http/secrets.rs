//! Secrets over the API: set, rotate, list, remove, change the master key and the key of payloads. Values go in and never come out.

use std::time::Duration;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use factotum_secrets::{MAX_VALUE_BYTES, NewMaster, SecretError, SecretInfo, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem, auth::Who, blocking, rfc3339};

/// A secret as it may be shown: neither its value nor its length. Times are RFC 3339.
#[derive(Serialize, ToSchema)]
pub struct Secret {
    /// Its name.
    name: String,
    /// The number of the current value; 1 for the first.
    version: u32,
    /// When it was first set.
    created: String,
    /// When the current value was set.
    set: String,
    /// Who set the current value.
    by: String,
    /// Earlier values that webhooks still accept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted: Vec<Earlier>,
    /// Whether the configuration file names this secret as well: then its value is used, and not this one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    configured: bool,
}

/// An earlier value that is still accepted.
#[derive(Serialize, ToSchema)]
pub struct Earlier {
    /// Its number.
    version: u32,
    /// Until when.
    until: String,
}

/// The secrets, and the key they are sealed under.
#[derive(Serialize, ToSchema)]
pub struct Secrets {
    /// The secrets, by name.
    secrets: Vec<Secret>,
    /// The identity of the master key: a few digits of a hash.
    master_key: String,
    /// Where the master key comes from.
    source: String,
    /// The number of the key that stored payloads are sealed under.
    payload_key: u32,
    /// Grows by one with each change; the audit log has it in each entry of a change.
    revision: u64,
}

fn shown(app: &App, info: SecretInfo) -> Secret {
    let earlier =
        |one: &factotum_secrets::Accepted| Earlier { version: one.version, until: rfc3339(one.until) };
    Secret {
        configured: app.host.secrets().is_configured(&info.name),
        version: info.version,
        created: rfc3339(info.created),
        set: rfc3339(info.set),
        accepted: info.accepted.iter().map(earlier).collect(),
        name: info.name,
        by: info.by,
    }
}

/// Which secrets there are; never their values.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", security(("token" = ["secret.list"])), responses(
    (status = 200, description = "The secrets.", body = Secrets),
))]
pub async fn list(State(app): State<App>) -> Result<Json<Secrets>, Problem> {
    // The state waits for a change that is under way.
    let listed = blocking(move || {
        let sealed = app.host.secrets().sealed();
        let status = sealed.status();
        Ok(Secrets {
            secrets: sealed.list().into_iter().map(|info| shown(&app, info)).collect(),
            master_key: status.master_key.to_string(),
            source: status.source,
            payload_key: status.payload_key,
            revision: status.revision,
        })
    });
    Ok(Json(listed.await?))
}

/// How to set a secret.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SetQuery {
    /// Rotate: webhooks accept the value before for so many seconds more. Without it, the value before ends at once.
    overlap: Option<u64>,
}

/// Sets a secret, or rotates one. The body is the value itself, as UTF-8 text, every byte of it.
#[utoipa::path(put, path = "/api/v1/secrets/{name}", tag = "secrets", security(("token" = ["secret.manage"])),
    params(("name" = String, Path, description = "The secret's name: letters, digits, `-`, `_`, `.`; at most 64."), SetQuery),
    request_body(content = String, content_type = "text/plain", description = "The value: 1 to 65536 bytes."),
    responses(
        (status = 200, description = "It is set.", body = Secret),
        (status = 400, description = "The name or the value cannot be one.", body = Problem),
        (status = 404, description = "There is none to rotate.", body = Problem),
        (status = 413, description = "The value is too long.", body = Problem),
        (status = 415, description = "The body is not declared as plain text.", body = Problem),
    ))]
pub async fn set(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
    Query(query): Query<SetQuery>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Secret>, Problem> {
    let value = value(&headers, body)?;
    let set = blocking(move || {
        let sealed = app.host.secrets().sealed();
        let actor = caller.actor();
        let info = match query.overlap {
            None => sealed.set(&actor, &name, &value)?,
            Some(seconds) => sealed.rotate(&actor, &name, &value, Duration::from_secs(seconds))?,
        };
        Ok(shown(&app, info))
    });
    Ok(Json(set.await?))
}

/// The value of a request. No refusal repeats any of it.
fn value(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<SecretString, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    // A JSON document would be kept with its quotes and braces, and fail much later, where it is used.
    if !media_type.eq_ignore_ascii_case("text/plain") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "the body must be the value itself, declared as plain text",
        )
        .hint("send the header Content-Type: text/plain; charset=utf-8"));
    }
    let bytes = body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a secret has at most {MAX_VALUE_BYTES} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "input-too-large", detail)
        } else {
            Problem::bad_request("the body could not be read to its end")
        }
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Problem::bad_request("the value is not UTF-8 text")
            .hint("binary keys are kept in base64 or hexadecimal")
    })?;
    Ok(SecretString::from(text))
}

/// Removes a secret, and the only key that could open a copy of it.
#[utoipa::path(delete, path = "/api/v1/secrets/{name}", tag = "secrets", security(("token" = ["secret.manage"])),
    params(("name" = String, Path, description = "The secret's name.")),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "There is none of that name.", body = Problem),
    ))]
pub async fn remove(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(move || Ok(app.host.secrets().sealed().remove(&caller.actor(), &name)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The new master key.
#[derive(Serialize, ToSchema)]
pub struct Rotated {
    /// Its identity: a few digits of a hash.
    master_key: String,
}

/// Makes a new master key and seals everything under it: afterwards the old one opens nothing. For a host that keeps its
/// own key file; a key from elsewhere is changed there, and the old one named once under `previous-master-keys`.
// No source of a new key can be named here: one of them is a program to run, and that is the configuration's to say.
#[utoipa::path(post, path = "/api/v1/master-key/rotate", tag = "secrets", security(("token" = ["secret.manage"])), responses(
    (status = 200, description = "The new key's identity.", body = Rotated),
    (status = 409, description = "The master key is not the host's own to change.", body = Problem),
))]
pub async fn rotate_master(State(app): State<App>, Extension(caller): Who) -> Result<Json<Rotated>, Problem> {
    let rotated = blocking(move || {
        let key = app.host.secrets().sealed().rotate_master(&caller.actor(), &NewMaster::Fresh)?;
        Ok(Rotated { master_key: key.to_string() })
    });
    Ok(Json(rotated.await?))
}

/// The new key of payloads.
#[derive(Serialize, ToSchema)]
pub struct RotatedPayloadKey {
    /// Its number; 1 was the first.
    payload_key: u32,
}

/// Makes a new key that stored payloads (journals, values, artifacts, events) are sealed under from now on. What was
/// sealed before stays as it is and opens under its own key; all of them lie under the master key.
#[utoipa::path(post, path = "/api/v1/payload-key/rotate", tag = "secrets", security(("token" = ["secret.manage"])), responses(
    (status = 200, description = "The new key's number.", body = RotatedPayloadKey),
    (status = 409, description = "There are as many keys as there may be.", body = Problem),
))]
pub async fn rotate_payload_key(
    State(app): State<App>,
    Extension(caller): Who,
) -> Result<Json<RotatedPayloadKey>, Problem> {
    let rotated = blocking(move || {
        let payload_key = app.host.secrets().sealed().rotate_payload_key(&caller.actor())?;
        Ok(RotatedPayloadKey { payload_key })
    });
    Ok(Json(rotated.await?))
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        let (status, code) = match &error {
            SecretError::Name { .. } | SecretError::Value { .. } | SecretError::Overlap { .. } => {
                (StatusCode::BAD_REQUEST, "invalid-request")
            }
            SecretError::NotFound { .. } => (StatusCode::NOT_FOUND, "unknown-secret"),
            SecretError::TooMany | SecretError::TooManyVersions { .. } => {
                (StatusCode::CONFLICT, "too-many-secrets")
            }
            SecretError::NotOurFile { .. } | SecretError::SameMasterKey { .. } => {
                (StatusCode::CONFLICT, "conflict")
            }
            SecretError::TooManyPayloadKeys => (StatusCode::CONFLICT, "too-many-keys"),
            SecretError::Store(cause) => {
                tracing::error!("secrets: {cause}");
                return super::store_failed();
            }
            _ => {
                tracing::error!("secrets: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "secrets-failed")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

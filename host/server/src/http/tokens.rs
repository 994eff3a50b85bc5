//! API tokens over the API: give out, list, revoke, forget.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
};
use factotum_access::{AccessError, ExposeSecret, Role, Scope, TokenInfo, TokenRequest, TokenState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{App, Body, Problem, auth::Who, blocking, rfc3339};

/// A token to give out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its name, which the audit log shows for everything done with it: letters, digits, `-`, `_`, `.`; at most 64.
    name: String,
    /// What it may do: `admin`, `deployer`, `operator`, `agent` or `auditor`.
    role: String,
    /// The namespaces that it is confined to; the whole host when absent.
    namespaces: Option<BTreeSet<String>>,
    /// Its life, in seconds; until it is revoked when absent.
    expires_seconds: Option<u64>,
}

/// A token as it may be shown. Times are RFC 3339.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// Its name.
    name: String,
    /// A few digits of its digest, which the audit log has as well.
    id: String,
    /// What it may do.
    role: String,
    /// The namespaces that it is confined to; absent for the whole host.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespaces: Option<BTreeSet<String>>,
    /// `active`, `expired` or `revoked`.
    state: String,
    /// When it was given out.
    created: String,
    /// By whom.
    created_by: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
    /// By whom it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<String>,
    /// The hour in which it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<String>,
}

impl From<TokenInfo> for Token {
    fn from(info: TokenInfo) -> Self {
        let state = match info.state {
            TokenState::Active => "active",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        };
        let namespaces = match info.scope {
            Scope::Host => None,
            Scope::Namespaces(names) => Some(names),
        };
        Self {
            name: info.name,
            id: info.id,
            role: info.role.name().into(),
            namespaces,
            state: state.into(),
            created: rfc3339(info.created),
            created_by: info.created_by,
            expires: info.expires.map(rfc3339),
            revoked: info.revoked.map(rfc3339),
            revoked_by: info.revoked_by,
            last_used: info.last_used.map(rfc3339),
        }
    }
}

/// A token that was just given out.
#[derive(Serialize, ToSchema)]
pub struct Given {
    /// The token's text. It is kept nowhere and not shown again.
    token: String,
    /// What is kept of it.
    info: Token,
}

/// The tokens, ended ones included; never their texts.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", security(("token" = ["token.list"])), responses(
    (status = 200, description = "The tokens.", body = Vec<Token>),
))]
pub async fn list(State(app): State<App>) -> Json<Vec<Token>> {
    Json(app.access.list().into_iter().map(Token::from).collect())
}

/// Gives out a token. Its text is in this answer and never shown again.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", security(("token" = ["token.manage"])), request_body = NewToken, responses(
    (status = 201, description = "The token.", body = Given),
    (status = 400, description = "The name, role, namespaces or life cannot be one.", body = Problem),
    (status = 409, description = "The name is taken.", body = Problem),
))]
pub async fn create(
    State(app): State<App>,
    Extension(caller): Who,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<Given>), Problem> {
    let role: Role = new.role.parse().map_err(Problem::bad_request)?;
    let scope = new.namespaces.map_or(Scope::Host, Scope::Namespaces);
    let life = new.expires_seconds.map(Duration::from_secs);
    let request = TokenRequest { name: new.name, role, scope, life };
    let made = blocking(move || Ok(app.access.create(&caller.actor(), &request)?)).await?;
    let given = Given { token: made.token.expose_secret().to_owned(), info: made.info.into() };
    Ok((StatusCode::CREATED, Json(given)))
}

/// Revokes a token: from the next request on it is refused.
#[utoipa::path(post, path = "/api/v1/tokens/{name}/revoke", tag = "tokens", security(("token" = ["token.manage"])),
    params(("name" = String, Path, description = "The token's name.")),
    responses(
        (status = 200, description = "It is revoked.", body = Token),
        (status = 404, description = "There is none of that name.", body = Problem),
        (status = 409, description = "It is the last one that can administer the host.", body = Problem),
    ))]
pub async fn revoke(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
) -> Result<Json<Token>, Problem> {
    let info = blocking(move || Ok(app.access.revoke(&caller.actor(), &name)?)).await?;
    Ok(Json(info.into()))
}

/// Which ended tokens to forget.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// Those that expired or were revoked at least so many seconds ago.
    ended_seconds_ago: u64,
}

/// How many tokens were forgotten.
#[derive(Serialize, ToSchema)]
pub struct Pruned {
    /// So many.
    forgotten: usize,
}

/// Forgets tokens that ended; their names are free again. The audit log keeps what was done with them.
#[utoipa::path(post, path = "/api/v1/tokens/prune", tag = "tokens", security(("token" = ["token.manage"])), request_body = Prune, responses(
    (status = 200, description = "How many were forgotten.", body = Pruned),
))]
pub async fn prune(
    State(app): State<App>,
    Extension(caller): Who,
    Body(prune): Body<Prune>,
) -> Result<Json<Pruned>, Problem> {
    let ago = Duration::from_secs(prune.ended_seconds_ago);
    let forgotten = blocking(move || Ok(app.access.prune(&caller.actor(), ago)?)).await?;
    Ok(Json(Pruned { forgotten }))
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let (status, code) = match &error {
            AccessError::Exists { .. } => (StatusCode::CONFLICT, "token-exists"),
            AccessError::LastAdmin { .. } => (StatusCode::CONFLICT, "last-admin-token"),
            AccessError::NotFound { .. } => (StatusCode::NOT_FOUND, "unknown-token"),
            AccessError::TooMany => (StatusCode::CONFLICT, "too-many-tokens"),
            AccessError::Store(cause) => {
                tracing::error!("tokens: {cause}");
                return super::store_failed();
            }
            AccessError::Write(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store-failed"),
            _ => (StatusCode::BAD_REQUEST, "invalid-request"),
        };
        Self::new(status, code, error.to_string())
    }
}

//! Errors as problem documents (RFC 9457): what, where, and the mend.

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use factotum_access::Refusal;
use factotum_runtime::HostError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::auth::Refused;

/// A problem document (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem: `https://factotum.dev/problems/` and a stable code.
    #[serde(rename = "type")]
    pub type_: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The stable code, for programs.
    pub code: String,
    /// More for programs: problems of a flow document, missing grants, the run's id.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// When to come back, in seconds; also sent as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The refusal behind it, which the audit log is to have.
    #[serde(skip)]
    pub refusal: Option<Box<Refusal>>,
}

impl Problem {
    /// A problem of the given status and code.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            type_: format!("https://factotum.dev/problems/{code}"),
            title: title(code),
            status: status.as_u16(),
            detail: Some(detail.into()),
            hint: None,
            code: code.into(),
            more: Map::new(),
            retry_after: None,
            refusal: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a member for programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    /// The request is not one that this endpoint takes.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail)
    }
}

/// `unknown-flow` reads `Unknown flow`.
fn title(code: &str) -> String {
    let mut words = code.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        if let Some(cause) = error.cause() {
            tracing::error!(code = %error.code, "{error}: {cause}");
        }
        let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut problem = Self::new(status, error.code.as_str(), error.message.clone());
        problem.hint = error.hint.clone();
        problem.retry_after = error.retry_after.map(|after| after.as_secs().max(1));
        if let Some(problems) = &error.problems
            && let Ok(value) = serde_json::to_value(problems)
        {
            problem = problem.with("problems", value);
        }
        if let Some(detail) = error.detail.clone() {
            problem = problem.with("info", detail);
        }
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::FORBIDDEN);
        let mut problem = Self::new(status, refusal.code(), refusal.to_string()).hint(refusal.hint());
        problem.retry_after = refusal.retry_after();
        problem.refusal = Some(Box::new(refusal));
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (retry_after, refusal) = (self.retry_after, self.refusal.take());
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = refusal.as_ref().and_then(|refusal| refusal.challenge()) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(refusal) = refusal {
            response.extensions_mut().insert(Refused(refusal));
        }
        response
    }
}

/// A JSON body whose refusal is a problem document.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::<T>::from_request(request, state).await.map_err(|rejection| {
            let detail = rejection.body_text();
            match rejection {
                JsonRejection::MissingJsonContentType(_) => unsupported_media_type(),
                JsonRejection::BytesRejection(_) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "input-too-large", detail)
                }
                _ => {
                    Problem::bad_request(detail).hint("see /api/v1/openapi.json for what this endpoint takes")
                }
            }
        })?;
        Ok(Self(body))
    }
}

/// The body is not declared as JSON.
pub fn unsupported_media_type() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "the body must be JSON, declared as such",
    )
    .hint("send the header Content-Type: application/json")
}

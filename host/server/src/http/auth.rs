//! The API's door: who calls, and whether that one may use this endpoint at all.
//!
//! What an endpoint wants stands in its description, in the one place that also documents it:
//! `security(("token" = ["flow.read"]))`. The door reads it from there, so an endpoint that names no permission is open to
//! nobody. Where a permission holds for a namespace, the handler asks [`Caller::allow`] with the namespace as well.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    Extension,
    extract::{MatchedPath, Request, State},
    http::{Extensions, HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use factotum_access::{Access, Caller, PERMISSIONS, Permission, Refusal, Source};
use factotum_store::Batch;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::openapi::OpenApi;

use super::{App, Problem, callers::Origin};

/// The longest target in the audit entry of a refusal, in characters: strangers choose paths.
const MAX_TARGET: usize = 200;

/// Who calls, in a handler behind the door.
pub type Who = Extension<Caller>;

/// What each endpoint wants.
pub struct Permissions(HashMap<(String, Method), Permission>);

impl Permissions {
    /// What the description says.
    pub fn of(document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let mut permissions = HashMap::new();
        for (path, operations) in document.get("paths").and_then(|p| p.as_object()).into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let name = operation.pointer("/security/0/token/0").and_then(|name| name.as_str());
                let permission = PERMISSIONS.iter().find(|row| Some(row.name) == name);
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
                if let (Some(row), Ok(method)) = (permission, method) {
                    permissions.insert((path.clone(), method), row.permission);
                }
            }
        }
        Self(permissions)
    }

    fn of_endpoint(&self, path: &str, method: &Method) -> Option<Permission> {
        // An endpoint that answers GET answers HEAD (RFC 9110, section 9.3.2).
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(path.to_owned(), method)).copied()
    }
}

/// What the door needs to know.
#[derive(Clone)]
pub struct Door {
    /// The tokens.
    pub access: Access,
    /// What each endpoint wants.
    pub permissions: Arc<Permissions>,
}

/// Lets a request through whose token has the endpoint's permission, and tells the handler who it is.
pub async fn enter(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    match admit(&door, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn admit(door: &Door, request: &Request) -> Result<Caller, Problem> {
    let caller = door.access.authenticate(bearer(request.headers()), source(request.extensions()))?;
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(permission) = door.permissions.of_endpoint(path, request.method()) else {
        tracing::error!(path, method = %request.method(), "this endpoint names no permission, so nobody may use it");
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "no-permission-defined",
            "this endpoint names no permission, so nobody may use it",
        )
        .hint("this is a defect of the host; please report it"));
    };
    caller.allow_list(permission)?;
    Ok(caller)
}

/// A refusal on its way to the audit log, in the extensions of the answer.
#[derive(Clone)]
pub struct Refused(pub Box<Refusal>);

/// Audits whatever was refused further in, before the answer leaves.
pub async fn audit_refusals(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    let Some(Refused(refusal)) = response.extensions_mut().remove::<Refused>() else { return response };
    let target: String = format!("{method} {}", uri.path()).chars().take(MAX_TARGET).collect();
    if let Some(entry) = refusal.entry(app.host.audit(), &target) {
        let mut batch = Batch::new();
        entry.add_to(&mut batch);
        if let Err(error) = app.host.store().commit(batch).await {
            tracing::error!("a refusal could not be audited: {error}");
        }
    }
    response
}

/// Where a request comes from. Without a known origin, all such requests count as one source.
pub fn source(extensions: &Extensions) -> Source {
    let origin = extensions.get::<Origin>();
    origin.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |origin| origin.address).into()
}

/// The bearer token of a request (RFC 6750, section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether two texts are the same. How long it takes does not tell where they differ.
pub fn same(one: &str, other: &str) -> bool {
    let digest = |text: &str| -> [u8; 32] { Sha256::digest(text.as_bytes()).into() };
    digest(one).ct_eq(&digest(other)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_is_the_same() {
        assert!(same("secret", "secret"));
        assert!(!same("secret", "Secret") && !same("secret", "") && !same("secret", "secret "));
    }

    #[test]
    fn bearer_tokens_are_found() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        headers.insert(header::AUTHORIZATION, "bearer abc".parse().unwrap());
        assert_eq!(bearer(&headers), Some("abc"));
        headers.insert(header::AUTHORIZATION, "Basic abc".parse().unwrap());
        assert_eq!(bearer(&headers), None);
    }

    #[test]
    fn every_endpoint_behind_the_door_names_a_permission() {
        let document = super::super::openapi();
        let permissions = Permissions::of(&document);
        let document = serde_json::to_value(&document).unwrap();
        let mut open = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, _) in operations.as_object().unwrap() {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
                if permissions.of_endpoint(path, &method).is_none() {
                    open.push(format!("{method} {path}"));
                }
            }
        }
        open.sort();
        assert_eq!(open, ["GET /healthz", "GET /readyz", "POST /hooks/{namespace}/{flow}"]);
    }
}

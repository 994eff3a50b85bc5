//! Who may use the API: the bearer of the admin token.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use factotum_audit::Actor;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{App, Problem};

/// The token, kept only as its digest.
pub struct TokenCheck([u8; 32]);

impl TokenCheck {
    /// A check for `token`.
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether `candidate` is the token. Takes the same time for every wrong one.
    pub fn accepts(&self, candidate: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(candidate.as_bytes()).into();
        digest.ct_eq(&self.0).into()
    }
}

/// The bearer token of a request (RFC 6750, section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The actor of everything done with the admin token.
pub fn admin() -> Actor {
    Actor::Token("admin".into())
}

/// Lets a request through that bears the token, and audits the refusal of every other.
pub async fn require_token(State(app): State<App>, request: Request, next: Next) -> Response {
    if bearer(request.headers()).is_some_and(|token| app.token.accepts(token)) {
        return next.run(request).await;
    }
    let target = format!("{} {}", request.method(), request.uri().path());
    app.audit_refusal(&target).await;
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "this needs a valid token")
        .hint("send Authorization: Bearer …; the first start left the admin token in the data folder's file admin.token")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_accepted() {
        let check = TokenCheck::new("secret");
        assert!(check.accepts("secret"));
        assert!(!check.accepts("Secret") && !check.accepts("") && !check.accepts("secret "));
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
}

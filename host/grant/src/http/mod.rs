//! Which HTTP requests a plugin may send.

mod body;
mod check;
mod observe;
mod query;
mod rule;
mod secret;
mod signing;
mod wire;

pub use check::{
    HttpBody, HttpRequest, HttpTarget, Permit, check_http, check_request, check_request_as,
    check_request_with,
};
pub use observe::Unlearnable;
pub(crate) use observe::without_contained;
pub use rule::{HttpRule, RuleError};
pub use secret::{Credential, CredentialPlace, Inject, InjectPlace, SecretPlace, SecretUse};
pub use signing::{OauthClient, SignatureEncoding, Signing};
pub(crate) use wire::{MAX_LIST, rules_toml};

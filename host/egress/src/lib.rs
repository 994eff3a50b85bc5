//! The one door out over HTTP: policy, resolve, check every address, pin, inject secrets, send, bound the answer.
//!
//! Whoever wants to send a request hands it to [`Egress::send_under`] together with the policy it is sent under. The order is
//! fixed, and each step works on what the step before it made, never on the caller's own text again:
//!
//! 1. The target is made normal (WHATWG URL); odd ones are refused. What is checked is what is sent.
//! 2. A rule must allow all of it: scheme, host, port, method, path, query keys, body fields, size ([`Policy::check`]);
//!    and there must be a place left of its rate and concurrency ([`Policy::begin`]).
//! 3. The caller's header fields are cleaned: see [`HEADER_RULES`].
//! 4. The host is resolved, inside of the connector, and every address is checked. One bad address refuses them all. The
//!    connection goes to the very addresses that were checked, so a name that answers differently a moment later
//!    (DNS rebinding) gains nothing. Addresses written as such are checked the same way.
//! 5. Secrets are put in, marked sensitive, or work for the request: they sign its body, or fetch its access token, over this
//!    same way out. Log lines are written before this, and none after it shows a header.
//! 6. One exchange: no redirects, no proxies from the environment, no retries, TLS 1.2 or newer, verified.
//! 7. The answer is bounded (bytes after decompression, header fields, time), and echoes of the secrets are removed.
//!
//! This crate knows no engine, no store and no flows.

mod address;
mod body;
mod client;
mod digest;
mod error;
mod login;
mod login_token;
mod oauth;
mod policy;
mod redirect;
mod request;
mod resolve;
mod secret;
mod sign;
mod tls;

pub use address::{AddressKind, classify};
/// For implementing [`Resolve`].
pub use async_trait::async_trait;
pub use client::{Egress, EgressConfig, Limits};
pub use error::EgressError;
pub use login::{Login, Part, Way};
pub use login_token::{OAuth2, OAuthGrant};
pub use policy::{Hold, Policy, Rules};
pub use redirect::{Redirect, redirected};
pub use request::{HEADER_RULES, MAX_HEADER_BYTES, MAX_HEADERS, look_at};
pub use resolve::{Resolve, SystemResolver};
pub use secret::{NoSecrets, Secrets};

/// Secrets in memory: wiped on drop, and `Debug` shows none.
pub use secrecy::{ExposeSecret, SecretString};

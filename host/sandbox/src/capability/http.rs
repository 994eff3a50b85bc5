//! `wasi:http/outgoing-handler`: every request goes to the one door out, under this plugin's rules.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use factotum_egress::{EgressError, Limits};
use factotum_grant::Capability;
use http_body_util::{BodyExt, Full, Limited};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::{UseOutcome, plugin::Identity, state::Uses};

/// The most bytes of a request's body.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// The most bytes of an answer's body.
const MAX_RESPONSE_BYTES: u64 = 16 << 20;

/// What the HTTP library asks when a guest sends a request.
pub(crate) struct Hooks {
    pub(crate) identity: Arc<Identity>,
    pub(crate) deadline: Instant,
    pub(crate) uses: Uses,
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Io), Error>;

impl WasiHttpHooks for Hooks {
    /// The door out sets the header from the URL; a second one from here would have to be checked against it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _written: Io,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let identity = Arc::clone(&self.identity);
        let uses = self.uses.clone();
        let timeout = self.timeout(options);
        Box::new(async move { send(&identity, &uses, request, timeout).await })
    }
}

impl Hooks {
    /// What is left of the call's time, or the guest's own shorter wish.
    fn timeout(&self, options: Option<RequestOptions>) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        options.and_then(|o| o.first_byte_timeout).map_or(left, |wish| wish.min(left))
    }
}

async fn send(
    identity: &Identity,
    uses: &Uses,
    request: http::Request<WasiBody>,
    timeout: Duration,
) -> Answer {
    let (parts, body) = request.into_parts();
    let action = parts.method.to_string();
    // Without the query: it may hold a customer's data.
    let target = format!(
        "{}://{}{}",
        parts.uri.scheme_str().unwrap_or_default(),
        parts.uri.authority().map_or("", http::uri::Authority::as_str),
        parts.uri.path()
    );
    let body = Limited::new(body, MAX_REQUEST_BYTES)
        .collect()
        .await
        .map_err(|_| Error::HttpRequestBodySize(Some(MAX_REQUEST_BYTES as u64)))?
        .to_bytes();
    let limits = Limits {
        max_request_bytes: MAX_REQUEST_BYTES as u64,
        max_response_bytes: MAX_RESPONSE_BYTES,
        timeout,
    };
    let request = http::Request::from_parts(parts, body);
    match identity.backends.egress.send(&identity.grants.http, request, &limits).await {
        Ok(response) => {
            uses.add(Capability::Http, &action, &target, UseOutcome::Ok);
            Ok((response.map(answer_body), Box::new(std::future::ready(Ok(())))))
        }
        Err(error) => {
            match error.denial() {
                Some(denial) => uses.deny(&identity.name, &action, &target, &denial),
                None => {
                    tracing::debug!(plugin = identity.name, "{action} {target}: {error}");
                    uses.add(
                        Capability::Http,
                        &action,
                        &target,
                        UseOutcome::Failed { code: error.code().into() },
                    );
                }
            }
            Err(to_guest(&error))
        }
    }
}

fn answer_body(bytes: Bytes) -> WasiBody {
    Full::new(bytes).map_err(Error::from).boxed_unsync()
}

/// The guest learns what kind of failure it was. Addresses, rules and certificates are the administrator's to know.
fn to_guest(error: &EgressError) -> Error {
    match error {
        EgressError::Denied(_) => Error::HttpRequestDenied,
        EgressError::ForbiddenAddress { .. } => Error::DestinationIpProhibited,
        EgressError::InvalidRequest(_) => Error::HttpRequestUriInvalid,
        EgressError::Unresolved { .. } => Error::DnsError { rcode: None, info_code: None },
        EgressError::Unreachable { .. } => Error::DestinationUnavailable,
        EgressError::Tls { .. } => Error::TlsProtocolError,
        EgressError::Timeout { .. } => Error::HttpResponseTimeout,
        EgressError::TooLarge { limit, .. } => Error::HttpResponseBodySize(Some(*limit)),
        EgressError::Protocol { .. } => Error::HttpProtocolError,
        EgressError::SecretMissing(_) | EgressError::SecretUnusable { .. } | EgressError::Setup(_) => {
            Error::ConfigurationError
        }
    }
}

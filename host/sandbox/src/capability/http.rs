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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView,
    p2::{
        bindings::http::{outgoing_handler, types},
        types::{HostFutureIncomingResponse, HostOutgoingRequest},
    },
};

use crate::{
    UseOutcome,
    data::Data,
    right::{Carrying, Right},
    state::{State, Uses},
};

/// The most bytes of a request's body.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// The most bytes of an answer's body.
const MAX_RESPONSE_BYTES: u64 = 16 << 20;

/// The most requests of one call that are under way, or whose answers it holds unread. Times the sizes above, this is
/// what a call can make the host keep.
const MAX_OPEN: usize = 8;

/// What the HTTP library asks when a guest sends a request.
pub(crate) struct Hooks {
    right: Right,
    data: Data,
    deadline: Instant,
    uses: Uses,
    open: Arc<Semaphore>,
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
        let right = self.right.clone();
        let (uses, data) = (self.uses.clone(), self.data.clone());
        let timeout = self.timeout(options);
        // Refused, not queued: a guest that holds its answers would wait for itself.
        let Ok(place) = Arc::clone(&self.open).try_acquire_owned() else {
            let outcome = UseOutcome::Failed { code: "too-many-requests".into() };
            uses.add(Capability::Http, request.method().as_str(), &target(request.uri()), outcome);
            return Box::new(std::future::ready(Err(Error::ConnectionLimitReached)));
        };
        Box::new(async move { send(&right, &data, &uses, request, timeout, place).await })
    }
}

impl Hooks {
    pub(crate) fn new(right: Right, data: Data, deadline: Instant, uses: Uses) -> Self {
        Self { right, data, deadline, uses, open: Arc::new(Semaphore::new(MAX_OPEN)) }
    }

    /// What is left of the call's time, or the guest's own shorter wish.
    fn timeout(&self, options: Option<RequestOptions>) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        options.and_then(|o| o.first_byte_timeout).map_or(left, |wish| wish.min(left))
    }
}

/// Links `wasi:http/outgoing-handler`. The library's own `handle` takes the request's options over and then forgets them
/// in the table of handles, so that a call could send only so many requests; here they are let go of.
pub(crate) fn add_outgoing_handler(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Params = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
    type Answer = Result<Resource<HostFutureIncomingResponse>, types::ErrorCode>;
    // Any 0.2: the linker takes versions that are compatible for one another.
    linker.instance("wasi:http/outgoing-handler@0.2.0")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>, (request, options): Params| {
            let mut http = store.data_mut().http();
            let forgotten =
                options.as_ref().map(|options| Resource::<RequestOptions>::new_own(options.rep()));
            let answer: Answer = match outgoing_handler::Host::handle(&mut http, request, options) {
                Ok(future) => Ok(future),
                Err(error) => Err(types::Host::convert_error_code(&mut http, error)?),
            };
            if let Some(options) = forgotten {
                http.table.delete(options)?;
            }
            Ok((answer,))
        },
    )
}

async fn send(
    right: &Right,
    data: &Data,
    uses: &Uses,
    request: http::Request<WasiBody>,
    timeout: Duration,
    place: OwnedSemaphorePermit,
) -> Answer {
    let (parts, body) = request.into_parts();
    let action = parts.method.to_string();
    let target = target(&parts.uri);
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
    let identity = &right.identity;
    // The right, and what the call has read, as they are when the request is whole and about to go.
    let policy = Carrying { now: right.now(), data: data.carried() };
    match identity.backends.egress.send(&policy, request, &limits).await {
        Ok(response) => {
            uses.add(Capability::Http, &action, &target, UseOutcome::Ok);
            Ok((response.map(|bytes| answer_body(bytes, place)), Box::new(std::future::ready(Ok(())))))
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

/// The place is free again when the guest has read the body, or let it go.
fn answer_body(bytes: Bytes, place: OwnedSemaphorePermit) -> WasiBody {
    Full::new(bytes)
        .map_err(move |never| {
            let _held = &place;
            Error::from(never)
        })
        .boxed_unsync()
}

/// Where a request goes, without the query: it may hold a customer's data.
fn target(uri: &http::Uri) -> String {
    format!(
        "{}://{}{}",
        uri.scheme_str().unwrap_or_default(),
        uri.authority().map_or("", http::uri::Authority::as_str),
        uri.path()
    )
}

/// The guest learns what kind of failure it was. Addresses, rules and certificates are the administrator's to know.
fn to_guest(error: &EgressError) -> Error {
    match error {
        EgressError::Denied(_) => Error::HttpRequestDenied,
        EgressError::TooMany { .. } => Error::ConnectionLimitReached,
        EgressError::ForbiddenAddress { .. } => Error::DestinationIpProhibited,
        EgressError::InvalidRequest(_) => Error::HttpRequestUriInvalid,
        EgressError::Unresolved { .. } => Error::DnsError { rcode: None, info_code: None },
        EgressError::Unreachable { .. } => Error::DestinationUnavailable,
        EgressError::Tls { .. } => Error::TlsProtocolError,
        EgressError::Timeout { .. } => Error::HttpResponseTimeout,
        EgressError::TooLarge { limit, .. } => Error::HttpResponseBodySize(Some(*limit)),
        EgressError::Protocol { .. } => Error::HttpProtocolError,
        EgressError::SecretMissing(_)
        | EgressError::SecretUnusable { .. }
        | EgressError::LoginRefused { .. }
        | EgressError::Setup(_) => Error::ConfigurationError,
    }
}

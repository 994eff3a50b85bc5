//! Sends one request under its rules, in the fixed order that the crate's head describes.

use std::{
    error::Error as _,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use factotum_grant::HttpRule;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Host;

use crate::{
    EgressError, MAX_HEADERS, Policy, Resolve, Rules, Secrets, classify,
    login::Presented,
    login_token::LoginTokens,
    oauth::Tokens,
    request::{self, MAX_HEADER_BYTES, Target},
    resolve::{Checked, Refused},
    secret::{self, Outgoing, Scrubber},
    tls,
};

/// How the door is built.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// PEM files with the certificates of private authorities, trusted beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
    /// The longest a connection may take, name and TLS included.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            extra_roots: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// The bounds of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the request's body.
    pub max_request_bytes: u64,
    /// The most bytes of the answer's body, after decompression.
    pub max_response_bytes: u64,
    /// The longest the whole exchange may take, from the resolver to the last byte.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_request_bytes: 16 << 20, max_response_bytes: 16 << 20, timeout: Duration::from_secs(30) }
    }
}

/// The door out. Cheap to share; one for the whole host.
pub struct Egress {
    /// Two clients, so that a connection that was made into a private network is never taken from the pool for a
    /// request that may not go there.
    public: reqwest::Client,
    private: reqwest::Client,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) tokens: Tokens,
    pub(crate) logins: LoginTokens,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

impl Egress {
    /// Builds the door.
    ///
    /// # Errors
    /// [`EgressError::Setup`] for certificates that cannot be read.
    pub fn new(
        config: EgressConfig,
        resolver: Arc<dyn Resolve>,
        secrets: Arc<dyn Secrets>,
    ) -> Result<Self, EgressError> {
        let tls = tls::config(&config.extra_roots)?;
        let client = |private_network| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Checked { inner: Arc::clone(&resolver), private_network })
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(config.connect_timeout)
                .pool_idle_timeout(config.idle_timeout)
                .pool_max_idle_per_host(32)
                .http1_max_headers(MAX_HEADERS)
                .http2_max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
                .build()
                .map_err(|e| EgressError::Setup(root_cause(&e)))
        };
        Ok(Self {
            public: client(false)?,
            private: client(true)?,
            secrets,
            tokens: Tokens::default(),
            logins: LoginTokens::default(),
        })
    }

    /// Sends `request` when one of `rules` allows all of it. See [`Egress::send_under`] and [`Rules`].
    ///
    /// # Errors
    /// See [`EgressError`]. Nothing was sent when [`EgressError::is_denial`].
    pub async fn send(
        &self,
        rules: &[HttpRule],
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        self.send_under(&Rules(rules), request, limits).await
    }

    /// Sends `request` when `policy` allows it, and brings the whole answer. An answer with an error status is an answer,
    /// and so is a redirect: neither is followed or turned into an error. The rule's own budgets hold beside `limits`.
    ///
    /// Of the answer's header, fields about the connection are left out, and `Content-Length` is that of the body as
    /// returned (except for HEAD).
    ///
    /// # Errors
    /// See [`EgressError`]. Nothing was sent when [`EgressError::is_denial`].
    pub async fn send_under(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        self.send_presenting(policy, request, Presented::default(), limits).await
    }

    /// Sends `request` when `policy` allows it with the secrets of `presented`, which is put in.
    pub(crate) async fn send_presenting(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        presented: Presented<'_>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let (parts, body) = request.into_parts();
        let target = request::target(&parts.uri)?;
        request::check_method(&parts.method)?;
        if body.len() as u64 > limits.max_request_bytes {
            return Err(EgressError::TooLarge {
                what: "the request's body",
                limit: limits.max_request_bytes,
            });
        }
        let permit = request::as_checked(&parts.method, &target, &parts.headers, &body, |whole| {
            policy.check_as(whole, presented.names)
        })?;
        let rule = permit.rule;
        let headers = request::headers(&parts.headers, &target, body.len())?;
        // A pattern such as *.example.com may match names that the administrator never thought of, so it never opens
        // the private network.
        let private_network = rule.may_be_private();
        check_literal(&target, private_network)?;
        let limits = &Limits {
            max_response_bytes: limits.max_response_bytes.min(rule.max_response_bytes),
            ..limits.clone()
        };
        let _held = policy.begin(&permit)?;
        tracing::debug!(
            method = %parts.method, scheme = target.url.scheme(), host = %target.host, port = target.port,
            bytes = body.len(), "outgoing HTTP request"
        );
        let mut sent = Outgoing { url: target.url, headers, body };
        let begun = Instant::now();
        secret::present(rule, &presented, &mut sent)?;
        let mut used = self.inject(rule, &mut sent, limits).await?;
        used.secrets.extend(presented.hidden);
        let scrubber = Scrubber::new(&used.secrets);
        // A token that had to be fetched took of the same time.
        let limits = &Limits { timeout: limits.timeout.saturating_sub(begun.elapsed()), ..limits.clone() };
        let Outgoing { url, mut headers, body } = sent;
        if scrubber.is_active() {
            // A secret echoed in pieces, a range each, would pass unseen. A server may answer with the whole (RFC 9110,
            // section 14.2), so whoever asks for a range is ready for that.
            headers.remove(header::RANGE);
            headers.remove(header::IF_RANGE);
        }

        let mut outgoing = reqwest::Request::new(parts.method.clone(), url);
        *outgoing.headers_mut() = headers;
        if !body.is_empty() {
            *outgoing.body_mut() = Some(body.into());
        }
        let client = if private_network { &self.private } else { &self.public };
        let exchange = exchange(client, outgoing, &target.host, limits);
        let (status, headers, body) = tokio::time::timeout(limits.timeout, exchange)
            .await
            .map_err(|_| EgressError::Timeout { host: target.host.clone(), after: limits.timeout })??;
        if status == StatusCode::UNAUTHORIZED
            && let Some((name, client, token)) = &used.token
        {
            self.tokens.forget(name, client, token).await;
        }
        answer(&parts.method, &target.host, status, &headers, body, &scrubber)
    }
}

/// Checks a host that is an address: the connector does not ask the resolver for those.
fn check_literal(target: &Target, private_network: bool) -> Result<(), EgressError> {
    let address = match target.url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        _ => return Ok(()),
    };
    let kind = classify(address);
    if kind.may_connect(private_network, true) {
        Ok(())
    } else {
        Err(EgressError::ForbiddenAddress { host: target.host.clone(), address, kind })
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: reqwest::Request,
    host: &str,
    limits: &Limits,
) -> Result<(StatusCode, HeaderMap, Bytes), EgressError> {
    let failed = |e: reqwest::Error| failure(&e, host, limits);
    let mut response = client.execute(request).await.map_err(failed)?;
    let too_large = || EgressError::TooLarge { what: "the answer's body", limit: limits.max_response_bytes };
    if response.content_length().is_some_and(|length| length > limits.max_response_bytes)
        && response.headers().contains_key(header::CONTENT_LENGTH)
    {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if (body.len() as u64).saturating_add(chunk.len() as u64) > limits.max_response_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    let headers = std::mem::take(response.headers_mut());
    Ok((response.status(), headers, body.freeze()))
}

/// Fields that speak of the body as it was before a secret was masked in it: wrong then, and a way to test guesses.
const DIGESTS: &[&str] = &["content-digest", "content-md5", "digest", "etag", "repr-digest"];

/// Makes the answer that the caller sees.
fn answer(
    method: &Method,
    host: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
    scrubber: &Scrubber,
) -> Result<http::Response<Bytes>, EgressError> {
    let protocol = |problem: &str| EgressError::Protocol { host: host.to_owned(), problem: problem.into() };
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(protocol("it switches protocols, and nobody asked it to"));
    }
    request::check_size(headers)
        .map_err(|limit| EgressError::TooLarge { what: "the answer's header", limit })?;
    // What is compressed in a way that we do not undo cannot be searched for secrets.
    let encoding = headers.get(header::CONTENT_ENCODING);
    if scrubber.is_active() && encoding.is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(protocol("its content encoding was not asked for"));
    }
    let scrubbed = scrubber.scrub(&body);
    let masked = scrubbed.is_some();
    let mut response = http::Response::new(scrubbed.map_or(body, Bytes::from));
    *response.status_mut() = status;
    let has_content = *method != Method::HEAD && status != StatusCode::NOT_MODIFIED;
    for (name, value) in headers {
        let about_connection = request::is_refused_header(name);
        // The length of what was not sent along would tell how long an echoed secret is.
        let length = name == header::CONTENT_LENGTH && (has_content || scrubber.is_active());
        let digest = masked && DIGESTS.contains(&name.as_str());
        if about_connection || length || digest || scrubber.scrub(name.as_str().as_bytes()).is_some() {
            continue;
        }
        let value = match scrubber.scrub(value.as_bytes()) {
            Some(clean) => {
                HeaderValue::from_bytes(&clean).map_err(|_| protocol("a header that cannot be read"))?
            }
            None => value.clone(),
        };
        response.headers_mut().append(name, value);
    }
    if has_content && status != StatusCode::NO_CONTENT {
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}

/// Finds out what went wrong from the client's error and the errors inside of it.
fn failure(error: &reqwest::Error, host: &str, limits: &Limits) -> EgressError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return match refused {
                Refused::Address(address, kind) => {
                    EgressError::ForbiddenAddress { host: host.into(), address: *address, kind: *kind }
                }
                Refused::Unresolved(problem) => {
                    EgressError::Unresolved { host: host.into(), problem: problem.clone() }
                }
            };
        }
        if let Some(problem) = tls_inside(inner) {
            return EgressError::Tls { host: host.into(), problem };
        }
        source = inner.source();
    }
    if error.is_timeout() {
        return EgressError::Timeout { host: host.into(), after: limits.timeout };
    }
    let problem = root_cause(error);
    if error.is_decode() {
        return EgressError::Protocol { host: host.into(), problem };
    }
    EgressError::Unreachable { host: host.into(), problem }
}

/// The TLS error inside of `error`. An I/O error that wraps another names that one's source as its own, so the wrapping
/// is taken off by hand, as often as there is one.
fn tls_inside(mut error: &(dyn std::error::Error + 'static)) -> Option<String> {
    loop {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        error = error.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

/// The innermost error's words: the outer ones repeat the URL, whose query may hold a customer's data.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(outer) if outer.url().is_some() => "the exchange failed".into(),
        _ => cause.to_string(),
    }
}

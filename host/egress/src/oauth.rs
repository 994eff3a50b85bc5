//! Access tokens (OAuth 2.0, RFC 6749) that the host fetches and keeps: the plugin sees neither the client's secret nor the
//! token.
//!
//! A token is fetched when a request needs one, over the same way out as every request and checked the same way, against
//! the one address that the grant names. It is kept in memory until shortly before it ends, or until a server refuses it.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose};
use bytes::Bytes;
use factotum_grant::OauthClient;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{Egress, EgressError, Limits, secret::percent_encoded};

/// So long before its end a token is taken for ended: clocks differ, and requests take time.
pub(crate) const MARGIN: Duration = Duration::from_secs(30);
/// How long a token lives whose server does not say.
pub(crate) const UNTOLD_LIFE: Duration = Duration::from_secs(300);
/// The longest life that is believed.
pub(crate) const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The most bytes of a token server's answer.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// The longest a token may take to fetch.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The most clients whose tokens are kept.
pub(crate) const MAX_CLIENTS: usize = 1024;

/// The tokens of all clients that grants name.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<(String, OauthClient), Client>>);

/// One client's, held while its token is fetched, so that it is fetched once.
type Client = Arc<tokio::sync::Mutex<Kept>>;

/// What is kept of one client.
#[derive(Default)]
struct Kept {
    token: Option<(SecretString, Instant)>,
    /// The refresh token that the server gave in place of the stored one.
    refresh: Option<SecretString>,
}

/// A token server's answer (RFC 6749, section 5.1).
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub access_token: String,
    token_type: String,
    pub expires_in: Option<u64>,
    pub refresh_token: Option<String>,
}

impl Answer {
    /// What the token server at `host` answered; `refused` is the error for a refusal (RFC 6749, section 5.2), as told
    /// apart from a server that cannot answer now.
    pub fn read(
        host: String,
        answer: &http::Response<Bytes>,
        refused: impl FnOnce(String, StatusCode) -> EgressError,
    ) -> Result<Self, EgressError> {
        let status = answer.status();
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            return Err(refused(host, status));
        }
        if status != StatusCode::OK {
            return Err(EgressError::Unreachable {
                host,
                problem: format!("no token: HTTP {}", status.as_u16()),
            });
        }
        let problem = |problem: &str| EgressError::Protocol { host: host.clone(), problem: problem.into() };
        let answer: Self =
            serde_json::from_slice(answer.body()).map_err(|_| problem("its token answer is no such JSON"))?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(problem("its token is no bearer token"));
        }
        Ok(answer)
    }
}

/// The bounds of a request for a token: a small answer, and soon.
pub(crate) fn small(limits: &Limits) -> Limits {
    Limits { max_response_bytes: MAX_ANSWER_BYTES, timeout: limits.timeout.min(TIMEOUT), ..limits.clone() }
}

impl Tokens {
    fn of(&self, secret: &str, client: &OauthClient) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (secret.to_owned(), client.clone());
        if let Some(kept) = all.get(&key) {
            return Arc::clone(kept);
        }
        if all.len() >= MAX_CLIENTS {
            all.clear();
        }
        Arc::clone(all.entry(key).or_default())
    }

    /// Forgets a token that a server did not take.
    pub(crate) async fn forget(&self, secret: &str, client: &OauthClient, refused: &SecretString) {
        let kept = self.of(secret, client);
        let mut kept = kept.lock().await;
        if kept.token.as_ref().is_some_and(|(token, _)| token.expose_secret() == refused.expose_secret()) {
            kept.token = None;
        }
    }
}

impl Egress {
    /// The client's token: the one that is kept, or a new one. Whoever asks while it is fetched waits for it.
    pub(crate) async fn token(
        &self,
        secret: &str,
        client: &OauthClient,
        limits: &Limits,
    ) -> Result<SecretString, EgressError> {
        // Asked each time: with a secret that was taken away, its token is of no use any more.
        let missing = |name: &str| EgressError::SecretMissing(name.to_owned());
        let own = self.secrets.get(secret).ok_or_else(|| missing(secret))?;
        let kept = self.tokens.of(secret, client);
        let mut kept = kept.lock().await;
        if let Some((token, ends)) = &kept.token
            && Instant::now() + MARGIN < *ends
        {
            return Ok(token.clone());
        }
        let stored = match &client.refresh_token {
            Some(name) => Some(self.secrets.get(name).ok_or_else(|| missing(name))?),
            None => None,
        };
        let refresh = stored.map(|stored| kept.refresh.clone().unwrap_or(stored));
        let answer = match self.fetch(secret, client, &own, refresh.as_ref(), limits).await {
            Err(error) => {
                // The one in the place of the stored one may be what is wrong.
                kept.refresh = None;
                return Err(error);
            }
            Ok(answer) => answer,
        };
        let life = answer.expires_in.map_or(UNTOLD_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        let token = SecretString::from(answer.access_token);
        kept.token = Some((token.clone(), Instant::now() + life));
        if let (Some(_), Some(next)) = (&client.refresh_token, answer.refresh_token) {
            kept.refresh = Some(next.into());
        }
        Ok(token)
    }

    /// Boxed: a request may need a token, and fetching one is a request.
    fn fetch<'a>(
        &'a self,
        name: &'a str,
        client: &'a OauthClient,
        secret: &'a SecretString,
        refresh: Option<&'a SecretString>,
        limits: &'a Limits,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, EgressError>> + Send + 'a>> {
        Box::pin(self.ask(name, client, secret, refresh, limits))
    }

    async fn ask(
        &self,
        name: &str,
        client: &OauthClient,
        secret: &SecretString,
        refresh: Option<&SecretString>,
        limits: &Limits,
    ) -> Result<Answer, EgressError> {
        let unusable = |problem| EgressError::SecretUnusable { name: name.to_owned(), problem };
        let rule = client.rule().ok_or_else(|| unusable("the grant's token-url is no URL"))?;
        let encoded = percent_encoded;
        let mut form = Zeroizing::new(String::with_capacity(4096));
        match refresh {
            Some(token) => {
                form.push_str("grant_type=refresh_token&refresh_token=");
                form.push_str(&encoded(token.expose_secret()));
            }
            None => form.push_str("grant_type=client_credentials"),
        }
        if let Some(scope) = &client.scope {
            form.push_str("&scope=");
            form.push_str(&encoded(scope));
        }
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(&client.token_url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        // RFC 6749, section 2.3.1.
        if client.secret_in_body {
            for (key, value) in
                [("&client_id=", client.client_id.as_str()), ("&client_secret=", secret.expose_secret())]
            {
                form.push_str(key);
                form.push_str(&encoded(value));
            }
        } else {
            let pair = Zeroizing::new(format!(
                "{}:{}",
                *encoded(&client.client_id),
                *encoded(secret.expose_secret())
            ));
            let pair = Zeroizing::new(format!("Basic {}", general_purpose::STANDARD.encode(pair.as_bytes())));
            let mut value =
                HeaderValue::from_str(&pair).map_err(|_| unusable("it cannot stand in a header"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request
            .body(Bytes::from(form.as_bytes().to_vec()))
            .map_err(|_| unusable("the grant's token-url is no URL"))?;
        let host = rule.host.to_string();
        let answer = self.send(std::slice::from_ref(&rule), request, &small(limits)).await?;
        Answer::read(host, &answer, |_, _| {
            unusable("the token server does not take it; is it still valid, and the client's?")
        })
    }
}

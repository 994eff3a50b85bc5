//! Access tokens of a flow's `oauth2` and `oidc` policies (RFC 6749, `OpenID` Connect Discovery 1.0): fetched over the same
//! way out, under the flow's own grant, and kept in memory until shortly before they end or until a server refuses them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    Egress, EgressError, Limits, Policy,
    login::{Part, Presented},
    oauth::{Answer, LONGEST_LIFE, MARGIN, MAX_CLIENTS, UNTOLD_LIFE, small},
    secret::percent_encoded,
};

/// How long a discovered endpoint is taken for right.
const ENDPOINT_LIFE: Duration = Duration::from_secs(3600);

/// How a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OAuth2 {
    /// The authority's base URI; with `discover` also the issuer.
    pub authority: String,
    /// The path of the token endpoint under the authority.
    pub token_path: String,
    /// Whether the endpoint is read from the authority's `/.well-known/openid-configuration`.
    pub discover: bool,
    /// Which grant.
    pub grant: OAuthGrant,
    /// The client's identifier and secret; an empty one is not sent (RFC 6749, section 2.3.1).
    pub client: Option<(Part, Part)>,
    /// Whether the client's secret goes into `Authorization: Basic …` instead of the body (RFC 6749, section 2.3.1).
    pub client_in_header: bool,
    /// The user's name and password, for the password grant.
    pub user: Option<(Part, Part)>,
    /// Wanted scopes.
    pub scopes: Vec<String>,
    /// Wanted audiences.
    pub audiences: Vec<String>,
}

/// What a token is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OAuthGrant {
    /// RFC 6749, section 4.4.
    ClientCredentials,
    /// RFC 6749, section 4.3. What the server then gives to ask again with (section 6) is used first.
    Password,
}

impl OAuth2 {
    pub(crate) fn parts(&self) -> Vec<&Part> {
        let pairs = self.client.iter().chain(&self.user);
        pairs.flat_map(|(one, two)| [one, two]).collect()
    }
}

/// The tokens of all logins, by a digest of holder, policy and the secrets' values: what a rotated secret was given a token
/// for is not found again.
#[derive(Default)]
pub(crate) struct LoginTokens(Mutex<HashMap<[u8; 32], Arc<tokio::sync::Mutex<Kept>>>>);

#[derive(Default)]
struct Kept {
    token: Option<(SecretString, Instant)>,
    /// What the server gave to ask for the next one with.
    refresh: Option<SecretString>,
    endpoint: Option<(String, Instant)>,
}

/// The values of a policy's parts.
struct Values {
    client: Option<(SecretString, SecretString)>,
    user: Option<(SecretString, SecretString)>,
}

/// What is read of a provider's metadata (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    token_endpoint: String,
}

impl LoginTokens {
    fn of(&self, key: [u8; 32]) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_CLIENTS && !all.contains_key(&key) {
            all.clear();
        }
        Arc::clone(all.entry(key).or_default())
    }
}

impl Egress {
    pub(crate) async fn send_with_token(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        holder: &str,
        oauth: &OAuth2,
        names: &[&str],
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let begun = Instant::now();
        let left = |limits: &Limits| Limits {
            timeout: limits.timeout.saturating_sub(begun.elapsed()),
            ..limits.clone()
        };
        let pair = |pair: &Option<(Part, Part)>| match pair {
            Some((one, two)) => Ok(Some((self.part(one)?, self.part(two)?))),
            None => Ok::<_, EgressError>(None),
        };
        let values = Values { client: pair(&oauth.client)?, user: pair(&oauth.user)? };
        let kept = self.logins.of(key(holder, oauth, &values));
        for fresh in [false, true] {
            let (token, was_kept) = {
                let mut kept = kept.lock().await;
                match &kept.token {
                    Some((token, ends)) if !fresh && Instant::now() + MARGIN < *ends => (token.clone(), true),
                    _ => (
                        self.fetch_token(policy, oauth, &values, names, &mut kept, &left(limits)).await?,
                        false,
                    ),
                }
            };
            let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
            let presented = Presented { names, authorization: Some(value), hidden: vec![token.clone()] };
            let answer = self.send_presenting(policy, request.clone(), presented, &left(limits)).await?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            let mut kept = kept.lock().await;
            if kept.token.as_ref().is_some_and(|(known, _)| known.expose_secret() == token.expose_secret()) {
                kept.token = None;
            }
            // A token that was kept may have been taken back meanwhile; a new one was not.
            if !was_kept {
                return Ok(answer);
            }
        }
        Err(EgressError::LoginRefused {
            host: request.uri().host().unwrap_or_default().to_owned(),
            status: 401,
        })
    }

    /// Gets a new token, with what the server gave for that, else from the beginning.
    async fn fetch_token(
        &self,
        policy: &dyn Policy,
        oauth: &OAuth2,
        values: &Values,
        names: &[&str],
        kept: &mut Kept,
        limits: &Limits,
    ) -> Result<SecretString, EgressError> {
        let endpoint = self.endpoint(policy, oauth, kept, limits).await?;
        let mut answer = None;
        if let Some(refresh) = kept.refresh.take() {
            let form = form(oauth, values, Some(&refresh));
            match self.ask_token(policy, &endpoint, oauth, values, names, form, limits).await {
                Ok(found) => answer = Some(found),
                Err(EgressError::LoginRefused { .. }) => {}
                Err(error) => {
                    kept.refresh = Some(refresh);
                    return Err(error);
                }
            }
        }
        let answer = match answer {
            Some(answer) => answer,
            None => {
                let form = form(oauth, values, None);
                self.ask_token(policy, &endpoint, oauth, values, names, form, limits).await?
            }
        };
        let life = answer.expires_in.map_or(UNTOLD_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        let token = SecretString::from(answer.access_token);
        kept.token = Some((token.clone(), Instant::now() + life));
        if oauth.grant != OAuthGrant::ClientCredentials {
            kept.refresh = answer.refresh_token.map(SecretString::from);
        }
        Ok(token)
    }

    async fn endpoint(
        &self,
        policy: &dyn Policy,
        oauth: &OAuth2,
        kept: &mut Kept,
        limits: &Limits,
    ) -> Result<String, EgressError> {
        let base = oauth.authority.trim_end_matches('/');
        if !oauth.discover {
            return Ok(format!("{base}/{}", oauth.token_path.trim_start_matches('/')));
        }
        if let Some((endpoint, until)) = &kept.endpoint
            && Instant::now() < *until
        {
            return Ok(endpoint.clone());
        }
        let request = http::Request::get(format!("{base}/.well-known/openid-configuration"))
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| not_a_url())?;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.send_presenting(policy, request, Presented::default(), &small(limits)).await?;
        let problem = |problem: &str| EgressError::Protocol { host: host.clone(), problem: problem.into() };
        if answer.status() != StatusCode::OK {
            return Err(problem("it has no OpenID Connect configuration"));
        }
        let metadata: Metadata = serde_json::from_slice(answer.body())
            .map_err(|_| problem("its OpenID Connect configuration is no such JSON"))?;
        // OpenID Connect Discovery 1.0, section 4.3: it must speak of itself.
        if metadata.issuer.trim_end_matches('/') != base {
            return Err(problem("its OpenID Connect configuration names another issuer"));
        }
        kept.endpoint = Some((metadata.token_endpoint.clone(), Instant::now() + ENDPOINT_LIFE));
        Ok(metadata.token_endpoint)
    }

    #[expect(clippy::too_many_arguments, reason = "one request, and all that it is made of")]
    async fn ask_token(
        &self,
        policy: &dyn Policy,
        endpoint: &str,
        oauth: &OAuth2,
        values: &Values,
        names: &[&str],
        form: Zeroizing<String>,
        limits: &Limits,
    ) -> Result<Answer, EgressError> {
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Bytes::copy_from_slice(form.as_bytes()))
            .map_err(|_| not_a_url())?;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let authorization = match &values.client {
            Some((id, secret)) if oauth.client_in_header => {
                let pair = Zeroizing::new(format!(
                    "{}:{}",
                    *percent_encoded(id.expose_secret()),
                    *percent_encoded(secret.expose_secret())
                ));
                Some(format!("Basic {}", general_purpose::STANDARD.encode(pair.as_bytes())).into())
            }
            _ => None,
        };
        // Nothing is taken out of the answer: it is the host's own, and may hold the same refresh token again.
        let presented = Presented { names, authorization, hidden: Vec::new() };
        let answer = self.send_presenting(policy, request, presented, &small(limits)).await?;
        Answer::read(host, &answer, |host, status| EgressError::LoginRefused {
            host,
            status: status.as_u16(),
        })
    }
}

fn not_a_url() -> EgressError {
    EgressError::InvalidRequest("the authority of the authentication policy is no URL".into())
}

fn form(oauth: &OAuth2, values: &Values, refresh: Option<&SecretString>) -> Zeroizing<String> {
    let mut form = Zeroizing::new(String::with_capacity(4096));
    let mut add = |key: &str, value: &str| {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(key);
        form.push('=');
        form.push_str(&percent_encoded(value));
    };
    let user = values.user.as_ref();
    match (refresh, oauth.grant) {
        (Some(token), _) => {
            add("grant_type", "refresh_token");
            add("refresh_token", token.expose_secret());
        }
        (None, OAuthGrant::ClientCredentials) => add("grant_type", "client_credentials"),
        (None, OAuthGrant::Password) => {
            add("grant_type", "password");
            if let Some((name, password)) = user {
                add("username", name.expose_secret());
                add("password", password.expose_secret());
            }
        }
    }
    if !oauth.scopes.is_empty() {
        add("scope", &oauth.scopes.join(" "));
    }
    for audience in &oauth.audiences {
        add("audience", audience);
    }
    if let Some((id, secret)) = values.client.as_ref().filter(|_| !oauth.client_in_header) {
        add("client_id", id.expose_secret());
        if !secret.expose_secret().is_empty() {
            add("client_secret", secret.expose_secret());
        }
    }
    form
}

fn key(holder: &str, oauth: &OAuth2, values: &Values) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    add(holder);
    add(&oauth.authority);
    add(&oauth.token_path);
    add(if oauth.discover { "discover" } else { "" });
    add(match oauth.grant {
        OAuthGrant::ClientCredentials => "client",
        OAuthGrant::Password => "password",
    });
    add(&oauth.scopes.join(" "));
    add(&oauth.audiences.join("\0"));
    for pair in [&values.client, &values.user] {
        match pair {
            None => add("none"),
            Some((one, two)) => {
                add("some");
                add(one.expose_secret());
                add(two.expose_secret());
            }
        }
    }
    hash.finalize().into()
}

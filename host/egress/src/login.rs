//! How a caller who is no plugin shows who it is: the authentication policies of a flow. The caller names secrets; their
//! values are put in here, after the request was allowed together with each of those names.
//!
//! - Basic (RFC 7617), Bearer (RFC 6750);
//! - Digest (RFC 7616), answered to the server's challenge;
//! - OAuth 2.0 (RFC 6749) and `OpenID` Connect Discovery: see [`crate::login_token`].

use std::fmt;

use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use factotum_grant::Denial;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{Egress, EgressError, Limits, Policy, digest::Challenge, login_token::OAuth2};

/// Who asks, and how it shows that.
#[derive(Debug, Clone)]
pub struct Login {
    /// Whose login it is. Tokens are kept for each holder apart.
    pub holder: String,
    /// How.
    pub way: Way,
}

/// How a caller shows who it is.
#[derive(Debug, Clone)]
pub enum Way {
    /// RFC 7617.
    Basic {
        /// The user.
        username: Part,
        /// The password.
        password: Part,
    },
    /// RFC 6750.
    Bearer {
        /// The token.
        token: Part,
    },
    /// RFC 7616.
    Digest {
        /// The user.
        username: Part,
        /// The password.
        password: Part,
    },
    /// RFC 6749.
    OAuth2(OAuth2),
}

/// A part of a credential.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// As it is.
    Literal(String),
    /// A secret, or a member of one that holds a JSON object.
    Secret {
        /// The secret's name.
        name: String,
        /// The member's key.
        member: Option<String>,
    },
}

/// Nobody should write a password where a literal may stand, and if somebody does, no log shows it.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(…)"),
            Self::Secret { name, member } => f.debug_tuple("Secret").field(name).field(member).finish(),
        }
    }
}

impl Login {
    /// The names of the secrets it uses, each once.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let parts: Vec<&Part> = match &self.way {
            Way::Basic { username, password } | Way::Digest { username, password } => {
                vec![username, password]
            }
            Way::Bearer { token } => vec![token],
            Way::OAuth2(oauth) => oauth.parts(),
        };
        let mut names: Vec<&str> = parts
            .into_iter()
            .filter_map(|part| match part {
                Part::Literal(_) => None,
                Part::Secret { name, .. } => Some(name.as_str()),
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What a login puts into a request.
#[derive(Default)]
pub(crate) struct Presented<'a> {
    /// The secrets that are used, to be allowed with the request.
    pub(crate) names: &'a [&'a str],
    /// The value of `Authorization`.
    pub(crate) authorization: Option<SecretString>,
    /// What the answer may not echo.
    pub(crate) hidden: Vec<SecretString>,
}

impl Egress {
    /// Sends `request` when `policy` allows it together with each secret that `login` uses, with the login put in.
    ///
    /// # Errors
    /// See [`EgressError`]. Nothing was sent when [`EgressError::is_denial`], but for what it took to get a token.
    pub async fn send_as(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: &Login,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let names = login.secrets();
        let names = names.as_slice();
        // Before a secret is even looked up: who may not use it does not learn whether it is there.
        allowed(policy, &request, names)?;
        match &login.way {
            Way::Basic { username, password } => {
                let (user, password) = (self.part(username)?, self.part(password)?);
                if user.expose_secret().contains(':') {
                    return Err(EgressError::InvalidRequest(
                        "a user's name holds no colon (RFC 7617)".into(),
                    ));
                }
                let pair = Zeroizing::new(format!("{}:{}", user.expose_secret(), password.expose_secret()));
                let pair = Zeroizing::new(general_purpose::STANDARD.encode(pair.as_bytes()));
                let value = SecretString::from(format!("Basic {}", *pair));
                let hidden = vec![value.clone(), password];
                self.send_presenting(
                    policy,
                    request,
                    Presented { names, authorization: Some(value), hidden },
                    limits,
                )
                .await
            }
            Way::Bearer { token } => {
                let token = self.part(token)?;
                let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
                let presented = Presented { names, authorization: Some(value), hidden: vec![token] };
                self.send_presenting(policy, request, presented, limits).await
            }
            Way::Digest { username, password } => {
                let parts = (self.part(username)?, self.part(password)?);
                self.send_digest(policy, request, names, &parts, limits).await
            }
            Way::OAuth2(oauth) => {
                self.send_with_token(policy, request, &login.holder, oauth, names, limits).await
            }
        }
    }

    /// Asks once without, and once with an answer to the challenge that came back.
    async fn send_digest(
        &self,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        names: &[&str],
        (user, password): &(SecretString, SecretString),
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let presented = |authorization| Presented { names, authorization, hidden: vec![password.clone()] };
        let first = self.send_presenting(policy, request.clone(), presented(None), limits).await?;
        if first.status() != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        let Some(challenge) = Challenge::strongest(first.headers()) else { return Ok(first) };
        let uri = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let cnonce = hex::encode(rand::random::<[u8; 16]>());
        let method = request.method().as_str();
        let answer = challenge.answer(user.expose_secret(), password, method, uri, &cnonce);
        let answer = answer.ok_or_else(|| EgressError::Protocol {
            host: request.uri().host().unwrap_or_default().to_owned(),
            problem: "its challenge, or the user's name, holds a character that no header may hold".into(),
        })?;
        self.send_presenting(policy, request, presented(Some(answer)), limits).await
    }

    /// The value of a part.
    pub(crate) fn part(&self, part: &Part) -> Result<SecretString, EgressError> {
        let (name, member) = match part {
            Part::Literal(text) => return Ok(text.clone().into()),
            Part::Secret { name, member } => (name, member),
        };
        let whole = self.secrets.get(name).ok_or_else(|| EgressError::SecretMissing(name.clone()))?;
        let unusable = |problem| EgressError::SecretUnusable { name: name.clone(), problem };
        let value = match member {
            None => whole,
            Some(member) => member_of(&whole, member)
                .ok_or_else(|| unusable("it is no JSON object with this member, as a string or a number"))?,
        };
        if value.expose_secret().is_empty() { Err(unusable("it is empty")) } else { Ok(value) }
    }
}

fn member_of(secret: &SecretString, member: &str) -> Option<SecretString> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(secret.expose_secret()).ok()?;
    match object.get(member)? {
        serde_json::Value::String(text) => Some(text.clone().into()),
        serde_json::Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// Whether the request may be sent at all, asked before anything is done for it.
fn allowed(policy: &dyn Policy, request: &http::Request<Bytes>, names: &[&str]) -> Result<(), EgressError> {
    let asked = |whole: &factotum_grant::HttpRequest<'_>| -> Result<(), Denial> {
        policy.check_as(whole, names).map(|_| ())
    };
    crate::look_at(request, asked)?.map_err(EgressError::Denied)
}

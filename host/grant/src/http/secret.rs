//! Which secrets the host puts into a request, and where.

use serde::{Deserialize, Serialize};

use super::{HttpRule, OauthClient, Signing};
use crate::FieldPointer;

/// A secret that the host puts into a request's header. All of a rule's secrets: [`HttpRule::secrets`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Inject {
    /// The secret's name.
    pub secret: String,
    /// Where it goes.
    #[serde(flatten)]
    pub place: InjectPlace,
}

/// Where an injected secret goes. Whatever the plugin put there is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InjectPlace {
    /// `Authorization: Bearer …` (RFC 6750), with `bearer = true`.
    Bearer(bool),
    /// The whole value of this header.
    Header(String),
}

/// A secret that the host puts into a request in a place that is not a whole header. In TOML it stands in `inject` too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The secret's name.
    pub secret: String,
    /// Where it goes.
    pub place: CredentialPlace,
}

/// Where a [`Credential`] goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialPlace {
    /// The password of `Authorization: Basic …` (RFC 7617) for this user, with `basic = "user"`. It replaces whatever
    /// the plugin put there.
    Basic(String),
    /// The value of this query key, with `query = "key"`. A request in which the plugin wrote the key is refused.
    Query(String),
    /// A string at this place of a JSON body, with `body = "/client/secret"`. A request in which the plugin wrote the place,
    /// or whose body is no JSON object, is refused.
    Body(FieldPointer),
    /// Signs the body, with `hmac-sha256 = { header = "X-Signature" }`.
    Hmac(Signing),
    /// The client's secret at a token server, with `oauth2 = { token-url = "…", client-id = "…" }`.
    Oauth(OauthClient),
}

/// One secret of a rule and where it goes, whichever list of the rule it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretUse<'r> {
    /// The secret's name.
    pub secret: &'r str,
    /// Where it goes.
    pub place: SecretPlace<'r>,
}

/// Where a secret goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretPlace<'r> {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617); the secret is the password of this user.
    Basic(&'r str),
    /// The whole value of this header.
    Header(&'r str),
    /// The value of this query key, percent-encoded by the host.
    Query(&'r str),
    /// A string at this place of a JSON body.
    Body(&'r FieldPointer),
    /// It signs the body, and does not travel.
    Hmac(&'r Signing),
    /// It fetches an access token, which goes to `Authorization: Bearer …`.
    Oauth(&'r OauthClient),
}

impl HttpRule {
    /// Every secret that the host puts into requests under this rule.
    pub fn secrets(&self) -> impl Iterator<Item = SecretUse<'_>> {
        let headers = self.inject.iter().filter_map(|inject| {
            let place = match &inject.place {
                InjectPlace::Bearer(false) => return None,
                InjectPlace::Bearer(true) => SecretPlace::Bearer,
                InjectPlace::Header(name) => SecretPlace::Header(name),
            };
            Some(SecretUse { secret: &inject.secret, place })
        });
        let others = self.credentials.iter().map(|credential| SecretUse {
            secret: &credential.secret,
            place: match &credential.place {
                CredentialPlace::Basic(user) => SecretPlace::Basic(user),
                CredentialPlace::Query(key) => SecretPlace::Query(key),
                CredentialPlace::Body(field) => SecretPlace::Body(field),
                CredentialPlace::Hmac(signing) => SecretPlace::Hmac(signing),
                CredentialPlace::Oauth(client) => SecretPlace::Oauth(client),
            },
        });
        headers.chain(others)
    }

    /// The query keys that the host itself writes.
    pub(crate) fn secret_keys(&self) -> impl Iterator<Item = &str> {
        self.credentials.iter().filter_map(|credential| match &credential.place {
            CredentialPlace::Query(key) => Some(key.as_str()),
            _ => None,
        })
    }

    /// Whether the host itself writes into the body.
    pub(crate) fn writes_body(&self) -> bool {
        self.credentials.iter().any(|credential| matches!(credential.place, CredentialPlace::Body(_)))
    }
}

//! An HTTP rule as it is written, and what is refused when one is read.

use factotum_provenance::Source;
use serde::{Deserialize, Serialize};

use super::{
    Credential, CredentialPlace, HttpRule, Inject, InjectPlace, OauthClient, RuleError, Signing,
    query::{loosely_equal, override_keys},
};
use crate::{FieldPointer, HostPattern, PathPattern};

/// The most methods of a rule.
const MAX_METHODS: usize = 32;
/// The most paths, query keys or body fields of a rule. (Body fields: also the width of the mask they are checked with.)
pub(crate) const MAX_LIST: usize = 256;
/// The most secrets of a rule.
const MAX_SECRETS: usize = 8;
/// The longest query key, secret name or user, in bytes.
const MAX_TEXT: usize = 200;

#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RuleWire {
    #[serde(default = "https")]
    scheme: String,
    host: HostPattern,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    methods: Vec<String>,
    paths: Vec<PathPattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_fields: Option<Vec<FieldPointer>>,
    #[serde(default = "all_bytes", skip_serializing_if = "is_all_bytes")]
    max_request_bytes: u64,
    #[serde(default = "all_bytes", skip_serializing_if = "is_all_bytes")]
    max_response_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_from: Vec<Source>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    private_network: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inject: Vec<SecretWire>,
}

fn https() -> String {
    "https".into()
}

fn all_bytes() -> u64 {
    HttpRule::MAX_BYTES
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference over.
fn is_all_bytes(bytes: &u64) -> bool {
    *bytes == HttpRule::MAX_BYTES
}

#[derive(Serialize, Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
struct SecretWire {
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bearer: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    basic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<FieldPointer>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "hmac-sha256")]
    hmac: Option<Signing>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "oauth2")]
    oauth: Option<OauthClient>,
}

impl SecretWire {
    /// The places it names.
    fn places(self) -> Vec<Place> {
        let Self { secret: _, bearer, header, basic, query, body, hmac, oauth } = self;
        let inject = [bearer.map(InjectPlace::Bearer), header.map(InjectPlace::Header)];
        let credentials = [
            basic.map(CredentialPlace::Basic),
            query.map(CredentialPlace::Query),
            body.map(CredentialPlace::Body),
            hmac.map(CredentialPlace::Hmac),
            oauth.map(CredentialPlace::Oauth),
        ];
        let inject = inject.into_iter().flatten().map(Place::Inject);
        inject.chain(credentials.into_iter().flatten().map(Place::Credential)).collect()
    }
}

/// Where a secret goes, in whichever list of the rule.
enum Place {
    Inject(InjectPlace),
    Credential(CredentialPlace),
}

/// What is wrong with a place.
fn place_problem(place: &CredentialPlace) -> Option<&'static str> {
    match place {
        // RFC 7617, section 2: the user ends at the first colon.
        CredentialPlace::Basic(user) => (!is_plain_text(user) || user.contains(':'))
            .then_some("the user of basic has 1 to 200 bytes, no colon and no control character"),
        CredentialPlace::Query(key) => (!is_plain_text(key)
            || override_keys().any(|o| loosely_equal(key.bytes(), o)))
        .then_some("the query key of a secret has 1 to 200 bytes and is no _method"),
        CredentialPlace::Body(field) => (field.members().is_none_or(|members| members.is_empty())).then_some(
            "the place of a secret in the body is one field, without a star, as in /client/secret",
        ),
        CredentialPlace::Hmac(signing) => signing.problem(),
        CredentialPlace::Oauth(client) => client.problem(),
    }
}

/// Rules as TOML, nothing else.
pub(crate) fn rules_toml(rules: &[HttpRule]) -> String {
    #[derive(Serialize)]
    struct Rules<'r> {
        http: &'r [HttpRule],
    }
    // Every number of a rule is within TOML's range; what cannot be written cannot be granted.
    toml::to_string(&Rules { http: rules })
        .map_or_else(|_| "# no grant says this".into(), |text| text.trim_end().to_owned())
}

/// Whether a rule can name this method.
pub(super) fn is_method(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
}

pub(super) fn is_plain_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

impl TryFrom<RuleWire> for HttpRule {
    type Error = RuleError;
    fn try_from(wire: RuleWire) -> Result<Self, RuleError> {
        let host = wire.host.to_string();
        let error = |problem: &str| RuleError { host: host.clone(), problem: problem.into() };
        let scheme = wire.scheme.to_ascii_lowercase();
        if scheme != "https" && scheme != "http" {
            return Err(error("the scheme is https or http"));
        }
        if wire.port == Some(0) {
            return Err(error("the port is from 1 to 65535"));
        }
        if wire.private_network && wire.host.is_wildcard() {
            return Err(error("private-network opens single hosts; name each one in full, without a star"));
        }
        if wire.methods.len() > MAX_METHODS || !wire.methods.iter().all(|method| is_method(method)) {
            return Err(error(
                "methods are written in upper case, as in [\"GET\", \"POST\"], and are at most 32",
            ));
        }
        let counts = [
            wire.paths.len(),
            wire.query.as_ref().map_or(0, Vec::len),
            wire.body_fields.as_ref().map_or(0, Vec::len),
        ];
        if counts.iter().any(|count| *count > MAX_LIST) {
            return Err(error("paths, query and body-fields hold at most 256 entries each"));
        }
        if wire.query.iter().flatten().any(|key| !is_plain_text(key)) {
            return Err(error("a query key has 1 to 200 bytes and no control character"));
        }
        if wire.max_request_bytes > Self::MAX_BYTES || wire.max_response_bytes > Self::MAX_BYTES {
            return Err(error("max-request-bytes and max-response-bytes are at most 16777216"));
        }
        if wire.per_minute == Some(0) || wire.concurrency == Some(0) {
            return Err(error(
                "per-minute and concurrency are at least 1; to allow nothing, leave the rule out",
            ));
        }
        if wire.not_from.len() > crate::data::MAX_SOURCES {
            return Err(error("not-from holds at most 64 entries"));
        }
        if wire.inject.len() > MAX_SECRETS {
            return Err(error("at most 8 secrets are injected"));
        }
        if wire.secrets.len() > MAX_SECRETS || !wire.secrets.iter().all(|name| is_plain_text(name)) {
            return Err(error("secrets holds at most 8 names of secrets"));
        }
        let (mut inject, mut credentials) = (Vec::new(), Vec::new());
        for entry in wire.inject {
            let secret = entry.secret.clone();
            let mut places = entry.places().into_iter();
            match (places.next(), places.next()) {
                (Some(Place::Inject(place)), None) => inject.push(Inject { secret, place }),
                (Some(Place::Credential(place)), None) => {
                    if let Some(problem) = place_problem(&place) {
                        return Err(error(problem));
                    }
                    credentials.push(Credential { secret, place });
                }
                _ => {
                    return Err(error(
                        "a secret goes to one place: bearer = true, header = \"name\", basic = \"user\", query = \"key\", body = \"/field\", hmac-sha256 = {…} or oauth2 = {…}",
                    ));
                }
            }
        }
        Ok(Self {
            scheme,
            host: wire.host,
            port: wire.port,
            methods: wire.methods,
            paths: wire.paths,
            query: wire.query,
            body_fields: wire.body_fields,
            max_request_bytes: wire.max_request_bytes,
            max_response_bytes: wire.max_response_bytes,
            per_minute: wire.per_minute,
            concurrency: wire.concurrency,
            not_from: wire.not_from,
            private_network: wire.private_network,
            usable: wire.secrets,
            inject,
            credentials,
        })
    }
}

impl From<HttpRule> for RuleWire {
    fn from(rule: HttpRule) -> Self {
        // What means nothing is not written, so that what is written can be read.
        let private_network = rule.may_be_private();
        let headers = rule.inject.into_iter().map(|inject| {
            let empty = SecretWire { secret: inject.secret, ..SecretWire::default() };
            match inject.place {
                InjectPlace::Bearer(on) => SecretWire { bearer: Some(on), ..empty },
                InjectPlace::Header(name) => SecretWire { header: Some(name), ..empty },
            }
        });
        let others = rule.credentials.into_iter().map(|credential| {
            let empty = SecretWire { secret: credential.secret, ..SecretWire::default() };
            match credential.place {
                CredentialPlace::Basic(user) => SecretWire { basic: Some(user), ..empty },
                CredentialPlace::Query(key) => SecretWire { query: Some(key), ..empty },
                CredentialPlace::Body(field) => SecretWire { body: Some(field), ..empty },
                CredentialPlace::Hmac(signing) => SecretWire { hmac: Some(signing), ..empty },
                CredentialPlace::Oauth(client) => SecretWire { oauth: Some(client), ..empty },
            }
        });
        Self {
            inject: headers.chain(others).collect(),
            scheme: rule.scheme,
            host: rule.host,
            port: rule.port,
            methods: rule.methods,
            paths: rule.paths,
            query: rule.query,
            body_fields: rule.body_fields,
            max_request_bytes: rule.max_request_bytes,
            max_response_bytes: rule.max_response_bytes,
            per_minute: rule.per_minute,
            concurrency: rule.concurrency,
            not_from: rule.not_from,
            secrets: rule.usable,
            private_network,
        }
    }
}

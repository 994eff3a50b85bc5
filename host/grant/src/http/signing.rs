//! Secrets that the host works with and does not send: keys that sign, and clients of token servers.

use serde::{Deserialize, Serialize};

use super::{HttpRule, wire::is_plain_text};
use crate::{HostPattern, PathPattern};

/// How the host signs a request's body with a secret (HMAC-SHA256, RFC 2104). The receiver knows the sender, and the secret
/// does not travel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Signing {
    /// The header that carries the signature. Whatever the plugin put there is replaced.
    pub header: String,
    /// What stands in front of the signature, such as `sha256=`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default, skip_serializing_if = "SignatureEncoding::is_default")]
    pub encoding: SignatureEncoding,
    /// The header that carries the time, in seconds since 1970-01-01 UTC. When it is named, what is signed is the time, a
    /// full stop and the body, so that a request that was overheard cannot be sent again later; else the body alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal.
    #[default]
    Hex,
    /// Base64 (RFC 4648, section 4), padded.
    Base64,
}

impl SignatureEncoding {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A client of an OAuth 2.0 server (RFC 6749), for which the host fetches access tokens; a request carries one as
/// `Authorization: Bearer …`. The plugin sees neither the client's secret nor a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OauthClient {
    /// Where tokens are given, whole: `https://login.example.com/oauth/token`. No star, no query.
    pub token_url: String,
    /// The client's identifier.
    pub client_id: String,
    /// What the token is to be good for, with spaces between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The name of the secret that holds a refresh token (section 6). Absent: client credentials (section 4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Whether identifier and secret stand in the body instead of in `Authorization: Basic` (section 2.3.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret_in_body: bool,
    /// Whether the token server may stand at a private, loopback or link-local address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_network: bool,
}

impl Signing {
    pub(super) fn problem(&self) -> Option<&'static str> {
        let names = [Some(&self.header), self.timestamp.as_ref()];
        if !names.into_iter().flatten().all(|name| is_header_name(name)) {
            return Some("the header and the timestamp of a signature are header names");
        }
        if self.timestamp.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&self.header)) {
            return Some("a signature and its timestamp go to two headers");
        }
        let printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        (self.prefix.len() > 64 || !self.prefix.bytes().all(printable))
            .then_some("the prefix of a signature has at most 64 printable ASCII characters")
    }
}

impl OauthClient {
    /// The rule that a request for a token is sent under: this one address, and nothing else there. `None` for what is no
    /// such URL; grants that are read hold none.
    #[must_use]
    pub fn rule(&self) -> Option<HttpRule> {
        let (scheme, rest) = self.token_url.split_once("://")?;
        if !matches!(scheme, "https" | "http") || (scheme == "http" && !self.private_network) {
            return None;
        }
        let slash = rest.find('/')?;
        let (authority, path) = rest.split_at_checked(slash)?;
        if rest.contains(['@', '?', '#', '*', '\\']) {
            return None;
        }
        // An IPv6 address stands in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse().ok().filter(|port| *port != 0)?))
            }
            _ => (authority, None),
        };
        let host: HostPattern = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let path: PathPattern = path.parse().ok()?;
        Some(HttpRule {
            scheme: scheme.to_owned(),
            host,
            port,
            methods: vec!["POST".into()],
            paths: vec![path],
            query: Some(Vec::new()),
            body_fields: None,
            max_request_bytes: HttpRule::MAX_BYTES,
            max_response_bytes: HttpRule::MAX_BYTES,
            per_minute: None,
            concurrency: None,
            private_network: self.private_network,
            // The token's request is the host's own: nothing of the plugin's data is in it.
            not_from: Vec::new(),
            usable: Vec::new(),
            inject: Vec::new(),
            credentials: Vec::new(),
        })
    }

    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.token_url.len() > 1024 || self.rule().is_none() {
            return Some(
                "token-url is a whole URL such as https://login.example.com/token, without user, query or star; http:// only with private-network = true",
            );
        }
        let texts = [Some(&self.client_id), self.scope.as_ref(), self.refresh_token.as_ref()];
        (!texts.into_iter().flatten().all(|text| is_plain_text(text)))
            .then_some("client-id, scope and refresh-token have 1 to 200 bytes and no control character")
    }
}

/// Whether a text is a header's name (RFC 9110, section 5.1).
fn is_header_name(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.len() <= 100 && text.bytes().all(token)
}

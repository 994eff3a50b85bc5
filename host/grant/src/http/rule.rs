//! One destination, and all that narrows the requests to it.

use factotum_provenance::Source;
use serde::{Deserialize, Serialize};

use super::{Credential, Inject, wire::RuleWire};
use crate::{FieldPointer, HostPattern, PathPattern};

/// One destination a plugin may send HTTP requests to. A request is allowed when one rule allows all of it.
///
/// ```toml
/// [[http]]
/// host = "api.example.com"
/// methods = ["POST"]
/// paths = ["/contacts/*"]
/// query = ["notify"]                       # any, when absent
/// body-fields = ["/contact/name"]          # any body, when absent
/// max-request-bytes = 65536                # 16 MiB, when absent
/// max-response-bytes = 1048576             # 16 MiB, when absent
/// per-minute = 60                          # no bound, when absent
/// concurrency = 2                          # no bound, when absent
/// not-from = ["crm", "class:personal"]     # data that must not go there; none, when absent
/// secrets = ["desk-login"]                 # what a flow may sign in there with; none, when absent
/// inject = [{ secret = "crm-key", bearer = true }]   # or header = "x-key", basic = "user", query = "key",
///                                                    # body = "/client/secret", hmac-sha256 = {…}, oauth2 = {…}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleWire", into = "RuleWire")]
pub struct HttpRule {
    /// `https` (the default) or `http`.
    pub scheme: String,
    /// The host.
    pub host: HostPattern,
    /// The port; the scheme's own when absent.
    pub port: Option<u16>,
    /// The methods (RFC 9110, section 9), upper case.
    pub methods: Vec<String>,
    /// The paths; one must match.
    pub paths: Vec<PathPattern>,
    /// The query keys that may be written, decoded. Absent: any but those that change the method at some servers
    /// (`_method` and its like), which must be named. An empty list: no query at all.
    pub query: Option<Vec<String>>,
    /// The fields of a JSON body that may be written. Absent: any body. Otherwise a body must be JSON that everybody reads
    /// the same way (UTF-8, no duplicate keys, not compressed), and each value in it must lie at or inside of one of
    /// these. An empty list: no body, or `{}`. What a server makes of a field that is left out is the server's matter.
    pub body_fields: Option<Vec<FieldPointer>>,
    /// The most bytes of one request's body. From 0 to [`Self::MAX_BYTES`], which is also the default.
    pub max_request_bytes: u64,
    /// The most bytes of one answer's body, decompressed. From 0 to [`Self::MAX_BYTES`], which is also the default.
    pub max_response_bytes: u64,
    /// The most requests under this rule in any 60 seconds, over all calls of the plugin. Absent (the default): no bound.
    pub per_minute: Option<u32>,
    /// The most requests under this rule that are under way at one time, over all calls of the plugin. Absent (the
    /// default): no bound of the rule's own.
    pub concurrency: Option<u32>,
    /// Whose data must not go there. Absent (the default): nobody's is kept away.
    pub not_from: Vec<Source>,
    /// Whether the host may stand at a private, loopback or link-local address. Only for hosts named in full.
    pub private_network: bool,
    /// Secrets that a flow's authentication policies may use in requests under this rule. The host puts them in; the flow
    /// only names them. In TOML `secrets`. Means nothing for a plugin, which names none.
    pub usable: Vec<String>,
    /// Secrets that the host puts into a header of its own under this rule. The plugin never sees them.
    pub inject: Vec<Inject>,
    /// Secrets that the host puts into other places under this rule. The plugin never sees them.
    pub credentials: Vec<Credential>,
}

/// An HTTP rule that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an http rule for {host}: {problem}")]
pub struct RuleError {
    pub(super) host: String,
    pub(super) problem: String,
}

impl HttpRule {
    /// The most bytes of a body that any rule may give: what the host keeps in memory for one exchange.
    pub const MAX_BYTES: u64 = 16 << 20;
    /// The most bytes of a JSON body under a rule with `body-fields`, whatever `max-request-bytes` says: it is read before
    /// it is sent.
    pub const MAX_CHECKED_BODY_BYTES: u64 = 1 << 20;

    /// The port the rule is for: its own, or the scheme's.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(if self.scheme == "http" { 80 } else { 443 })
    }

    /// Whether a host under this rule may stand at a private, loopback or link-local address: granted, and named in full.
    #[must_use]
    pub fn may_be_private(&self) -> bool {
        self.private_network && !self.host.is_wildcard()
    }

    /// Whether scheme, host, port, method and path are all there is to check, so that a caller who knows nothing else of
    /// a request can enforce the rule.
    pub(super) fn is_target_only(&self) -> bool {
        let Self {
            scheme: _,
            host: _,
            port: _,
            methods: _,
            paths: _,
            query,
            body_fields,
            max_request_bytes,
            max_response_bytes,
            per_minute,
            concurrency,
            not_from,
            private_network: _,
            usable: _,
            inject: _,
            credentials,
        } = self;
        query.is_none()
            && body_fields.is_none()
            && *max_request_bytes >= Self::MAX_BYTES
            && *max_response_bytes >= Self::MAX_BYTES
            && per_minute.is_none()
            && concurrency.is_none()
            && not_from.is_empty()
            && credentials.is_empty()
    }

    /// The most bytes that the body of a request under this rule may have.
    #[must_use]
    pub fn request_budget(&self) -> u64 {
        if self.body_fields.is_some() || self.writes_body() {
            self.max_request_bytes.min(Self::MAX_CHECKED_BODY_BYTES)
        } else {
            self.max_request_bytes
        }
    }
}

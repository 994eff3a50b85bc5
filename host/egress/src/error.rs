//! Why a request did not bring an answer.

use std::{net::IpAddr, time::Duration};

use factotum_grant::{Capability, Denial};

use crate::AddressKind;

/// Why a request did not bring an answer. No message holds a secret, a header, a body or a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// No rule allows the request.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// A rule allows the request, and as many as it allows were sent or are under way.
    #[error("{}", denial.message)]
    TooMany {
        /// What was refused, and the rate that would have allowed it.
        denial: Denial,
        /// When it is worth another try. Absent: when a request under way ends.
        retry_after: Option<Duration>,
    },
    /// The host stands at an address that the rule does not allow.
    #[error("{host} is at {address}, {}; the grant does not allow that", kind.words())]
    ForbiddenAddress {
        /// The host that was asked for.
        host: String,
        /// The address that was refused.
        address: IpAddr,
        /// What kind of address it is.
        kind: AddressKind,
    },
    /// The request is malformed, or carries header fields that a caller may not set.
    #[error("the request cannot be sent: {0}")]
    InvalidRequest(String),
    /// The rule injects a secret that does not exist.
    #[error("the grant injects the secret {0:?}, which is not set; set it with: factotum secret set {0}")]
    SecretMissing(String),
    /// The secret cannot be put where the rule wants it.
    #[error("the secret {name:?} cannot be put into the request: {problem}")]
    SecretUnusable {
        /// The secret's name.
        name: String,
        /// Why, without its value.
        problem: &'static str,
    },
    /// The other side does not take the credentials that it was shown.
    #[error("{host} does not take the credentials: HTTP {status}")]
    LoginRefused {
        /// The host.
        host: String,
        /// The status of its answer.
        status: u16,
    },
    /// The name has no address.
    #[error("{host} cannot be resolved: {problem}")]
    Unresolved {
        /// The host that was asked for.
        host: String,
        /// What the resolver said.
        problem: String,
    },
    /// No connection, or it broke before the answer was whole.
    #[error("{host} cannot be reached: {problem}")]
    Unreachable {
        /// The host.
        host: String,
        /// What happened.
        problem: String,
    },
    /// The TLS handshake failed: an unknown authority, a wrong name, an expired certificate, too old a version.
    #[error("no secure connection to {host}: {problem}")]
    Tls {
        /// The host.
        host: String,
        /// What happened.
        problem: String,
    },
    /// No whole answer in time.
    #[error("{host} did not answer within {} ms", after.as_millis())]
    Timeout {
        /// The host.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The request or the answer is larger than allowed.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The most bytes allowed.
        limit: u64,
    },
    /// The answer is no HTTP that can be passed on.
    #[error("{host} answered with something that cannot be passed on: {problem}")]
    Protocol {
        /// The host.
        host: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The door itself could not be built: a certificate file that cannot be read, no TLS.
    #[error("outgoing HTTP cannot be set up: {0}")]
    Setup(String),
}

impl EgressError {
    /// Whether policy refused the request; such a refusal belongs into the audit log.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::TooMany { .. } | Self::ForbiddenAddress { .. })
    }

    /// The denial with its mend, for the audit log; `None` when it is none.
    #[must_use]
    pub fn denial(&self) -> Option<Denial> {
        match self {
            Self::Denied(denial) | Self::TooMany { denial, .. } => Some(denial.clone()),
            Self::ForbiddenAddress { host, kind, .. } => Some(Denial {
                capability: Capability::Http,
                message: self.to_string(),
                mend: match kind {
                    AddressKind::Private | AddressKind::Reserved => {
                        format!("[[http]]\nhost = {host:?}\nprivate-network = true")
                    }
                    AddressKind::Metadata => "# metadata services are reached only by a rule that names the \
                        address itself, with private-network = true"
                        .into(),
                    AddressKind::Public | AddressKind::Unusable => "# no grant allows such an address".into(),
                },
            }),
            _ => None,
        }
    }

    /// Whether trying again later can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::TooMany { .. }
                | Self::Unresolved { .. }
                | Self::Unreachable { .. }
                | Self::Tls { .. }
                | Self::Timeout { .. }
                | Self::Protocol { .. }
        )
    }

    /// A stable word for programs: the fault code that fits.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) | Self::ForbiddenAddress { .. } => "denied",
            Self::TooMany { .. } => "rate-limited",
            Self::InvalidRequest(_) | Self::TooLarge { .. } => "invalid-input",
            Self::SecretMissing(_) | Self::SecretUnusable { .. } | Self::Setup(_) => "invalid-configuration",
            Self::LoginRefused { .. } => "unauthenticated",
            Self::Unresolved { .. } | Self::Unreachable { .. } | Self::Tls { .. } => "unavailable",
            Self::Timeout { .. } => "timeout",
            Self::Protocol { .. } => "internal",
        }
    }
}

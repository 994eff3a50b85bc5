//! A refusal: what the caller is told, and what the audit log keeps.

use std::{fmt, time::Duration};

use factotum_audit::{Actor, AuditLog, EntryBuilder, Outcome};

use crate::{Permission, Role, Source, record::shown};

/// Why somebody was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// No token was shown.
    Missing,
    /// What was shown has not the form of a token.
    Malformed,
    /// No such token was ever given out, or it was forgotten.
    Unknown,
    /// The token's time is over.
    Expired,
    /// The token was revoked.
    Revoked,
    /// Too many failed attempts; the time until the next is looked at.
    TooManyFailures(Duration),
    /// The token's role does not have the permission.
    Role(Role),
    /// The token is confined to namespaces, and this is outside of them or concerns the whole host.
    Scope,
    /// A client's certificate is wanted, and none was shown.
    CertificateMissing,
    /// The client's certificate cannot be read, has expired, or none of the trusted authorities signed it.
    CertificateUntrusted,
    /// The client's certificate is in order, and not one of those that are let in here.
    CertificateNotListed,
}

/// A refusal. `Display` is the detail for the caller; it holds nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// Who: the token's owner where it is known.
    pub actor: Actor,
    /// From where.
    pub source: Option<Source>,
    /// What was wanted.
    pub permission: Option<Permission>,
    /// In which namespace, cut to a line.
    pub namespace: Option<String>,
    /// The client's certificate that was shown: its SHA-256 fingerprint, in hexadecimal.
    pub certificate: Option<String>,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, actor: Actor, source: Option<Source>) -> Refusal {
        Refusal { kind, actor, source, permission: None, namespace: None, certificate: None }
    }

    /// Adds the client's certificate that was shown, by its fingerprint.
    #[must_use]
    pub fn certificate(mut self, fingerprint: Option<String>) -> Refusal {
        self.certificate = fingerprint;
        self
    }

    pub(crate) fn wanted(mut self, permission: Permission, namespace: Option<&str>) -> Refusal {
        self.permission = Some(permission);
        self.namespace = namespace.map(shown);
        self
    }

    /// The HTTP status: 401 for who it is, 403 for what it may, 429 for too many failures.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind {
            RefusalKind::Role(_)
            | RefusalKind::Scope
            | RefusalKind::CertificateUntrusted
            | RefusalKind::CertificateNotListed => 403,
            RefusalKind::TooManyFailures(_) => 429,
            _ => 401,
        }
    }

    /// A word for programs, and the reason in the audit entry.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            RefusalKind::Missing => "token-missing",
            RefusalKind::Malformed => "token-malformed",
            RefusalKind::Unknown => "token-unknown",
            RefusalKind::Expired => "token-expired",
            RefusalKind::Revoked => "token-revoked",
            RefusalKind::TooManyFailures(_) => "too-many-failures",
            RefusalKind::Role(_) => "role-lacks-permission",
            RefusalKind::Scope => "outside-scope",
            RefusalKind::CertificateMissing => "certificate-missing",
            RefusalKind::CertificateUntrusted => "certificate-untrusted",
            RefusalKind::CertificateNotListed => "certificate-not-listed",
        }
    }

    /// The mend.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.kind {
            RefusalKind::Missing => "send Authorization: Bearer …; the first start left an admin token in the data folder's file admin.token".into(),
            RefusalKind::Malformed => "a token begins with factotum_ and has 81 characters; was it cut when it was copied?".into(),
            RefusalKind::Unknown => "check that the token is one of this host's: factotum token list".into(),
            RefusalKind::Expired | RefusalKind::Revoked => "ask an administrator for a new one: factotum token create".into(),
            RefusalKind::TooManyFailures(_) => "wait as long as Retry-After says, then send a valid token".into(),
            RefusalKind::Role(_) => match self.permission {
                Some(permission) => {
                    let roles: Vec<_> = permission.row().roles.iter().map(|role| role.name()).collect();
                    format!("roles that may: {}", roles.join(", "))
                }
                None => "ask an administrator".into(),
            },
            RefusalKind::Scope => "use a token for that namespace, or one that is not confined to namespaces".into(),
            RefusalKind::CertificateMissing => "connect with a certificate of an authority that this host trusts for clients".into(),
            RefusalKind::CertificateUntrusted => {
                "show one that is valid and signed by an authority under client-authorities in the host's configuration".into()
            }
            RefusalKind::CertificateNotListed => {
                "whoever keeps the flow lists whom it takes: document.metadata.trigger.webhook.auth.mtls".into()
            }
        }
    }

    /// The value of `Retry-After`, in whole seconds, for a 429.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self.kind {
            RefusalKind::TooManyFailures(wait) => {
                Some(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1))
            }
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate` for a 401 or 403 (RFC 6750, section 3). A wanted certificate has no challenge: it
    /// is shown below HTTP.
    #[must_use]
    pub fn challenge(&self) -> Option<&'static str> {
        match self.status() {
            _ if self.concerns_certificate() => None,
            401 if self.kind == RefusalKind::Missing => Some("Bearer realm=\"factotum\""),
            401 => Some("Bearer realm=\"factotum\", error=\"invalid_token\""),
            403 => Some("Bearer realm=\"factotum\", error=\"insufficient_scope\""),
            _ => None,
        }
    }

    fn concerns_certificate(&self) -> bool {
        matches!(
            self.kind,
            RefusalKind::CertificateMissing
                | RefusalKind::CertificateUntrusted
                | RefusalKind::CertificateNotListed
        )
    }

    /// The audit entry, to be added to a batch; `target` is what was wanted (`GET /api/v1/runs`). `None` for a
    /// refusal past the limit on failures: that was counted, and [`crate::Access::take_counted`] reports it.
    pub fn entry<'a>(&self, log: &'a AuditLog, target: &str) -> Option<EntryBuilder<'a>> {
        if matches!(self.kind, RefusalKind::TooManyFailures(_)) {
            return None;
        }
        let mut entry = log
            .entry(&self.actor, "auth.refused", target)
            .outcome(Outcome::Denied)
            .detail("reason", self.code());
        if let Some(source) = self.source {
            entry = entry.detail("source", &source.to_string());
        }
        if let Some(permission) = self.permission {
            entry = entry.detail("permission", permission.name());
        }
        if let RefusalKind::Role(role) = self.kind {
            entry = entry.detail("role", role.name());
        }
        if let Some(namespace) = &self.namespace {
            entry = entry.detail("namespace", namespace);
        }
        if let Some(certificate) = &self.certificate {
            entry = entry.detail("certificate", certificate);
        }
        Some(entry)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.permission.map_or("this", |permission| permission.name());
        match &self.kind {
            RefusalKind::Missing => f.write_str("this needs a token"),
            RefusalKind::Malformed => f.write_str("what was sent is no token"),
            RefusalKind::Unknown => f.write_str("this token is not known here"),
            RefusalKind::Expired => f.write_str("this token has expired"),
            RefusalKind::Revoked => f.write_str("this token was revoked"),
            RefusalKind::TooManyFailures(_) => f.write_str("too many failed attempts"),
            RefusalKind::Role(role) => write!(f, "the role {role} may not: {what}"),
            RefusalKind::Scope => match &self.namespace {
                Some(namespace) => write!(f, "this token may not do {what} in namespace {namespace:?}"),
                None => write!(f, "this token is confined to namespaces, and {what} concerns the whole host"),
            },
            RefusalKind::CertificateMissing => f.write_str("this needs a client's certificate"),
            RefusalKind::CertificateUntrusted => f.write_str("this certificate is not trusted here"),
            RefusalKind::CertificateNotListed => {
                f.write_str("this certificate is not one of those that are let in here")
            }
        }
    }
}

impl std::error::Error for Refusal {}

//! Short ways to make a fault.

use std::fmt;

use crate::{Fault, FaultKind};

impl Fault {
    fn business(code: &str, message: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Business,
            code: code.into(),
            message: message.into(),
            hint: None,
            retry_after_ms: None,
        }
    }

    fn technical(code: &str, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Technical, ..Self::business(code, message) }
    }

    /// The caller's input cannot be worked with. Never retried.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::business("invalid-input", message)
    }

    /// The thing asked for does not exist. Never retried.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::business("not-found", message)
    }

    /// The state of the other side forbids it. Never retried.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::business("conflict", message)
    }

    /// The other side, or the grant, refuses it. Never retried.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::business("denied", message)
    }

    /// The plugin's configuration is missing or wrong. Never retried.
    pub fn invalid_configuration(message: impl Into<String>) -> Self {
        Self::business("invalid-configuration", message)
    }

    /// The other side cannot be reached or is not ready. The host retries.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::technical("unavailable", message)
    }

    /// The other side wants fewer requests. The host retries, not before `after_ms` when given.
    pub fn rate_limited(message: impl Into<String>, after_ms: Option<u64>) -> Self {
        Self { retry_after_ms: after_ms, ..Self::technical("rate-limited", message) }
    }

    /// The other side did not answer in time. The host retries.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::technical("timeout", message)
    }

    /// Something that should not be: an answer that does not parse, a state that cannot exist. The host retries.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::technical("internal", message)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The fault that fits an HTTP status (RFC 9110, section 15); `what` says whose answer it was, as in
    /// `"Tryton: GET party.party"`.
    pub fn from_http_status(status: u16, what: impl fmt::Display, retry_after_ms: Option<u64>) -> Self {
        let message = format!("{what}: HTTP {status}");
        match status {
            400 | 405 | 406 | 411 | 413 | 414 | 415 | 422 | 431 => Self::invalid_input(message),
            401 | 402 | 403 | 407 | 451 => Self::denied(message),
            404 | 410 => Self::not_found(message),
            409 | 412 | 423 | 428 => Self::conflict(message),
            408 | 504 => Self::timeout(message),
            429 => Self::rate_limited(message, retry_after_ms),
            500..=599 => Self { retry_after_ms, ..Self::unavailable(message) },
            _ => Self::internal(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_technical() {
        for (status, kind, code) in [
            (400, FaultKind::Business, "invalid-input"),
            (401, FaultKind::Business, "denied"),
            (404, FaultKind::Business, "not-found"),
            (412, FaultKind::Business, "conflict"),
            (429, FaultKind::Technical, "rate-limited"),
            (503, FaultKind::Technical, "unavailable"),
            (504, FaultKind::Technical, "timeout"),
        ] {
            let fault = Fault::from_http_status(status, "test", None);
            assert!(fault.kind == kind && fault.code == code, "{status}: {fault:?}");
        }
    }
}

//! From a plugin's fault to the error that a flow can catch (RFC 9457), and to what a direct caller is told.

use factotum_flow::FlowError;
use factotum_sandbox::{CallFault, FaultKind};

use crate::actions::Pin;
use crate::error::{ErrorCode, HostError};

/// The error that `try` and the run's caller see. Business faults have a status of 4xx, technical ones of 5xx.
pub(crate) fn to_flow_error(fault: &CallFault, pin: &Pin, attempts: u32) -> FlowError {
    let text = fault.message.as_str();
    let error = match (fault.kind, fault.code.as_str()) {
        (FaultKind::Business, "invalid-input") => FlowError::validation(text),
        (FaultKind::Business, "denied" | "data-not-allowed") => FlowError::authorization(text),
        (FaultKind::Business, "not-found") => FlowError::communication(text).with_status(404),
        (FaultKind::Business, "conflict") => FlowError::communication(text).with_status(409),
        (FaultKind::Business, _) => FlowError::communication(text).with_status(422),
        (FaultKind::Technical, "timeout") => FlowError::timeout(text).with_status(504),
        (FaultKind::Technical, "internal" | "trap" | "out-of-memory") => FlowError::runtime(text),
        (FaultKind::Technical, _) => FlowError::communication(text).with_status(503),
    };
    let kind = match fault.kind {
        FaultKind::Business => "business",
        FaultKind::Technical => "technical",
    };
    let mut error = error
        .with("kind", kind)
        .with("code", fault.code.as_str())
        .with("plugin", pin.plugin.as_str())
        .with("function", pin.function.as_str())
        .with("attempts", attempts);
    if let Some(hint) = &fault.hint {
        error = error.with("hint", hint.as_str());
    }
    if let Some(detail) = &fault.detail {
        error = error.with("fault", detail.clone());
    }
    error
}

/// What the caller of a direct call is told.
pub(crate) fn to_host_error(fault: &CallFault) -> HostError {
    let code = match fault.kind {
        FaultKind::Business => ErrorCode::ActionRefused,
        FaultKind::Technical => ErrorCode::ActionFailed,
    };
    let mut error = HostError::new(code, format!("{}: {}", fault.code, fault.message));
    error.hint.clone_from(&fault.hint);
    error.retry_after = fault.retry_after_ms.map(std::time::Duration::from_millis);
    if let Ok(detail) = serde_json::to_value(fault) {
        error = error.detail(detail);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn business_is_4xx_and_technical_5xx() {
        let pin = Pin {
            call: "crm/get".into(),
            plugin: "crm".into(),
            version: semver::Version::new(1, 0, 0),
            digest: "d".into(),
            function: "crm.get".into(),
        };
        for code in ["invalid-input", "denied", "not-found", "conflict", "its-own"] {
            let error = to_flow_error(&CallFault::business(code, "m"), &pin, 1);
            assert!((400..500).contains(&error.status), "{code}: {}", error.status);
            assert_eq!(error.extra.get("code").unwrap(), code);
            assert_eq!(error.extra.get("kind").unwrap(), "business");
        }
        for code in ["unavailable", "rate-limited", "timeout", "internal", "trap", "its-own"] {
            let error = to_flow_error(&CallFault::technical(code, "m"), &pin, 4);
            assert!((500..600).contains(&error.status), "{code}: {}", error.status);
            assert_eq!(error.extra.get("attempts").unwrap(), 4);
        }
        assert!(
            to_flow_error(&CallFault::technical("timeout", "m"), &pin, 1)
                .is_type("https://serverlessworkflow.io/spec/1.0.0/errors/timeout")
        );
    }
}

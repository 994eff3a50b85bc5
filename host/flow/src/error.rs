//! Errors as the DSL has them: problem details (RFC 9457) with standard types.

use factotum_provenance::Labels;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// Where the DSL's standard error types live.
const TYPES: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/";

/// The standard types: name, status, title.
const CONFIGURATION: (&str, u16, &str) = ("configuration", 400, "Configuration Error");
const VALIDATION: (&str, u16, &str) = ("validation", 400, "Validation Error");
const EXPRESSION: (&str, u16, &str) = ("expression", 400, "Expression Error");
const AUTHENTICATION: (&str, u16, &str) = ("authentication", 401, "Authentication Error");
const AUTHORIZATION: (&str, u16, &str) = ("authorization", 403, "Authorization Error");
const TIMEOUT: (&str, u16, &str) = ("timeout", 408, "Timeout Error");
const COMMUNICATION: (&str, u16, &str) = ("communication", 500, "Communication Error");
const RUNTIME: (&str, u16, &str) = ("runtime", 500, "Runtime Error");

/// An error in a run: a problem details object (RFC 9457), as `catch` sees it and as the caller gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowError {
    /// The kind of error, a URI.
    #[serde(rename = "type")]
    pub type_: String,
    /// A status code as HTTP has them.
    pub status: u16,
    /// The kind of error, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The task it came from: a JSON Pointer (RFC 6901) into the flow. The interpreter fills it in when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Further members, such as a plugin's fault kind. Boxed, because errors travel in every result.
    #[serde(flatten)]
    pub extra: Box<Map<String, Value>>,
    /// Where what its texts may quote comes from. Not part of what is written.
    #[serde(skip)]
    pub(crate) from: Labels,
}

impl FlowError {
    fn standard((name, status, title): (&str, u16, &str), detail: impl Into<String>) -> Self {
        FlowError {
            type_: format!("{TYPES}{name}"),
            status,
            title: title.to_owned(),
            detail: Some(detail.into()),
            instance: None,
            extra: Box::default(),
            from: Labels::default(),
        }
    }

    /// The flow or its surroundings are set up wrongly. Status 400.
    pub fn configuration(detail: impl Into<String>) -> Self {
        Self::standard(CONFIGURATION, detail)
    }

    /// Data does not fit its schema. Status 400.
    pub fn validation(detail: impl Into<String>) -> Self {
        Self::standard(VALIDATION, detail)
    }

    /// An expression failed. Status 400.
    pub fn expression(detail: impl Into<String>) -> Self {
        Self::standard(EXPRESSION, detail)
    }

    /// The other side does not know who asks. Status 401.
    pub fn authentication(detail: impl Into<String>) -> Self {
        Self::standard(AUTHENTICATION, detail)
    }

    /// It is not allowed. Status 403.
    pub fn authorization(detail: impl Into<String>) -> Self {
        Self::standard(AUTHORIZATION, detail)
    }

    /// It took too long. Status 408.
    pub fn timeout(detail: impl Into<String>) -> Self {
        Self::standard(TIMEOUT, detail)
    }

    /// The other side could not be reached, or answered with a failure. Status 500; see [`FlowError::with_status`].
    pub fn communication(detail: impl Into<String>) -> Self {
        Self::standard(COMMUNICATION, detail)
    }

    /// The run could not go on. Status 500.
    pub fn runtime(detail: impl Into<String>) -> Self {
        Self::standard(RUNTIME, detail)
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with a further member.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The same with the place it came from.
    #[must_use]
    pub fn at(mut self, pointer: &str) -> Self {
        self.instance.get_or_insert_with(|| pointer.to_owned());
        self
    }

    /// The same, with further data that its texts may quote.
    #[must_use]
    pub fn and_labels(mut self, labels: &Labels) -> Self {
        self.from = self.from.union(labels);
        self
    }

    /// Where what its texts may quote comes from.
    pub fn labels(&self) -> &Labels {
        &self.from
    }

    /// Whether this is of the given type; the project's two hosts and the two paths of the standard types count as one.
    pub fn is_type(&self, uri: &str) -> bool {
        canonical(&self.type_) == canonical(uri)
    }

    /// The error as JSON.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// One spelling for a type's URI. The project moved from `serverlessworkflow.io` to `open-workflow-specification.org`,
/// and its documents name the standard types under `/spec/1.0.0/errors/` and `/dsl/errors/types/`.
fn canonical(uri: &str) -> String {
    let rest = ["serverlessworkflow.io/", "open-workflow-specification.org/"].iter().find_map(|host| {
        let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"))?;
        rest.strip_prefix("www.").unwrap_or(rest).strip_prefix(host)
    });
    let Some(rest) = rest else { return uri.to_owned() };
    let name = rest.strip_prefix("dsl/errors/types/").or_else(|| {
        let (version, name) = rest.strip_prefix("spec/")?.split_once("/errors/")?;
        (!version.contains('/')).then_some(name)
    });
    match name {
        Some(name) => format!("{TYPES}{name}"),
        None => format!("https://serverlessworkflow.io/{rest}"),
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = if self.title.is_empty() { &self.type_ } else { &self.title };
        write!(f, "{title} ({})", self.status)?;
        if let Some(instance) = &self.instance {
            write!(f, " at {instance}")?;
        }
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FlowError {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_spellings_of_a_standard_type_are_one() {
        let error = FlowError::communication("x");
        for uri in [
            "https://serverlessworkflow.io/spec/1.0.0/errors/communication",
            "https://serverlessworkflow.io/dsl/errors/types/communication",
            "https://open-workflow-specification.org/spec/1.0.0/errors/communication",
            "https://open-workflow-specification.org/dsl/errors/types/communication",
        ] {
            assert!(error.is_type(uri), "{uri}");
        }
        for uri in [
            "https://serverlessworkflow.io/spec/1.0.0/errors/runtime",
            "https://example.org/spec/1.0.0/errors/communication",
            "communication",
        ] {
            assert!(!error.is_type(uri), "{uri}");
        }
    }

    #[test]
    fn an_error_is_a_problem_details_object() {
        let error = FlowError::timeout("too slow").at("/do/0/x").at("/do/1/y").with("kind", "technical");
        let value = json!({
            "type": "https://serverlessworkflow.io/spec/1.0.0/errors/timeout", "status": 408, "title": "Timeout Error",
            "detail": "too slow", "instance": "/do/0/x", "kind": "technical"
        });
        assert_eq!(error.to_value(), value);
        assert_eq!(serde_json::from_value::<FlowError>(value).unwrap(), error);
        assert_eq!(error.to_string(), "Timeout Error (408) at /do/0/x: too slow");
    }
}

//! Endpoints: a URI, a URI template or an expression that gives a URI, with the authentication that goes with it.
//!
//! Templates are those of RFC 6570, level 1: `{name}` is a member of the task's input, escaped so that it stays inside its
//! place. A value cannot climb out of its folder either: `.` and `..` as a whole segment are refused.

use crate::FlowError;
use crate::auth::{self, Policy};
use crate::decode::{At, Decoder, Object, shorten};
use crate::expr::{self, Data, Expr, Vars, is_expression};
use crate::reuse::Context;
use crate::run::{Halt, Run, Scope};
use crate::yaml::Kind;
use factotum_provenance::Labels;
use serde_json::Value;

/// The longest URI that is sent, in bytes.
const MAX_URI: usize = 8 * 1024;

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub uri: Uri,
    pub authentication: Option<Policy>,
}

/// A URI that may depend on the input.
#[derive(Debug)]
pub(crate) enum Uri {
    Template(Vec<Part>),
    Expr(Expr),
}

/// A part of a URI template.
#[derive(Debug)]
pub(crate) enum Part {
    Text(String),
    Member(String),
}

/// Decodes an endpoint.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>, cx: &mut Context<'_>, vars: &Vars) -> Option<Endpoint> {
    if let Kind::Text(_) = &at.node.kind {
        return uri(d, &at, vars).map(|uri| Endpoint { uri, authentication: None });
    }
    let object: Object<'_> = d.object(at, &["uri", "authentication"])?;
    let uri = d.required(&object, "uri").and_then(|at| uri(d, &at, vars));
    let authentication = object.get("authentication").map(|at| auth::decode(d, at, cx, vars));
    Some(Endpoint { uri: uri?, authentication: crate::task::flat(authentication)? })
}

/// Decodes a URI, a template or an expression.
pub(crate) fn uri(d: &mut Decoder<'_>, at: &At<'_>, vars: &Vars) -> Option<Uri> {
    let text = d.text(at)?;
    if is_expression(text) {
        return expr::decode(d, at, vars).map(Uri::Expr);
    }
    if text.contains("${") {
        d.error_hint(
            at,
            "an expression must be the whole string",
            "use {name} for a member of the input, or write ${ \"https://host/\\(.path)\" }",
        );
        return None;
    }
    let known = ["https://", "http://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)));
    if !known || text.contains(char::is_whitespace) || text.chars().any(char::is_control) {
        let message = format!("\"{}\" is not an endpoint", shorten(text, 80));
        d.error_hint(at, message, "write an absolute URI such as https://api.example.com/orders/{id}");
        return None;
    }
    match parts(text) {
        Ok(parts) => Some(Uri::Template(parts)),
        Err(message) => {
            d.error_hint(at, message, "only {name} is expanded; for more, write an expression");
            None
        }
    }
}

fn parts(mut text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (before, rest) = match text.split_once('{') {
            Some((before, rest)) => (before, Some(rest)),
            None => (text, None),
        };
        if before.contains('}') {
            return Err("a } in the URI closes nothing".into());
        }
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let Some(rest) = rest else { break };
        let Some((name, after)) = rest.split_once('}') else {
            return Err("a { in the URI is never closed".into());
        };
        let simple = !name.is_empty()
            && name.len() <= 128
            && !name.starts_with(['+', '#', '.', '/', ';', '?', '&', '=', ',', '!', '@', '|'])
            && !name.contains(['{', ':', '*', ',', '$']);
        if !simple {
            return Err(format!("{{{}}} is more than a name", shorten(name, 40)));
        }
        parts.push(Part::Member(name.to_owned()));
        text = after;
    }
    Ok(parts)
}

/// Escapes all but what is unreserved (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A value in a URI, header or form: a text, number, boolean or null.
pub(crate) fn scalar(value: &Value, what: &str) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => Err(format!(
            "{what} must be a text, a number or a boolean, not {}",
            shorten(&value.to_string(), 60)
        )),
    }
}

/// Refuses a path that climbs: what came into it could choose another resource than was meant.
pub(crate) fn stays(uri: &str) -> Result<(), String> {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let climbs = path.split('/').skip(3).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    });
    if climbs {
        return Err(format!("the path of {} climbs out of its folder", shorten(uri, 120)));
    }
    if uri.len() > MAX_URI {
        return Err(format!("the URI has {} bytes; the most is {MAX_URI}", uri.len()));
    }
    Ok(())
}

impl Uri {
    /// As written, if it is no expression.
    pub fn literal(&self) -> Option<String> {
        match self {
            Uri::Expr(_) => None,
            Uri::Template(parts) => Some(
                parts
                    .iter()
                    .map(|part| match part {
                        Part::Text(text) => text.clone(),
                        Part::Member(name) => format!("{{{name}}}"),
                    })
                    .collect(),
            ),
        }
    }

    /// The URI for an input, and where it comes from.
    pub fn fill(&self, run: &Run<'_>, input: &Data, scope: &Scope<'_>) -> Result<(String, Labels), Halt> {
        let fail =
            |message: String, labels: &Labels| Halt::Fault(FlowError::expression(message).and_labels(labels));
        match self {
            Uri::Expr(expr) => {
                let value = run.eval(expr, input, scope)?;
                let labels = value.labels();
                let Value::String(uri) = value.into_value().map_err(Halt::Fault)? else {
                    return Err(fail(
                        format!("an endpoint must be a text (in `{}`)", expr.source()),
                        &labels,
                    ));
                };
                stays(&uri).map_err(|e| fail(e, &labels))?;
                Ok((uri, labels))
            }
            Uri::Template(parts) => {
                let (mut uri, mut labels) = (String::new(), Labels::default());
                let mut filled = false;
                for part in parts {
                    match part {
                        Part::Text(text) => uri.push_str(text),
                        Part::Member(name) => {
                            filled = true;
                            let members = input.json().map_err(|e| fail(e, &input.labels()))?;
                            labels = labels.union(&input.provenance().member(name).total());
                            let value = members.get(name).unwrap_or(&Value::Null);
                            let text = scalar(value, &format!("{{{name}}}")).map_err(|e| fail(e, &labels))?;
                            uri.push_str(&encode(&text));
                        }
                    }
                }
                if filled {
                    stays(&uri).map_err(|e| fail(e, &labels))?;
                }
                Ok((uri, labels))
            }
        }
    }

    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        matches!(self, Uri::Expr(expr) if test(expr))
    }
}

impl Endpoint {
    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.uri.any_expr(test) || self.authentication.as_ref().is_some_and(|policy| policy.any_expr(test))
    }
}

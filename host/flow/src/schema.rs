//! JSON Schemas of inputs and outputs, compiled when the flow is deployed. Nothing is fetched from anywhere.

use crate::FlowError;
use crate::decode::{At, Decoder, shorten};
use crate::expr::Data;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// Problems that one validation names.
const MAX_NAMED: usize = 5;

/// The deepest value that a schema with references is checked against: such a check recurses with the data.
const MAX_DATA_DEPTH: usize = 256;

/// A compiled JSON Schema.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Box<Validator>,
    /// Whether it refers to itself, so that a check goes as deep as the data.
    recursive: bool,
}

/// Decodes a `schema`: `{format, document}`. External resources are refused.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>) -> Option<Schema> {
    let object = d.object(at.clone(), &["format", "document", "resource"])?;
    if let Some(format) = object.get("format") {
        let text = d.text(&format)?;
        if text != "json" && !text.starts_with("json:") {
            d.error_hint(
                &format,
                format!("the schema format \"{}\" is not known", shorten(text, 40)),
                "use json",
            );
            return None;
        }
    }
    if let Some(resource) = object.get("resource") {
        d.error_hint(
            &resource,
            "external schemas are not supported yet, because a deployed flow must not change under a run",
            "write the schema under `document` instead",
        );
        return None;
    }
    let document = d.required(&object, "document")?;
    let json = document.node.to_json();
    match compile(&json) {
        Ok(schema) => Some(schema),
        Err(message) => {
            d.error(&document, format!("this is not a JSON Schema: {}", shorten(&message, 300)));
            None
        }
    }
}

/// Checks that a value of the document is a JSON Schema: the form of a question.
pub(crate) fn form(d: &mut Decoder<'_>, at: &At<'_>) -> Option<()> {
    match compile(&at.node.to_json()) {
        Ok(_) => Some(()),
        Err(message) => {
            d.error(at, format!("this is not a JSON Schema: {}", shorten(&message, 300)));
            None
        }
    }
}

/// Whether an answer fits a form (a JSON Schema 2020-12, as `call: human-task` has it), so that a host can tell a person
/// before it takes the answer.
///
/// # Errors
/// The DSL's validation error, status 400, with what does not fit.
pub fn fits_form(form: &Value, answer: &Value) -> Result<(), FlowError> {
    let schema = compile(form).map_err(FlowError::configuration)?;
    schema.check(&Data::from(answer.clone())).map_err(FlowError::validation)
}

fn compile(document: &Value) -> Result<Schema, String> {
    if !matches!(document, Value::Object(_) | Value::Bool(_)) {
        return Err("it must be an object".into());
    }
    no_endless_reference(document)?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        // The engine without backtracking: a pattern must not hold a thread.
        .with_pattern_options(PatternOptions::regex())
        .build(document)
        .map(|validator| Schema { validator: Box::new(validator), recursive: refers(document) })
        .map_err(|e| e.to_string())
}

/// A `$ref` that leads to itself without going down into the data would be followed for ever.
///
/// Only references inside the document exist here. We follow those that apply to the same value (`$ref`, `allOf`,
/// `anyOf`, `oneOf`, `not`, `if`, `then`, `else`, `dependentSchemas`) and refuse a circle.
fn no_endless_reference(document: &Value) -> Result<(), String> {
    let mut open = Vec::new();
    let mut done = std::collections::HashSet::new();
    references(document, document, &mut open, &mut done, true)
}

fn references<'v>(
    root: &'v Value,
    schema: &'v Value,
    open: &mut Vec<String>,
    done: &mut std::collections::HashSet<String>,
    descend: bool,
) -> Result<(), String> {
    let Some(map) = schema.as_object() else { return Ok(()) };
    for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
        let Some(target) = map.get(keyword).and_then(Value::as_str) else { continue };
        if open.iter().any(|o| o == target) {
            return Err(format!("the reference {target} leads to itself"));
        }
        if open.len() > 200 {
            return Err("references are chained too deeply".into());
        }
        if done.contains(target) {
            continue;
        }
        let found = match target.strip_prefix('#') {
            Some("") => Some(root),
            Some(pointer) if pointer.starts_with('/') => root.pointer(pointer),
            _ => {
                return Err(format!(
                    "the reference \"{target}\" must point into this schema, like #/$defs/name"
                ));
            }
        };
        if let Some(found) = found {
            open.push(target.to_owned());
            references(root, found, open, done, false)?;
            open.pop();
        }
        done.insert(target.to_owned());
    }
    for (key, value) in map {
        let in_place = matches!(
            key.as_str(),
            "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "dependentSchemas"
        );
        if in_place {
            for part in parts(value, key == "dependentSchemas") {
                references(root, part, open, done, descend)?;
            }
        } else if descend && !matches!(key.as_str(), "const" | "enum" | "default" | "examples") {
            // A new value begins below: circles through it end with the data.
            for part in parts(value, false) {
                references(root, part, &mut Vec::new(), done, true)?;
            }
        }
    }
    Ok(())
}

fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.contains_key("$ref") || map.contains_key("$dynamicRef") || map.values().any(refers)
        }
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Object(map) => map.values().any(|v| deeper_than(v, below)),
        Value::Array(items) => items.iter().any(|v| deeper_than(v, below)),
        _ => false,
    }
}

/// The schemas in a keyword's value: itself, its items, or its members.
fn parts(value: &Value, members: bool) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) if members => map.values().collect(),
        other => vec![other],
    }
}

impl Schema {
    /// Says what is wrong with a value: each fault with its place.
    pub fn check(&self, data: &Data) -> Result<(), String> {
        let value = data.json()?;
        if self.recursive && deeper_than(value, MAX_DATA_DEPTH) {
            return Err(format!("the value is nested more than {MAX_DATA_DEPTH} deep"));
        }
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let mut faults = self.validator.iter_errors(value);
        let mut named: Vec<String> = faults
            .by_ref()
            .take(MAX_NAMED)
            .map(|e| {
                let place = e.instance_path().to_string();
                let said = shorten(&e.to_string(), 200);
                if place.is_empty() { said } else { format!("{place}: {said}") }
            })
            .collect();
        let more = faults.take(1000).count();
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        Err(named.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Value, data: Value) -> Result<(), String> {
        compile(&schema)?.check(&Data::from(data))
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let schema =
            json!({"type": "object", "required": ["mail"], "properties": {"age": {"type": "integer"}}});
        assert_eq!(check(schema.clone(), json!({"mail": "x", "age": 1})), Ok(()));
        let said = check(schema, json!({"age": "x"})).unwrap_err();
        assert!(said.contains("/age: \"x\" is not of type \"integer\""), "{said}");
        assert!(said.contains("\"mail\" is a required property"), "{said}");
    }

    #[test]
    fn references_stay_inside_and_end() {
        for schema in [
            json!({"$ref": "https://example.org/x"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}),
            json!({"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}),
            json!("string"),
            json!({"type": 5}),
            json!({"pattern": "("}),
            json!({"pattern": "(?=a)b"}),
        ] {
            assert!(compile(&schema).is_err(), "{schema}");
        }
        let tree =
            json!({"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}});
        assert_eq!(check(tree.clone(), json!({"kids": [{"kids": []}]})), Ok(()));
        assert!(check(tree, json!({"kids": [{"kids": 5}]})).is_err());
    }

    #[test]
    fn deep_data_does_not_overflow_a_recursive_schema() {
        let mut data = json!({});
        for _ in 0..2000 {
            data = json!({"kids": [data]});
        }
        let tree = json!({"properties": {"kids": {"items": {"$ref": "#"}}}});
        assert!(check(tree, data).unwrap_err().contains("nested more than 256 deep"));
    }

    #[test]
    fn formats_are_checked() {
        assert!(check(json!({"format": "email"}), json!("a@b.example")).is_ok());
        assert!(check(json!({"format": "email"}), json!("nobody")).is_err());
    }
}

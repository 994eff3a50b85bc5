//! What an OpenAPI document (3.x) or a Swagger 2.0 document says of one operation, made into a request.
//!
//! Sources: OpenAPI 3.1, "Parameter Object", "Server Object"; Swagger 2.0, "Parameter Object". Schemas are not checked here:
//! the service does that.

use crate::FlowError;
use crate::decode::shorten;
use crate::endpoint::{encode, scalar, stays};
use serde_json::{Map, Value};

/// A request, before it is authenticated.
#[derive(Debug, PartialEq)]
pub(crate) struct Made {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
}

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// References that are followed to reach one definition.
const MAX_REFERENCES: usize = 8;

/// Makes the request for an operation with these parameters; `from` is where the document was read.
pub(crate) fn request(
    document: &Value,
    from: &str,
    id: &str,
    mut parameters: Map<String, Value>,
) -> Result<Made, FlowError> {
    let wrong = |detail: String| FlowError::configuration(detail);
    let (path, item, method, operation) = find(document, id)
        .ok_or_else(|| wrong(format!("{from} describes no operation \"{}\"", shorten(id, 80))))?;
    let mut made = Made {
        method: method.to_ascii_uppercase(),
        uri: String::new(),
        headers: Vec::new(),
        query: Vec::new(),
        body: None,
    };
    let (mut path, mut cookies, mut form) = (path.to_owned(), Vec::new(), Vec::new());
    for parameter in described(document, item, operation) {
        let Some(name) = parameter.get("name").and_then(Value::as_str) else { continue };
        let place = parameter.get("in").and_then(Value::as_str).unwrap_or("query");
        let value = parameters.remove(name);
        let missing = value.as_ref().is_none_or(Value::is_null);
        if missing {
            if parameter.get("required").and_then(Value::as_bool) == Some(true) {
                return Err(FlowError::validation(format!(
                    "the parameter \"{name}\" of \"{id}\" is missing"
                )));
            }
            continue;
        }
        let value = value.unwrap_or_default();
        let texts = texts(&value, name).map_err(FlowError::validation)?;
        match place {
            "path" => {
                let escaped: Vec<String> = texts.iter().map(|text| encode(text)).collect();
                path = path.replace(&format!("{{{name}}}"), &escaped.join(","));
            }
            "header" => made.headers.push((name.to_owned(), texts.join(","))),
            "cookie" => cookies.push(format!("{name}={}", encode(&texts.join(",")))),
            "formData" => form.extend(repeated(parameter, name, texts)),
            "body" => made.body = Some(value),
            _ => made.query.extend(repeated(parameter, name, texts)),
        }
    }
    if !cookies.is_empty() {
        made.headers.push(("cookie".into(), cookies.join("; ")));
    }
    body(document, operation, &mut parameters, &mut form, &mut made);
    if let Some(name) = parameters.keys().next() {
        let detail = format!("\"{id}\" has no parameter \"{}\"", shorten(name, 60));
        return Err(FlowError::validation(detail));
    }
    if !form.is_empty() {
        let pairs: Vec<String> = form.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        made.headers.push(("content-type".into(), "application/x-www-form-urlencoded".into()));
        made.body = Some(Value::String(pairs.join("&")));
    }
    if path.contains(['{', '}']) {
        return Err(FlowError::validation(format!("a part of the path {path} was given no value")));
    }
    let server = server(document, item, operation, from).map_err(wrong)?;
    made.uri = format!("{}/{}", server.trim_end_matches('/'), path.trim_start_matches('/'));
    stays(&made.uri).map_err(FlowError::validation)?;
    Ok(made)
}

fn find<'d>(document: &'d Value, id: &str) -> Option<(&'d str, &'d Value, &'d str, &'d Value)> {
    document.get("paths")?.as_object()?.iter().find_map(|(path, item)| {
        let item = follow(document, item)?;
        item.as_object()?.iter().find_map(|(method, operation)| {
            let named = operation.get("operationId").and_then(Value::as_str) == Some(id);
            (named && METHODS.contains(&method.as_str())).then_some((
                path.as_str(),
                item,
                method.as_str(),
                operation,
            ))
        })
    })
}

/// Follows references inside the document.
fn follow<'d>(document: &'d Value, mut value: &'d Value) -> Option<&'d Value> {
    for _ in 0..MAX_REFERENCES {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Some(value) };
        value = document.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

/// The parameters of an operation, over those of its path.
fn described<'d>(document: &'d Value, item: &'d Value, operation: &'d Value) -> Vec<&'d Value> {
    let list = |of: &'d Value| {
        let items = of.get("parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|p| follow(document, p)).collect::<Vec<_>>()
    };
    let mut all = list(operation);
    for parameter in list(item) {
        let same = |other: &&Value| {
            other.get("name") == parameter.get("name") && other.get("in") == parameter.get("in")
        };
        if !all.iter().any(same) {
            all.push(parameter);
        }
    }
    all
}

fn texts(value: &Value, name: &str) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(|item| scalar(item, name)).collect(),
        // A body is not written as text; nothing else may be an object.
        Value::Object(_) => Ok(vec![value.to_string()]),
        other => Ok(vec![scalar(other, name)?]),
    }
}

/// A list is repeated (`explode`, the default of OpenAPI 3; `multi` of Swagger 2) or joined.
fn repeated(parameter: &Value, name: &str, texts: Vec<String>) -> Vec<(String, String)> {
    let separator = match (
        parameter.get("collectionFormat").and_then(Value::as_str),
        parameter.get("style").and_then(Value::as_str),
    ) {
        (Some("multi"), _) => None,
        (Some("ssv"), _) | (_, Some("spaceDelimited")) => Some(" "),
        (Some("pipes"), _) | (_, Some("pipeDelimited")) => Some("|"),
        (Some("tsv"), _) => Some("\t"),
        (Some(_), _) => Some(","),
        // Swagger 2 says a parameter's type beside it, and joins by default.
        _ if parameter.get("type").is_some() => Some(","),
        _ if parameter.get("explode").and_then(Value::as_bool) == Some(false) => Some(","),
        _ => None,
    };
    match separator {
        Some(separator) => vec![(name.to_owned(), texts.join(separator))],
        None => texts.into_iter().map(|text| (name.to_owned(), text)).collect(),
    }
}

/// The request body of OpenAPI 3, out of what is left of the parameters.
fn body(
    document: &Value,
    operation: &Value,
    parameters: &mut Map<String, Value>,
    form: &mut Vec<(String, String)>,
    made: &mut Made,
) {
    let Some(described) = operation.get("requestBody").and_then(|b| follow(document, b)) else { return };
    let value = match parameters.remove("body") {
        Some(body) => body,
        None if parameters.is_empty() => return,
        None => Value::Object(std::mem::take(parameters)),
    };
    let types: Vec<&str> = described
        .get("content")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(t, _)| t.as_str())
        .collect();
    let json = types.iter().any(|t| t.contains("json"));
    if let (false, true, Value::Object(members)) =
        (json, types.contains(&"application/x-www-form-urlencoded"), &value)
    {
        for (key, value) in members {
            let text = scalar(value, key).unwrap_or_else(|_| value.to_string());
            form.push((key.clone(), text));
        }
        return;
    }
    if let (Value::String(_), Some(first)) = (&value, types.first()) {
        made.headers.push(("content-type".into(), (*first).to_owned()));
    }
    made.body = Some(value);
}

/// Where the operation is served.
fn server(document: &Value, item: &Value, operation: &Value, from: &str) -> Result<String, String> {
    let base = url::Url::parse(from).map_err(|e| format!("{} is no URI: {e}", shorten(from, 120)))?;
    if document.get("swagger").is_some() {
        let schemes: Vec<&str> = document
            .get("schemes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let scheme = match schemes.as_slice() {
            [] => base.scheme(),
            all if all.contains(&"https") => "https",
            _ => "http",
        };
        let own = base.port().map_or_else(
            || base.host_str().unwrap_or_default().to_owned(),
            |port| format!("{}:{port}", base.host_str().unwrap_or_default()),
        );
        let host = document.get("host").and_then(Value::as_str).unwrap_or(&own);
        let path = document.get("basePath").and_then(Value::as_str).unwrap_or("/");
        return Ok(format!("{scheme}://{host}/{}", path.trim_start_matches('/')));
    }
    let servers =
        [operation, item, document].into_iter().find_map(|of| of.get("servers")?.as_array()?.first());
    let Some(server) = servers else { return Ok(base.join("/").map_err(|e| e.to_string())?.into()) };
    let mut text = server.get("url").and_then(Value::as_str).unwrap_or("/").to_owned();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        let default = variable.get("default").and_then(Value::as_str).unwrap_or_default();
        text = text.replace(&format!("{{{name}}}"), default);
    }
    base.join(&text).map(Into::into).map_err(|e| format!("the server {} is no URI: {e}", shorten(&text, 120)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn openapi_3_parameters_go_to_their_places() {
        let document = json!({
            "openapi": "3.1.0",
            "servers": [{"url": "/api/{version}", "variables": {"version": {"default": "v3"}}}],
            "components": {"parameters": {"trace": {"name": "x-trace", "in": "header"}}},
            "paths": {"/orders/{id}/lines": {
                "parameters": [{"name": "id", "in": "path", "required": true}, {"$ref": "#/components/parameters/trace"}],
                "post": {"operationId": "addLine", "parameters": [
                    {"name": "tag", "in": "query"}, {"name": "also", "in": "query", "explode": false},
                    {"name": "session", "in": "cookie"}],
                    "requestBody": {"content": {"application/json": {}}}},
            }},
        });
        let given = json!({"id": "a/b", "tag": ["x", "y"], "also": [1, 2], "x-trace": 7, "session": "s;1", "sku": "K", "count": 2});
        let made = request(&document, "https://shop.example.com/spec/openapi.json", "addLine", object(given))
            .unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(made.method, "POST");
        assert_eq!(made.uri, "https://shop.example.com/api/v3/orders/a%2Fb/lines");
        assert_eq!(made.query, [pair("tag", "x"), pair("tag", "y"), pair("also", "1,2")]);
        assert_eq!(made.headers, [pair("x-trace", "7"), pair("cookie", "session=s%3B1")]);
        assert_eq!(made.body, Some(json!({"sku": "K", "count": 2})));
    }

    #[test]
    fn swagger_2_bodies_and_forms_are_written() {
        let document = json!({
            "swagger": "2.0", "host": "pets.example.com", "basePath": "/v2", "schemes": ["http", "https"],
            "paths": {"/pet/{petId}": {"post": {"operationId": "form", "parameters": [
                {"name": "petId", "in": "path", "required": true, "type": "integer"},
                {"name": "name", "in": "formData", "type": "string"}, {"name": "status", "in": "formData", "type": "string"}]}},
                "/pet": {"put": {"operationId": "update", "parameters": [{"name": "body", "in": "body", "required": true}]}}},
        });
        let at = "https://docs.example.com/swagger.json";
        let made = request(&document, at, "form", object(json!({"petId": 5, "name": "A & B"}))).unwrap();
        assert_eq!((made.method.as_str(), made.uri.as_str()), ("POST", "https://pets.example.com/v2/pet/5"));
        assert_eq!(made.body, Some(json!("name=A%20%26%20B")));
        assert_eq!(
            made.headers,
            [("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())]
        );
        let made = request(&document, at, "update", object(json!({"body": {"id": 1}}))).unwrap();
        assert_eq!(made.body, Some(json!({"id": 1})));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let document = json!({"openapi": "3.0.0", "paths": {"/a/{id}": {"get": {"operationId": "a",
            "parameters": [{"name": "id", "in": "path", "required": true}]}},
            "/loop": {"$ref": "#/paths/~1loop"}}});
        for (id, given, expected) in [
            ("b", json!({}), "describes no operation \"b\""),
            ("a", json!({}), "the parameter \"id\" of \"a\" is missing"),
            ("a", json!({"id": 1, "x": 2}), "\"a\" has no parameter \"x\""),
            ("a", json!({"id": ".."}), "climbs out of its folder"),
        ] {
            let error = request(&document, "https://x.example/", id, object(given)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(request(&json!(5), "https://x.example/", "a", Map::new()).is_err());
    }
}

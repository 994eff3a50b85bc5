//! The pet store and httpbin, as far as the DSL's conformance features ask them: their answers, and nothing of a network.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

use factotum_flow::{Authentication, Credential, HttpCall};
use serde_json::{Value, json};

/// Answers a request with a status and a body.
pub fn answer(call: &HttpCall<'_>) -> (u16, Value) {
    let uri = call.uri.as_str();
    if let Some(rest) = uri.strip_prefix("https://petstore.swagger.io/v2/") {
        return pets(call, rest);
    }
    if let Some(rest) = uri.strip_prefix("https://httpbin.org/basic-auth/") {
        return basic(call, rest);
    }
    panic!("nobody answers {uri}");
}

fn pet(id: u64) -> Value {
    json!({"id": id, "name": format!("pet {id}"), "status": "available", "tags": [], "photoUrls": []})
}

fn pets(call: &HttpCall<'_>, rest: &str) -> (u16, Value) {
    if rest == "swagger.json" {
        return (200, swagger());
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let asked = query.split('&').filter_map(|pair| pair.split_once('='));
    let given = call.query.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let status = asked.chain(given).find(|(key, _)| *key == "status").map(|(_, value)| value.to_owned());
    match path.strip_prefix("pet/") {
        Some("findByStatus") if call.method == "GET" => match status.as_deref() {
            Some("available") => (200, json!([pet(1), pet(2), pet(3)])),
            Some(_) => (200, json!([])),
            None => (400, json!({"message": "no status"})),
        },
        Some(id) if call.method == "GET" => match id.parse() {
            Ok(id) => (200, pet(id)),
            Err(_) => (404, json!({"code": 404, "type": "unknown", "message": "null for uri"})),
        },
        _ => (405, json!(null)),
    }
}

/// The basic-auth check of httpbin: user and password of the path must be those of the request.
fn basic(call: &HttpCall<'_>, rest: &str) -> (u16, Value) {
    let (user, password) = rest.split_once('/').unwrap();
    let is = |credential: &Credential, text: &str| matches!(credential, Credential::Literal(t) if t == text);
    match call.authentication {
        Some(Authentication::Basic { username, password: p }) if is(username, user) && is(p, password) => {
            (200, json!({"authenticated": true, "user": user}))
        }
        _ => (401, json!(null)),
    }
}

/// The operations of the pet store that are called, as its own description has them.
fn swagger() -> Value {
    json!({
        "swagger": "2.0", "host": "petstore.swagger.io", "basePath": "/v2", "schemes": ["https", "http"],
        "paths": {
            "/pet/findByStatus": {"get": {"operationId": "findPetsByStatus", "parameters": [
                {"name": "status", "in": "query", "required": true, "type": "array", "collectionFormat": "multi"}]}},
            "/pet/{petId}": {"get": {"operationId": "getPetById", "parameters": [
                {"name": "petId", "in": "path", "required": true, "type": "integer", "format": "int64"}]}},
        },
    })
}

//! Plugins over the API: add, list, show, call, remove.

use std::collections::BTreeMap;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_grant::Grants;
use factotum_runtime::{AddPlugin, PluginInfo};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{App, Body, Problem, auth::Who};

/// A plugin to install.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlugin {
    /// The component, base64 (RFC 4648, section 4).
    wasm: String,
    /// The name to install it under; the manifest's when absent.
    name: Option<String>,
    /// The version, for a component without a manifest.
    version: Option<String>,
    /// What it may do, as TOML in the grant language; nothing when absent.
    grants: Option<String>,
    /// Its configuration.
    #[serde(default)]
    config: BTreeMap<String, String>,
}

/// Installs a plugin. It is refused when it imports what `grants` does not allow.
#[utoipa::path(post, path = "/api/v1/plugins", tag = "plugins", security(("token" = ["plugin.manage"])), request_body = NewPlugin, responses(
    (status = 201, description = "Installed.", body = serde_json::Value),
    (status = 422, description = "Refused: what it imports and was not granted, or why it is no plugin.", body = Problem),
))]
pub async fn add(
    State(app): State<App>,
    Extension(caller): Who,
    Body(new): Body<NewPlugin>,
) -> Result<(StatusCode, Json<PluginInfo>), Problem> {
    let wasm =
        STANDARD.decode(&new.wasm).map_err(|e| Problem::bad_request(format!("wasm is not base64: {e}")))?;
    let grants =
        new.grants.map(|text| Grants::from_toml(&text)).transpose().map_err(|e| {
            Problem::bad_request(format!("the grants cannot be read: {}", e.to_string().trim()))
        })?;
    let version = new
        .version
        .map(|text| text.parse())
        .transpose()
        .map_err(|e| Problem::bad_request(format!("version is no semantic version: {e}")))?;
    let request = AddPlugin { wasm, name: new.name, version, grants, config: new.config };
    let info = app.host.add_plugin(&caller.actor(), request).await?;
    Ok((StatusCode::CREATED, Json(info)))
}

/// The installed plugins.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugins", security(("token" = ["plugin.read"])), responses(
    (status = 200, description = "The plugins.", body = Vec<serde_json::Value>),
))]
pub async fn list(State(app): State<App>) -> Json<Vec<PluginInfo>> {
    Json(app.host.plugins())
}

/// One plugin: manifest, grants, functions with their JSON Schemas.
#[utoipa::path(get, path = "/api/v1/plugins/{name}", tag = "plugins", security(("token" = ["plugin.read"])),
    params(("name" = String, Path, description = "The plugin's name.")),
    responses(
        (status = 200, description = "The plugin.", body = serde_json::Value),
        (status = 404, description = "There is none of that name.", body = Problem),
    ))]
pub async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Json<PluginInfo>, Problem> {
    app.host.plugin(&name).map(Json).ok_or_else(|| unknown(&app, &name))
}

/// Removes a plugin that no flow needs.
#[utoipa::path(delete, path = "/api/v1/plugins/{name}", tag = "plugins", security(("token" = ["plugin.manage"])),
    params(("name" = String, Path, description = "The plugin's name.")),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, description = "There is none of that name.", body = Problem),
        (status = 409, description = "A flow needs it.", body = Problem),
    ))]
pub async fn remove(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.host.remove_plugin(&caller.actor(), &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls one function of a plugin, under its grants, with an object of its parameters.
#[utoipa::path(post, path = "/api/v1/plugins/{name}/call/{function}", tag = "plugins", security(("token" = ["plugin.call"])),
    params(
        ("name" = String, Path, description = "The plugin's name."),
        ("function" = String, Path, description = "The function, such as `classify` or `classifier.classify`."),
        ("idempotency-key" = Option<String>, Header, description = "The same for every repetition of the same call."),
    ),
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "The result.", body = serde_json::Value),
        (status = 404, description = "There is no such plugin or function.", body = Problem),
        (status = 422, description = "The plugin refused: a business fault.", body = Problem),
        (status = 502, description = "The plugin failed: a technical fault.", body = Problem),
    ))]
pub async fn call(
    State(app): State<App>,
    Extension(caller): Who,
    Path((name, function)): Path<(String, String)>,
    headers: HeaderMap,
    Body(input): Body<Value>,
) -> Result<Json<Value>, Problem> {
    let key = idempotency_key(&headers)?;
    Ok(Json(app.host.call_plugin(&caller.actor(), &name, &function, &input, key.as_deref()).await?))
}

/// The request's `Idempotency-Key`, when it has one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if !text.is_empty() && text.len() <= 255 => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad_request("Idempotency-Key has 1 to 255 visible ASCII characters")),
    }
}

fn unknown(app: &App, name: &str) -> Problem {
    let known: Vec<String> = app.host.plugins().into_iter().map(|p| p.name).collect();
    let shown: String = name.chars().take(80).collect();
    Problem::new(StatusCode::NOT_FOUND, "unknown-plugin", format!("there is no plugin {shown:?}")).hint(
        if known.is_empty() {
            "add one: factotum plugin add FILE".into()
        } else {
            format!("there are {}", known.join(", "))
        },
    )
}

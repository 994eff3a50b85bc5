//! Upgrades of plugins over the API: brought in, listed while they wait, agreed to, declined.

use std::collections::BTreeMap;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_runtime::{FlowLeft, GrantChange, PendingUpgrade, PluginInfo, UpgradePlugin, Upgraded};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App, Body, Problem,
    auth::Who,
    blocking,
    rights::{grants, version},
};

/// A higher version of an installed plugin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVersion {
    /// The component, base64 (RFC 4648, section 4).
    wasm: String,
    /// The version, for a component without a manifest.
    version: Option<String>,
    /// Configuration on top of the old version's.
    #[serde(default)]
    config: BTreeMap<String, String>,
    /// Deploy the flows again whose calls admit the new version. Without it they keep the old one.
    #[serde(default)]
    redeploy: bool,
}

/// What became of an upgrade.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Became {
    /// It is installed.
    Installed {
        /// The plugin.
        plugin: Box<PluginInfo>,
        /// What it may do more or less than the old version.
        #[serde(skip_serializing_if = "GrantChange::is_empty")]
        change: GrantChange,
        /// Flows that call another version.
        flows: Vec<FlowLeft>,
    },
    /// It asks for more and waits.
    Held {
        /// What waits.
        pending: Box<PendingUpgrade>,
    },
}

/// Brings in a higher version of a plugin. When it asks for no more than the old one, it is installed under the old grant;
/// when it asks for more, it waits until somebody agrees, and the old version goes on.
#[utoipa::path(post, path = "/api/v1/plugins/{name}/upgrade", tag = "plugins", security(("token" = ["plugin.manage"])),
    params(("name" = String, Path, description = "The plugin's name.")), request_body = NewVersion,
    responses(
        (status = 200, description = "Installed, with the flows that call another version.", body = serde_json::Value),
        (status = 202, description = "It asks for more and waits; `pending` says for what.", body = serde_json::Value),
        (status = 404, description = "There is none of that name.", body = Problem),
        (status = 409, description = "It is no higher version, or another plugin.", body = Problem),
        (status = 422, description = "It is no plugin that this host can take.", body = Problem),
    ))]
pub async fn bring(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
    Body(new): Body<NewVersion>,
) -> Result<(StatusCode, Json<Became>), Problem> {
    let wasm =
        STANDARD.decode(&new.wasm).map_err(|e| Problem::bad_request(format!("wasm is not base64: {e}")))?;
    let version = new.version.as_deref().map(version).transpose()?;
    let request = UpgradePlugin { wasm, version, config: new.config };
    let actor = caller.actor();
    match app.host.upgrade_plugin(&actor, &name, request).await? {
        Upgraded::Held(pending) => Ok((StatusCode::ACCEPTED, Json(Became::Held { pending }))),
        Upgraded::Installed(plugin) => {
            let flows = app.host.flows_left_behind(&actor, &name, new.redeploy).await;
            let change = GrantChange::default();
            Ok((StatusCode::OK, Json(Became::Installed { plugin, change, flows })))
        }
    }
}

/// The upgrades that wait for somebody to agree.
#[utoipa::path(get, path = "/api/v1/upgrades", tag = "plugins", security(("token" = ["plugin.read"])), responses(
    (status = 200, description = "The upgrades, with what each asks for beyond what the plugin may do.", body = Vec<serde_json::Value>),
))]
pub async fn list(State(app): State<App>) -> Result<Json<Vec<PendingUpgrade>>, Problem> {
    blocking(move || app.host.pending_upgrades().map_err(Problem::from)).await.map(Json)
}

/// How to agree.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// SHA-256 of the version that is agreed to; when it was replaced in the meantime, nothing happens.
    digest: Option<String>,
    /// What it may do, as TOML in the grant language; the old grant and all that it asks for when absent.
    grants: Option<String>,
    /// Deploy the flows again whose calls admit the new version.
    #[serde(default)]
    redeploy: bool,
}

/// Agrees to an upgrade that waits, and installs it.
#[utoipa::path(post, path = "/api/v1/upgrades/{name}/{version}/agree", tag = "plugins", security(("token" = ["plugin.grant"])),
    params(("name" = String, Path, description = "The plugin's name."), ("version" = String, Path, description = "The version.")),
    request_body = Agreement,
    responses(
        (status = 200, description = "Installed.", body = serde_json::Value),
        (status = 404, description = "No such upgrade waits.", body = Problem),
        (status = 409, description = "It was replaced, or a higher version is installed by now.", body = Problem),
    ))]
pub async fn agree(
    State(app): State<App>,
    Extension(caller): Who,
    Path((name, of)): Path<(String, String)>,
    Body(how): Body<Agreement>,
) -> Result<Json<Became>, Problem> {
    let grants = how.grants.as_deref().map(grants).transpose()?;
    let actor = caller.actor();
    let (plugin, change) =
        app.host.agree_to_upgrade(&actor, &name, version(&of)?, how.digest, grants).await?;
    let flows = app.host.flows_left_behind(&actor, &name, how.redeploy).await;
    Ok(Json(Became::Installed { plugin: Box::new(plugin), change, flows }))
}

/// Declines an upgrade that waits; the old version goes on.
#[utoipa::path(post, path = "/api/v1/upgrades/{name}/{version}/decline", tag = "plugins", security(("token" = ["plugin.grant"])),
    params(("name" = String, Path, description = "The plugin's name."), ("version" = String, Path, description = "The version.")),
    responses(
        (status = 204, description = "Declined."),
        (status = 404, description = "No such upgrade waits.", body = Problem),
    ))]
pub async fn decline(
    State(app): State<App>,
    Extension(caller): Who,
    Path((name, of)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.host.decline_upgrade(&caller.actor(), &name, version(&of)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

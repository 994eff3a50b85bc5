//! What plugins may do, and what flows may send by themselves, over the API: replaced, or taken back.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use factotum_access::Permission;
use factotum_grant::{Capability, Grants};
use factotum_runtime::{ChangedFlowGrants, ChangedGrants, FlowGrants, GrantChange, PluginInfo};
use semver::Version;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Body, Problem, auth::Who};

/// New grants of a plugin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrants {
    /// What it may do from now on, as TOML in the grant language. Nothing else stays.
    grants: String,
    /// What it may do now, as TOML; when it is something else by now, the change is refused.
    expected: Option<String>,
    /// The version; the newest when absent.
    version: Option<String>,
}

/// A plugin after a change of its grants.
#[derive(Serialize)]
pub struct Changed {
    plugin: PluginInfo,
    change: GrantChange,
}

impl From<ChangedGrants> for Changed {
    fn from(changed: ChangedGrants) -> Self {
        Self { plugin: changed.plugin, change: changed.change }
    }
}

/// Replaces what a plugin may do. Holds from the next effect of every call, also of those under way.
#[utoipa::path(put, path = "/api/v1/plugins/{name}/grants", tag = "plugins", security(("token" = ["plugin.grant"])),
    params(("name" = String, Path, description = "The plugin's name.")), request_body = NewGrants,
    responses(
        (status = 200, description = "The plugin, and what it gained and lost.", body = serde_json::Value),
        (status = 404, description = "There is none of that name.", body = Problem),
        (status = 409, description = "Somebody else changed them in the meantime.", body = Problem),
    ))]
pub async fn replace(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
    Body(new): Body<NewGrants>,
) -> Result<Json<Changed>, Problem> {
    let grants = grants(&new.grants)?;
    let expected = new.expected.as_deref().map(self::grants).transpose()?;
    let version = new.version.as_deref().map(version).transpose()?;
    let changed = app.host.set_grants(&caller.actor(), &name, version, grants, expected).await?;
    Ok(Json(changed.into()))
}

/// What to take back.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RevokeQuery {
    /// The capabilities, separated by commas; all of them when absent.
    capabilities: Option<String>,
    /// The version; all of them when absent.
    version: Option<String>,
}

/// Takes capabilities back from a plugin. Holds from the next effect of every call, also of those under way.
#[utoipa::path(delete, path = "/api/v1/plugins/{name}/grants", tag = "plugins", security(("token" = ["plugin.grant"])),
    params(("name" = String, Path, description = "The plugin's name."), RevokeQuery),
    responses(
        (status = 200, description = "The plugin, and what it lost.", body = serde_json::Value),
        (status = 404, description = "There is none of that name.", body = Problem),
    ))]
pub async fn revoke(
    State(app): State<App>,
    Extension(caller): Who,
    Path(name): Path<String>,
    Query(query): Query<RevokeQuery>,
) -> Result<Json<Changed>, Problem> {
    let names = query.capabilities.as_deref().unwrap_or_default();
    let capabilities =
        names.split(',').filter(|name| !name.is_empty()).map(capability).collect::<Result<Vec<_>, _>>()?;
    if query.capabilities.is_some() && capabilities.is_empty() {
        return Err(Problem::bad_request("capabilities names none; leave it out to take back all"));
    }
    let version = query.version.as_deref().map(version).transpose()?;
    let changed = app.host.revoke_grants(&caller.actor(), &name, version, capabilities).await?;
    Ok(Json(changed.into()))
}

/// What a flow may send by itself.
#[utoipa::path(get, path = "/api/v1/flows/{namespace}/{name}/grants", tag = "flows", security(("token" = ["flow.read"])),
    params(("namespace" = String, Path, description = "Its namespace."), ("name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Its grants, as they are and in sentences; nothing when it was granted nothing.", body = serde_json::Value)))]
pub async fn of_flow(
    State(app): State<App>,
    Extension(caller): Who,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<FlowGrants>, Problem> {
    caller.allow(Permission::FlowRead, Some(&namespace))?;
    Ok(Json(app.host.flow_grants(&namespace, &name)))
}

/// New grants of a flow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFlowGrants {
    /// What it may send from now on, as TOML in the grant language: `[[http]]` rules, `[data]`, `limits.time-ms`. Nothing
    /// else stays.
    grants: String,
    /// What it may send now, as TOML; when it is something else by now, the change is refused.
    expected: Option<String>,
}

/// Replaces what a flow may send by itself. Holds from the next request of every run. The grants are those of the name: the
/// flow need not be deployed yet.
#[utoipa::path(put, path = "/api/v1/flows/{namespace}/{name}/grants", tag = "flows", security(("token" = ["flow.grant"])),
    params(("namespace" = String, Path, description = "Its namespace."), ("name" = String, Path, description = "Its name.")),
    request_body = NewFlowGrants,
    responses(
        (status = 200, description = "The flow's grants, and what it gained and lost.", body = serde_json::Value),
        (status = 400, description = "The grants cannot be read, or are none of a flow's.", body = Problem),
        (status = 409, description = "Somebody else changed them in the meantime.", body = Problem),
    ))]
pub async fn replace_of_flow(
    State(app): State<App>,
    Extension(caller): Who,
    Path((namespace, name)): Path<(String, String)>,
    Body(new): Body<NewFlowGrants>,
) -> Result<Json<ChangedFlowGrants>, Problem> {
    let grants = grants(&new.grants)?;
    let expected = new.expected.as_deref().map(self::grants).transpose()?;
    Ok(Json(app.host.set_flow_grants(&caller.actor(), &namespace, &name, grants, expected).await?))
}

/// Takes back all that a flow may send by itself. Holds from the next request of every run.
#[utoipa::path(delete, path = "/api/v1/flows/{namespace}/{name}/grants", tag = "flows", security(("token" = ["flow.grant"])),
    params(("namespace" = String, Path, description = "Its namespace."), ("name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "What it lost.", body = serde_json::Value)))]
pub async fn revoke_of_flow(
    State(app): State<App>,
    Extension(caller): Who,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<ChangedFlowGrants>, Problem> {
    let nothing = Grants::default();
    Ok(Json(app.host.set_flow_grants(&caller.actor(), &namespace, &name, nothing, None).await?))
}

fn capability(name: &str) -> Result<Capability, Problem> {
    Capability::ALL.into_iter().find(|capability| capability.name() == name).ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        Problem::bad_request(format!("there is no capability {shown:?}"))
            .hint(format!("there are {}", Capability::ALL.map(Capability::name).join(", ")))
    })
}

/// Reads grants that a request carries.
pub fn grants(text: &str) -> Result<Grants, Problem> {
    Grants::from_toml(text)
        .map_err(|e| Problem::bad_request(format!("the grants cannot be read: {}", e.to_string().trim())))
}

/// Reads a version that a request carries.
pub fn version(text: &str) -> Result<Version, Problem> {
    text.parse().map_err(|e| Problem::bad_request(format!("version is no semantic version: {e}")))
}

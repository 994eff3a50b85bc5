//! What plugins may do, over the API: replaced, or taken back.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use factotum_grant::{Capability, Grants};
use factotum_runtime::{ChangedGrants, GrantChange, PluginInfo};
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

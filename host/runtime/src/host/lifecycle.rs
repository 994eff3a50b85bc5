//! The host's plugins over time: installed and removed, grants changed and taken back, upgrades held, agreed to and declined, and the flows that
//! go along with them.

use std::sync::Arc;

use factotum_audit::Actor;
use factotum_flow::FunctionRef;
use factotum_grant::{Capability, Grants};
use semver::Version;
use serde::Serialize;

use super::{Host, to_the_end, users};
use crate::actions::Pin;
use crate::error::{ErrorCode, HostError};
use crate::flow_rights::{ChangedFlowGrants, FlowGrants};
use crate::learn::{self, LearnRequest, Learned};
use crate::plugins::{
    AddPlugin, ChangedGrants, GrantChange, PendingUpgrade, PluginInfo, UpgradePlugin, Upgraded,
};

/// A deployed flow that calls another version of a plugin than the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowLeft {
    /// The flow, `namespace/name`.
    pub flow: String,
    /// The version that it was deployed with.
    pub version: String,
    /// Whether deploying it again would take the newest version: its call names no version, or a range that has it.
    pub moves: bool,
    /// Whether it was deployed again, and takes the newest version now.
    pub moved: bool,
    /// Why it could not be deployed again, when that was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Host {
    /// Installs a plugin, or gives one that is installed with the same bytes new grants and configuration.
    ///
    /// # Errors
    /// [`crate::ErrorCode::MissingGrants`] with the list in `detail`, [`crate::ErrorCode::InvalidPlugin`], [`crate::ErrorCode::Conflict`],
    /// [`crate::ErrorCode::InvalidRequest`].
    pub async fn add_plugin(&self, actor: &Actor, request: AddPlugin) -> Result<PluginInfo, HostError> {
        let (plugins, actor) = (Arc::clone(&self.inner.plugins), actor.clone());
        to_the_end(async move { plugins.add(&actor, request).await }).await
    }

    /// Removes a plugin, or one version of it. Its stored data stays.
    ///
    /// # Errors
    /// [`crate::ErrorCode::Conflict`] while a deployed flow or an unfinished run may call it.
    pub async fn remove_plugin(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&Version>,
    ) -> Result<(), HostError> {
        let (host, actor) = (self.clone(), actor.clone());
        let (name, version) = (name.to_owned(), version.cloned());
        to_the_end(async move {
            let users = |uses: &dyn Fn(&Pin) -> bool| users(&host.inner.engine, uses);
            host.inner.plugins.remove(&actor, &name, version.as_ref(), users).await
        })
        .await
    }

    /// Replaces what a version of a plugin (the newest when absent) may do; holds from the next effect of every call. With
    /// `expected`, only when that is what it may do now.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownPlugin`], [`crate::ErrorCode::InvalidRequest`], [`crate::ErrorCode::Conflict`].
    pub async fn set_grants(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<Version>,
        grants: Grants,
        expected: Option<Grants>,
    ) -> Result<ChangedGrants, HostError> {
        let (plugins, actor, name) = (Arc::clone(&self.inner.plugins), actor.clone(), name.to_owned());
        to_the_end(async move {
            plugins.set_grants(&actor, &name, version.as_ref(), grants, expected.as_ref()).await
        })
        .await
    }

    /// Takes capabilities away from every version of a plugin, or from one; all of them when none is named. Holds from the
    /// next effect of every call, before it is on disk.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownPlugin`]; [`crate::ErrorCode::Store`] when it could not be written down, though it holds.
    pub async fn revoke_grants(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<Version>,
        capabilities: Vec<Capability>,
    ) -> Result<ChangedGrants, HostError> {
        let (plugins, actor, name) = (Arc::clone(&self.inner.plugins), actor.clone(), name.to_owned());
        to_the_end(async move { plugins.revoke(&actor, &name, version.as_ref(), &capabilities).await }).await
    }

    /// What a flow may send by itself; nothing when it was granted nothing, or is not there.
    #[must_use]
    pub fn flow_grants(&self, namespace: &str, name: &str) -> FlowGrants {
        self.inner.engine.flow_rights.show(&format!("{namespace}/{name}"))
    }

    /// Replaces what a flow may send by itself; holds from the next request of every run. With `expected`, only when that
    /// is what it may send now. The grants are those of the name: the flow need not be deployed yet.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidRequest`], [`crate::ErrorCode::Conflict`], [`crate::ErrorCode::Store`].
    pub async fn set_flow_grants(
        &self,
        actor: &Actor,
        namespace: &str,
        name: &str,
        grants: Grants,
        expected: Option<Grants>,
    ) -> Result<ChangedFlowGrants, HostError> {
        let (engine, actor) = (Arc::clone(&self.inner.engine), actor.clone());
        let flow = format!("{namespace}/{name}");
        to_the_end(async move { engine.flow_rights.set(&actor, &flow, grants, expected.as_ref()).await })
            .await
    }

    /// Installs a higher version of a plugin under the old grant, or holds it when it asks for more.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownPlugin`], [`crate::ErrorCode::InvalidPlugin`], [`crate::ErrorCode::Conflict`].
    pub async fn upgrade_plugin(
        &self,
        actor: &Actor,
        name: &str,
        request: UpgradePlugin,
    ) -> Result<Upgraded, HostError> {
        let (plugins, actor, name) = (Arc::clone(&self.inner.plugins), actor.clone(), name.to_owned());
        to_the_end(async move { plugins.upgrade(&actor, &name, request).await }).await
    }

    /// The upgrades that wait for an administrator.
    ///
    /// # Errors
    /// [`crate::ErrorCode::Store`].
    pub fn pending_upgrades(&self) -> Result<Vec<PendingUpgrade>, HostError> {
        self.inner.plugins.pending(None)
    }

    /// Agrees to an upgrade that waits: with all that it asks for, or under `grants`. With `digest`, only when its bytes
    /// are still those.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownPlugin`], [`crate::ErrorCode::Conflict`], [`crate::ErrorCode::InvalidRequest`].
    pub async fn agree_to_upgrade(
        &self,
        actor: &Actor,
        name: &str,
        version: Version,
        digest: Option<String>,
        grants: Option<Grants>,
    ) -> Result<(PluginInfo, GrantChange), HostError> {
        let (plugins, actor, name) = (Arc::clone(&self.inner.plugins), actor.clone(), name.to_owned());
        to_the_end(async move { plugins.agree(&actor, &name, &version, digest.as_deref(), grants).await })
            .await
    }

    /// Declines an upgrade that waits.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownPlugin`].
    pub async fn decline_upgrade(
        &self,
        actor: &Actor,
        name: &str,
        version: Version,
    ) -> Result<(), HostError> {
        let (plugins, actor, name) = (Arc::clone(&self.inner.plugins), actor.clone(), name.to_owned());
        to_the_end(async move { plugins.decline(&actor, &name, &version).await }).await
    }

    /// Runs a flow with its plugins' effects answered from fixtures and none of them done, and proposes the least grant for
    /// each plugin. One at a time.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidFlow`], [`crate::ErrorCode::InvalidInput`], [`crate::ErrorCode::InvalidRequest`],
    /// [`crate::ErrorCode::Busy`] while another one learns.
    pub async fn learn(&self, actor: &Actor, request: LearnRequest) -> Result<Learned, HostError> {
        let (host, actor) = (self.clone(), actor.clone());
        to_the_end(async move {
            let inner = &host.inner;
            let _only = host.try_fixtures()?;
            let clock = Arc::clone(&inner.engine.clock);
            let rights = &inner.engine.flow_rights;
            let learned = learn::learn(&inner.plugins, rights, clock, &inner.engine.limits, request).await?;
            inner.plugins.note_learned(&actor, &learned).await?;
            Ok(learned)
        })
        .await
    }

    /// The right to run plugins on fixtures, which one caller has at a time.
    pub(crate) fn try_fixtures(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, HostError> {
        self.inner.learning.try_lock().map_err(|_| {
            HostError::new(
                ErrorCode::Busy,
                "plugins are being run on fixtures for someone else at this moment",
            )
        })
    }

    /// The deployed flows that call another version of a plugin than the newest. With `redeploy`, those whose calls admit
    /// the newest are deployed again, as `actor`; one that cannot be says why and stays as it was.
    pub async fn flows_left_behind(&self, actor: &Actor, name: &str, redeploy: bool) -> Vec<FlowLeft> {
        let Some(newest) = self.plugin(name) else { return Vec::new() };
        let engine = &self.inner.engine;
        let mut left = Vec::new();
        for deployment in engine.deployments.all() {
            let old = |pin: &&crate::Pin| pin.plugin == name && pin.version.to_string() != newest.version;
            let Some(pin) = deployment.pins().iter().find(old) else { continue };
            let admits = |pin: &crate::Pin| {
                let function: Option<FunctionRef> = pin.call.parse().ok();
                let now = function.and_then(|function| engine.actions.resolve(&function).ok());
                now.is_some_and(|now| now.plugin == name && now.version.to_string() == newest.version)
            };
            let mut flow = FlowLeft {
                flow: deployment.flow.id(),
                version: pin.version.to_string(),
                moves: deployment.pins().iter().filter(|pin| old(pin)).any(admits),
                moved: false,
                problem: None,
            };
            if redeploy && flow.moves {
                match self.deploy_flow(actor, deployment.source(), deployment.file()).await {
                    Ok(_) => flow.moved = true,
                    Err(error) => flow.problem = Some(error.to_string()),
                }
            }
            left.push(flow);
        }
        left
    }
}

//! The seam between runs and plugins: a run calls resolved actions and does not know what executes them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use factotum_egress::{EgressError, Limits, Login, Policy};
use factotum_flow::FunctionRef;
use factotum_grant::Narrowing;
use factotum_provenance::Source;
use factotum_sandbox::{CallContext, CallReport, InputProblem, Narrowed};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a deployed flow's call means: one function of one version of one plugin, by the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// What the flow wrote: `crm/upsert-contact:^1.2`.
    pub call: String,
    /// The installed plugin's name.
    pub plugin: String,
    /// Its version.
    pub version: semver::Version,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub digest: String,
    /// The function, with its interface when the plugin needs that to tell it apart: `crm.upsert-contact`.
    pub function: String,
}

/// A call in a flow document that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub message: String,
    pub hint: Option<String>,
}

/// An action whose plugin is not loaded, though it was when the flow was deployed. Not a fault of the call: the run is
/// parked and can go on when the plugin is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotLoaded(pub String);

/// Where a flow's calls lead.
#[async_trait]
pub(crate) trait Actions: Send + Sync {
    /// What a call means now: the highest installed version that fits.
    fn resolve(&self, function: &FunctionRef) -> Result<Pin, Unresolved>;

    /// What of a call's arguments cannot fit the function's parameters, while parts of it are still expressions.
    fn check_input(&self, pin: &Pin, with: &Value) -> Vec<InputProblem>;

    /// Why a flow's narrowing cannot be held for this call; `None` when it can.
    fn check_narrowing(&self, pin: &Pin, by: &Narrowing) -> Option<String>;

    /// Whether anything here gives out data of that source, as far as can be said: a misspelled one is of no use.
    fn gives_out(&self, _source: &Source) -> bool {
        true
    }

    /// Whether a call can change anything outside of its sandbox. When in doubt, it can.
    fn may_act(&self, pin: &Pin) -> bool;

    /// Sends a request of a flow's own, once, when `policy` allows it. `flow` is `namespace/name`.
    async fn http(
        &self,
        flow: &str,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: Option<&Login>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, EgressError>;

    /// Runs a script of a flow, which has no capability at all.
    ///
    /// # Errors
    /// Why there is no engine for scripts here.
    async fn script(&self, input: &Value, context: &CallContext) -> Result<CallReport, String>;

    /// Calls it, once, under what the flow leaves of the plugin's rights at this task.
    async fn call(
        &self,
        pin: &Pin,
        input: &Value,
        context: &CallContext,
        narrowed: Option<&Arc<Narrowed>>,
    ) -> Result<CallReport, NotLoaded>;
}

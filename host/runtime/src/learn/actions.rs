//! Where a learning run's calls lead: to the installed plugins, linked once more with scratch backends behind them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factotum_egress::{EgressError, Login, Policy};
use factotum_flow::FunctionRef;
use factotum_grant::Narrowing;
use factotum_provenance::Source;
use factotum_sandbox::{CallContext, CallReport, InputProblem, Narrowed, Plugin};
use serde_json::Value;

use super::scratch::Scratch;
use crate::actions::{Actions, NotLoaded, Pin, Unresolved};
use crate::plugins::Plugins;

/// The installed plugins, with nothing behind them but scratch.
pub(super) struct Learning {
    plugins: Arc<Plugins>,
    scratch: Arc<Scratch>,
    /// By plugin; a flow calls one version of each.
    linked: Mutex<BTreeMap<String, (Pin, Plugin)>>,
}

impl Learning {
    pub fn new(plugins: Arc<Plugins>, scratch: Arc<Scratch>) -> Self {
        Self { plugins, scratch, linked: Mutex::default() }
    }

    /// The plugins that were called, a pin of each.
    pub fn called(&self) -> Vec<Pin> {
        let linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        linked.values().map(|(pin, _)| pin.clone()).collect()
    }

    async fn plugin(&self, pin: &Pin) -> Result<Plugin, NotLoaded> {
        let known = |all: &BTreeMap<String, (Pin, Plugin)>| {
            all.get(&pin.plugin)
                .filter(|(known, _)| known.digest == pin.digest)
                .map(|(_, plugin)| plugin.clone())
        };
        if let Some(plugin) = known(&self.linked.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(plugin);
        }
        let backends = self.scratch.backends(&pin.plugin);
        let plugin = self.plugins.link_to_learn(pin, backends).await.map_err(|e| NotLoaded(e.to_string()))?;
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        linked.insert(pin.plugin.clone(), (pin.clone(), plugin.clone()));
        Ok(plugin)
    }
}

#[async_trait]
impl Actions for Learning {
    fn resolve(&self, function: &FunctionRef) -> Result<Pin, Unresolved> {
        self.plugins.resolve(function)
    }

    fn check_input(&self, pin: &Pin, with: &Value) -> Vec<InputProblem> {
        self.plugins.check_input(pin, with)
    }

    fn check_narrowing(&self, pin: &Pin, by: &Narrowing) -> Option<String> {
        self.plugins.check_narrowing(pin, by)
    }

    fn gives_out(&self, source: &Source) -> bool {
        self.plugins.gives_out(source)
    }

    fn may_act(&self, pin: &Pin) -> bool {
        self.plugins.may_act(pin)
    }

    /// Answered from fixtures. A login shows in what is attempted, and no secret is looked up for it.
    async fn http(
        &self,
        flow: &str,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: Option<&Login>,
        limits: &factotum_egress::Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let backends = self.scratch.backends(&crate::flow_rights::holder(flow));
        match login {
            None => backends.egress.send(policy, request, limits).await,
            Some(login) => backends.egress.send_as(policy, request, login, limits).await,
        }
    }

    async fn script(&self, input: &Value, context: &CallContext) -> Result<CallReport, String> {
        self.plugins.script(input, context).await
    }

    /// The flow's narrowing is left out: what it refuses belongs into the flow, and not into a grant that is learned.
    async fn call(
        &self,
        pin: &Pin,
        input: &Value,
        context: &CallContext,
        _narrowed: Option<&Arc<Narrowed>>,
    ) -> Result<CallReport, NotLoaded> {
        Ok(self.plugin(pin).await?.call(&pin.function, input, context).await)
    }
}

//! A plugin is called directly, without a flow: by an administrator who tries it, or by the demo.

use std::sync::Arc;

use factotum_audit::Actor;
use factotum_provenance::Labels;
use factotum_sandbox::{CallContext, FindError};
use factotum_store::Batch;
use serde_json::Value;

use super::Plugins;
use crate::actions::Pin;
use crate::error::{ErrorCode, HostError};
use crate::{audit, faults, ids};

/// The longest idempotency key that a caller may give, in bytes.
const MAX_KEY: usize = 1024;

impl Plugins {
    /// Calls a function of the newest version of a plugin, once. What it used is audited with it; when it may act outside of
    /// its sandbox, that it began is on disk before.
    pub async fn call_directly(
        self: &Arc<Self>,
        actor: &Actor,
        name: &str,
        function: &str,
        input: &Value,
        idempotency_key: Option<&str>,
    ) -> Result<Value, HostError> {
        let installed = self.newest(name).ok_or_else(|| unknown_plugin(name))?;
        let record = &installed.record;
        let plugin = installed.plugin.as_ref().map_err(|reason| {
            HostError::new(
                ErrorCode::ActionFailed,
                format!("{name} {} cannot be called: {reason}", record.version),
            )
        })?;
        let found = plugin.find(function).map_err(|error| {
            let code = match error {
                FindError::Unknown { .. } => ErrorCode::UnknownFunction,
                _ => ErrorCode::InvalidRequest,
            };
            HostError::new(code, format!("{name}: {error}"))
        })?;
        let pin = Pin {
            call: format!("{name}/{function}"),
            plugin: record.name.clone(),
            version: record.version.clone(),
            digest: record.digest.clone(),
            function: found.full_name(),
        };
        let key = match idempotency_key {
            Some(key) if key.is_empty() || key.len() > MAX_KEY => {
                let message = format!("an idempotency key has 1 to {MAX_KEY} bytes");
                return Err(HostError::new(ErrorCode::InvalidRequest, message));
            }
            Some(key) => ids::direct_call_key(&pin.plugin, &pin.function, key),
            None => ids::new_run_id(),
        };
        let context = CallContext {
            run_id: None,
            flow: None,
            task: None,
            attempt: 1,
            idempotency_key: key,
            timeout: None,
            data: Labels::trigger().into(),
        };
        if plugin.may_act() {
            let mut batch = Batch::new();
            audit::direct_call_begun(&mut batch, &self.audit, actor, &pin, input);
            self.store.commit(batch).await.map_err(HostError::store)?;
        }
        let report = plugin.call(&pin.function, input, &context).await;
        let mut batch = Batch::new();
        audit::direct_call(&mut batch, &self.audit, actor, &pin, input, &report);
        self.store.commit(batch).await.map_err(HostError::store)?;
        report.result.map_err(|fault| faults::to_host_error(&fault))
    }
}

pub(super) fn unknown_plugin(name: &str) -> HostError {
    let shown: String = name.chars().take(80).collect();
    HostError::new(ErrorCode::UnknownPlugin, format!("there is no plugin {shown:?}"))
        .hint("list the installed plugins with `factotum plugin list`")
}

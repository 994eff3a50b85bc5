//! Flows' scripts: the JavaScript component that ships beside the program, linked without any grant, when the first script
//! wants it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use factotum_grant::{Grants, Limits, Narrowing};
use factotum_sandbox::{Backends, CallContext, CallReport, Plugin, PluginSpec, Sandbox};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// The longest that one script may take, in milliseconds.
const TIME_MS: u64 = 10_000;
/// The most memory of one script, the engine's own included, in bytes.
const MEMORY_BYTES: u64 = 64 << 20;
/// The most scripts at one time.
const CONCURRENCY: u32 = 16;
/// The largest component that is taken for the engine, in bytes.
const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// The engine of scripts.
pub(crate) struct Scripts {
    component: Option<PathBuf>,
    engine: OnceCell<Plugin>,
}

impl Scripts {
    pub fn new(component: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self { component, engine: OnceCell::new() })
    }

    /// Runs one script, in an instance of its own.
    ///
    /// # Errors
    /// Why there is no engine here.
    pub async fn run(
        &self,
        sandbox: &Sandbox,
        backends: &Backends,
        input: &Value,
        context: &CallContext,
    ) -> Result<CallReport, String> {
        let engine = self.engine.get_or_try_init(|| self.load(sandbox, backends)).await?;
        Ok(engine.call("run", input, context).await)
    }

    async fn load(&self, sandbox: &Sandbox, backends: &Backends) -> Result<Plugin, String> {
        let path = self.component.clone().ok_or(
            "this host has no engine for scripts; it is the file script.wasm beside the program, which `cargo xtask dist` builds",
        )?;
        let (sandbox, backends) = (sandbox.clone(), backends.clone());
        let loading = move || {
            let shown = path.display();
            let size =
                std::fs::metadata(&path).map_err(|e| format!("the engine for scripts, {shown}: {e}"))?.len();
            if size > MAX_COMPONENT_BYTES {
                return Err(format!(
                    "the engine for scripts, {shown}, is larger than {MAX_COMPONENT_BYTES} bytes"
                ));
            }
            let wasm = std::fs::read(&path).map_err(|e| format!("the engine for scripts, {shown}: {e}"))?;
            let component =
                sandbox.load(&wasm).map_err(|e| format!("the engine for scripts, {shown}: {e}"))?;
            let limits = Limits { memory_bytes: MEMORY_BYTES, time_ms: TIME_MS, concurrency: CONCURRENCY };
            let spec = PluginSpec {
                name: "script-engine".into(),
                version: "0.1.0".into(),
                digest: hex::encode(Sha256::digest(&wasm)),
                grants: Grants { limits, ..Grants::default() },
                asked: Narrowing::default(),
                config: BTreeMap::new(),
            };
            sandbox
                .link(&component, spec, &backends)
                .map_err(|e| format!("the engine for scripts, {shown}: {e}"))
        };
        // Compiles for seconds the first time, and then comes out of the sealed cache.
        tokio::task::spawn_blocking(loading).await.map_err(|e| e.to_string())?
    }
}

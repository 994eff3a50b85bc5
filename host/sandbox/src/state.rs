//! What one call carries: its WASI context without files, variables or sockets, its limits, and the log of its uses.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use factotum_grant::{Capability, Denial, Grants};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    CallContext, CapabilityUse, UseOutcome,
    backends::Backends,
    capability::{http::Hooks, stdio::Log},
    limits::MemoryLimit,
    plugin::Identity,
};

/// The most handles a call may hold: streams, requests, buckets.
const MAX_RESOURCES: usize = 1024;
/// The most header bytes of one request or answer, as the HTTP library accounts them.
const MAX_FIELD_BYTES: usize = 64 << 10;
/// The most distinct uses that one call's report lists; the rest is counted under the last.
const MAX_USES: usize = 256;

pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimit,
    pub(crate) identity: Arc<Identity>,
    pub(crate) context: CallContext,
    pub(crate) deadline: Instant,
    pub(crate) uses: Uses,
    pub(crate) log: Log,
}

impl State {
    pub(crate) fn new(identity: Arc<Identity>, context: CallContext, deadline: Instant) -> Self {
        let log = Log::default();
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log.clone()).stderr(log.clone()).max_random_size(1 << 20);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELD_BYTES);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let uses = Uses::default();
        Self {
            wasi: wasi.build(),
            http,
            hooks: Hooks { identity: Arc::clone(&identity), deadline, uses: uses.clone() },
            table,
            memory: MemoryLimit::new(identity.grants.limits.memory_bytes),
            identity,
            context,
            deadline,
            uses,
            log,
        }
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.identity.grants
    }

    pub(crate) fn backends(&self) -> &Backends {
        &self.identity.backends
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// The log of what a call used. Shared with effects that outlive the borrow of the state.
#[derive(Clone, Default)]
pub(crate) struct Uses(Arc<Mutex<Vec<CapabilityUse>>>);

impl Uses {
    pub(crate) fn add(&self, capability: Capability, action: &str, target: &str, outcome: UseOutcome) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |u: &&mut CapabilityUse| {
            u.capability == capability && u.action == action && u.target == target && u.outcome == outcome
        };
        if let Some(known) = uses.iter_mut().find(same) {
            known.count = known.count.saturating_add(1);
        } else if uses.len() < MAX_USES {
            uses.push(CapabilityUse {
                capability,
                action: action.into(),
                target: target.into(),
                count: 1,
                outcome,
            });
        } else if let Some(last) = uses.last_mut() {
            last.count = last.count.saturating_add(1);
        }
    }

    /// Logs a refusal, for the administrator also in the running log.
    pub(crate) fn deny(&self, plugin: &str, action: &str, target: &str, denial: &Denial) {
        tracing::warn!(plugin, capability = %denial.capability, "denied: {}; this would allow it:\n{}", denial.message, denial.mend);
        self.add(denial.capability, action, target, UseOutcome::Denied { mend: denial.mend.clone() });
    }

    pub(crate) fn take(&self) -> Vec<CapabilityUse> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

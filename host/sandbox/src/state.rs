//! What one call carries: its WASI context without files, variables or sockets, its limits, and the log of its uses.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use factotum_grant::{Capability, Denial};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    CallContext, CapabilityUse, UseOutcome,
    backends::Backends,
    capability::{http::Hooks, stdio::Log},
    data::Data,
    limits::MemoryLimit,
    plugin::Identity,
    right::{Now, Right},
};

/// The most handles a call may hold: streams, requests, buckets.
const MAX_RESOURCES: usize = 1024;
/// The most header bytes of one request or answer, as the HTTP library accounts them.
const MAX_FIELD_BYTES: usize = 64 << 10;
/// The most distinct uses that one call's report lists; the rest is counted by capability and outcome.
const MAX_USES: usize = 256;
/// The longest target and mend kept, in characters. Both carry a guest's text.
const MAX_USE_CHARS: usize = 1000;

pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimit,
    right: Right,
    pub(crate) context: CallContext,
    pub(crate) data: Data,
    pub(crate) deadline: Instant,
    pub(crate) uses: Uses,
}

impl State {
    pub(crate) fn new(
        right: Right,
        memory_bytes: u64,
        context: CallContext,
        data: Data,
        deadline: Instant,
        uses: Uses,
        log: Log,
    ) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log.clone()).stderr(log).max_random_size(1 << 20);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELD_BYTES);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            wasi: wasi.build(),
            http,
            hooks: Hooks::new(right.clone(), data.clone(), deadline, uses.clone()),
            table,
            memory: MemoryLimit::new(memory_bytes),
            right,
            context,
            data,
            deadline,
            uses,
        }
    }

    /// What the call may do at this moment. Ask anew for each effect.
    pub(crate) fn right(&self) -> Now {
        self.right.now()
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.right.identity
    }

    /// Notes a refusal.
    pub(crate) fn deny(&self, action: &str, target: &str, denial: &Denial) {
        self.uses.deny(&self.identity().name, action, target, denial);
    }

    pub(crate) fn backends(&self) -> &Backends {
        &self.identity().backends
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
    /// Adds a use; says whether it is listed, and for the first time.
    pub(crate) fn add(
        &self,
        capability: Capability,
        action: &str,
        target: &str,
        outcome: UseOutcome,
    ) -> bool {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (action, target) = (clip(action).into(), clip(target).into());
        let new = CapabilityUse { capability, action, target, count: 1, outcome };
        if count_again(&mut uses, &new) {
            return false;
        }
        if uses.len() < MAX_USES {
            uses.push(new);
            return true;
        }
        // A list that is full must not hide what comes after: it is counted by capability and outcome.
        let outcome = match new.outcome {
            UseOutcome::Denied { .. } => UseOutcome::Denied { mend: "# more than one report lists".into() },
            other => other,
        };
        let rest = CapabilityUse { action: "*".into(), target: "further targets".into(), outcome, ..new };
        if !count_again(&mut uses, &rest) {
            uses.push(rest);
        }
        false
    }

    /// Notes a refusal, for the administrator also in the running log: there once for each call, or a guest that asks
    /// in a loop fills the disk.
    pub(crate) fn deny(&self, plugin: &str, action: &str, target: &str, denial: &Denial) {
        let mend = clip(&denial.mend).to_owned();
        if self.add(denial.capability, action, target, UseOutcome::Denied { mend }) {
            // Escaped: what was refused is named in a guest's words.
            tracing::warn!(
                plugin, capability = %denial.capability, mend = clip(&denial.mend),
                "denied: {}", clip(&denial.message).escape_debug()
            );
        }
    }

    pub(crate) fn take(&self) -> Vec<CapabilityUse> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn count_again(uses: &mut [CapabilityUse], new: &CapabilityUse) -> bool {
    let same = |u: &&mut CapabilityUse| {
        (u.capability, &u.action, &u.target, &u.outcome)
            == (new.capability, &new.action, &new.target, &new.outcome)
    };
    let known = uses.iter_mut().find(same);
    known.map(|known| known.count = known.count.saturating_add(1)).is_some()
}

fn clip(text: &str) -> &str {
    text.char_indices().nth(MAX_USE_CHARS).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_uses_are_counted_and_a_full_list_hides_nothing() {
        let uses = Uses::default();
        assert!(uses.add(Capability::KeyValue, "get", "own namespace", UseOutcome::Ok));
        assert!(!uses.add(Capability::KeyValue, "get", "own namespace", UseOutcome::Ok));
        for i in 0..10_000 {
            uses.add(Capability::Http, "GET", &format!("https://example.com/{i}"), UseOutcome::Ok);
        }
        uses.add(Capability::Mail, "send", "jane@example.com", UseOutcome::Ok);
        for i in 0..2 {
            uses.add(Capability::Mail, "send", "eve@evil.test", UseOutcome::Denied { mend: i.to_string() });
        }
        let all = uses.take();
        assert_eq!(all.first().unwrap().count, 2);
        assert_eq!(all.iter().map(|u| u.count).sum::<u32>(), 2 + 10_000 + 1 + 2);
        let rest: Vec<_> =
            all.iter().skip(MAX_USES).map(|u| (u.capability, u.count, u.outcome == UseOutcome::Ok)).collect();
        let listed = u32::try_from(MAX_USES).unwrap() - 1;
        assert_eq!(
            rest,
            [
                (Capability::Http, 10_000 - listed, true),
                (Capability::Mail, 1, true),
                (Capability::Mail, 2, false)
            ]
        );
    }

    #[test]
    fn a_guests_text_is_clipped_between_characters() {
        let text = "退".repeat(5000);
        assert_eq!(clip(&text).chars().count(), MAX_USE_CHARS);
        assert_eq!(clip("short"), "short");
    }
}

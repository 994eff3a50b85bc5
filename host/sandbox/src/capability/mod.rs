//! The capabilities, a file each: what is linked, what is asked of the grants before the effect, what is noted after it.

mod artifacts;
mod config;
pub(crate) mod host_0_2;
pub(crate) mod http;
mod key_value;
mod mail;
mod run_context;
pub(crate) mod stdio;

use factotum_grant::Capability;

use crate::{CallFault, FaultKind, UseOutcome, right::TooOften, state::State};
use bindings::factotum::types::faults::{Fault, FaultKind as WitKind};

/// What wasmtime makes of the WIT files.
#[allow(
    missing_docs,
    clippy::all,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used
)]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: [
            "../../wit/factotum-types-0.1.0",
            "../../wit/factotum-host-0.1.0",
            "../../wit/wasi-keyvalue-0.2.0-draft",
            "../../wit/wasi-config-0.2.0-rc.1",
        ],
        inline: "
            package factotum:sandbox;
            world host {
                import factotum:host/run-context@0.1.0;
                import factotum:host/mail-out@0.1.0;
                import factotum:host/artifacts@0.1.0;
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
                import wasi:config/store@0.2.0-rc.1;
            }
        ",
        world: "factotum:sandbox/host",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::key_value::Bucket },
    });
}

impl bindings::factotum::types::faults::Host for State {}

impl State {
    /// Notes a use that was allowed, with how it ended.
    pub(crate) fn note<T, E>(
        &self,
        capability: Capability,
        action: &str,
        target: &str,
        result: &Result<T, E>,
        code: impl Fn(&E) -> String,
    ) {
        let outcome = match result {
            Ok(_) => UseOutcome::Ok,
            Err(error) => UseOutcome::Failed { code: code(error) },
        };
        self.uses.add(capability, action, target, outcome);
    }

    /// Notes what was refused because there was too much of it, and says when to come again.
    fn too_often(&self, action: &str, target: &str, too_often: TooOften) -> CallFault {
        let TooOften { denial, retry_after } = too_often;
        self.deny(action, target, &denial);
        let retry_after_ms = u64::try_from(retry_after.as_millis()).ok();
        CallFault { retry_after_ms, ..CallFault::technical("rate-limited", denial.message) }
    }
}

/// A fault of the host's, in the guest's type.
fn to_guest(fault: CallFault) -> Fault {
    Fault {
        kind: match fault.kind {
            FaultKind::Business => WitKind::Business,
            FaultKind::Technical => WitKind::Technical,
        },
        code: fault.code,
        message: fault.message,
        hint: fault.hint,
        retry_after_ms: fault.retry_after_ms,
    }
}

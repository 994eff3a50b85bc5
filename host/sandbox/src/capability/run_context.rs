//! `factotum:host/run-context`: who is calling, and under which idempotency key.

use std::time::Instant;

use factotum_grant::Capability;
use sha2::{Digest, Sha256};

use super::bindings::factotum::host::run_context::{Context, Host};
use crate::state::State;

impl Host for State {
    async fn get(&mut self) -> wasmtime::Result<Context> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        let remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        // The interface has no error, and a refusal is no trap: nothing is told. The key still is the same for each attempt
        // of one task and no other, so that a plugin that relies on it does nothing twice.
        if let Err(denial) = self.right().effective.check_capability(Capability::RunContext) {
            self.deny("get", "run context", &denial);
            let key = self.context.idempotency_key.as_bytes();
            let blind = Sha256::new().chain_update(b"factotum run context\0").chain_update(key).finalize();
            return Ok(Context {
                run_id: None,
                flow: None,
                task: None,
                attempt: 1,
                idempotency_key: hex::encode(blind),
                remaining_ms,
            });
        }
        Ok(Context {
            run_id: self.context.run_id.clone(),
            flow: self.context.flow.clone(),
            task: self.context.task.clone(),
            attempt: self.context.attempt,
            idempotency_key: self.context.idempotency_key.clone(),
            remaining_ms,
        })
    }
}

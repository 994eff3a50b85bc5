//! `factotum:host/run-context`: who is calling, and under which idempotency key.

use std::time::Instant;

use super::bindings::factotum::host::run_context::{Context, Host};
use crate::state::State;

impl Host for State {
    async fn get(&mut self) -> wasmtime::Result<Context> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        Ok(Context {
            run_id: self.context.run_id.clone(),
            flow: self.context.flow.clone(),
            task: self.context.task.clone(),
            attempt: self.context.attempt,
            idempotency_key: self.context.idempotency_key.clone(),
            remaining_ms: u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

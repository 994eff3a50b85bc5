//! Who is calling, and under which idempotency key (`factotum:host/run-context`).

pub use crate::bindings::factotum::host::run_context::Context;

/// The circumstances of this call.
#[must_use]
pub fn current() -> Context {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::factotum::host::run_context::get()
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::with(|world| world.context.clone())
    }
}

/// The same for every attempt of the same task of the same run, and for no other.
#[must_use]
pub fn idempotency_key() -> String {
    current().idempotency_key
}

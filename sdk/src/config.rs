//! The configuration that the administrator gave this plugin (`wasi:config/store`).

use crate::Fault;

/// The value under `key`, or `None` when the administrator gave none.
///
/// # Errors
/// A technical fault when the host cannot read its configuration.
pub fn get(key: &str) -> Result<Option<String>, Fault> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::wasi::config::store::get(key)
            .map_err(|e| Fault::unavailable(format!("configuration {key:?}: {e:?}")))
    }
    #[cfg(not(target_family = "wasm"))]
    {
        Ok(crate::testing::with(|world| world.config.get(key).cloned()))
    }
}

/// The value under `key`.
///
/// # Errors
/// `invalid-configuration` when the administrator gave none.
pub fn require(key: &str) -> Result<String, Fault> {
    get(key)?.ok_or_else(|| {
        Fault::invalid_configuration(format!("the configuration has no {key:?}"))
            .with_hint(format!("set it when adding the plugin: --config {key}=…"))
    })
}

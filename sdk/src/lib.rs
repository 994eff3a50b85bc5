//! The guest library for plugin authors.
//!
//! A plugin is a WebAssembly component that exports WIT functions. `wit_bindgen::generate!` makes the traits to implement
//! from the WIT files; this crate gives what nearly every plugin needs beside them:
//!
//! - [`Fault`] and short ways to make one;
//! - the capabilities in plain words: [`config`], [`kv`], [`http`], [`mail`], [`artifacts`], [`context`];
//! - [`manifest!`], which puts the plugin's `plugin.toml` into the component, so that one `.wasm` is the whole plugin;
//! - [`testing`], native stand-ins for every capability, so that `cargo test` runs the plugin's logic without a sandbox.
//!
//! Only what a plugin really calls ends up among its imports, and the import list is its permission request.
//!
//! # The shape of a plugin
//!
//! ```ignore
//! mod bindings {
//!     wit_bindgen::generate!({
//!         path: ["../../wit/factotum-types-0.1.0", "../../wit/factotum-crm-0.1.0"],
//!         inline: "package my:plugin; world plugin { export factotum:crm/crm@0.1.0; }",
//!         world: "my:plugin/plugin",
//!         with: { "factotum:types/faults@0.1.0": factotum_sdk::faults },
//!         generate_all,
//!     });
//! }
//! struct Plugin;
//! impl bindings::exports::factotum::crm::crm::Guest for Plugin { /* … */ }
//! bindings::export!(Plugin with_types_in bindings);
//! factotum_sdk::manifest!("plugin.toml");
//! ```

#[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unsafe_code)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: [
            "../wit/factotum-types-0.1.0",
            "../wit/factotum-host-0.2.0",
            "../wit/wasi-keyvalue-0.2.0-draft",
            "../wit/wasi-config-0.2.0-rc.1",
        ],
        inline: "
            package factotum:sdk;
            world sdk {
                import factotum:host/run-context@0.2.0;
                import factotum:host/mail-out@0.2.0;
                import factotum:host/artifacts@0.2.0;
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
                import wasi:config/store@0.2.0-rc.1;
            }
        ",
        world: "factotum:sdk/sdk",
        generate_all,
    });
}

/// The host's own interfaces, for the `with:` of `wit_bindgen::generate!`.
pub use bindings::factotum::host as host_interfaces;
/// The shared fault type, for the `with:` of `wit_bindgen::generate!`.
pub use bindings::factotum::types::faults;

pub use faults::{Fault, FaultKind};

pub mod artifacts;
pub mod config;
pub mod context;
mod fault;
pub mod http;
pub mod kv;
pub mod mail;
mod manifest;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

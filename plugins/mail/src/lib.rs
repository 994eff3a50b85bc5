//! The mail plugin: letters to customers and staff from templates, in English and Chinese.
//!
//! It exports `factotum:mail/mail`. The templates that ship are files under `templates/`; an administrator replaces any
//! part of one, or adds templates, through configuration. `README.md` shows how.

mod deliver;
mod engine;
mod labels;
mod letter;
mod sources;

use bindings::exports::factotum::mail::mail::{Delivery, Guest, Letter, Rendered, Sent, TemplateInfo};
use factotum_sdk::Fault;

#[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unsafe_code)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/factotum-types-0.1.0", "../../wit/factotum-mail-0.1.0"],
        inline: "package factotum:plugin-mail; world plugin { export factotum:mail/mail@0.1.0; }",
        world: "factotum:plugin-mail/plugin",
        with: { "factotum:types/faults@0.1.0": factotum_sdk::faults },
        generate_all,
        pub_export_macro: true,
    });
}

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    fn templates() -> Result<Vec<TemplateInfo>, Fault> {
        sources::list()
    }

    fn render(letter: Letter) -> Result<Rendered, Fault> {
        letter::render(&letter)
    }

    fn send(letter: Letter, delivery: Delivery) -> Result<Sent, Fault> {
        deliver::send(letter::render(&letter)?, delivery)
    }
}

#[cfg(target_family = "wasm")]
// The component model's calling convention; the macro writes all of it.
#[allow(unsafe_code)]
mod export {
    use super::{Plugin, bindings};
    bindings::export!(Plugin with_types_in bindings);
}
factotum_sdk::manifest!("plugin.toml");

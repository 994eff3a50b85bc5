//! A plugin with one light function, as most have a few: what the benches call. For tests only.

#[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unsafe_code)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "light" });
}

/// The component.
struct Light;

impl bindings::exports::acme::light::text::Guest for Light {
    fn echo(value: String) -> String {
        value
    }
}

#[allow(unsafe_code)] // the generated exports are made of it
mod exports {
    use crate::{Light, bindings};

    bindings::export!(Light with_types_in bindings);
}

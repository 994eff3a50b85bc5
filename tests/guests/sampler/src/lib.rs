//! A stranger's component with a WIT of its own: one echo function for every shape of type. For tests only.

#[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unsafe_code)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "sampler" });
}

mod ledger;
mod shapes;
mod stock;
mod surroundings;

/// The component.
struct Sampler;

impl bindings::Guest for Sampler {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }

    fn count() -> u32 {
        1000
    }
}

#[allow(unsafe_code)] // the generated exports are made of it
mod exports {
    use crate::{Sampler, bindings};

    bindings::export!(Sampler with_types_in bindings);
}

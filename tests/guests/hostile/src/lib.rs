//! A plugin whose functions each attack the host in one way. For tests only.

#[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unsafe_code)]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/factotum-types-0.1.0", "wit"],
        world: "hostile:guest/hostile",
        with: { "factotum:types/faults@0.1.0": factotum_sdk::faults },
        generate_all,
    });
}

mod exhaust;
mod overflow;
mod reach;
mod smuggle;

/// The plugin.
struct Hostile;

#[allow(unsafe_code)] // the generated exports are made of it
mod exports {
    use crate::{Hostile, bindings};

    bindings::export!(Hostile with_types_in bindings);
}

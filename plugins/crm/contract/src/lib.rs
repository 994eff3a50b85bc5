//! The `factotum:crm/crm` interface for those who implement it: the generated types, the rules of its input, and (feature
//! `conformance`) the tests that every implementation must pass, so that two CRMs really are interchangeable.
//!
//! ```ignore
//! struct Plugin;
//! impl factotum_crm_contract::Guest for Plugin { /* … */ }
//! #[cfg(target_family = "wasm")]
//! factotum_crm_contract::export!(Plugin with_types_in factotum_crm_contract::bindings);
//! factotum_sdk::manifest!("plugin.toml");
//! ```

#[allow(missing_docs, clippy::all, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unsafe_code)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/factotum-types-0.1.0", "../../../wit/factotum-crm-0.1.0"],
        inline: "package factotum:crm-plugin; world plugin { export factotum:crm/crm@0.1.0; }",
        world: "factotum:crm-plugin/plugin",
        with: { "factotum:types/faults@0.1.0": factotum_sdk::faults },
        pub_export_macro: true,
        additional_derives: [PartialEq, Eq],
        generate_all,
    });
}

pub use bindings::export;
pub use bindings::exports::factotum::crm::crm::{
    Case, CaseInput, CasePage, CaseQuery, Contact, ContactInput, ContactQuery, Guest, Note, Upserted,
};

#[cfg(all(feature = "conformance", not(target_family = "wasm")))]
pub mod conformance;
mod input;
mod key;
mod phone;
mod query;
mod text;
mod time;

pub use input::{CheckedCase, CheckedContact, check_case, check_contact, check_note};
pub use key::{digest, idempotency_digest};
pub use phone::phone_digits;
pub use query::{CheckedCaseQuery, CheckedContactQuery, check_case_query, check_contact_query};
pub use text::{email, language, one_line, text};
pub use time::{Instant, now, parse_time};

//! The embedded CRM: contacts, cases and notes in the plugin's own key-value namespace, for desks that have no CRM.
//!
//! It exports `factotum:crm/crm`; whatever works with it works with every other plugin that does. `README.md` explains
//! how things are laid out, and what happens when two calls come at once.

mod cases;
mod contacts;
mod find;
mod keys;
mod notes;
mod pages;
mod slots;

use factotum_crm_contract::{
    Case, CaseInput, CasePage, CaseQuery, Contact, ContactInput, ContactQuery, Guest, Note, Upserted,
    check_case, check_case_query, check_contact, check_contact_query, check_note,
};
use factotum_sdk::{Fault, kv::Bucket};

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    fn find_contacts(query: ContactQuery) -> Result<Vec<Contact>, Fault> {
        find::find(&Bucket::open()?, &check_contact_query(&query)?)
    }

    fn get_contact(id: String) -> Result<Contact, Fault> {
        contacts::get(&Bucket::open()?, &id)
    }

    fn upsert_contact(contact: ContactInput) -> Result<Upserted, Fault> {
        contacts::upsert(&Bucket::open()?, &check_contact(&contact)?)
    }

    fn add_case(case: CaseInput) -> Result<Case, Fault> {
        cases::add(&Bucket::open()?, check_case(case)?.0)
    }

    fn get_case(id: String) -> Result<Case, Fault> {
        cases::get(&Bucket::open()?, &id)
    }

    fn list_cases(query: CaseQuery) -> Result<CasePage, Fault> {
        pages::list(&Bucket::open()?, &check_case_query(&query)?)
    }

    fn add_note(case_id: String, author: String, text: String) -> Result<Note, Fault> {
        let (author, text) = check_note(&case_id, &author, &text)?;
        notes::add(&Bucket::open()?, &case_id, author, text)
    }

    fn list_notes(case_id: String) -> Result<Vec<Note>, Fault> {
        notes::list(&Bucket::open()?, &case_id)
    }
}

#[cfg(target_family = "wasm")]
factotum_crm_contract::export!(Plugin with_types_in factotum_crm_contract::bindings);
factotum_sdk::manifest!("plugin.toml");

//! A CRM connector: contacts are Tryton's parties, cases its customer complaints (module `sale_complaint`), notes its
//! notes. It sends no credentials: the host puts the REST key into requests to the granted server.
//!
//! It exports `factotum:crm/crm` and passes the same tests as the embedded CRM. `README.md` has the mapping, and what
//! Tryton cannot promise.

mod body;
mod client;
mod complaint;
mod lang;
mod note;
mod party;
mod query;
mod wire;

use client::Client;
use factotum_crm_contract::{
    Case, CaseInput, CasePage, CaseQuery, Contact, ContactInput, ContactQuery, Guest, Note, Upserted,
    check_case, check_case_query, check_contact, check_contact_query, check_note,
};
use factotum_sdk::Fault;

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    fn find_contacts(query: ContactQuery) -> Result<Vec<Contact>, Fault> {
        let query = check_contact_query(&query)?;
        party::find(&Client::configured()?, &query)
    }

    fn get_contact(id: String) -> Result<Contact, Fault> {
        party::get(&Client::configured()?, &id)
    }

    fn upsert_contact(contact: ContactInput) -> Result<Upserted, Fault> {
        let contact = check_contact(&contact)?;
        party::upsert(&Client::configured()?, &contact)
    }

    fn add_case(case: CaseInput) -> Result<Case, Fault> {
        let case = check_case(case)?.0;
        complaint::add(&Client::configured()?, &case)
    }

    fn get_case(id: String) -> Result<Case, Fault> {
        complaint::get(&Client::configured()?, &id)
    }

    fn list_cases(query: CaseQuery) -> Result<CasePage, Fault> {
        let query = check_case_query(&query)?;
        complaint::list(&Client::configured()?, &query)
    }

    fn add_note(case_id: String, author: String, text: String) -> Result<Note, Fault> {
        let (author, text) = check_note(&case_id, &author, &text)?;
        note::add(&Client::configured()?, &case_id, &author, &text)
    }

    fn list_notes(case_id: String) -> Result<Vec<Note>, Fault> {
        note::list(&Client::configured()?, &case_id)
    }
}

#[cfg(target_family = "wasm")]
factotum_crm_contract::export!(Plugin with_types_in factotum_crm_contract::bindings);
factotum_sdk::manifest!("plugin.toml");

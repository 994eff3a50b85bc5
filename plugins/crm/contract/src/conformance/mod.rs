//! The tests that every implementation of `factotum:crm/crm` must pass. They make what they need under names of their
//! own, so that they also run against a server that holds other data.
//!
//! ```ignore
//! // Runs each as a test of its own; `setup` returns false when there is nothing to test against.
//! factotum_crm_contract::conformance_tests!(Plugin, setup);
//! ```

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code, only compiled for tests; each function's name says what it tests"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use factotum_sdk::{Fault, FaultKind, testing};

use crate::{CaseInput, CaseQuery, Contact, ContactInput, ContactQuery, Guest, now};

mod case;
mod contact;
mod note;

pub use case::*;
pub use contact::*;
pub use note::*;

/// Makes a `#[test]` of every conformance test.
#[macro_export]
macro_rules! conformance_tests {
    ($plugin:ty, $setup:path) => {
        $crate::conformance_tests! { @each $plugin, $setup,
            a_contact_is_made_and_found,
            an_update_keeps_what_is_absent,
            a_mail_address_in_any_case_is_one_contact,
            a_telephone_number_in_any_writing_is_one_contact,
            a_contact_without_address_and_number_is_made,
            chinese_names_are_found,
            all_parts_of_a_query_must_match,
            wildcards_are_letters,
            impossible_contacts_are_refused,
            impossible_contact_queries_are_refused,
            an_unknown_contact_is_not_found,
            a_case_comes_back_as_it_went_in,
            a_bare_case_is_enough,
            a_repeated_case_is_opened_once,
            a_case_needs_its_contact,
            hostile_text_comes_back_as_it_went_in,
            a_long_rant_is_kept_and_a_longer_one_refused,
            pages_hold_every_case_once_in_order,
            cases_are_filtered,
            impossible_cases_are_refused,
            impossible_case_queries_are_refused,
            an_unknown_case_is_not_found,
            notes_stand_in_order,
            a_repeated_note_is_added_once,
            a_note_needs_its_case,
            impossible_notes_are_refused,
        }
    };
    (@each $plugin:ty, $setup:path, $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                if $setup() {
                    $crate::conformance::$name::<$plugin>();
                } else {
                    eprintln!("SKIPPED {}: nothing to test against", stringify!($name));
                }
            }
        )*
    };
}

/// A word that no other call returns, on no other day.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}{:x}{count:x}", now().millis(), std::process::id())
}

/// The national digits of a Chinese mobile number that no other call returns.
fn mobile() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(7, Ordering::Relaxed);
    let seed =
        now().millis().unsigned_abs().wrapping_mul(31).wrapping_add(u64::from(std::process::id())) + count;
    format!("138{:08}", seed % 100_000_000)
}

fn next_key() {
    testing::set_idempotency_key(&unique());
}

fn person() -> ContactInput {
    ContactInput { name: None, email: None, phone: None, language: None }
}

fn nobody() -> ContactQuery {
    ContactQuery { email: None, phone: None, name: None, limit: None }
}

fn all_cases() -> CaseQuery {
    CaseQuery { contact_id: None, category: None, since: None, limit: None, cursor: None }
}

fn someone<G: Guest>() -> Contact {
    next_key();
    G::upsert_contact(ContactInput { email: Some(format!("{}@example.com", unique())), ..person() })
        .unwrap()
        .contact
}

fn problem(contact: &Contact) -> CaseInput {
    CaseInput {
        contact_id: contact.id.clone(),
        subject: "Where is my parcel?".into(),
        text: "It should be here since Monday.".into(),
        channel: "mail".into(),
        category: Some("delivery".into()),
        priority: Some("high".into()),
        sentiment: Some("negative".into()),
        language: Some("en".into()),
        order_numbers: vec!["A-1001".into(), "A-1002".into()],
    }
}

/// The fault is the caller's, has this code, and does not repeat a whole hostile text.
fn refused<T: std::fmt::Debug>(result: Result<T, Fault>, code: &str) {
    let fault = result.expect_err("must be refused");
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Business, code), "{fault:?}");
    assert!(
        !fault.message.is_empty() && fault.message.len() < 600,
        "{} bytes of message",
        fault.message.len()
    );
}

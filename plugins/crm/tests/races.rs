//! Two calls at once, in two instances. The stand-in of the store runs one call after the other, so an interleaving is
//! made by hand: both calls read the same store, and what each wrote is put into it afterwards, in either order.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use factotum_crm_contract::{CaseInput, CaseQuery, ContactInput, ContactQuery, Guest};
use factotum_sdk::testing;
use plugin_crm::Plugin;
use proptest::prelude::*;

type Store = BTreeMap<String, Vec<u8>>;

fn store() -> Store {
    testing::with(|world| world.buckets.get("default").cloned().unwrap_or_default())
}

fn restore(store: Store) {
    testing::with(|world| world.buckets.insert("default".into(), store));
}

fn is_counter(key: &str) -> bool {
    matches!(key, "contacts" | "cases")
        || key.ends_with("/cases")
        || (key.starts_with("phone/") && key.matches('/').count() == 1)
}

/// Runs both calls on the store as it is, and leaves behind what the second wrote over what the first wrote. Counters are
/// atomic in every store, so the second call finds them where the first left them.
fn at_once(first: impl FnOnce(), second: impl FnOnce()) {
    let before = store();
    first();
    let after_first = store();
    let mut seen_by_second = before.clone();
    seen_by_second
        .extend(after_first.iter().filter(|(key, _)| is_counter(key)).map(|(k, v)| (k.clone(), v.clone())));
    restore(seen_by_second.clone());
    second();
    let mut after = after_first;
    after.extend(store().into_iter().filter(|(key, value)| seen_by_second.get(key) != Some(value)));
    restore(after);
}

fn contact(email: &str) -> ContactInput {
    ContactInput { name: None, email: Some(email.into()), phone: None, language: None }
}

fn upsert(input: ContactInput) {
    Plugin::upsert_contact(input).unwrap();
}

fn by_name(name: &str) -> ContactQuery {
    ContactQuery { email: None, phone: None, name: Some(name.into()), limit: None }
}

#[test]
fn a_contact_made_twice_at_once_is_one_contact_with_the_parts_of_both() {
    testing::reset();
    let named = || upsert(ContactInput { name: Some("Jane".into()), ..contact("jane@example.com") });
    let called =
        || upsert(ContactInput { phone: Some("+44 20 7946 0018".into()), ..contact("JANE@example.com") });
    at_once(named, called);
    let found = Plugin::find_contacts(by_name("jane")).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].phone.as_deref(), Some("+44 20 7946 0018"));
    let phone = ContactQuery { phone: Some("004420 7946 0018".into()), name: None, ..by_name("") };
    assert_eq!(Plugin::find_contacts(phone).unwrap(), found);
}

#[test]
fn two_changes_at_once_are_both_kept() {
    testing::reset();
    upsert(ContactInput { name: Some("Jane".into()), ..contact("jane@example.com") });
    let language = || upsert(ContactInput { language: Some("zh".into()), ..contact("jane@example.com") });
    let phone =
        || upsert(ContactInput { phone: Some("+8613800138000".into()), ..contact("jane@example.com") });
    at_once(language, phone);
    let jane = Plugin::find_contacts(by_name("Jane")).unwrap().remove(0);
    assert_eq!((jane.language.as_deref(), jane.phone.as_deref()), (Some("zh"), Some("+8613800138000")));
}

#[test]
fn two_people_with_one_telephone_at_once_are_both_found() {
    testing::reset();
    let with_phone =
        |email: &str| upsert(ContactInput { phone: Some("+8613800138000".into()), ..contact(email) });
    at_once(|| with_phone("a@example.com"), || with_phone("b@example.com"));
    let query = ContactQuery { phone: Some("+86 138 0013 8000".into()), name: None, ..by_name("") };
    assert_eq!(Plugin::find_contacts(query).unwrap().len(), 2);
}

fn open(contact_id: &str, key: &str) {
    testing::set_idempotency_key(key);
    let case = CaseInput {
        contact_id: contact_id.into(),
        subject: key.into(),
        text: String::new(),
        channel: "mail".into(),
        category: None,
        priority: None,
        sentiment: None,
        language: None,
        order_numbers: vec![],
    };
    Plugin::add_case(case).unwrap();
}

fn subjects(query: CaseQuery) -> Vec<String> {
    Plugin::list_cases(query).unwrap().cases.into_iter().map(|case| case.subject).collect()
}

#[test]
fn two_cases_of_one_customer_at_once_are_both_listed() {
    testing::reset();
    let id = Plugin::upsert_contact(contact("jane@example.com")).unwrap().contact.id;
    at_once(|| open(&id, "one"), || open(&id, "two"));
    let all = CaseQuery { contact_id: None, category: None, since: None, limit: None, cursor: None };
    assert_eq!(subjects(all.clone()), ["one", "two"]);
    assert_eq!(subjects(CaseQuery { contact_id: Some(id), ..all }), ["one", "two"]);
}

#[test]
fn a_call_that_died_half_way_leaves_a_gap_and_no_harm() {
    testing::reset();
    let id = Plugin::upsert_contact(contact("jane@example.com")).unwrap().contact.id;
    open(&id, "one");
    // It took its numbers, and wrote nothing.
    let before = store();
    open(&id, "dead");
    let mut after = before;
    after.extend(store().into_iter().filter(|(key, _)| is_counter(key)));
    restore(after);
    open(&id, "dead");
    let all = CaseQuery { contact_id: None, category: None, since: None, limit: Some(1), cursor: None };
    let first = Plugin::list_cases(all.clone()).unwrap();
    assert_eq!(subjects(CaseQuery { cursor: first.next, ..all.clone() }), ["dead"]);
    let since = Some(first.cases[0].created.clone());
    assert_eq!(subjects(CaseQuery { since, limit: None, contact_id: Some(id), ..all }), ["one", "dead"]);
}

#[test]
fn what_is_stored_damaged_is_a_fault_and_no_trap() {
    testing::reset();
    let id = Plugin::upsert_contact(contact("jane@example.com")).unwrap().contact.id;
    open(&id, "one");
    let whole = store();
    for key in whole.keys().cloned().collect::<Vec<_>>() {
        let mut damaged = whole.clone();
        damaged.insert(key, b"\xff{".to_vec());
        restore(damaged);
        let _ = Plugin::get_contact(id.clone());
        let _ = Plugin::upsert_contact(contact("jane@example.com"));
        let _ = Plugin::find_contacts(by_name("x"));
        let _ = Plugin::get_case("CASE-000001".into());
        let _ = Plugin::list_cases(CaseQuery {
            contact_id: Some(id.clone()),
            category: None,
            since: None,
            limit: None,
            cursor: None,
        });
    }
}

#[test]
fn an_action_visits_the_store_as_often_in_a_large_one_as_in_a_small_one() {
    testing::reset();
    for n in 0..3000 {
        let id = Plugin::upsert_contact(contact(&format!("c{n}@example.com"))).unwrap().contact.id;
        open(&id, &format!("k{n}"));
    }
    let before = store().len();
    let id = Plugin::upsert_contact(contact("last@example.com")).unwrap().contact.id;
    open(&id, "last");
    // A contact with one part: its making, the part, its place. A case: head, text, place in the contact's list, its
    // idempotency record, and the contact's counter.
    assert_eq!(store().len() - before, 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is upserted in whatever order, one mail address is one contact, and the last name given is its name.
    #[test]
    fn one_address_is_one_contact(calls in prop::collection::vec((0..4_usize, prop::option::of("[a-z]{1,8}")), 1..30)) {
        testing::reset();
        let mut names: BTreeMap<usize, Option<String>> = BTreeMap::new();
        for (n, (who, name)) in calls.into_iter().enumerate() {
            testing::set_idempotency_key(&n.to_string());
            let input = ContactInput { name: name.clone(), ..contact(&format!("Person{who}@example.com")) };
            let made = Plugin::upsert_contact(input).unwrap();
            prop_assert_eq!(made.created, !names.contains_key(&who));
            let known = names.entry(who).or_default();
            *known = name.or(known.take());
            prop_assert_eq!(&made.contact.name, &*known);
            prop_assert_eq!(Plugin::get_contact(made.contact.id.clone()).unwrap(), made.contact);
        }
    }

    /// Pages of any size, of any filter, hold the same cases as one page.
    #[test]
    fn pages_lose_and_repeat_nothing(categories in prop::collection::vec(0..3_usize, 0..40), limit in 1..9_u32) {
        testing::reset();
        let id = Plugin::upsert_contact(contact("jane@example.com")).unwrap().contact.id;
        for (n, category) in categories.iter().enumerate() {
            testing::set_idempotency_key(&n.to_string());
            Plugin::add_case(CaseInput {
                contact_id: id.clone(), subject: n.to_string(), text: String::new(), channel: "web".into(),
                category: Some(format!("c{category}")), priority: None, sentiment: None, language: None, order_numbers: vec![],
            }).unwrap();
        }
        let expected: Vec<String> =
            categories.iter().enumerate().filter(|(_, c)| **c == 1).map(|(n, _)| n.to_string()).collect();
        let mut query = CaseQuery { contact_id: None, category: Some("c1".into()), since: None, limit: Some(limit), cursor: None };
        let mut seen = Vec::new();
        loop {
            let page = Plugin::list_cases(query.clone()).unwrap();
            seen.extend(page.cases.into_iter().map(|case| case.subject));
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(seen, expected);
    }
}

//! A check that says yes allocates nothing.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/desk.rs"]
mod desk;

use factotum_grant::Access;

#[test]
fn the_counter_counts() {
    assert_eq!(allocations::count(|| drop(std::hint::black_box(Box::new(7)))), 1);
}

#[test]
fn a_check_that_says_yes_allocates_nothing() {
    let effective = desk::effective();
    let requests = desk::requests();
    // The first use of a thread may set things up for all later ones.
    for (_, request) in &requests {
        effective.check_http(request).unwrap();
    }
    for (name, request) in &requests {
        let count = allocations::count(|| {
            std::hint::black_box(effective.check_http(request)).unwrap();
        });
        assert_eq!(count, 0, "{name}");
    }
    let count = allocations::count(|| {
        effective.check_mail(None, ["jane@example.com", "li@example.com"]).unwrap();
        effective.check_key_value(None, Access::ReadWrite).unwrap();
    });
    assert_eq!(count, 0);
}

#[test]
fn rules_that_refuse_the_query_before_one_allows_it_allocate_nothing() {
    let rule = |key: &str| {
        format!(
            "[[http]]\nhost = \"erp.example.com\"\nmethods = [\"GET\"]\npaths = [\"/**\"]\nquery = [\"{key}\"]\n"
        )
    };
    let text = format!("{}{}", rule("page"), rule("q"));
    let grants = factotum_grant::Grants::from_toml(&text).unwrap();
    let mut request = desk::requests().swap_remove(0).1;
    request.query = Some("q=1");
    let count = allocations::count(|| {
        std::hint::black_box(factotum_grant::check_request(&grants.http, &request)).unwrap();
    });
    assert_eq!(count, 0);
}

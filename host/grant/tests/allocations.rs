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

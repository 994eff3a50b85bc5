//! What a check costs: nanoseconds and allocations, for a grant of 8 rules and 36 paths narrowed by a flow. Fails when a
//! check takes 2 microseconds or more, or allocates.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench prints, and fails by panic"
)]

#[path = "../tests/common/allocations.rs"]
mod allocations;
#[path = "../tests/common/desk.rs"]
mod desk;

use std::{hint::black_box, time::Instant};

use factotum_grant::Access;

/// The most nanoseconds of one check.
const BUDGET_NS: f64 = 2000.0;

fn main() {
    let effective = desk::effective();
    for (name, request) in desk::requests() {
        measure(name, || {
            black_box(effective.check_http(black_box(&request))).unwrap();
        });
    }
    measure("mail to two", || {
        black_box(effective.check_mail(None, black_box(["jane@example.com", "li@example.com"]))).unwrap();
    });
    measure("key-value write", || black_box(effective.check_key_value(None, Access::ReadWrite)).unwrap());
    let (name, mut denied) = desk::requests().swap_remove(0);
    denied.target.path = "/erp/rest/invoice";
    let (ns, _) = time(|| {
        black_box(effective.check_http(black_box(&denied))).unwrap_err();
    });
    println!("{:<24} {ns:>8.0} ns   (with message and mend)", format!("{name}, denied"));
}

fn measure(name: &str, check: impl FnMut()) {
    let (ns, allocations) = time(check);
    println!("{name:<24} {ns:>8.0} ns   {allocations} allocations");
    assert!(ns < BUDGET_NS, "{name} takes {ns:.0} ns; at most {BUDGET_NS}");
    assert_eq!(allocations, 0, "{name} allocates");
}

/// The best of many short batches (in the others, the machine did something else too), and the allocations of one check.
fn time(mut check: impl FnMut()) -> (f64, u64) {
    const BATCH: u32 = 500;
    (0..10 * BATCH).for_each(|_| check());
    let allocations = allocations::count(&mut check);
    let best = (0..400)
        .map(|_| {
            let start = Instant::now();
            (0..BATCH).for_each(|_| check());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
        })
        .fold(f64::INFINITY, f64::min);
    (best, allocations)
}

//! Whatever the text: no panic, valid results, bounded cost.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's helper functions

use std::time::{Duration, Instant};

use plugin_classifier::classify::{Classification, MAX_REASONS, MAX_TEXT, classify};
use plugin_classifier::labels::{Category, Language};
use plugin_classifier::model::Model;
use plugin_classifier::rules::Rules;
use proptest::prelude::*;

fn run(subject: Option<&str>, text: &str) -> Classification {
    classify(&Model::shipped().expect("the model is whole"), &Rules::default(), subject, text)
}

/// Pieces of what real messages are made of, so that random texts reach deep into the scanners.
fn piece() -> impl Strategy<Value = String> {
    let fixed: &[&str] = &[
        "ORD-",
        "#",
        "订单号：",
        "order no. ",
        "12345",
        "10293847",
        "AB-2026-000123",
        "@",
        "jane@example.com",
        "+",
        "(555) ",
        "010-",
        "1380",
        "<br>",
        "<",
        "&nbsp;",
        "&",
        "\n",
        "\n> ",
        "\n--\n",
        "On Monday X wrote:\n",
        "Name: ",
        "my name is ",
        "我叫",
        "张",
        "王女士",
        "Regards,\n",
        " here",
        "退款",
        "refund",
        "where is my order",
        "!!",
        "😡",
        "\u{200b}",
        "\u{feff}",
        "Ａ",
        "İ",
        "ß",
        "ﬀ",
        "e\u{301}",
        "'",
        "aaaa",
        "不",
        "not ",
        " ~ ",
        "*",
    ];
    prop_oneof![4 => prop::sample::select(fixed).prop_map(str::to_owned), 2 => any::<char>().prop_map(String::from), 1 => "\\PC{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_classified(subject in prop::option::of("\\PC{0,40}"), pieces in prop::collection::vec(piece(), 0..60)) {
        let c = run(subject.as_deref(), &pieces.concat());
        prop_assert!((0.0..=1.0).contains(&c.confidence));
        prop_assert!(c.reasons.len() <= MAX_REASONS);
        prop_assert!(c.fields.orders.len() <= 20);
    }
}

#[test]
fn an_empty_message_is_no_error() {
    for text in ["", "  \n ", "\u{200b}\u{feff}"] {
        let c = run(None, text);
        assert_eq!((c.category, c.language), (Category::Other, Language::Undetermined));
        assert!(c.confidence.abs() < f64::EPSILON && c.reasons.is_empty());
    }
}

#[test]
fn the_largest_text_costs_no_more_than_a_bounded_part_of_it() {
    // The parts that are looked at hold 16 KiB; the same work on the whole would be sixteen times as much. The bound is
    // far above what a debug build on a busy machine needs, and far below what unbounded scanning would.
    for unit in [
        "refund where is my order ORD-12345 call 555-010-4477 a@b.example ",
        "退款订单号10293847我叫张伟",
        "<",
        "@",
        "a",
        "&&&",
        "1 ",
        "\n>",
        "((((",
        "。",
        "re: ",
    ] {
        let text = unit.repeat(MAX_TEXT / unit.len());
        let start = Instant::now();
        let c = run(Some(&text), &text);
        assert!(start.elapsed() < Duration::from_secs(20), "{unit:?}: {:?}", start.elapsed());
        assert!(c.reasons.len() <= MAX_REASONS);
    }
}

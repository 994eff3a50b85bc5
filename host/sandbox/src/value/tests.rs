//! Every type goes there and back, and what does not fit is refused with its place.

use serde_json::{Value, json};

use super::*;
use crate::shape::{Case, Field, Int, Name};

fn there_and_back(shape: &Shape, json: Value) {
    let val = to_wit(shape, &json).unwrap_or_else(|e| panic!("{json}: {e}"));
    assert_eq!(from_wit(shape, val), Some(json));
}

fn refused(shape: &Shape, json: Value) -> String {
    match to_wit(shape, &json) {
        Ok(val) => panic!("{json} was taken: {val:?}"),
        Err(error) => error.to_string(),
    }
}

fn field(name: &str, shape: Shape) -> Field {
    Field { name: Name::new(name), shape }
}

fn option(shape: Shape) -> Shape {
    Shape::Option(Box::new(shape))
}

#[test]
fn integers_lose_nothing() {
    let int = Shape::Int;
    there_and_back(&int(Int::U64), json!(u64::MAX));
    there_and_back(&int(Int::S64), json!(i64::MIN));
    there_and_back(&int(Int::S8), json!(-128));
    assert!(refused(&int(Int::S8), json!(128)).contains("from -128 to 127"));
    assert!(refused(&int(Int::U32), json!(-1)).contains("found -1"));
    assert!(refused(&int(Int::U64), json!(1.5)).contains("1.5"));
    assert!(refused(&int(Int::U64), json!("1")).contains("a string"));
    assert!(refused(&int(Int::U64), json!(1e300)).contains("whole number"));
    assert_eq!(from_wit(&int(Int::U8), to_wit(&int(Int::U8), &json!(3.0)).unwrap()), Some(json!(3)));
}

#[test]
fn floats_have_words_for_what_json_lacks() {
    for json in [json!(1.5), json!(-0.25), json!("NaN"), json!("Infinity"), json!("-Infinity")] {
        there_and_back(&Shape::F64, json.clone());
        there_and_back(&Shape::F32, json);
    }
    refused(&Shape::F64, json!("1.5"));
}

#[test]
fn chars_are_scalar_values() {
    there_and_back(&Shape::Char, json!("退"));
    refused(&Shape::Char, json!("ab"));
    refused(&Shape::Char, json!(""));
}

#[test]
fn bytes_are_base64_and_arrays_are_taken() {
    there_and_back(&Shape::Bytes, json!("AAH/"));
    let val = to_wit(&Shape::Bytes, &json!([0, 1, 255])).unwrap();
    assert_eq!(from_wit(&Shape::Bytes, val), Some(json!("AAH/")));
    assert!(refused(&Shape::Bytes, json!("no base64!")).contains("base64"));
    assert!(refused(&Shape::Bytes, json!([256])).starts_with("/0: "));
}

#[test]
fn records_refuse_strangers_and_name_what_is_missing() {
    let shape =
        Shape::Record(vec![field("first-name", Shape::String), field("age", option(Shape::Int(Int::U8)))]);
    there_and_back(&shape, json!({"first_name": "Jane", "age": 7}));
    there_and_back(&shape, json!({"first_name": "Jane"}));
    assert!(refused(&shape, json!({"age": 7})).contains("missing \"first_name\": a string"));
    assert!(refused(&shape, json!({"first_name": "J", "agee": 7})).contains("known are first_name, age"));
    assert_eq!(
        refused(&shape, json!({"first_name": "J", "age": 300})),
        "/age: expected a whole number from 0 to 255, found 300"
    );
    assert!(refused(&shape, json!({"first_name": null})).starts_with("/first_name: "));
}

#[test]
fn variants_enums_flags() {
    let variant = Shape::Variant(vec![
        Case { name: Name::new("by-mail"), payload: Some(Shape::String) },
        Case { name: Name::new("nobody"), payload: None },
    ]);
    there_and_back(&variant, json!({"by_mail": "a@b.c"}));
    there_and_back(&variant, json!("nobody"));
    assert!(refused(&variant, json!("by_mail")).contains("needs a value"));
    assert!(refused(&variant, json!({"nobody": 1})).contains("/nobody"));
    assert!(refused(&variant, json!("x")).contains("one of by_mail, nobody"));
    let names = vec![Name::new("return-exchange"), Name::new("other")];
    there_and_back(&Shape::Enum(names.clone()), json!("return_exchange"));
    assert!(refused(&Shape::Enum(names.clone()), json!("return-exchange")).contains("return_exchange"));
    there_and_back(&Shape::Flags(names.clone()), json!(["return_exchange", "other"]));
    there_and_back(&Shape::Flags(names.clone()), json!([]));
    assert!(refused(&Shape::Flags(names), json!(["other", "other"])).contains("twice"));
}

#[test]
fn options_within_options_stay_apart() {
    let twice = option(option(Shape::Bool));
    for json in [json!(null), json!({"some": null}), json!({"some": true})] {
        there_and_back(&twice, json);
    }
    refused(&twice, json!(true));
}

#[test]
fn results_lists_tuples_maps() {
    let result = Shape::Result(Some(Box::new(Shape::Bool)), None);
    there_and_back(&result, json!({"ok": true}));
    there_and_back(&result, json!({"err": null}));
    refused(&result, json!({"ok": true, "err": null}));
    there_and_back(
        &Shape::List(Box::new(Shape::Tuple(vec![Shape::Bool, Shape::String]))),
        json!([[true, "a"]]),
    );
    assert!(refused(&Shape::Tuple(vec![Shape::Bool]), json!([])).contains("a list of 1"));
    assert!(refused(&Shape::List(Box::new(Shape::Bool)), json!([true, 1])).starts_with("/1: "));
    there_and_back(&Shape::Map(Box::new(Shape::String), Box::new(Shape::Bool)), json!({"a": true}));
    there_and_back(&Shape::Map(Box::new(Shape::Int(Int::U8)), Box::new(Shape::Bool)), json!([[1, true]]));
    there_and_back(&Shape::FixedList(Box::new(Shape::Bool), 2), json!([true, false]));
    refused(&Shape::FixedList(Box::new(Shape::Bool), 2), json!([true]));
}

/// For `fuzz/targets/convert`: what the input does not say, and the value holds all the same, counts too.
#[test]
fn names_and_keys_count_as_room() {
    let name = |text: &str| Name::new(&text.repeat(100));
    let fields = (0..5).map(|at| Field {
        name: Name::new(&format!("n{at}-{}", "x".repeat(100))),
        shape: option(Shape::Bool),
    });
    let records = Shape::List(Box::new(Shape::Record(fields.collect())));
    let enums = Shape::List(Box::new(Shape::Enum(vec![name("e")])));
    let flags = Shape::List(Box::new(Shape::Flags(vec![name("f")])));
    let cases = vec![Case { name: name("c"), payload: None }];
    let variants = Shape::List(Box::new(Shape::Variant(cases)));
    let maps = Shape::List(Box::new(Shape::Map(Box::new(Shape::String), Box::new(Shape::Bool))));
    for (shape, item, bytes) in [
        (records, json!({}), 5 * (100 + 2 * size_of::<String>())),
        (enums, json!("e".repeat(100)), 100 + size_of::<String>()),
        (flags, json!(["f".repeat(100)]), 100 + size_of::<String>()),
        (variants, json!("c".repeat(100)), 100 + size_of::<String>()),
        (maps, json!({"k".repeat(100): true}), 100 + 2 * size_of::<String>()),
    ] {
        let list = Value::Array(vec![item; 50]);
        assert!(
            to_wit_within(&shape, &list, &mut Room::of(50 * bytes)).unwrap_err().message.contains("memory")
        );
        to_wit_within(&shape, &list, &mut Room::of(1 << 20)).unwrap();
    }
}

//! JSON to WIT values and back: any JSON, any type, any value that a guest may return.
#![no_main]

use arbitrary::{Result, Unstructured};
use cap::Cap;
use factotum_sandbox::fuzzing::WitType;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Number, Value};

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// What a value may really take for each byte that it was charged: lists grow by doubling, and the old one goes last.
const BYTES_A_BYTE: usize = 4;
/// A message, a pointer, a box.
const BYTES_ANYWAY: usize = 64 << 10;

fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let Ok(wit) = WitType::choose(&mut |below| choose(u, below)) else { return Ok(()) };
    let schema = wit.schema();

    // What a guest returned becomes JSON, and that is taken as the same value again.
    let value = wit.choose_value(&mut |below| choose(u, below));
    let json = wit.json_of(value.clone()).expect("a value of the type has JSON");
    let again = wit.value_of(&json, usize::MAX).unwrap_or_else(|error| panic!("{json} of {schema}: {error}"));
    // Floats that are no numbers differ from themselves; their JSON does not.
    assert_eq!(wit.json_of(again).expect("JSON"), json, "{schema}");

    // The same with a part replaced, and any JSON at all.
    for json in [mutated(json, u, 0)?, any_json(u, 0)?] {
        let Ok(value) = wit.value_of(&json, usize::MAX) else { continue };
        let back = wit.json_of(value).expect("JSON");
        let value =
            wit.value_of(&back, usize::MAX).unwrap_or_else(|error| panic!("{back} of {schema}: {error}"));
        assert_eq!(wit.json_of(value).expect("JSON"), back, "{json} of {schema}");
    }

    // A list of many small values stays within its room, whatever they are.
    let room = 1 << usize::from(u.int_in_range(8..=16_u8)?);
    let json = many(any_json(u, 4)?, u.int_in_range(0..=2000_u16)?);
    let before = MEMORY.allocated();
    let limit = before + room * BYTES_A_BYTE + BYTES_ANYWAY;
    MEMORY.set_limit(limit).expect("room");
    let taken = wit.value_of(&json, room);
    MEMORY.set_limit(usize::MAX).expect("no bound");
    if let Err(error) = taken {
        assert!(error.len() < BYTES_ANYWAY, "a message of {} bytes", error.len());
    }
    Ok(())
}

fn choose(u: &mut Unstructured<'_>, below: usize) -> usize {
    u.choose_index(below.max(1)).unwrap_or_default()
}

fn many(json: Value, count: u16) -> Value {
    Value::Array(vec![json; count.into()])
}

/// Another value somewhere in this one.
fn mutated(json: Value, u: &mut Unstructured<'_>, depth: u8) -> Result<Value> {
    if u.ratio(1, 4)? {
        return any_json(u, depth);
    }
    Ok(match json {
        Value::Array(mut items) => {
            if let Some(item) = items.pop() {
                items.push(mutated(item, u, depth.saturating_add(1))?);
            }
            if u.ratio(1, 8)? {
                items.extend(items.clone());
            }
            Value::Array(items)
        }
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| Ok((name, mutated(value, u, depth.saturating_add(1))?)))
                .collect::<Result<Map<_, _>>>()?,
        ),
        other => other,
    })
}

fn any_json(u: &mut Unstructured<'_>, depth: u8) -> Result<Value> {
    let kinds = if depth < 6 { 8 } else { 6 };
    Ok(match u.int_in_range(0..=kinds - 1_u8)? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => Value::Number(u.arbitrary::<i64>()?.into()),
        3 => Value::Number(u.arbitrary::<u64>()?.into()),
        4 => Number::from_f64(u.arbitrary()?).map_or(Value::Null, Value::Number),
        5 => Value::String(text(u)?),
        6 => Value::Array(
            (0..u.int_in_range(0..=5_u8)?).map(|_| any_json(u, depth + 1)).collect::<Result<_>>()?,
        ),
        _ => Value::Object(
            (0..u.int_in_range(0..=4_u8)?)
                .map(|_| Ok((text(u)?, any_json(u, depth + 1)?)))
                .collect::<Result<_>>()?,
        ),
    })
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    const WORDS: [&str; 14] = [
        "n0", "n1", "n2", "some1_ok", "some", "ok", "err", "NaN", "Infinity", "AAH/", "AAE=", "退", "",
        "a/~b",
    ];
    if u.ratio(3, 4)? { Ok((*u.choose(&WORDS)?).to_owned()) } else { u.arbitrary() }
}

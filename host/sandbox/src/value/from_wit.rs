//! WIT values to JSON. The values come from a guest, but their types were checked by the engine.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value};
use wasmtime::component::Val;

use super::is_nullable;
use crate::shape::{Name, Shape};

/// Converts a value of type `shape` to JSON. `None` when value and type do not fit, which the engine rules out.
pub(crate) fn from_wit(shape: &Shape, val: Val) -> Option<Value> {
    Some(match (shape, val) {
        (Shape::Bool, Val::Bool(b)) => Value::Bool(b),
        (Shape::Int(_), val) => integer(&val)?,
        (Shape::F32, Val::Float32(f)) => float(shortest(f)),
        (Shape::F64, Val::Float64(f)) => float(f),
        (Shape::Char, Val::Char(c)) => Value::String(c.into()),
        (Shape::String, Val::String(text)) => Value::String(text),
        (Shape::Bytes, Val::List(items)) => {
            let bytes: Option<Vec<u8>> =
                items.into_iter().map(|v| if let Val::U8(b) = v { Some(b) } else { None }).collect();
            Value::String(STANDARD.encode(bytes?))
        }
        (Shape::List(item), Val::List(items)) | (Shape::FixedList(item, _), Val::FixedLengthList(items)) => {
            Value::Array(items.into_iter().map(|v| from_wit(item, v)).collect::<Option<_>>()?)
        }
        (Shape::Map(key, value), Val::Map(pairs)) => map(key, value, pairs)?,
        (Shape::Record(fields), Val::Record(values)) => {
            let mut members = Map::new();
            for (field, (_, val)) in fields.iter().zip(values) {
                // An absent option is left out, as it may be on the way in.
                if matches!(val, Val::Option(None)) {
                    continue;
                }
                members.insert(field.name.json.clone(), from_wit(&field.shape, val)?);
            }
            Value::Object(members)
        }
        (Shape::Tuple(shapes), Val::Tuple(values)) => {
            Value::Array(shapes.iter().zip(values).map(|(s, v)| from_wit(s, v)).collect::<Option<_>>()?)
        }
        (Shape::Variant(cases), Val::Variant(name, payload)) => {
            let case = cases.iter().find(|c| c.name.wit == name)?;
            match (&case.payload, payload) {
                (None, None) => Value::String(case.name.json.clone()),
                (Some(shape), Some(val)) => single(&case.name.json, from_wit(shape, *val)?),
                _ => return None,
            }
        }
        (Shape::Enum(cases), Val::Enum(name)) => Value::String(find(cases, &name)?),
        (Shape::Option(_), Val::Option(None)) => Value::Null,
        (Shape::Option(inner), Val::Option(Some(val))) => {
            let value = from_wit(inner, *val)?;
            if is_nullable(inner) { single("some", value) } else { value }
        }
        (Shape::Result(ok, err), Val::Result(result)) => {
            let (name, shape, val) = match result {
                Ok(val) => ("ok", ok, val),
                Err(val) => ("err", err, val),
            };
            let value = match (shape, val) {
                (Some(shape), Some(val)) => from_wit(shape, *val)?,
                _ => Value::Null,
            };
            single(name, value)
        }
        (Shape::Flags(names), Val::Flags(set)) => {
            Value::Array(set.iter().map(|flag| find(names, flag).map(Value::String)).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn integer(val: &Val) -> Option<Value> {
    Some(Value::Number(match val {
        Val::S8(n) => (*n).into(),
        Val::U8(n) => (*n).into(),
        Val::S16(n) => (*n).into(),
        Val::U16(n) => (*n).into(),
        Val::S32(n) => (*n).into(),
        Val::U32(n) => (*n).into(),
        Val::S64(n) => (*n).into(),
        Val::U64(n) => (*n).into(),
        _ => return None,
    }))
}

/// The shortest decimal that means this 32-bit float: 0.1 and not 0.10000000149011612.
fn shortest(f: f32) -> f64 {
    match f.to_string().parse::<f64>() {
        #[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // whether it is the same float again
        Ok(short) if short as f32 == f && short.abs() <= f32::MAX.into() => short,
        _ => f.into(),
    }
}

/// JSON has no number for these three (RFC 8259, section 6).
fn float(f: f64) -> Value {
    Number::from_f64(f).map_or_else(
        || {
            Value::String(
                if f.is_nan() {
                    "NaN"
                } else if f > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                }
                .into(),
            )
        },
        Value::Number,
    )
}

fn map(key: &Shape, value: &Shape, pairs: Vec<(Val, Val)>) -> Option<Value> {
    if matches!(key, Shape::String) {
        let mut members = Map::new();
        for (k, v) in pairs {
            let Val::String(k) = k else { return None };
            members.insert(k, from_wit(value, v)?);
        }
        return Some(Value::Object(members));
    }
    let pairs: Option<Vec<Value>> = pairs
        .into_iter()
        .map(|(k, v)| Some(Value::Array(vec![from_wit(key, k)?, from_wit(value, v)?])))
        .collect();
    pairs.map(Value::Array)
}

fn single(name: &str, value: Value) -> Value {
    let mut members = Map::new();
    members.insert(name.to_owned(), value);
    Value::Object(members)
}

fn find(names: &[Name], wit: &str) -> Option<String> {
    names.iter().find(|n| n.wit == wit).map(|n| n.json.clone())
}

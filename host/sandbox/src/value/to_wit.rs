//! JSON to WIT values: every part is checked, and an error says where and what was expected.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use wasmtime::component::Val;

use super::is_nullable;
use crate::shape::{Case, Int, Name, Shape};

/// A JSON value that does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub(crate) struct ValueError {
    /// Where: a JSON Pointer (RFC 6901).
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) message: String,
}

impl ValueError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { pointer: String::new(), message: message.into() }
    }

    /// The same error, one step further out.
    pub(crate) fn under(mut self, step: &str) -> Self {
        let step = step.replace('~', "~0").replace('/', "~1");
        self.pointer.insert_str(0, &format!("/{step}"));
        self
    }
}

/// The most bytes of host memory that the values of one call's input may take. A byte of a `list<u8>` is a whole value
/// to the engine, so this is also about 1.5 MiB of such bytes; files travel as artifacts.
const MAX_INPUT_BYTES: usize = 64 << 20;
const VAL_BYTES: usize = size_of::<Val>();
const TEXT_BYTES: usize = size_of::<String>();

/// What is left for the values of one call's input.
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_INPUT_BYTES)
    }
}

impl Room {
    /// Room for this many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// A name within a value: the engine wants it copied into each value, however often, and whether or not the input
    /// says it.
    fn take_name(&mut self, name: &str) -> Result<(), ValueError> {
        self.take(TEXT_BYTES.saturating_add(name.len()))
    }

    fn take(&mut self, bytes: usize) -> Result<(), ValueError> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            ValueError::new(format!("the input takes more than {MAX_INPUT_BYTES} bytes of memory"))
        })?;
        Ok(())
    }
}

/// Converts `json` to a value of type `shape`.
pub(crate) fn to_wit(shape: &Shape, json: &Value) -> Result<Val, ValueError> {
    convert(shape, json, &mut Room::default())
}

/// The same within what other values of the same call have left.
pub(crate) fn to_wit_within(shape: &Shape, json: &Value, room: &mut Room) -> Result<Val, ValueError> {
    convert(shape, json, room)
}

fn convert(shape: &Shape, json: &Value, room: &mut Room) -> Result<Val, ValueError> {
    room.take(VAL_BYTES)?;
    let mismatch = || ValueError::new(format!("expected {}, found {}", shape.describe(), brief(json)));
    match (shape, json) {
        (Shape::Bool, Value::Bool(b)) => Ok(Val::Bool(*b)),
        (Shape::Int(int), Value::Number(_)) => integer(*int, json).ok_or_else(mismatch),
        (Shape::F32, _) => float(json).and_then(single_float).map(Val::Float32).ok_or_else(mismatch),
        (Shape::F64, _) => float(json).map(Val::Float64).ok_or_else(mismatch),
        (Shape::Char, Value::String(text)) => single_char(text).map(Val::Char).ok_or_else(mismatch),
        (Shape::String, Value::String(text)) => {
            room.take(text.len())?;
            Ok(Val::String(text.clone()))
        }
        (Shape::Bytes, Value::String(text)) => {
            room.take((text.len() / 4).saturating_mul(3).saturating_mul(VAL_BYTES))?;
            STANDARD
                .decode(text)
                .map(|bytes| Val::List(bytes.into_iter().map(Val::U8).collect()))
                .map_err(|e| ValueError::new(format!("expected bytes as a base64 string: {e}")))
        }
        (Shape::Bytes, Value::Array(items)) => items_to_wit(&Shape::Int(Int::U8), items, room).map(Val::List),
        (Shape::List(item), Value::Array(items)) => items_to_wit(item, items, room).map(Val::List),
        (Shape::FixedList(item, len), Value::Array(items)) if items.len() == *len as usize => {
            items_to_wit(item, items, room).map(Val::FixedLengthList)
        }
        (Shape::Map(key, value), _) => map_to_wit(key, value, json, room).unwrap_or_else(|| Err(mismatch())),
        (Shape::Record(fields), Value::Object(members)) => {
            if let Some(unknown) = members.keys().find(|k| !fields.iter().any(|f| f.name.json == **k)) {
                let known = fields.iter().map(|f| f.name.json.as_str());
                return Err(ValueError::new(unknown_member(unknown, known)));
            }
            fields
                .iter()
                .map(|field| {
                    let json = members.get(&field.name.json).unwrap_or(&Value::Null);
                    if json.is_null() && !members.contains_key(&field.name.json) && !field.shape.is_optional()
                    {
                        return Err(ValueError::new(format!(
                            "missing {:?}: {}",
                            field.name.json,
                            field.shape.describe()
                        )));
                    }
                    room.take_name(&field.name.wit)?;
                    let val = convert(&field.shape, json, room).map_err(|e| e.under(&field.name.json))?;
                    Ok((field.name.wit.clone(), val))
                })
                .collect::<Result<_, _>>()
                .map(Val::Record)
        }
        (Shape::Tuple(shapes), Value::Array(items)) if items.len() == shapes.len() => shapes
            .iter()
            .zip(items)
            .enumerate()
            .map(|(i, (shape, item))| convert(shape, item, room).map_err(|e| e.under(&i.to_string())))
            .collect::<Result<_, _>>()
            .map(Val::Tuple),
        (Shape::Variant(cases), _) => variant(cases, json, room).unwrap_or_else(|| Err(mismatch())),
        (Shape::Enum(cases), Value::String(text)) => {
            let case = find(cases, text).ok_or_else(mismatch)?;
            room.take_name(&case)?;
            Ok(Val::Enum(case))
        }
        (Shape::Option(_), Value::Null) => Ok(Val::Option(None)),
        (Shape::Option(inner), _) if is_nullable(inner) => match wrapped(json) {
            Some(value) => {
                Ok(Val::Option(Some(Box::new(convert(inner, value, room).map_err(|e| e.under("some"))?))))
            }
            None => Err(ValueError::new(format!(r#"expected null or {{"some": …}}, found {}"#, brief(json)))),
        },
        (Shape::Option(inner), _) => Ok(Val::Option(Some(Box::new(convert(inner, json, room)?)))),
        (Shape::Result(ok, err), Value::Object(members)) if members.len() == 1 => {
            match (members.get("ok"), members.get("err")) {
                (Some(value), None) => payload(ok.as_deref(), value, "ok", room).map(|v| Val::Result(Ok(v))),
                (None, Some(value)) => {
                    payload(err.as_deref(), value, "err", room).map(|v| Val::Result(Err(v)))
                }
                _ => Err(mismatch()),
            }
        }
        (Shape::Flags(names), Value::Array(items)) => {
            let mut set = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let flag = item
                    .as_str()
                    .and_then(|text| find(names, text))
                    .ok_or_else(|| mismatch().under(&i.to_string()))?;
                if set.contains(&flag) {
                    return Err(ValueError::new(format!("{flag} stands twice")).under(&i.to_string()));
                }
                room.take_name(&flag)?;
                set.push(flag);
            }
            Ok(Val::Flags(set))
        }
        _ => Err(mismatch()),
    }
}

fn items_to_wit(shape: &Shape, items: &[Value], room: &mut Room) -> Result<Vec<Val>, ValueError> {
    items
        .iter()
        .enumerate()
        .map(|(i, item)| convert(shape, item, room).map_err(|e| e.under(&i.to_string())))
        .collect()
}

fn map_to_wit(key: &Shape, value: &Shape, json: &Value, room: &mut Room) -> Option<Result<Val, ValueError>> {
    let pairs: Result<Vec<_>, _> = match (key, json) {
        (Shape::String, Value::Object(members)) => members
            .iter()
            .map(|(k, v)| {
                room.take(VAL_BYTES.saturating_add(k.len()))?;
                Ok((Val::String(k.clone()), convert(value, v, room).map_err(|e| e.under(k))?))
            })
            .collect(),
        (_, Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(i, pair)| {
                match pair.as_array().map(Vec::as_slice) {
                    Some([k, v]) => Ok((convert(key, k, room)?, convert(value, v, room)?)),
                    _ => Err(ValueError::new("expected a pair [key, value]")),
                }
                .map_err(|e| e.under(&i.to_string()))
            })
            .collect(),
        _ => return None,
    };
    Some(pairs.map(Val::Map))
}

fn variant(cases: &[Case], json: &Value, room: &mut Room) -> Option<Result<Val, ValueError>> {
    match json {
        Value::String(text) => {
            let case = cases.iter().find(|c| c.name.json == *text)?;
            if let Err(error) = room.take_name(&case.name.wit) {
                return Some(Err(error));
            }
            if case.payload.is_some() {
                return Some(Err(ValueError::new(format!("{text:?} needs a value: {{{text:?}: …}}"))));
            }
            Some(Ok(Val::Variant(case.name.wit.clone(), None)))
        }
        Value::Object(members) if members.len() == 1 => {
            let (name, value) = members.iter().next()?;
            let case = cases.iter().find(|c| c.name.json == *name)?;
            if let Err(error) = room.take_name(&case.name.wit) {
                return Some(Err(error));
            }
            if case.payload.is_none() {
                return Some(
                    Err(ValueError::new(format!("takes no value; write just {name:?}")).under(name)),
                );
            }
            Some(
                payload(case.payload.as_ref(), value, name, room)
                    .map(|v| Val::Variant(case.name.wit.clone(), v)),
            )
        }
        _ => None,
    }
}

fn payload(
    shape: Option<&Shape>,
    json: &Value,
    step: &str,
    room: &mut Room,
) -> Result<Option<Box<Val>>, ValueError> {
    match shape {
        Some(shape) => convert(shape, json, room).map(|v| Some(Box::new(v))).map_err(|e| e.under(step)),
        None if json.is_null() => Ok(None),
        None => Err(ValueError::new(format!("expected null, found {}", brief(json))).under(step)),
    }
}

fn integer(int: Int, json: &Value) -> Option<Val> {
    let wide: i128 = if let Some(n) = json.as_i64() {
        n.into()
    } else if let Some(n) = json.as_u64() {
        n.into()
    } else {
        exact(json.as_f64()?)?
    };
    Some(match int {
        Int::S8 => Val::S8(wide.try_into().ok()?),
        Int::U8 => Val::U8(wide.try_into().ok()?),
        Int::S16 => Val::S16(wide.try_into().ok()?),
        Int::U16 => Val::U16(wide.try_into().ok()?),
        Int::S32 => Val::S32(wide.try_into().ok()?),
        Int::U32 => Val::U32(wide.try_into().ok()?),
        Int::S64 => Val::S64(wide.try_into().ok()?),
        Int::U64 => Val::U64(wide.try_into().ok()?),
    })
}

/// jq's arithmetic gives `3.0` where `3` is meant. Taken when it is whole and small enough to be exact.
fn exact(float: f64) -> Option<i128> {
    const LIMIT: f64 = 9_007_199_254_740_992.0; // 2^53: beyond it, floats skip whole numbers
    #[allow(clippy::cast_possible_truncation)] // whole and below 2^53
    (float.fract() == 0.0 && float.abs() <= LIMIT).then_some(float as i128)
}

fn float(json: &Value) -> Option<f64> {
    match json {
        Value::Number(_) => json.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Rounding to the nearest is what a 32-bit float means, but not rounding to infinity.
fn single_float(f: f64) -> Option<f32> {
    #[allow(clippy::cast_possible_truncation)] // in range by the check
    (!f.is_finite() || f.abs() <= f32::MAX.into()).then_some(f as f32)
}

fn single_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The value in `{"some": value}`, and in nothing with more members.
fn wrapped(json: &Value) -> Option<&Value> {
    json.as_object().filter(|members| members.len() == 1)?.get("some")
}

fn find(names: &[Name], text: &str) -> Option<String> {
    names.iter().find(|n| n.json == text).map(|n| n.wit.clone())
}

/// Says that a member is unknown, and what it might have been.
pub(crate) fn unknown_member<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.take(30).collect();
    let unknown: String = unknown.chars().take(60).collect();
    if known.is_empty() {
        format!("unknown member {unknown:?}; none is taken here")
    } else {
        format!("unknown member {unknown:?}; known are {}", known.join(", "))
    }
}

/// A value in a few words, for messages. Payloads do not belong into messages, so strings are not shown.
pub(crate) fn brief(json: &Value) -> String {
    match json {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(_) => "a string".into(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".into(),
    }
}

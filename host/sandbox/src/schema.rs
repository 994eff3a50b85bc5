//! JSON Schema (draft 2020-12) from WIT types. The WIT files are the one home of every type; this is derived.
//!
//! A schema describes the form in which values are written. The converter takes what it describes, and two more forms:
//! `list<u8>` also as an array of numbers, because jq makes those, and no input at all where every parameter is optional.

use serde_json::{Map, Value, json};

use crate::shape::{Field, Shape};

/// The schema of a function's input: an object with a member for each parameter.
pub(crate) fn input_schema(params: &[Field]) -> Value {
    let mut schema = record(params);
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    }
    schema
}

/// The schema of a value.
pub(crate) fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Int(int) => {
            let (min, max) = int.range();
            // Every bound fits 64 bits, signed or unsigned; the two conversions cover both.
            let number = |n: i128| {
                u64::try_from(n).map_or_else(|_| json!(i64::try_from(n).unwrap_or(i64::MIN)), |n| json!(n))
            };
            json!({"type": "integer", "minimum": number(min), "maximum": number(max)})
        }
        Shape::F32 => float(json!({"type": "number", "minimum": f32::MIN, "maximum": f32::MAX})),
        Shape::F64 => float(json!({"type": "number"})),
        Shape::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Shape::String => json!({"type": "string"}),
        Shape::Bytes => json!({"type": "string", "contentEncoding": "base64", "pattern": BASE64}),
        Shape::List(item) => json!({"type": "array", "items": schema(item)}),
        Shape::FixedList(item, len) => {
            json!({"type": "array", "items": schema(item), "minItems": len, "maxItems": len})
        }
        Shape::Map(key, value) if **key == Shape::String => {
            json!({"type": "object", "additionalProperties": schema(value)})
        }
        Shape::Map(key, value) => json!({"type": "array", "items": tuple(&[schema(key), schema(value)])}),
        Shape::Record(fields) => record(fields),
        Shape::Tuple(shapes) => tuple(&shapes.iter().map(schema).collect::<Vec<_>>()),
        Shape::Variant(cases) => {
            let one_of: Vec<Value> = cases
                .iter()
                .map(|case| match &case.payload {
                    None => json!({"const": case.name.json}),
                    Some(payload) => single(&case.name.json, schema(payload)),
                })
                .collect();
            json!({"oneOf": one_of})
        }
        Shape::Enum(cases) => json!({"enum": cases.iter().map(|c| c.json.as_str()).collect::<Vec<_>>()}),
        Shape::Option(inner) if inner.is_optional() => {
            json!({"anyOf": [{"type": "null"}, single("some", schema(inner))]})
        }
        Shape::Option(inner) => json!({"anyOf": [schema(inner), {"type": "null"}]}),
        Shape::Result(ok, err) => {
            let part =
                |shape: &Option<Box<Shape>>| shape.as_deref().map_or_else(|| json!({"type": "null"}), schema);
            json!({"oneOf": [single("ok", part(ok)), single("err", part(err))]})
        }
        Shape::Flags(names) => json!({
            "type": "array", "uniqueItems": true,
            "items": {"enum": names.iter().map(|n| n.json.as_str()).collect::<Vec<_>>()},
        }),
    }
}

/// Base64 with padding and without stray bits (RFC 4648, sections 3.5 and 4): just what the converter takes.
const BASE64: &str = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

fn float(number: Value) -> Value {
    json!({"anyOf": [number, {"enum": ["NaN", "Infinity", "-Infinity"]}]})
}

fn record(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|f| (f.name.json.clone(), schema(&f.shape))).collect();
    let required: Vec<&str> =
        fields.iter().filter(|f| !f.shape.is_optional()).map(|f| f.name.json.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn tuple(items: &[Value]) -> Value {
    json!({"type": "array", "prefixItems": items, "minItems": items.len(), "maxItems": items.len()})
}

fn single(name: &str, value: Value) -> Value {
    let mut properties = Map::new();
    properties.insert(name.to_owned(), value);
    json!({"type": "object", "properties": properties, "required": [name], "additionalProperties": false})
}

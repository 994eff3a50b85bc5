//! The conversion between JSON and WIT values, opened for the fuzz target `convert`: any type, any value, and what they cost.

use serde_json::Value;
use wasmtime::component::Val;

use crate::{
    schema,
    shape::{Budget, Case, Field, Int, Name, Shape, Unsupported},
    value::{Room, from_wit, to_wit_within},
};

/// A type as a component may declare it.
pub struct WitType(Shape);

/// A value of some type, as a call would hand it over.
#[derive(Debug, Clone, PartialEq)]
pub struct WitValue(Val);

/// Where choices come from: a number below the one given.
pub type Choose<'c> = dyn FnMut(usize) -> usize + 'c;

/// The deepest types made.
const MAX_DEPTH: usize = 6;
/// The longest lists made.
const MAX_LENGTH: usize = 6;

impl WitType {
    /// A type by choices, within what the host takes.
    ///
    /// # Errors
    /// When the choices made a type that the host refuses as too large.
    pub fn choose(choose: &mut Choose<'_>) -> Result<Self, &'static str> {
        let shape = choose_shape(choose, 0);
        let mut budget = Budget::default();
        charge(&shape, &mut budget)?;
        Ok(Self(shape))
    }

    /// A value of this type by choices.
    pub fn choose_value(&self, choose: &mut Choose<'_>) -> WitValue {
        WitValue(choose_val(&self.0, choose))
    }

    /// JSON to a value, as for a call whose input may take `room` bytes.
    ///
    /// # Errors
    /// Where and why it does not fit.
    pub fn value_of(&self, json: &Value, room: usize) -> Result<WitValue, String> {
        to_wit_within(&self.0, json, &mut Room::of(room)).map(WitValue).map_err(|error| error.to_string())
    }

    /// A value to JSON. `None` when it is not of this type.
    #[must_use]
    pub fn json_of(&self, value: WitValue) -> Option<Value> {
        from_wit(&self.0, value.0)
    }

    /// The JSON Schema of this type.
    #[must_use]
    pub fn schema(&self) -> Value {
        schema::schema(&self.0)
    }
}

/// What reading the type from a component would have charged.
fn charge(shape: &Shape, budget: &mut Budget) -> Result<(), Unsupported> {
    budget.enter()?;
    match shape {
        Shape::List(item) | Shape::FixedList(item, _) | Shape::Option(item) => charge(item, budget)?,
        Shape::Map(key, value) => {
            charge(key, budget)?;
            charge(value, budget)?;
        }
        Shape::Record(fields) => {
            for field in fields {
                budget.name(&field.name.wit)?;
                charge(&field.shape, budget)?;
            }
        }
        Shape::Tuple(shapes) => shapes.iter().try_for_each(|shape| charge(shape, budget))?,
        Shape::Variant(cases) => {
            for case in cases {
                budget.name(&case.name.wit)?;
                case.payload.iter().try_for_each(|shape| charge(shape, budget))?;
            }
        }
        Shape::Enum(names) | Shape::Flags(names) => {
            names.iter().try_for_each(|name| budget.name(&name.wit))?;
        }
        Shape::Result(ok, err) => {
            ok.iter().chain(err).try_for_each(|shape| charge(shape, budget))?;
        }
        _ => {}
    }
    budget.leave();
    Ok(())
}

const INTS: [Int; 8] = [Int::S8, Int::U8, Int::S16, Int::U16, Int::S32, Int::U32, Int::S64, Int::U64];

fn choose_shape(choose: &mut Choose<'_>, depth: usize) -> Shape {
    let kinds = if depth < MAX_DEPTH { 17 } else { 8 };
    let next = depth.saturating_add(1);
    match choose(kinds) {
        0 => Shape::Bool,
        1 => Shape::Int(INTS.get(choose(INTS.len())).copied().unwrap_or(Int::U8)),
        2 => Shape::F32,
        3 => Shape::F64,
        4 => Shape::Char,
        5 => Shape::Bytes,
        6 => Shape::Enum(names(choose, MAX_LENGTH)),
        7 => Shape::String,
        8 => {
            // As when it is read from a component: a list of bytes is `Bytes`.
            match choose_shape(choose, next) {
                Shape::Int(Int::U8) => Shape::Bytes,
                item => Shape::List(Box::new(item)),
            }
        }
        9 => Shape::FixedList(Box::new(choose_shape(choose, next)), length(choose)),
        10 => {
            // The component model's keys: no floats, nothing made of parts.
            let key = match choose(4) {
                0 => Shape::Bool,
                1 => Shape::Int(INTS.get(choose(INTS.len())).copied().unwrap_or(Int::U8)),
                2 => Shape::Char,
                _ => Shape::String,
            };
            Shape::Map(Box::new(key), Box::new(choose_shape(choose, next)))
        }
        11 => Shape::Record(
            names(choose, MAX_LENGTH)
                .into_iter()
                .map(|name| Field { name, shape: choose_shape(choose, next) })
                .collect(),
        ),
        12 => Shape::Tuple((0..=choose(MAX_LENGTH)).map(|_| choose_shape(choose, next)).collect()),
        13 => Shape::Variant(
            names(choose, MAX_LENGTH)
                .into_iter()
                .map(|name| Case { name, payload: (choose(3) > 0).then(|| choose_shape(choose, next)) })
                .collect(),
        ),
        14 => Shape::Option(Box::new(choose_shape(choose, next))),
        15 => Shape::Result(maybe(choose, next), maybe(choose, next)),
        _ => Shape::Flags(names(choose, 40)),
    }
}

fn length(choose: &mut Choose<'_>) -> u32 {
    u32::try_from(choose(MAX_LENGTH)).unwrap_or(0).saturating_add(1)
}

fn maybe(choose: &mut Choose<'_>, depth: usize) -> Option<Box<Shape>> {
    (choose(3) > 0).then(|| Box::new(choose_shape(choose, depth)))
}

/// Names that differ, some of them long.
fn names(choose: &mut Choose<'_>, most: usize) -> Vec<Name> {
    (0..=choose(most))
        .map(|at| match choose(4) {
            0 => Name::new(&format!("n{at}-{}", "x".repeat(choose(120)))),
            1 => Name::new(&format!("some{at}-ok")),
            _ => Name::new(&format!("n{at}")),
        })
        .collect()
}

fn choose_text(choose: &mut Choose<'_>) -> String {
    (0..choose(MAX_LENGTH)).map(|_| choose_char(choose)).collect()
}

fn choose_char(choose: &mut Choose<'_>) -> char {
    match choose(3) {
        0 => char::from_u32(u32::try_from(choose(0x11_0000)).unwrap_or(0)).unwrap_or('\u{fffd}'),
        1 => ['/', '~', '"', '\\', '\0', '退'].get(choose(6)).copied().unwrap_or('a'),
        _ => 'a',
    }
}

/// Any bits: eight choices of a byte.
fn bits(choose: &mut Choose<'_>) -> u64 {
    (0..8).fold(0, |bits, _| bits << 8 | u64::try_from(choose(256)).unwrap_or(0))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // any bits will do
fn choose_val(shape: &Shape, choose: &mut Choose<'_>) -> Val {
    match shape {
        Shape::Bool => Val::Bool(choose(2) > 0),
        Shape::Int(int) => {
            let bits = bits(choose);
            match int {
                Int::S8 => Val::S8(bits as i8),
                Int::U8 => Val::U8(bits as u8),
                Int::S16 => Val::S16(bits as i16),
                Int::U16 => Val::U16(bits as u16),
                Int::S32 => Val::S32(bits as i32),
                Int::U32 => Val::U32(bits as u32),
                Int::S64 => Val::S64(bits as i64),
                Int::U64 => Val::U64(bits),
            }
        }
        Shape::F32 => Val::Float32(f32::from_bits(bits(choose) as u32)),
        Shape::F64 => Val::Float64(f64::from_bits(bits(choose))),
        Shape::Char => Val::Char(choose_char(choose)),
        Shape::String => Val::String(choose_text(choose)),
        Shape::Bytes => Val::List((0..choose(MAX_LENGTH)).map(|_| Val::U8(choose(256) as u8)).collect()),
        Shape::List(item) => Val::List((0..choose(MAX_LENGTH)).map(|_| choose_val(item, choose)).collect()),
        Shape::FixedList(item, length) => {
            Val::FixedLengthList((0..*length).map(|_| choose_val(item, choose)).collect())
        }
        Shape::Map(key, value) => Val::Map(
            (0..choose(MAX_LENGTH)).map(|_| (choose_val(key, choose), choose_val(value, choose))).collect(),
        ),
        Shape::Record(fields) => {
            Val::Record(fields.iter().map(|f| (f.name.wit.clone(), choose_val(&f.shape, choose))).collect())
        }
        Shape::Tuple(shapes) => Val::Tuple(shapes.iter().map(|shape| choose_val(shape, choose)).collect()),
        Shape::Variant(cases) => match cases.get(choose(cases.len())) {
            Some(case) => Val::Variant(
                case.name.wit.clone(),
                case.payload.as_ref().map(|shape| Box::new(choose_val(shape, choose))),
            ),
            None => Val::Bool(false),
        },
        Shape::Enum(names) => {
            Val::Enum(names.get(choose(names.len())).map(|name| name.wit.clone()).unwrap_or_default())
        }
        Shape::Option(inner) => Val::Option((choose(3) > 0).then(|| Box::new(choose_val(inner, choose)))),
        Shape::Result(ok, err) => {
            let (side, good) = if choose(2) > 0 { (ok, true) } else { (err, false) };
            let payload = side.as_ref().map(|shape| Box::new(choose_val(shape, choose)));
            Val::Result(if good { Ok(payload) } else { Err(payload) })
        }
        Shape::Flags(names) => {
            Val::Flags(names.iter().filter(|_| choose(2) > 0).map(|name| name.wit.clone()).collect())
        }
    }
}

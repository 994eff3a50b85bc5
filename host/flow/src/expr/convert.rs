//! JSON values as the host holds them, and as jaq holds them: converted when first asked for, and only once.

use super::fuel::MAX_VALUE_DEPTH;
use crate::FlowError;
use factotum_provenance::{Labels, Provenance};
use jaq_json::{Map, Num, Val};
use serde_json::{Number, Value};
use std::sync::{Arc, OnceLock};

/// The largest value that leaves an expression, in bytes of JSON, roughly.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// A value that is passed between tasks, and where it comes from; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Data {
    forms: Arc<Forms>,
    from: Provenance,
}

#[derive(Default)]
struct Forms {
    json: OnceLock<Value>,
    val: OnceLock<Val>,
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Data")
            .field(&self.forms.json.get())
            .field(&self.forms.val.get())
            .field(&self.from)
            .finish()
    }
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        let forms = Forms { json: OnceLock::from(value), val: OnceLock::new() };
        Data { forms: Arc::new(forms), from: Provenance::default() }
    }
}

impl From<Val> for Data {
    fn from(value: Val) -> Self {
        let forms = Forms { json: OnceLock::new(), val: OnceLock::from(value) };
        Data { forms: Arc::new(forms), from: Provenance::default() }
    }
}

impl Data {
    /// Where it comes from.
    pub fn provenance(&self) -> &Provenance {
        &self.from
    }

    /// All labels in it.
    pub fn labels(&self) -> Labels {
        self.from.total()
    }

    /// The same value, known to come from elsewhere.
    pub fn of(self, from: impl Into<Provenance>) -> Data {
        Data { from: from.into(), ..self }
    }

    /// The value as JSON, to keep; or the DSL's expression error, which may quote it.
    pub fn into_value(self) -> Result<Value, FlowError> {
        let labels = self.labels();
        self.into_json().map_err(|e| FlowError::expression(e).and_labels(&labels))
    }

    /// The value as JSON, if it is already at hand as such.
    pub fn json_at_hand(&self) -> Option<&Value> {
        self.forms.json.get()
    }

    /// The value as JSON.
    pub fn json(&self) -> Result<&Value, String> {
        if let Some(value) = self.forms.json.get() {
            return Ok(value);
        }
        let mut budget = MAX_OUTPUT;
        let value = match self.forms.val.get() {
            Some(val) => to_json(val, 0, &mut budget)?,
            None => Value::Null,
        };
        Ok(self.forms.json.get_or_init(|| value))
    }

    /// The value as JSON, to keep.
    pub fn into_json(self) -> Result<Value, String> {
        self.json()?;
        match Arc::try_unwrap(self.forms) {
            Ok(forms) => Ok(forms.json.into_inner().unwrap_or_default()),
            Err(shared) => Ok(shared.json.get().cloned().unwrap_or_default()),
        }
    }

    /// The value as jaq holds it.
    pub fn val(&self) -> Result<Val, String> {
        if let Some(val) = self.forms.val.get() {
            return Ok(val.clone());
        }
        let val = match self.forms.json.get() {
            Some(json) => to_val(json, 0)?,
            None => Val::Null,
        };
        Ok(self.forms.val.get_or_init(|| val).clone())
    }

    /// Whether jq takes this as true: everything but null and false.
    pub fn is_true(&self) -> bool {
        match (self.forms.val.get(), self.forms.json.get()) {
            (Some(val), _) => !matches!(val, Val::Null | Val::Bool(false)),
            (None, Some(json)) => !matches!(json, Value::Null | Value::Bool(false)),
            (None, None) => false,
        }
    }
}

/// To jaq. Integers keep all their digits.
pub(super) fn to_val(value: &Value, depth: usize) -> Result<Val, String> {
    if depth > MAX_VALUE_DEPTH {
        return Err(format!("the value is nested more than {MAX_VALUE_DEPTH} deep"));
    }
    Ok(match value {
        Value::Null => Val::Null,
        Value::Bool(b) => Val::Bool(*b),
        Value::Number(n) => Val::Num(match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Num::from_integral(i),
            (None, Some(u)) => Num::from_integral(u),
            (None, None) => Num::Float(n.as_f64().unwrap_or(f64::NAN)),
        }),
        Value::String(s) => Val::from(s.clone()),
        Value::Array(items) => items.iter().map(|v| to_val(v, depth + 1)).collect::<Result<Val, String>>()?,
        Value::Object(map) => Val::obj(
            map.iter()
                .map(|(k, v)| Ok((Val::from(k.clone()), to_val(v, depth + 1)?)))
                .collect::<Result<Map, String>>()?,
        ),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn float(f: f64) -> Value {
    // As jq prints them: not-a-number is null, infinity is the largest number.
    if f.is_nan() {
        return Value::Null;
    }
    Number::from_f64(f.clamp(f64::MIN, f64::MAX)).map_or(Value::Null, Value::Number)
}

fn number(n: &Num) -> Value {
    match n {
        Num::Int(i) => Value::from(*i),
        Num::Float(f) => float(*f),
        Num::BigInt(i) => match (u64::try_from(&**i), i64::try_from(&**i)) {
            (Ok(u), _) => Value::from(u),
            (_, Ok(i)) => Value::from(i),
            _ => float(i.to_string().parse().unwrap_or(f64::NAN)),
        },
        Num::Dec(text) => float(text.parse().unwrap_or(f64::NAN)),
    }
}

fn to_json(value: &Val, depth: usize, budget: &mut usize) -> Result<Value, String> {
    let cost = match value {
        Val::TStr(b) | Val::BStr(b) => 8 + b.len(),
        _ => 8,
    };
    *budget = budget.checked_sub(cost).ok_or("the expression's result is larger than 16 MiB")?;
    if depth > MAX_VALUE_DEPTH {
        return Err(format!("the expression's result is nested more than {MAX_VALUE_DEPTH} deep"));
    }
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(b) => Value::Bool(*b),
        Val::Num(n) => number(n),
        Val::TStr(b) | Val::BStr(b) => Value::String(text(b)),
        Val::Arr(items) => {
            Value::Array(items.iter().map(|v| to_json(v, depth + 1, budget)).collect::<Result<_, _>>()?)
        }
        Val::Obj(map) => {
            let mut object = serde_json::Map::new();
            for (key, value) in map.iter() {
                let key = match key {
                    Val::TStr(b) | Val::BStr(b) => text(b),
                    other => return Err(format!("an object's key must be a string, not {other}")),
                };
                object.insert(key, to_json(value, depth + 1, budget)?);
            }
            Value::Object(object)
        }
    })
}

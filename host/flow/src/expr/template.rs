//! Values with expressions in them, such as the arguments of a call.

use super::{Data, Expr, Failure, Vars, decode, is_expression};
use crate::decode::{At, Decoder};
use crate::yaml::Kind;
use factotum_provenance::{Labels, Provenance};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A value in which some strings are expressions.
#[derive(Debug)]
pub(crate) enum Template {
    /// No expression anywhere in it.
    Constant(Data),
    Expr(Expr),
    List(Vec<Template>),
    Object(Vec<(String, Template)>),
}

/// Decodes a value: a string that is `${ … }` as a whole is an expression, every other string is itself.
pub(crate) fn template(d: &mut Decoder<'_>, at: &At<'_>, vars: &Vars) -> Option<Template> {
    match &at.node.kind {
        Kind::Text(text) if is_expression(text) => decode(d, at, vars).map(Template::Expr),
        Kind::Text(text) if text.contains("${") => {
            d.error_hint(
                at,
                "an expression must be the whole string",
                "write it as ${ \"text \\(.value) text\" }",
            );
            None
        }
        Kind::List(items) => {
            let mut parts = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                parts.push(template(d, &at.child(&i.to_string(), item), vars));
            }
            let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
            Some(constant_or(at, parts.iter().all(Template::is_constant), || Template::List(parts)))
        }
        Kind::Map(entries) => {
            let mut parts = Vec::with_capacity(entries.len());
            for entry in entries {
                parts.push(template(d, &at.entry(entry), vars).map(|t| (entry.key.clone(), t)));
            }
            let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
            Some(constant_or(at, parts.iter().all(|(_, t)| t.is_constant()), || Template::Object(parts)))
        }
        _ => Some(Template::Constant(Data::from(at.node.to_json()))),
    }
}

/// Decodes what the DSL calls "a string or an object" (`input.from`, `output.as`, `export.as`): a string is always an
/// expression there.
pub(crate) fn clause(d: &mut Decoder<'_>, at: &At<'_>, vars: &Vars) -> Option<Template> {
    match &at.node.kind {
        Kind::Text(_) => decode(d, at, vars).map(Template::Expr),
        Kind::Map(_) => template(d, at, vars),
        _ => {
            let message = format!("expected an expression or an object, found {}", at.node.describe());
            d.error_hint(
                at,
                message,
                "write an expression such as .items, or an object with expressions in it",
            );
            None
        }
    }
}

fn constant_or(at: &At<'_>, constant: bool, otherwise: impl FnOnce() -> Template) -> Template {
    if constant { Template::Constant(Data::from(at.node.to_json())) } else { otherwise() }
}

impl Template {
    fn is_constant(&self) -> bool {
        matches!(self, Template::Constant(_))
    }

    /// Whether an expression in it meets a condition.
    pub fn any(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        match self {
            Template::Constant(_) => false,
            Template::Expr(expr) => test(expr),
            Template::List(items) => items.iter().any(|t| t.any(test)),
            Template::Object(entries) => entries.iter().any(|(_, t)| t.any(test)),
        }
    }

    /// Evaluates every expression in it on `dot`.
    pub fn eval(&self, dot: &Data, lookup: &dyn Fn(&str) -> Option<Data>) -> Result<Data, Failure> {
        match self {
            Template::Constant(data) => Ok(data.clone()),
            Template::Expr(expr) => expr.eval(dot, lookup),
            Template::List(_) | Template::Object(_) => {
                let (value, from) = self.json(dot, lookup)?;
                Ok(Data::from(value).of(from))
            }
        }
    }

    fn json(
        &self,
        dot: &Data,
        lookup: &dyn Fn(&str) -> Option<Data>,
    ) -> Result<(Value, Provenance), Failure> {
        match self {
            Template::Constant(data) => keep(data.clone()),
            Template::Expr(expr) => keep(expr.eval(dot, lookup)?),
            Template::List(items) => {
                let (mut values, mut labels) = (Vec::with_capacity(items.len()), Labels::default());
                for item in items {
                    let (value, from) = item.json(dot, lookup)?;
                    values.push(value);
                    labels = labels.union(&from.total());
                }
                Ok((Value::Array(values), labels.into()))
            }
            Template::Object(entries) => {
                let (mut values, mut members) = (Map::new(), Vec::new());
                for (key, template) in entries {
                    let (value, from) = template.json(dot, lookup)?;
                    if !from.is_empty() {
                        members.push((Arc::from(key.as_str()), from));
                    }
                    values.insert(key.clone(), value);
                }
                Ok((Value::Object(values), Provenance::object(members)))
            }
        }
    }
}

fn keep(data: Data) -> Result<(Value, Provenance), Failure> {
    let from = data.provenance().clone();
    let value = data.into_json().map_err(|message| Failure { message, from: from.total() })?;
    Ok((value, from))
}

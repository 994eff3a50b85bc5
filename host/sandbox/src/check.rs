//! The check of a call's input at deploy time, while parts of it are still expressions.

use serde_json::Value;

use crate::{
    shape::{Field, Shape},
    value::{ValueError, to_wit},
};

/// The most problems one check reports.
const MAX_PROBLEMS: usize = 50;

/// A part of a call's input that cannot fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputProblem {
    /// Where in the input: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// Checks `template` against a function's parameters. Strings for which `is_expression` says yes pass anywhere.
pub(crate) fn check_input(
    params: &[Field],
    template: &Value,
    is_expression: &dyn Fn(&str) -> bool,
) -> Vec<InputProblem> {
    let shape = Shape::Record(params.to_vec());
    let mut checker = Checker { is_expression, problems: Vec::new() };
    let empty = Value::Object(serde_json::Map::new());
    checker.check(&shape, if template.is_null() { &empty } else { template }, "");
    checker.problems
}

struct Checker<'a> {
    is_expression: &'a dyn Fn(&str) -> bool,
    problems: Vec<InputProblem>,
}

impl Checker<'_> {
    /// Containers are walked, because an expression may stand anywhere within; everything else is converted for real.
    fn check(&mut self, shape: &Shape, value: &Value, at: &str) {
        if value.as_str().is_some_and(self.is_expression) || self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        match (shape, value) {
            (Shape::Record(fields), Value::Object(members)) => {
                for field in fields {
                    match members.get(&field.name.json) {
                        Some(value) => self.check(&field.shape, value, &join(at, &field.name.json)),
                        None if field.shape.is_optional() => {}
                        None => self.report(
                            at,
                            ValueError::new(format!(
                                "missing {:?}: {}",
                                field.name.json,
                                field.shape.describe()
                            )),
                        ),
                    }
                }
                for key in members.keys().filter(|k| !fields.iter().any(|f| f.name.json == **k)) {
                    let known = fields.iter().map(|f| f.name.json.as_str());
                    self.report(at, ValueError::new(crate::value::unknown_member(key, known)));
                }
            }
            (Shape::List(item) | Shape::FixedList(item, _), Value::Array(items)) => {
                for (i, value) in items.iter().enumerate() {
                    self.check(item, value, &join(at, &i.to_string()));
                }
            }
            (Shape::Tuple(shapes), Value::Array(items)) if shapes.len() == items.len() => {
                for (i, (shape, value)) in shapes.iter().zip(items).enumerate() {
                    self.check(shape, value, &join(at, &i.to_string()));
                }
            }
            (Shape::Option(inner), _) if !value.is_null() && !inner.is_optional() => {
                self.check(inner, value, at)
            }
            (Shape::Variant(cases), Value::Object(members)) if members.len() == 1 => {
                let found = members.iter().find_map(|(name, value)| {
                    let case = cases.iter().find(|c| c.name.json == *name)?;
                    Some((name, case.payload.as_ref()?, value))
                });
                match found {
                    Some((name, payload, value)) => self.check(payload, value, &join(at, name)),
                    None => self.convert(shape, value, at),
                }
            }
            _ => self.convert(shape, value, at),
        }
    }

    fn convert(&mut self, shape: &Shape, value: &Value, at: &str) {
        if let Err(error) = to_wit(shape, value) {
            self.report(at, error);
        }
    }

    fn report(&mut self, at: &str, error: ValueError) {
        self.problems
            .push(InputProblem { pointer: format!("{at}{}", error.pointer), message: error.message });
    }
}

fn join(at: &str, step: &str) -> String {
    format!("{at}/{}", step.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shape::{Int, Name};

    #[test]
    fn all_problems_at_once_and_expressions_pass() {
        let params = [
            Field { name: Name::new("contact-id"), shape: Shape::String },
            Field { name: Name::new("limit"), shape: Shape::Option(Box::new(Shape::Int(Int::U32))) },
            Field { name: Name::new("tags"), shape: Shape::List(Box::new(Shape::String)) },
        ];
        let check = |with: Value| {
            check_input(&params, &with, &|text| text.starts_with("${"))
                .into_iter()
                .map(|p| format!("{}: {}", p.pointer, p.message))
                .collect::<Vec<_>>()
        };
        assert!(
            check(json!({"contact_id": "${ .id }", "limit": "${ 1 }", "tags": ["a", "${ .b }"]})).is_empty()
        );
        assert!(check(json!("${ . }")).is_empty());
        let problems = check(json!({"contact": "x", "limit": "ten", "tags": ["a", 1]}));
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("missing \"contact_id\"")));
        assert!(problems.iter().any(|p| p.starts_with("/limit: expected a whole number")));
        assert!(problems.iter().any(|p| p.starts_with("/tags/1: expected a string, found 1")));
        assert!(problems.iter().any(|p| p.contains("unknown member \"contact\"")));
        assert_eq!(check(Value::Null).len(), 2);
    }
}

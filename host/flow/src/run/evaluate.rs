//! What the expressions, templates and schemas of a document give within a run.

use super::{Halt, Run, Scope};
use crate::FlowError;
use crate::duration::{self, Length};
use crate::expr::{Data, Expr, Failure, Template};
use crate::hours::{self, Span};
use crate::schema::Schema;
use crate::task::Output;
use std::time::Duration;

impl Run<'_> {
    /// What `output` and `export` make of a result.
    pub fn after(
        &self,
        output: &Output,
        export: &Output,
        data: Data,
        scope: &Scope<'_>,
        pointer: &str,
    ) -> Result<Data, Halt> {
        let made = self.transform(output.as_.as_ref(), &data, &scope.output(&data), pointer)?;
        check(output.schema.as_ref(), &made, pointer)?;
        if export.as_.is_some() || export.schema.is_some() {
            let context = self.transform(export.as_.as_ref(), &made, &scope.output(&made), pointer)?;
            check(export.schema.as_ref(), &context, pointer)?;
            scope.export(context);
        }
        Ok(made)
    }

    pub(super) fn transform(
        &self,
        template: Option<&Template>,
        dot: &Data,
        scope: &Scope<'_>,
        pointer: &str,
    ) -> Result<Data, Halt> {
        match template {
            None => Ok(dot.clone()),
            Some(template) => self.fill(template, dot, scope).map_err(|halt| place(halt, pointer)),
        }
    }

    /// Evaluates an expression; an error is the DSL's expression error.
    pub fn eval(&self, expr: &Expr, dot: &Data, scope: &Scope<'_>) -> Result<Data, Halt> {
        expr.eval(dot, &|name| scope.get(name)).map_err(|Failure { message, from }| {
            let detail = format!("{message} (in `{}`)", short(expr.source()));
            Halt::Fault(FlowError::expression(detail).and_labels(&from))
        })
    }

    /// A duration, computed if it must be.
    pub fn length(&self, length: &Length, input: &Data, scope: &Scope<'_>) -> Result<Duration, Halt> {
        match length {
            Length::Fixed(length) => Ok(*length),
            Length::Computed(expr) => {
                let value = self.eval(expr, input, scope)?;
                value.json().and_then(duration::from_value).map_err(|e| {
                    let error = FlowError::expression(format!("{e} (in `{}`)", short(expr.source())));
                    Halt::Fault(error.and_labels(&value.labels()))
                })
            }
        }
    }

    /// A length of business time, computed if it must be.
    pub fn span(
        &self,
        span: &Span,
        input: &Data,
        scope: &Scope<'_>,
    ) -> Result<factotum_calendar::Length, Halt> {
        match span {
            Span::Fixed(length) => Ok(*length),
            Span::Computed(expr) => {
                let value = self.eval(expr, input, scope)?;
                value.json().and_then(hours::length).map_err(|e| {
                    let error = FlowError::expression(format!("{e} (in `{}`)", short(expr.source())));
                    Halt::Fault(error.and_labels(&value.labels()))
                })
            }
        }
    }

    /// Evaluates the expressions in a value.
    pub fn fill(&self, template: &Template, dot: &Data, scope: &Scope<'_>) -> Result<Data, Halt> {
        match template {
            Template::Expr(expr) => self.eval(expr, dot, scope),
            other => other.eval(dot, &|name| scope.get(name)).map_err(|Failure { message, from }| {
                Halt::Fault(FlowError::expression(message).and_labels(&from))
            }),
        }
    }
}

fn short(text: &str) -> String {
    crate::decode::shorten(text, 80)
}

/// An error at a place of the document.
pub(super) fn place(halt: Halt, pointer: &str) -> Halt {
    match halt {
        Halt::Fault(error) => Halt::Fault(error.at(pointer)),
        other => other,
    }
}

/// Checks data against a schema, if there is one.
pub(super) fn check(schema: Option<&Schema>, data: &Data, pointer: &str) -> Result<(), Halt> {
    match schema.map(|schema| schema.check(data)) {
        Some(Err(detail)) => {
            Err(Halt::Fault(FlowError::validation(detail).at(pointer).and_labels(&data.labels())))
        }
        _ => Ok(()),
    }
}

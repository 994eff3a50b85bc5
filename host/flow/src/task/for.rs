//! `for`: runs tasks once for each item of a list. Each iteration gets the output of the one before.
//!
//! ```yaml
//! - eachOrder:
//!     for: { each: order, in: .orders, at: number }
//!     while: .failures == 0
//!     do:
//!       - book: { call: erp/book, with: { id: '${ $order.id }' } }
//! ```
//!
//! `each` defaults to `item`, `at` to `index`, which counts from 0. `exit` inside leaves the loop.

use super::{Around, Kind, KindSpec, List, Ran, list};
use crate::FlowError;
use crate::decode::{Decoder, Object};
use crate::document::variable;
use crate::expr::{self, Data, Expr};
use crate::reuse::Context;
use crate::run::{End, Halt, Position, Run, Running, Scope};
use factotum_provenance::Provenance;
use serde_json::Value;

pub(super) const SPEC: KindSpec = KindSpec { key: "for", also: &["while", "do"], decode };

/// A loop over a list.
#[derive(Debug)]
struct For {
    each: String,
    at: String,
    items: Expr,
    condition: Option<Expr>,
    tasks: List,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "for")?;
    let head = d.object(at, &["each", "in", "at"])?;
    let each = head.get("each").map_or(Some("item".to_owned()), |at| variable(d, &at));
    let index = head.get("at").map_or(Some("index".to_owned()), |at| variable(d, &at));
    let items = d.required(&head, "in").and_then(|at| expr::decode(d, &at, around.vars));
    let (each, index) = (each?, index?);
    if each == index {
        d.error(&head.at, format!("`each` and `at` are both \"{each}\""));
    }
    let vars = around.vars.with(&[&each, &index]);
    let condition = object.get("while").map(|at| expr::decode(d, &at, &vars));
    let tasks = d.required(object, "do").and_then(|at| list(d, &at, cx, &vars, around.retried));
    Some(Box::new(For { each, at: index, items: items?, condition: super::flat(condition)?, tasks: tasks? }))
}

impl Kind for For {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let items = run.eval(&self.items, &input, scope)?;
            // Items are not told apart, nor is their number from what is in them.
            let from = Provenance::from(items.labels());
            let items = match items.into_value().map_err(Halt::Fault)? {
                Value::Array(items) => items,
                other => {
                    let found = crate::decode::shorten(&other.to_string(), 60);
                    let detail =
                        format!("`for.in` must give a list, not {found} (in `{}`)", self.items.source());
                    return Err(Halt::Fault(FlowError::expression(detail).and_labels(&from.total())));
                }
            };
            let mut data = input;
            for (i, item) in items.into_iter().enumerate() {
                let scope = scope.named(&self.each, Data::from(item).of(from.clone()));
                let scope = scope.named(&self.at, Data::from(Value::from(i)).of(from.clone()));
                let current = scope.input(&data);
                if let Some(condition) = &self.condition
                    && !run.eval(condition, &data, &current)?.is_true()
                {
                    break;
                }
                let here = at.iteration(i);
                match run.list("do", &self.tasks, &current, &here, data.clone()).await? {
                    End::Done(output) => data = output,
                    end => return Ok(Ran { end, next: None }),
                }
            }
            Ok(Ran::done(data))
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        test(&self.items) || self.condition.as_ref().is_some_and(test)
    }
}

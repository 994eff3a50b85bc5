//! `set`: makes the output out of literals and expressions.
//!
//! ```yaml
//! - shape:
//!     set:
//!       kind: circle
//!       size: ${ .configuration.size }
//! ```

use super::{Around, Kind, KindSpec, Ran};
use crate::decode::{Decoder, Object};
use crate::expr::{self, Data, Expr, Template, is_expression};
use crate::reuse::Context;
use crate::run::{Position, Run, Running, Scope};
use crate::yaml::Kind as NodeKind;

pub(super) const SPEC: KindSpec = KindSpec { key: "set", also: &[], decode };

/// What the output is made of.
#[derive(Debug)]
struct Set(Template);

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    _: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "set")?;
    match &at.node.kind {
        NodeKind::Map(entries) if !entries.is_empty() => {}
        NodeKind::Text(text) if is_expression(text) => {}
        _ => {
            d.error_hint(
                &at,
                "`set` must be an object with at least one key, or an expression",
                "for example `set: { total: ${ .a + .b } }`",
            );
            return None;
        }
    }
    expr::template(d, &at, around.vars).map(|t| Box::new(Set(t)) as Box<dyn Kind>)
}

impl Kind for Set {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        _: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move { run.fill(&self.0, &input, scope).map(Ran::done) })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.0.any(test)
    }
}

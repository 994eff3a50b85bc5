//! `do`: runs tasks one after the other; each gets the output of the one before.
//!
//! ```yaml
//! - prepare:
//!     do:
//!       - trim: { set: { text: '${ .text | trim }' } }
//!       - count: { set: { length: '${ .text | length }' } }
//! ```

use super::{Around, Kind, KindSpec, List, Ran, list};
use crate::decode::{Decoder, Object};
use crate::expr::{Data, Expr};
use crate::reuse::Context;
use crate::run::{Position, Run, Running, Scope};

pub(super) const SPEC: KindSpec = KindSpec { key: "do", also: &[], decode };

/// A list of tasks as one task.
#[derive(Debug)]
struct Do(List);

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "do")?;
    let tasks = list(d, &at, cx, around.vars, around.retried)?;
    Some(Box::new(Do(tasks)))
}

impl Kind for Do {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let end = run.list("do", &self.0, scope, at, input).await?;
            Ok(Ran { end, next: None })
        })
    }

    fn any_expr(&self, _: &dyn Fn(&Expr) -> bool) -> bool {
        false
    }
}

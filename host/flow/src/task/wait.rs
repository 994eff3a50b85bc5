//! `wait`: lets time pass. The output is the input.
//!
//! ```yaml
//! - coolDown: { wait: { minutes: 5 } }
//! - untilAsked: { wait: '${ .delay }' }     # an ISO 8601 duration, or an object
//! ```

use super::{Around, Kind, KindSpec, Ran};
use crate::decode::{Decoder, Object};
use crate::duration::{self, Length};
use crate::expr::{Data, Expr};
use crate::reuse::Context;
use crate::run::{Position, Run, Running, Scope};

pub(super) const SPEC: KindSpec = KindSpec { key: "wait", also: &[], decode };

/// How long to wait.
#[derive(Debug)]
struct Wait(Length);

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    _: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "wait")?;
    duration::length(d, &at, around.vars).map(|l| Box::new(Wait(l)) as Box<dyn Kind>)
}

impl Kind for Wait {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let length = run.length(&self.0, &input, scope)?;
            run.fx.wait(at, length, scope.deadline()).await?;
            Ok(Ran::done(input))
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        matches!(&self.0, Length::Computed(expr) if test(expr))
    }
}

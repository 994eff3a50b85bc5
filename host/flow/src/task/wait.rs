//! `wait`: lets time pass. The output is the input.
//!
//! ```yaml
//! - coolDown: { wait: { minutes: 5 } }
//! - nextDay: { wait: P1D, metadata: { businessTime: true } }     # a business day
//! - untilAsked: { wait: '${ .delay }' }     # an ISO 8601 duration, or an object
//! ```

use super::{Around, Kind, KindSpec, Ran};
use crate::decode::{Decoder, Object};
use crate::duration::{self, Length};
use crate::expr::{Data, Expr};
use crate::hours::{self, Hours, Span};
use crate::reuse::Context;
use crate::run::{Position, Run, Running, Scope};

pub(super) const SPEC: KindSpec = KindSpec { key: "wait", also: &[], decode };

/// How long to wait.
#[derive(Debug)]
enum Wait {
    For(Length),
    /// In business time (`metadata.businessTime`).
    Business(Span, Hours),
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    _: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "wait")?;
    let wait = match around.hours {
        None => duration::length(d, &at, around.vars).map(Wait::For),
        Some(hours) => hours::span(d, &at, around.vars).map(|span| Wait::Business(span, hours.clone())),
    };
    wait.map(|wait| Box::new(wait) as Box<dyn Kind>)
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
            match self {
                Wait::For(length) => {
                    let length = run.length(length, &input, scope)?;
                    run.fx.wait(at, length, scope.deadline()).await?;
                }
                Wait::Business(span, hours) => {
                    let length = run.span(span, &input, scope)?;
                    run.fx.business_wait(at, length, hours, scope.deadline()).await?;
                }
            }
            Ok(Ran::done(input))
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        match self {
            Wait::For(Length::Computed(expr)) | Wait::Business(Span::Computed(expr), _) => test(expr),
            Wait::For(Length::Fixed(_)) | Wait::Business(Span::Fixed(_), _) => false,
        }
    }
}

//! `timeout`: how long a task, the flow or one attempt of a `try` may take.
//!
//! ```yaml
//! timeout: { after: { seconds: 30 } }
//! timeout: patient                        # out of use.timeouts
//! ```
//!
//! The moment is fixed and recorded when the work starts, and goes along with every request inside it. When it passes, the
//! host ends what it waits for, nothing inside catches that, and whoever set the moment ends with the DSL's timeout error
//! (status 408), which a `try` around it may catch.

use crate::FlowError;
use crate::decode::{At, Decoder, did_you_mean, shorten};
use crate::duration::{self, Length};
use crate::expr::{Data, Expr, Vars};
use crate::hours::{self, Hours, Span};
use crate::reuse::Context;
use crate::run::{Deadline, Halt, Position, Run, Scope};
use crate::yaml::Kind as NodeKind;

/// A limit on time.
#[derive(Debug)]
pub(crate) enum Timeout {
    Of(Length),
    /// In business time (`metadata.businessTime`).
    Business(Span, Hours),
}

/// A limit that has begun to count.
pub(crate) struct Clock {
    pub deadline: Deadline,
    /// After how long, for people.
    pub after: String,
}

/// Decodes a timeout, or the name of one in `use.timeouts`. With `hours` it counts in business time.
pub(crate) fn decode(
    d: &mut Decoder<'_>,
    at: &At<'_>,
    cx: &Context<'_>,
    vars: &Vars,
    hours: Option<&Hours>,
) -> Option<Timeout> {
    let NodeKind::Text(name) = &at.node.kind else { return inline(d, at.clone(), vars, hours) };
    match cx.timeouts.get(name) {
        Some(definition) => inline(d, definition.clone(), vars, hours),
        None => {
            let hint = did_you_mean(name, cx.timeouts.keys().map(String::as_str))
                .unwrap_or_else(|| "define it in use.timeouts, or write `{ after: PT30S }`".into());
            d.error_hint(at, format!("there is no timeout \"{}\"", shorten(name, 60)), hint);
            None
        }
    }
}

/// Checks a definition in `use.timeouts`.
pub(crate) fn check(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) {
    inline(d, at, vars, None);
}

fn inline(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars, hours: Option<&Hours>) -> Option<Timeout> {
    let object = d.object(at, &["after"])?;
    let after = d.required(&object, "after")?;
    match hours {
        None => duration::length(d, &after, vars).map(Timeout::Of),
        Some(hours) => hours::span(d, &after, vars).map(|span| Timeout::Business(span, hours.clone())),
    }
}

impl Timeout {
    /// Begins to count.
    pub async fn start(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        input: &Data,
    ) -> Result<Clock, Halt> {
        let at = at.effect("timeout");
        match self {
            Timeout::Of(length) => {
                let after = run.length(length, input, scope)?;
                let deadline = run.fx.deadline(&at, after).await?;
                Ok(Clock { deadline, after: duration::words(after) })
            }
            Timeout::Business(span, hours) => {
                let after = run.span(span, input, scope)?;
                let deadline = run.fx.business_deadline(&at, after, hours).await?;
                Ok(Clock { deadline, after: hours::words(after) })
            }
        }
    }

    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        match self {
            Timeout::Of(Length::Computed(expr)) | Timeout::Business(Span::Computed(expr), _) => test(expr),
            Timeout::Of(Length::Fixed(_)) | Timeout::Business(Span::Fixed(_), _) => false,
        }
    }
}

impl Clock {
    /// Makes the timeout error of a passed deadline, if it was this one; `scope` is the one around.
    pub fn passed(&self, halt: Halt, scope: &Scope<'_>, what: &str, pointer: &str) -> Halt {
        let mine = scope.deadline().is_none_or(|outer| self.deadline <= outer);
        match halt {
            Halt::DeadlinePassed if mine => {
                let detail = format!("{what} took longer than {}", self.after);
                Halt::Fault(FlowError::timeout(detail).at(pointer))
            }
            other => other,
        }
    }
}

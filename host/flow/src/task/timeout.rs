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
use crate::reuse::Context;
use crate::run::{Deadline, Halt, Position, Run, Scope};
use crate::yaml::Kind as NodeKind;
use std::time::Duration;

/// A limit on time.
#[derive(Debug)]
pub(crate) struct Timeout(Length);

/// A limit that has begun to count.
pub(crate) struct Clock {
    pub deadline: Deadline,
    pub after: Duration,
}

/// Decodes a timeout, or the name of one in `use.timeouts`.
pub(crate) fn decode(d: &mut Decoder<'_>, at: &At<'_>, cx: &Context<'_>, vars: &Vars) -> Option<Timeout> {
    let NodeKind::Text(name) = &at.node.kind else { return inline(d, at.clone(), vars) };
    match cx.timeouts.get(name) {
        Some(definition) => inline(d, definition.clone(), vars),
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
    inline(d, at, vars);
}

fn inline(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Timeout> {
    let object = d.object(at, &["after"])?;
    let after = d.required(&object, "after")?;
    duration::length(d, &after, vars).map(Timeout)
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
        let after = run.length(&self.0, input, scope)?;
        let deadline = run.fx.deadline(&at.effect("timeout"), after).await?;
        Ok(Clock { deadline, after })
    }

    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        matches!(&self.0, Length::Computed(expr) if test(expr))
    }
}

impl Clock {
    /// Makes the timeout error of a passed deadline, if it was this one; `scope` is the one around.
    pub fn passed(&self, halt: Halt, scope: &Scope<'_>, what: &str, pointer: &str) -> Halt {
        let mine = scope.deadline().is_none_or(|outer| self.deadline <= outer);
        match halt {
            Halt::DeadlinePassed if mine => {
                let after = duration::words(self.after);
                Halt::Fault(FlowError::timeout(format!("{what} took longer than {after}")).at(pointer))
            }
            other => other,
        }
    }
}

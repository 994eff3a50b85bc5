//! `switch`: goes where the first case that matches says.
//!
//! ```yaml
//! - route:
//!     switch:
//!       - urgent: { when: '.priority == "high"', then: page }
//!       - other: { then: file }
//! ```
//!
//! A case without `when` matches always. When none matches, the task's own `then` holds. The output is the input.

use super::{Around, Kind, KindSpec, Next, Ran, next};
use crate::decode::{Decoder, Object};
use crate::expr::{self, Data, Expr};
use crate::reuse::Context;
use crate::run::{End, Position, Run, Running, Scope};
use crate::yaml::Kind as NodeKind;

pub(super) const SPEC: KindSpec = KindSpec { key: "switch", also: &[], decode };

/// The cases, in order.
#[derive(Debug)]
struct Switch(Vec<Case>);

#[derive(Debug)]
struct Case {
    when: Option<Expr>,
    then: Next,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    _: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "switch")?;
    let items = d.list(&at)?;
    if items.is_empty() {
        d.error(&at, "a switch needs at least one case");
        return None;
    }
    let mut cases = Vec::with_capacity(items.len());
    let mut names: Vec<&str> = Vec::with_capacity(items.len());
    let mut always = false;
    for (i, item) in items.iter().enumerate() {
        let item = at.child(&i.to_string(), item);
        let NodeKind::Map(entries) = &item.node.kind else {
            d.error_hint(
                &item,
                "a case must have a name",
                "write `- name:` and indent `when` and `then` below it",
            );
            cases.push(None);
            continue;
        };
        let [entry] = entries.as_slice() else {
            d.error_hint(
                &item,
                "a list item must hold exactly one case under its name",
                "start each case with `-`",
            );
            cases.push(None);
            continue;
        };
        let here = item.entry(entry);
        if names.contains(&entry.key.as_str()) {
            d.error(&here, format!("there is another case \"{}\" in this switch", entry.key));
        }
        names.push(&entry.key);
        if always {
            d.warning(&here, "this case is never reached", "move the case without `when` to the end");
        }
        let case = d.object(here, &["when", "then"]).and_then(|object| {
            let then = d.required(&object, "then").and_then(|at| next(d, &at, around.siblings));
            let when = object.get("when").map(|at| expr::decode(d, &at, around.vars));
            always |= when.is_none();
            Some(Case { when: super::flat(when)?, then: then? })
        });
        cases.push(case);
    }
    Some(Box::new(Switch(cases.into_iter().collect::<Option<_>>()?)))
}

impl Kind for Switch {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        _: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            for case in &self.0 {
                let matches = match &case.when {
                    Some(when) => run.eval(when, &input, scope)?.is_true(),
                    None => true,
                };
                if matches {
                    return Ok(Ran { end: End::Done(input), next: Some(case.then) });
                }
            }
            Ok(Ran::done(input))
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.0.iter().filter_map(|case| case.when.as_ref()).any(test)
    }
}

//! `use.extensions`: tasks around other tasks.
//!
//! ```yaml
//! use:
//!   extensions:
//!   - mockShop:
//!       extend: call
//!       when: $task.call == "http" and ($task.with.endpoint | startswith("https://shop.example.com/"))
//!       before:
//!       - answer: { set: { id: 7 }, then: exit }
//! ```
//!
//! `before` and `after` see the extended task's input and output, `$task` with the members of its definition, and change
//! neither; but `then: exit` in `before` skips the task, and what it gives then takes the place of the task's raw output.
//! Extensions lie around each other: the first is the outermost. Nothing extends the tasks of an extension.

use super::{List, flat, list};
use crate::decode::{At, Decoder, shorten};
use crate::expr::{self, Data, Expr, Vars};
use crate::reuse::Context;
use crate::run::{End, Halt, Position, Run, Scope};
use crate::yaml::Kind as NodeKind;

/// Extensions in one flow.
const MAX_EXTENSIONS: usize = 50;

/// Tasks around tasks.
#[derive(Debug)]
pub(crate) struct Extension {
    name: String,
    extend: String,
    when: Option<Expr>,
    before: List,
    after: List,
    /// Whether `when` asks for `$task.startedAt`.
    pub needs_time: bool,
}

const TARGETS: [&str; 12] =
    ["all", "call", "composite", "emit", "for", "listen", "raise", "run", "set", "switch", "try", "wait"];

/// Decodes the list of extensions into the context.
pub(crate) fn decode(d: &mut Decoder<'_>, at: &At<'_>, cx: &mut Context<'_>, vars: &Vars) {
    let items = d.list(at).unwrap_or_default();
    if items.len() > MAX_EXTENSIONS {
        d.error(at, format!("a flow has at most {MAX_EXTENSIONS} extensions"));
        return;
    }
    let mut decoded: Vec<Extension> = Vec::new();
    cx.extending = true;
    for (i, item) in items.iter().enumerate() {
        let item = at.child(&i.to_string(), item);
        let NodeKind::Map(entries) = &item.node.kind else {
            d.error_hint(&item, "an extension must be an object under its name", "write `- name:`");
            continue;
        };
        let [entry] = entries.as_slice() else {
            d.error(&item, "a list item must hold exactly one extension under its name");
            continue;
        };
        if decoded.iter().any(|e| e.name == entry.key) {
            d.error(&item, format!("there is another extension \"{}\"", shorten(&entry.key, 60)));
        }
        decoded.extend(one(d, item.entry(entry), &entry.key, cx, vars));
    }
    cx.extending = false;
    cx.extensions = decoded;
}

fn one(d: &mut Decoder<'_>, at: At<'_>, name: &str, cx: &mut Context<'_>, vars: &Vars) -> Option<Extension> {
    let object = d.object(at, &["extend", "when", "before", "after"])?;
    let extend = d.required(&object, "extend").and_then(|at| {
        let extend = d.text(&at)?;
        if TARGETS.contains(&extend) {
            return Some(extend.to_owned());
        }
        let message = format!("\"{}\" is not a type of task", shorten(extend, 40));
        d.error_hint(&at, message, format!("known: {}", TARGETS.join(", ")));
        None
    });
    let inside = vars.with(&["task"]);
    let when = object.get("when").map(|at| expr::decode(d, &at, &inside));
    let before = object.get("before").map(|at| list(d, &at, cx, &inside, false));
    let after = object.get("after").map(|at| list(d, &at, cx, &inside, false));
    if before.is_none() && after.is_none() {
        d.warning(&object.at, "this extension does nothing", "give it `before` or `after`");
    }
    let when: Option<Expr> = flat(when)?;
    Some(Extension {
        name: name.to_owned(),
        extend: extend?,
        needs_time: when.as_ref().is_some_and(|e| e.uses("task") && e.source().contains("startedAt")),
        when,
        before: flat(before)?.unwrap_or_default(),
        after: flat(after)?.unwrap_or_default(),
    })
}

/// The extensions around a task of this kind.
pub(super) fn around(cx: &Context<'_>, kind: &str) -> Vec<usize> {
    if cx.extending {
        return Vec::new();
    }
    let fits = |extension: &Extension| match extension.extend.as_str() {
        "all" => true,
        "composite" => matches!(kind, "do" | "fork"),
        extend => extend == kind,
    };
    cx.extensions.iter().enumerate().filter(|(_, e)| fits(e)).map(|(i, _)| i).collect()
}

/// What came of the tasks before a task.
pub(crate) enum Before {
    /// The task runs; these extensions are around it.
    Go(Vec<usize>),
    /// The task is skipped, with this in place of its raw output.
    Instead(Data, Vec<usize>),
    /// The flow is over.
    Over(Data),
}

impl Extension {
    fn place(&self, index: usize, at: &Position) -> Position {
        at.extension(index, &self.name)
    }

    /// Runs what stands before a task.
    pub async fn before(
        numbers: &[usize],
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        input: &Data,
    ) -> Result<Before, Halt> {
        let mut entered = Vec::with_capacity(numbers.len());
        for (number, extension) in
            numbers.iter().filter_map(|i| Some((*i, run.flow.body.extensions.get(*i)?)))
        {
            let scope = scope.extension();
            if let Some(when) = &extension.when
                && !run.eval(when, input, &scope)?.is_true()
            {
                continue;
            }
            if !extension.before.is_empty() {
                let here = extension.place(number, at);
                match run.list("before", &extension.before, &scope, &here, input.clone()).await? {
                    End::Done(_) => {}
                    End::Exit(data) => return Ok(Before::Instead(data, entered)),
                    End::Flow(data) => return Ok(Before::Over(data)),
                }
            }
            entered.push(number);
        }
        Ok(Before::Go(entered))
    }

    /// Runs what stands after a task, the innermost first; gives the flow's output when the flow is over.
    pub async fn after(
        entered: &[usize],
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        output: &Data,
    ) -> Result<Option<Data>, Halt> {
        for (number, extension) in
            entered.iter().rev().filter_map(|i| Some((*i, run.flow.body.extensions.get(*i)?)))
        {
            if extension.after.is_empty() {
                continue;
            }
            let scope = scope.extension();
            let here = extension.place(number, at);
            if let End::Flow(data) =
                run.list("after", &extension.after, &scope, &here, output.clone()).await?
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

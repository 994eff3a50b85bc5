//! `call` of a reusable task: any task out of `use.functions`, with `with` as its input.
//!
//! ```yaml
//! use:
//!   functions:
//!     greet:
//!       input: { schema: { document: { required: [name] } } }
//!       set: { text: '${ "Hello \(.name)" }' }
//! do:
//! - hello: { call: greet, with: { name: '${ .customer }' } }
//! ```
//!
//! A function sees what it is given, `$context`, `$workflow` and `$runtime`, and nothing of the loops around its call. Its
//! errors point at the function (`/use/functions/greet`); its effects are kept under the calling task.

use super::{Around, Kind, Next, Ran, Task};
use crate::decode::{At, Decoder, Object, shorten};
use crate::expr::{self, Data, Expr, Template, Vars};
use crate::reuse::Context;
use crate::run::{End, Position, Run, Running, Scope};
use crate::yaml::Kind as NodeKind;
use serde_json::{Map, Value};

/// A call of a reusable task.
#[derive(Debug)]
struct Function {
    task: Task,
    with: Option<Template>,
}

/// Whether a function is a call with arguments and nothing else: its `with` is then a base that calls write over.
pub(crate) fn is_call(function: &Object<'_>) -> bool {
    function.has("call") && function.entries().iter().all(|e| e.key == "call" || e.key == "with")
}

pub(super) fn decode(
    d: &mut Decoder<'_>,
    at: &At<'_>,
    name: &str,
    with: Option<At<'_>>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let with = with.map(|at| {
        if !matches!(at.node.kind, NodeKind::Map(_)) {
            let message =
                format!("`with` must be an object: the function's input, not {}", at.node.describe());
            d.error(&at, message);
            return None;
        }
        expr::template(d, &at, around.vars)
    });
    if cx.calling.iter().any(|caller| caller == name) {
        let message = format!("the function \"{}\" calls itself", shorten(name, 60));
        d.error_hint(at, message, "repeat with `for`, or start a flow with `run: workflow`");
        return None;
    }
    let task = body(d, name, cx, around.retried);
    Some(Box::new(Function { task: task?, with: super::flat(with)? }))
}

/// Decodes the function itself.
fn body(d: &mut Decoder<'_>, name: &str, cx: &mut Context<'_>, retried: bool) -> Option<Task> {
    let definition = cx.functions.get(name)?.clone();
    cx.functions_used.insert(name.to_owned());
    cx.calling.push(name.to_owned());
    let vars = Vars::new(&["context", "workflow", "runtime", "input"]);
    let task = super::decode::task(d, definition.at, name, cx, &vars, &[], retried);
    cx.calling.pop();
    task
}

/// Checks the functions that nothing calls; what they would call is not resolved.
pub(crate) fn check_unused(d: &mut Decoder<'_>, cx: &mut Context<'_>) {
    let unused: Vec<String> = cx
        .functions
        .iter()
        .filter(|(name, function)| !is_call(function) && !cx.functions_used.contains(*name))
        .map(|(name, _)| name.clone())
        .collect();
    for name in unused {
        let (calls, https, secrets) = (cx.calls.len(), cx.https.len(), cx.secrets_used.clone());
        let (declassified, sensitive) = (cx.declassified.len(), cx.sensitive.len());
        let calendars = cx.calendars.len();
        body(d, &name, cx, false);
        cx.calls.truncate(calls);
        cx.https.truncate(https);
        cx.declassified.truncate(declassified);
        cx.sensitive.truncate(sensitive);
        cx.calendars.truncate(calendars);
        cx.secrets_used = secrets;
    }
}

impl Kind for Function {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let given = match &self.with {
                Some(template) => run.fill(template, &input, scope)?,
                None => Data::from(Value::Object(Map::new())),
            };
            let here = at.function(&self.task.name);
            let end = match run.task(&self.task, scope, &here, given).await? {
                (End::Flow(data), _) | (End::Done(data) | End::Exit(data), Next::End) => End::Flow(data),
                (End::Done(data) | End::Exit(data), _) => End::Done(data),
            };
            Ok(Ran { end, next: None })
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.with.as_ref().is_some_and(|template| template.any(test))
    }
}

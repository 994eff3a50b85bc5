//! `metadata.compensate`: what takes a task's work back when the run faults or is cancelled.
//!
//! ```yaml
//! - book:
//!     call: erp/book
//!     with: { order: '${ .id }' }
//!     metadata:
//!       compensate: { call: erp/cancel-booking, with: { booking: '${ .booking }' } }
//! ```
//!
//! `with` is evaluated when the task has ended, on its output, with the task's input as `$input`. The calls are made in
//! the opposite order, each once; one that fails does not stop the others.

use crate::decode::{At, Decoder};
use crate::expr::{self, Data, Expr, Template, Vars};
use crate::reuse::Context;
use crate::run::{Answer, Call, Halt, Position, Run, Scope, Stop};
use crate::sites::CallSite;
use crate::yaml::Kind as NodeKind;
use crate::{FlowError, FunctionRef};
use factotum_provenance::{Label, Labels, Provenance};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// A call that takes a task's work back.
#[derive(Debug, Clone)]
pub(crate) struct Compensation(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    function: FunctionRef,
    with: Option<Template>,
    metadata: Map<String, Value>,
}

/// Something that was done and can be taken back.
#[derive(Debug, Clone)]
pub(crate) struct Undo {
    at: Position,
    what: Compensation,
    with: Value,
    from: Provenance,
}

/// Decodes `metadata.compensate`.
pub(super) fn decode(
    d: &mut Decoder<'_>,
    at: At<'_>,
    cx: &mut Context<'_>,
    vars: &Vars,
) -> Option<Compensation> {
    let object = d.object(at, &["call", "with"])?;
    let call = d.required(&object, "call")?;
    let text = d.text(&call)?;
    let function = super::call::reference(d, &call, text)?;
    let with = object.get("with").map(|at| {
        if !matches!(at.node.kind, NodeKind::Map(_)) {
            let message =
                format!("`with` must be an object of the function's parameters, not {}", at.node.describe());
            d.error(&at, message);
            return None;
        }
        expr::template(d, &at, &vars.with(&["output"]))
    });
    let written = object.get("with").map_or_else(|| json!({}), |at| at.node.to_json());
    cx.calls.push(CallSite {
        path: object.at.path.clone(),
        line: call.node.mark.line,
        column: call.node.mark.column,
        function: function.clone(),
        with: written,
        grants: None,
    });
    let with = super::flat(with)?;
    let compensation = Compensation(Arc::new(Parts { function, with, metadata: Map::new() }));
    let task = object.at.path.trim_end_matches("/metadata/compensate");
    cx.compensations.insert(task.to_owned(), compensation.clone());
    Some(compensation)
}

impl Compensation {
    /// What is called.
    pub fn function(&self) -> &FunctionRef {
        &self.0.function
    }

    /// What to do if it comes to that.
    pub fn after(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        output: &Data,
    ) -> Result<Undo, Halt> {
        let (with, from) = match &self.0.with {
            None => (json!({}), Provenance::default()),
            Some(template) => {
                let filled = run.fill(template, output, scope)?;
                let from = filled.provenance().clone();
                (filled.into_value().map_err(Halt::Fault)?, from)
            }
        };
        Ok(Undo { at: at.clone(), what: self.clone(), with, from })
    }

    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.0.with.as_ref().is_some_and(|template| template.any(test))
    }
}

impl Undo {
    /// Writes entries down beside a decision.
    pub fn write_all(entries: &[Undo], decision: &mut Value) {
        if let (false, Some(members)) = (entries.is_empty(), decision.as_object_mut()) {
            members.insert("undo".into(), entries.iter().map(Undo::to_value).collect());
        }
    }

    /// The entries that were written down beside a decision.
    pub fn read_all(run: &Run<'_>, decision: &Value) -> Vec<Undo> {
        let entries = decision.get("undo").and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(|value| Undo::from_value(run, value)).collect()
    }

    /// The entry as it is written down beside a decision.
    fn to_value(&self) -> Value {
        json!({"pointer": self.at.pointer(), "key": self.at.key(), "path": self.at.idempotency_path(),
            "name": self.at.name(), "with": self.with})
    }

    /// The entry as it was written down. Its labels were not, so it counts as coming from anywhere.
    fn from_value(run: &Run<'_>, value: &Value) -> Option<Undo> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let what = run.flow.body.compensations.get(text("pointer")?)?.clone();
        let at = Position::restore(text("pointer")?, text("key")?, text("path")?, text("name")?);
        let from = Provenance::from(Labels::one(Label::anything()));
        Some(Undo { at, what, with: value.get("with")?.clone(), from })
    }
}

/// Takes back what was done, the last first; gives what could not be taken back.
pub(crate) async fn unwind(run: &Run<'_>, undo: Vec<Undo>) -> Result<Vec<Value>, Halt> {
    let (mut failed, mut seen) = (Vec::new(), HashSet::new());
    for Undo { at, what, with, from } in undo.into_iter().rev() {
        // Attempts of one task carry one idempotency key: their effect is one.
        if !seen.insert(at.idempotency_path().to_owned()) {
            continue;
        }
        let here = at.effect("compensate");
        let call = Call {
            idempotency_key: None,
            function: &what.0.function,
            with,
            from,
            host_retries: true,
            metadata: &what.0.metadata,
            deadline: None,
        };
        let answer = match run.fx.compensate(&here, &call).await {
            Err(Stop::Fault(error)) => Answer::from(Err(error)),
            Err(Stop::DeadlinePassed) => Answer::from(Err(FlowError::timeout("it took too long"))),
            other => other?,
        };
        if let Err(error) = answer.result {
            failed.push(json!({"task": at.pointer(), "key": at.key(), "call": what.0.function.to_string(),
                "error": error.to_value()}));
        }
    }
    Ok(failed)
}

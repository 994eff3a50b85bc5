//! `metadata.compensate`: what takes a task's work back when the run faults or is cancelled.
//!
//! ```yaml
//! - book:
//!     call: erp/book
//!     with: { order: '${ .id }' }
//!     metadata:
//!       compensate: { call: erp/cancel-booking, with: { booking: '${ .booking }' } }
//! - reserve:
//!     call: http
//!     with: { method: post, endpoint: 'https://stock.example.com/reservations' }
//!     metadata:
//!       compensate: { call: http, with: { method: delete, endpoint: 'https://stock.example.com/reservations/{id}' } }
//! ```
//!
//! It is a call of a plugin, a request of the flow's own (`http`, `openapi`), or another flow (`run: workflow`) that is
//! waited for. What it is given is evaluated when the task has ended, on its output, with the task's input as `$input`; its
//! own `metadata` has `grants` and `idempotencyKey`. They are made in the opposite order, each once; one that fails does not
//! stop the others.

use super::decode::metadata;
use super::http::Request;
use super::{Around, call, run as run_task};
use crate::FlowError;
use crate::decode::{At, Decoder};
use crate::expr::{Data, Expr, Vars};
use crate::reuse::Context;
use crate::run::{Authentication, Deadline, Halt, Position, Run, Running, Scope};
use factotum_provenance::{Label, Labels, Provenance};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

/// What a compensation's own `metadata` has.
const METADATA: [&str; 3] = ["grants", "idempotencyKey", "mock"];

/// A kind of task that can be decided on now and done later.
pub(crate) trait Undoes: Debug + Send + Sync {
    /// What it does, in a few words: what it calls, as the document writes it.
    fn name(&self) -> String;

    /// Evaluates everything that it is given.
    fn plan(&self, run: &Run<'_>, scope: &Scope<'_>, input: &Data) -> Result<Plan, Halt>;

    /// Does what was planned; a plan of another kind is a configuration error.
    fn carry_out<'a>(&'a self, run: &'a Run<'a>, at: &'a Position, plan: Plan, way: Way)
    -> Running<'a, Data>;

    /// Whether an expression in it meets a condition.
    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool;
}

/// How something planned is done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    /// When it must be over.
    pub deadline: Option<Deadline>,
    /// Whether it takes an earlier task's work back.
    pub takes_back: bool,
}

/// Everything that is to be done, evaluated. Where it comes from is not written down with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant)] // One for a task that can be taken back.
pub(crate) enum Plan {
    Call {
        with: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        #[serde(skip)]
        from: Provenance,
    },
    Http(Request),
    OpenApi {
        document: Request,
        parameters: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authentication: Option<Authentication>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        #[serde(skip)]
        from: Provenance,
    },
    Flow {
        input: Value,
        #[serde(skip)]
        from: Provenance,
    },
}

impl Plan {
    /// The same, counting as coming from anywhere.
    fn with_any_origin(mut self) -> Self {
        let anywhere = || Provenance::from(Labels::one(Label::anything()));
        match &mut self {
            Plan::Call { from, .. } | Plan::Flow { from, .. } => *from = anywhere(),
            Plan::Http(request) => request.from = anywhere(),
            Plan::OpenApi { document, from, .. } => {
                document.from = anywhere();
                *from = anywhere();
            }
        }
        self
    }
}

/// The error of a plan that was written down for something else.
pub(super) fn of_another_kind() -> Halt {
    Halt::Fault(FlowError::configuration("what was written down to take this back is of another kind"))
}

/// What takes a task's work back.
#[derive(Debug, Clone)]
pub(crate) struct Compensation(Arc<dyn Undoes>);

/// Something that was done and can be taken back.
#[derive(Debug, Clone)]
pub(crate) struct Undo {
    at: Position,
    what: Compensation,
    plan: Plan,
}

/// Decodes `metadata.compensate`.
pub(super) fn decode(
    d: &mut Decoder<'_>,
    at: At<'_>,
    cx: &mut Context<'_>,
    vars: &Vars,
) -> Option<Compensation> {
    let runs = d.map(at.clone())?.has("run");
    let keys: &[&str] = if runs { &["run", "metadata"] } else { &["call", "with", "metadata"] };
    let object = d.object(at, keys)?;
    let own = object.get("metadata").map(|at| d.object(at, &METADATA));
    let key = super::flat(own)?.and_then(|own| own.get("idempotencyKey"));
    let (vars, written) = (vars.with(&["output"]), metadata(d, &object));
    let around = Around {
        vars: &vars,
        siblings: &[],
        retried: false,
        metadata: &written,
        hours: None,
        idempotency: key,
    };
    let decode = if runs { run_task::SPEC.decode } else { call::SPEC.decode };
    let Some(undoes) = decode(d, &object, cx, &around)?.undoes() else {
        let hint = "call a plugin, send a request (http, openapi), or run a flow and wait for it";
        d.error_hint(&object.at, "this cannot take back what a task did", hint);
        return None;
    };
    let compensation = Compensation(undoes.into());
    let task = object.at.path.trim_end_matches("/metadata/compensate");
    cx.compensations.insert(task.to_owned(), compensation.clone());
    Some(compensation)
}

impl Compensation {
    /// What it does: what it calls, as the document writes it.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// What to do if it comes to that.
    pub fn after(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        output: &Data,
    ) -> Result<Undo, Halt> {
        Ok(Undo { at: at.clone(), what: self.clone(), plan: self.0.plan(run, scope, output)? })
    }

    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.0.any_expr(test)
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
            "name": self.at.name(), "plan": self.plan})
    }

    /// The entry as it was written down. Its labels were not, so it counts as coming from anywhere. Earlier versions wrote
    /// the arguments of a call alone.
    fn from_value(run: &Run<'_>, value: &Value) -> Option<Undo> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let what = run.flow.body.compensations.get(text("pointer")?)?.clone();
        let at = Position::restore(text("pointer")?, text("key")?, text("path")?, text("name")?);
        let plan = match (value.get("plan"), value.get("with")) {
            (Some(plan), _) => Plan::deserialize(plan).ok()?,
            (None, with) => Plan::Call { with: with?.clone(), key: None, from: Provenance::default() },
        };
        Some(Undo { at, what, plan: plan.with_any_origin() })
    }
}

/// Takes back what was done, the last first; gives what could not be taken back.
pub(crate) async fn unwind(run: &Run<'_>, undo: Vec<Undo>) -> Result<Vec<Value>, Halt> {
    let (mut failed, mut seen) = (Vec::new(), HashSet::new());
    for Undo { at, what, plan } in undo.into_iter().rev() {
        // Attempts of one task carry one idempotency key: their effect is one.
        if !seen.insert(at.idempotency_path().to_owned()) {
            continue;
        }
        let here = at.effect("compensate");
        let way = Way { deadline: None, takes_back: true };
        let error = match what.0.carry_out(run, &here, plan, way).await {
            Ok(_) => continue,
            Err(Halt::Fault(error)) => error,
            Err(Halt::DeadlinePassed) => FlowError::timeout("it took too long"),
            Err(halt) => return Err(halt),
        };
        run.fx.not_undone(&here, &what.name(), &error);
        failed.push(json!({"task": at.pointer(), "key": at.key(), "call": what.name(),
            "error": error.to_value()}));
    }
    Ok(failed)
}

//! Tasks: what every task has, and the table of kinds.
//!
//! A kind is one file: its words, its decoding with every check, and its run. Adding one is a new file and a line in
//! [`KINDS`]; what the profile refuses is named in `refused.rs`.

mod call;
mod compensate;
mod decision;
mod declassify;
mod decode;
mod r#do;
mod emit;
mod extension;
mod r#for;
mod fork;
mod function;
mod grants;
mod http;
mod human;
mod idempotency;
mod listen;
mod map;
mod openapi;
mod raise;
mod refused;
mod retry;
mod run;
mod sensitive;
mod set;
mod switch;
mod timeout;
mod r#try;
mod wait;
mod with;

pub(crate) use call::check as check_call;
pub(crate) use compensate::{Compensation, Undo, Undoes, unwind};
pub use declassify::Declassified;
pub(crate) use decode::{branches, input, list, next, output};
pub(crate) use extension::{Before, Extension, decode as extension};
pub(crate) use function::{check_unused, is_call};
pub(crate) use raise::check as check_error;
use retry::Policy;
pub(crate) use retry::check as check_retry;
pub use sensitive::Sensitive;
pub(crate) use timeout::{Timeout, check as check_timeout, decode as timeout};

use crate::decode::{At, Decoder, Object};
use crate::expr::{Data, Expr, Template, Vars};
use crate::hours::Hours;
use crate::reuse::Context;
use crate::run::{End, Name, Position, Run, Running, Scope};
use crate::schema::Schema;
use crate::sla::TaskSla;
use factotum_provenance::Source;
use serde_json::{Map, Value};
use std::fmt::Debug;

/// A kind of task: the key that makes it, its further keys, and how it is decoded.
pub(crate) struct KindSpec {
    /// The key that makes a task one of this kind.
    pub key: &'static str,
    /// Further keys of the task.
    pub also: &'static [&'static str],
    /// Decodes the kind's part of a task.
    pub decode: Decode,
}

type Decode = fn(&mut Decoder<'_>, &Object<'_>, &mut Context<'_>, &Around<'_>) -> Option<Box<dyn Kind>>;

/// What a kind's decoder knows of the place around it.
pub(crate) struct Around<'a> {
    /// Variables known inside the task.
    pub vars: &'a Vars,
    /// The names of the tasks in the same list, for jumps.
    pub siblings: &'a [&'a str],
    /// Whether a `try` with its own `retry` stands around.
    pub retried: bool,
    pub metadata: &'a Map<String, Value>,
    /// Whose hours the task's time counts in, when it is business time.
    pub hours: Option<&'a Hours>,
    /// What its calls are told apart by, as written.
    pub idempotency: Option<At<'a>>,
}

/// The kinds that run.
const KINDS: [&KindSpec; 12] = [
    &call::SPEC,
    &r#for::SPEC,
    &fork::SPEC,
    &r#try::SPEC,
    &r#do::SPEC,
    &emit::SPEC,
    &listen::SPEC,
    &raise::SPEC,
    &run::SPEC,
    &set::SPEC,
    &switch::SPEC,
    &wait::SPEC,
];

/// What a kind does when its turn comes.
pub(crate) trait Kind: Debug + Send + Sync {
    /// Runs the task on its (transformed) input.
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran>;

    /// Whether an expression in it meets a condition.
    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool;

    /// The kind as something that takes another task's work back, if it can.
    fn undoes(self: Box<Self>) -> Option<Box<dyn Undoes>> {
        None
    }
}

/// What a kind's run gave.
pub(crate) struct Ran {
    pub end: End,
    /// Where to go, when the kind itself says so; else the task's `then` does.
    pub next: Option<Next>,
}

impl Ran {
    /// Went well, with this output.
    pub fn done(output: Data) -> Self {
        Ran { end: End::Done(output), next: None }
    }
}

/// Where to go after a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// To the task after it.
    Continue,
    /// Out of the scope that it is in.
    Exit,
    /// Out of the flow.
    End,
    /// To the task with this index in the same list.
    Task(usize),
}

/// A list of tasks.
pub(crate) type List = Vec<Task>;

/// `input`: a schema for the raw input, and what makes the task's input out of it.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub schema: Option<Schema>,
    pub from: Option<Template>,
}

/// `output` or `export`: what makes it, and its schema.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub schema: Option<Schema>,
    pub as_: Option<Template>,
}

/// A task.
#[derive(Debug)]
pub(crate) struct Task {
    pub name: Name,
    pub condition: Option<Expr>,
    pub input: Input,
    pub output: Output,
    pub export: Output,
    pub then: Next,
    /// How long it may take.
    pub timeout: Option<Timeout>,
    /// The extensions around it: their numbers in the flow.
    pub extensions: Vec<usize>,
    /// What takes its work back.
    pub compensate: Option<Compensation>,
    /// The data whose labels are taken off the output.
    pub declassify: Vec<Source>,
    /// Whether an expression asks for `$task.startedAt`.
    pub needs_time: bool,
    /// What it says of the run's clocks.
    pub sla: TaskSla,
    pub kind: Box<dyn Kind>,
}

/// Absent is fine; present and wrong is not.
pub(crate) fn flat<T>(decoded: Option<Option<T>>) -> Option<Option<T>> {
    match decoded {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}

impl Task {
    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        let templates = [&self.input.from, &self.output.as_, &self.export.as_];
        self.condition.as_ref().is_some_and(test)
            || self.compensate.as_ref().is_some_and(|c| c.any_expr(test))
            || self.timeout.as_ref().is_some_and(|t| t.any_expr(test))
            || templates.iter().any(|t| t.as_ref().is_some_and(|t| t.any(test)))
            || self.kind.any_expr(test)
    }
}

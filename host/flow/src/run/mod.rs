//! The interpreter: runs a flow's tasks, and asks the effects for everything else.

mod effects;
mod evaluate;
mod position;
mod requests;
mod scope;

pub(crate) use effects::answered;
pub use effects::{Answer, Effects, Outcome, Start, Stop, TaskEvent};
pub use position::Position;
pub use requests::{
    Ask, Authentication, Call, Credential, Deadline, Emit, HttpCall, HttpOutput, Script, Subflow,
    Subscription, Undoing,
};
pub(crate) use scope::Scope;

use evaluate::{check, place};

use crate::document::Flow;
use crate::expr::Data;
use crate::task::{self, Before, Extension, List, Next, Ran, Task, Undo};
use crate::{FlowError, SlaChange, yaml};
use factotum_provenance::Provenance;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Tasks that one run may execute; each execution counts, also in loops.
pub const MAX_STEPS: u32 = 100_000;

/// A future that a task returns.
pub(crate) type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, Halt>> + Send + 'a>>;

/// Why execution does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// An error that a `try` may catch.
    Fault(FlowError),
    /// A limit of the interpreter: nothing catches it.
    Limit(FlowError),
    Suspended,
    Cancelled,
    /// The nearest deadline around has passed: the task that set it ends with a timeout error.
    DeadlinePassed,
}

impl Halt {
    /// The same, with what could not be taken back in the error's `notUndone`.
    fn not_undone(self, failed: Vec<Value>) -> Self {
        match self {
            Halt::Fault(error) if !failed.is_empty() => Halt::Fault(error.with("notUndone", failed)),
            Halt::Limit(error) if !failed.is_empty() => Halt::Limit(error.with("notUndone", failed)),
            other => other,
        }
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Fault(error) => Halt::Fault(error),
            Stop::Suspended => Halt::Suspended,
            Stop::Cancelled => Halt::Cancelled,
            Stop::DeadlinePassed => Halt::DeadlinePassed,
        }
    }
}

/// Where a list of tasks, or a task, led.
pub(crate) enum End {
    /// To its end, with this output: go on after it.
    Done(Data),
    /// `exit`: leave the scope around.
    Exit(Data),
    /// `end`: the flow is over.
    Flow(Data),
}

/// One run.
pub(crate) struct Run<'a> {
    pub flow: &'a Flow,
    pub fx: &'a dyn Effects,
    start: &'a Start,
    steps: AtomicU32,
    /// `$workflow`, made when first asked for; and the run's input after `input.from`.
    workflow: std::sync::OnceLock<Data>,
    runtime: std::sync::OnceLock<Data>,
}

/// Runs a flow.
pub(crate) async fn run(flow: &Flow, start: &Start, fx: &dyn Effects) -> Outcome {
    let run = Run {
        flow,
        fx,
        start,
        steps: AtomicU32::new(0),
        workflow: std::sync::OnceLock::new(),
        runtime: std::sync::OnceLock::new(),
    };
    let undo = Mutex::new(Vec::new());
    let ended = run.whole(&undo).await;
    let undo = undo.into_inner().unwrap_or_else(PoisonError::into_inner);
    let ended = match ended {
        Err(halt @ (Halt::Fault(_) | Halt::Limit(_) | Halt::Cancelled)) if !undo.is_empty() => {
            match task::unwind(&run, undo).await {
                Ok(failed) => Err(halt.not_undone(failed)),
                // Unwinding goes on later.
                Err(halt) => Err(halt),
            }
        }
        other => other,
    };
    match ended {
        Ok(data) => match data.into_json() {
            Ok(value) => Outcome::Completed(value),
            Err(detail) => Outcome::Faulted(FlowError::expression(detail).at("/output")),
        },
        Err(Halt::Fault(error) | Halt::Limit(error)) => Outcome::Faulted(error),
        Err(Halt::Suspended) => Outcome::Suspended,
        Err(Halt::Cancelled) => Outcome::Cancelled,
        // The task or flow that set a deadline makes an error of it.
        Err(Halt::DeadlinePassed) => {
            Outcome::Faulted(FlowError::timeout("a deadline that nothing set has passed").at("/timeout"))
        }
    }
}

impl<'a> Run<'a> {
    async fn whole(&self, undo: &Mutex<Vec<Undo>>) -> Result<Data, Halt> {
        let body = &self.flow.body;
        let root = Position::root();
        let raw = Data::from(self.start.input.clone()).of(self.start.origin());
        check(body.input.schema.as_ref(), &raw, "/input/schema")?;
        let context = Mutex::new(Data::from(json!({})));
        let scope = Scope::root(self, &context, undo);
        let input = self.transform(body.input.from.as_ref(), &raw, &scope, "/input/from")?;
        let scope = scope.workflow(&input);
        let work = async |scope: &Scope<'_>| self.list("do", &body.tasks, scope, &root, input.clone()).await;
        let end = match &body.timeout {
            None => work(&scope).await?,
            Some(timeout) => {
                let clock =
                    timeout.start(self, &scope, &root, &input).await.map_err(|h| place(h, "/timeout"))?;
                let done = work(&scope.until(clock.deadline)).await;
                done.map_err(|halt| clock.passed(halt, &scope, "the flow", "/timeout"))?
            }
        };
        let output = match end {
            End::Done(data) | End::Exit(data) | End::Flow(data) => data,
        };
        let scope = scope.output(&output);
        let output = self.transform(body.output.as_.as_ref(), &output, &scope, "/output/as")?;
        check(body.output.schema.as_ref(), &output, "/output/schema")?;
        Ok(output)
    }

    /// `$workflow`.
    pub fn workflow(&self) -> Data {
        let make = || {
            Data::from(json!({
                "id": self.start.run_id,
                "definition": self.flow.definition(),
                "input": self.start.input,
                "startedAt": time(&self.start.started_at),
            }))
            .of(Provenance::object([("input".into(), self.start.origin().into())]))
        };
        self.workflow.get_or_init(make).clone()
    }

    /// `$runtime`.
    pub fn runtime(&self) -> Data {
        let make =
            || Data::from(json!({"name": "factotum", "version": env!("CARGO_PKG_VERSION"), "metadata": {}}));
        self.runtime.get_or_init(make).clone()
    }

    /// Runs a list of tasks from its first; jumps by `then` stay inside it.
    pub fn list<'s>(
        &'s self,
        under: &'static str,
        list: &'s List,
        scope: &'s Scope<'s>,
        at: &'s Position,
        input: Data,
    ) -> Running<'s, End> {
        Box::pin(async move {
            let mut visits = vec![0u32; list.len()];
            let mut data = input;
            let mut index = 0;
            while let Some(task) = list.get(index) {
                let visit = visits.get_mut(index).map_or(0, |v| {
                    *v += 1;
                    *v - 1
                });
                let here = at.task(under, index, &task.name, visit);
                let (end, next) = self.task(task, scope, &here, data).await?;
                data = match end {
                    End::Flow(data) => return Ok(End::Flow(data)),
                    // A task that is a scope ends an `exit` inside it.
                    End::Done(data) | End::Exit(data) => data,
                };
                index = match next {
                    Next::Continue => index + 1,
                    Next::Exit => return Ok(End::Exit(data)),
                    Next::End => return Ok(End::Flow(data)),
                    Next::Task(target) => target,
                };
            }
            Ok(End::Done(data))
        })
    }

    /// Runs one task with everything around it: `if`, input, output, export.
    pub async fn task(
        &self,
        task: &Task,
        scope: &Scope<'_>,
        at: &Position,
        raw: Data,
    ) -> Result<(End, Next), Halt> {
        if self.steps.fetch_add(1, Ordering::Relaxed) >= MAX_STEPS {
            let detail = format!("the run executed more than {MAX_STEPS} tasks");
            return Err(Halt::Limit(FlowError::runtime(detail).at(at.pointer())));
        }
        let result = self.inner(task, scope, at, raw).await;
        match result {
            Err(Halt::Fault(error)) => {
                let error = error.at(at.pointer());
                self.fx.observe(at, &TaskEvent::Faulted(&error));
                Err(Halt::Fault(error))
            }
            other => other,
        }
    }

    async fn inner(
        &self,
        task: &Task,
        scope: &Scope<'_>,
        at: &Position,
        raw: Data,
    ) -> Result<(End, Next), Halt> {
        let started =
            if task.needs_time { Some(time(&self.fx.now(&at.effect("started")).await?)) } else { None };
        let scope = scope.task(task, at, &raw, started.as_ref());
        // On the raw input, before anything else of the task: what is skipped need not fit its schema.
        if let Some(condition) = &task.condition
            && !self.eval(condition, &raw, &scope)?.is_true()
        {
            self.fx.observe(at, &TaskEvent::Skipped);
            return Ok((End::Done(raw), Next::Continue));
        }
        check(task.input.schema.as_ref(), &raw, at.pointer())?;
        let input = self.transform(task.input.from.as_ref(), &raw, &scope, at.pointer())?;
        let scope = scope.input(&input);
        self.fx.observe(at, &TaskEvent::Started);
        let (ran, entered) = match Extension::before(&task.extensions, self, &scope, at, &input).await? {
            Before::Go(entered) => (self.work(task, &scope, at, input).await?, entered),
            Before::Instead(output, entered) => (Ran::done(output), entered),
            Before::Over(output) => (Ran { end: End::Flow(output), next: None }, Vec::new()),
        };
        let (output, over) = match ran.end {
            End::Flow(output) => (output, true),
            End::Done(output) | End::Exit(output) => (output, false),
        };
        if over {
            // `end` inside: the flow's output is what the ending task gave, whatever stands around it.
            self.fx.observe(at, &TaskEvent::Completed);
            return Ok((End::Flow(output), Next::End));
        }
        let scope = scope.output(&output);
        let mut output = self.transform(task.output.as_.as_ref(), &output, &scope, at.pointer())?;
        if !task.declassify.is_empty() {
            let left = output.provenance().without(&task.declassify);
            output = output.of(left);
        }
        check(task.output.schema.as_ref(), &output, at.pointer())?;
        if task.export.as_.is_some() || task.export.schema.is_some() {
            let scope = scope.output(&output);
            let context = self.transform(task.export.as_.as_ref(), &output, &scope, at.pointer())?;
            check(task.export.schema.as_ref(), &context, at.pointer())?;
            scope.export(context);
        }
        if let Some(compensation) = &task.compensate {
            scope.can_undo([compensation.after(self, &scope.output(&output), at, &output)?]);
        }
        if let Some(clock) = task.sla.met {
            self.fx.sla(&at.effect("sla-met"), SlaChange::Met(clock)).await?;
        }
        let over = Extension::after(&entered, self, &scope, at, &output).await?;
        self.fx.observe(at, &TaskEvent::Completed);
        if let Some(output) = over {
            return Ok((End::Flow(output), Next::End));
        }
        Ok((End::Done(output), ran.next.unwrap_or(task.then)))
    }

    /// A task's own work, with the run's clocks standing still if it says so.
    async fn work(&self, task: &Task, scope: &Scope<'_>, at: &Position, input: Data) -> Result<Ran, Halt> {
        if !task.sla.paused {
            return self.timed(task, scope, at, input).await;
        }
        self.fx.sla(&at.effect("sla-paused"), SlaChange::Paused).await?;
        let ran = self.timed(task, scope, at, input).await;
        if !matches!(ran, Err(Halt::Suspended | Halt::Cancelled)) {
            self.fx.sla(&at.effect("sla-resumed"), SlaChange::Resumed).await?;
        }
        ran
    }

    /// A task's own work, within its time.
    async fn timed(&self, task: &Task, scope: &Scope<'_>, at: &Position, input: Data) -> Result<Ran, Halt> {
        let Some(timeout) = &task.timeout else { return task.kind.run(self, scope, at, input).await };
        let clock = timeout.start(self, scope, at, &input).await?;
        let inside = scope.until(clock.deadline);
        let ran = task.kind.run(self, &inside, at, input).await;
        ran.map_err(|halt| clock.passed(halt, scope, "the task", at.pointer()))
    }
}

/// Checks a raw input as a run will.
pub(crate) fn check_input(flow: &Flow, input: &Value) -> Result<(), FlowError> {
    let Some(schema) = &flow.body.input.schema else { return Ok(()) };
    schema
        .check(&Data::from(input.clone()))
        .map_err(|detail| FlowError::validation(detail).at("/input/schema"))
}

/// The DSL's date-time descriptor, as far as it needs no calendar.
fn time(rfc3339: &str) -> Value {
    json!({"iso8601": rfc3339})
}

/// Keeps the name of the depth limit near the interpreter: a document's nesting bounds the interpreter's recursion.
const _: () = assert!(yaml::MAX_DEPTH <= 64);

/// Makes sure that a run can be spawned.
const _: fn() = || {
    fn send<T: Send>(_: T) {}
    let _ = |flow: &'static Flow, start: &'static Start, fx: &'static dyn Effects| send(run(flow, start, fx));
};

/// A name that is shared cheaply.
pub(crate) type Name = Arc<str>;

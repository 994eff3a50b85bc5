//! `run`: starts another flow (`workflow`), or a script in a sandbox that can do nothing but compute (`script`).
//!
//! ```yaml
//! - refund:
//!     run:
//!       workflow: { namespace: shop, name: refund, version: '1.2.0', input: { order: '${ .id }' } }
//! - tidy:
//!     run:
//!       script:
//!         language: javascript
//!         code: console.log(process.argv[2].trim())
//!         arguments: [ '${ .text }' ]
//!       return: stdout
//! ```
//!
//! With `await: false` the task starts it and gives its input on.

use super::compensate::{Plan, Undoes, Way, of_another_kind};
use super::{Around, Kind, KindSpec, Ran, flat, refused};
use crate::FlowError;
use crate::decode::{At, Decoder, Object, did_you_mean, shorten};
use crate::document::{label, version};
use crate::endpoint::scalar;
use crate::expr::{self, Data, Expr, Template};
use crate::reuse::Context;
use crate::run::{Deadline, Halt, Position, Run, Running, Scope, Script, Subflow, Undoing, answered};
use crate::yaml::Kind as NodeKind;
use factotum_provenance::Provenance;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) const SPEC: KindSpec = KindSpec { key: "run", also: &[], decode };

/// The longest script, in bytes.
const MAX_CODE: usize = 256 * 1024;

/// What is run.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // One for a task, made once.
enum Process {
    Workflow(Workflow),
    Script {
        code: String,
        arguments: Option<Template>,
        environment: Option<Template>,
        stdin: Option<Template>,
    },
}

/// Another flow.
#[derive(Debug)]
struct Workflow {
    namespace: String,
    name: String,
    version: Option<String>,
    input: Option<Template>,
}

/// A `run` task.
#[derive(Debug)]
struct RunTask {
    process: Process,
    wait: bool,
    give: Return,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Return {
    Stdout,
    Stderr,
    Code,
    All,
    None,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    _: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "run")?;
    let run = d.object(at, &["workflow", "script", "shell", "container", "await", "return"])?;
    if let Some((key, why, hint)) = refused::PROCESSES.iter().find(|(key, ..)| run.has(key)) {
        let at = run.get_any(key).unwrap_or_else(|| run.at.clone());
        d.error_hint(
            &at,
            format!("`run: {key}` is refused by the profile (authorization, 403), because {why}"),
            *hint,
        );
        return None;
    }
    let wait = run.get("await").map(|at| d.flag(&at));
    let process = match (run.get("workflow"), run.get("script")) {
        (Some(at), None) => workflow(d, at, around),
        (None, Some(at)) => script(d, at, around),
        _ => {
            d.error_hint(&run.at, "a `run` is one of `workflow` and `script`", "write one of them");
            None
        }
    };
    let script = run.has("script");
    let give = run.get("return").map(|at| {
        let give = match d.text(&at)? {
            "stdout" => Return::Stdout,
            "stderr" => Return::Stderr,
            "code" => Return::Code,
            "all" => Return::All,
            "none" => Return::None,
            other => {
                let hint = did_you_mean(other, ["stdout", "stderr", "code", "all", "none"])
                    .unwrap_or_else(|| "use stdout, stderr, code, all or none".into());
                d.error_hint(&at, format!("\"{}\" is not what a process gives", shorten(other, 40)), hint);
                return None;
            }
        };
        if !script && !matches!(give, Return::Stdout | Return::None) {
            d.error_hint(&at, "a flow has an output, and no streams or exit code", "leave `return` out");
            return None;
        }
        Some(give)
    });
    Some(Box::new(RunTask {
        process: process?,
        wait: flat(wait)?.unwrap_or(true),
        give: flat(give)?.unwrap_or(Return::Stdout),
    }))
}

fn workflow(d: &mut Decoder<'_>, at: At<'_>, around: &Around<'_>) -> Option<Process> {
    let object = d.object(at, &["namespace", "name", "version", "input"])?;
    let namespace = d.required(&object, "namespace").and_then(|at| label(d, &at));
    let name = d.required(&object, "name").and_then(|at| label(d, &at));
    let version = d.required(&object, "version").and_then(|at| match &at.node.kind {
        NodeKind::Text(text) if text == "latest" => Some(None),
        _ => version(d, &at, "1.0.0").map(|version| Some(version.to_string())),
    });
    let input = object.get("input").map(|at| d.map(at).and_then(|o| expr::template(d, &o.at, around.vars)));
    Some(Process::Workflow(Workflow {
        namespace: namespace?,
        name: name?,
        version: version?,
        input: flat(input)?,
    }))
}

fn script(d: &mut Decoder<'_>, at: At<'_>, around: &Around<'_>) -> Option<Process> {
    let object = d.object(at, &["language", "code", "source", "arguments", "environment", "stdin"])?;
    let language = d.required(&object, "language").and_then(|at| {
        let language = d.text(&at)?;
        if matches!(language.to_ascii_lowercase().as_str(), "javascript" | "js") {
            return Some(());
        }
        let message = format!(
            "scripts in \"{}\" are refused, because the sandbox speaks JavaScript",
            shorten(language, 40)
        );
        d.error_hint(
            &at,
            message,
            "write `language: javascript`, or a plugin in any language that compiles to WebAssembly",
        );
        None
    });
    if let Some(at) = object.get("source") {
        let hint = "write the script into `code`, so that what was deployed is what runs";
        d.error_hint(
            &at,
            "`source` is refused, because a script must not change after it was deployed",
            hint,
        );
        return None;
    }
    let code = d.required(&object, "code").and_then(|at| {
        let code = d.text(&at)?;
        if code.len() > MAX_CODE {
            d.error(&at, format!("the script has {} bytes; the most is {MAX_CODE}", code.len()));
            return None;
        }
        Some(code.to_owned())
    });
    let arguments = object.get("arguments").map(|at| {
        for (i, item) in d.list(&at)?.iter().enumerate() {
            d.text(&at.child(&i.to_string(), item))?;
        }
        expr::template(d, &at, around.vars)
    });
    let environment = object.get("environment").map(|at| {
        d.map(at.clone())?;
        expr::template(d, &at, around.vars)
    });
    let stdin = object.get("stdin").map(|at| d.text(&at).and_then(|_| expr::template(d, &at, around.vars)));
    language?;
    Some(Process::Script {
        code: code?,
        arguments: flat(arguments)?,
        environment: flat(environment)?,
        stdin: flat(stdin)?,
    })
}

impl Workflow {
    /// What it is given, and where that comes from.
    fn input(&self, run: &Run<'_>, input: &Data, scope: &Scope<'_>) -> Result<(Value, Provenance), Halt> {
        match &self.input {
            Some(_) => RunTask::part(self.input.as_ref(), run, input, scope),
            None => Ok((Value::Object(Map::new()), Provenance::default())),
        }
    }

    fn asked(&self, input: Value, from: Provenance, wait: bool, deadline: Option<Deadline>) -> Subflow {
        Subflow {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            input,
            from,
            wait,
            deadline,
        }
    }
}

impl RunTask {
    /// A value and where it comes from; `Null` when the document has none.
    fn part(
        template: Option<&Template>,
        run: &Run<'_>,
        input: &Data,
        scope: &Scope<'_>,
    ) -> Result<(Value, Provenance), Halt> {
        let Some(template) = template else { return Ok((Value::Null, Provenance::default())) };
        let data = run.fill(template, input, scope)?;
        let from = data.provenance().clone();
        Ok((data.into_value().map_err(Halt::Fault)?, from))
    }

    /// What the task gives of a script's result.
    fn give(&self, result: Value) -> Value {
        let member = |name: &str| result.get(name).cloned().unwrap_or_default();
        match self.give {
            Return::Stdout => member("stdout"),
            Return::Stderr => member("stderr"),
            Return::Code => member("code"),
            Return::All => result,
            Return::None => Value::Null,
        }
    }
}

impl Kind for RunTask {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let (asked, from) = match &self.process {
                Process::Workflow(flow) => {
                    let (with, from) = flow.input(run, &input, scope)?;
                    let subflow = flow.asked(with, from, self.wait, scope.deadline());
                    (run.fx.subflow(at, &subflow).await, subflow.from)
                }
                Process::Script { code, arguments, environment, stdin } => {
                    let (arguments, a) = RunTask::part(arguments.as_ref(), run, &input, scope)?;
                    let (environment, b) = RunTask::part(environment.as_ref(), run, &input, scope)?;
                    let (stdin, c) = RunTask::part(stdin.as_ref(), run, &input, scope)?;
                    let from = Provenance::object([
                        ("arguments".into(), a),
                        ("environment".into(), b),
                        ("stdin".into(), c),
                    ]);
                    let fail = |message: String| {
                        Halt::Fault(FlowError::expression(message).and_labels(&from.total()))
                    };
                    let arguments = arguments.as_array().map(Vec::as_slice).unwrap_or_default();
                    let arguments = arguments.iter().map(|value| scalar(value, "an argument"));
                    let arguments = arguments.collect::<Result<Vec<_>, _>>().map_err(fail)?;
                    let mut variables = BTreeMap::new();
                    for (name, value) in environment.as_object().into_iter().flatten() {
                        variables.insert(name.clone(), scalar(value, name).map_err(fail)?);
                    }
                    let stdin = match stdin {
                        Value::Null => None,
                        Value::String(text) => Some(text),
                        other => Some(other.to_string()),
                    };
                    let script = Script {
                        code,
                        arguments,
                        environment: variables,
                        stdin,
                        from: from.clone(),
                        deadline: scope.deadline(),
                    };
                    (run.fx.script(at, &script).await, from)
                }
            };
            let answer = answered(asked, from.total())?;
            let from = answer.provenance().clone();
            let result = answer.into_value().map_err(Halt::Fault)?;
            let output = match (&self.process, self.wait, self.give) {
                (_, false, _) => return Ok(Ran::done(input)),
                (_, _, Return::None) => Value::Null,
                (Process::Workflow(_), ..) => result,
                (Process::Script { .. }, ..) => self.give(result),
            };
            Ok(Ran::done(Data::from(output).of(from)))
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        let templates = match &self.process {
            Process::Workflow(flow) => [flow.input.as_ref(), None, None],
            Process::Script { arguments, environment, stdin, .. } => {
                [arguments.as_ref(), environment.as_ref(), stdin.as_ref()]
            }
        };
        templates.into_iter().flatten().any(|template| template.any(test))
    }

    fn undoes(self: Box<Self>) -> Option<Box<dyn Undoes>> {
        // Whether it was taken back is known when it ends.
        match self.process {
            Process::Workflow(flow) if self.wait => Some(Box::new(flow)),
            _ => None,
        }
    }
}

impl Undoes for Workflow {
    fn name(&self) -> String {
        format!("flow {}/{}", self.namespace, self.name)
    }

    fn plan(&self, run: &Run<'_>, scope: &Scope<'_>, input: &Data) -> Result<Plan, Halt> {
        let (input, from) = self.input(run, input, scope)?;
        Ok(Plan::Flow { input, from })
    }

    fn carry_out<'a>(
        &'a self,
        run: &'a Run<'a>,
        at: &'a Position,
        plan: Plan,
        way: Way,
    ) -> Running<'a, Data> {
        Box::pin(async move {
            let Plan::Flow { input, from } = plan else { return Err(of_another_kind()) };
            let subflow = self.asked(input, from, true, way.deadline);
            let asked = match way.takes_back {
                true => run.fx.compensate(at, &Undoing::Subflow(&subflow)).await,
                false => run.fx.subflow(at, &subflow).await,
            };
            answered(asked, subflow.from.total())
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.input.as_ref().is_some_and(|input| input.any(test))
    }
}

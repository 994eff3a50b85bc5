//! A whole document: its head, what it reuses, and the flow that comes out when nothing is wrong with it.

use crate::decode::{At, Decoder, Object, shorten};
use crate::expr::Vars;
use crate::hours::{self, CalendarSite, Hours};
use crate::limits::{self, Limits};
use crate::problem::{Problem, Problems, Severity};
use crate::reuse;
use crate::run::{self, Effects, Outcome, Start};
use crate::schedule::{self, Schedule};
use crate::sites::{CallSite, HttpSite};
use crate::sla::{self, Sla};
use crate::task::{self, Compensation, Declassified, Extension, Input, List, Output, Sensitive, Timeout};
use crate::trigger::{self, MailTrigger, Triggers, WebhookTrigger};
use crate::{COMPILE_STACK, FlowError, yaml};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a flow says about itself.
#[derive(Debug, Clone)]
pub struct Document {
    /// The version of the DSL it is written in.
    pub dsl: semver::Version,
    /// Groups flows, such as `support`.
    pub namespace: String,
    /// Its name in the namespace.
    pub name: String,
    /// Its own version.
    pub version: semver::Version,
    /// A title for people.
    pub title: Option<String>,
    /// A summary for people, Markdown.
    pub summary: Option<String>,
    /// Free labels.
    pub tags: Map<String, Value>,
    /// Everything of ours: triggers, limits, retention.
    pub metadata: Map<String, Value>,
}

/// A validated flow, with everything compiled. Share it in an `Arc`.
#[derive(Debug)]
pub struct Flow {
    document: Document,
    definition: Value,
    calls: Vec<CallSite>,
    https: Vec<HttpSite>,
    secrets: Vec<String>,
    declassified: Vec<Declassified>,
    sensitive: Vec<Sensitive>,
    calendars: Vec<CalendarSite>,
    triggers: Triggers,
    schedule: Option<Schedule>,
    ours: Ours,
    warnings: Problems,
    pub(crate) body: Body,
}

/// What runs.
#[derive(Debug)]
pub(crate) struct Body {
    pub input: Input,
    pub extensions: Vec<Extension>,
    /// What takes a task's work back, by the task's pointer.
    pub compensations: BTreeMap<String, Compensation>,
    pub timeout: Option<Timeout>,
    pub tasks: List,
    pub output: Output,
}

impl Flow {
    /// Reads, validates and compiles a document (YAML or JSON). `file_name` stands in problems.
    ///
    /// # Errors
    /// Everything that is wrong with it, with line, column, path and mend.
    pub fn parse(source: &str, file_name: &str) -> Result<Flow, Problems> {
        // Compiling recurses as deep as the text nests; a thread of its own has the stack for it, whoever calls.
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("flow-compiler".into())
                .stack_size(COMPILE_STACK)
                .spawn_scoped(scope, || parse(source, file_name))
                .map_err(|e| format!("no thread to compile on: {e}"))
                .and_then(|thread| thread.join().map_err(|_| "the compiler failed on this document".into()))
        })
        .unwrap_or_else(|message: String| {
            let file = file_name.to_owned();
            let (severity, path, hint) = (Severity::Error, String::new(), None);
            Err(Problems(vec![Problem { severity, file, line: 1, column: 1, path, message, hint }]))
        })
    }

    /// What the flow says about itself.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// `namespace/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.document.namespace, self.document.name)
    }

    /// Every call of a plugin's function, so that a deployer can resolve and type-check it.
    pub fn calls(&self) -> &[CallSite] {
        &self.calls
    }

    /// Every place that sends requests of the flow's own.
    pub fn https(&self) -> &[HttpSite] {
        &self.https
    }

    /// The names of the secrets that some request of the flow's own carries, in order.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Every task whose work can be taken back, and by what, so that it can be shown beforehand what will be undone: JSON
    /// Pointer (RFC 6901) of the task, and the function, request or flow. In the order of the pointers.
    pub fn compensations(&self) -> impl Iterator<Item = (&str, String)> {
        self.body.compensations.iter().map(|(task, what)| (task.as_str(), what.name()))
    }

    /// Every task whose data hold members that people must not see in histories and logs.
    pub fn sensitive(&self) -> &[Sensitive] {
        &self.sensitive
    }

    /// Every task that takes labels off its output, so that a deployer can be shown them and their reasons.
    pub fn declassified(&self) -> &[Declassified] {
        &self.declassified
    }

    /// The webhook that starts the flow, if it has one.
    pub fn trigger(&self) -> Option<&WebhookTrigger> {
        self.triggers.webhook.as_ref()
    }

    /// The mailbox whose messages start the flow, if there is one.
    pub fn mail(&self) -> Option<&MailTrigger> {
        self.triggers.mail.as_ref()
    }

    /// When the flow starts by itself, if it does.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// How many runs of the flow there may be, if it says.
    pub fn limits(&self) -> Option<&Limits> {
        self.ours.limits.as_ref()
    }

    /// How long what a finished run held is kept, if the flow says.
    pub fn retention(&self) -> Option<Duration> {
        self.ours.retention
    }

    /// The flow's own business hours, if it has some.
    pub fn hours(&self) -> Option<&Hours> {
        self.ours.hours.as_ref()
    }

    /// Within what time a run is to respond and to resolve, if the flow says.
    pub fn sla(&self) -> Option<&Sla> {
        self.ours.sla.as_ref()
    }

    /// Every place that names a calendar which the host keeps.
    pub fn calendars(&self) -> &[CalendarSite] {
        &self.calendars
    }

    /// What works, but probably not as meant.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }

    /// The document as JSON.
    pub fn definition(&self) -> &Value {
        &self.definition
    }

    /// Checks an input against the flow's `input.schema`, as a run would.
    ///
    /// # Errors
    /// The DSL's validation error, status 400.
    pub fn check_input(&self, input: &Value) -> Result<(), FlowError> {
        run::check_input(self, input)
    }

    /// Runs the flow, or replays it: the effects decide which.
    pub async fn run(&self, start: &Start, fx: &dyn Effects) -> Outcome {
        run::run(self, start, fx).await
    }
}

fn parse(source: &str, file: &str) -> Result<Flow, Problems> {
    let node = yaml::read(source, file).map_err(|problem| Problems(vec![problem]))?;
    let mut d = Decoder::new(file);
    let flow = decode(&mut d, At::new(&node, ""));
    let (errors, warnings): (Vec<_>, Vec<_>) =
        d.finish().into_iter().partition(|problem| problem.severity == Severity::Error);
    match flow {
        Some(mut flow) if errors.is_empty() => {
            flow.warnings = Problems(warnings);
            Ok(flow)
        }
        _ => {
            let mut all = errors;
            all.extend(warnings);
            all.sort_by_key(|p| (p.line, p.column));
            Err(Problems(all))
        }
    }
}

fn decode(d: &mut Decoder<'_>, at: At<'_>) -> Option<Flow> {
    let definition = at.node.to_json();
    let top = d.object(at, &["document", "input", "use", "do", "timeout", "output", "schedule"])?;
    let document = d.required(&top, "document").and_then(|at| head(d, at));
    let vars = Vars::new(&["context", "workflow", "runtime"]);
    let nothing = Ours::default();
    let ours = document.as_ref().map_or(&nothing, |head| &head.3);
    let mut cx = reuse::reused(d, &top, &vars, ours);
    let input = top.get("input").map(|at| task::input(d, at, &vars));
    let inside = vars.with(&["input"]);
    let timeout = top.get("timeout").map(|at| task::timeout(d, &at, &cx, &inside, None));
    let tasks = d.required(&top, "do").and_then(|at| task::list(d, &at, &mut cx, &inside, false));
    task::check_unused(d, &mut cx);
    cx.once();
    let output = top.get("output").map(|at| task::output(d, at, &inside.with(&["output"])));
    for (_, at) in cx.retries.iter().filter(|(name, _)| !cx.used.contains(*name)) {
        task::check_retry(d, at.clone(), &inside.with(&["task", "error"]));
    }
    let zone = document.as_ref().and_then(|head| head.2.clone()).flatten();
    let schedule = top.get("schedule").map(|at| schedule::decode(d, at, zone));
    let (document, triggers, zone, ours) = document?;
    task::flat(zone)?;
    Some(Flow {
        document,
        definition,
        calls: cx.calls,
        https: cx.https,
        secrets: cx.secrets_used.into_iter().collect(),
        declassified: cx.declassified,
        sensitive: cx.sensitive,
        calendars: cx.calendars,
        triggers: task::flat(triggers)?.unwrap_or_default(),
        schedule: task::flat(schedule)?,
        ours,
        warnings: Problems(Vec::new()),
        body: Body {
            input: task::flat(input)?.unwrap_or_default(),
            extensions: cx.extensions,
            compensations: cx.compensations,
            timeout: task::flat(timeout)?,
            tasks: tasks?,
            output: task::flat(output)?.unwrap_or_default(),
        },
    })
}

/// What `document.metadata` says that is ours.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    limits: Option<Limits>,
    retention: Option<Duration>,
    pub hours: Option<Hours>,
    /// Every place that names a calendar of the host's.
    pub calendars: Vec<CalendarSite>,
    pub sla: Option<Sla>,
}

type Head = (Document, Option<Option<Triggers>>, Option<Option<TimeZone>>, Ours);

fn head(d: &mut Decoder<'_>, at: At<'_>) -> Option<Head> {
    let keys = ["dsl", "namespace", "name", "version", "title", "summary", "tags", "metadata"];
    let object = d.object(at, &keys)?;
    let dsl = d.required(&object, "dsl").and_then(|at| {
        let version = version(d, &at, "1.0.3")?;
        if (version.major, version.minor) != (1, 0) || !version.pre.is_empty() {
            d.error_hint(&at, format!("version {version} of the DSL is not spoken here"), "write 1.0.3");
            return None;
        }
        Some(version)
    });
    let namespace = d.required(&object, "namespace").and_then(|at| label(d, &at));
    let name = d.required(&object, "name").and_then(|at| label(d, &at));
    let version = d.required(&object, "version").and_then(|at| version(d, &at, "1.0.0"));
    let title = object.get("title").map(|at| d.text(&at).map(str::to_owned));
    let summary = object.get("summary").map(|at| d.text(&at).map(str::to_owned));
    let mut map = |key: &str| object.get(key).map(|at| d.map(at));
    let (tags, metadata) = (map("tags"), map("metadata"));
    let triggers = metadata
        .clone()
        .flatten()
        .and_then(|metadata| metadata.get("trigger"))
        .map(|at| trigger::decode(d, at));
    let zone = metadata
        .clone()
        .flatten()
        .and_then(|metadata| metadata.get("timezone"))
        .map(|at| schedule::zone(d, &at));
    let mut ours = Ours::default();
    if let Some(metadata) = metadata.clone().flatten() {
        if let Some(at) = metadata.get("limits") {
            ours.limits = Some(limits::decode(d, at)?);
        }
        if let Some(at) = metadata.get("retention") {
            ours.retention = Some(limits::retention(d, &at)?);
        }
        if let Some(at) = metadata.get("businessHours") {
            let zone = zone.as_ref().and_then(|zone| zone.as_ref()?.iana_name());
            ours.hours = Some(hours::of_document(d, &at, zone, &mut ours.calendars)?);
        }
        if let Some(at) = metadata.get("sla") {
            ours.sla = Some(sla::decode(d, at, ours.hours.as_ref(), &mut ours.calendars)?);
        }
    }
    let json = |object: Option<Object<'_>>| {
        object.and_then(|o| o.at.node.to_json().as_object().cloned()).unwrap_or_default()
    };
    let document = Document {
        dsl: dsl?,
        namespace: namespace?,
        name: name?,
        version: version?,
        title: task::flat(title)?,
        summary: task::flat(summary)?,
        tags: json(task::flat(tags)?),
        metadata: json(task::flat(metadata)?),
    };
    Some((document, triggers, zone, ours))
}

pub(crate) fn version(d: &mut Decoder<'_>, at: &At<'_>, example: &str) -> Option<semver::Version> {
    let text = match &at.node.kind {
        yaml::Kind::Number(n) => {
            let message = format!("expected a version, found the number {n}");
            d.error_hint(at, message, format!("put it in quotes and give it three parts: '{example}'"));
            return None;
        }
        _ => d.text(at)?,
    };
    match semver::Version::parse(text) {
        Ok(version) => Some(version),
        Err(e) => {
            let message = format!("\"{}\" is not a semantic version: {e}", shorten(text, 60));
            d.error_hint(at, message, format!("three numbers, such as '{example}'"));
            None
        }
    }
}

/// A namespace or name: letters, digits and hyphens, at most 63, not starting or ending with a hyphen.
pub(crate) fn label(d: &mut Decoder<'_>, at: &At<'_>) -> Option<String> {
    let text = d.text(at)?;
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if text.is_empty() || text.len() > 63 || !inner || text.starts_with('-') || text.ends_with('-') {
        let message = format!("\"{}\" must be 1 to 63 letters, digits and hyphens", shorten(text, 80));
        d.error_hint(at, message, "hyphens only inside, for example ticket-intake");
        return None;
    }
    Some(text.to_owned())
}

/// The name of a variable, without `$`.
pub(crate) fn variable(d: &mut Decoder<'_>, at: &At<'_>) -> Option<String> {
    let text = d.text(at)?;
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= 64;
    if !word {
        let hint = "letters, digits and _, not starting with a digit, and without the $";
        d.error_hint(at, format!("\"{}\" cannot name a variable", shorten(text, 60)), hint);
        return None;
    }
    if matches!(text, "context" | "input" | "output" | "secrets" | "workflow" | "task" | "runtime" | "ENV") {
        d.error_hint(at, format!("${text} means something already"), "choose another name");
        return None;
    }
    Some(text.to_owned())
}

//! How tasks are decoded: lists of them, what every task may have, and which kind one is.

use super::{
    Around, KINDS, KindSpec, List, Next, Task, call, compensate, declassify, extension, flat, grants,
    idempotency, sensitive, wait,
};
use super::{Input, Output, timeout};
use crate::decode::{At, Decoder, Object, did_you_mean, shorten};
use crate::expr::{self, Vars};
use crate::reuse::Context;
use crate::yaml::{Entry, Kind as NodeKind};
use crate::{hours, schema, sla};
use serde_json::{Map, Value};

/// Tasks in one flow.
const MAX_TASKS: usize = 5_000;
/// The longest name of a task, in characters.
const MAX_NAME: usize = 128;

/// Keys that every task may have.
const BASE_KEYS: [&str; 7] = ["if", "input", "output", "export", "timeout", "then", "metadata"];

/// Decodes a list of tasks.
pub(crate) fn list(
    d: &mut Decoder<'_>,
    at: &At<'_>,
    cx: &mut Context<'_>,
    vars: &Vars,
    retried: bool,
) -> Option<List> {
    tasks(d, at, cx, vars, retried, true)
}

/// Decodes tasks that stand in a list, but not one after the other: there are no jumps between them.
pub(crate) fn branches(
    d: &mut Decoder<'_>,
    at: &At<'_>,
    cx: &mut Context<'_>,
    vars: &Vars,
    retried: bool,
) -> Option<List> {
    tasks(d, at, cx, vars, retried, false)
}

fn tasks(
    d: &mut Decoder<'_>,
    at: &At<'_>,
    cx: &mut Context<'_>,
    vars: &Vars,
    retried: bool,
    jumps: bool,
) -> Option<List> {
    let items = d.list(at)?;
    if items.is_empty() {
        d.error(at, "a list of tasks needs at least one task");
        return None;
    }
    let mut named: Vec<(At<'_>, &Entry)> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let item = at.child(&i.to_string(), item);
        match &item.node.kind {
            NodeKind::Map(entries) if entries.len() == 1 => {
                if let Some(entry) = entries.first() {
                    named.push((item, entry));
                }
            }
            NodeKind::Map(_) => d.error_hint(
                &item,
                "a list item must hold exactly one task under its name",
                "write `- name:` and indent the task below it",
            ),
            _ => d.error_hint(
                &item,
                "a list item must be a named task",
                "write `- name:` and indent the task below it",
            ),
        }
    }
    let names: Vec<&str> = named.iter().map(|(_, entry)| entry.key.as_str()).collect();
    let mut tasks = Vec::with_capacity(named.len());
    for (i, (item, entry)) in named.iter().enumerate() {
        let here = item.entry(entry);
        check_name(d, &here, entry, names.get(..i).unwrap_or_default());
        let targets = if jumps { names.as_slice() } else { &[] };
        tasks.push(task(d, here, &entry.key, cx, vars, targets, retried));
    }
    (named.len() == items.len()).then(|| tasks.into_iter().collect::<Option<List>>())?
}

fn check_name(d: &mut Decoder<'_>, at: &At<'_>, entry: &Entry, before: &[&str]) {
    let name = &entry.key;
    let mut error = |message: String, hint: Option<&str>| {
        d.error_mark(entry.mark, &at.path, message, hint.map(str::to_owned));
    };
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        error(format!("a task's name must have 1 to {MAX_NAME} printable characters"), None);
    }
    if matches!(name.as_str(), "continue" | "exit" | "end") {
        error(format!("a task cannot be called \"{name}\": `then: {name}` means something else"), None);
    }
    if before.contains(&name.as_str()) {
        let hint = Some("names in one list must differ, so that `then` can find them");
        error(format!("there is another task \"{}\" in this list", shorten(name, 60)), hint);
    }
}

pub(super) fn task(
    d: &mut Decoder<'_>,
    at: At<'_>,
    name: &str,
    cx: &mut Context<'_>,
    vars: &Vars,
    siblings: &[&str],
    retried: bool,
) -> Option<Task> {
    cx.tasks += 1;
    if cx.tasks > MAX_TASKS {
        if cx.tasks == MAX_TASKS + 1 {
            d.error(&at, format!("a flow has at most {MAX_TASKS} tasks"));
        }
        return None;
    }
    let object = d.map(at.clone())?;
    let vars = vars.with(&["input", "task"]);
    let declassify = object
        .get("metadata")
        .and_then(|at| d.map(at))
        .and_then(|metadata| metadata.get("declassify"))
        .map(|declassify| declassify::decode(d, declassify, &at.path));
    let compensate = object
        .get("metadata")
        .and_then(|at| d.map(at))
        .and_then(|metadata| metadata.get("compensate"))
        .map(|at| compensate::decode(d, at, cx, &vars));
    if let Some(at) = object.get("metadata").and_then(|at| d.map(at)).and_then(|m| m.get("sensitive")) {
        let sensitive = sensitive::decode(d, &at, &object.at.path)?;
        cx.sensitive.push(sensitive);
    }
    let metadata = metadata(d, &object);
    let hours = hours::of_task(d, &object, cx)?;
    let sla = sla::of_task(d, &object, cx)?;
    let idempotency =
        object.get("metadata").and_then(|at| d.map(at)).and_then(|metadata| metadata.get(idempotency::KEY));
    let around =
        Around { vars: &vars, siblings, retried, metadata: &metadata, hours: hours.as_ref(), idempotency };
    let spec = kind_of(d, &object)?;
    if spec.key != call::SPEC.key {
        grants::refuse(d, &object, spec.key);
        idempotency::unused(d, &around, spec.key);
    }
    let mut keys: Vec<&str> = vec![spec.key];
    keys.extend(spec.also);
    keys.extend(BASE_KEYS);
    d.only(&object, &keys);

    let before = vars.clone();
    let condition = object.get("if").map(|at| expr::decode(d, &at, &vars));
    let input = object.get("input").map(|at| input(d, at, &before));
    let after = vars.with(&["output"]);
    let [output, export] = ["output", "export"].map(|key| object.get(key).map(|at| output(d, at, &after)));
    let limit = object.get("timeout").map(|at| timeout(d, &at, cx, &vars, hours.as_ref()));
    let then = match object.get("then") {
        Some(at) => next(d, &at, siblings),
        None => Some(Next::Continue),
    };
    if hours.is_some() && limit.is_none() && !counts_time(&object, spec.key) {
        let hint = "`wait`, `call: human-task` and `timeout` do";
        d.warning(
            &object.at,
            "`metadata.businessTime` stands here, and nothing of this task counts time",
            hint,
        );
    }
    let extensions = extension::around(cx, spec.key);
    let kind = (spec.decode)(d, &object, cx, &around)?;
    let mut task = Task {
        name: name.into(),
        condition: flat(condition)?,
        input: flat(input)?.unwrap_or_default(),
        output: flat(output)?.unwrap_or_default(),
        export: flat(export)?.unwrap_or_default(),
        then: then?,
        timeout: flat(limit)?,
        extensions,
        compensate: flat(compensate)?,
        declassify: match flat(declassify)? {
            Some(declassified) => {
                let from = declassified.from.clone();
                cx.declassified.push(declassified);
                from
            }
            None => Vec::new(),
        },
        needs_time: false,
        sla,
        kind,
    };
    let extended = task.extensions.iter().filter_map(|i| cx.extensions.get(*i)).any(|e| e.needs_time);
    task.needs_time = extended || task.any_expr(&|e| e.uses("task") && e.source().contains("startedAt"));
    Some(task)
}

/// Whether a task's own work counts time. What a name in `use.functions` stands for may.
fn counts_time(object: &Object<'_>, kind: &str) -> bool {
    let calls = object.get("call").and_then(|at| match &at.node.kind {
        NodeKind::Text(name) => Some(!name.contains('/') && name != "http" && name != "openapi"),
        _ => None,
    });
    kind == wait::SPEC.key || calls.unwrap_or(false)
}

pub(super) fn metadata(d: &mut Decoder<'_>, object: &Object<'_>) -> Map<String, Value> {
    let Some(at) = object.get("metadata") else { return Map::new() };
    match d.map(at) {
        Some(object) => object.at.node.to_json().as_object().cloned().unwrap_or_default(),
        None => Map::new(),
    }
}

/// Finds out what kind a task is.
fn kind_of(d: &mut Decoder<'_>, object: &Object<'_>) -> Option<&'static KindSpec> {
    // `for` and `try` own a `do` of their own, so they are asked first.
    let found: Vec<&&KindSpec> = KINDS.iter().filter(|spec| object.has(spec.key)).collect();
    match found.as_slice() {
        [one] => Some(**one),
        [first, others @ ..] if others.iter().all(|o| first.also.contains(&o.key)) => Some(**first),
        [first, second, ..] => {
            let message = format!("a task is of one kind, and here are `{}` and `{}`", first.key, second.key);
            d.error_hint(&object.at, message, "make two tasks of it");
            None
        }
        [] => {
            let words = KINDS.iter().map(|spec| spec.key);
            let guess = object.entries().iter().find_map(|e| did_you_mean(&e.key, words.clone()));
            let kinds: Vec<&str> = words.collect();
            let hint = guess.unwrap_or_else(|| format!("a task has one of: {}", kinds.join(", ")));
            d.error_hint(&object.at, "this task does nothing", hint);
            None
        }
    }
}

/// Decodes `input`.
pub(crate) fn input(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Input> {
    let object = d.object(at, &["schema", "from"])?;
    let schema = object.get("schema").map(|at| schema::decode(d, at));
    let from = object.get("from").map(|at| expr::clause(d, &at, vars));
    Some(Input { schema: flat(schema)?, from: flat(from)? })
}

/// Decodes `output` or `export`.
pub(crate) fn output(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Output> {
    let object = d.object(at, &["schema", "as"])?;
    let schema = object.get("schema").map(|at| schema::decode(d, at));
    let as_ = object.get("as").map(|at| expr::clause(d, &at, vars));
    Some(Output { schema: flat(schema)?, as_: flat(as_)? })
}

/// Decodes a `then`.
pub(crate) fn next(d: &mut Decoder<'_>, at: &At<'_>, siblings: &[&str]) -> Option<Next> {
    match d.text(at)? {
        "continue" => Some(Next::Continue),
        "exit" => Some(Next::Exit),
        "end" => Some(Next::End),
        name => match siblings.iter().position(|s| *s == name) {
            Some(index) => Some(Next::Task(index)),
            None => {
                let hint = did_you_mean(name, siblings.iter().copied().chain(["continue", "exit", "end"]))
                    .unwrap_or_else(|| {
                        "a jump stays in its list; known: continue, exit, end, and the tasks beside it".into()
                    });
                d.error_hint(at, format!("there is no task \"{}\" in this list", shorten(name, 60)), hint);
                None
            }
        },
    }
}

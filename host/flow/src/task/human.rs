//! `call: human-task`: a person is asked, and the run goes on with the answer.
//!
//! ```yaml
//! - approve:
//!     call: human-task
//!     with:
//!       title: ${ "Refund order \(.id)?" }
//!       form: { type: object, properties: { approved: { type: boolean } }, required: [approved] }
//!       group: supervisors
//!       requester: ${ .agent }
//!       due: { hours: 8 }
//!       remind: PT4H
//!       escalate: { after: PT8H, group: managers }
//! ```
//!
//! The output is `{outcome, answer, by, at}`. `due`, `remind` (one or a list) and `escalate.after` are durations from the
//! moment of asking, in business time with `metadata: { businessTime: true }`. Who is named as `requester` may not answer.

use super::with::With;
use super::{Around, Kind, Ran};
use crate::decode::{At, Decoder, Object, shorten};
use crate::expr::{self, Data, Expr, Template, is_expression};
use crate::reuse::Context;
use crate::run::{Ask, Halt, Position, Run, Running, Scope, answered};
use crate::yaml::Kind as NodeKind;
use crate::{FlowError, Hours, duration, hours, schema};
use factotum_provenance::Provenance;
use serde_json::{Map, Value};

/// What stands behind `call` for it.
pub(super) const WORD: &str = "human-task";

const KEYS: [&str; 10] = [
    "title",
    "description",
    "form",
    "assignee",
    "group",
    "requester",
    "priority",
    "due",
    "remind",
    "escalate",
];
/// Reminders of one question.
const MAX_REMINDERS: usize = 20;

/// A question to a person.
#[derive(Debug)]
struct Human {
    with: Vec<(&'static str, Template)>,
    metadata: Map<String, Value>,
    hours: Option<Hours>,
}

pub(super) fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    own: Option<At<'_>>,
    base: Option<At<'_>>,
    _: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let with = With::decode(d, &object.at, own, base, &KEYS)?;
    let title = with.required(d, "title").and_then(|at| d.text(&at).map(|_| ()));
    let form = with.get("form").map(|at| schema::form(d, &at));
    match (with.get("assignee"), with.get("group")) {
        (None, None) => {
            d.error_hint(&object.at, "nobody is asked", "name an `assignee` or a `group` in `with`");
            return None;
        }
        (Some(at), Some(_)) => {
            d.error_hint(&at, "`assignee` and `group` exclude each other", "keep one");
            return None;
        }
        _ => {}
    }
    for key in ["description", "assignee", "group", "requester"] {
        if let Some(at) = with.get(key) {
            d.text(&at)?;
        }
    }
    if let Some(at) = with.get("priority") {
        priority(d, &at)?;
    }
    if let Some(at) = with.get("due") {
        time(d, &at, around)?;
    }
    if let Some(at) = with.get("remind") {
        match &at.node.kind {
            NodeKind::List(items) if items.len() <= MAX_REMINDERS => {
                for (i, item) in items.iter().enumerate() {
                    time(d, &at.child(&i.to_string(), item), around)?;
                }
            }
            NodeKind::List(_) => {
                d.error(&at, format!("at most {MAX_REMINDERS} reminders are sent"));
                return None;
            }
            _ => time(d, &at, around)?,
        }
    }
    if let Some(at) = with.get("escalate") {
        let escalate = d.object(at, &["after", "assignee", "group"])?;
        let after = d.required(&escalate, "after")?;
        time(d, &after, around)?;
        if escalate.has("assignee") == escalate.has("group") {
            d.error(&escalate.at, "an escalation names either an `assignee` or a `group`");
            return None;
        }
    }
    title?;
    super::flat(form)?;
    let mut parts = Vec::new();
    for key in KEYS {
        let Some(at) = with.get(key) else { continue };
        // A schema is no place for expressions, and may hold `${` in a pattern.
        let part = match key {
            "form" => Some(Template::Constant(Data::from(at.node.to_json()))),
            _ => expr::template(d, &at, around.vars),
        };
        parts.push((key, part?));
    }
    Some(Box::new(Human { with: parts, metadata: around.metadata.clone(), hours: around.hours.cloned() }))
}

fn priority(d: &mut Decoder<'_>, at: &At<'_>) -> Option<()> {
    let text = d.text(at)?;
    if is_expression(text) || PRIORITIES.contains(&text) {
        return Some(());
    }
    let message = format!("\"{}\" is not a priority", shorten(text, 40));
    d.error_hint(at, message, "use low, normal, high or urgent");
    None
}

const PRIORITIES: [&str; 4] = ["low", "normal", "high", "urgent"];

/// A duration, or an expression that gives one; in business time if the task says so.
fn time(d: &mut Decoder<'_>, at: &At<'_>, around: &Around<'_>) -> Option<()> {
    match &at.node.kind {
        NodeKind::Text(text) if is_expression(text) => Some(()),
        _ if around.hours.is_some() => hours::fixed(d, at).map(|_| ()),
        _ => duration::fixed(d, at).map(|_| ()),
    }
}

/// What a computed question must be like.
fn sound(with: &Map<String, Value>, business: bool) -> Result<(), String> {
    for key in ["title", "assignee", "group"] {
        if let Some(value) = with.get(key)
            && value.as_str().is_none_or(|text| text.trim().is_empty())
        {
            return Err(format!("`{key}` must be a text that is not empty"));
        }
    }
    for key in ["description", "requester"] {
        if with.get(key).is_some_and(|value| !value.is_string() && !value.is_null()) {
            return Err(format!("`{key}` must be a text"));
        }
    }
    if let Some(priority) = with.get("priority")
        && !priority.as_str().is_some_and(|p| PRIORITIES.contains(&p))
    {
        return Err("`priority` must be low, normal, high or urgent".into());
    }
    let reminders = match with.get("remind") {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let after = with.get("escalate").and_then(|e| e.get("after"));
    for value in with.get("due").into_iter().chain(reminders).chain(after) {
        if business {
            hours::length(value)?;
        } else {
            duration::from_value(value)?;
        }
    }
    Ok(())
}

impl Kind for Human {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let (mut with, mut from) = (Map::new(), Vec::new());
            for (key, template) in &self.with {
                let filled = run.fill(template, &input, scope)?;
                from.push(((*key).into(), filled.provenance().clone()));
                with.insert((*key).to_owned(), filled.into_value().map_err(Halt::Fault)?);
            }
            let from = Provenance::object(from.into_iter().filter(|(_, from)| !from.is_empty()));
            if let Err(message) = sound(&with, self.hours.is_some()) {
                let error = FlowError::expression(format!("a person cannot be asked: {message}"));
                return Err(Halt::Fault(error.and_labels(&from.total())));
            }
            let ask = Ask {
                with: Value::Object(with),
                from,
                metadata: &self.metadata,
                hours: self.hours.as_ref(),
                deadline: scope.deadline(),
            };
            answered(run.fx.ask(at, &ask).await, ask.from.total()).map(Ran::done)
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.with.iter().any(|(_, template)| template.any(test))
    }
}

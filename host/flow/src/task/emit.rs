//! `emit`: publishes an event. The output is the event as it was published.
//!
//! ```yaml
//! - tell:
//!     emit:
//!       event:
//!         with:
//!           source: https://desk.example.com/intake
//!           type: com.example.ticket.opened.v1
//!           subject: ${ .id }
//!           data: ${ . }
//! ```
//!
//! `id` and `time` are the host's unless the flow gives them (CloudEvents 1.0).

use super::{Around, Kind, KindSpec, Ran};
use crate::FlowError;
use crate::decode::{At, Decoder, Object};
use crate::events;
use crate::expr::{self, Data, Expr, Template};
use crate::reuse::Context;
use crate::run::{self, Halt, Position, Run, Running, Scope, answered};
use crate::yaml::Kind as NodeKind;
use serde_json::Value;

pub(super) const SPEC: KindSpec = KindSpec { key: "emit", also: &[], decode };

/// An event to publish.
#[derive(Debug)]
struct Emit(Template);

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    _: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "emit")?;
    let emit = d.object(at, &["event"])?;
    let at = d.required(&emit, "event")?;
    let event = d.object(at, &["with"])?;
    let with = d.required(&event, "with").and_then(|at| d.map(at))?;
    for key in ["source", "type"] {
        d.required(&with, key);
    }
    for entry in with.entries() {
        let at = with.at.entry(entry);
        if entry.key == "specversion" {
            d.error_hint(&at, "an event is of CloudEvents 1.0", "leave `specversion` out");
        }
        events::attribute_name(d, &at, &entry.key);
        events::attribute(d, &at, &entry.key);
        attribute(d, &at, &entry.key);
    }
    expr::template(d, &with.at, around.vars).map(|template| Box::new(Emit(template)) as Box<dyn Kind>)
}

/// An attribute is no object or list (CloudEvents 1.0, "Type System"); `data` may be anything.
fn attribute(d: &mut Decoder<'_>, at: &At<'_>, name: &str) {
    match &at.node.kind {
        _ if name == "data" => {}
        NodeKind::Map(_) | NodeKind::List(_) => {
            let message =
                format!("an attribute is a text, a number or a boolean, not {}", at.node.describe());
            d.error_hint(at, message, "put it into `data`");
        }
        _ => {}
    }
}

/// What CloudEvents demands of computed attributes.
fn sound(event: &Value) -> Result<(), String> {
    for (name, value) in event.as_object().into_iter().flatten() {
        let text = value.as_str();
        match name.as_str() {
            "data" => {}
            "source" | "type" | "id" if text.is_none_or(str::is_empty) => {
                return Err(format!("the event's `{name}` must be a text that is not empty"));
            }
            "time" if text.is_none_or(|t| chrono::DateTime::parse_from_rfc3339(t).is_err()) => {
                return Err("the event's `time` must be a time as in RFC 3339".into());
            }
            _ if value.is_object() || value.is_array() => {
                return Err(format!("the event's `{name}` must be a text, a number or a boolean"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Kind for Emit {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let event = run.fill(&self.0, &input, scope)?;
            let from = event.provenance().clone();
            let mut event = event.into_value().map_err(Halt::Fault)?;
            if let Some(members) = event.as_object_mut() {
                // A computed attribute that is null is absent.
                members.retain(|name, value| name == "data" || !value.is_null());
                members.insert("specversion".into(), "1.0".into());
            }
            if let Err(message) = sound(&event) {
                return Err(Halt::Fault(FlowError::expression(message).and_labels(&from.total())));
            }
            let emit = run::Emit { event, from, deadline: scope.deadline() };
            let published = run.fx.emit(at, &emit).await;
            answered(published, emit.from).map(Ran::done)
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.0.any(test)
    }
}

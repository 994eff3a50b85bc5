//! `raise`: ends the task with an error, written here or taken out of `use.errors`.
//!
//! ```yaml
//! - refuse:
//!     raise:
//!       error:
//!         type: https://example.org/errors/no-such-order
//!         status: 404
//!         title: No such order
//!         detail: ${ "There is no order \(.order)" }
//! ```

use super::{Around, Kind, KindSpec, Ran, flat};
use crate::FlowError;
use crate::decode::{At, Decoder, Object, did_you_mean, shorten};
use crate::expr::{self, Data, Expr, Template, Vars, is_expression};
use crate::reuse::Context;
use crate::run::{Halt, Position, Run, Running, Scope};
use crate::yaml::Kind as NodeKind;
use factotum_provenance::Labels;
use serde_json::Value;

pub(super) const SPEC: KindSpec = KindSpec { key: "raise", also: &[], decode };

/// The error to raise; every text may be an expression.
#[derive(Debug)]
struct Raise {
    type_: Template,
    status: u16,
    title: Option<Template>,
    detail: Option<Template>,
    instance: Option<Template>,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "raise")?;
    let raise = d.object(at, &["error"])?;
    let at = d.required(&raise, "error")?;
    let at = match &at.node.kind {
        NodeKind::Text(name) => match cx.errors.get(name) {
            Some(definition) => definition.clone(),
            None => {
                let hint = did_you_mean(name, cx.errors.keys().map(String::as_str))
                    .unwrap_or_else(|| "define it in use.errors".into());
                d.error_hint(&at, format!("there is no error \"{}\"", shorten(name, 60)), hint);
                return None;
            }
        },
        _ => at,
    };
    error(d, at, around.vars).map(|raise| Box::new(raise) as Box<dyn Kind>)
}

/// Checks a definition in `use.errors`.
pub(crate) fn check(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) {
    error(d, at, vars);
}

fn error(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Raise> {
    let object = d.object(at, &["type", "status", "title", "detail", "instance"])?;
    let status = d.required(&object, "status").and_then(|at| {
        let status = d.count(&at)?;
        let status = u16::try_from(status).ok().filter(|s| (100..=599).contains(s));
        if status.is_none() {
            d.error(&at, "a status is a number from 100 to 599");
        }
        status
    });
    let type_ = d.required(&object, "type").and_then(|at| {
        let text = d.text(&at)?;
        if !is_expression(text) && !is_uri(text) {
            d.error_hint(
                &at,
                "an error's type must be a URI",
                "for example https://example.org/errors/no-such-order",
            );
            return None;
        }
        expr::template(d, &at, vars)
    });
    let mut text =
        |key: &str| object.get(key).map(|at| d.text(&at).and_then(|_| expr::template(d, &at, vars)));
    let (title, detail, instance) = (text("title"), text("detail"), text("instance"));
    Some(Raise {
        type_: type_?,
        status: status?,
        title: flat(title)?,
        detail: flat(detail)?,
        instance: flat(instance)?,
    })
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

impl Kind for Raise {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let mut from = Labels::default();
            let mut text = |template: Option<&Template>| -> Result<Option<String>, Halt> {
                let Some(template) = template else { return Ok(None) };
                let value = run.fill(template, &input, scope)?;
                from = from.union(&value.labels());
                match value.into_value().map_err(Halt::Fault)? {
                    Value::String(text) => Ok(Some(text)),
                    Value::Null => Ok(None),
                    other => Ok(Some(other.to_string())),
                }
            };
            let error = FlowError {
                type_: text(Some(&self.type_))?.unwrap_or_else(|| "about:blank".into()),
                status: self.status,
                title: text(self.title.as_ref())?.unwrap_or_default(),
                detail: text(self.detail.as_ref())?,
                instance: Some(text(self.instance.as_ref())?.unwrap_or_else(|| at.pointer().to_owned())),
                extra: Box::default(),
                from: Labels::default(),
            };
            Err(Halt::Fault(error.and_labels(&from)))
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.type_.any(test)
            || [&self.title, &self.detail, &self.instance]
                .into_iter()
                .flatten()
                .any(|template| template.any(test))
    }
}

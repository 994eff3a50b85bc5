//! Business hours: whose hours count, at which tasks, and lengths of business time.
//!
//! ```yaml
//! document:
//!   metadata:
//!     timezone: Europe/Berlin
//!     businessHours: { week: { mon-fri: ["09:00-17:30"] }, holidays: [2026-12-25] }   # or the name of a kept calendar
//! do:
//! - coolDown:
//!     wait: { days: 1, hours: 2 }            # one business day, then two hours of opening time
//!     metadata: { businessTime: true }       # or the name of a kept calendar
//! ```

use crate::decode::{At, Decoder, Object};
use crate::document::label;
use crate::duration;
use crate::expr::{Expr, Vars, is_expression};
use crate::reuse::Context;
use crate::yaml::Kind as NodeKind;
use factotum_calendar::{Calendar, Length};
use serde_json::Value;
use std::sync::Arc;

/// Whose hours count.
#[derive(Debug, Clone, PartialEq)]
pub enum Hours {
    /// Those that the flow writes itself.
    Own(Arc<Calendar>),
    /// Those of a calendar that the host keeps, by its name. Looked up at the moment that is counted from.
    Named(String),
}

/// A place in a flow that names a calendar of the host's, so that a deployer can look it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarSite {
    /// The calendar's name.
    pub name: String,
    /// The place: a JSON Pointer (RFC 6901).
    pub path: String,
    /// Line of the name, from 1.
    pub line: usize,
    /// Column of the name, from 1.
    pub column: usize,
}

/// A length of business time, or the expression that gives it.
#[derive(Debug)]
pub(crate) enum Span {
    Fixed(Length),
    Computed(Expr),
}

/// The key of a task's metadata.
const KEY: &str = "businessTime";

/// Decodes `document.metadata.businessHours`. `zone` counts when the hours name no time zone.
pub(crate) fn of_document(
    d: &mut Decoder<'_>,
    at: &At<'_>,
    zone: Option<&str>,
    sites: &mut Vec<CalendarSite>,
) -> Option<Hours> {
    if let NodeKind::Text(_) = &at.node.kind {
        return named(d, at, sites);
    }
    match Calendar::read(&at.node.to_json(), zone) {
        Ok(calendar) => Some(Hours::Own(Arc::new(calendar))),
        Err(wrong) => {
            let place = wrong.path.iter().fold(at.clone(), |at, key| at.find(key).unwrap_or(at));
            d.error_hint(&place, wrong.message, wrong.hint);
            None
        }
    }
}

fn named(d: &mut Decoder<'_>, at: &At<'_>, sites: &mut Vec<CalendarSite>) -> Option<Hours> {
    let name = label(d, at)?;
    let (line, column) = (at.node.mark.line, at.node.mark.column);
    sites.push(CalendarSite { name: name.clone(), path: at.path.clone(), line, column });
    Some(Hours::Named(name))
}

/// Whose hours a task counts in, if it says so; outer `None` when that is wrong.
pub(crate) fn of_task(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
) -> Option<Option<Hours>> {
    let metadata = object.get("metadata").and_then(|at| d.map(at));
    let Some(at) = metadata.and_then(|metadata| metadata.get(KEY)) else { return Some(None) };
    of_flag(d, &at, cx.hours.as_ref(), &mut cx.calendars)
}

/// `true` for the document's own hours, `false` for none, else the name of a calendar.
pub(crate) fn of_flag(
    d: &mut Decoder<'_>,
    at: &At<'_>,
    own: Option<&Hours>,
    sites: &mut Vec<CalendarSite>,
) -> Option<Option<Hours>> {
    match &at.node.kind {
        NodeKind::Bool(false) => Some(None),
        NodeKind::Bool(true) if own.is_some() => Some(own.cloned()),
        NodeKind::Bool(true) => {
            let hint = "write `document.metadata.businessHours`, or name a calendar here";
            d.error_hint(at, "the flow has no business hours", hint);
            None
        }
        _ => named(d, at, sites).map(Some),
    }
}

/// Decodes a length of business time that must be known when the flow is deployed.
pub(crate) fn fixed(d: &mut Decoder<'_>, at: &At<'_>) -> Option<Length> {
    // Says what is wrong with it as a duration, with its place.
    duration::fixed(d, at)?;
    match length(&at.node.to_json()) {
        Ok(length) => Some(length),
        Err(message) => {
            d.error(at, message);
            None
        }
    }
}

/// Decodes a length of business time that may be an expression.
pub(crate) fn span(d: &mut Decoder<'_>, at: &At<'_>, vars: &Vars) -> Option<Span> {
    match &at.node.kind {
        NodeKind::Text(text) if is_expression(text) => crate::expr::decode(d, at, vars).map(Span::Computed),
        _ => fixed(d, at).map(Span::Fixed),
    }
}

/// A length of business time out of a duration: its days are business days, the rest is opening time. `P1D` is so a
/// business day, and `PT24H` three of them where the desk is open for eight hours.
///
/// # Errors
/// What is no duration; weeks and parts of days, which are no number of business days.
pub fn length(value: &Value) -> Result<Length, String> {
    let whole = duration::from_value(value)?;
    let days = match value {
        Value::String(text) => {
            let date = text.trim_start_matches('P').split('T').next().unwrap_or_default();
            if date.contains(['W', '.']) {
                return Err(format!(
                    "\"{text}\" is no number of business days: weeks and parts of days have none; write whole days, and hours of opening time"
                ));
            }
            date.trim_end_matches('D').parse().unwrap_or(0)
        }
        _ => value.get("days").and_then(Value::as_u64).unwrap_or(0),
    };
    let ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).saturating_sub(days.saturating_mul(DAY_MS));
    Ok(Length { days: u32::try_from(days).unwrap_or(u32::MAX), ms })
}

/// A day in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// A length of business time for people.
pub(crate) fn words(length: Length) -> String {
    let rest = std::time::Duration::from_millis(length.ms);
    let days = match length.days {
        0 => return format!("{} of opening time", duration::words(rest)),
        1 => "1 business day".to_owned(),
        days => format!("{days} business days"),
    };
    if length.ms == 0 { days } else { format!("{days} and {} of opening time", duration::words(rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn days_are_business_days_and_hours_are_opening_time() {
        let hour = 3_600_000;
        for (value, days, ms) in [
            (json!("P2D"), 2, 0),
            (json!("P1DT2H"), 1, 2 * hour),
            (json!("PT48H"), 0, 48 * hour),
            (json!({"days": 3, "hours": 4}), 3, 4 * hour),
            (json!({"minutes": 90}), 0, hour + hour / 2),
        ] {
            assert_eq!(length(&value), Ok(Length { days, ms }), "{value}");
        }
        for wrong in [json!("P1W"), json!("P1.5D"), json!("2 days"), json!({"weeks": 1})] {
            assert!(length(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(words(Length { days: 2, ms: hour }), "2 business days and 1h of opening time");
    }
}

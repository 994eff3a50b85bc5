//! `document.metadata.sla`: within what time a run is to respond and to resolve, and what tasks say of it.
//!
//! ```yaml
//! document:
//!   metadata:
//!     sla:
//!       respond: PT4H                 # until a task with `slaMet: respond` has ended
//!       resolve: P2D                  # until the run ends
//!       warnAt: 0.75                  # of the time; 0.8 when absent
//!       businessHours: true           # in the flow's business hours, or the name of a kept calendar
//!       escalate: { group: leads }    # who is asked what the run asks, once it is breached
//!       notify: [leads]               # groups of the host that are mailed; its administrators when absent
//! do:
//! - answer: { call: mail/send, with: { … }, metadata: { slaMet: respond } }
//! - askCustomer: { listen: { … }, metadata: { slaPaused: true } }
//! ```
//!
//! Read and checked here; the host has the clocks.

use crate::decode::{At, Decoder, Object, shorten};
use crate::duration;
use crate::hours::{self, CalendarSite, Hours};
use crate::reuse::Context;
use crate::task::flat;
use crate::yaml::Kind;
use factotum_calendar::Length;
use std::time::Duration;

/// What a run is held to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sla {
    /// What is to be reached, and within what time. One or two, each once.
    pub targets: Vec<(SlaClock, SlaTime)>,
    /// After what part of the time people are warned, in percent, from 1 to 99.
    pub warn_at: u8,
    /// Who is asked instead, once it is breached.
    pub escalate: Option<SlaEscalation>,
    /// The groups of the host's configuration whose mail addresses are told when it warns and when it is breached; its
    /// administrators when there are none.
    pub notify: Vec<String>,
    /// Line and column of `notify`, from 1.
    pub notify_at: (usize, usize),
}

/// The most groups that are notified.
const MAX_GROUPS: usize = 20;

/// What a clock counts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SlaClock {
    /// The first answer.
    Respond,
    /// The end.
    Resolve,
}

impl SlaClock {
    /// The word in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SlaClock::Respond => "respond",
            SlaClock::Resolve => "resolve",
        }
    }
}

/// A length of time that a clock counts.
#[derive(Debug, Clone, PartialEq)]
pub enum SlaTime {
    /// Of all time.
    Wall(Duration),
    /// Of the time in which these hours are open.
    Business(Length, Hours),
}

/// Who is asked when it is breached: one of both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlaEscalation {
    /// This person.
    pub assignee: Option<String>,
    /// Or anyone of this group.
    pub group: Option<String>,
}

/// What a task says of the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlaChange {
    /// They stand still from here on: it is somebody else's turn.
    Paused,
    /// They go on.
    Resumed,
    /// This one has been reached.
    Met(SlaClock),
}

/// What a task's metadata says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TaskSla {
    pub paused: bool,
    pub met: Option<SlaClock>,
}

/// Decodes `document.metadata.sla`; `own` are the document's business hours.
pub(crate) fn decode(
    d: &mut Decoder<'_>,
    at: At<'_>,
    own: Option<&Hours>,
    sites: &mut Vec<CalendarSite>,
) -> Option<Sla> {
    let object = d.object(at, &["respond", "resolve", "warnAt", "businessHours", "escalate", "notify"])?;
    let hours = match object.get("businessHours") {
        Some(at) => hours::of_flag(d, &at, own, sites)?,
        None => None,
    };
    let mut targets = Vec::new();
    for clock in [SlaClock::Respond, SlaClock::Resolve] {
        let Some(at) = object.get(clock.as_str()) else { continue };
        let time = match &hours {
            Some(hours) => hours::fixed(d, &at).map(|length| SlaTime::Business(length, hours.clone())),
            None => duration::fixed(d, &at).map(SlaTime::Wall),
        }?;
        if matches!(time, SlaTime::Wall(Duration::ZERO) | SlaTime::Business(Length { days: 0, ms: 0 }, _)) {
            d.error(&at, "this must be longer than nothing");
            return None;
        }
        targets.push((clock, time));
    }
    if targets.is_empty() {
        let hint = "write `respond: PT4H`, `resolve: P2D` or both";
        d.error_hint(&object.at, "nothing is to be reached here", hint);
        return None;
    }
    let warn_at = object.get("warnAt").map(|at| fraction(d, &at));
    let escalate = object.get("escalate").map(|at| escalation(d, at));
    let notify_at = object.get("notify").map_or((0, 0), |at| (at.node.mark.line, at.node.mark.column));
    let notify = object.get("notify").map(|at| groups(d, &at));
    Some(Sla {
        targets,
        warn_at: flat(warn_at)?.unwrap_or(80),
        escalate: flat(escalate)?,
        notify: flat(notify)?.unwrap_or_default(),
        notify_at,
    })
}

/// One group's name, or several.
fn groups(d: &mut Decoder<'_>, at: &At<'_>) -> Option<Vec<String>> {
    let names = match &at.node.kind {
        Kind::List(items) => {
            let names = items.iter().enumerate();
            let names = names.map(|(i, item)| group(d, &at.child(&i.to_string(), item)));
            names.collect::<Vec<_>>().into_iter().collect::<Option<Vec<String>>>()?
        }
        _ => vec![group(d, at)?],
    };
    if names.is_empty() || names.len() > MAX_GROUPS {
        d.error(at, format!("1 to {MAX_GROUPS} groups are notified"));
        return None;
    }
    Some(names)
}

fn group(d: &mut Decoder<'_>, at: &At<'_>) -> Option<String> {
    let name = d.text(at)?;
    if name.is_empty() || name.contains('@') {
        let message = format!("\"{}\" is no group's name", shorten(name, 60));
        let hint =
            "an administrator gives a group its addresses: [notices.groups.NAME] in the configuration file";
        d.error_hint(at, message, hint);
        return None;
    }
    Some(name.to_owned())
}

fn fraction(d: &mut Decoder<'_>, at: &At<'_>) -> Option<u8> {
    if let Kind::Number(number) = &at.node.kind
        && let Some(part) = number.as_f64()
        && (0.01..=0.99).contains(&part)
    {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 99")]
        return Some((part * 100.0).round() as u8);
    }
    d.error_hint(at, "this is no part of the time", "a number from 0.01 to 0.99, such as 0.8");
    None
}

fn escalation(d: &mut Decoder<'_>, at: At<'_>) -> Option<SlaEscalation> {
    let object = d.object(at, &["assignee", "group"])?;
    let mut text = |key: &str| object.get(key).map(|at| d.text(&at).map(str::to_owned));
    let (assignee, group) = (flat(text("assignee"))?, flat(text("group"))?);
    if assignee.is_some() == group.is_some() {
        d.error(&object.at, "an escalation names either an `assignee` or a `group`");
        return None;
    }
    Some(SlaEscalation { assignee, group })
}

/// Decodes what a task's metadata says of the clocks; `None` when that is wrong.
pub(crate) fn of_task(d: &mut Decoder<'_>, object: &Object<'_>, cx: &mut Context<'_>) -> Option<TaskSla> {
    let Some(metadata) = object.get("metadata").and_then(|at| d.map(at)) else {
        return Some(TaskSla::default());
    };
    let (paused, met) = (metadata.get("slaPaused"), metadata.get("slaMet"));
    if let Some(at) = paused.as_ref().or(met.as_ref())
        && !cx.sla
    {
        d.error_hint(at, "the flow has no `sla`", "write `document.metadata.sla`");
        return None;
    }
    let paused = paused.map(|at| d.flag(&at));
    let met = met.map(|at| match d.text(&at)? {
        "respond" => Some(SlaClock::Respond),
        "resolve" => Some(SlaClock::Resolve),
        other => {
            let message = format!("\"{}\" is nothing that an sla has", shorten(other, 40));
            d.error_hint(&at, message, "respond or resolve");
            None
        }
    });
    Some(TaskSla { paused: flat(paused)?.unwrap_or(false), met: flat(met)? })
}

//! Test cases of flows: an input, answers in place of the world, and what is expected to come of it.
//!
//! ```yaml
//! flow: ticket-intake.yaml             # beside this file
//! mocks:                               # for every case; a case's own come first
//!   - { call: mail/send, returns: { message_id: m1 } }
//! calendars:                           # those that the flow names: as `factotum calendar set` takes them, or such a file
//!   germany: { timezone: Europe/Berlin, week: { mon-fri: ["09:00-17:00"] } }
//! cases:
//!   - name: an angry customer is put through to a person
//!     input: { channel: web, from: a@example.com, text: … }
//!     now: 2026-01-05T09:00:00Z        # when the run starts
//!     mocks:
//!       - { call: classifier/classify, returns: { … } }
//!       - { task: identify, fault: { kind: technical, status: 503 }, times: 1 }
//!     calendars: { germany: closed-on-monday.yaml }      # in this case instead
//!     events: [ { type: com.example.paid, source: shop, data: { … } } ]
//!     expect:
//!       outcome: completed             # or faulted, waiting
//!       output: { … }                  # exactly; output-has: at least this
//!       fault: { status: 404 }         # at least this
//!       tasks: [classify, identify]    # these ran, in this order, whatever ran between; not-tasks: these did not
//!       calls: [ { call: crm/add-case, with: { … } } ]   # these were made, in this order, with at least these arguments
//!       takes-at-least: 3600           # seconds of simulated time; takes-at-most
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use factotum_flow::{Calendar, Flow, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calendars::{self, Calendars};
use super::difference::{contains, differences, short};
use super::effects::{Asked, How, Rehearsed, rehearse};
use super::mocks::{Mock, Mocks, calls};

/// When the run of a case starts that does not say so: 2026-01-05T09:00:00Z, a Monday.
const MONDAY: u64 = 1_767_603_600_000;
/// The most cases in a file.
const MAX_CASES: usize = 10_000;

/// The cases of one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    flow: PathBuf,
    #[serde(default)]
    mocks: Vec<Mock>,
    /// As written, then as read.
    #[serde(default)]
    calendars: BTreeMap<String, Value>,
    #[serde(skip)]
    hours: Calendars,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    input: Value,
    now: Option<String>,
    #[serde(default)]
    mocks: Vec<Mock>,
    #[serde(default)]
    calendars: BTreeMap<String, Value>,
    #[serde(skip)]
    hours: Calendars,
    #[serde(default)]
    events: Vec<Value>,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Expect {
    outcome: Option<Expected>,
    output: Option<Value>,
    output_has: Option<Value>,
    fault: Option<Value>,
    #[serde(default)]
    tasks: Vec<String>,
    #[serde(default)]
    not_tasks: Vec<String>,
    #[serde(default)]
    calls: Vec<ExpectedCall>,
    #[serde(default)]
    not_calls: Vec<String>,
    takes_at_least: Option<f64>,
    takes_at_most: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Completed,
    Faulted,
    Waiting,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedCall {
    call: String,
    with: Option<Value>,
}

/// What is wrong with a file of cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct SuiteError {
    /// The file.
    pub file: String,
    /// What is wrong with it, and where.
    pub what: String,
}

/// How a case went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseReport {
    /// The case.
    pub name: String,
    /// What was not as expected, a line each; empty when all was.
    pub failures: Vec<String>,
    /// The simulated time that it took, in seconds.
    pub simulated_seconds: f64,
}

impl Suite {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(source: &str, file: &Path) -> Result<Self, SuiteError> {
        let name = file.display().to_string();
        let wrong = |what: String| SuiteError { file: name.clone(), what };
        let value = factotum_flow::read_yaml(source, &name).map_err(|problem| wrong(problem.to_string()))?;
        let mut suite: Suite = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
        if suite.cases.is_empty() || suite.cases.len() > MAX_CASES {
            return Err(wrong(format!("a file has 1 to {MAX_CASES} cases")));
        }
        for mock in &suite.mocks {
            mock.check().map_err(&wrong)?;
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        suite.hours = calendars::read(&suite.calendars, folder).map_err(&wrong)?;
        for case in &mut suite.cases {
            let wrong = |what: String| wrong(format!("case {:?}: {what}", case.name));
            for mock in &case.mocks {
                mock.check().map_err(wrong)?;
            }
            case.hours = calendars::read(&case.calendars, folder).map_err(wrong)?;
        }
        Ok(suite)
    }

    /// The flow's file; as it is written, beside the file of the cases.
    #[must_use]
    pub fn flow(&self) -> &Path {
        &self.flow
    }

    /// Runs the cases whose names are wanted, each by itself. Takes processor time: call it off the async threads.
    #[must_use]
    pub fn run(&self, flow: &Flow, wanted: impl Fn(&str) -> bool) -> Vec<CaseReport> {
        let wanted = self.cases.iter().filter(|case| wanted(&case.name));
        wanted.map(|case| case.run(flow, self)).collect()
    }
}

impl Case {
    fn run(&self, flow: &Flow, suite: &Suite) -> CaseReport {
        let name = self.name.clone();
        let at = match self.now.as_deref().map(chrono::DateTime::parse_from_rfc3339) {
            None => MONDAY,
            Some(Ok(time)) => u64::try_from(time.timestamp_millis()).unwrap_or(MONDAY),
            Some(Err(error)) => {
                let failures = vec![format!("`now` is no time (RFC 3339): {error}")];
                return CaseReport { name, failures, simulated_seconds: 0.0 };
            }
        };
        let own = Mocks { mocks: &self.mocks, events: &self.events, hours: &self.hours };
        let shared = Mocks { mocks: &suite.mocks, events: &[], hours: &suite.hours };
        let rehearsed =
            rehearse(flow, "0123456789abcdef0123456789abcdef", self.input.clone(), at, &(own, shared));
        let mut failures = Vec::new();
        for unknown in &rehearsed.unknown {
            if unknown.what != "listen" {
                failures.push(format!(
                    "task {} asked for {} with {}, and no mock answers that",
                    unknown.name,
                    unknown.what,
                    short(&unknown.with)
                ));
            }
        }
        for name in &rehearsed.unknown_calendars {
            failures.push(format!(
                "the flow counts in the calendar {name:?}, which a host would keep; write it, or its file's name, under \
                 `calendars: {{ {name}: … }}`"
            ));
        }
        failures.extend(self.expect.failures(&rehearsed));
        if !failures.is_empty() {
            failures.extend(
                self.mocks
                    .iter()
                    .filter_map(Mock::unused)
                    .map(|mock| format!("(the mock of {mock} was not used)")),
            );
        }
        CaseReport { name, failures, simulated_seconds: rehearsed.took.as_secs_f64() }
    }
}

/// A case's own mocks come first.
impl super::effects::Answers for (Mocks<'_>, Mocks<'_>) {
    fn answer(&self, asked: &Asked) -> super::effects::Given {
        // What the task itself answers comes last of all.
        let plain = Asked { mock: None, ..asked.clone() };
        match self.0.answer(&plain) {
            super::effects::Given::Unknown => self.1.answer(asked),
            given => given,
        }
    }

    fn event(
        &self,
        asked: &Asked,
        nth: u64,
        subscription: &factotum_flow::Subscription,
    ) -> super::effects::Given {
        self.0.event(asked, nth, subscription)
    }

    fn calendar(&self, name: &str) -> Option<Arc<Calendar>> {
        self.0.calendar(name).or_else(|| self.1.calendar(name))
    }
}

impl Expect {
    fn failures(&self, rehearsed: &Rehearsed) -> Vec<String> {
        let mut failures = Vec::new();
        let (outcome, output, fault) = match &rehearsed.outcome {
            Some(Outcome::Completed(output)) => (Expected::Completed, Some(output.clone()), None),
            Some(Outcome::Faulted(error)) => (Expected::Faulted, None, Some(error.to_value())),
            Some(Outcome::Suspended | Outcome::Cancelled) | None => (Expected::Waiting, None, None),
        };
        let implied = if self.fault.is_some() {
            Some(Expected::Faulted)
        } else if self.output.is_some() || self.output_has.is_some() {
            Some(Expected::Completed)
        } else {
            None
        };
        if let Some(expected) = self.outcome.or(implied)
            && expected != outcome
        {
            let with = fault.as_ref().map(|fault| format!(" with {}", short(fault))).unwrap_or_default();
            failures.push(format!("outcome: expected {}, found {}{with}", word(expected), word(outcome)));
        }
        for (what, expected, found, part) in [
            ("output", &self.output, &output, false),
            ("output", &self.output_has, &output, true),
            ("fault", &self.fault, &fault, true),
        ] {
            if let (Some(expected), Some(found)) = (expected, found) {
                failures.extend(
                    differences(expected, found, part).into_iter().map(|line| format!("{what} {line}")),
                );
            }
        }
        self.order(rehearsed, &mut failures);
        let took = rehearsed.took.as_secs_f64();
        if self.takes_at_least.is_some_and(|least| took < least)
            || self.takes_at_most.is_some_and(|most| took > most)
        {
            failures.push(format!("it took {took} seconds of simulated time"));
        }
        failures
    }

    fn order(&self, rehearsed: &Rehearsed, failures: &mut Vec<String>) {
        let ran: Vec<_> = rehearsed.ran.iter().filter(|ran| ran.how != How::Skipped).collect();
        let is = |name: &str, place: &str, wanted: &str| name == wanted || place == wanted;
        let mut rest = ran.iter();
        for task in &self.tasks {
            if !rest.any(|ran| is(&ran.name, &ran.place, task)) {
                let names: Vec<&str> = ran.iter().map(|ran| ran.name.as_str()).collect();
                failures
                    .push(format!("tasks: {task} did not run in this order; what ran: {}", names.join(", ")));
                break;
            }
        }
        for task in &self.not_tasks {
            if ran.iter().any(|ran| is(&ran.name, &ran.place, task)) {
                failures.push(format!("tasks: {task} ran"));
            }
        }
        let mut made = rehearsed.asked.iter();
        for wanted in &self.calls {
            let fits = |asked: &&Asked| {
                calls(&asked.what, &wanted.call)
                    && wanted.with.as_ref().is_none_or(|with| contains(&asked.with, with))
            };
            if made.by_ref().find(fits).is_none() {
                failures.push(self.missing(wanted, rehearsed));
                break;
            }
        }
        for call in &self.not_calls {
            if let Some(asked) = rehearsed.asked.iter().find(|asked| calls(&asked.what, call)) {
                failures.push(format!(
                    "calls: {call} was called, by task {} with {}",
                    asked.name,
                    short(&asked.with)
                ));
            }
        }
    }

    fn missing(&self, wanted: &ExpectedCall, rehearsed: &Rehearsed) -> String {
        let alike: Vec<&Asked> =
            rehearsed.asked.iter().filter(|asked| calls(&asked.what, &wanted.call)).collect();
        match (alike.as_slice(), &wanted.with) {
            ([], _) => {
                let made: Vec<&str> = rehearsed.asked.iter().map(|asked| asked.what.as_str()).collect();
                format!("calls: {} was not called; what was: {}", wanted.call, made.join(", "))
            }
            ([one], Some(with)) => {
                let lines = differences(with, &one.with, true);
                if lines.is_empty() {
                    format!("calls: {} was called, but not in this order", wanted.call)
                } else {
                    format!("calls: {}: {}", wanted.call, lines.join("; "))
                }
            }
            (several, _) => format!(
                "calls: {} was called {} times, but not in this order and with these arguments",
                wanted.call,
                several.len()
            ),
        }
    }
}

fn word(outcome: Expected) -> &'static str {
    match outcome {
        Expected::Completed => "completed",
        Expected::Faulted => "faulted",
        Expected::Waiting => "waiting",
    }
}

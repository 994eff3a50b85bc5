//! The effects of a rehearsal: answered, counted, never done.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use factotum_flow::{
    Answer, Ask, Calendar, Call, Deadline, Effects, Emit, Flow, FlowError, Hours, HttpCall, Length, Outcome,
    Position, Script, Start, Stop, Subflow, Subscription, TaskEvent, Undoing,
};
use factotum_provenance::Labels;
use serde_json::{Value, json};

use super::simulated::Simulated;
use crate::ids;
use crate::place::place;
use crate::time::rfc3339;

/// What a flow asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// Its place, without the numbers of tasks in their lists.
    pub place: String,
    /// Its key, as a journal has it.
    pub key: String,
    /// The task: a JSON Pointer into the document.
    pub task: String,
    /// The task's name.
    pub name: String,
    /// What was asked for: a function, `GET https://…`, `emit`, `human-task`.
    pub what: String,
    /// With which arguments.
    pub with: Value,
    /// What the task itself says to answer in a test (`metadata.mock`).
    pub mock: Option<Value>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    /// This, after a while.
    Answer(Result<Value, FlowError>, Duration),
    /// Nobody knows what would be answered: the run comes no further here.
    Unknown,
}

/// Where the answers of a rehearsal come from.
pub(super) trait Answers: Send + Sync {
    /// The answer to something that is done once.
    fn answer(&self, asked: &Asked) -> Given;

    /// The `nth` event that a listening task gets.
    fn event(&self, asked: &Asked, nth: u64, subscription: &Subscription) -> Given;

    /// How long a wait takes; it may be over.
    fn wait(&self, _asked: &Asked, duration: Duration) -> Duration {
        duration
    }

    /// Whether a wait is known to be over.
    fn waited(&self, _place: &str) -> bool {
        false
    }

    /// The time that was told at a place, if one was.
    fn time(&self, _place: &str) -> Option<u64> {
        None
    }

    /// Whether a deadline passed at a place; `None` when the clock is to say.
    fn late(&self, _place: &str) -> Option<bool> {
        None
    }

    /// What was decided at a place.
    fn decided(&self, _place: &str) -> Option<Value> {
        None
    }

    /// A calendar that the host would keep under this name.
    fn calendar(&self, _name: &str) -> Option<Arc<Calendar>> {
        None
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    pub name: String,
    pub place: String,
    /// The task: a JSON Pointer into the document.
    pub task: String,
    pub how: How,
}

/// The ways in which a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Completed,
    Faulted,
    Skipped,
}

/// What a rehearsal found out.
pub(super) struct Rehearsed {
    /// How it ended; `None` when it waits for something that never comes.
    pub outcome: Option<Outcome>,
    pub asked: Vec<Asked>,
    /// What nobody could answer.
    pub unknown: Vec<Asked>,
    pub ran: Vec<Ran>,
    /// What it would take back, and has not yet, in that order.
    pub undoing: Vec<Asked>,
    /// The calendars that it counted in and nobody knows.
    pub unknown_calendars: BTreeSet<String>,
    /// How long it took, in its own time.
    pub took: Duration,
}

/// Runs a flow on given answers.
pub(super) fn rehearse(flow: &Flow, run_id: &str, input: Value, at: u64, answers: &dyn Answers) -> Rehearsed {
    rehearsed(flow, run_id, input, at, answers, false)
}

/// The same, and the run is cancelled where nobody knows what would be answered.
pub(super) fn cancel(flow: &Flow, run_id: &str, input: Value, at: u64, answers: &dyn Answers) -> Rehearsed {
    rehearsed(flow, run_id, input, at, answers, true)
}

fn rehearsed(
    flow: &Flow,
    run_id: &str,
    input: Value,
    at: u64,
    answers: &dyn Answers,
    cancelled: bool,
) -> Rehearsed {
    let start = Start { run_id: run_id.to_owned(), input, started_at: rfc3339(at), from: Labels::default() };
    let (run_id, state) = (run_id.to_owned(), Mutex::default());
    let effects = Rehearsal { run_id, clock: Simulated::at(at), answers, cancelled, state };
    let outcome = effects.clock.run(flow.run(&start, &effects));
    let took = Duration::from_millis(effects.clock.passed());
    let state = effects.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let State { asked, unknown, ran, undoing, unknown_calendars, .. } = state;
    Rehearsed { outcome, asked, unknown, ran, undoing, unknown_calendars, took }
}

struct Rehearsal<'a> {
    run_id: String,
    clock: Simulated,
    answers: &'a dyn Answers,
    /// Whether the run is cancelled where the answers end.
    cancelled: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    unknown: Vec<Asked>,
    ran: Vec<Ran>,
    undoing: Vec<Asked>,
    unknown_calendars: BTreeSet<String>,
    decided: HashMap<String, Value>,
}

impl Rehearsal<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn give(&self, asked: &Asked, given: Given, deadline: Option<Deadline>) -> Result<Answer, Stop> {
        if self.answers.late(&asked.place) == Some(true) {
            return Err(Stop::DeadlinePassed);
        }
        match given {
            Given::Unknown if self.cancelled => Err(Stop::Cancelled),
            Given::Unknown => match deadline {
                // What never comes is over when its time is.
                Some(deadline) if self.answers.late(&asked.place).is_none() => {
                    self.clock.until(deadline.0).await;
                    Err(Stop::DeadlinePassed)
                }
                _ => {
                    self.lock().unknown.push(asked.clone());
                    Err(Stop::Suspended)
                }
            },
            Given::Answer(result, after) => {
                let ready = self.clock.now().saturating_add(millis(after));
                self.reach(ready, deadline).await?;
                Ok(result.into())
            }
        }
    }

    async fn reach(&self, due: u64, deadline: Option<Deadline>) -> Result<(), Stop> {
        let until = deadline.map_or(due, |deadline| due.min(deadline.0));
        self.clock.until(until).await;
        if until < due { Err(Stop::DeadlinePassed) } else { Ok(()) }
    }

    /// When a length of business time has passed. In a calendar that nobody knows every day is open for all of it, and that
    /// is noted.
    fn business_end(&self, now: u64, length: Length, hours: &Hours) -> Result<u64, Stop> {
        let calendar = match hours {
            Hours::Own(calendar) => Arc::clone(calendar),
            Hours::Named(name) => match self.answers.calendar(name) {
                Some(calendar) => calendar,
                None => {
                    self.lock().unknown_calendars.insert(name.clone());
                    let days = u64::from(length.days).saturating_mul(DAY_MS);
                    return Ok(now.saturating_add(days).saturating_add(length.ms));
                }
            },
        };
        calendar.add(now, length).map_err(|never| Stop::Fault(FlowError::configuration(never.to_string())))
    }

    async fn ask_for(&self, asked: Asked, deadline: Option<Deadline>) -> Result<Answer, Stop> {
        self.lock().asked.push(asked.clone());
        let given = self.answers.answer(&asked);
        self.give(&asked, given, deadline).await
    }
}

fn asked(at: &Position, what: impl Into<String>, with: Value) -> Asked {
    Asked {
        place: place(at.key()),
        key: at.key().to_owned(),
        task: at.pointer().to_owned(),
        name: at.name().to_owned(),
        what: what.into(),
        with,
        mock: None,
    }
}

/// The arguments of a request, as histories and comparisons show them: `{body, headers, query}`.
pub(crate) fn http_arguments(call: &HttpCall<'_>) -> Value {
    let mut with = serde_json::Map::new();
    if let Some(body) = &call.body {
        with.insert("body".into(), body.clone());
    }
    for (name, pairs) in [("headers", &call.headers), ("query", &call.query)] {
        if !pairs.is_empty() {
            let pairs = pairs.iter().map(|(key, value)| (key.clone(), value.clone().into()));
            with.insert(name.into(), Value::Object(pairs.collect()));
        }
    }
    Value::Object(with)
}

#[async_trait]
impl Effects for Rehearsal<'_> {
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<Answer, Stop> {
        let mock = call.metadata.get("mock").cloned();
        let asked = Asked { mock, ..asked(at, call.function.to_string(), call.with.clone()) };
        self.ask_for(asked, call.deadline).await
    }

    async fn http(&self, at: &Position, call: &HttpCall<'_>) -> Result<Answer, Stop> {
        let with = http_arguments(call);
        let mock = call.metadata.get("mock").cloned();
        let asked = Asked { mock, ..asked(at, format!("{} {}", call.method, call.uri), with) };
        self.ask_for(asked, call.deadline).await
    }

    async fn compensate(&self, at: &Position, what: &Undoing<'_, '_>) -> Result<Answer, Stop> {
        if self.cancelled {
            let asked = match what {
                Undoing::Call(call) => asked(at, call.function.to_string(), call.with.clone()),
                Undoing::Http(call) => {
                    asked(at, format!("{} {}", call.method, call.uri), http_arguments(call))
                }
                Undoing::Subflow(subflow) => {
                    asked(at, format!("flow {}/{}", subflow.namespace, subflow.name), subflow.input.clone())
                }
            };
            if let Given::Answer(known, _) = self.answers.answer(&asked) {
                return Ok(known.into());
            }
            self.lock().undoing.push(asked);
            return Ok(Ok(Value::Null).into());
        }
        match what {
            Undoing::Call(call) => self.call(at, call).await,
            Undoing::Http(call) => self.http(at, call).await,
            Undoing::Subflow(subflow) => self.subflow(at, subflow).await,
        }
    }

    async fn emit(&self, at: &Position, emit: &Emit) -> Result<Answer, Stop> {
        let mut event = emit.event.clone();
        if let Value::Object(members) = &mut event {
            let id = ids::digest_parts("event", &[self.run_id.as_bytes(), at.key().as_bytes()], 16);
            members.entry("id").or_insert(Value::String(id));
            members.entry("time").or_insert(Value::String(rfc3339(self.clock.now())));
        }
        self.lock().asked.push(asked(at, "emit", emit.event.clone()));
        Ok(Ok(event).into())
    }

    async fn event(
        &self,
        at: &Position,
        nth: u64,
        subscription: &Subscription,
        deadline: Option<Deadline>,
    ) -> Result<Answer, Stop> {
        let asked = asked(at, "listen", json!({ "nth": nth }));
        if nth == 0 {
            self.lock().asked.push(asked.clone());
        }
        let given = self.answers.event(&asked, nth, subscription);
        self.give(&asked, given, deadline).await
    }

    async fn subflow(&self, at: &Position, subflow: &Subflow) -> Result<Answer, Stop> {
        let what = format!("flow {}/{}", subflow.namespace, subflow.name);
        self.ask_for(asked(at, what, subflow.input.clone()), subflow.deadline).await
    }

    async fn script(&self, at: &Position, script: &Script<'_>) -> Result<Answer, Stop> {
        self.ask_for(asked(at, "script", json!({ "arguments": script.arguments })), script.deadline).await
    }

    async fn ask(&self, at: &Position, ask: &Ask<'_>) -> Result<Answer, Stop> {
        let mock = ask.metadata.get("mock").cloned();
        self.ask_for(Asked { mock, ..asked(at, "human-task", ask.with.clone()) }, ask.deadline).await
    }

    async fn wait(&self, at: &Position, duration: Duration, deadline: Option<Deadline>) -> Result<(), Stop> {
        let asked = asked(at, "wait", json!({ "ms": millis(duration) }));
        if self.answers.late(&asked.place) == Some(true) {
            return Err(Stop::DeadlinePassed);
        }
        if self.cancelled && !self.answers.waited(&asked.place) {
            return Err(Stop::Cancelled);
        }
        let duration = self.answers.wait(&asked, duration);
        self.reach(self.clock.now().saturating_add(millis(duration)), deadline).await
    }

    async fn deadline(&self, at: &Position, after: Duration) -> Result<Deadline, Stop> {
        let from = self.answers.time(&place(at.key())).unwrap_or_else(|| self.clock.now());
        Ok(Deadline(from.saturating_add(millis(after))))
    }

    async fn business_wait(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
        deadline: Option<Deadline>,
    ) -> Result<(), Stop> {
        if self.cancelled && !self.answers.waited(&place(at.key())) {
            return Err(Stop::Cancelled);
        }
        let now = self.clock.now();
        let duration = self.business_end(now, length, hours)?.saturating_sub(now);
        self.wait(at, Duration::from_millis(duration), deadline).await
    }

    async fn business_deadline(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
    ) -> Result<Deadline, Stop> {
        match self.answers.time(&place(at.key())) {
            Some(known) => Ok(Deadline(known)),
            None => self.business_end(self.clock.now(), length, hours).map(Deadline),
        }
    }

    fn decided(&self, at: &Position) -> Option<Value> {
        let place = place(at.key());
        let here = self.lock().decided.get(&place).cloned();
        here.or_else(|| self.answers.decided(&place))
    }

    async fn decide(&self, at: &Position, value: &Value) -> Result<(), Stop> {
        self.lock().decided.insert(place(at.key()), value.clone());
        Ok(())
    }

    async fn random(&self, at: &Position) -> Result<f64, Stop> {
        // The same in each rehearsal.
        let digest = ids::digest_parts("random", &[self.run_id.as_bytes(), at.key().as_bytes()], 4);
        Ok(f64::from(u32::from_str_radix(&digest, 16).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0))
    }

    async fn now(&self, at: &Position) -> Result<String, Stop> {
        Ok(rfc3339(self.answers.time(&place(at.key())).unwrap_or_else(|| self.clock.now())))
    }

    fn observe(&self, at: &Position, event: &TaskEvent<'_>) {
        let how = match event {
            TaskEvent::Completed => How::Completed,
            TaskEvent::Faulted(_) => How::Faulted,
            TaskEvent::Skipped => How::Skipped,
            TaskEvent::Started | TaskEvent::Retrying { .. } => return,
        };
        let (name, task) = (at.name().to_owned(), at.pointer().to_owned());
        self.lock().ran.push(Ran { name, place: place(at.key()), task, how });
    }
}

/// A day in milliseconds.
const DAY_MS: u64 = 86_400_000;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! What the tests of this crate share: effects that are scripted, recorded and replayed.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

pub mod steps;
pub mod web;

use async_trait::async_trait;
use factotum_flow::{
    Ask, Call, Deadline, Effects, Emit, Flow, FlowError, Hours, HttpCall, HttpOutput, Length, Outcome,
    Position, Script as Code, SlaChange, Start, Stop, Subflow, Subscription, TaskEvent,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// What a recorded effect answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Value(Value),
    Fault(FlowError),
    Passed,
}

/// One effect that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub kind: &'static str,
    pub key: String,
    pub idempotency: String,
    pub pointer: String,
    pub what: String,
    pub host_retries: bool,
}

/// Answers a request with a status and a body.
type Web = Box<dyn Fn(&HttpCall<'_>) -> (u16, Value) + Send + Sync>;

type Script = Box<dyn Fn(&str, &Value, usize) -> Result<Value, FlowError> + Send + Sync>;

/// Effects that a test scripts; they keep a journal and can replay one.
pub struct Fake {
    script: Script,
    /// Whether a wait that is not in the journal suspends the run.
    pub suspend: bool,
    /// Refuse everything that is not in the journal.
    pub replay_only: bool,
    pub journal: Mutex<HashMap<String, Answer>>,
    pub asked: Mutex<Vec<Asked>>,
    pub events: Mutex<Vec<String>>,
    pub clock: Mutex<u64>,
    pub calls: Mutex<usize>,
    /// Seconds that every call takes.
    pub slow: u64,
    /// Events that have come, in their order.
    pub inbox: Vec<Value>,
    /// What was sent, as the host was asked.
    pub requests: Mutex<Vec<Value>>,
    /// The run is cancelled when this function is called.
    pub cancel: Option<String>,
    /// Answers requests.
    pub web: Option<Web>,
    /// What could not be taken back.
    pub left: Mutex<Vec<String>>,
}

impl Fake {
    /// Calls are answered by `script(function, with, number of calls so far)`.
    pub fn new(
        script: impl Fn(&str, &Value, usize) -> Result<Value, FlowError> + Send + Sync + 'static,
    ) -> Self {
        Fake {
            script: Box::new(script),
            suspend: false,
            replay_only: false,
            journal: Mutex::default(),
            asked: Mutex::default(),
            events: Mutex::default(),
            clock: Mutex::new(0),
            calls: Mutex::new(0),
            slow: 0,
            inbox: Vec::new(),
            requests: Mutex::default(),
            cancel: None,
            web: None,
            left: Mutex::default(),
        }
    }

    /// Calls give back their arguments.
    pub fn echo() -> Self {
        Fake::new(|_, with, _| Ok(with.clone()))
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn keys(&self, kind: &str) -> Vec<String> {
        self.asked().into_iter().filter(|a| a.kind == kind).map(|a| a.key).collect()
    }

    /// What could not be taken back, as the host was told.
    pub fn told(&self) -> Vec<String> {
        self.left.lock().unwrap().clone()
    }

    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    fn note_key(&self, at: &Position, key: Option<&str>) {
        if let Some(key) = key {
            self.events.lock().unwrap().push(format!("{} has the key {key}", at.name()));
        }
    }

    fn ask(&self, kind: &'static str, at: &Position, what: String, host_retries: bool) -> Option<Answer> {
        self.asked.lock().unwrap().push(Asked {
            kind,
            key: at.key().to_owned(),
            idempotency: at.idempotency_path().to_owned(),
            pointer: at.pointer().to_owned(),
            what,
            host_retries,
        });
        let known = self.journal.lock().unwrap().get(at.key()).cloned();
        assert!(known.is_some() || !self.replay_only, "{kind} {} is not in the journal", at.key());
        known
    }

    /// Lets time pass, up to the deadline.
    fn passes(&self, at: &Position, seconds: u64, deadline: Option<Deadline>) -> bool {
        let mut clock = self.clock.lock().unwrap();
        let over = deadline.is_some_and(|d| (*clock + seconds) * 1000 > d.0);
        *clock = if over { deadline.unwrap().0 / 1000 } else { *clock + seconds };
        if over {
            self.record(at, Answer::Passed);
        }
        over
    }

    fn record(&self, at: &Position, answer: Answer) {
        let before = self.journal.lock().unwrap().insert(at.key().to_owned(), answer);
        assert_eq!(before, None, "the key {} was used twice", at.key());
    }
}

impl From<Answer> for Result<factotum_flow::Answer, Stop> {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Value(value) => Ok(Ok(value).into()),
            Answer::Fault(error) => Ok(Err(error).into()),
            Answer::Passed => Err(Stop::DeadlinePassed),
        }
    }
}

#[async_trait]
impl Effects for Fake {
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<factotum_flow::Answer, Stop> {
        let what = format!("{} {}", call.function, call.with);
        self.note_key(at, call.idempotency_key.as_deref());
        let answer = match self.ask("call", at, what, call.host_retries) {
            Some(answer) => answer,
            None => {
                for _ in 0..call.with["yields"].as_u64().unwrap_or(0) {
                    tokio::task::yield_now().await;
                }
                if self.cancel == Some(call.function.to_string()) {
                    return Err(Stop::Cancelled);
                }
                if self.passes(at, self.slow, call.deadline) {
                    return Err(Stop::DeadlinePassed);
                }
                let number = {
                    let mut calls = self.calls.lock().unwrap();
                    *calls += 1;
                    *calls
                };
                let answer = match (self.script)(&call.function.to_string(), &call.with, number) {
                    Ok(value) => Answer::Value(value),
                    Err(error) => Answer::Fault(error),
                };
                self.record(at, answer.clone());
                answer
            }
        };
        answer.into()
    }

    async fn http(&self, at: &Position, call: &HttpCall<'_>) -> Result<factotum_flow::Answer, Stop> {
        let what = format!("{} {}", call.method, call.uri);
        self.note_key(at, call.idempotency_key.as_deref());
        if let Some(answer) = self.ask("http", at, what, call.host_retries) {
            return answer.into();
        }
        self.requests.lock().unwrap().push(json!({
            "method": call.method, "uri": call.uri, "headers": call.headers, "query": call.query, "body": call.body,
            "authentication": call.authentication.map(|a| format!("{a:?}")), "redirect": call.redirect,
        }));
        let (status, content) = self.web.as_ref().expect("a web to ask")(call);
        let fine = (200..300).contains(&status) || call.redirect && (300..400).contains(&status);
        let answer = match call.output {
            _ if !fine => {
                let detail = format!("{} answered {status}", call.uri);
                Answer::Fault(FlowError::communication(detail).with_status(status))
            }
            HttpOutput::Response => Answer::Value(json!({
                "request": {"method": call.method, "uri": call.uri, "headers": {}},
                "statusCode": status, "headers": {"content-type": "application/json"}, "content": content,
            })),
            HttpOutput::Content => Answer::Value(content),
            HttpOutput::Raw => Answer::Value(format!("base64 of {content}").into()),
        };
        self.record(at, answer.clone());
        answer.into()
    }

    fn not_undone(&self, at: &Position, what: &str, error: &FlowError) {
        self.left.lock().unwrap().push(format!("{} {what} {}", at.key(), error.status));
    }

    async fn emit(&self, at: &Position, emit: &Emit) -> Result<factotum_flow::Answer, Stop> {
        if let Some(answer) = self.ask("emit", at, emit.event.to_string(), false) {
            return answer.into();
        }
        let mut event = emit.event.clone();
        let members = event.as_object_mut().unwrap();
        members.entry("id").or_insert_with(|| at.key().into());
        members.entry("time").or_insert_with(|| "2026-01-01T00:00:00Z".into());
        self.record(at, Answer::Value(event.clone()));
        Ok(Ok(event).into())
    }

    async fn event(
        &self,
        at: &Position,
        nth: u64,
        subscription: &Subscription,
        deadline: Option<Deadline>,
    ) -> Result<factotum_flow::Answer, Stop> {
        let key = format!("{}#event{nth}", at.key());
        self.asked.lock().unwrap().push(Asked {
            kind: "event",
            key: key.clone(),
            idempotency: key.clone(),
            pointer: at.pointer().to_owned(),
            what: format!("{:?}", subscription.any_of),
            host_retries: false,
        });
        if let Some(answer) = self.journal.lock().unwrap().get(&key).cloned() {
            return answer.into();
        }
        let fits = |event: &&Value| {
            let has = |(k, v): (&String, &String)| event[k] == **v;
            subscription.any_of.iter().any(|all| all.iter().all(has))
        };
        let answer = match self.inbox.iter().filter(fits).nth(usize::try_from(nth).unwrap()) {
            Some(event) => Answer::Value(event.clone()),
            None if deadline.is_some() => Answer::Passed,
            None => return Err(Stop::Suspended),
        };
        self.journal.lock().unwrap().insert(key, answer.clone());
        answer.into()
    }

    async fn unsubscribe(&self, at: &Position) -> Result<(), Stop> {
        self.events.lock().unwrap().push(format!("{} unsubscribed", at.name()));
        Ok(())
    }

    async fn subflow(&self, at: &Position, subflow: &Subflow) -> Result<factotum_flow::Answer, Stop> {
        let Subflow { namespace, name, version, input, wait, .. } = subflow;
        let what = format!("{namespace}/{name} {version:?} {input} {wait}");
        if let Some(answer) = self.ask("subflow", at, what, false) {
            return answer.into();
        }
        let value = if *wait { json!({"from": name, "input": input}) } else { json!({"id": "r2"}) };
        self.record(at, Answer::Value(value.clone()));
        Ok(Ok(value).into())
    }

    async fn script(&self, at: &Position, script: &Code<'_>) -> Result<factotum_flow::Answer, Stop> {
        let Code { code, arguments, environment, stdin, .. } = script;
        let what = format!("{code} {arguments:?} {environment:?} {stdin:?}");
        if let Some(answer) = self.ask("script", at, what, false) {
            return answer.into();
        }
        let value = json!({"code": 3, "stdout": arguments.join(" "), "stderr": "warned"});
        self.record(at, Answer::Value(value.clone()));
        Ok(Ok(value).into())
    }

    async fn ask(&self, at: &Position, ask: &Ask<'_>) -> Result<factotum_flow::Answer, Stop> {
        if let Some(answer) = self.ask("ask", at, ask.with.to_string(), false) {
            return answer.into();
        }
        let hours = ask.hours.map(zone);
        self.events.lock().unwrap().push(format!("asked in {hours:?}"));
        let value = json!({"outcome": "answered", "answer": {"approved": true}, "by": "ann", "at": "2026-01-01T00:00:00Z"});
        self.record(at, Answer::Value(value.clone()));
        Ok(Ok(value).into())
    }

    async fn wait(&self, at: &Position, duration: Duration, deadline: Option<Deadline>) -> Result<(), Stop> {
        match self.ask("wait", at, format!("{duration:?}"), false) {
            Some(Answer::Passed) => return Err(Stop::DeadlinePassed),
            Some(_) => return Ok(()),
            None => {}
        }
        if self.passes(at, duration.as_secs(), deadline) {
            return Err(Stop::DeadlinePassed);
        }
        self.record(at, Answer::Value(Value::Null));
        if self.suspend { Err(Stop::Suspended) } else { Ok(()) }
    }

    async fn deadline(&self, at: &Position, after: Duration) -> Result<Deadline, Stop> {
        let answer = self.ask("deadline", at, format!("{after:?}"), false);
        if let Some(Answer::Value(value)) = answer {
            return Ok(Deadline(value.as_u64().unwrap()));
        }
        let until = (*self.clock.lock().unwrap() + after.as_secs()) * 1000;
        self.record(at, Answer::Value(until.into()));
        Ok(Deadline(until))
    }

    async fn business_wait(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
        deadline: Option<Deadline>,
    ) -> Result<(), Stop> {
        match self.ask(
            "business wait",
            at,
            format!("{} d {} ms {}", length.days, length.ms, zone(hours)),
            false,
        ) {
            Some(Answer::Passed) => return Err(Stop::DeadlinePassed),
            Some(_) => return Ok(()),
            None => {}
        }
        // Business time, as the clock here knows it, is all time.
        if self.passes(at, u64::from(length.days) * 86_400 + length.ms / 1000, deadline) {
            return Err(Stop::DeadlinePassed);
        }
        self.record(at, Answer::Value(Value::Null));
        if self.suspend { Err(Stop::Suspended) } else { Ok(()) }
    }

    async fn business_deadline(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
    ) -> Result<Deadline, Stop> {
        let what = format!("{} d {} ms {}", length.days, length.ms, zone(hours));
        if let Some(Answer::Value(value)) = self.ask("business deadline", at, what, false) {
            return Ok(Deadline(value.as_u64().unwrap()));
        }
        let until = *self.clock.lock().unwrap() * 1000 + u64::from(length.days) * 86_400_000 + length.ms;
        self.record(at, Answer::Value(until.into()));
        Ok(Deadline(until))
    }

    async fn sla(&self, at: &Position, change: SlaChange) -> Result<(), Stop> {
        if self.ask("sla", at, format!("{change:?}"), false).is_none() {
            self.record(at, Answer::Value(Value::Null));
        }
        Ok(())
    }

    fn decided(&self, at: &Position) -> Option<Value> {
        match self.journal.lock().unwrap().get(at.key()) {
            Some(Answer::Value(value)) => Some(value.clone()),
            _ => None,
        }
    }

    async fn decide(&self, at: &Position, value: &Value) -> Result<(), Stop> {
        self.record(at, Answer::Value(value.clone()));
        Ok(())
    }

    async fn random(&self, at: &Position) -> Result<f64, Stop> {
        let answer = self.ask("random", at, String::new(), false);
        if let Some(Answer::Value(value)) = answer {
            return Ok(value.as_f64().unwrap());
        }
        self.record(at, Answer::Value(0.25.into()));
        Ok(0.25)
    }

    async fn now(&self, at: &Position) -> Result<String, Stop> {
        let answer = self.ask("now", at, String::new(), false);
        if let Some(Answer::Value(value)) = answer {
            return Ok(value.as_str().unwrap().to_owned());
        }
        let second = *self.clock.lock().unwrap();
        let now = format!("2026-01-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
        self.record(at, Answer::Value(now.clone().into()));
        Ok(now)
    }

    fn observe(&self, at: &Position, event: &TaskEvent<'_>) {
        let event = match event {
            TaskEvent::Started => "started".to_owned(),
            TaskEvent::Skipped => "skipped".to_owned(),
            TaskEvent::Completed => "completed".to_owned(),
            TaskEvent::Faulted(error) => format!("faulted {}", error.status),
            TaskEvent::Retrying { attempt, after } => format!("retrying {attempt} after {after:?}"),
        };
        self.events.lock().unwrap().push(format!("{} {event}", at.name()));
    }
}

/// Whose hours these are.
fn zone(hours: &Hours) -> String {
    match hours {
        Hours::Own(calendar) => calendar.zone().to_owned(),
        Hours::Named(name) => name.clone(),
    }
}

/// A whole document around a list of tasks (indented by nothing).
pub fn document(tasks: &str) -> String {
    format!("document: {{ dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }}\n{tasks}")
}

pub fn parse(tasks: &str) -> Flow {
    let source = document(tasks);
    Flow::parse(&source, "t.yaml").unwrap_or_else(|problems| panic!("{problems}\n{source}"))
}

/// The problems of a document, one per line.
pub fn problems(tasks: &str) -> String {
    match Flow::parse(&document(tasks), "t.yaml") {
        Ok(_) => panic!("this should not be accepted:\n{tasks}"),
        Err(problems) => problems.to_string(),
    }
}

pub fn start(input: Value) -> Start {
    Start {
        run_id: "r1".into(),
        input,
        started_at: "2026-01-01T00:00:00Z".into(),
        from: factotum_provenance::Labels::default(),
    }
}

/// Runs a document to its end.
pub async fn run(flow: &Flow, input: Value, fx: &Fake) -> Outcome {
    flow.run(&start(input), fx).await
}

/// Runs tasks with calls that echo, and gives the output.
pub async fn output(tasks: &str, input: Value) -> Value {
    match run(&parse(tasks), input, &Fake::echo()).await {
        Outcome::Completed(value) => value,
        other => panic!("{other:?}"),
    }
}

/// Runs tasks with calls that echo, and gives the error.
pub async fn fault(tasks: &str, input: Value) -> FlowError {
    match run(&parse(tasks), input, &Fake::echo()).await {
        Outcome::Faulted(error) => error,
        other => panic!("{other:?}"),
    }
}

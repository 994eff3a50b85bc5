//! What the tests of this crate share: effects that are scripted, recorded and replayed.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

use async_trait::async_trait;
use factotum_flow::{Call, Deadline, Effects, Flow, FlowError, Outcome, Position, Start, Stop, TaskEvent};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// What a recorded effect answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Value(Value),
    Fault(FlowError),
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

    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
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

    fn record(&self, at: &Position, answer: Answer) {
        let before = self.journal.lock().unwrap().insert(at.key().to_owned(), answer);
        assert_eq!(before, None, "the key {} was used twice", at.key());
    }
}

#[async_trait]
impl Effects for Fake {
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<factotum_flow::Answer, Stop> {
        let what = format!("{} {}", call.function, call.with);
        let answer = match self.ask("call", at, what, call.host_retries) {
            Some(answer) => answer,
            None => {
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
        match answer {
            Answer::Value(value) => Ok(Ok(value).into()),
            Answer::Fault(error) => Ok(Err(error).into()),
        }
    }

    async fn wait(&self, at: &Position, duration: Duration, _: Option<Deadline>) -> Result<(), Stop> {
        if self.ask("wait", at, format!("{duration:?}"), false).is_some() {
            return Ok(());
        }
        self.record(at, Answer::Value(Value::Null));
        *self.clock.lock().unwrap() += duration.as_secs();
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

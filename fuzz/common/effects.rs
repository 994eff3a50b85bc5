//! Effects that answer from where they are asked, keep a journal, and play it back.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use factotum_flow::{
    Answer, Ask, Call, Deadline, Effects, Emit, Flow, FlowError, HttpCall, Outcome, Position, Script, Start,
    Stop, Subflow, Subscription, TaskEvent,
};
use serde_json::{Value, json};

/// The most effects of one run; one that wants more is cancelled.
const MAX_EFFECTS: usize = 300;
/// How many events come at any one place.
const EVENTS: u64 = 3;

/// What was answered, by place.
#[derive(Default)]
pub struct Journal {
    answers: Mutex<HashMap<String, Result<Value, FlowError>>>,
    /// Whether what is not in the journal must not be asked for.
    closed: bool,
}

/// Runs a flow, and runs it again from its journal: it must end alike, and ask for nothing else.
pub fn run_twice(flow: &Flow, input: &Value) -> Outcome {
    let start = Start {
        run_id: "run".into(),
        input: input.clone(),
        started_at: "2026-01-01T00:00:00Z".into(),
        from: factotum_provenance::Labels::default(),
    };
    let mut journal = Journal::default();
    let outcome = finished(flow.run(&start, &journal));
    // One that asked for too much ends where it was counted, and a replay asks for less.
    if outcome != Outcome::Cancelled {
        journal.closed = true;
        assert_eq!(finished(flow.run(&start, &journal)), outcome, "a replay ended in another way");
    }
    outcome
}

/// Nothing here waits for the world, so that a future that is asked often enough is done.
fn finished<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("it waits for ever");
}

impl Journal {
    /// The answer of a place: the recorded one, or `new`.
    fn answer(
        &self,
        key: &str,
        new: impl FnOnce() -> Result<Value, FlowError>,
    ) -> Result<Result<Value, FlowError>, Stop> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(key) {
            assert!(self.closed, "the place {key} was used twice");
            return Ok(known.clone());
        }
        assert!(!self.closed, "a replay asked for {key}, which its run did not");
        if answers.len() >= MAX_EFFECTS {
            return Err(Stop::Cancelled);
        }
        let answer = new();
        answers.insert(key.to_owned(), answer.clone());
        Ok(answer)
    }

    /// An answer that hangs on the place: a fault, nothing, some data, or what was given.
    fn some(&self, at: &Position, given: &Value) -> Result<Answer, Stop> {
        let which = at.key().bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        let answer = self.answer(at.key(), || match which % 4 {
            0 => Err(FlowError::communication("nobody answers").with_status(503)),
            1 => Ok(Value::Null),
            2 => Ok(json!({"id": 7, "items": [1, "two", {"three": [null]}], "text": "ä\u{1F600}"})),
            _ => Ok(given.clone()),
        })?;
        Ok(answer.into())
    }

    fn value(&self, at: &Position, value: Value) -> Result<Value, Stop> {
        self.answer(at.key(), || Ok(value))?.map_err(Stop::Fault)
    }
}

#[async_trait]
impl Effects for Journal {
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<Answer, Stop> {
        self.some(at, &call.with)
    }

    async fn http(&self, at: &Position, call: &HttpCall<'_>) -> Result<Answer, Stop> {
        self.some(at, &json!({"method": call.method, "uri": call.uri, "body": call.body}))
    }

    async fn emit(&self, at: &Position, emit: &Emit) -> Result<Answer, Stop> {
        assert!(emit.event.is_object(), "an event is an object");
        Ok(self.answer(at.key(), || Ok(emit.event.clone()))?.into())
    }

    async fn event(
        &self,
        at: &Position,
        nth: u64,
        _: &Subscription,
        deadline: Option<Deadline>,
    ) -> Result<Answer, Stop> {
        if nth >= EVENTS {
            return Err(if deadline.is_some() { Stop::DeadlinePassed } else { Stop::Suspended });
        }
        let event = json!({
            "specversion": "1.0", "id": format!("e{nth}"), "source": "https://shop.test/orders",
            "type": "test.shop.order", "time": "2026-01-01T00:00:00Z", "data": {"order": nth, "text": "x"},
        });
        // A place may be asked for the same event again.
        let key = format!("{}#event{nth}", at.key());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(answers.entry(key).or_insert(Ok(event)).clone().into())
    }

    async fn subflow(&self, at: &Position, subflow: &Subflow) -> Result<Answer, Stop> {
        self.some(at, &subflow.input)
    }

    async fn script(&self, at: &Position, script: &Script<'_>) -> Result<Answer, Stop> {
        let said = json!({"code": 0, "stdout": script.arguments.join(" "), "stderr": ""});
        self.some(at, &said)
    }

    async fn ask(&self, at: &Position, ask: &Ask<'_>) -> Result<Answer, Stop> {
        self.some(at, &json!({"outcome": "done", "answer": ask.with, "by": "anna"}))
    }

    async fn wait(&self, at: &Position, duration: Duration, deadline: Option<Deadline>) -> Result<(), Stop> {
        let passed = deadline.is_some_and(|deadline| duration.as_millis() > u128::from(deadline.0));
        let answer = self.value(at, passed.into())?;
        if answer == json!(true) { Err(Stop::DeadlinePassed) } else { Ok(()) }
    }

    async fn deadline(&self, at: &Position, after: Duration) -> Result<Deadline, Stop> {
        let until = u64::try_from(after.as_millis()).expect("a duration of a document is bounded");
        self.value(at, until.into()).map(|_| Deadline(until))
    }

    fn decided(&self, at: &Position) -> Option<Value> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(at.key()).and_then(|answer| answer.clone().ok())
    }

    async fn decide(&self, at: &Position, value: &Value) -> Result<(), Stop> {
        self.value(at, value.clone()).map(drop)
    }

    async fn random(&self, at: &Position) -> Result<f64, Stop> {
        self.value(at, 0.25.into()).map(|_| 0.25)
    }

    async fn now(&self, at: &Position) -> Result<String, Stop> {
        let now = "2026-01-01T00:00:01Z";
        self.value(at, now.into()).map(|_| now.to_owned())
    }

    fn observe(&self, at: &Position, event: &TaskEvent<'_>) {
        assert!(!at.pointer().is_empty() || !at.key().contains('\n'));
        if let TaskEvent::Faulted(error) = event {
            assert!((400..=599).contains(&error.status), "the status of an error: {error:?}");
        }
    }
}

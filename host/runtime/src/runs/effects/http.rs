//! Requests of the flow's own: sent under what is granted to it, tried again like calls, journalled with what came back.

use std::sync::Arc;

use factotum_flow::{Answer, FlowError, HttpCall, Position, Stop};
use factotum_provenance::Labels;
use factotum_store::Batch;
use serde_json::Value;

use super::super::replay::{Answered, Failed};
use super::detach::Detached;
use super::rest::in_fork;
use super::time::until;
use super::{Durable, Halted, LONGEST_NAP_MS, MAX_RECORD, millis, narrowed_at};
use crate::journal::{Outcome, Record, WriteRecord};
use crate::requests::{self, Exchange, Outgoing, Place, Shape};
use crate::{audit, retry};

/// How the journal calls a request, with its method and place behind: no plugin's function holds a space.
const FUNCTION: &str = "http ";

impl Durable<'_> {
    /// The outcome of a request. With `takes_back` it undoes an earlier task, and cancelling the run does not stop it.
    pub(super) async fn request(
        &self,
        at: &Position,
        call: &HttpCall<'_>,
        takes_back: bool,
    ) -> Result<Answer, Stop> {
        if let Some(answer) = self.requested(at) {
            return answer;
        }
        self.not_late(at, call.deadline)?;
        let failed = self.lock().replay.failed(at);
        let mut attempt = 1;
        if let Some(Failed { attempt: last, retry_at }) = failed {
            self.resume_pause(at, retry_at, call.deadline, takes_back).await?;
            attempt = last.saturating_add(1);
        }
        let key = match &call.idempotency_key {
            Some(key) => key.clone(),
            None => self.lock().replay.idempotency_key(&self.run.id, at),
        };
        let holder = crate::flow_rights::holder(&self.run.row.flow);
        let prepared = requests::prepare(call, &key).and_then(|request| {
            let login = call.authentication.map(|policy| requests::login(&holder, policy)).transpose()?;
            Ok((request, login))
        });
        // What cannot be sent at all fails the same way on every replay, and needs no record.
        let (request, login) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error).into()),
        };
        self.catch_up().await?;
        let shape = Shape {
            output: call.output,
            redirect: call.redirect,
            method: request.method().to_string(),
            headers: request.headers().clone(),
        };
        let place = Place::of(request.method(), request.uri());
        loop {
            if self.engine.stop.is_requested() {
                return Err(self.halt(Halted::Abandon));
            }
            self.wanted(takes_back)?;
            self.in_time(at, call.deadline).await?;
            let outgoing = Outgoing {
                flow: self.run.row.flow.clone(),
                rights: self.engine.flow_rights.of(&self.run.row.flow),
                narrowed: self.run.deployment.narrowed(&narrowed_at(at, takes_back)).cloned(),
                data: call.from.clone().into(),
                request: request.clone(),
                login: login.clone(),
                redirect: call.redirect,
                timeout: self.rest(call.deadline),
                max_answer_bytes: MAX_RECORD as u64,
            };
            let exchange = self.exchange(at, outgoing, attempt).await;
            let outcome = requests::outcome(&exchange, &shape, attempt, self.engine.clock.now_ms());
            if outcome.is_err() && self.passed(call.deadline) {
                let mut entries = Batch::new();
                self.audit_request(&mut entries, at, attempt, &exchange);
                return Err(self.late(at, entries).await);
            }
            match outcome {
                Ok(value) => return self.answer_request(at, &place, attempt, &exchange, Ok(value)).await,
                Err((error, transient, after)) => {
                    let pause = (transient && call.host_retries)
                        .then(|| retry::pause_ms(attempt, &key, after))
                        .flatten();
                    match pause {
                        None => return self.answer_request(at, &place, attempt, &exchange, Err(error)).await,
                        Some(ms) => {
                            self.pause_request(at, call, &place, attempt, &exchange, &error, ms, takes_back)
                                .await?
                        }
                    }
                }
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// The outcome of a request, if the journal has it.
    fn requested(&self, at: &Position) -> Option<Result<Answer, Stop>> {
        let Answered { function, from, outcome } = self.lock().replay.call(at)?;
        if !function.starts_with(FUNCTION) {
            return Some(Err(self.stuck(format!(
                "the journal has a call of {function} at {}, the flow makes a request there",
                at.key()
            ))));
        }
        Some(Ok(Answer { result: outcome.into(), from }))
    }

    /// Sends once. In a `fork` it goes to its end even when this future is dropped, and is then audited.
    async fn exchange(&self, at: &Position, outgoing: Outgoing, attempt: u32) -> Exchange {
        if !in_fork(at) {
            return requests::exchange(&*self.engine.actions, outgoing).await;
        }
        let actions = Arc::clone(&self.engine.actions);
        let (engine, run, at) = (Arc::clone(self.engine), self.run.clone(), at.clone());
        let secret = self.lock().secret.clone();
        let work = async move { requests::exchange(&*actions, outgoing).await };
        let afterwards = move |exchange: Exchange| {
            let left = async move {
                let mut batch = Batch::new();
                audit::run_request(&mut batch, &engine, &run, &at, attempt, &exchange, &secret);
                if let Err(error) = engine.commit(batch).await {
                    tracing::error!(run = %run.id, %error, "a request that nobody waited for could not be audited");
                }
            };
            Box::pin(left) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
        };
        Detached::new(work, afterwards).await
    }

    fn audit_request(&self, batch: &mut Batch, at: &Position, attempt: u32, exchange: &Exchange) {
        let secret = self.lock().secret.clone();
        audit::run_request(batch, self.engine, self.run, at, attempt, exchange, &secret);
    }

    /// Journals the outcome, and gives it on.
    async fn answer_request(
        &self,
        at: &Position,
        place: &Place,
        attempt: u32,
        exchange: &Exchange,
        mut result: Result<Value, FlowError>,
    ) -> Result<Answer, Stop> {
        let mut bytes = self.encode(&self.was_sent(at, place, attempt, exchange, &exchange.from, &result))?;
        if bytes.len() > MAX_RECORD {
            let message = format!("the answer takes {} bytes; at most {MAX_RECORD} can be kept", bytes.len());
            result = Err(FlowError::communication(message)
                .with_status(413)
                .with("kind", "business")
                .with("code", "result-too-large")
                .with("hint", "ask for less: a page, a filter, fewer fields"));
            bytes = self.encode(&self.was_sent(at, place, attempt, exchange, &exchange.from, &result))?;
        }
        let mut entries = Batch::new();
        self.audit_request(&mut entries, at, attempt, exchange);
        self.write(Some(bytes), entries).await?;
        if let Err(error) = &result {
            let error = self.shown_text(&error.to_string());
            tracing::debug!(run = %self.run.id, task = at.pointer(), error, "a request failed");
        }
        Ok(Answer { result, from: exchange.from.clone() })
    }

    fn was_sent<'a>(
        &self,
        at: &Position,
        place: &Place,
        attempt: u32,
        exchange: &Exchange,
        from: &Labels,
        result: &'a Result<Value, FlowError>,
    ) -> WriteRecord<'a> {
        Record::Called {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            function: function(place),
            at: self.engine.clock.now_ms(),
            elapsed_ms: millis(exchange.elapsed),
            attempt,
            from: from.clone(),
            outcome: match result {
                Ok(value) => Outcome::Value(value),
                Err(error) => Outcome::Error(error),
            },
        }
    }

    /// Journals a failed attempt and lets the pause before the next one pass; the effect rests when it is long.
    #[expect(clippy::too_many_arguments, reason = "they only pass through, to the fields of one record")]
    async fn pause_request(
        &self,
        at: &Position,
        call: &HttpCall<'_>,
        place: &Place,
        attempt: u32,
        exchange: &Exchange,
        error: &FlowError,
        pause_ms: u64,
        takes_back: bool,
    ) -> Result<(), Stop> {
        let now = self.engine.clock.now_ms();
        let retry_at = now.saturating_add(pause_ms);
        let record: WriteRecord<'_> = Record::AttemptFailed {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            function: function(place),
            at: now,
            elapsed_ms: millis(exchange.elapsed),
            attempt,
            error,
            retry_at,
        };
        let bytes = self.encode(&record)?;
        let mut entries = Batch::new();
        self.audit_request(&mut entries, at, attempt, exchange);
        let until = until(retry_at, call.deadline);
        if until.saturating_sub(now) > LONGEST_NAP_MS {
            self.note_rest(at, bytes, entries).await?;
            return Err(self.rest_until(at, Some(until)));
        }
        self.write(Some(bytes), entries).await?;
        self.nap(until, takes_back).await
    }
}

fn function(place: &Place) -> String {
    format!("{FUNCTION}{} {}", place.method, place.target)
}

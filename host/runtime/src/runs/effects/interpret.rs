//! What the interpreter asks for, and who does it.

use std::time::Duration;

use async_trait::async_trait;
use factotum_flow::{
    Answer, Ask, Call, Deadline, Effects, Emit, FlowError, Hours, HttpCall, Length, Position, Script,
    SlaChange, Stop, Subflow, Subscription, TaskEvent, Undoing,
};
use factotum_store::Batch;
use serde_json::Value;

use super::{Durable, Opening, millis};
use crate::ids;
use crate::inbox::Asked;
use crate::journal::{Record, WriteRecord};
use crate::rehearsal::http_arguments;

#[async_trait]
impl Effects for Durable<'_> {
    async fn call(&self, at: &Position, call: &Call<'_>) -> Result<Answer, Stop> {
        self.learn(at, &call.with);
        self.seen(at, self.call_plugin(at, call, false).await)
    }

    async fn emit(&self, at: &Position, emit: &Emit) -> Result<Answer, Stop> {
        self.learn(at, &emit.event);
        self.publish(at, emit).await
    }

    async fn event(
        &self,
        at: &Position,
        nth: u64,
        subscription: &Subscription,
        deadline: Option<Deadline>,
    ) -> Result<Answer, Stop> {
        self.seen(at, self.listen(at, nth, subscription, deadline).await)
    }

    async fn unsubscribe(&self, at: &Position) -> Result<(), Stop> {
        self.stop_listening(at).await
    }

    async fn subflow(&self, at: &Position, subflow: &Subflow) -> Result<Answer, Stop> {
        self.learn(at, &subflow.input);
        self.seen(at, self.start_flow(at, subflow, false).await)
    }

    async fn ask(&self, at: &Position, ask: &Ask<'_>) -> Result<Answer, Stop> {
        self.learn(at, &ask.with);
        let answer = self.promised(at, ask.deadline, false, |promise, batch| {
            let (flow, task) = (&self.run.row.flow, at.pointer());
            let (with, shown) = (&ask.with, self.shown(&ask.with));
            let asked = Asked { flow, task, with, shown, hours: ask.hours, from: ask.from.total() };
            let what = self.engine.ask_person(batch, promise, asked);
            Ok(Opening { what: what.map_err(|e| self.stuck(e))?, run: None })
        });
        self.seen(at, answer.await)
    }

    async fn script(&self, at: &Position, script: &Script<'_>) -> Result<Answer, Stop> {
        self.seen(at, self.run_script(at, script).await)
    }

    async fn compensate(&self, at: &Position, what: &Undoing<'_, '_>) -> Result<Answer, Stop> {
        self.engine.controls.unwinds(&self.run.id);
        match what {
            Undoing::Call(call) => {
                self.learn(at, &call.with);
                self.seen(at, self.call_plugin(at, call, true).await)
            }
            Undoing::Http(call) => {
                self.learn(at, &http_arguments(call));
                self.seen(at, self.request(at, call, true).await)
            }
            Undoing::Subflow(subflow) => {
                self.learn(at, &subflow.input);
                self.seen(at, self.start_flow(at, subflow, true).await)
            }
        }
    }

    fn not_undone(&self, at: &Position, what: &str, error: &FlowError) {
        // The others are taken back all the same; then a person has to see to this one.
        self.lock().not_undone.push(format!("{what} at {}: {error}", at.key()));
    }

    async fn http(&self, at: &Position, call: &HttpCall<'_>) -> Result<Answer, Stop> {
        self.learn(at, &http_arguments(call));
        self.seen(at, self.request(at, call, false).await)
    }

    async fn wait(&self, at: &Position, duration: Duration, deadline: Option<Deadline>) -> Result<(), Stop> {
        self.wait_until(at, |now| Ok(now.saturating_add(millis(duration))), deadline).await
    }

    async fn business_wait(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
        deadline: Option<Deadline>,
    ) -> Result<(), Stop> {
        self.wait_until(at, |now| self.business_end(now, length, hours), deadline).await
    }

    async fn business_deadline(
        &self,
        at: &Position,
        length: Length,
        hours: &Hours,
    ) -> Result<Deadline, Stop> {
        let end = self.moment(at, |now| self.business_end(now, length, hours)).await?;
        Ok(Deadline(end))
    }

    async fn sla(&self, at: &Position, change: SlaChange) -> Result<(), Stop> {
        self.change_clocks(at, change).await
    }

    async fn random(&self, at: &Position) -> Result<f64, Stop> {
        // Drawn from run and place, so that it needs no record to be the same again.
        let digest = ids::digest_parts("random", &[self.run.id.as_bytes(), at.key().as_bytes()], 8);
        let bits = u64::from_str_radix(&digest, 16).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        Ok((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }

    async fn now(&self, at: &Position) -> Result<String, Stop> {
        Ok(crate::time::rfc3339(self.moment(at, Ok).await?))
    }

    async fn deadline(&self, at: &Position, after: Duration) -> Result<Deadline, Stop> {
        Ok(Deadline(self.moment(at, Ok).await?.saturating_add(millis(after))))
    }

    fn decided(&self, at: &Position) -> Option<Value> {
        self.lock().replay.decided(at)
    }

    async fn decide(&self, at: &Position, value: &Value) -> Result<(), Stop> {
        let now = self.engine.clock.now_ms();
        let record: WriteRecord<'_> = Record::Decided { key: at.key().to_owned(), at: now, value };
        let bytes = self.encode(&record)?;
        self.lock().forget_losers(at, value);
        self.put_ahead(bytes, Batch::new()).await
    }

    fn observe(&self, at: &Position, event: &TaskEvent<'_>) {
        if tracing::enabled!(tracing::Level::TRACE) {
            let event = self.shown_text(&format!("{event:?}"));
            tracing::trace!(run = %self.run.id, task = at.key(), event);
        }
        if self.engine.events.live.watched() {
            self.tell_task(at, event);
        }
    }
}

//! Events in a run: published, listened to, read one after another.

use factotum_audit::Actor;
use factotum_flow::{Answer, Deadline, Emit, FlowError, Position, Stop, Subscription};
use factotum_provenance::Labels;
use factotum_store::{Batch, StoreError};
use serde_json::Value;

use super::super::replay::{Answered, Heard, Listening};
use super::Durable;
use super::rest::Rest;
use crate::events::{self, Numbers, Stored};
use crate::journal::{Outcome, Record, WriteRecord};
use crate::place::place;

impl Durable<'_> {
    /// Publishes an event, in one batch with the record that it was.
    pub(super) async fn publish(&self, at: &Position, emit: &Emit) -> Result<Answer, Stop> {
        let told = self.lock().replay.call(at);
        if let Some(Answered { from, outcome, .. }) = told {
            return Ok(Answer { result: outcome.into(), from });
        }
        self.wanted(false)?;
        self.not_late(at, emit.deadline)?;
        self.in_time(at, emit.deadline).await?;
        let now = self.engine.clock.now_ms();
        let mut event = emit.event.clone();
        if let Some(members) = event.as_object_mut() {
            members.entry("specversion").or_insert_with(|| "1.0".into());
            let id = || self.lock().replay.idempotency_key(&self.run.id, at).into();
            members.entry("id").or_insert_with(id);
            members.entry("time").or_insert_with(|| crate::time::rfc3339(now).into());
        }
        let event = match events::cloud_event(event) {
            Ok(event) => event,
            Err(why) => {
                let error = FlowError::validation(format!("this is no event: {why}"));
                let bytes = self.emitted(at, Outcome::Error(&error))?;
                self.put_ahead(bytes, Batch::new()).await?;
                return Ok(Err(error).into());
            }
        };
        let record = self.emitted(at, Outcome::Value(&event))?;
        let known = self.engine.known_event(&event).map_err(|e| self.store_failed(&e))?;
        if known.is_some() {
            // The flow chose an identifier that its source has used before: a duplicate, as for any other publisher.
            self.put_ahead(record, Batch::new()).await?;
            return Ok(Ok(event).into());
        }
        let shown = self.shown(&event);
        let stored = Stored { at: now, from: emit.from.total(), event, shown };
        let bytes = serde_json::to_vec(&stored).map_err(|e| self.stuck(e.to_string()))?;
        self.write_in_order(record, bytes.len(), |numbers| {
            let mut batch = Batch::new();
            self.engine.add_event(numbers, &mut batch, &stored, bytes);
            let actor = Actor::Flow(self.run.row.flow.clone());
            crate::audit::event_emitted(&mut batch, self.engine, &actor, self.run, at, &stored);
            batch
        })
        .await?;
        self.engine.events.announce();
        Ok(Ok(stored.event).into())
    }

    fn emitted(&self, at: &Position, outcome: Outcome<&Value, &FlowError>) -> Result<Vec<u8>, Stop> {
        let record: WriteRecord<'_> = Record::Called {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            function: "emit".to_owned(),
            at: self.engine.clock.now_ms(),
            elapsed_ms: 0,
            attempt: 1,
            from: Labels::default(),
            outcome,
        };
        self.encode(&record)
    }

    /// The `nth` event of the subscription at this place. The first question opens it.
    pub(super) async fn listen(
        &self,
        at: &Position,
        nth: u64,
        wanted: &Subscription,
        deadline: Option<Deadline>,
    ) -> Result<Answer, Stop> {
        let (heard, listening) = {
            let mut state = self.lock();
            let heard = state.replay.heard(at, nth);
            (heard, state.replay.listening(at))
        };
        if let Some(Heard { event, from }) = heard {
            return Ok(Answer { result: Ok(event), from });
        }
        self.wanted(false)?;
        self.not_late(at, deadline)?;
        let id = events::sub_id(&self.run.id, &place(at.key()));
        let listening = listening.filter(|listening| !listening.closed);
        let stored = match listening {
            Some(_) => self.engine.subscription(&id).map_err(|e| self.store_failed(&e))?,
            None => None,
        };
        let (Some(stored), Some(Listening { cursor, used, .. })) = (stored, listening) else {
            self.in_time(at, deadline).await?;
            let stored = self.subscribe(at, &id, wanted).await?;
            return Err(self.rest_on_events(at, id, stored, deadline));
        };
        // Looked up after the subscription was read: what comes in between changes the subscription, and the run does not
        // come to rest.
        match events::queued(&self.engine.store, &id, cursor).map_err(|e| self.store_failed(&e))? {
            Some(kept) => self.hear(at, nth, &id, kept, used.saturating_add(1)).await,
            None if self.passed(deadline) => Err(self.late(at, Batch::new()).await),
            None => Err(self.rest_on_events(at, id, stored, deadline)),
        }
    }

    /// Closes the subscription at this place.
    pub(super) async fn stop_listening(&self, at: &Position) -> Result<(), Stop> {
        let listening = self.lock().replay.listening(at);
        let Some(listening) = listening.filter(|listening| !listening.closed) else { return Ok(()) };
        // What was read must be on disk before the queue is gone.
        self.catch_up().await?;
        let id = events::sub_id(&self.run.id, &place(at.key()));
        self.engine.close_subscription(&id).await.map_err(|e| self.store_failed(&e))?;
        let record: WriteRecord<'_> =
            Record::Unsubscribed { key: at.key().to_owned(), at: self.engine.clock.now_ms() };
        let bytes = self.encode(&record)?;
        self.put_ahead(bytes, Batch::new()).await?;
        self.lock().replay.listen(at, Listening { closed: true, ..listening });
        Ok(())
    }

    async fn subscribe(&self, at: &Position, id: &[u8], wanted: &Subscription) -> Result<Vec<u8>, Stop> {
        let record: WriteRecord<'_> = Record::Subscribed {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            at: self.engine.clock.now_ms(),
        };
        let record = self.encode(&record)?;
        let mut stored = Vec::new();
        let mut cursor = 0;
        self.write_in_order(record, 256, |numbers| {
            let mut batch = Batch::new();
            cursor = numbers.last;
            stored = events::open(&mut batch, id, wanted, numbers.last);
            batch
        })
        .await?;
        let listening = Listening { cursor, used: 0, closed: false };
        self.lock().replay.listen(at, listening);
        Ok(stored)
    }

    /// Journals an event that was kept for this run and uses it up.
    async fn hear(
        &self,
        at: &Position,
        nth: u64,
        id: &[u8],
        kept: events::Kept,
        used: u64,
    ) -> Result<Answer, Stop> {
        let record: WriteRecord<'_> = Record::Heard {
            key: at.key().to_owned(),
            nth,
            number: kept.number,
            task: at.pointer().to_owned(),
            at: self.engine.clock.now_ms(),
            from: kept.from.clone(),
            event: &kept.event,
        };
        let bytes = self.encode(&record)?;
        let mut batch = Batch::new();
        events::use_up(&mut batch, id, kept.number, used);
        self.put_ahead(bytes, batch).await?;
        let listening = Listening { cursor: kept.number, used, closed: false };
        self.lock().replay.listen(at, listening);
        Ok(Answer { result: Ok(kept.event), from: kept.from })
    }

    fn rest_on_events(
        &self,
        at: &Position,
        id: Vec<u8>,
        stored: Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Stop {
        self.put_to_rest(Rest {
            place: at.key().to_owned(),
            due: deadline.map(|deadline| deadline.0),
            promise: None,
            subscription: Some((id, stored)),
        })
    }

    /// Commits a record and what belongs to it where the order of events matters: `make` is called while that order is
    /// held, and the batch handed over before it is let go of.
    async fn write_in_order(
        &self,
        record: Vec<u8>,
        bytes: usize,
        make: impl FnOnce(&mut Numbers) -> Batch + Send,
    ) -> Result<(), Stop> {
        let submitted = self.engine.reserve(record.len().saturating_add(bytes)).await.and_then(|slot| {
            let mut numbers = self.engine.events.order();
            let batch = make(&mut numbers);
            let mut state = self.lock();
            state.put(&self.run.id, record);
            state.ahead.merge(batch);
            slot.submit(state.ahead.take(self.run)?)
        });
        let written = match submitted {
            Ok(pending) => pending.wait().await.map(drop),
            Err(error) => Err::<(), StoreError>(error),
        };
        self.written(written)
    }
}

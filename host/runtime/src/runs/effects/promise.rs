//! Waiting for what is resolved from outside: the answer of a person, the end of another run.

use factotum_flow::{Answer, Deadline, Position, Stop};
use factotum_provenance::Labels;
use factotum_store::{Batch, Expectation, Table};

use super::super::promises::{self, PromiseId, Resolution};
use super::rest::Rest;
use super::{Durable, Halted};
use crate::journal::{Outcome, Record, WriteRecord};

/// What a promise is opened for.
#[derive(Debug, Default)]
pub(in crate::runs) struct Opening {
    /// What is waited for, for the run's history.
    pub what: String,
    /// The run whose end is waited for.
    pub run: Option<String>,
}

impl Durable<'_> {
    /// The answer of the promise at this place.
    ///
    /// The first time, `open` says what is waited for and adds to the batch what must be
    /// on disk together with the promise, such as the inbox item or the other run. Then the effect rests until someone
    /// resolves the promise or the deadline passes. The answer is journalled when it is first used.
    pub(in crate::runs) async fn promised(
        &self,
        at: &Position,
        deadline: Option<Deadline>,
        takes_back: bool,
        open: impl FnOnce(&PromiseId, &mut Batch) -> Result<Opening, Stop> + Send,
    ) -> Result<Answer, Stop> {
        let (kept, opened) = {
            let mut state = self.lock();
            let kept = state.replay.kept(at);
            (kept, state.replay.promised(at))
        };
        if let Some(kept) = kept {
            return Ok(kept.into());
        }
        self.not_late(at, deadline)?;
        let id = PromiseId::new(&self.run.id, at);
        if !opened {
            self.wanted(takes_back)?;
            self.in_time(at, deadline).await?;
            return self.open_promise(at, deadline, &id, open).await;
        }
        if let Some(kept) = self.read_promise(&id)? {
            return self.keep(at, &id, kept).await;
        }
        self.wanted(takes_back)?;
        if !self.passed(deadline) {
            return Err(self.rest_on(at, &id, deadline));
        }
        // From here on nobody can resolve it any more; or someone was quicker.
        let mut close = Batch::new();
        close.expect(Table::Promises, id.open_key(), Expectation::Present);
        close.delete(Table::Promises, id.open_key());
        match self.engine.commit(close).await {
            Ok(_) => {}
            Err(error) if error.is_conflict() => {
                if let Some(kept) = self.read_promise(&id)? {
                    return self.keep(at, &id, kept).await;
                }
                // Closed by an execution that ended before it could write so.
            }
            Err(error) => return Err(self.store_failed(&error)),
        }
        self.used_up(&id);
        Err(self.late(at, Batch::new()).await)
    }

    async fn open_promise(
        &self,
        at: &Position,
        deadline: Option<Deadline>,
        id: &PromiseId,
        open: impl FnOnce(&PromiseId, &mut Batch) -> Result<Opening, Stop> + Send,
    ) -> Result<Answer, Stop> {
        let mut batch = Batch::new();
        let Opening { what, run } = open(id, &mut batch)?;
        let now = self.engine.clock.now_ms();
        let stored =
            promises::Open { key: &id.key, task: at.pointer(), what: &what, run: run.as_deref(), at: now };
        let stored = serde_json::to_vec(&stored).map_err(|e| self.stuck(e.to_string()))?;
        batch.put(Table::Promises, id.open_key(), stored);
        let (key, task) = (at.key().to_owned(), at.pointer().to_owned());
        let record: WriteRecord<'_> = Record::Promised { key, task, at: now, what };
        let bytes = self.encode(&record)?;
        {
            let mut state = self.lock();
            state.open.push(id.open_key());
            state.replay.promise(&id.key);
        }
        // Before the run rests: whoever is to resolve it may look for it at once.
        self.write(Some(bytes), batch).await?;
        Err(self.rest_on(at, id, deadline))
    }

    fn rest_on(&self, at: &Position, id: &PromiseId, deadline: Option<Deadline>) -> Stop {
        self.put_to_rest(Rest {
            place: at.key().to_owned(),
            due: deadline.map(|deadline| deadline.0),
            promise: Some(id.open_key()),
            subscription: None,
        })
    }

    fn read_promise(&self, id: &PromiseId) -> Result<Option<Resolution>, Stop> {
        let stored =
            self.engine.store.get(Table::Promises, &id.kept_key()).map_err(|e| self.store_failed(&e))?;
        let Some(stored) = stored else { return Ok(None) };
        serde_json::from_slice(&stored)
            .map(Some)
            .map_err(|e| self.stuck(format!("the answer for {} cannot be read: {e}", id.key)))
    }

    /// Journals an answer and uses it up.
    async fn keep(&self, at: &Position, id: &PromiseId, kept: Resolution) -> Result<Answer, Stop> {
        let Resolution { outcome, from } = kept;
        let record: WriteRecord<'_> = Record::Kept {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            at: self.engine.clock.now_ms(),
            from: from.clone(),
            outcome: match &outcome {
                Outcome::Value(value) => Outcome::Value(value),
                Outcome::Error(error) => Outcome::Error(error),
            },
        };
        let bytes = self.encode(&record)?;
        let mut batch = Batch::new();
        batch.delete(Table::Promises, id.kept_key());
        self.put_ahead(bytes, batch).await?;
        self.used_up(id);
        Ok(answer(outcome, from))
    }

    fn used_up(&self, id: &PromiseId) {
        let key = id.open_key();
        self.lock().open.retain(|open| *open != key);
    }

    pub(super) fn store_failed(&self, error: &factotum_store::StoreError) -> Stop {
        tracing::error!(run = %self.run.id, %error, "a run stops: the store fails");
        self.halt(Halted::Abandon)
    }
}

impl From<Resolution> for Answer {
    fn from(kept: Resolution) -> Self {
        answer(kept.outcome, kept.from)
    }
}

fn answer(outcome: Outcome<serde_json::Value, factotum_flow::FlowError>, from: Labels) -> Answer {
    Answer { result: outcome.into(), from }
}

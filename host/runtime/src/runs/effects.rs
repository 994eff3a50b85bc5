//! The effects of a run, durable: answered from the journal when it has them, else done, journalled, and then told.
//!
//! Each effect follows one order: look into the journal; write down what the journal does not have yet but the effect
//! depends on; act; commit outcome and audit entries in one batch; go on.
//!
//! A call of a plugin that may act on nothing need not be on disk before the run goes on, since no one outside has seen
//! it: if the host dies, it is made again. Its records stay in memory until the next call that may act, the next wait, or
//! the end of the run, up to a bound.
//!
//! Several effects of one run may be under way at once (`fork`). A record gets its number in the step that hands it to
//! the store's writer, so that numbers and batches are in one order. Each effect suspends for itself: the run goes to
//! rest when none of its effects goes on, until the earliest time that any of them waits for. An effect that is dropped
//! leaves what it has to say in what stands ahead, and a call in flight goes to its end, for the audit log.

mod ahead;
mod call;
mod detach;
mod event;
mod http;
mod interpret;
mod promise;
mod rest;
mod script;
mod seen;
mod sla;
mod subflow;
mod time;
mod write;

pub(super) use promise::Opening;
pub(super) use rest::Suspension;

use ahead::Ahead;
use rest::{Rest, suspension};

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use factotum_flow::{Position, Stop};
use factotum_provenance::Labels;
use factotum_store::{Batch, MAX_VALUE};

use super::provisional::Beginning;
use super::replay::Replay;
use super::{Engine, Run};
use crate::masking::Secret;
use crate::repair::Wanted;

/// A pause up to this long is slept through; a longer one suspends the run, which then costs no memory.
const LONGEST_NAP_MS: u64 = 2_000;
/// The largest journal record, in bytes. Below the store's bound, so that a record with its name always fits.
pub(super) const MAX_RECORD: usize = MAX_VALUE - 64 * 1024;

/// Why a run stopped without an end.
#[derive(Debug)]
pub(super) enum Halted {
    /// The host is stopping, or the store failed: what is on disk is resumed at the next start.
    Abandon,
    /// It cannot go on without a person.
    Stuck(String),
    /// A person has it stand still.
    Held,
}

/// What an execution of a run left behind.
pub(super) struct Left {
    pub halted: Option<Halted>,
    pub suspension: Option<Suspension>,
    /// The records and audit entries that were not written yet.
    pub ahead: Batch,
    /// What is to be written before them: the run is not on disk yet.
    pub beginning: Option<Beginning>,
    /// The position of the next journal record.
    pub next: u64,
    /// Promises that were opened and not used up, by their keys in the store.
    pub open: Vec<Vec<u8>>,
    /// What should have been taken back and could not be.
    pub not_undone: Vec<String>,
    /// Where the output may come from; only of runs that others wait for.
    pub from: Labels,
    /// What of the run's data people must not see.
    pub secret: Secret,
    /// Subscriptions that were not closed.
    pub subscriptions: Vec<Vec<u8>>,
    /// Promises and subscriptions, as above, that a run which waits does not wait for: they belong to branches that lost.
    pub lost: (Vec<Vec<u8>>, Vec<Vec<u8>>),
}

/// The effects of one execution of a run.
pub(super) struct Durable<'r> {
    engine: &'r Arc<Engine>,
    run: &'r Run,
    state: Mutex<State>,
    /// Held while the run's clocks are changed.
    clocks: tokio::sync::Mutex<()>,
}

struct State {
    replay: Replay,
    /// The position of the next journal record.
    next: u64,
    /// What is to be on disk before the next effect acts.
    ahead: Ahead,
    halted: Option<Halted>,
    /// What effects rest on.
    rests: Vec<Rest>,
    open: Vec<Vec<u8>>,
    not_undone: Vec<String>,
    /// Everything that came in, of a run that another one waits for.
    seen: Labels,
    /// What stood at the flow's sensitive places so far.
    secret: Secret,
}

impl<'r> Durable<'r> {
    pub fn new(engine: &'r Arc<Engine>, run: &'r Run, replay: Replay, next: u64) -> Self {
        let open = replay.open_promises(&run.id);
        let seen = replay.input_from.clone();
        let state = State {
            replay,
            next,
            ahead: Ahead::default(),
            halted: None,
            rests: Vec::new(),
            open,
            not_undone: Vec::new(),
            seen,
            secret: Secret::default(),
        };
        Self { engine, run, state: Mutex::new(state), clocks: tokio::sync::Mutex::default() }
    }

    /// Of a run that is not on disk: what opens it in the store is written with the first batch.
    pub fn opened_by(mut self, beginning: Option<Beginning>) -> Self {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).ahead.opened_by(beginning);
        self
    }

    /// What the execution left behind.
    pub fn into_end(self) -> Left {
        let State { replay, next, ahead, halted, rests, open, not_undone, seen, secret } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (beginning, ahead) = ahead.into_parts();
        let subscriptions = replay.open_subscriptions(&self.run.id);
        let waits_for = |key: &Vec<u8>| rests.iter().any(|rest| rest.promise.as_ref() == Some(key));
        let waits_on =
            |id: &Vec<u8>| rests.iter().any(|r| r.subscription.as_ref().is_some_and(|(s, _)| s == id));
        let lost = (
            open.iter().filter(|key| !waits_for(key)).cloned().collect(),
            subscriptions.iter().filter(|id| !waits_on(id)).cloned().collect(),
        );
        let suspension = (!rests.is_empty()).then(|| suspension(rests));
        Left {
            halted,
            suspension,
            ahead,
            beginning,
            next,
            open,
            not_undone,
            from: seen,
            secret,
            subscriptions,
            lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the run here. The first reason stands.
    fn halt(&self, why: Halted) -> Stop {
        self.lock().halted.get_or_insert(why);
        Stop::Suspended
    }

    fn stuck(&self, why: impl Into<String>) -> Stop {
        self.halt(Halted::Stuck(why.into()))
    }

    /// Why the run is not to do anything further, if a person wants so. While it takes back what it did, cancelling it is
    /// no reason any more.
    fn wanted(&self, takes_back: bool) -> Result<(), Stop> {
        match self.engine.controls.of(&self.run.id).map(|control| control.wanted) {
            None => Ok(()),
            Some(Wanted::Cancel) if takes_back => Ok(()),
            Some(Wanted::Cancel | Wanted::Abort) => Err(Stop::Cancelled),
            Some(Wanted::Suspend) => Err(self.halt(Halted::Held)),
        }
    }
}

/// The place in the document whose narrowing holds: what takes a task's work back has its own.
fn narrowed_at(at: &Position, takes_back: bool) -> Cow<'_, str> {
    if takes_back { format!("{}/metadata/compensate", at.pointer()).into() } else { at.pointer().into() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

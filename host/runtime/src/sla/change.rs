//! What changes the clocks of a run: its start, what its tasks say, its end, and its going on after that. Each in the batch
//! of what changed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use factotum_flow::{Calendar, Hours, Sla, SlaChange, SlaTime};
use factotum_store::{Batch, ScanRange, StoreError, Table, Timer, Timers};

use super::clocks::{Clocks, record_key};
use super::fire::timer_id;
use crate::place::is_within;
use crate::runs::{Engine, Run, RunState};

impl Engine {
    /// Finds out whether runs have clocks.
    pub(crate) fn find_clocks(&self) -> Result<(), StoreError> {
        let some = self.store.scan(Table::Sla, &ScanRange::default().limit(1))?;
        self.clocks_used.store(!some.is_empty(), Ordering::Release);
        Ok(())
    }

    /// Adds the clocks of a run that begins to the batch that accepts it. Clocks that cannot be set up cost no input:
    /// that is reported.
    pub(crate) fn begin_clocks(&self, batch: &mut Batch, run: &Run) {
        let Some(sla) = run.deployment.flow.sla() else { return };
        self.clocks_used.store(true, Ordering::Release);
        let now = run.row.started_at;
        let end = |time: &SlaTime| match time {
            SlaTime::Wall(length) => {
                Ok((now.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)), None))
            }
            SlaTime::Business(length, hours) => {
                Ok((self.calendars.add(now, *length, hours)?, Some(self.calendars.of(hours)?)))
            }
        };
        let begun = Clocks::begin(&run.row.flow, sla, now, end).and_then(|clocks| {
            clocks.put(batch, &run.id, None).map_err(|e| e.to_string())?;
            Ok(clocks)
        });
        match begun {
            Ok(clocks) => set_timer(batch, &run.id, clocks.next()),
            Err(error) => tracing::error!(run = %run.id, flow = %run.row.flow, error, "a run has no clocks"),
        }
    }

    /// The clocks of a run, if it has some.
    pub(crate) fn clocks(&self, run: &str) -> Result<Option<Clocks>, StoreError> {
        if !self.clocks_used.load(Ordering::Acquire) {
            return Ok(None);
        }
        let key = record_key(run);
        let Some(stored) = self.store.get(Table::Sla, &key)? else { return Ok(None) };
        serde_json::from_slice(&stored).map(Some).map_err(|e| StoreError::Corrupt {
            table: Table::Sla,
            key,
            reason: e.to_string(),
        })
    }

    /// Adds to a batch what becomes of a run's clocks when the run takes on a state.
    pub(crate) fn clocks_follow(&self, batch: &mut Batch, run: &str, state: RunState) {
        let now = self.clock.now_ms();
        self.change_clocks(batch, run, |clocks| match state {
            RunState::Completed => clocks.complete(now),
            RunState::Cancelled => clocks.stop(now),
            RunState::Running | RunState::Queued | RunState::Waiting => clocks.reopen(),
            // Nothing is resolved by that.
            RunState::Faulted | RunState::Stuck | RunState::Suspended => {}
        });
    }

    /// Adds to a batch what a task at `place` says of the clocks.
    pub(crate) fn task_clocks(&self, batch: &mut Batch, run: &Run, place: &str, change: SlaChange) {
        let now = self.clock.now_ms();
        let calendar = self.calendar_of(run.deployment.flow.sla());
        self.change_clocks(batch, &run.id, |clocks| {
            let ended = match change {
                SlaChange::Paused => {
                    clocks.pause(place, now, calendar.as_deref());
                    Ok(false)
                }
                SlaChange::Resumed => clocks.resume(|by| is_within(by, place), now, calendar.as_deref()),
                SlaChange::Met(clock) => {
                    clocks.meet(clock.into(), now);
                    Ok(false)
                }
            };
            if let Err(error) = ended {
                tracing::error!(run = %run.id, error, "a clock of a run does not go on as it should");
            }
        });
    }

    /// Adds to the batch that puts a run to rest that tasks which rest no more have no clock stand still: they lost in a
    /// `fork`, or their time was over. `places` are the effects that rest.
    pub(crate) fn clocks_at_rest(&self, batch: &mut Batch, run: &Run, places: &[String]) {
        let Some(sla) = run.deployment.flow.sla() else { return };
        let (now, calendar) = (self.clock.now_ms(), self.calendar_of(Some(sla)));
        self.change_clocks(batch, &run.id, |clocks| {
            let over = |by: &str| !places.iter().any(|place| is_within(place, by));
            if let Err(error) = clocks.resume(over, now, calendar.as_deref()) {
                tracing::error!(run = %run.id, error, "a clock of a run does not go on as it should");
            }
        });
    }

    /// The calendar in which an sla counts, as it is now.
    pub(super) fn calendar_of(&self, sla: Option<&Sla>) -> Option<Arc<Calendar>> {
        let hours: Option<&Hours> = sla?.targets.iter().find_map(|(_, time)| match time {
            SlaTime::Business(_, hours) => Some(hours),
            SlaTime::Wall(_) => None,
        });
        self.calendars.of(hours?).inspect_err(|error| tracing::error!(error, "an sla counts all time")).ok()
    }

    /// Adds a change of a run's clocks to a batch, with their timer. For who holds the run's claim.
    fn change_clocks(&self, batch: &mut Batch, run: &str, change: impl FnOnce(&mut Clocks)) {
        let changed = || {
            let Some(mut clocks) = self.clocks(run).map_err(|e| e.to_string())? else { return Ok(()) };
            let (before, was) = (clocks.clone(), clocks.state());
            change(&mut clocks);
            if clocks == before {
                return Ok(());
            }
            clocks.put(batch, run, Some(was)).map_err(|e| e.to_string())?;
            if clocks.next() != before.next() {
                Timers::new(&self.store).cancel(batch, &timer_id(run)).map_err(|e| e.to_string())?;
                set_timer(batch, run, clocks.next());
                self.timers_changed.notify_one();
            }
            Ok::<_, String>(())
        };
        if let Err(error) = changed() {
            tracing::error!(run, error, "the clocks of a run cannot be changed");
        }
    }
}

pub(super) fn set_timer(batch: &mut Batch, run: &str, due: Option<u64>) {
    if let Some(due_ms) = due {
        Timers::set(batch, &Timer { due_ms, id: timer_id(run), payload: Vec::new() });
    }
}

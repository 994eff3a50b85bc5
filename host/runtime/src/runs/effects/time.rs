//! Time in a run: pauses, waits, the moments it was told, and deadlines that pass.

use std::time::Duration;

use factotum_flow::{Deadline, Hours, Length, Position, Stop};
use factotum_store::Batch;

use super::super::replay::Waited;
use super::{Durable, Halted, LONGEST_NAP_MS};
use crate::journal::{Record, WriteRecord};

/// How long a nap is at most, whatever the wall clock says.
const LONGEST_REAL_NAP: Duration = Duration::from_secs(10);

impl Durable<'_> {
    /// Waits until the moment that `due` gives when the wait begins, or for the deadline. The moment is written down, and
    /// not asked for again.
    pub(super) async fn wait_until(
        &self,
        at: &Position,
        due: impl FnOnce(u64) -> Result<u64, Stop>,
        deadline: Option<Deadline>,
    ) -> Result<(), Stop> {
        self.not_late(at, deadline)?;
        let now = self.engine.clock.now_ms();
        let known = self.lock().replay.wait(at);
        let due = match known {
            Some(Waited { over: true, .. }) => return Ok(()),
            Some(Waited { due, .. }) => due,
            None => due(now)?,
        };
        if now >= due && known.is_some() && deadline.is_none_or(|deadline| due <= deadline.0) {
            let record: WriteRecord<'_> = Record::Waited { key: at.key().to_owned(), at: now };
            let bytes = self.encode(&record)?;
            return self.put_ahead(bytes, Batch::new()).await;
        }
        self.wanted(false)?;
        self.in_time(at, deadline).await?;
        if known.is_none() {
            let (key, task) = (at.key().to_owned(), at.pointer().to_owned());
            let record: WriteRecord<'_> = Record::Waiting { key, task, at: now, due };
            let bytes = self.encode(&record)?;
            self.note_rest(at, bytes, Batch::new()).await?;
        }
        Err(self.rest_until(at, Some(until(due, deadline))))
    }

    /// The moment of this place: what `of` makes of the time when it is first asked for, and written down then.
    pub(super) async fn moment(
        &self,
        at: &Position,
        of: impl FnOnce(u64) -> Result<u64, Stop>,
    ) -> Result<u64, Stop> {
        let known = self.lock().replay.time(at);
        if let Some(known) = known {
            return Ok(known);
        }
        let moment = of(self.engine.clock.now_ms())?;
        let record: WriteRecord<'_> = Record::Time { key: at.key().to_owned(), at: moment };
        let bytes = self.encode(&record)?;
        self.put_ahead(bytes, Batch::new()).await?;
        Ok(moment)
    }

    /// When a length of business time has passed. Without an answer the run is parked: a fault that a `try` catches now
    /// might be none when the run is read again.
    pub(super) fn business_end(&self, now: u64, length: Length, hours: &Hours) -> Result<u64, Stop> {
        self.engine.calendars.add(now, length, hours).map_err(|why| self.stuck(why))
    }

    /// Sleeps, unless the host stops or a person wants something else.
    pub(super) async fn nap(&self, until: u64, takes_back: bool) -> Result<(), Stop> {
        loop {
            let changed = self.engine.controls.changed.notified();
            self.wanted(takes_back)?;
            tokio::select! {
                () = self.engine.clock.sleep_until(until) => return Ok(()),
                // The wall clock was set back meanwhile: naps are short.
                () = tokio::time::sleep(LONGEST_REAL_NAP) => return Ok(()),
                () = self.engine.stop.requested() => return Err(self.halt(Halted::Abandon)),
                () = changed => {}
            }
        }
    }

    /// Waits for the end of a pause that an earlier execution of this run began, or for the deadline.
    pub(super) async fn resume_pause(
        &self,
        at: &Position,
        retry_at: u64,
        deadline: Option<Deadline>,
        takes_back: bool,
    ) -> Result<(), Stop> {
        let until = until(retry_at, deadline);
        let left = until.saturating_sub(self.engine.clock.now_ms());
        if left > LONGEST_NAP_MS {
            return Err(self.rest_until(at, Some(until)));
        }
        if left > 0 { self.nap(until, takes_back).await } else { Ok(()) }
    }

    /// Stops an effect whose deadline passed in an earlier execution.
    pub(super) fn not_late(&self, at: &Position, deadline: Option<Deadline>) -> Result<(), Stop> {
        let late = deadline.is_some() && self.lock().replay.late(at);
        if late { Err(Stop::DeadlinePassed) } else { Ok(()) }
    }

    /// Stops an effect whose deadline has passed, and writes that down.
    pub(super) async fn in_time(&self, at: &Position, deadline: Option<Deadline>) -> Result<(), Stop> {
        if self.passed(deadline) { Err(self.late(at, Batch::new()).await) } else { Ok(()) }
    }

    /// Whether a deadline has passed.
    pub(super) fn passed(&self, deadline: Option<Deadline>) -> bool {
        deadline.is_some_and(|deadline| self.engine.clock.now_ms() >= deadline.0)
    }

    /// How much time is left until a deadline; at least a millisecond, since a time limit of nothing is none.
    pub(super) fn rest(&self, deadline: Option<Deadline>) -> Option<Duration> {
        let left = deadline?.0.saturating_sub(self.engine.clock.now_ms());
        Some(Duration::from_millis(left.max(1)))
    }

    /// Writes down that a deadline passed here, with what the effect had done until then.
    pub(super) async fn late(&self, at: &Position, entries: Batch) -> Stop {
        let record: WriteRecord<'_> = Record::Late {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            at: self.engine.clock.now_ms(),
        };
        let bytes = match self.encode(&record) {
            Ok(bytes) => bytes,
            Err(stop) => return stop,
        };
        let written = if entries.is_empty() {
            self.put_ahead(bytes, entries).await
        } else {
            self.write(Some(bytes), entries).await
        };
        written.err().unwrap_or(Stop::DeadlinePassed)
    }
}

/// The earlier of a time and a deadline.
pub(super) fn until(due: u64, deadline: Option<Deadline>) -> u64 {
    deadline.map_or(due, |deadline| due.min(deadline.0))
}

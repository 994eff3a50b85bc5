//! Waiting runs whose time has come stand in line again. Many are woken in one batch.

use std::sync::Arc;

use factotum_store::{Batch, StoreError, Timer, Timers};

use super::{Engine, RunState, put_row};
use crate::inbox::is_inbox_timer;
use crate::sla::is_sla_timer;

impl Engine {
    /// Wakes the runs of these timers. Runs that are claimed are left alone: their timer is looked at again when they
    /// are released. Returns how many timers were dealt with.
    pub(super) async fn wake(self: &Arc<Self>, timers: &[Timer]) -> Result<usize, StoreError> {
        let mut batch = Batch::new();
        let mut woken = Vec::new();
        let mut fired = 0;
        for timer in timers {
            if is_inbox_timer(&timer.id) {
                self.fire_inbox_timer(timer).await?;
                fired += 1;
                continue;
            }
            if is_sla_timer(&timer.id) {
                fired += usize::from(self.fire_sla_timer(timer).await?);
                continue;
            }
            let Ok(id) = std::str::from_utf8(&timer.id) else {
                tracing::error!("a timer that belongs to no run was removed");
                Timers::remove(&mut batch, timer.due_ms, &timer.id);
                continue;
            };
            if !self.queue.claim(id) {
                continue;
            }
            match self.row(id) {
                Ok(Some(mut row)) if row.state == RunState::Waiting => {
                    row.state = RunState::Running;
                    row.due = None;
                    if put_row(&mut batch, id, &row, Some(RunState::Waiting)).is_ok() {
                        woken.push((id, row));
                    }
                }
                // Resumed at the start of the host, or parked, before its timer came.
                Ok(_) => self.queue.release(id),
                Err(error) => {
                    self.queue.release(id);
                    self.park_unread(id, error.to_string()).await;
                }
            }
            Timers::remove(&mut batch, timer.due_ms, &timer.id);
        }
        if batch.is_empty() {
            return Ok(fired);
        }
        let committed = self.commit(batch).await;
        for (id, row) in &woken {
            if committed.is_ok() {
                self.queue.push_claimed(id, row.lane());
            } else {
                self.queue.release(id);
            }
        }
        match committed {
            // Someone else woke one of them at this moment: the others are looked at again.
            Err(error) if error.is_conflict() => Ok(1),
            other => other.map(|_| woken.len().max(1)),
        }
    }
}

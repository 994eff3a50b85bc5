//! The one watcher of timers: sleeps until the next one is due, and looks up when a nearer one is set.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use factotum_store::{StoreError, Timers};

use super::Engine;

/// The most runs woken in one batch.
const MOST_AT_ONCE: usize = 256;
/// How long to leave a store alone that failed, in milliseconds.
const AFTER_FAILURE_MS: u64 = 1_000;

/// Wakes runs when their time comes, until the host stops.
pub(super) async fn watch(engine: Arc<Engine>) {
    let timers = Timers::new(&engine.store);
    loop {
        // Registered before looking, so that a timer set in between is not missed.
        let changed = engine.timers_changed.notified();
        let next = match look(&engine, &timers).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "timers cannot be read or fired");
                Next::At(engine.clock.now_ms().saturating_add(AFTER_FAILURE_MS))
            }
        };
        let sleep = async {
            match next {
                Next::Now => {}
                Next::At(due) => engine.clock.sleep_until(due).await,
                Next::WhenChanged => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = changed => {}
            () = engine.stop.requested() => return,
        }
    }
}

/// When to look again.
enum Next {
    Now,
    At(u64),
    WhenChanged,
}

async fn look(engine: &Arc<Engine>, timers: &Timers) -> Result<Next, StoreError> {
    // Set before looking, so that a run released in between says so.
    engine.timers_blocked.store(true, Ordering::Release);
    let now = engine.clock.now_ms();
    let room = engine.queue.room().min(MOST_AT_ONCE);
    if room == 0 {
        // The line is full. Whoever leaves it says so.
        return Ok(Next::WhenChanged);
    }
    let due = timers.due(now, room)?;
    if !due.is_empty() {
        let woken = engine.wake(&due).await?;
        // All of them claimed: they say so when they are released.
        return Ok(if woken > 0 { Next::Now } else { Next::WhenChanged });
    }
    engine.timers_blocked.store(false, Ordering::Release);
    Ok(timers.first()?.map_or(Next::WhenChanged, |timer| Next::At(timer.due_ms)))
}

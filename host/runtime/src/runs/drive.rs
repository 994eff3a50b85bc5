//! A run is executed, until it ends, waits, or cannot go on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use factotum_flow::{Outcome, Start};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::effects::{self, Durable, Halted};
use super::finish::Leftovers;
use super::provisional::Beginning;
use super::replay::Replay;
use super::suspend::Suspended;
use super::{Engine, Lane, Run};

/// Of a run that does not stand in line again.
const NO_LANE: Lane<'_> = Lane { flow: "", priority: 0 };

/// Gives runs that stand in line to the places that become free, in order.
pub(super) async fn dispatch(engine: Arc<Engine>) {
    loop {
        let next = tokio::select! {
            next = engine.queue.next() => next,
            () = engine.stop.requested() => return,
        };
        let Some((id, place)) = next else { return };
        // The line is shorter now: there may be room for runs whose time has come.
        engine.unblock_timers();
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            match engine.load(&id).await {
                Ok(Some((run, history))) => {
                    engine.tell("workflow.resumed", &run.id, &run.row, None, Value::Null);
                    let (flow, priority) = (run.row.flow.clone(), run.row.lane().priority);
                    let left = drive(&engine, run, history.input, history.replay, history.next, None).await;
                    engine.leave((&id, Lane { flow: &flow, priority }), place, left);
                    // What was wanted of it too late for this execution to see.
                    engine.enforce_unless_parked(&id).await;
                }
                Ok(None) => engine.leave((&id, NO_LANE), place, Left::Done),
                Err(reason) => {
                    engine.park_unread(&id, reason).await;
                    engine.leave((&id, NO_LANE), place, Left::Done);
                }
            }
        });
    }
}

impl Engine {
    /// Executes a claimed run in a place. With `beginning` it is not on disk yet.
    pub(super) fn spawn(
        self: &Arc<Self>,
        run: Run,
        input: Value,
        replay: Replay,
        next: u64,
        place: OwnedSemaphorePermit,
        beginning: Option<Beginning>,
    ) {
        let engine = Arc::clone(self);
        // In a box: a task is moved around before it runs, and this one has many kilobytes.
        tokio::spawn(Box::pin(async move {
            let (id, flow, priority) = (run.id.clone(), run.row.flow.clone(), run.row.lane().priority);
            let left = drive(&engine, run, input, replay, next, beginning).await;
            engine.leave((&id, Lane { flow: &flow, priority }), place, left);
            engine.enforce_unless_parked(&id).await;
        }));
    }

    /// Gives up claim and place.
    fn leave(&self, (id, lane): (&str, Lane<'_>), place: OwnedSemaphorePermit, left: Left) {
        if left == Left::Again {
            drop(place);
            self.queue.push_claimed(id, lane);
            return self.unblock_timers();
        }
        self.queue.release(id);
        drop(place);
        match left {
            // Only now can its timer wake it.
            Left::Timer => self.timers_changed.notify_one(),
            Left::Done | Left::Again => self.unblock_timers(),
        }
    }

    /// Tells the watcher of timers and the gate, if they had to leave some alone.
    fn unblock_timers(&self) {
        if self.gate.blocked.swap(false, Ordering::AcqRel) {
            self.gate.changed.notify_one();
        }
        if self.timers_blocked.swap(false, Ordering::AcqRel) {
            self.timers_changed.notify_one();
        }
    }
}

/// What an execution left behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Timer,
    Done,
    /// It is to be executed again, at once.
    Again,
}

async fn drive(
    engine: &Arc<Engine>,
    mut run: Run,
    input: Value,
    replay: Replay,
    next: u64,
    beginning: Option<Beginning>,
) -> Left {
    let start = Start {
        run_id: run.id.clone(),
        input,
        started_at: crate::time::rfc3339(run.row.started_at),
        from: replay.input_from.clone(),
    };
    let deployment = Arc::clone(&run.deployment);
    let provisional = beginning.is_some();
    let effects = Durable::new(engine, &run, replay, next).opened_by(beginning);
    // A defect in the interpreter costs this run, not the host.
    let work = AssertUnwindSafe(deployment.flow.run(&start, &effects)).catch_unwind();
    let outcome = if provisional { effects.meanwhile_on_disk(work).await } else { work.await };
    let effects::Left {
        halted,
        suspension,
        mut ahead,
        beginning,
        next,
        open,
        not_undone,
        from,
        secret,
        subscriptions,
        lost,
    } = effects.into_end();
    let result = match (outcome, halted) {
        (Ok(Outcome::Completed(output)), None) => Ok(Ok(output)),
        (Ok(Outcome::Faulted(error)), None) if not_undone.is_empty() => Ok(Err(error)),
        other => Err(other),
    };
    let (outcome, halted) = match result {
        Ok(result) => {
            let rest = Leftovers { beginning, open, from, subscriptions, secret };
            engine.finish(&mut run, ahead, next, rest, result).await;
            return Left::Done;
        }
        Err(other) => other,
    };
    // Only an end takes a run's beginning along; all else comes after it.
    if let Some(beginning) = beginning
        && !engine.take_down(&run, beginning, &mut ahead).await
    {
        return Left::Done;
    }
    // What is said of a parked run stands in lists, mails and the host's log.
    let words = secret;
    match (outcome, halted) {
        (_, Some(Halted::Abandon)) => {}
        (_, Some(Halted::Stuck(reason))) => engine.park(&mut run, ahead, next, &words.masked(&reason)).await,
        (Ok(Outcome::Suspended), None) if let Some(on) = suspension => {
            return match engine.suspend(&mut run, ahead, on).await {
                Suspended::Waits => {
                    engine.let_go(&run.id, lost).await;
                    Left::Timer
                }
                Suspended::Again => Left::Again,
                Suspended::Failed => Left::Done,
            };
        }
        (Ok(Outcome::Faulted(_) | Outcome::Cancelled), None) if !not_undone.is_empty() => {
            let reason = format!("not everything could be taken back: {}", not_undone.join("; "));
            engine.park(&mut run, ahead, next, &words.masked(&reason)).await;
        }
        (_, Some(Halted::Held)) | (Ok(Outcome::Cancelled), None) => {
            engine.stop_wanted(&mut run, ahead, next, open).await;
            if run.row.state.is_final() {
                engine.close_subscriptions(&run.id, subscriptions).await;
            }
        }
        (Ok(outcome), halted) => {
            let reason = format!("the interpreter ended with {outcome:?} after {halted:?}");
            engine.park(&mut run, ahead, next, &words.masked(&reason)).await;
        }
        (Err(panic), _) => {
            let reason = format!("the interpreter panicked: {}", panic_text(&*panic));
            engine.park(&mut run, ahead, next, &words.masked(&reason)).await;
        }
    }
    Left::Done
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

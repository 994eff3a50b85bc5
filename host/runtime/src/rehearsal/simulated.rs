//! A clock that jumps: when everything waits, it is the earliest time that something waits for.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::MAX_SIMULATED_MS;

/// The clock of one rehearsal. Times in milliseconds since the Unix epoch.
pub(super) struct Simulated {
    start: u64,
    state: Mutex<State>,
}

struct State {
    now: u64,
    waiting: Vec<(u64, Waker)>,
}

/// Ready when the clock has reached a time.
struct Until<'c> {
    clock: &'c Simulated,
    due: u64,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.lock();
        if state.now >= self.due {
            return Poll::Ready(());
        }
        state.waiting.push((self.due, context.waker().clone()));
        Poll::Pending
    }
}

/// Notes that somebody was woken.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Simulated {
    pub fn at(start: u64) -> Self {
        Self { start, state: Mutex::new(State { now: start, waiting: Vec::new() }) }
    }

    /// What time it is.
    pub fn now(&self) -> u64 {
        self.lock().now
    }

    /// How long the rehearsal has taken, in milliseconds of its own time.
    pub fn passed(&self) -> u64 {
        self.now().saturating_sub(self.start)
    }

    /// Returns when it is `due`.
    pub async fn until(&self, due: u64) {
        Until { clock: self, due }.await;
    }

    /// Runs something to its end, in no time. `None` when it waits for something that never comes.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            woken.0.store(false, Ordering::Release);
            if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
                return Some(done);
            }
            if !woken.0.load(Ordering::Acquire) && !self.jump() {
                return None;
            }
        }
    }

    /// Goes on to the earliest time that something waits for.
    fn jump(&self) -> bool {
        let mut state = self.lock();
        let Some(next) = state.waiting.iter().map(|(due, _)| *due).min() else { return false };
        if next.saturating_sub(self.start) > MAX_SIMULATED_MS {
            return false;
        }
        state.now = state.now.max(next);
        let now = state.now;
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.waiting).into_iter().partition(|(due, _)| *due <= now);
        state.waiting = rest;
        drop(state);
        for (_, waker) in due {
            waker.wake();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_pass_in_no_time_and_in_order() {
        let clock = Simulated::at(1_000);
        let year = 365 * 86_400_000;
        let order = Mutex::new(Vec::new());
        let one = async {
            clock.until(1_000 + 2 * year).await;
            order.lock().unwrap().push("two years");
        };
        let other = async {
            clock.until(1_000 + year).await;
            order.lock().unwrap().push("one year");
        };
        assert!(clock.run(async { tokio::join!(one, other) }).is_some());
        assert_eq!(*order.lock().unwrap(), ["one year", "two years"]);
        assert_eq!(clock.passed(), 2 * year);
        assert!(clock.run(std::future::pending::<()>()).is_none(), "what never comes is not waited for");
        assert!(clock.run(clock.until(u64::MAX)).is_none());
    }
}

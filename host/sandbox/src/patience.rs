//! Work on a stranger's bytes within a time.
//!
//! A component of a few kilobytes can keep the engine's validator busy for as long as its author likes: types that are made
//! of each other are compared as the trees that they unfold to, name by name. A thread cannot be stopped from outside. So
//! one that takes too long is left to itself and counted, and while too many are at it, no further work is begun: what such
//! components take of the machine is bounded, until the host is started again.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    time::Duration,
};

/// The most threads that are left to themselves.
const MAX_LATE: usize = 2;

/// Begins work and waits for it, for a while.
#[derive(Default)]
pub(crate) struct Patience {
    /// Work that was left to itself; gone when it ended after all.
    late: Mutex<Vec<Weak<()>>>,
}

/// Why there is no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoOutcome {
    /// It takes longer than it may.
    TooSlow,
    /// Earlier work is still not done.
    Busy,
    /// It panicked, or the system gave no thread for it.
    Broken,
}

impl Patience {
    /// Does `work` on a thread of its own, and waits at most for `limit`.
    pub(crate) fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoOutcome> {
        if self.late(None) >= MAX_LATE {
            return Err(NoOutcome::Busy);
        }
        let at_it = Arc::new(());
        let mark = Arc::downgrade(&at_it);
        let (send, outcome) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("factotum-compile".into())
            .spawn(move || {
                // Nobody may be waiting any more.
                let _ = send.send(work());
                drop(at_it);
            })
            .map_err(|_| NoOutcome::Broken)?;
        outcome.recv_timeout(limit).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => {
                self.late(Some(mark));
                NoOutcome::TooSlow
            }
            mpsc::RecvTimeoutError::Disconnected => NoOutcome::Broken,
        })
    }

    /// How many are late, with one more.
    fn late(&self, more: Option<Weak<()>>) -> usize {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.retain(|work| work.strong_count() > 0);
        late.extend(more);
        late.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_in_time_has_its_outcome_and_a_panic_has_none() {
        let patience = Patience::default();
        assert_eq!(patience.within(LONG, || 7), Ok(7));
        assert_eq!(patience.within(LONG, || panic!("a defect")), Err::<(), _>(NoOutcome::Broken));
        assert_eq!(patience.within(LONG, || 8), Ok(8));
    }

    #[test]
    fn work_that_takes_too_long_is_left_and_not_begun_without_end() {
        let patience = Patience::default();
        let (end, ended) = mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        for _ in 0..MAX_LATE {
            let ended = Arc::clone(&ended);
            let work = move || ended.lock().unwrap().recv().is_ok();
            assert_eq!(patience.within(Duration::from_millis(1), work), Err(NoOutcome::TooSlow));
        }
        assert_eq!(patience.within(LONG, || 7), Err(NoOutcome::Busy));
        // When one has ended after all, there is room again.
        end.send(()).unwrap();
        while patience.late(None) == MAX_LATE {
            std::thread::yield_now();
        }
        assert_eq!(patience.within(LONG, || 7), Ok(7));
    }
}

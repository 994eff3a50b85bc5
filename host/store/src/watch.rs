//! Watches that the writer gets on: a disk that no longer answers must not hold every caller for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What the watch does once a group has taken too long.
pub(crate) type OnStall = Box<dyn FnOnce(Duration) + Send>;

/// A thread that looks at the clock while a group is being written.
pub(crate) struct Watch {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// When the group at hand began.
#[derive(Debug)]
pub(crate) struct State {
    epoch: Instant,
    /// Milliseconds after `epoch`, plus one; 0 while no group is being written.
    began: AtomicU64,
    stop: AtomicBool,
}

impl State {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Marks the beginning of a group; dropping the mark is its end.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.began.store(self.now().saturating_add(1), Ordering::Relaxed);
        Busy(self)
    }
}

/// A group is being written.
pub(crate) struct Busy<'a>(&'a State);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.began.store(0, Ordering::Relaxed);
    }
}

impl Watch {
    /// Starts watching; `on_stall` is called once when a group takes longer than `limit`.
    pub(crate) fn start(limit: Duration, on_stall: OnStall) -> std::io::Result<Watch> {
        let state =
            Arc::new(State { epoch: Instant::now(), began: AtomicU64::new(0), stop: AtomicBool::new(false) });
        let seen = Arc::clone(&state);
        let step = (limit / 10).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let thread = thread::Builder::new().name("store-watch".to_owned()).spawn(move || {
            while !seen.stop.load(Ordering::Relaxed) {
                thread::park_timeout(step);
                let began = seen.began.load(Ordering::Relaxed);
                let lasted = Duration::from_millis(seen.now().saturating_add(1).saturating_sub(began));
                if began != 0 && lasted > limit {
                    return on_stall(lasted);
                }
            }
        })?;
        Ok(Watch { state, thread: Some(thread) })
    }

    /// What the writer marks its groups in.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Ends the process, in words: the writer cannot be helped from inside, and what was acknowledged is on disk.
pub(crate) fn end_process(lasted: Duration) {
    tracing::error!(
        seconds = lasted.as_secs(),
        "a group of writes has not come back from the disk; the process ends here. What was acknowledged is safe, \
         what was not is decided at the next start. Look for a full, failing or unreachable disk"
    );
    std::process::exit(STALLED);
}

/// The exit status of a process whose disk stopped answering (`EX_IOERR` of sysexits.h).
const STALLED: i32 = 74;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_group_that_does_not_end_is_reported_and_quick_ones_are_not() {
        let (sender, stalled) = mpsc::channel();
        let watch =
            Watch::start(Duration::from_millis(200), Box::new(move |lasted| sender.send(lasted).unwrap()))
                .unwrap();
        let state = watch.state();
        for _ in 0..20 {
            let busy = state.begin();
            thread::sleep(Duration::from_millis(20));
            drop(busy);
        }
        assert!(stalled.try_recv().is_err(), "many quick groups are no stall");
        let _busy = state.begin();
        let lasted = stalled.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(lasted >= Duration::from_millis(200));
    }
}

//! Moves what is no longer recent into the engine, on a thread of its own, while new groups go on being written.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    StoreError,
    base::Base,
    recent::{Generation, Recent},
    redo::{Log, Spare},
};

/// How long a thread that nobody stopped may take to end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// A generation to be moved.
pub(crate) struct Load {
    pub(crate) generation: Arc<Generation>,
    /// The number of its last group.
    pub(crate) group: u64,
    /// The segment of the log that ends with it.
    pub(crate) segment: u64,
    /// That segment, when the device has not been waited for yet.
    pub(crate) log: Option<File>,
    /// Where the segment after the next is to be made ready.
    pub(crate) spare: Option<Spare>,
}

/// The thread, and what is said to it.
pub(crate) struct Mover {
    post: Arc<Post>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Post {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    load: Option<Load>,
    /// A load is being moved.
    busy: bool,
    stop: bool,
    /// The thread has ended.
    ended: bool,
}

/// What the thread works on.
pub(crate) struct Place {
    pub(crate) base: Arc<Base>,
    pub(crate) recent: Arc<RwLock<Recent>>,
    /// The store's folder; none for a store that vanishes.
    pub(crate) dir: Option<PathBuf>,
    /// Where the first failure is left; nothing is moved after one.
    pub(crate) failed: Arc<OnceLock<String>>,
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to be so, until a moment at most; says whether it is.
    fn wait_until(
        &self,
        until: Option<Instant>,
        is_so: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'_, State>, bool) {
        let mut state = self.lock();
        while !is_so(&state) {
            let Some(until) = until else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (state, false);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (state, true)
    }
}

impl Mover {
    pub(crate) fn start(place: Place) -> std::io::Result<Mover> {
        let post = Arc::new(Post::default());
        let at = Arc::clone(&post);
        let thread =
            thread::Builder::new().name("store-mover".to_owned()).spawn(move || work(&at, &place))?;
        Ok(Mover { post, thread: Mutex::new(Some(thread)) })
    }

    /// Returns when nothing is being moved; `false` when that is not so after `patience`.
    pub(crate) fn wait_idle(&self, patience: Option<Duration>) -> bool {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        self.post.wait_until(until, |state| (!state.busy && state.load.is_none()) || state.ended).1
    }

    /// Hands over a load; the one before must be moved.
    pub(crate) fn hand_over(&self, load: Load) {
        self.post.lock().load = Some(load);
        self.post.changed.notify_all();
    }

    /// Lets what was handed over be moved and ends the thread; `false` when that takes longer than `patience`: the thread
    /// is left behind then.
    pub(crate) fn stop(&self, patience: Duration) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return true };
        self.post.lock().stop = true;
        self.post.changed.notify_all();
        let (state, ended) = self.post.wait_until(Instant::now().checked_add(patience), |state| state.ended);
        drop(state);
        ended && thread.join().is_ok()
    }
}

/// Of a store that did not come to open: its folder is to be free again.
impl Drop for Mover {
    fn drop(&mut self) {
        self.stop(LAST_PATIENCE);
    }
}

fn work(post: &Post, place: &Place) {
    loop {
        let (mut state, _) = post.wait_until(None, |state| state.load.is_some() || state.stop);
        let load = state.load.take();
        state.busy = load.is_some();
        drop(state);
        if let Some(load) = &load {
            // sled asserts on states it holds impossible; such a panic must not leave anybody waiting.
            let moved = catch_unwind(AssertUnwindSafe(|| place.move_in(load)))
                .unwrap_or_else(|_| Err("the storage engine gave up on an internal check".to_owned()));
            if let Err(reason) = moved {
                place.failed.get_or_init(|| {
                    tracing::error!(%reason, "the store takes no more writes");
                    reason
                });
            }
        }
        let mut state = post.lock();
        state.busy = false;
        state.ended = load.is_none();
        post.changed.notify_all();
        if state.ended {
            return;
        }
    }
}

/// What a load takes on the disk at most, about: the engine writes a key's page again with the key, and in whole segments.
const ROOM: u64 = 48 * 1024 * 1024;

/// Refuses a load that could meet a full disk. The engine answers no reads any more after a write that failed, and whoever
/// looks why nothing is written is to find what is there.
fn check_room(dir: &Path) -> Result<(), String> {
    // A disk that does not tell is not held against anybody.
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= ROOM {
        return Ok(());
    }
    Err(format!(
        "the disk of {} has {free} bytes left, and moving recent writes into their place may take {ROOM}",
        dir.display()
    ))
}

impl Place {
    fn move_in(&self, load: &Load) -> Result<(), String> {
        if let Some(reason) = self.failed.get() {
            return Err(reason.clone());
        }
        // Nothing may be in its place that the log could still lose.
        if let Some(log) = &load.log {
            log.sync_data().map_err(|error| format!("syncing its log: {error}"))?;
        }
        if let Some(dir) = &self.dir {
            check_room(dir)?;
        }
        match self.base.take_in(&load.generation, load.group) {
            Err(StoreError::Closed) => return Ok(()),
            taken => taken.map_err(|error| error.to_string())?,
        }
        self.recent.write().unwrap_or_else(PoisonError::into_inner).moved();
        let Some(dir) = &self.dir else { return Ok(()) };
        Log::forget(dir, load.segment)
            .map_err(|error| format!("removing what the log no longer needs: {error}"))?;
        if let Some(spare) = &load.spare
            && let Err(error) = spare.prepare(dir, load.segment.saturating_add(2))
        {
            // It is made when it is needed, and whether that is possible is seen then.
            tracing::debug!(%error, "the log's next segment could not be made ready");
        }
        Ok(())
    }
}

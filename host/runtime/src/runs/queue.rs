//! The line of accepted runs before the limited number of places to execute in.
//!
//! The line holds identifiers only: whoever stands in it is on disk and is read again when its turn comes.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Runs that wait for a place, and the places.
pub(crate) struct Queue {
    line: Mutex<Line>,
    places: Arc<Semaphore>,
    max_active: u32,
    bound: usize,
    arrived: Notify,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<String>,
    /// In the line or executing: nobody starts twice.
    claimed: HashSet<String>,
    /// Claimed, and to be executed (once more) when the claim is given up.
    again: HashSet<String>,
    /// Promised to runs that are being written to disk.
    reserved: usize,
}

/// The right to start a run.
pub(crate) enum Admission {
    /// It can execute at once.
    Place(OwnedSemaphorePermit),
    /// It must stand in line.
    InLine(Reservation),
}

/// A place in the line, kept until the run is on disk.
pub(crate) struct Reservation(Arc<Queue>);

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut line = self.0.lock();
        line.reserved = line.reserved.saturating_sub(1);
    }
}

impl Queue {
    pub fn new(max_active: u32, bound: usize) -> Arc<Self> {
        Arc::new(Self {
            line: Mutex::default(),
            places: Arc::new(Semaphore::new(max_active as usize)),
            max_active,
            bound,
            arrived: Notify::new(),
        })
    }

    /// Takes on a new run, or not: the line is bounded.
    pub fn admit(self: &Arc<Self>) -> Option<Admission> {
        let mut line = self.lock();
        if line.waiting.is_empty()
            && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
        {
            return Some(Admission::Place(place));
        }
        if line.waiting.len() + line.reserved >= self.bound {
            return None;
        }
        line.reserved += 1;
        Some(Admission::InLine(Reservation(Arc::clone(self))))
    }

    /// How many more may stand in line.
    pub fn room(&self) -> usize {
        let line = self.lock();
        self.bound.saturating_sub(line.waiting.len() + line.reserved)
    }

    /// Claims a run for execution now. False when it is claimed already.
    pub fn claim(&self, run_id: &str) -> bool {
        self.lock().claimed.insert(run_id.to_owned())
    }

    /// Claims a run and puts it in line; without regard to the bound, for runs that were acknowledged long ago. False
    /// when it is claimed already.
    pub fn push(&self, run_id: &str) -> bool {
        let mut line = self.lock();
        if !line.claimed.insert(run_id.to_owned()) {
            return false;
        }
        line.waiting.push_back(run_id.to_owned());
        drop(line);
        self.arrived.notify_one();
        true
    }

    /// Puts a run that is claimed already in line.
    pub fn push_claimed(&self, run_id: &str) {
        self.lock().waiting.push_back(run_id.to_owned());
        self.arrived.notify_one();
    }

    /// Puts a run that is to go on in line: now, or when whoever claims it gives the claim up.
    pub fn push_or_note(&self, run_id: &str) {
        let mut line = self.lock();
        if line.claimed.contains(run_id) {
            line.again.insert(run_id.to_owned());
            return;
        }
        line.claimed.insert(run_id.to_owned());
        line.waiting.push_back(run_id.to_owned());
        drop(line);
        self.arrived.notify_one();
    }

    /// Gives up the claim: the run ended, or waits.
    pub fn release(&self, run_id: &str) {
        let mut line = self.lock();
        if !line.again.is_empty() && line.again.remove(run_id) {
            line.waiting.push_back(run_id.to_owned());
            drop(line);
            self.arrived.notify_one();
            return;
        }
        line.claimed.remove(run_id);
    }

    /// The next run, when it and a place are there. For one dispatcher.
    pub async fn next(&self) -> Option<(String, OwnedSemaphorePermit)> {
        loop {
            let arrived = self.arrived.notified();
            if self.lock().waiting.is_empty() {
                arrived.await;
                continue;
            }
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            if let Some(id) = self.lock().waiting.pop_front() {
                return Some((id, place));
            }
        }
    }

    /// Returns when nothing executes any more.
    pub async fn idle(&self) {
        let _ = self.places.acquire_many(self.max_active).await;
    }

    /// How many execute, and how many stand in line.
    pub fn counts(&self) -> (usize, usize) {
        let active = (self.max_active as usize).saturating_sub(self.places.available_permits());
        (active, self.lock().waiting.len())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_line_is_bounded_and_first_come_first_served() {
        let queue = Queue::new(1, 2);
        let Some(Admission::Place(place)) = queue.admit() else { panic!("a place is free") };
        let Some(Admission::InLine(first)) = queue.admit() else { panic!("the line has room") };
        let Some(Admission::InLine(second)) = queue.admit() else { panic!("the line has room") };
        assert!(queue.admit().is_none(), "the line is full of promises");
        assert!(queue.push("a"));
        drop(first);
        drop(second);
        assert!(queue.push("b") && !queue.push("a"), "nobody stands there twice");
        assert!(queue.admit().is_none() && queue.room() == 0);
        assert_eq!(queue.counts(), (1, 2));
        drop(place);
        let (id, place) = queue.next().await.unwrap();
        assert_eq!(id, "a");
        assert!(matches!(queue.admit(), Some(Admission::InLine(_))), "who comes later does not overtake");
        drop(place);
        assert_eq!(queue.next().await.unwrap().0, "b");
        queue.release("a");
        assert!(queue.claim("a") && !queue.claim("b"));
    }
}

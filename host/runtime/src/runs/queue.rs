//! The line of accepted runs before the limited number of places to execute in.
//!
//! The line holds identifiers only: whoever stands in it is on disk and is read again when its turn comes. Flows take
//! turns, so that one with thousands of runs in line holds up no other. Within a flow, who came first goes first; a step
//! of priority lets a run go before a thousand others at most, so that none waits for ever.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many runs of its flow a step of priority lets a run go before.
const STEP: i64 = 1_000;
/// The line has room for so much more, one in so many, for flows that have less than that in it.
const KEPT: usize = 10;

/// Runs that wait for a place, and the places.
pub(crate) struct Queue {
    line: Mutex<Line>,
    places: Arc<Semaphore>,
    max_active: u32,
    bound: usize,
    arrived: Notify,
}

/// Where a run stands in line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane<'f> {
    /// Its flow, `namespace/name`.
    pub flow: &'f str,
    /// 0 to 9.
    pub priority: u8,
}

#[derive(Default)]
struct Line {
    waiting: Waiting,
    /// In the line or executing: nobody starts twice.
    claimed: HashSet<String>,
    /// Claimed, and to be executed (once more) when the claim is given up: flow and priority.
    again: HashMap<String, (String, u8)>,
    /// Promised to runs that are being written to disk.
    reserved: usize,
}

/// The runs in line, by flow.
#[derive(Default)]
struct Waiting {
    flows: HashMap<Arc<str>, BTreeMap<(i64, i64), String>>,
    /// The flows that have runs in line, the next to be served first.
    turns: VecDeque<Arc<str>>,
    len: usize,
    nth: i64,
}

impl Waiting {
    fn push(&mut self, id: String, lane: Lane<'_>) {
        self.nth += 1;
        self.len += 1;
        let rank = (self.nth - i64::from(lane.priority) * STEP, self.nth);
        if let Some(runs) = self.flows.get_mut(lane.flow) {
            runs.insert(rank, id);
            return;
        }
        let flow: Arc<str> = lane.flow.into();
        self.turns.push_back(Arc::clone(&flow));
        self.flows.insert(flow, BTreeMap::from([(rank, id)]));
    }

    fn pop(&mut self) -> Option<String> {
        let flow = self.turns.pop_front()?;
        let runs = self.flows.get_mut(&flow)?;
        let (_, id) = runs.pop_first()?;
        self.len -= 1;
        if runs.is_empty() {
            self.flows.remove(&flow);
        } else {
            self.turns.push_back(flow);
        }
        Some(id)
    }

    fn of(&self, flow: &str) -> usize {
        self.flows.get(flow).map_or(0, BTreeMap::len)
    }
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

    /// Takes on a new run of a flow, or not: the line is bounded.
    pub fn admit(self: &Arc<Self>, flow: &str) -> Option<Admission> {
        let mut line = self.lock();
        if line.waiting.len == 0
            && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
        {
            return Some(Admission::Place(place));
        }
        let (taken, kept) = (line.waiting.len + line.reserved, self.bound / KEPT);
        if taken >= self.bound + kept || taken >= self.bound && line.waiting.of(flow) >= kept {
            return None;
        }
        line.reserved += 1;
        Some(Admission::InLine(Reservation(Arc::clone(self))))
    }

    /// How many more may stand in line.
    pub fn room(&self) -> usize {
        let line = self.lock();
        self.bound.saturating_sub(line.waiting.len + line.reserved)
    }

    /// How many more may stand in line of those that wait elsewhere already: half of what is kept for flows with few runs is
    /// theirs, however full of one flow's runs the line is.
    pub fn spare(&self) -> usize {
        let line = self.lock();
        (self.bound + self.bound / KEPT / 2).saturating_sub(line.waiting.len + line.reserved)
    }

    /// Claims a run for execution now. False when it is claimed already.
    pub fn claim(&self, run_id: &str) -> bool {
        self.lock().claimed.insert(run_id.to_owned())
    }

    /// Whether a run executes or stands in line.
    pub fn is_claimed(&self, run_id: &str) -> bool {
        self.lock().claimed.contains(run_id)
    }

    /// Claims a run and puts it in line; without regard to the bound, for runs that were acknowledged long ago. False
    /// when it is claimed already.
    pub fn push(&self, run_id: &str, lane: Lane<'_>) -> bool {
        let mut line = self.lock();
        if !line.claimed.insert(run_id.to_owned()) {
            return false;
        }
        line.waiting.push(run_id.to_owned(), lane);
        drop(line);
        self.arrived.notify_one();
        true
    }

    /// Puts a run that is claimed already in line.
    pub fn push_claimed(&self, run_id: &str, lane: Lane<'_>) {
        self.lock().waiting.push(run_id.to_owned(), lane);
        self.arrived.notify_one();
    }

    /// Puts a run that is to go on in line: now, or when whoever claims it gives the claim up.
    pub fn push_or_note(&self, run_id: &str, lane: Lane<'_>) {
        let mut line = self.lock();
        if line.claimed.contains(run_id) {
            line.again.insert(run_id.to_owned(), (lane.flow.to_owned(), lane.priority));
            return;
        }
        line.claimed.insert(run_id.to_owned());
        line.waiting.push(run_id.to_owned(), lane);
        drop(line);
        self.arrived.notify_one();
    }

    /// Gives up the claim: the run ended, or waits.
    pub fn release(&self, run_id: &str) {
        let mut line = self.lock();
        if !line.again.is_empty()
            && let Some((flow, priority)) = line.again.remove(run_id)
        {
            line.waiting.push(run_id.to_owned(), Lane { flow: &flow, priority });
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
            if self.lock().waiting.len == 0 {
                arrived.await;
                continue;
            }
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            if let Some(id) = self.lock().waiting.pop() {
                return Some((id, place));
            }
        }
    }

    /// Returns when nothing executes any more.
    pub async fn idle(&self) {
        let _ = self.places.acquire_many(self.max_active).await;
    }

    /// How many runs of its flow stand in line before a run; `None` when it does not stand there.
    pub fn before(&self, run_id: &str, flow: &str) -> Option<usize> {
        self.lock().waiting.flows.get(flow)?.values().position(|id| id == run_id)
    }

    /// How many execute, and how many stand in line.
    pub fn counts(&self) -> (usize, usize) {
        let active = (self.max_active as usize).saturating_sub(self.places.available_permits());
        (active, self.lock().waiting.len)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Lane<'_> = Lane { flow: "f", priority: 0 };

    #[tokio::test]
    async fn the_line_is_bounded_and_first_come_first_served() {
        let queue = Queue::new(1, 2);
        let Some(Admission::Place(place)) = queue.admit("f") else { panic!("a place is free") };
        let Some(Admission::InLine(first)) = queue.admit("f") else { panic!("the line has room") };
        let Some(Admission::InLine(second)) = queue.admit("f") else { panic!("the line has room") };
        assert!(queue.admit("f").is_none(), "the line is full of promises");
        assert!(queue.push("a", F));
        drop(first);
        drop(second);
        assert!(queue.push("b", F) && !queue.push("a", F), "nobody stands there twice");
        assert!(queue.admit("f").is_none() && queue.room() == 0);
        assert_eq!(queue.counts(), (1, 2));
        drop(place);
        let (id, place) = queue.next().await.unwrap();
        assert_eq!(id, "a");
        assert!(matches!(queue.admit("f"), Some(Admission::InLine(_))), "who comes later does not overtake");
        drop(place);
        assert_eq!(queue.next().await.unwrap().0, "b");
        queue.release("a");
        assert!(queue.claim("a") && !queue.claim("b"));
    }

    #[test]
    fn flows_take_turns_and_a_step_of_priority_is_worth_a_thousand() {
        let mut waiting = Waiting::default();
        for n in 0..3_000 {
            waiting.push(format!("many {n}"), F);
        }
        waiting.push("one".into(), Lane { flow: "g", priority: 0 });
        waiting.push("urgent".into(), Lane { flow: "f", priority: 2 });
        let order: Vec<String> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(order[0], "many 0");
        assert_eq!(order[1], "one", "the other flow's only run is second of three thousand");
        assert_eq!(order.iter().position(|id| id == "urgent"), Some(1_003), "behind a thousand, not three");
        assert_eq!((order.len(), waiting.len), (3_002, 0));
    }

    #[test]
    fn a_full_line_has_a_tenth_more_for_flows_that_have_less_in_it() {
        let queue = Queue::new(0, 100);
        let mut taken = 0;
        while let Some(Admission::InLine(reservation)) = queue.admit("greedy") {
            queue.push(&format!("{taken}"), Lane { flow: "greedy", priority: 0 });
            drop(reservation);
            taken += 1;
        }
        assert_eq!((taken, queue.room(), queue.spare()), (100, 0, 5));
        for n in 0..10 {
            let Some(Admission::InLine(_)) = queue.admit("modest") else { panic!("{n}") };
            queue.push(&format!("modest {n}"), Lane { flow: "modest", priority: 0 });
        }
        assert!(queue.admit("modest").is_none() && queue.room() == 0);
    }
}

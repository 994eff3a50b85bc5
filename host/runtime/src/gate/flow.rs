//! One flow's runs under its limits: who is under way, who waits for what, whose turn is next.
//!
//! Runs that wait for the same slots and the same window stand in one line. Lines of a flow take turns, so that a key with
//! thousands of runs holds up no other. A line that cannot go on waits at what it lacks, and is looked at again when that
//! is there; whoever looked at something that is there and could not use it passes it on to the next that waits for it.
//! So a decision costs what it changes, however many wait.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::admission::Ticket;
use super::line::{Line, Rank};
use super::pace::Pace;
use super::window::{RateRule, Window};

/// Windows are looked through for those that are over when so many more have come than were left the last time.
const SWEEP_AFTER: usize = 1_024;

/// How long it must be quiet before a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuietRule {
    /// So many milliseconds.
    pub after: u64,
    /// And at the latest so many after the first of those that replace one another.
    pub max_wait: u64,
}

impl QuietRule {
    /// Until when one waits that comes now, the first of its kind having come at `since`.
    pub fn until(self, since: u64, now: u64) -> u64 {
        now.saturating_add(self.after).min(since.saturating_add(self.max_wait))
    }
}

/// The numbers of a flow's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Runs under way at a time.
    pub concurrency: Option<u64>,
    /// Starts in a time.
    pub rate: Option<RateRule>,
    /// How long it must be quiet before a run starts.
    pub debounce: Option<QuietRule>,
    /// Runs that wait for their turn.
    pub queue: u64,
}

/// What a line's runs need: a slot (of a key), unless they go with another run's; and a start in a window (of a key).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Needs {
    pub slot: Option<Arc<str>>,
    pub rate: Arc<str>,
}

#[derive(Debug, Default)]
struct Starts {
    window: Window,
    /// Lines that wait for it to have room.
    blocked: VecDeque<Needs>,
    /// When it is looked at again.
    alarm: Option<u64>,
}

/// One flow at the gate.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub rules: Rules,
    /// By key: the runs that hold a slot. Their identifiers sort by their acceptance.
    under_way: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    lines: HashMap<Needs, Line>,
    /// Lines to look at, in turn.
    ready: VecDeque<Needs>,
    /// By key: lines that wait for a slot.
    no_slot: HashMap<Arc<str>, VecDeque<Needs>>,
    starts: HashMap<Arc<str>, Starts>,
    swept: usize,
    /// By debounce key: the run that starts when it stays quiet.
    pub quiet: HashMap<Arc<str>, Arc<str>>,
    /// How many wait, those that are being written to disk counted.
    pub held: usize,
    /// How many are under way, also those that go with another run's slot.
    pub going: usize,
    /// Stands among the flows to look at.
    pub placed: bool,
    /// How fast its runs leave the line.
    pub pace: Pace,
    /// Moments at which windows have room, for whoever keeps the alarms.
    pub alarms: Vec<(Arc<str>, u64)>,
}

/// No limits at all.
impl Default for Rules {
    fn default() -> Self {
        Self { concurrency: None, rate: None, debounce: None, queue: u64::MAX }
    }
}

impl Flow {
    /// What a run needs; its keys once in memory for all that wait with it.
    pub fn shared(&self, ticket: &Ticket) -> Needs {
        let needs = Needs { slot: ticket.slot.as_deref().map(Arc::from), rate: ticket.rate.as_str().into() };
        self.lines.get_key_value(&needs).map_or(needs, |(shared, _)| shared.clone())
    }

    /// Other limits hold from now on: every line is looked at again.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        let waiting = self.no_slot.drain().flat_map(|(_, lines)| lines);
        let late = self.starts.values_mut().flat_map(|starts| {
            starts.alarm = None;
            std::mem::take(&mut starts.blocked)
        });
        self.ready.extend(waiting.chain(late));
    }

    /// Whether a run with these needs can start without overtaking anyone.
    pub fn is_free(&mut self, needs: &Needs, now: u64) -> bool {
        let nobody = !self.lines.contains_key(needs)
            && needs.slot.as_ref().is_none_or(|slot| !self.no_slot.contains_key(slot))
            && self.starts.get(&needs.rate).is_none_or(|starts| starts.blocked.is_empty());
        nobody && self.has_slot(needs) && self.has_room(needs, now)
    }

    /// Counts a run as under way, whatever the limits say.
    pub fn take_slot(&mut self, id: &Arc<str>, slot: Option<&Arc<str>>) {
        self.going += 1;
        if let Some(slot) = slot {
            self.under_way.entry(Arc::clone(slot)).or_default().insert(Arc::clone(id));
        }
    }

    /// Notes a start, if the flow has a rate.
    pub fn note_start(&mut self, rate: &Arc<str>, at: u64) {
        if self.rules.rate.is_some() {
            self.sweep(at);
            self.starts.entry(Arc::clone(rate)).or_default().window.note(at);
        }
    }

    /// A run is under way no more.
    pub fn give_slot(&mut self, id: &str, slot: Option<&Arc<str>>) {
        self.going = self.going.saturating_sub(1);
        let Some(slot) = slot else { return };
        if let Some(all) = self.under_way.get_mut(slot) {
            all.remove(id);
            if all.is_empty() {
                self.under_way.remove(slot);
            }
        }
        self.pass_on_slot(slot);
    }

    /// A start did not come about.
    pub fn take_back_start(&mut self, rate: &Arc<str>, at: u64, now: u64) {
        if let Some(starts) = self.starts.get_mut(rate) {
            starts.window.take_back(at);
            self.pass_on_room(rate, now);
        }
    }

    /// A run waits in line.
    pub fn stand(&mut self, needs: &Needs, rank: Rank, id: Arc<str>) {
        let line = self.lines.entry(needs.clone()).or_default();
        line.insert(rank, id);
        if !line.placed {
            line.placed = true;
            self.ready.push_back(needs.clone());
        }
    }

    /// A run waits no more. An empty line is forgotten when it is looked at.
    pub fn step_out(&mut self, needs: &Needs, rank: Rank) {
        if let Some(line) = self.lines.get_mut(needs) {
            line.remove(rank);
            if line.is_empty() {
                // It must not stand in the way of those who come.
                let waits = |lines: &mut VecDeque<Needs>| lines.retain(|other| other != needs);
                if let Some(slot) = &needs.slot
                    && let Some(blocked) = self.no_slot.get_mut(slot)
                {
                    waits(blocked);
                    if blocked.is_empty() {
                        self.no_slot.remove(slot);
                    }
                }
                if let Some(starts) = self.starts.get_mut(&needs.rate) {
                    waits(&mut starts.blocked);
                }
                waits(&mut self.ready);
                self.lines.remove(needs);
            }
        }
    }

    /// The next run that may start: it holds its slot and has its start noted.
    pub fn next(&mut self, now: u64) -> Option<Arc<str>> {
        while let Some(needs) = self.ready.pop_front() {
            if !self.has_slot(&needs) {
                if let Some(slot) = &needs.slot {
                    self.no_slot.entry(Arc::clone(slot)).or_default().push_back(needs.clone());
                }
                self.pass_on_room(&needs.rate, now);
                continue;
            }
            if !self.has_room(&needs, now) {
                self.starts.entry(Arc::clone(&needs.rate)).or_default().blocked.push_back(needs.clone());
                self.pass_on_room(&needs.rate, now);
                self.pass_on(&needs);
                continue;
            }
            let Some(line) = self.lines.get_mut(&needs) else { continue };
            let next = line.pop();
            if line.is_empty() {
                self.lines.remove(&needs);
            } else {
                self.ready.push_back(needs.clone());
            }
            if let Some(id) = &next {
                self.take_slot(id, needs.slot.as_ref());
                self.note_start(&needs.rate, now);
            }
            self.pass_on(&needs);
            self.pass_on_room(&needs.rate, now);
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Whether there are lines to look at.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The moment has come at which a window was to have room.
    pub fn ring(&mut self, rate: &Arc<str>, now: u64) {
        if let Some(starts) = self.starts.get_mut(rate) {
            starts.alarm = None;
        }
        self.pass_on_room(rate, now);
    }

    /// The clock was set back: what was to come later than it can be now comes as soon as it can.
    pub fn set_back(&mut self, now: u64) {
        self.pace.not_after(now);
        let keys: Vec<Arc<str>> = self.starts.keys().cloned().collect();
        for rate in keys {
            if let Some(starts) = self.starts.get_mut(&rate) {
                starts.window.not_after(now);
                starts.alarm = None;
            }
            self.pass_on_room(&rate, now);
        }
    }

    /// The runs that hold slots of a key: how many, and the first.
    pub fn holders(&self, slot: &str) -> (usize, Option<Arc<str>>) {
        self.under_way.get(slot).map_or((0, None), |all| (all.len(), all.first().cloned()))
    }

    /// The runs that hold slots of a key; none when they are more than so many.
    pub fn all_holders(&self, slot: &str, most: usize) -> Vec<Arc<str>> {
        let all = self.under_way.get(slot).filter(|all| all.len() <= most);
        all.into_iter().flatten().cloned().collect()
    }

    /// Whether a slot is free.
    pub fn has_slot(&self, needs: &Needs) -> bool {
        let (Some(max), Some(slot)) = (self.rules.concurrency, &needs.slot) else { return true };
        (self.holders(slot).0 as u64) < max
    }

    /// Whether the window has room.
    pub fn has_room(&mut self, needs: &Needs, now: u64) -> bool {
        let Some(rule) = self.rules.rate else { return true };
        self.starts.get_mut(&needs.rate).is_none_or(|starts| starts.window.has_room(rule, now))
    }

    /// When the window has room for a run that `before` others go before; `None` without a rate.
    pub fn free_at(&mut self, rate: &str, before: usize, now: u64) -> Option<u64> {
        let rule = self.rules.rate?;
        let free = self.starts.get_mut(rate).map(|starts| starts.window.free_at(rule, before as u64, now));
        Some(free.unwrap_or(now))
    }

    /// How many stand before a run in its line.
    pub fn before(&self, needs: &Needs, rank: Rank) -> usize {
        self.lines.get(needs).map_or(0, |line| line.before(rank))
    }

    /// When the line will be half as long, as far as that can be told: when the window has room for that many, and at the
    /// pace so far. Whoever comes then finds a place, and the line has not run dry.
    pub fn half_gone(&mut self, needs: &Needs, now: u64) -> Option<u64> {
        let half = |waiting: usize| waiting.div_ceil(2).max(1);
        let own = self.lines.get(needs).map_or(0, Line::len);
        let room = match own {
            // Others' windows hold the line up.
            0 => self.next_alarm(),
            _ => self.free_at(&needs.rate, half(own).saturating_sub(1), now),
        };
        let pace = self.pace.time_for(half(self.held), now).map(|after| now.saturating_add(after));
        room.filter(|at| *at > now).max(pace)
    }

    /// The next moment at which a window is looked at again.
    pub fn next_alarm(&self) -> Option<u64> {
        self.starts.values().filter_map(|starts| starts.alarm).min()
    }

    fn pass_on(&mut self, needs: &Needs) {
        if let Some(slot) = &needs.slot {
            self.pass_on_slot(slot);
        }
    }

    /// Lets the next line look that waits for a slot, if one is free.
    fn pass_on_slot(&mut self, slot: &Arc<str>) {
        let free = self.rules.concurrency.is_none_or(|max| (self.holders(slot).0 as u64) < max);
        if !free {
            return;
        }
        let Some(blocked) = self.no_slot.get_mut(slot) else { return };
        self.ready.extend(blocked.pop_front());
        if blocked.is_empty() {
            self.no_slot.remove(slot);
        }
    }

    /// Lets the next line look that waits for a window's room, or has it looked at again when it has some.
    fn pass_on_room(&mut self, rate: &Arc<str>, now: u64) {
        let rule = self.rules.rate;
        let Some(starts) = self.starts.get_mut(rate) else { return };
        if starts.blocked.is_empty() {
            return;
        }
        if rule.is_none_or(|rule| starts.window.has_room(rule, now)) {
            self.ready.extend(starts.blocked.pop_front());
        } else if let (Some(rule), None) = (rule, starts.alarm) {
            let at = starts.window.free_at(rule, 0, now);
            starts.alarm = Some(at);
            self.alarms.push((Arc::clone(rate), at));
        }
    }

    /// Forgets windows that are over, now and then.
    fn sweep(&mut self, now: u64) {
        let Some(rule) = self.rules.rate else { return };
        if self.starts.len() > 2 * self.swept + SWEEP_AFTER {
            self.starts
                .retain(|_, s| s.alarm.is_some() || !s.blocked.is_empty() || !s.window.is_over(rule, now));
            self.swept = self.starts.len();
        }
    }
}

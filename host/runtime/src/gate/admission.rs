//! Who may start: every limited run that is not over, as a structure in memory. Pure: it is told the time and decides;
//! whoever asks writes the decision down, or takes it back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::flow::{Flow, Needs, Rules};
use super::line::Rank;
use super::pace::Pace;

/// A run as it comes to the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// `namespace/name`.
    pub flow: String,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The key under which it holds a slot; none when it goes with the slot of the run that started it.
    pub slot: Option<String>,
    /// The key under which its start counts.
    pub rate: String,
    /// The key under which triggers replace one another, until it starts or is replaced.
    pub debounce: Option<String>,
    /// Whether another run waits for its end.
    pub awaited: bool,
    /// 0 to 9.
    pub priority: u8,
}

/// What becomes of a run that is about to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It starts at once.
    Starts,
    /// It waits for its turn.
    Waits,
    /// It waits for another one that replaces it, and replaces the named one.
    Quiet { quiet: Quiet, replaces: Option<Arc<str>> },
}

/// How a run waits for quiet: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// When the first came of those that replaced one another.
    pub since: u64,
    /// Until when it waits.
    pub until: u64,
}

/// Why a run is not accepted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// So many of its flow wait already; at the moment given half as many may.
    FlowFull { queued: usize, come_at: Option<u64> },
    /// As many of all flows wait as may; at the moment given half as many may.
    HostFull { come_at: Option<u64> },
    /// The one that it would replace is being written to disk: ask again when that is done.
    Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is being written to disk as one that waits; with how long and the key when it is to wait for quiet.
    Arriving(Option<(Quiet, Arc<str>)>),
    /// It waits for quiet.
    Quiet { quiet: Quiet, nth: u64, key: Arc<str> },
    /// It is being replaced.
    Leaving(Quiet, Arc<str>),
    /// It stands in line.
    Queued,
    /// It started at the gate at this moment, or before the host did.
    UnderWay(Option<u64>),
}

#[derive(Debug)]
pub(super) struct Member {
    pub flow: Arc<str>,
    pub needs: Needs,
    pub rank: Rank,
    pub standing: Standing,
}

#[derive(Debug)]
pub(super) enum Alarm {
    Quiet(Arc<str>),
    Rate(Arc<str>, Arc<str>),
}

/// The gate that limited runs pass.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(super) flows: HashMap<Arc<str>, Flow>,
    pub(super) members: HashMap<Arc<str>, Member>,
    /// How many wait, of all flows.
    pub(super) held: usize,
    /// How fast runs of all flows leave their lines.
    pace: Pace,
    /// The most that may wait.
    bound: usize,
    /// Runs that others wait for and that came into line.
    pub(super) awaited: Vec<Arc<str>>,
    /// As a host does that goes down before it has looked.
    #[cfg(test)]
    pub overlooks_deadlocks: bool,
    /// By moment, then order of their setting.
    pub(super) alarms: BTreeMap<(u64, u64), Alarm>,
    /// Flows to look at, in turn.
    ready: VecDeque<Arc<str>>,
    nth: u64,
    now: u64,
}

impl Gate {
    pub fn new(bound: usize) -> Self {
        Self {
            flows: HashMap::new(),
            members: HashMap::new(),
            held: 0,
            pace: Pace::default(),
            awaited: Vec::new(),
            #[cfg(test)]
            overlooks_deadlocks: false,
            bound,
            alarms: BTreeMap::new(),
            ready: VecDeque::new(),
            nth: 0,
            now: 0,
        }
    }

    /// What holds for a flow from now on. A flow without limits is known only as long as runs of it wait.
    pub fn set_rules(&mut self, flow: &str, rules: Option<Rules>) {
        if rules.is_none() && !self.flows.contains_key(flow) {
            return;
        }
        let name = self.name(flow);
        self.flows.entry(Arc::clone(&name)).or_default().set_rules(rules.unwrap_or_default());
        self.look_at(&name);
    }

    /// Decides on a run that is about to be accepted. `bounded` says that whoever brings it can be told to come back.
    /// What is decided is settled by [`Self::arrived`], or by [`Self::gone`] when it was not written.
    pub fn enter(&mut self, id: &str, ticket: &Ticket, bounded: bool, now: u64) -> Result<Entry, Closed> {
        let id: Arc<str> = id.into();
        let nth = self.next_nth();
        let name = self.name(&ticket.flow);
        let flow = self.flows.entry(Arc::clone(&name)).or_default();
        let needs = flow.shared(ticket);
        let rank = Rank::new(ticket.at, ticket.priority, nth);
        let member = |standing| Member { flow: Arc::clone(&name), needs: needs.clone(), rank, standing };
        if let (Some(rule), Some(key)) = (flow.rules.debounce, ticket.debounce.as_deref()) {
            let mut since = now;
            let replaces = flow.quiet.get(key).cloned();
            if let Some(old) = &replaces {
                let Some(old) = self.members.get_mut(old) else { return Err(Closed::Ask) };
                let Standing::Quiet { quiet, nth, key } = &old.standing else { return Err(Closed::Ask) };
                since = quiet.since.min(now);
                self.alarms.remove(&(quiet.until, *nth));
                old.standing = Standing::Leaving(*quiet, Arc::clone(key));
                // The place of the one that goes is the new one's.
                flow.held += 1;
                self.held += 1;
            } else {
                self.hold(&name, &needs, bounded, now)?;
            }
            let key: Arc<str> = key.into();
            if let Some(flow) = self.flows.get_mut(&name) {
                flow.quiet.insert(Arc::clone(&key), Arc::clone(&id));
            }
            let quiet = Quiet { since, until: rule.until(since, now) };
            self.members.insert(id, member(Standing::Arriving(Some((quiet, key)))));
            return Ok(Entry::Quiet { quiet, replaces });
        }
        if flow.is_free(&needs, now) {
            flow.take_slot(&id, needs.slot.as_ref());
            flow.note_start(&needs.rate, now);
            self.members.insert(id, member(Standing::UnderWay(Some(now))));
            return Ok(Entry::Starts);
        }
        self.hold(&name, &needs, bounded, now)?;
        self.members.insert(id, member(Standing::Arriving(None)));
        Ok(Entry::Waits)
    }

    /// A run that waits is on disk.
    pub fn arrived(&mut self, id: &str) {
        let nth = self.next_nth();
        let Some((id, _)) = self.members.get_key_value(id) else { return };
        let id = Arc::clone(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        match &member.standing {
            Standing::Arriving(Some((quiet, key))) => {
                let (quiet, key) = (*quiet, Arc::clone(key));
                member.standing = Standing::Quiet { quiet, nth, key };
                self.alarms.insert((quiet.until, nth), Alarm::Quiet(id));
            }
            Standing::Arriving(None) => self.line_up(&id),
            _ => {}
        }
    }

    /// The run that was to replace this one did not come.
    pub fn stays(&mut self, id: &str) {
        let nth = self.next_nth();
        let Some((id, _)) = self.members.get_key_value(id) else { return };
        let id = Arc::clone(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Standing::Leaving(quiet, key) = &member.standing {
            let (quiet, key) = (*quiet, Arc::clone(key));
            if let Some(flow) = self.flows.get_mut(&member.flow) {
                flow.quiet.entry(Arc::clone(&key)).or_insert_with(|| Arc::clone(&id));
            }
            member.standing = Standing::Quiet { quiet, nth, key };
            self.alarms.insert((quiet.until, nth), Alarm::Quiet(id));
        }
    }

    /// A run that is on disk waits, without regard to bounds; first for quiet, if so.
    pub fn wait(&mut self, id: &str, ticket: &Ticket, quiet: Option<Quiet>) {
        if self.members.get(id).is_some_and(|member| !matches!(member.standing, Standing::UnderWay(_))) {
            return;
        }
        self.gone(id);
        let id: Arc<str> = id.into();
        let quiet = quiet.zip(ticket.debounce.as_deref()).map(|(quiet, key)| (quiet, Arc::from(key)));
        let (flow, member) = self.member(ticket, Standing::Arriving(quiet.clone()));
        flow.held += 1;
        if let Some((_, key)) = quiet {
            flow.quiet.insert(key, Arc::clone(&id));
        }
        self.held += 1;
        self.members.insert(Arc::clone(&id), member);
        self.arrived(&id);
        if ticket.awaited {
            self.awaited.push(id);
        }
    }

    /// A run is under way, whatever the limits say: it was when the host went down, or a person wants it.
    pub fn goes(&mut self, id: &str, ticket: &Ticket) {
        if self.members.get(id).is_some_and(|member| matches!(member.standing, Standing::UnderWay(_))) {
            return;
        }
        self.gone(id);
        let id: Arc<str> = id.into();
        let (flow, member) = self.member(ticket, Standing::UnderWay(None));
        flow.take_slot(&id, member.needs.slot.as_ref());
        self.members.insert(id, member);
    }

    /// A run started under a key at a moment, before the host did.
    pub fn started(&mut self, flow: &str, rate: &str, at: u64) {
        let name = self.name(flow);
        self.flows.entry(name).or_default().note_start(&rate.into(), at);
    }

    /// A run is over, or parked, or was never accepted.
    pub fn gone(&mut self, id: &str) {
        let Some((id, member)) = self.members.remove_entry(id) else { return };
        let Some(flow) = self.flows.get_mut(&member.flow) else { return };
        let not_quiet = |flow: &mut Flow, key: &Arc<str>| {
            if flow.quiet.get(key) == Some(&id) {
                flow.quiet.remove(key);
            }
        };
        match &member.standing {
            Standing::UnderWay(_) => flow.give_slot(&id, member.needs.slot.as_ref()),
            Standing::Queued => flow.step_out(&member.needs, member.rank),
            Standing::Quiet { quiet, nth, key } => {
                self.alarms.remove(&(quiet.until, *nth));
                not_quiet(flow, key);
            }
            Standing::Arriving(Some((_, key))) | Standing::Leaving(_, key) => not_quiet(flow, key),
            Standing::Arriving(None) => {}
        }
        if !matches!(member.standing, Standing::UnderWay(_)) {
            flow.held = flow.held.saturating_sub(1);
            self.held = self.held.saturating_sub(1);
        }
        self.look_at(&member.flow);
    }

    /// A start that was decided did not come about, and the run is not accepted.
    pub fn not_started(&mut self, id: &str, now: u64) {
        if let Some(member) = self.members.get(id)
            && let Standing::UnderWay(Some(at)) = member.standing
            && let Some(flow) = self.flows.get_mut(&member.flow)
        {
            flow.take_back_start(&member.needs.rate, at, now);
        }
        self.gone(id);
    }

    /// A start that was decided did not come about: the run waits again.
    pub fn back(&mut self, id: &str, now: u64) {
        let Some(member) = self.members.get(id) else { return };
        let Standing::UnderWay(Some(at)) = member.standing else { return };
        let (name, needs, rank) = (Arc::clone(&member.flow), member.needs.clone(), member.rank);
        let Some((id, _)) = self.members.get_key_value(id) else { return };
        let id = Arc::clone(id);
        if let Some(flow) = self.flows.get_mut(&name) {
            flow.take_back_start(&needs.rate, at, now);
            flow.give_slot(&id, needs.slot.as_ref());
            flow.held += 1;
            self.held += 1;
            self.members
                .insert(Arc::clone(&id), Member { flow: name, needs, rank, standing: Standing::Queued });
            self.line_up(&id);
        }
    }

    /// The next run that may start; it counts as under way from here on. Flows take turns.
    pub fn next(&mut self, now: u64) -> Option<Arc<str>> {
        self.tick(now);
        while let Some(name) = self.ready.pop_front() {
            let Some(flow) = self.flows.get_mut(&name) else { continue };
            flow.placed = false;
            let next = flow.next(now);
            if next.is_some() {
                flow.held = flow.held.saturating_sub(1);
                self.held = self.held.saturating_sub(1);
                flow.pace.note(now, flow.held);
                self.pace.note(now, self.held);
            }
            self.look_at(&name);
            if let Some(id) = next {
                if let Some(member) = self.members.get_mut(&id) {
                    member.standing = Standing::UnderWay(Some(now));
                }
                return Some(id);
            }
        }
        None
    }

    /// What is known of a run that comes in, and its flow.
    fn member(&mut self, ticket: &Ticket, standing: Standing) -> (&mut Flow, Member) {
        let nth = self.next_nth();
        let name = self.name(&ticket.flow);
        let flow = self.flows.entry(Arc::clone(&name)).or_default();
        let needs = flow.shared(ticket);
        let rank = Rank::new(ticket.at, ticket.priority, nth);
        (flow, Member { flow: name, needs, rank, standing })
    }

    /// A flow's name, once in memory.
    fn name(&self, name: &str) -> Arc<str> {
        self.flows.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name))
    }

    /// Takes a place among those that wait.
    fn hold(&mut self, flow: &Arc<str>, needs: &Needs, bounded: bool, now: u64) -> Result<(), Closed> {
        if self.held >= self.bound {
            let after = self.pace.time_for(self.held.div_ceil(2), now);
            return Err(Closed::HostFull { come_at: after.map(|after| now.saturating_add(after)) });
        }
        let Some(flow) = self.flows.get_mut(flow) else { return Ok(()) };
        if bounded && flow.held as u64 >= flow.rules.queue {
            let come_at = flow.half_gone(needs, now);
            return Err(Closed::FlowFull { queued: flow.held, come_at });
        }
        flow.held += 1;
        self.held += 1;
        Ok(())
    }

    fn line_up(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.standing = Standing::Queued;
        let name = Arc::clone(&member.flow);
        if let Some(flow) = self.flows.get_mut(&name) {
            flow.stand(&member.needs, member.rank, Arc::clone(id));
        }
        self.look_at(&name);
    }

    /// Has a flow looked at, and takes its alarms over.
    fn look_at(&mut self, name: &Arc<str>) {
        let Some(flow) = self.flows.get_mut(name) else { return };
        if flow.has_ready() && !flow.placed {
            flow.placed = true;
            self.ready.push_back(Arc::clone(name));
        }
        for (rate, at) in std::mem::take(&mut flow.alarms) {
            self.nth += 1;
            self.alarms.insert((at, self.nth), Alarm::Rate(Arc::clone(name), rate));
        }
    }

    fn tick(&mut self, now: u64) {
        if now < self.now {
            self.set_back(now);
        }
        self.now = now;
        while let Some(first) = self.alarms.first_entry() {
            if first.key().0 > now {
                return;
            }
            match first.remove() {
                Alarm::Quiet(id) => {
                    if let Some(member) = self.members.get(&id)
                        && let Standing::Quiet { key, .. } = &member.standing
                        && let Some(flow) = self.flows.get_mut(&member.flow)
                    {
                        if flow.quiet.get(key) == Some(&id) {
                            flow.quiet.remove(key);
                        }
                        self.line_up(&id);
                    }
                }
                Alarm::Rate(name, rate) => {
                    if let Some(flow) = self.flows.get_mut(&name) {
                        flow.ring(&rate, now);
                    }
                    self.look_at(&name);
                }
            }
        }
    }

    /// The clock was set back: nobody waits longer than the limits say.
    fn set_back(&mut self, now: u64) {
        self.pace.not_after(now);
        let alarms = std::mem::take(&mut self.alarms);
        for alarm in alarms.into_values() {
            let Alarm::Quiet(id) = alarm else { continue };
            let nth = self.next_nth();
            let Some(member) = self.members.get_mut(&id) else { continue };
            let rule = self.flows.get(&member.flow).and_then(|flow| flow.rules.debounce);
            if let Standing::Quiet { quiet, key, .. } = &member.standing {
                let since = quiet.since.min(now);
                let until = quiet.until.min(rule.map_or(now, |rule| rule.until(since, now)));
                member.standing =
                    Standing::Quiet { quiet: Quiet { since, until }, nth, key: Arc::clone(key) };
                self.alarms.insert((until, nth), Alarm::Quiet(id));
            }
        }
        let names: Vec<Arc<str>> = self.flows.keys().cloned().collect();
        for name in names {
            if let Some(flow) = self.flows.get_mut(&name) {
                flow.set_back(now);
            }
            self.look_at(&name);
        }
    }

    fn next_nth(&mut self) -> u64 {
        self.nth += 1;
        self.nth
    }
}

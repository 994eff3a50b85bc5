//! The clocks of one run as the store keeps them, and what happens to them. Pure but for the time it is given.

use std::collections::BTreeSet;

use factotum_flow::{Calendar, Sla, SlaClock, SlaTime};
use factotum_store::{Batch, Table};
use serde::{Deserialize, Serialize};

use super::SlaState;
use crate::runs::{Row, RunState};

/// The prefix of the keys of records.
const RECORD: &str = "r\0";
/// The prefix of the index of runs by the state of their clocks.
const BY_STATE: &str = "s\0";
/// Places at which the clocks of one run are made to stand still, at the same time.
const MAX_PAUSES: usize = 1_000;

/// What a clock counts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Respond,
    Resolve,
}

impl From<SlaClock> for Target {
    fn from(clock: SlaClock) -> Self {
        match clock {
            SlaClock::Respond => Target::Respond,
            SlaClock::Resolve => Target::Resolve,
        }
    }
}

impl Target {
    pub fn as_str(self) -> &'static str {
        match self {
            Target::Respond => "respond",
            Target::Resolve => "resolve",
        }
    }
}

/// One clock. Times in milliseconds since the Unix epoch; lengths in milliseconds, of business time if the clock counts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    #[serde(rename = "t")]
    pub target: Target,
    /// Whether it counts business time.
    #[serde(rename = "b")]
    pub business: bool,
    #[serde(rename = "w")]
    pub warn: u64,
    #[serde(rename = "d")]
    pub due: u64,
    /// What is left until the warning and until the end, while it stands still.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub left: Option<(u64, u64)>,
    #[serde(rename = "wa", default, skip_serializing_if = "Option::is_none")]
    pub warned_at: Option<u64>,
    #[serde(rename = "ba", default, skip_serializing_if = "Option::is_none")]
    pub breached_at: Option<u64>,
    #[serde(rename = "ma", default, skip_serializing_if = "Option::is_none")]
    pub met_at: Option<u64>,
}

/// The clocks of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clocks {
    /// The flow, `namespace/name`.
    #[serde(rename = "f")]
    pub flow: String,
    #[serde(rename = "c")]
    pub clocks: Vec<Clock>,
    /// The tasks that have them stand still, by their keys.
    #[serde(rename = "p", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub paused: BTreeSet<String>,
    /// When nothing counts any more.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub over_at: Option<u64>,
}

/// What a clock says when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rings {
    Warned,
    Breached,
}

impl Clocks {
    /// The clocks of a run that begins now. `end` gives the moment at which a length of time has passed.
    ///
    /// # Errors
    /// Why there is no such moment.
    pub fn begin(
        flow: &str,
        sla: &Sla,
        now: u64,
        end: impl Fn(&SlaTime) -> Result<(u64, Option<std::sync::Arc<Calendar>>), String>,
    ) -> Result<Self, String> {
        let clock = |(target, time): &(SlaClock, SlaTime)| {
            let (due, calendar) = end(time)?;
            let whole = between(calendar.as_deref(), now, due);
            let warn = ahead(calendar.as_deref(), now, part(whole, sla.warn_at))?.min(due);
            Ok(Clock {
                target: (*target).into(),
                business: calendar.is_some(),
                warn,
                due,
                left: None,
                warned_at: None,
                breached_at: None,
                met_at: None,
            })
        };
        let clocks = sla.targets.iter().map(clock).collect::<Result<_, String>>()?;
        Ok(Self { flow: flow.to_owned(), clocks, paused: BTreeSet::new(), over_at: None })
    }

    /// When something happens next.
    pub fn next(&self) -> Option<u64> {
        self.clocks.iter().filter_map(|clock| clock.next(self.over_at)).min()
    }

    /// What has happened by now, each told once, in order. A breach is told also when what was wanted came after it.
    pub fn ring(&mut self, now: u64) -> Vec<(Target, Rings, u64)> {
        let mut rung = Vec::new();
        for clock in &mut self.clocks {
            if clock.next(self.over_at).is_none_or(|next| next > now) {
                continue;
            }
            if clock.due <= now {
                clock.breached_at = Some(clock.due);
                rung.push((clock.target, Rings::Breached, clock.due));
            } else {
                clock.warned_at = Some(clock.warn);
                rung.push((clock.target, Rings::Warned, clock.due));
            }
        }
        rung
    }

    /// A task has the clocks stand still.
    pub fn pause(&mut self, by: &str, now: u64, calendar: Option<&Calendar>) {
        if self.paused.len() >= MAX_PAUSES || !self.paused.insert(by.to_owned()) || self.paused.len() > 1 {
            return;
        }
        // What was due before stays due.
        for clock in self.clocks.iter_mut().filter(|clock| clock.met_at.is_none() && clock.due > now) {
            let calendar = calendar.filter(|_| clock.business);
            clock.left = Some((between(calendar, now, clock.warn), between(calendar, now, clock.due)));
        }
    }

    /// Lets those tasks no longer have the clocks stand still that `ended` says yes to. The clocks go on when none is left.
    /// Returns whether anything changed.
    ///
    /// # Errors
    /// Why a clock has no end; it is left as it was.
    pub fn resume(
        &mut self,
        ended: impl Fn(&str) -> bool,
        now: u64,
        calendar: Option<&Calendar>,
    ) -> Result<bool, String> {
        let before = self.paused.len();
        self.paused.retain(|by| !ended(by));
        if self.paused.len() == before {
            return Ok(false);
        }
        if self.paused.is_empty() {
            for clock in &mut self.clocks {
                let Some((warn, due)) = clock.left.take() else { continue };
                let calendar = calendar.filter(|_| clock.business);
                clock.due = ahead(calendar, now, due)?;
                if clock.warned_at.is_none() {
                    clock.warn = ahead(calendar, now, warn)?.min(clock.due);
                }
            }
        }
        Ok(true)
    }

    /// This was reached now.
    pub fn meet(&mut self, target: Target, now: u64) {
        for clock in self.clocks.iter_mut().filter(|clock| clock.target == target && clock.met_at.is_none()) {
            clock.met_at = Some(now);
            clock.left = None;
        }
    }

    /// The run completed: everything is reached.
    pub fn complete(&mut self, now: u64) {
        self.meet(Target::Respond, now);
        self.meet(Target::Resolve, now);
        self.stop(now);
    }

    /// Nothing counts any more.
    pub fn stop(&mut self, now: u64) {
        self.paused.clear();
        for clock in &mut self.clocks {
            // What stood still was not due.
            if clock.left.take().is_some() {
                clock.due = clock.due.max(now);
            }
        }
        self.over_at = Some(now);
    }

    /// The run was cancelled by whom knows no clocks: another one took its place before it began.
    pub fn stop_with(&mut self, row: &Row) {
        if let (RunState::Cancelled, None, Some(ended)) = (row.state, self.over_at, row.ended_at) {
            self.stop(ended);
        }
    }

    /// The run goes on after its end: what its end had reached or stopped counts again, until when it did.
    pub fn reopen(&mut self) {
        if let Some(over) = self.over_at.take() {
            for clock in self.clocks.iter_mut().filter(|clock| clock.met_at == Some(over)) {
                clock.met_at = None;
            }
        }
    }

    /// Where the run stands.
    pub fn state(&self) -> SlaState {
        if self.clocks.iter().any(|clock| clock.breached_at.is_some()) {
            SlaState::Breached
        } else if self.open().next().is_none() {
            SlaState::Met
        } else if self.over_at.is_some() {
            SlaState::Stopped
        } else if !self.paused.is_empty() {
            SlaState::Paused
        } else if self.open().any(|clock| clock.warned_at.is_some()) {
            SlaState::Warned
        } else {
            SlaState::Running
        }
    }

    fn open(&self) -> impl Iterator<Item = &Clock> {
        self.clocks.iter().filter(|clock| clock.met_at.is_none())
    }

    /// Puts the record into a batch, and moves it in the index.
    pub fn put(&self, batch: &mut Batch, run: &str, was: Option<SlaState>) -> Result<(), serde_json::Error> {
        batch.put(Table::Sla, record_key(run), serde_json::to_vec(self)?);
        let state = self.state();
        if was != Some(state) {
            if let Some(was) = was {
                batch.delete(Table::Sla, state_key(was, run));
            }
            batch.put(Table::Sla, state_key(state, run), *b"");
        }
        Ok(())
    }
}

impl Clock {
    /// When it rings next, in a run that was over at `over`.
    fn next(&self, over: Option<u64>) -> Option<u64> {
        if self.breached_at.is_some() || self.left.is_some() {
            return None;
        }
        match self.met_at.or(over) {
            // Reached in time; or too late, which is to be told.
            Some(end) => (self.due < end).then_some(self.due),
            None if self.warned_at.is_none() => Some(self.warn),
            None => Some(self.due),
        }
    }
}

/// So many percent of a length.
fn part(whole: u64, percent: u8) -> u64 {
    // In two steps, so that no length is too long.
    whole / 100 * u64::from(percent) + whole % 100 * u64::from(percent) / 100
}

fn between(calendar: Option<&Calendar>, from: u64, to: u64) -> u64 {
    match calendar {
        Some(calendar) => calendar.between(from, to),
        None => to.saturating_sub(from),
    }
}

fn ahead(calendar: Option<&Calendar>, from: u64, ms: u64) -> Result<u64, String> {
    match calendar {
        Some(calendar) => {
            let length = factotum_flow::Length { days: 0, ms };
            calendar.add(from, length).map_err(|never| never.to_string())
        }
        None => Ok(from.saturating_add(ms)),
    }
}

pub(super) fn record_key(run: &str) -> Vec<u8> {
    [RECORD, run].concat().into_bytes()
}

/// The beginning of the keys of runs whose clocks are in a state.
pub(crate) fn state_prefix(state: SlaState) -> Vec<u8> {
    [BY_STATE, state.as_str(), "\0"].concat().into_bytes()
}

fn state_key(state: SlaState, run: &str) -> Vec<u8> {
    [state_prefix(state), run.as_bytes().to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sla(text: &str) -> Sla {
        let source = format!(
            "document: {{ dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: {{ sla: {text} }} }}\ndo:\n- a: {{ set: {{ a: 1 }} }}"
        );
        factotum_flow::Flow::parse(&source, "t").unwrap().sla().unwrap().clone()
    }

    fn begin(text: &str) -> Clocks {
        let end = |time: &SlaTime| match time {
            SlaTime::Wall(length) => Ok((1_000 + u64::try_from(length.as_millis()).unwrap(), None)),
            SlaTime::Business(..) => Err("none here".to_owned()),
        };
        Clocks::begin("t/f", &sla(text), 1_000, end).unwrap()
    }

    #[test]
    fn a_clock_warns_once_and_is_breached_once() {
        let mut clocks = begin("{ resolve: PT100S, warnAt: 0.75 }");
        assert_eq!((clocks.next(), clocks.state()), (Some(76_000), SlaState::Running));
        assert_eq!(clocks.ring(75_999), []);
        assert_eq!(clocks.ring(76_000), [(Target::Resolve, Rings::Warned, 101_000)]);
        assert_eq!(
            (clocks.ring(80_000).len(), clocks.next(), clocks.state()),
            (0, Some(101_000), SlaState::Warned)
        );
        assert_eq!(clocks.ring(200_000), [(Target::Resolve, Rings::Breached, 101_000)]);
        assert_eq!((clocks.next(), clocks.state()), (None, SlaState::Breached));
        let mut late = begin("{ resolve: PT100S }");
        assert_eq!(
            late.ring(500_000).len(),
            1,
            "who was not there for the warning is told of the breach alone"
        );
    }

    #[test]
    fn a_pause_adds_its_length_and_several_pauses_at_once_are_one() {
        let mut clocks = begin("{ respond: PT50S, resolve: PT100S }");
        clocks.meet(Target::Respond, 2_000);
        clocks.pause("/do/0/a", 11_000, None);
        clocks.pause("/do/1/b", 12_000, None);
        clocks.pause("/do/1/b", 13_000, None);
        assert_eq!((clocks.next(), clocks.state(), clocks.ring(900_000).len()), (None, SlaState::Paused, 0));
        assert_eq!(clocks.resume(|by| by == "/do/0/a", 20_000, None), Ok(true));
        assert_eq!(clocks.state(), SlaState::Paused);
        assert_eq!(clocks.resume(|_| true, 31_000, None), Ok(true));
        assert_eq!(clocks.next(), Some(81_000 + 20_000), "twenty seconds later than it would have been");
        assert_eq!(clocks.resume(|_| true, 40_000, None), Ok(false));
        clocks.complete(50_000);
        assert_eq!((clocks.next(), clocks.state()), (None, SlaState::Met));
        clocks.reopen();
        assert_eq!((clocks.next(), clocks.state()), (Some(101_000), SlaState::Running));
        assert!(clocks.clocks[0].met_at.is_some(), "what was answered stays answered");
        clocks.stop(60_000);
        assert_eq!((clocks.next(), clocks.state()), (None, SlaState::Stopped));
    }
}

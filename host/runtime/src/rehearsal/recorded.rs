//! The answers of a run's journal, by place.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use factotum_flow::{FlowError, Subscription};
use serde_json::Value;

use super::edited::Recorded;
use super::effects::{Answers, Asked, Given};
use crate::journal::{Outcome, ReadRecord, Record};
use crate::place::place;
use crate::runs::live::Live;

/// What a journal answers, by place.
pub(super) struct Journal {
    /// What was called, and how it went.
    pub calls: HashMap<String, (String, Result<Value, FlowError>)>,
    /// What came from outside: a person's answer, another flow's end.
    kept: HashMap<String, Result<Value, FlowError>>,
    /// Events that were listened for, by place and number there.
    heard: HashMap<(String, u64), Value>,
    late: HashSet<String>,
    /// Waits that are over.
    waited: HashSet<String>,
    times: HashMap<String, u64>,
    decided: HashMap<String, Value>,
}

impl Journal {
    /// What is left of a journal.
    pub fn of(live: &Live) -> Self {
        let mut journal = Self {
            calls: HashMap::new(),
            kept: HashMap::new(),
            heard: HashMap::new(),
            late: HashSet::new(),
            waited: HashSet::new(),
            times: HashMap::new(),
            decided: HashMap::new(),
        };
        for record in live.records.iter().flatten() {
            journal.add(record);
        }
        journal
    }

    fn add(&mut self, record: &ReadRecord) {
        match record {
            Record::Called { key, function, outcome, .. } => {
                self.calls.insert(place(key), (function.clone(), result(outcome)));
            }
            Record::Kept { key, outcome, .. } => {
                self.kept.insert(place(key), result(outcome));
            }
            Record::Heard { key, nth, event, .. } => {
                self.heard.insert((place(key), *nth), event.clone());
            }
            Record::Late { key, .. } => {
                self.late.insert(place(key));
            }
            Record::Waited { key, .. } => {
                self.waited.insert(place(key));
            }
            Record::Time { key, at } => {
                self.times.insert(place(key), *at);
            }
            Record::Decided { key, value, .. } => {
                self.decided.insert(place(key), value.clone());
            }
            _ => {}
        }
    }
}

/// Whether a journal's word for what was asked means the same as this.
fn same(recorded: &str, asked: &str) -> bool {
    if let Some(flow) = recorded.strip_prefix("workflow ") {
        return asked.strip_prefix("flow ") == Some(flow);
    }
    if let Some(request) = recorded.strip_prefix("http ") {
        // The journal leaves out what a query may tell; arguments are compared apart from this.
        let method = |text: &str| text.split(' ').next().map(str::to_owned);
        return method(request) == method(asked) && asked.contains("://");
    }
    recorded == asked
}

fn result(outcome: &Outcome<Value, FlowError>) -> Result<Value, FlowError> {
    outcome.clone().into()
}

impl Journal {
    /// Whether it has an answer for a place.
    pub fn answers(&self, place: &str) -> bool {
        self.calls.contains_key(place) || self.kept.contains_key(place)
    }
}

impl Recorded for Journal {
    fn recorded(&self, place: &str) -> Option<&Result<Value, FlowError>> {
        self.calls.get(place).map(|(_, result)| result)
    }
}

impl Answers for Journal {
    fn answer(&self, asked: &Asked) -> Given {
        match self.calls.get(&asked.place) {
            Some((what, result)) if same(what, &asked.what) => Given::Answer(result.clone(), Duration::ZERO),
            Some(_) => Given::Unknown,
            None => match self.kept.get(&asked.place) {
                Some(result) => Given::Answer(result.clone(), Duration::ZERO),
                None => Given::Unknown,
            },
        }
    }

    fn event(&self, asked: &Asked, nth: u64, _: &Subscription) -> Given {
        match self.heard.get(&(asked.place.clone(), nth)) {
            Some(event) => Given::Answer(Ok(event.clone()), Duration::ZERO),
            None => Given::Unknown,
        }
    }

    fn waited(&self, place: &str) -> bool {
        self.waited.contains(place)
    }

    fn time(&self, place: &str) -> Option<u64> {
        self.times.get(place).copied()
    }

    fn decided(&self, place: &str) -> Option<Value> {
        self.decided.get(place).cloned()
    }

    /// Only what was recorded passed.
    fn late(&self, place: &str) -> Option<bool> {
        Some(self.late.contains(place))
    }
}

//! What a journal already answers, by the key of the effect.

use std::collections::{HashMap, HashSet};

use factotum_flow::{FlowError, Position};
use factotum_provenance::Labels;
use serde_json::Value;

use super::live::{Live, live};
use super::promises::{PromiseId, Resolution};
use crate::ids;
use crate::journal::{JournalError, Outcome, ReadRecord, Record};
use crate::place::place;

/// A call that has an outcome.
#[derive(Debug, PartialEq)]
pub(crate) struct Answered {
    pub function: String,
    /// Empty: it comes from nothing but the plugin and the arguments.
    pub from: Labels,
    pub outcome: Outcome<Value, FlowError>,
}

/// A call that failed and is to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub attempt: u32,
    pub retry_at: u64,
}

/// A wait that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waited {
    pub due: u64,
    pub over: bool,
}

/// A journal, sorted by what asks for it, each under its place ([`place`]). Each answer is taken out once, so that a large
/// one is not copied.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Where the input comes from; nothing stands for the trigger.
    pub input_from: Labels,
    calls: HashMap<String, Answered>,
    failed: HashMap<String, Failed>,
    waits: HashMap<String, Waited>,
    times: HashMap<String, u64>,
    decided: HashMap<String, Value>,
    /// Where a deadline passed.
    late: HashSet<String>,
    /// Where events are listened to.
    listens: HashMap<String, Listening>,
    /// Which events were read, by place and number there.
    heard: HashMap<(String, u64), Heard>,
    /// Where something from outside was waited for.
    promised: HashSet<String>,
    /// Where it came.
    kept: HashMap<String, Resolution>,
    /// The places whose effects were done and are to be done once more, and the record that says so: they need another
    /// idempotency key than before.
    anew: HashMap<String, u64>,
}

/// The replay of a run that has just begun.
impl From<Labels> for Replay {
    fn from(input_from: Labels) -> Self {
        Replay { input_from, ..Replay::default() }
    }
}

/// A subscription, as far as the journal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The number of the newest event that was read.
    pub cursor: u64,
    /// How many were read.
    pub used: u64,
    pub closed: bool,
}

/// An event that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub event: Value,
    pub from: Labels,
}

impl Replay {
    /// The outcome of the call here. Given once.
    pub fn call(&mut self, at: &Position) -> Option<Answered> {
        if self.calls.is_empty() { None } else { self.calls.remove(&place(at.key())) }
    }

    /// The last attempt of the call here that failed and is to be tried again. Given once.
    pub fn failed(&mut self, at: &Position) -> Option<Failed> {
        if self.failed.is_empty() { None } else { self.failed.remove(&place(at.key())) }
    }

    /// The wait that has begun here.
    pub fn wait(&self, at: &Position) -> Option<Waited> {
        if self.waits.is_empty() { None } else { self.waits.get(&place(at.key())).copied() }
    }

    /// The time that was told here.
    pub fn time(&self, at: &Position) -> Option<u64> {
        if self.times.is_empty() { None } else { self.times.get(&place(at.key())).copied() }
    }

    /// What was decided here.
    pub fn decided(&self, at: &Position) -> Option<Value> {
        if self.decided.is_empty() { None } else { self.decided.get(&place(at.key())).cloned() }
    }

    /// Whether a deadline passed here.
    pub fn late(&self, at: &Position) -> bool {
        !self.late.is_empty() && self.late.contains(&place(at.key()))
    }

    /// Whether something from outside was waited for here.
    pub fn promised(&self, at: &Position) -> bool {
        !self.promised.is_empty() && self.promised.contains(&place(at.key()))
    }

    /// Notes that something from outside is waited for at a place.
    pub fn promise(&mut self, place: &str) {
        self.promised.insert(place.to_owned());
    }

    /// What came from outside here. Given once.
    pub fn kept(&mut self, at: &Position) -> Option<Resolution> {
        if self.kept.is_empty() { None } else { self.kept.remove(&place(at.key())) }
    }

    /// The subscription here.
    pub fn listening(&self, at: &Position) -> Option<Listening> {
        if self.listens.is_empty() { None } else { self.listens.get(&place(at.key())).copied() }
    }

    /// Notes how far the subscription at a place has come.
    pub fn listen(&mut self, at: &Position, listening: Listening) {
        self.listens.insert(place(at.key()), listening);
    }

    /// The `nth` event that was read here. Given once.
    pub fn heard(&mut self, at: &Position, nth: u64) -> Option<Heard> {
        if self.heard.is_empty() { None } else { self.heard.remove(&(place(at.key()), nth)) }
    }

    /// Whether the journal still has answers that were not asked for.
    pub fn answers(&self) -> bool {
        !self.calls.is_empty() || !self.heard.is_empty() || !self.kept.is_empty()
    }

    /// The subscriptions that were not closed.
    pub fn open_subscriptions(&self, run: &str) -> Vec<Vec<u8>> {
        let open = self.listens.iter().filter(|(_, listening)| !listening.closed);
        open.map(|(key, _)| crate::events::sub_id(run, key)).collect()
    }

    /// The promises that were opened and not used up, by their keys in the store.
    pub fn open_promises(&self, run: &str) -> Vec<Vec<u8>> {
        let open = |place: &&String| !self.kept.contains_key(*place) && !self.late.contains(*place);
        let key = |place: &String| PromiseId { run: run.to_owned(), key: place.clone() }.open_key();
        self.promised.iter().filter(open).map(key).collect()
    }

    /// The idempotency key of the effect here: the same for each of its attempts, also after the run was parked, retried
    /// or its flow corrected, as long as nobody knows whether it was done. One that was done, or refused, and that a person
    /// has done once more gets another.
    pub fn idempotency_key(&self, run_id: &str, at: &Position) -> String {
        let place = place(at.idempotency_path());
        match self.anew.get(&place) {
            None => ids::idempotency_key(run_id, &place),
            Some(since) => ids::idempotency_key(run_id, &format!("{place}@{since}")),
        }
    }

    fn add(&mut self, record: ReadRecord) -> Result<(), &'static str> {
        match record {
            Record::Called { key, function, from, outcome, .. } => {
                let place = place(&key);
                self.failed.remove(&place);
                if self.calls.insert(place, Answered { function, from, outcome }).is_some() {
                    return Err("the call had an outcome");
                }
            }
            Record::AttemptFailed { key, attempt, retry_at, .. } => {
                self.failed.insert(place(&key), Failed { attempt, retry_at });
            }
            Record::Waiting { key, due, .. } => {
                self.waits.insert(place(&key), Waited { due, over: false });
            }
            Record::Waited { key, .. } => {
                self.waits.entry(place(&key)).and_modify(|wait| wait.over = true);
            }
            Record::Time { key, at } => {
                self.times.insert(place(&key), at);
            }
            Record::Decided { key, value, .. } => {
                self.decided.insert(place(&key), value);
            }
            Record::Subscribed { key, .. } => {
                self.listens.insert(place(&key), Listening { cursor: 0, used: 0, closed: false });
            }
            Record::Heard { key, nth, number, from, event, .. } => {
                let place = place(&key);
                let listening = self.listens.entry(place.clone());
                listening.and_modify(|l| (l.cursor, l.used) = (number, l.used.saturating_add(1)));
                self.heard.insert((place, nth), Heard { event, from });
            }
            Record::Unsubscribed { key, .. } => {
                self.listens.entry(place(&key)).and_modify(|listening| listening.closed = true);
            }
            Record::Late { key, .. } => {
                self.late.insert(place(&key));
            }
            Record::Promised { key, .. } => {
                self.promised.insert(place(&key));
            }
            Record::Kept { key, from, outcome, .. } => {
                if self.kept.insert(place(&key), Resolution { outcome, from }).is_some() {
                    return Err("what was waited for had come");
                }
            }
            Record::Started { .. } => return Err("the run had started"),
            Record::Finished { .. }
            | Record::Cancelled { .. }
            | Record::Stuck { .. }
            | Record::Held { .. }
            | Record::Unheld { .. }
            | Record::Reopened { .. } => {}
        }
        Ok(())
    }
}

/// A journal as read from the store.
#[derive(Debug)]
pub(crate) struct History {
    pub input: Value,
    pub replay: Replay,
    /// The position of the next record.
    pub next: u64,
}

/// Reads a journal. Refuses one that does not begin with its input, lacks a record, or goes on after its end although
/// nobody had it retried.
pub(crate) fn read<'b>(records: impl IntoIterator<Item = (u64, &'b [u8])>) -> Result<History, JournalError> {
    let Live { input, input_from, records, anew } = live(records)?;
    let next = records.len() as u64;
    let mut replay = Replay { anew, input_from, ..Replay::default() };
    for (number, record) in (0..).zip(records) {
        if let Some(record) = record {
            replay.add(record).map_err(|why| JournalError::OutOfPlace { number, why })?;
        }
    }
    Ok(History { input, replay, next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::WriteRecord;
    use serde_json::json;

    fn journal(records: &[WriteRecord<'_>]) -> Vec<(u64, Vec<u8>)> {
        records.iter().enumerate().map(|(i, r)| (i as u64, r.encode().unwrap())).collect()
    }

    fn called<'a>(key: &str, value: &'a Value) -> WriteRecord<'a> {
        Record::Called {
            key: key.into(),
            task: key.into(),
            function: "crm/x".into(),
            at: 2,
            elapsed_ms: 1,
            attempt: 1,
            from: Labels::default(),
            outcome: Outcome::Value(value),
        }
    }

    fn read_all(journal: &[(u64, Vec<u8>)]) -> Result<History, JournalError> {
        read(journal.iter().map(|(n, b)| (*n, b.as_slice())))
    }

    #[test]
    fn answers_are_found_under_their_keys() {
        let (input, output) = (json!({"a": 1}), json!("done"));
        let error = FlowError::communication("down");
        let failed = Record::AttemptFailed {
            key: "/do/1/b".into(),
            task: "/do/1/b".into(),
            function: "crm/x".into(),
            at: 3,
            elapsed_ms: 1,
            attempt: 2,
            error: &error,
            retry_at: 9,
        };
        let journal = journal(&[
            Record::Started { at: 1, input: &input, from: Labels::default() },
            called("/do/0/a", &output),
            failed,
        ]);
        let history = read_all(&journal).unwrap();
        assert_eq!((history.next, history.input), (3, input));
        assert_eq!(history.replay.calls["/do/a"].outcome, Outcome::Value(output));
        assert_eq!(history.replay.failed["/do/b"], Failed { attempt: 2, retry_at: 9 });
    }

    #[test]
    fn journals_that_cannot_be_are_refused() {
        let input = json!(null);
        let start = || Record::Started { at: 1, input: &input, from: Labels::default() };
        assert_eq!(read_all(&[]).unwrap_err(), JournalError::Empty);
        assert_eq!(read_all(&journal(&[called("k", &input)])).unwrap_err(), JournalError::Empty);
        let end = Record::Finished { at: 2, outcome: Outcome::Value(&input) };
        for bad in [
            journal(&[start(), start()]),
            journal(&[start(), end, called("k", &input)]),
            journal(&[start(), called("k", &input), called("k", &input)]),
        ] {
            assert!(matches!(read_all(&bad), Err(JournalError::OutOfPlace { .. })));
        }
        let mut gap = journal(&[start(), called("k", &input), called("l", &input)]);
        gap.remove(1);
        assert!(matches!(read_all(&gap), Err(JournalError::OutOfPlace { number: 2, .. })));
        let mut broken = journal(&[start(), called("k", &input)]);
        broken[1].1.truncate(9);
        assert!(matches!(read_all(&broken), Err(JournalError::Unreadable { number: 1, .. })));
    }

    fn again(aside: Vec<(u64, u64)>) -> WriteRecord<'static> {
        Record::Reopened { at: 5, by: "token:x".into(), deployment: None, aside }
    }

    #[test]
    fn what_is_set_aside_answers_nothing_and_what_was_done_gets_another_key() {
        let (input, output) = (json!(1), json!("done"));
        let down = FlowError::communication("down").with("kind", "technical");
        let failed = Record::Called {
            key: "/do/2/c".into(),
            task: "/do/2/c".into(),
            function: "crm/x".into(),
            at: 2,
            elapsed_ms: 1,
            attempt: 4,
            from: Labels::default(),
            outcome: Outcome::Error(&down),
        };
        let journal = journal(&[
            Record::Started { at: 1, input: &input, from: Labels::default() },
            called("/do/0/a", &output),
            called("/do/1/b~1", &output),
            failed,
            Record::Finished { at: 2, outcome: Outcome::Error(&down) },
            again(vec![(2, 3)]),
            called("/do/1/b~1", &output),
        ]);
        let replay = read_all(&journal).unwrap().replay;
        let mut places: Vec<_> = replay.calls.keys().map(String::as_str).collect();
        places.sort_unstable();
        assert_eq!(places, ["/do/a", "/do/b~1"]);
        assert_eq!(replay.anew, HashMap::from([("/do/b".to_owned(), 5)]), "nobody knows what became of c");
    }

    #[test]
    fn a_run_that_ended_goes_on_only_when_it_was_retried() {
        let input = json!(1);
        let end = || Record::Finished { at: 2, outcome: Outcome::Value(&input) };
        let start = || Record::Started { at: 1, input: &input, from: Labels::default() };
        assert!(read_all(&journal(&[start(), end(), again(vec![]), called("k", &input), end()])).is_ok());
        let cancelled = Record::Cancelled { at: 2, by: "token:x".into(), reason: None };
        let bad = journal(&[start(), cancelled, called("k", &input)]);
        assert!(matches!(read_all(&bad), Err(JournalError::OutOfPlace { number: 2, .. })));
        assert!(read_all(&journal(&[start(), again(vec![(0, u64::MAX)])])).is_ok(), "no number is trusted");
    }
}

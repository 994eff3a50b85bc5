//! What a journal already answers, by the key of the effect.

use std::collections::{HashMap, HashSet};

use factotum_flow::FlowError;
use factotum_provenance::Labels;
use serde_json::Value;

use super::promises::{PromiseId, Resolution};
use crate::journal::{JournalError, Outcome, ReadRecord, Record};

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

/// A journal, sorted by what asks for it. Each answer is taken out once, so that a large one is not copied.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Where the input comes from; nothing stands for the trigger.
    pub input_from: Labels,
    pub calls: HashMap<String, Answered>,
    pub failed: HashMap<String, Failed>,
    pub waits: HashMap<String, Waited>,
    pub times: HashMap<String, u64>,
    pub decided: HashMap<String, Value>,
    /// Where a deadline passed.
    pub late: HashSet<String>,
    /// Where something from outside was waited for.
    pub promised: HashSet<String>,
    /// Where it came.
    pub kept: HashMap<String, Resolution>,
}

impl Replay {
    /// The promises that were opened and not used up, by their keys in the store.
    pub fn open_promises(&self, run: &str) -> Vec<Vec<u8>> {
        let open = |key: &&String| !self.kept.contains_key(*key) && !self.late.contains(*key);
        let key = |key: &String| PromiseId { run: run.to_owned(), key: key.clone() }.open_key();
        self.promised.iter().filter(open).map(key).collect()
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

/// Reads a journal. Refuses one that does not begin with its input or goes on after its end.
pub(crate) fn read<'b>(records: impl IntoIterator<Item = (u64, &'b [u8])>) -> Result<History, JournalError> {
    let mut history: Option<History> = None;
    let mut ended = false;
    for (number, bytes) in records {
        let out_of_place = |why| Err(JournalError::OutOfPlace { number, why });
        let record = ReadRecord::decode(number, bytes)?;
        if ended {
            return out_of_place("the run had ended");
        }
        let Some(history) = &mut history else {
            let Record::Started { input, from, .. } = record else { return Err(JournalError::Empty) };
            let replay = Replay { input_from: from, ..Replay::default() };
            history = Some(History { input, replay, next: number + 1 });
            continue;
        };
        if number != history.next {
            return out_of_place("a record before it is missing");
        }
        history.next = number + 1;
        let replay = &mut history.replay;
        match record {
            Record::Started { .. } => return out_of_place("the run had started"),
            Record::Called { key, function, from, outcome, .. } => {
                replay.failed.remove(&key);
                if replay.calls.insert(key, Answered { function, from, outcome }).is_some() {
                    return out_of_place("the call had an outcome");
                }
            }
            Record::AttemptFailed { key, attempt, retry_at, .. } => {
                replay.failed.insert(key, Failed { attempt, retry_at });
            }
            Record::Waiting { key, due, .. } => {
                replay.waits.insert(key, Waited { due, over: false });
            }
            Record::Waited { key, .. } => {
                replay.waits.entry(key).and_modify(|wait| wait.over = true);
            }
            Record::Time { key, at } => {
                replay.times.insert(key, at);
            }
            Record::Decided { key, value, .. } => {
                replay.decided.insert(key, value);
            }
            Record::Late { key, .. } => {
                replay.late.insert(key);
            }
            Record::Promised { key, .. } => {
                replay.promised.insert(key);
            }
            Record::Kept { key, from, outcome, .. } => {
                if replay.kept.insert(key, Resolution { outcome, from }).is_some() {
                    return out_of_place("what was waited for had come");
                }
            }
            Record::Finished { .. } => ended = true,
            // A parked run that was let go on.
            Record::Stuck { .. } => {}
        }
    }
    history.ok_or(JournalError::Empty)
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
        assert_eq!(history.replay.calls["/do/0/a"].outcome, Outcome::Value(output));
        assert_eq!(history.replay.failed["/do/1/b"], Failed { attempt: 2, retry_at: 9 });
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
}

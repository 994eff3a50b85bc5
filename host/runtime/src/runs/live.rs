//! The records of a journal that still answer: all but those that a retry set aside.

use std::collections::HashMap;

use factotum_flow::FlowError;
use factotum_provenance::Labels;
use serde_json::Value;

use crate::journal::{JournalError, Outcome, ReadRecord, Record};
use crate::place::{place, without_attempts};

/// The records of a journal that still answer.
#[derive(Debug)]
pub(crate) struct Live {
    /// The run's input.
    pub input: Value,
    /// As in [`Replay`](super::replay::Replay).
    pub(super) input_from: Labels,
    /// By number: `None` for the first, which holds the input, and for those that were set aside.
    pub records: Vec<Option<ReadRecord>>,
    /// As in [`Replay`](super::replay::Replay).
    pub(super) anew: HashMap<String, u64>,
}

/// Reads a journal, and leaves out what was set aside.
pub(crate) fn live<'b>(records: impl IntoIterator<Item = (u64, &'b [u8])>) -> Result<Live, JournalError> {
    let mut live: Option<Live> = None;
    let mut ended = false;
    for (number, bytes) in records {
        let out_of_place = |why| Err(JournalError::OutOfPlace { number, why });
        let record = ReadRecord::decode(number, bytes)?;
        let again = matches!(record, Record::Reopened { .. });
        if ended && !again {
            return out_of_place("the run had ended");
        }
        let Some(live) = &mut live else {
            let Record::Started { input, from, .. } = record else { return Err(JournalError::Empty) };
            live = Some(Live { input, input_from: from, records: vec![None], anew: HashMap::new() });
            continue;
        };
        if number != live.records.len() as u64 {
            return out_of_place("a record before it is missing");
        }
        ended = matches!(record, Record::Finished { .. } | Record::Cancelled { .. });
        if let Record::Reopened { aside, .. } = &record {
            live.set_aside(number, aside);
        }
        live.records.push(Some(record));
    }
    live.ok_or(JournalError::Empty)
}

impl Live {
    fn set_aside(&mut self, by: u64, stretches: &[(u64, u64)]) {
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        for (first, last) in stretches {
            let end = index(*last).saturating_add(1).min(self.records.len());
            for record in self.records.get_mut(index(*first)..end).into_iter().flatten() {
                if let Some(Record::Called { key, outcome, .. }) = record.take()
                    && is_known(&outcome)
                {
                    self.anew.insert(without_attempts(&place(&key)), by);
                }
            }
        }
    }
}

/// Whether an outcome says what became of the effect: it was done, or refused. After a technical fault nobody knows.
pub(crate) fn is_known(outcome: &Outcome<Value, FlowError>) -> bool {
    match outcome {
        Outcome::Value(_) => true,
        Outcome::Error(error) => error.extra.get("kind").is_some_and(|kind| kind == "business"),
    }
}

//! The records of a run's journal: what replaying needs, and what people see as the run's history.
//!
//! JSON, because a journal outlives the program that wrote it and someone may have to read it without one. The tags are
//! short and values are written once, so a record is little more than the value that it holds.

use factotum_flow::FlowError;
use factotum_provenance::Labels;
use serde::{Deserialize, Serialize};

/// How an effect or a whole run ended. `V` is `Value` when read and `&Value` when written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Outcome<V, E> {
    #[serde(rename = "v")]
    Value(V),
    #[serde(rename = "e")]
    Error(E),
}

/// One record. Numbers are in journal order, times in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Record<V, E> {
    /// Record 0: the run was accepted, with this input.
    #[serde(rename = "start")]
    Started {
        at: u64,
        #[serde(rename = "in")]
        input: V,
        /// Where the input comes from, when another flow or an event gave it; empty when the trigger did.
        #[serde(rename = "from", default, skip_serializing_if = "Labels::is_empty")]
        from: Labels,
    },
    /// A call has an outcome; replaying answers with it.
    #[serde(rename = "call")]
    Called {
        #[serde(rename = "k")]
        key: String,
        /// The task's path in the document.
        #[serde(rename = "task")]
        task: String,
        /// What was called, as the flow wrote it.
        #[serde(rename = "fn")]
        function: String,
        at: u64,
        #[serde(rename = "ms")]
        elapsed_ms: u64,
        #[serde(rename = "n")]
        attempt: u32,
        /// Where the outcome comes from, beside the arguments; empty when that is nothing but the plugin.
        #[serde(rename = "from", default, skip_serializing_if = "Labels::is_empty")]
        from: Labels,
        #[serde(rename = "out")]
        outcome: Outcome<V, E>,
    },
    /// An attempt failed and another one follows at `retry_at`. Replaying goes on counting from here.
    #[serde(rename = "fail")]
    AttemptFailed {
        #[serde(rename = "k")]
        key: String,
        task: String,
        #[serde(rename = "fn")]
        function: String,
        at: u64,
        #[serde(rename = "ms")]
        elapsed_ms: u64,
        #[serde(rename = "n")]
        attempt: u32,
        #[serde(rename = "err")]
        error: E,
        #[serde(rename = "next")]
        retry_at: u64,
    },
    /// The run waits until `due`.
    #[serde(rename = "wait")]
    Waiting {
        #[serde(rename = "k")]
        key: String,
        task: String,
        at: u64,
        due: u64,
    },
    /// The wait is over. Written with the next record, so that a clock set back cannot make a replay wait again.
    #[serde(rename = "go")]
    Waited {
        #[serde(rename = "k")]
        key: String,
        at: u64,
    },
    /// The flow asked for the time and was told this one.
    #[serde(rename = "time")]
    Time {
        #[serde(rename = "k")]
        key: String,
        at: u64,
    },
    /// The flow decided something that a replay must not decide again, such as which branch of a `fork` ended it.
    #[serde(rename = "dec")]
    Decided {
        #[serde(rename = "k")]
        key: String,
        at: u64,
        #[serde(rename = "v")]
        value: V,
    },
    /// The run began to listen here.
    #[serde(rename = "sub")]
    Subscribed {
        #[serde(rename = "k")]
        key: String,
        task: String,
        at: u64,
    },
    /// It read an event that was kept for it; replaying answers with it.
    #[serde(rename = "heard")]
    Heard {
        #[serde(rename = "k")]
        key: String,
        /// Which one at this place, from 0.
        #[serde(rename = "n")]
        nth: u64,
        /// Its number among all events.
        #[serde(rename = "no")]
        number: u64,
        task: String,
        at: u64,
        #[serde(rename = "from", default, skip_serializing_if = "Labels::is_empty")]
        from: Labels,
        #[serde(rename = "ev")]
        event: V,
    },
    /// It listens no more.
    #[serde(rename = "unsub")]
    Unsubscribed {
        #[serde(rename = "k")]
        key: String,
        at: u64,
    },
    /// A deadline passed here; a replay is told the same.
    #[serde(rename = "late")]
    Late {
        #[serde(rename = "k")]
        key: String,
        task: String,
        at: u64,
    },
    /// The run waits for something from outside: a person, another run.
    #[serde(rename = "open")]
    Promised {
        #[serde(rename = "k")]
        key: String,
        task: String,
        at: u64,
        /// What is waited for.
        #[serde(rename = "for")]
        what: String,
    },
    /// It came; replaying answers with it.
    #[serde(rename = "kept")]
    Kept {
        #[serde(rename = "k")]
        key: String,
        task: String,
        at: u64,
        #[serde(rename = "from", default, skip_serializing_if = "Labels::is_empty")]
        from: Labels,
        #[serde(rename = "out")]
        outcome: Outcome<V, E>,
    },
    /// The run ended.
    #[serde(rename = "end")]
    Finished {
        at: u64,
        #[serde(rename = "out")]
        outcome: Outcome<V, E>,
    },
    /// The run was parked: it cannot go on without a person.
    #[serde(rename = "stuck")]
    Stuck { at: u64, reason: String },
    /// The run was cancelled, and what could be taken back was.
    #[serde(rename = "cancel")]
    Cancelled {
        at: u64,
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person has the run stand still.
    #[serde(rename = "hold")]
    Held { at: u64, by: String },
    /// A person lets the run go on that stood still.
    #[serde(rename = "unhold")]
    Unheld { at: u64, by: String },
    /// A person had the run retried: it goes on, after its end too.
    #[serde(rename = "again")]
    Reopened {
        at: u64,
        by: String,
        /// The deployment that it keeps to from here on, when that is another one.
        #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
        deployment: Option<String>,
        /// The earlier records that answer nothing any more: the first and the last number of each stretch. They stay
        /// as history. Written out, so that no later program can set aside others.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        aside: Vec<(u64, u64)>,
    },
}

/// A record as read.
pub(crate) type ReadRecord = Record<serde_json::Value, FlowError>;
/// A record as written.
pub(crate) type WriteRecord<'a> = Record<&'a serde_json::Value, &'a FlowError>;

/// A journal that cannot be read or does not fit its flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("journal record {number} cannot be read: {cause}")]
    Unreadable { number: u64, cause: String },
    #[error("the journal has no first record")]
    Empty,
    #[error("journal record {number} should not stand there: {why}")]
    OutOfPlace { number: u64, why: &'static str },
}

impl WriteRecord<'_> {
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl ReadRecord {
    pub fn decode(number: u64, bytes: &[u8]) -> Result<Self, JournalError> {
        serde_json::from_slice(bytes).map_err(|e| {
            let changed = "it was changed or moved by something other than this host, and does not open";
            let cause = if bytes == factotum_store::UNREADABLE { changed.to_owned() } else { e.to_string() };
            JournalError::Unreadable { number, cause }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({"a": [1, 18_446_744_073_709_551_615_u64, -1, 1.5, "ü\u{1f600}", null]});
        let error = FlowError::timeout("slow").with("kind", "technical").at("/do/0/x");
        let call = |outcome| Record::Called {
            key: "k".into(),
            task: "/do/0/x".into(),
            function: "crm/x".into(),
            at: 5,
            elapsed_ms: 6,
            attempt: 2,
            from: Labels::from_origin("crm", ["personal"]),
            outcome,
        };
        let written: Vec<WriteRecord<'_>> = vec![
            Record::Started { at: 1, input: &value, from: Labels::default() },
            call(Outcome::Value(&value)),
            call(Outcome::Error(&error)),
            Record::Waiting { key: "w".into(), task: "/do/1".into(), at: 1, due: 2 },
            Record::Finished { at: 9, outcome: Outcome::Value(&value) },
            Record::Stuck { at: 9, reason: "why".into() },
            Record::Cancelled { at: 9, by: "token:a".into(), reason: None },
            Record::Reopened { at: 9, by: "token:a".into(), deployment: None, aside: vec![(1, 3), (5, 5)] },
        ];
        for record in written {
            let bytes = record.encode().unwrap();
            let read = ReadRecord::decode(3, &bytes).unwrap();
            assert_eq!(
                serde_json::to_value(&read).unwrap(),
                serde_json::from_slice::<Value>(&bytes).unwrap()
            );
        }
    }

    #[test]
    fn a_broken_record_names_its_number() {
        let error = ReadRecord::decode(7, b"{\"call\":{}}").unwrap_err().to_string();
        assert!(error.starts_with("journal record 7 cannot be read"), "{error}");
    }
}

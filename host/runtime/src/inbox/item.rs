//! One question to a person, as the store keeps it and as people see it.

use factotum_provenance::Labels;
use factotum_store::{Batch, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::digest_parts;
use crate::runs::PromiseId;

/// The prefix of the keys of items by identifier.
pub(super) const ITEM: &str = "i\0";
/// The prefix of the index of open items, the oldest first.
pub(super) const OPEN: &str = "o\0";
/// The prefix of the index of the others.
pub(super) const CLOSED: &str = "c\0";

/// The prefix of the index by run.
const RUN: &str = "r\0";
/// The prefix of the keys that name the last item of a promise.
pub(super) const PROMISED: &str = "p\0";

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxState {
    /// It waits for an answer.
    Open,
    /// It was answered.
    Answered,
    /// Its time was over before anyone answered.
    Expired,
    /// Its run does not wait for it any more.
    Withdrawn,
}

/// A question to a person. Times in milliseconds since the Unix epoch, written as RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InboxItem {
    /// Its identifier.
    pub id: String,
    /// Where it stands.
    pub state: InboxState,
    /// What is to be decided, in a line.
    pub title: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of the answer; any answer will do without one. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Value>,
    /// Who is to answer: the name of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Or the group of which anyone may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who asked for it, and so may not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// `low`, `normal`, `high` or `urgent`.
    pub priority: String,
    /// The flow, `namespace/name`.
    pub flow: String,
    /// The run that waits; its history has all context.
    pub run: String,
    /// The task that asks: a JSON Pointer into the flow's document.
    pub task: String,
    /// Since when it waits.
    #[serde(serialize_with = "crate::time::serde_ms::serialize")]
    pub opened_at: u64,
    /// Until when it is to be answered.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub due: Option<u64>,
    /// When it was escalated.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub escalated_at: Option<u64>,
    /// How often it was called to mind.
    pub reminders: u32,
    /// When it was answered, expired or was withdrawn.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub closed_at: Option<u64>,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The decision in a word, if the answer has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The answer. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// What happens at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Then {
    /// Whoever is asked is reminded.
    Remind,
    /// Somebody else is asked.
    Escalate { assignee: Option<String>, group: Option<String> },
    /// Nobody is asked any more: the run goes on with the outcome `expired`.
    Expire,
}

/// An item as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub id: String,
    pub state: InboxState,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    pub priority: String,
    pub flow: String,
    pub promise: PromiseId,
    pub task: String,
    pub opened_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
    /// What happens when, in order; what has happened is taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<(u64, Then)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<u64>,
    #[serde(default)]
    pub reminders: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Title and description as lists and notices show them, when some of it is sensitive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<(String, Option<String>)>,
    /// Where the question comes from: whoever answers has seen it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub from: Labels,
}

impl Stored {
    /// Puts the item into a batch, and moves it in the indexes.
    pub fn put(&self, batch: &mut Batch) -> Result<(), serde_json::Error> {
        batch.put(Table::Inbox, item_key(&self.id), serde_json::to_vec(self)?);
        batch.put(Table::Inbox, [run_key(&self.promise.run).as_slice(), self.id.as_bytes()].concat(), *b"");
        match self.closed_at {
            None => {
                batch.put(Table::Inbox, index_key(OPEN, self.opened_at, &self.id), *b"");
            }
            Some(at) => {
                batch.delete(Table::Inbox, index_key(OPEN, self.opened_at, &self.id));
                batch.put(Table::Inbox, index_key(CLOSED, at, &self.id), *b"");
            }
        }
        Ok(())
    }

    /// The item as people see it. Without the form and the answer it is a line of a list.
    pub fn shown(self, whole: bool) -> InboxItem {
        let (title, description) = match self.listed {
            Some(listed) if !whole => listed,
            _ => (self.title, self.description),
        };
        InboxItem {
            id: self.id,
            state: self.state,
            title,
            description,
            form: self.form.filter(|_| whole),
            assignee: self.assignee,
            group: self.group,
            requester: self.requester,
            priority: self.priority,
            flow: self.flow,
            run: self.promise.run,
            task: self.task,
            opened_at: self.opened_at,
            due: self.due,
            escalated_at: self.escalated_at,
            reminders: self.reminders,
            closed_at: self.closed_at,
            by: self.by,
            outcome: self.outcome,
            answer: self.answer.filter(|_| whole),
        }
    }

    /// The namespace of its flow.
    pub fn namespace(&self) -> &str {
        self.flow.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

/// The beginning of the keys that name a run's items.
pub(super) fn run_key(run: &str) -> Vec<u8> {
    [RUN.as_bytes(), run.as_bytes(), &[0]].concat()
}

/// The identifier of the question at a place: one however often the place is executed, until it is asked anew.
pub(super) fn id_of(promise: &PromiseId, at: u64) -> String {
    digest_parts("inbox", &[promise.run.as_bytes(), promise.key.as_bytes(), &at.to_be_bytes()], 16)
}

pub(super) fn item_key(id: &str) -> Vec<u8> {
    [ITEM.as_bytes(), id.as_bytes()].concat()
}

pub(super) fn index_key(index: &str, at: u64, id: &str) -> Vec<u8> {
    [index.as_bytes(), &at.to_be_bytes(), id.as_bytes()].concat()
}

/// The identifier at the end of an index key.
pub(super) fn id_of_index(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(OPEN.len() + 8..)?).ok()
}

//! A person answers: validated against the form, by who may, once.

use factotum_audit::Actor;
use factotum_store::{Batch, Expectation, StoreError, Table, Timers};
use serde_json::{Value, json};

use super::item::{InboxItem, InboxState, Stored, item_key};
use super::timers::timer_id;
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::journal::Outcome;
use crate::runs::{Engine, Resolution, Resolved};
use crate::time::rfc3339;

/// The largest answer, in bytes of JSON.
const MAX_ANSWER: usize = 256 * 1024;
/// The longest outcome, in characters.
const MAX_OUTCOME: usize = 64;

/// What is needed to answer a question.
#[derive(Debug, Clone)]
pub struct AnswerItem {
    /// Who answers.
    pub actor: Actor,
    /// That one's name, as assignees and requesters are named.
    pub name: String,
    /// Whether that one may answer what others are asked: an administrator.
    pub for_others: bool,
    /// The item.
    pub id: String,
    /// The decision in a word, such as `approved`; `completed` when absent.
    pub outcome: Option<String>,
    /// The answer; null when the form takes none.
    pub answer: Value,
}

impl Engine {
    pub(super) fn stored_item(&self, id: &str) -> Result<Option<(Stored, Vec<u8>)>, HostError> {
        let known = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let bytes =
            if known { self.store.get(Table::Inbox, &item_key(id)).map_err(HostError::store)? } else { None };
        let Some(bytes) = bytes else { return Ok(None) };
        let item = serde_json::from_slice(&bytes).map_err(HostError::internal)?;
        Ok(Some((item, bytes)))
    }

    /// Answers a question; its run goes on.
    pub async fn answer_item(&self, request: AnswerItem) -> Result<InboxItem, HostError> {
        let (mut item, before) = self.stored_item(&request.id)?.ok_or_else(|| unknown(&request.id))?;
        if item.state != InboxState::Open {
            return Err(closed(&item));
        }
        self.may_answer(&item, &request)?;
        let outcome = outcome(request.outcome.as_deref())?;
        check_answer(&item, &request.answer)?;
        let now = self.clock.now_ms();
        item.state = InboxState::Answered;
        item.closed_at = Some(now);
        item.by = Some(request.name.clone());
        item.outcome = Some(outcome.clone());
        item.answer = Some(request.answer.clone());
        item.then.clear();
        let mut batch = Batch::new();
        batch.expect(Table::Inbox, item_key(&item.id), Expectation::Value(before));
        item.put(&mut batch).map_err(HostError::internal)?;
        Timers::new(&self.store).cancel(&mut batch, &timer_id(&item.id)).map_err(HostError::store)?;
        let payload = serde_json::to_vec(&request.answer).map_err(HostError::internal)?;
        let said = Some((outcome.as_str(), payload.as_slice()));
        audit::inbox(&mut batch, self, &request.actor, "inbox.complete", &item.id, &item.promise, said);
        let value =
            json!({ "outcome": outcome, "answer": request.answer, "by": request.name, "at": rfc3339(now) });
        let resolution = Resolution { outcome: Outcome::Value(value), from: item.from.clone() };
        match self.resolve(&item.promise, &resolution, &batch).await {
            Ok(Resolved::Now) => Ok(item.shown(true)),
            Ok(Resolved::NotOpen) => {
                self.withdraw(&request.id).await?;
                Err(conflict("the run does not wait for this any more"))
            }
            Err(StoreError::Conflict { table: Table::Inbox | Table::TimersById, .. }) => {
                Err(conflict("something else happened to the item in this moment").hint("look at it again"))
            }
            Err(error) => Err(HostError::store(error)),
        }
    }

    fn may_answer(&self, item: &Stored, request: &AnswerItem) -> Result<(), HostError> {
        let is = |named: &Option<String>| {
            named.as_deref().is_some_and(|named| named == request.name || named == request.actor.to_string())
        };
        if is(&item.requester) {
            return Err(denied("who asked for a decision does not make it").hint("let a colleague decide"));
        }
        if request.for_others || is(&item.assignee) {
            return Ok(());
        }
        match (&item.assignee, &item.group) {
            (Some(assignee), _) => Err(denied(format!("{assignee} is asked, and nobody else"))),
            (None, Some(group)) if !self.notices.is_member(group, &request.name) => {
                Err(denied(format!("the group {group} is asked, and {} is not in it", request.name))
                    .hint("groups stand in the host's configuration, under [notices.groups]"))
            }
            _ => Ok(()),
        }
    }

    /// Closes an item whose run does not wait for it any more.
    pub(super) async fn withdraw(&self, id: &str) -> Result<(), HostError> {
        let Some((mut item, before)) = self.stored_item(id)? else { return Ok(()) };
        if item.state != InboxState::Open {
            return Ok(());
        }
        (item.state, item.closed_at) = (InboxState::Withdrawn, Some(self.clock.now_ms()));
        item.then.clear();
        let mut batch = Batch::new();
        batch.expect(Table::Inbox, item_key(id), Expectation::Value(before));
        item.put(&mut batch).map_err(HostError::internal)?;
        Timers::new(&self.store).cancel(&mut batch, &timer_id(id)).map_err(HostError::store)?;
        match self.commit(batch).await {
            Err(error) if !error.is_conflict() => Err(HostError::store(error)),
            _ => Ok(()),
        }
    }

    /// Whether a run still waits for an item.
    pub(super) fn is_waited_for(&self, item: &Stored) -> Result<bool, HostError> {
        let open = self.store.get(Table::Promises, &item.promise.open_key()).map_err(HostError::store)?;
        Ok(open.is_some())
    }
}

fn outcome(outcome: Option<&str>) -> Result<String, HostError> {
    let outcome = outcome.unwrap_or("completed").trim();
    let word = !outcome.is_empty()
        && outcome.chars().count() <= MAX_OUTCOME
        && !outcome.chars().any(char::is_control)
        && outcome != "expired";
    if word {
        Ok(outcome.to_owned())
    } else {
        let message = format!("an outcome is a word of at most {MAX_OUTCOME} characters, and not `expired`");
        Err(HostError::new(ErrorCode::InvalidRequest, message))
    }
}

fn check_answer(item: &Stored, answer: &Value) -> Result<(), HostError> {
    let bytes = serde_json::to_vec(answer).map_err(HostError::internal)?.len();
    if bytes > MAX_ANSWER {
        let message = format!("the answer has {bytes} bytes; at most {MAX_ANSWER} are taken");
        return Err(HostError::new(ErrorCode::InputTooLarge, message));
    }
    let Some(form) = &item.form else { return Ok(()) };
    factotum_flow::fits_form(form, answer).map_err(|error| {
        let why = error.detail.clone().unwrap_or_else(|| error.to_string());
        HostError::new(ErrorCode::InvalidInput, format!("the answer does not fit the form: {why}"))
            .hint("see the item's form: factotum inbox show")
            .detail(error.to_value())
    })
}

fn closed(item: &Stored) -> HostError {
    match item.state {
        InboxState::Answered => {
            conflict(format!("{} has answered already", item.by.as_deref().unwrap_or("somebody")))
        }
        InboxState::Expired => conflict("its time was over before anyone answered"),
        InboxState::Open | InboxState::Withdrawn => conflict("the run does not wait for this any more"),
    }
}

fn conflict(message: impl Into<String>) -> HostError {
    HostError::new(ErrorCode::Conflict, message)
}

fn denied(message: impl Into<String>) -> HostError {
    HostError::new(ErrorCode::Denied, message)
}

/// There is no such item.
pub(super) fn unknown(id: &str) -> HostError {
    let shown: String = id.chars().take(80).collect();
    HostError::new(ErrorCode::UnknownItem, format!("there is no item {shown:?} in the inbox"))
        .hint("factotum inbox list shows what waits")
}

//! A run asks: what the flow wrote becomes an item, with what is to happen when.

use factotum_flow::{Calendar, Hours};
use factotum_provenance::Labels;
use factotum_store::{Batch, Table, Timer, Timers};
use serde_json::Value;

use super::item::{InboxState, PROMISED, Stored, Then, id_of};
use super::timers::timer_id;
use crate::audit;
use crate::notices::Notice;
use crate::runs::{Engine, PromiseId};

/// The most reminders of one question.
const MAX_REMINDERS: usize = 20;
/// The longest title, in characters.
const MAX_TITLE: usize = 300;

/// What a run asks.
pub(crate) struct Asked<'a> {
    /// The flow, `namespace/name`.
    pub flow: &'a str,
    /// The task: a JSON Pointer into the flow's document.
    pub task: &'a str,
    /// The question, as the flow computed it.
    pub with: &'a Value,
    /// The question as those may see it who only look, when that is not the whole of it.
    pub shown: Option<Value>,
    /// Whose hours its durations count in, when they are business time.
    pub hours: Option<&'a Hours>,
    /// Where the question comes from.
    pub from: Labels,
}

/// Moments from now on, in all time or in business time.
struct Ahead<'a> {
    now: u64,
    calendar: Option<&'a Calendar>,
}

impl Engine {
    /// Adds a question to the batch that opens its promise; gives what the run's history says of it.
    pub(crate) fn ask_person(
        &self,
        batch: &mut Batch,
        promise: &PromiseId,
        Asked { flow, task, with, shown, hours, from }: Asked<'_>,
    ) -> Result<String, String> {
        let now = self.clock.now_ms();
        let calendar = hours.map(|hours| self.calendars.of(hours)).transpose()?;
        let ahead = Ahead { now, calendar: calendar.as_deref() };
        let text_of = |with: &Value, name: &str| with.get(name).and_then(Value::as_str).map(str::to_owned);
        let title_of = |with: &Value| -> String {
            text_of(with, "title").unwrap_or_default().chars().take(MAX_TITLE).collect()
        };
        let text = |name: &str| text_of(with, name);
        let title = title_of(with);
        let listed = shown.map(|shown| (title_of(&shown), text_of(&shown, "description")));
        let item = Stored {
            id: id_of(promise, now),
            state: InboxState::Open,
            title,
            description: text("description"),
            form: with.get("form").cloned(),
            assignee: text("assignee"),
            group: text("group"),
            requester: text("requester"),
            priority: text("priority").unwrap_or_else(|| "normal".into()),
            flow: flow.to_owned(),
            promise: promise.clone(),
            task: task.to_owned(),
            opened_at: now,
            due: ahead.after(with.get("due"))?,
            then: plan(with, &ahead)?,
            escalated_at: None,
            reminders: 0,
            closed_at: None,
            by: None,
            outcome: None,
            answer: None,
            listed,
            from,
        };
        self.replace(batch, promise, &item.id, now)?;
        item.put(batch).map_err(|e| e.to_string())?;
        if let Some((due_ms, _)) = item.then.first() {
            Timers::set(batch, &Timer { due_ms: *due_ms, id: timer_id(&item.id), payload: Vec::new() });
        }
        audit::inbox(
            batch,
            self,
            &factotum_audit::Actor::Flow(flow.to_owned()),
            "inbox.ask",
            &item.id,
            promise,
            None,
        );
        let asked = item.assignee.clone().or_else(|| item.group.clone()).unwrap_or_default();
        let notice = Notice::Asked { item: Box::new(item.shown(false)), again: false };
        self.notices.add_to(batch, &notice, now);
        Ok(format!("the answer of {asked}"))
    }
}

impl Engine {
    /// Closes what was asked at this place before: a person had the run retried, and it asks anew.
    fn replace(&self, batch: &mut Batch, promise: &PromiseId, id: &str, now: u64) -> Result<(), String> {
        let key = [PROMISED.as_bytes(), &promise.open_key()].concat();
        let before = self.store.get(Table::Inbox, &key).map_err(|e| e.to_string())?;
        let before = before.and_then(|id| String::from_utf8(id).ok()).filter(|before| before != id);
        if let Some(before) = before
            && let Some((mut item, _)) = self.stored_item(&before).map_err(|e| e.to_string())?
            && item.state == InboxState::Open
        {
            (item.state, item.closed_at) = (InboxState::Withdrawn, Some(now));
            item.put(batch).map_err(|e| e.to_string())?;
        }
        batch.put(Table::Inbox, key, id.as_bytes());
        Ok(())
    }
}

fn plan(with: &Value, ahead: &Ahead<'_>) -> Result<Vec<(u64, Then)>, String> {
    let mut plan = Vec::new();
    let reminders = match with.get("remind") {
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    for reminder in reminders.into_iter().take(MAX_REMINDERS) {
        if let Some(at) = ahead.after(Some(reminder))? {
            plan.push((at, Then::Remind));
        }
    }
    if let Some(escalate) = with.get("escalate")
        && let Some(at) = ahead.after(escalate.get("after"))?
    {
        let text = |name: &str| escalate.get(name).and_then(Value::as_str).map(str::to_owned);
        plan.push((at, Then::Escalate { assignee: text("assignee"), group: text("group") }));
    }
    if let Some(at) = ahead.after(with.get("due"))? {
        plan.push((at, Then::Expire));
    }
    // What is due at one time happens in the order above.
    plan.sort_by_key(|(at, _)| *at);
    Ok(plan)
}

impl Ahead<'_> {
    fn after(&self, duration: Option<&Value>) -> Result<Option<u64>, String> {
        let Some(duration) = duration.filter(|value| !value.is_null()) else { return Ok(None) };
        if let Some(calendar) = self.calendar {
            let length = factotum_flow::business_length(duration)?;
            return calendar.add(self.now, length).map(Some).map_err(|never| never.to_string());
        }
        let duration = factotum_flow::duration(duration)?;
        Ok(Some(self.now.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))))
    }
}

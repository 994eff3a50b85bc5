//! What cancelling a run would take back: found by running its flow on the answers of its journal, up to where those end, and
//! cancelling it there. So it holds for every task, with the arguments that will be used, and nothing is done.

use std::collections::HashSet;

use factotum_flow::Flow;
use serde::Serialize;
use serde_json::Value;

use super::effects::{Asked, cancel};
use super::recorded::Journal;
use super::replay::secret_of;
use crate::place::place;
use crate::runs::live::live;
use crate::runs::{Engine, Row};

/// Behind the key of a task: what takes its work back.
const UNDOES: &str = "!compensate";

/// Something that is taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakenBack {
    /// The execution of the task that did it.
    pub key: String,
    /// What it called; the kind of task when it called nothing.
    pub function: String,
    /// What is called, requested or run to take it back.
    pub by: String,
    /// With which arguments, as far as people may see them.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub with: Value,
}

impl Engine {
    /// What cancelling a run would take back, in that order; nothing when its journal or its flow cannot be read. Takes
    /// processor time: call it off the async threads.
    pub(crate) fn would_take_back(&self, id: &str, row: &Row, flow: &Flow) -> Vec<TakenBack> {
        let Ok(records) = self.records(id) else { return Vec::new() };
        let Ok(live) = live(records.iter().map(|(n, bytes)| (*n, bytes.as_slice()))) else {
            return Vec::new();
        };
        let rehearsed = cancel(flow, id, live.input.clone(), row.started_at, &Journal::of(&live));
        let secret = secret_of(&live, [(flow, &rehearsed)].into_iter());
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for asked in &rehearsed.undoing {
            let Some((key, rest)) = asked.key.split_once(UNDOES) else { continue };
            if !seen.insert(place(key)) {
                continue;
            }
            let named = || flow.compensations().find(|(task, _)| *task == asked.task).map(|(_, what)| what);
            // A described request is known when its description is fetched.
            let (by, mut with) = match rest.is_empty() {
                true => (asked.what.clone(), asked.with.clone()),
                false => (named().unwrap_or_else(|| asked.what.clone()), Value::Null),
            };
            let mut by = by;
            secret.mask_text(&mut by);
            secret.mask(&mut with);
            all.push(TakenBack {
                key: key.to_owned(),
                function: did(&rehearsed.asked, key, flow, &asked.task),
                by,
                with,
            });
        }
        all
    }
}

/// What a task called, or else its kind.
fn did(asked: &[Asked], key: &str, flow: &Flow, task: &str) -> String {
    if let Some(asked) = asked.iter().find(|asked| asked.key == key) {
        return asked.what.clone();
    }
    let words =
        ["call", "for", "try", "fork", "do", "emit", "listen", "raise", "run", "set", "switch", "wait"];
    let members = flow.definition().pointer(task).and_then(Value::as_object);
    let kind = members.and_then(|members| words.into_iter().find(|word| members.contains_key(*word)));
    kind.unwrap_or("task").to_owned()
}

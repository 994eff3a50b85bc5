//! What others see of a run: its tasks as they happen, without what people must not see.

use factotum_flow::{Answer, Position, Stop, TaskEvent};
use serde_json::Value;

use super::Durable;

impl Durable<'_> {
    /// Notes what of a task's data people must not see.
    pub(super) fn learn(&self, at: &Position, value: &Value) {
        let sensitive = self.run.deployment.flow.sensitive();
        if !sensitive.is_empty() {
            self.lock().secret.learn(sensitive, at.pointer(), value);
        }
    }

    /// A value as people may see it; `None` when that is the whole of it.
    pub(super) fn shown(&self, value: &Value) -> Option<Value> {
        let state = self.lock();
        if state.secret.is_empty() {
            return None;
        }
        let mut shown = value.clone();
        state.secret.mask(&mut shown);
        (shown != *value).then_some(shown)
    }

    /// A text as people may see it.
    pub(super) fn shown_text(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        self.lock().secret.mask_text(&mut shown);
        shown
    }

    /// Notes what an answer holds: what people must not see, and where it comes from when another run waits for this one,
    /// whose output may hold it.
    pub(super) fn seen(&self, at: &Position, answer: Result<Answer, Stop>) -> Result<Answer, Stop> {
        if let Ok(Answer { result: Ok(value), .. }) = &answer {
            self.learn(at, value);
        }
        if self.run.row.parent.is_some()
            && let Ok(answer) = &answer
        {
            let mut state = self.lock();
            state.seen = state.seen.union(&answer.from);
        }
        answer
    }

    /// Tells whoever watches what happens to a task. While the journal still answers, it happened before.
    pub(super) fn tell_task(&self, at: &Position, event: &TaskEvent<'_>) {
        if self.lock().replay.answers() {
            return;
        }
        let (kind, more) = match event {
            TaskEvent::Started => ("task.started", Value::Null),
            TaskEvent::Skipped => return,
            TaskEvent::Completed => ("task.completed", Value::Null),
            TaskEvent::Faulted(error) => {
                let error = serde_json::json!({"type": error.to_value().get("type"), "status": error.status});
                ("task.faulted", serde_json::json!({ "error": error }))
            }
            TaskEvent::Retrying { attempt, .. } => {
                ("task.retried", serde_json::json!({ "attempt": attempt }))
            }
        };
        self.engine.tell(kind, &self.run.id, &self.run.row, Some(at.pointer()), more);
    }
}

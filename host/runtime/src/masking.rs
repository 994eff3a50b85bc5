//! Sensitive members of tasks (`metadata.sensitive`) are masked where people look at a run.
//!
//! A mask at the task alone would not do: the same account number stands in the run's input, in the next task's output and
//! in the text of an error. So what stands at a sensitive place, in what a task was given or gave, is masked wherever the
//! run is shown. What a task was given is not in the journal: it is found by running the flow on its answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use factotum_flow::{Flow, FlowError, Sensitive};
use serde_json::Value;

use crate::Host;
use crate::error::HostError;
use crate::inbox::{InboxItem, InboxState};
use crate::runs::{Engine, RunDetail, RunEvent, RunInfo};

/// What stands in place of a masked value.
const MASK: &str = "***";
/// A text shorter than this, in characters, is masked at its place only: it would hide half of everything else.
const SHORTEST: usize = 4;

impl Host {
    /// A run with its history, without what its flow calls sensitive. When the flow cannot be read any more, nothing that
    /// its tasks gave is shown.
    ///
    /// # Errors
    /// [`crate::ErrorCode::Store`].
    pub async fn run_masked(&self, run_id: &str) -> Result<Option<RunDetail>, HostError> {
        let Some(detail) = self.run(run_id)? else { return Ok(None) };
        if detail.info.removed.is_some() {
            return Ok(Some(detail));
        }
        let engine = Arc::clone(self.engine());
        let deployment = engine.deployments.by_digest(&detail.info.deployment).await;
        let masked = tokio::task::spawn_blocking(move || match deployment {
            Ok(deployment) => masked(&engine, detail, &deployment.flow),
            Err(_) => hidden(detail),
        });
        masked.await.map(Some).map_err(HostError::internal)
    }
}

impl Host {
    /// A run and its outcome, without what its flow calls sensitive.
    ///
    /// # Errors
    /// [`crate::ErrorCode::Store`].
    pub async fn masked_info(&self, info: &Arc<RunInfo>) -> Result<Arc<RunInfo>, HostError> {
        let deployment = self.engine().deployments.by_digest(&info.deployment).await;
        if deployment.is_ok_and(|deployment| deployment.flow.sensitive().is_empty()) {
            return Ok(Arc::clone(info));
        }
        let masked = self.run_masked(&info.id).await?;
        Ok(masked.map_or_else(|| Arc::clone(info), |detail| Arc::new(detail.info)))
    }

    /// An item of the inbox as it is shown to those who look: while it waits, whole, since somebody has to decide on it;
    /// after that, without what its flow calls sensitive.
    ///
    /// # Errors
    /// [`crate::ErrorCode::UnknownItem`], [`crate::ErrorCode::Store`].
    pub async fn inbox_item_masked(&self, id: &str) -> Result<InboxItem, HostError> {
        let mut item = self.inbox_item(id)?;
        if item.state == InboxState::Open {
            return Ok(item);
        }
        let Some(detail) = self.run(&item.run)? else { return Ok(item) };
        let engine = Arc::clone(self.engine());
        let deployment = engine.deployments.by_digest(&detail.info.deployment).await;
        let masked = tokio::task::spawn_blocking(move || {
            let flow = deployment.ok();
            if flow.as_ref().is_some_and(|flow| flow.flow.sensitive().is_empty()) {
                return item;
            }
            let secret = flow.as_ref().and_then(|flow| learned(&engine, &detail, &flow.flow));
            match (secret, flow) {
                (Some(secret), Some(flow)) => {
                    // What the person said stands in the run as the task's output.
                    let mut said = serde_json::json!({ "answer": item.answer.take().unwrap_or_default() });
                    for one in flow.flow.sensitive().iter().filter(|one| one.path == item.task) {
                        one.mask(&mut said);
                    }
                    secret.mask(&mut said);
                    item.answer = said.get_mut("answer").map(Value::take).filter(|answer| !answer.is_null());
                    secret.mask_text(&mut item.title);
                    if let Some(description) = &mut item.description {
                        secret.mask_text(description);
                    }
                    if let Some(form) = &mut item.form {
                        secret.mask(form);
                    }
                }
                // Nobody knows what is sensitive.
                _ => {
                    (item.title, item.form) = (MASK.to_owned(), None);
                    item.description = item.description.map(|_| MASK.to_owned());
                    item.answer = item.answer.map(|_| Value::from(MASK));
                }
            }
            item
        });
        masked.await.map_err(HostError::internal)
    }
}

fn masked(engine: &Engine, mut detail: RunDetail, flow: &Flow) -> RunDetail {
    let sensitive = flow.sensitive();
    if sensitive.is_empty() {
        return detail;
    }
    let Some(secret) = learned(engine, &detail, flow) else { return hidden(detail) };
    for event in &mut detail.history {
        if let RunEvent::Call { function, .. } | RunEvent::AttemptFailed { function, .. } = event {
            // A request of the flow's own is told with its path.
            secret.mask_text(function);
        }
        match event {
            RunEvent::Call { task, output, error, .. } | RunEvent::Answered { task, output, error, .. } => {
                if let Some(output) = output {
                    for one in sensitive.iter().filter(|one| one.path == *task) {
                        one.mask(output);
                    }
                    secret.mask(output);
                }
                secret.mask_error(error.as_mut());
            }
            RunEvent::AttemptFailed { error, .. } => secret.mask_error(Some(error)),
            RunEvent::Stuck { reason, .. } => secret.mask_text(reason),
            RunEvent::Cancelled { reason: Some(reason), .. } => secret.mask_text(reason),
            RunEvent::Heard { cloud_event, .. } => secret.mask(cloud_event),
            _ => {}
        }
    }
    secret.mask(&mut detail.input);
    if let Some(output) = &mut detail.info.output {
        secret.mask(output);
    }
    secret.mask_error(detail.info.error.as_mut());
    if let Some(reason) = &mut detail.info.reason {
        secret.mask_text(reason);
    }
    if let Some(queued) = &mut detail.info.queued {
        let key = queued.key.iter_mut();
        key.chain([&mut queued.reason, &mut queued.reason_zh]).for_each(|text| secret.mask_text(text));
    }
    detail
}

/// What stands at the sensitive places of a run; `None` when its journal cannot be read.
fn learned(engine: &Engine, detail: &RunDetail, flow: &Flow) -> Option<Secret> {
    let sensitive = flow.sensitive();
    let mut secret = Secret::default();
    for (task, with) in &engine.asked_of(&detail.info.id, flow).ok()? {
        secret.learn(sensitive, task, with);
    }
    for event in &detail.history {
        match event {
            RunEvent::Call { task, output: Some(output), .. }
            | RunEvent::Answered { task, output: Some(output), .. } => secret.learn(sensitive, task, output),
            RunEvent::Heard { task, cloud_event, .. } => secret.learn(sensitive, task, cloud_event),
            _ => {}
        }
    }
    Some(secret)
}

/// A run of which nobody knows what is sensitive.
fn hidden(mut detail: RunDetail) -> RunDetail {
    let mask = || Value::from(MASK);
    detail.input = mask();
    detail.info.output = detail.info.output.map(|_| mask());
    detail.info.queued = None;
    for event in &mut detail.history {
        match event {
            RunEvent::Call { output, error, .. } | RunEvent::Answered { output, error, .. } => {
                *output = output.as_ref().map(|_| mask());
                if let Some(error) = error {
                    hide_error(error);
                }
            }
            RunEvent::AttemptFailed { error, .. } => hide_error(error),
            RunEvent::Heard { cloud_event, .. } => *cloud_event = mask(),
            RunEvent::Stuck { reason, .. } => *reason = MASK.to_owned(),
            _ => {}
        }
    }
    if let Some(error) = &mut detail.info.error {
        hide_error(error);
    }
    detail
}

/// The kind of an error may be seen, its words not.
fn hide_error(error: &mut FlowError) {
    error.title = MASK.to_owned();
    error.detail = error.detail.take().map(|_| MASK.to_owned());
    error.extra.values_mut().for_each(|member| *member = MASK.into());
}

/// What must not be shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secret {
    texts: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

impl Secret {
    /// Notes what stands at the sensitive places of a task's value: what it was given, or gave.
    pub fn learn(&mut self, sensitive: &[Sensitive], task: &str, value: &Value) {
        for keys in sensitive.iter().filter(|one| one.path == task).flat_map(|one| &one.members) {
            self.at(keys, value);
        }
    }

    fn at(&mut self, keys: &[String], value: &Value) {
        let Some((key, rest)) = keys.split_first() else { return self.all(value) };
        match value {
            Value::Array(items) if key.is_empty() => items.iter().for_each(|item| self.at(rest, item)),
            Value::Object(members) => {
                if let Some(member) = members.get(key) {
                    self.at(rest, member);
                }
            }
            _ => {}
        }
    }

    fn all(&mut self, value: &Value) {
        match value {
            Value::String(text) if text.chars().count() >= SHORTEST => drop(self.texts.insert(text.clone())),
            Value::Number(number) if number.to_string().len() >= SHORTEST => {
                self.numbers.insert(number.to_string());
            }
            Value::Array(items) => items.iter().for_each(|item| self.all(item)),
            Value::Object(members) => members.values().for_each(|member| self.all(member)),
            _ => {}
        }
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.numbers.is_empty()
    }

    /// Masks it wherever it stands in a value, in names of members too.
    pub fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.mask_text(text),
            Value::Number(number) if self.numbers.contains(&number.to_string()) => *value = MASK.into(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item)),
            Value::Object(members) => {
                let named =
                    |name: &String| self.texts.iter().chain(&self.numbers).any(|s| name.contains(s.as_str()));
                if members.keys().any(named) {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(mut name, member)| {
                            self.mask_text(&mut name);
                            (name, member)
                        })
                        .collect();
                }
                members.values_mut().for_each(|member| self.mask(member));
            }
            _ => {}
        }
    }

    /// A text without it.
    pub fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.mask_text(&mut text);
        text
    }

    /// Masks it in a text.
    pub fn mask_text(&self, text: &mut String) {
        for secret in self.texts.iter().chain(&self.numbers) {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), MASK);
            }
        }
    }

    fn mask_error(&self, error: Option<&mut FlowError>) {
        let Some(error) = error else { return };
        self.mask_text(&mut error.title);
        if let Some(detail) = &mut error.detail {
            self.mask_text(detail);
        }
        error.extra.values_mut().for_each(|member| self.mask(member));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::*;
    use serde_json::json;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sensitive_member_is_masked_wherever_the_run_is_shown() {
        let world = World::new();
        let engine = world.open();
        let tasks = "
  - pay:
      call: a/echo
      with: { iban: '${ .account }', cents: 123456, note: '${ \"to \" + .account }', n: 7 }
      metadata: { sensitive: [ .iban, .got.cents ] }
  - done: { set: { paid: '${ .got.note }', n: '${ .got.n }', cents: '${ .got.cents }' } }
";
        deploy(&engine, "m", tasks).await;
        let id = start(&engine, "m", json!({"account": "DE89370400440532013000", "other": "x"})).await;
        world.finish(&engine, &id).await;
        let detail = engine.detail(&id).unwrap().unwrap();
        let flow = engine.deployments.by_digest(&detail.info.deployment).await.unwrap();
        let open = serde_json::to_string(&detail).unwrap();
        assert!(open.contains("DE8937") && open.contains("123456"));
        let shown = masked(&engine, detail.clone(), &flow.flow);
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains("DE8937") && !text.contains("123456"), "{text}");
        assert_eq!(shown.input, json!({"account": "***", "other": "x"}));
        assert_eq!(shown.info.output, Some(json!({"paid": "to ***", "n": 7, "cents": "***"})));
        let nothing = serde_json::to_string(&hidden(detail)).unwrap();
        assert!(!nothing.contains("DE8937") && !nothing.contains("123456"));
    }
}

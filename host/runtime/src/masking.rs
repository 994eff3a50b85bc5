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
use crate::runs::{Engine, RunDetail, RunEvent};

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
        let engine = Arc::clone(self.engine());
        let deployment = engine.deployments.by_digest(&detail.info.deployment).await;
        let masked = tokio::task::spawn_blocking(move || match deployment {
            Ok(deployment) => masked(&engine, detail, &deployment.flow),
            Err(_) => hidden(detail),
        });
        masked.await.map(Some).map_err(HostError::internal)
    }
}

fn masked(engine: &Engine, mut detail: RunDetail, flow: &Flow) -> RunDetail {
    let sensitive = flow.sensitive();
    if sensitive.is_empty() {
        return detail;
    }
    let mut secret = Secret::default();
    let Ok(given) = engine.asked_of(&detail.info.id, flow) else { return hidden(detail) };
    for (task, with) in &given {
        secret.learn(sensitive, task, with);
    }
    for event in &detail.history {
        if let RunEvent::Call { task, output: Some(output), .. }
        | RunEvent::Answered { task, output: Some(output), .. } = event
        {
            secret.learn(sensitive, task, output);
        }
    }
    for event in &mut detail.history {
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

/// A run of which nobody knows what is sensitive.
fn hidden(mut detail: RunDetail) -> RunDetail {
    let mask = || Value::from(MASK);
    detail.input = mask();
    detail.info.output = detail.info.output.map(|_| mask());
    detail.info.queued = None;
    for event in &mut detail.history {
        if let RunEvent::Call { output, .. } | RunEvent::Answered { output, .. } = event {
            *output = output.as_ref().map(|_| mask());
        }
    }
    detail
}

/// What must not be shown.
#[derive(Default)]
struct Secret {
    texts: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

impl Secret {
    fn learn(&mut self, sensitive: &[Sensitive], task: &str, value: &Value) {
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

    fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.mask_text(text),
            Value::Number(number) if self.numbers.contains(&number.to_string()) => *value = MASK.into(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.mask(member)),
            _ => {}
        }
    }

    fn mask_text(&self, text: &mut String) {
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

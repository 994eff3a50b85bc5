//! An edited plugin in a replay: it is called anew, with nothing behind it but fixtures, and what it answers is laid beside
//! what was recorded.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use factotum_flow::{FlowError, FunctionRef, Subscription};
use factotum_provenance::Labels;
use factotum_sandbox::{CallContext, Plugin};
use serde::Serialize;
use serde_json::{Value, json};

use super::difference::differences;
use super::effects::{Answers, Asked, Given};
use crate::actions::Pin;
use crate::faults::to_flow_error;

/// The longest that all calls of one replay may take together.
const TIME: Duration = Duration::from_secs(120);

/// A place at which an edited plugin answers something else than was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswersDiffer {
    /// The place: a key without the numbers of tasks in their lists.
    pub place: String,
    /// The function.
    pub what: String,
    /// What was recorded: `{output}` or `{error}`; absent when the recorded run did not call it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Value>,
    /// What the edited plugin answers: `{output}` or `{error}`.
    pub now: Value,
    /// Where the two differ, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// A plugin that is called in a replay.
pub(crate) struct Edited {
    /// The name under which the flow calls it.
    pub name: String,
    /// Its version, for the errors that it gives.
    pub version: semver::Version,
    /// The digest of its bytes.
    pub digest: String,
    /// Linked with scratch backends.
    pub plugin: Plugin,
    /// Where its calls run.
    pub runtime: tokio::runtime::Handle,
}

impl Edited {
    /// Whether it is the one that is asked here.
    pub fn answers(&self, what: &str) -> bool {
        self.function(what).is_some()
    }

    fn function(&self, what: &str) -> Option<String> {
        let function: FunctionRef = what.parse().ok()?;
        (function.plugin == self.name).then_some(function.function)
    }

    fn call(&self, function: &str, asked: &Asked, run_id: &str, left: Duration) -> Result<Value, FlowError> {
        let found = match self.plugin.find(function) {
            Ok(found) => found.full_name(),
            Err(error) => return Err(FlowError::configuration(error.to_string())),
        };
        let context = CallContext {
            run_id: Some(run_id.to_owned()),
            flow: None,
            task: Some(asked.task.clone()),
            attempt: 1,
            idempotency_key: crate::ids::digest_parts(
                "replay",
                &[run_id.as_bytes(), asked.key.as_bytes()],
                16,
            ),
            timeout: Some(left),
            data: Labels::trigger().into(),
        };
        let report = self.runtime.block_on(self.plugin.call(&found, &asked.with, &context));
        let pin = || Pin {
            call: asked.what.clone(),
            plugin: self.name.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            function: found.clone(),
        };
        report.result.map_err(|fault| to_flow_error(&fault, &pin(), 1))
    }
}

/// Answers of a journal, but for those of an edited plugin. To be asked off the async threads.
pub(super) struct WithEdited<'a, A> {
    edited: &'a Edited,
    journal: &'a A,
    run_id: &'a str,
    until: Instant,
    told: Mutex<Vec<AnswersDiffer>>,
}

/// A journal that tells what was recorded at a place.
pub(super) trait Recorded: Answers {
    /// The outcome that was recorded at a place.
    fn recorded(&self, place: &str) -> Option<&Result<Value, FlowError>>;
}

impl<'a, A: Recorded> WithEdited<'a, A> {
    pub fn new(edited: &'a Edited, journal: &'a A, run_id: &'a str) -> Self {
        Self { edited, journal, run_id, until: Instant::now() + TIME, told: Mutex::default() }
    }

    /// Where the plugin answered something else than was recorded, in the order of the calls.
    pub fn told(self) -> Vec<AnswersDiffer> {
        self.told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Recorded> Answers for WithEdited<'_, A> {
    fn answer(&self, asked: &Asked) -> Given {
        let Some(function) = self.edited.function(&asked.what) else { return self.journal.answer(asked) };
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Given::Unknown;
        }
        let result = self.edited.call(&function, asked, self.run_id, left);
        let now = shown(&result);
        let recorded = self.journal.recorded(&asked.place).map(shown);
        let lines = recorded.as_ref().map_or_else(Vec::new, |before| differences(before, &now, false));
        if recorded.is_none() || !lines.is_empty() {
            let (place, what) = (asked.place.clone(), asked.what.clone());
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push(AnswersDiffer { place, what, recorded, now, differences: lines });
        }
        Given::Answer(result, Duration::ZERO)
    }

    fn event(&self, asked: &Asked, nth: u64, subscription: &Subscription) -> Given {
        self.journal.event(asked, nth, subscription)
    }

    fn wait(&self, asked: &Asked, duration: Duration) -> Duration {
        self.journal.wait(asked, duration)
    }

    fn time(&self, place: &str) -> Option<u64> {
        self.journal.time(place)
    }

    fn late(&self, place: &str) -> Option<bool> {
        self.journal.late(place)
    }

    fn decided(&self, place: &str) -> Option<Value> {
        self.journal.decided(place)
    }
}

/// An outcome as it is compared: without the number of attempts, which a replay does not repeat, and without where in the
/// document it arose.
fn shown(result: &Result<Value, FlowError>) -> Value {
    match result {
        Ok(output) => json!({ "output": output }),
        Err(error) => {
            let mut error = error.to_value();
            if let Value::Object(members) = &mut error {
                members.remove("attempts");
                members.remove("instance");
            }
            json!({ "error": error })
        }
    }
}

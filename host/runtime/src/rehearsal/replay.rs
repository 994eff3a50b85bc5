//! A recorded run is replayed against another edition of its flow, or of a plugin: answers come from the run's journal, and
//! from the edited plugin on fixtures; nothing is done, and what is told is where the two part.
//!
//! The journal does not hold arguments. They are found by running the recorded edition on the same answers: it asks
//! again exactly what it asked then.

use std::collections::HashMap;
use std::sync::Arc;

use factotum_audit::Actor;
use factotum_flow::{Flow, Outcome as Ended};
use factotum_store::Batch;
use serde::Serialize;
use serde_json::{Value, json};

use super::difference::differences;
use super::edited::{AnswersDiffer, Edited, WithEdited};
use super::effects::{Answers, Asked, How, Rehearsed, rehearse};
use super::recorded::Journal;
use crate::Host;
use crate::error::{ErrorCode, HostError};
use crate::ids::is_run_id;
use crate::journal::{Outcome, Record};
use crate::learn::{Fixtures, Scratch};
use crate::masking::Secret;
use crate::repair::still_there;
use crate::runs::live::{Live, live};
use crate::runs::{Engine, Row};

/// The most differences that are listed.
const MAX_TOLD: usize = 100;

/// What is needed to replay a run.
#[derive(Debug)]
pub struct ReplayRun {
    /// Who replays it.
    pub actor: Actor,
    /// The run.
    pub run_id: String,
    /// The edited flow and its file's name; the deployed one when absent.
    pub document: Option<(String, String)>,
    /// A plugin that is called anew in place of the recorded answers.
    pub plugin: Option<EditedPlugin>,
}

/// An edited plugin to replay a run with.
#[derive(Debug)]
pub struct EditedPlugin {
    /// The name under which it is installed and the flow calls it. The installed one's configuration and limits hold.
    pub name: String,
    /// The edited component.
    pub wasm: Vec<u8>,
    /// What its effects are answered with.
    pub fixtures: Fixtures,
}

/// What a flow asks for at some place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asking {
    /// What: a function, a request, `human-task`.
    pub what: String,
    /// With which arguments.
    pub with: Value,
}

/// A place at which the two editions differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differs {
    /// The place: a key without the numbers of tasks in their lists.
    pub place: String,
    /// What the recorded edition asked for there; absent when nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Asking>,
    /// What the other asks for there; absent when nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Asking>,
    /// Where the arguments differ, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Whether the journal's answer was taken all the same, since the same function was asked.
    pub answered: bool,
}

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replayed {
    /// The run.
    pub run_id: String,
    /// Whether nothing differs.
    pub same: bool,
    /// How many answers of the journal were used.
    pub answered: usize,
    /// The first place at which the other edition asks for something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts_at: Option<Differs>,
    /// Every place at which the editions differ, in the order of the other one's questions, then what it does not ask for
    /// any more; at most 100.
    pub differences: Vec<Differs>,
    /// Where the edited plugin answers something else than was recorded, in the order of its calls; at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswersDiffer>,
    /// How the recorded edition ends on the recorded answers: `{state, output}` or `{state, error}`.
    pub recorded_outcome: Value,
    /// How the other ends.
    pub outcome: Value,
    /// Where the outcomes differ, a line each.
    pub outcome_differences: Vec<String>,
    /// What cannot be seen, and why.
    pub notes: Vec<String>,
}

impl Host {
    /// Replays a run against an edited flow or plugin, with answers from the run's journal, and from the plugin on
    /// fixtures. Does nothing outside and changes nothing but the audit log.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownRun`]; [`ErrorCode::InvalidFlow`] with the problems; [`ErrorCode::Conflict`] when the journal
    /// cannot be read; [`ErrorCode::UnknownPlugin`] and [`ErrorCode::InvalidPlugin`]; [`ErrorCode::Busy`] while another
    /// plugin is tried on fixtures.
    pub async fn replay_run(&self, mut request: ReplayRun) -> Result<Replayed, HostError> {
        let Some(plugin) = request.plugin.take() else {
            return self.engine().replay_run(request, None).await;
        };
        let _only = self.try_fixtures()?;
        let scratch = Scratch::new(plugin.fixtures);
        let backends = scratch.backends(&plugin.name);
        let edited = self.plugin_catalog().link_edited(&plugin.name, plugin.wasm, backends).await?;
        let mut replayed = self.engine().replay_run(request, Some(edited)).await?;
        for request in scratch.seen().into_values().flat_map(|seen| seen.unanswered) {
            replayed
                .notes
                .push(format!("no fixture answers {request}; the plugin was told that it cannot be reached"));
        }
        Ok(replayed)
    }
}

impl Engine {
    pub(super) async fn replay_run(
        self: &Arc<Self>,
        request: ReplayRun,
        plugin: Option<Edited>,
    ) -> Result<Replayed, HostError> {
        let plugin = plugin.map(Arc::new);
        let id = request.run_id.clone();
        let row = if is_run_id(&id) { self.row(&id).map_err(HostError::store)? } else { None };
        let row = row.ok_or_else(|| {
            HostError::new(ErrorCode::UnknownRun, "there is no run with this identifier")
                .hint("factotum run list shows the newest")
        })?;
        still_there(&row)?;
        let engine = Arc::clone(self);
        let recorded = self.deployments.by_digest(&row.deployment).await;
        let deployed = self.deployments.current(&row.flow);
        let replayed = tokio::task::spawn_blocking({
            let (id, row, plugin) = (id.clone(), row.clone(), plugin.clone());
            move || {
                let records = engine.records(&id).map_err(HostError::store)?;
                let live = live(records.iter().map(|(n, bytes)| (*n, bytes.as_slice())));
                let live = live.map_err(|e| HostError::new(ErrorCode::Conflict, e.to_string()))?;
                let edited;
                let flow = match &request.document {
                    Some((source, file)) => {
                        edited = Flow::parse(source, file).map_err(HostError::from)?;
                        &edited
                    }
                    None => match &deployed {
                        Some(deployed) => &deployed.flow,
                        None => {
                            let message = format!("the flow {} is not deployed any more", row.flow);
                            return Err(HostError::new(ErrorCode::UnknownFlow, message)
                                .hint("give the edited flow's file"));
                        }
                    },
                };
                let before = recorded.as_ref().map(|deployment| &deployment.flow).map_err(String::as_str);
                Ok(compare(&id, &row, &live, before, flow, plugin.as_deref()))
            }
        })
        .await
        .map_err(HostError::internal)??;
        let mut batch = Batch::new();
        let mut entry = self.audit.entry(&request.actor, "run.replay", &row.flow).run(&id);
        if let Some(plugin) = &plugin {
            entry = entry.detail("plugin", &plugin.name).detail("digest", &plugin.digest);
        }
        entry.add_to(&mut batch);
        self.commit(batch).await.map_err(HostError::store)?;
        Ok(replayed)
    }
}

impl Engine {
    /// Which tasks of a run ended, and how, in order: found by running its flow on the answers of its journal.
    pub(crate) fn path_of(&self, id: &str, row: &Row, flow: &Flow) -> Result<Vec<(String, How)>, HostError> {
        still_there(row)?;
        let records = self.records(id).map_err(HostError::store)?;
        let live = live(records.iter().map(|(n, bytes)| (*n, bytes.as_slice())));
        let live = live.map_err(|e| HostError::new(ErrorCode::Conflict, e.to_string()))?;
        let journal = Journal::of(&live);
        let rehearsed = rehearse(flow, id, live.input.clone(), row.started_at, &journal);
        Ok(rehearsed.ran.into_iter().map(|ran| (ran.task, ran.how)).collect())
    }

    /// What the tasks of a run asked for, by task, found in the same way.
    pub(crate) fn asked_of(&self, id: &str, flow: &Flow) -> Result<Vec<(String, Value)>, HostError> {
        let row = self
            .row(id)
            .map_err(HostError::store)?
            .ok_or_else(|| HostError::internal("a run without a row"))?;
        let records = self.records(id).map_err(HostError::store)?;
        let live = live(records.iter().map(|(n, bytes)| (*n, bytes.as_slice())));
        let live = live.map_err(|e| HostError::new(ErrorCode::Conflict, e.to_string()))?;
        let rehearsed = rehearse(flow, id, live.input.clone(), row.started_at, &Journal::of(&live));
        Ok(rehearsed.asked.into_iter().map(|asked| (asked.task, asked.with)).collect())
    }
}

fn compare(
    id: &str,
    row: &Row,
    live: &Live,
    before: Result<&Flow, &str>,
    flow: &Flow,
    plugin: Option<&Edited>,
) -> Replayed {
    let journal = Journal::of(live);
    let run =
        |flow: &Flow, answers: &dyn Answers| rehearse(flow, id, live.input.clone(), row.started_at, answers);
    let mut notes = Vec::new();
    let old = match before {
        Ok(before) => Some(run(before, &journal)),
        Err(why) => {
            notes.push(format!(
                "the edition that the run was recorded with cannot be loaded ({why}): arguments cannot be compared"
            ));
            None
        }
    };
    let (new, mut answers) = match plugin {
        None => (run(flow, &journal), Vec::new()),
        Some(plugin) => {
            let with = WithEdited::new(plugin, &journal, id);
            (run(flow, &with), with.told())
        }
    };
    let then: HashMap<&str, &Asked> =
        old.iter().flat_map(|old| &old.asked).map(|asked| (asked.place.as_str(), asked)).collect();
    let mut all = Vec::new();
    let mut answered = 0;
    for asked in &new.asked {
        let known = !new.unknown.iter().any(|unknown| unknown.place == asked.place);
        let anew = plugin.is_some_and(|plugin| plugin.answers(&asked.what));
        answered += usize::from(known && !anew && journal.answers(&asked.place));
        if let Some(differs) = differs(asked, then.get(asked.place.as_str()).copied(), &journal, known) {
            all.push(differs);
        }
    }
    let parted = all.first().cloned();
    for was in old.iter().flat_map(|old| &old.asked) {
        if !new.asked.iter().any(|asked| asked.place == was.place) {
            let recorded = Some(Asking { what: was.what.clone(), with: was.with.clone() });
            let place = was.place.clone();
            all.push(Differs { place, recorded, now: None, arguments: Vec::new(), answered: false });
        }
    }
    let recorded_outcome = old.as_ref().map_or(Value::Null, outcome);
    let outcome = outcome(&new);
    let outcome_differences =
        if old.is_some() { differences(&recorded_outcome, &outcome, false) } else { Vec::new() };
    let same = all.is_empty() && answers.is_empty() && outcome_differences.is_empty();
    let more = all.len().saturating_sub(MAX_TOLD) + answers.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        notes.push(format!("{more} more places differ"));
        all.truncate(MAX_TOLD);
        answers.truncate(MAX_TOLD);
    }
    for name in &new.unknown_calendars {
        notes.push(format!(
            "the calendar {name} is not looked at where the journal has no moment: every day counts as open"
        ));
    }
    if !new.unknown.is_empty() {
        notes.push("what comes after a question that the journal does not answer is not known".into());
    }
    let editions = [before.ok().zip(old.as_ref()), Some((flow, &new))];
    let mut secret = secret_of(live, editions.into_iter().flatten());
    for answer in &answers {
        // What an edited plugin gives is sensitive where the recorded one's output is.
        let task =
            new.asked.iter().find(|asked| asked.place == answer.place).map(|asked| asked.task.as_str());
        if let (Some(task), Some(output)) = (task, answer.now.get("output")) {
            secret.learn(flow.sensitive(), task, output);
        }
    }
    let mut replayed = Replayed {
        run_id: id.to_owned(),
        same,
        answered,
        parts_at: parted.or_else(|| all.first().cloned()),
        differences: all,
        answers,
        recorded_outcome,
        outcome,
        outcome_differences,
        notes,
    };
    replayed.mask(&secret);
    replayed
}

/// What the editions call sensitive, in what their tasks were given and gave.
pub(super) fn secret_of<'a>(
    live: &Live,
    editions: impl Iterator<Item = (&'a Flow, &'a Rehearsed)>,
) -> Secret {
    let mut secret = Secret::default();
    for (flow, rehearsed) in editions {
        for asked in &rehearsed.asked {
            secret.learn(flow.sensitive(), &asked.task, &asked.with);
        }
        for record in live.records.iter().flatten() {
            match record {
                Record::Called { task, outcome: Outcome::Value(value), .. }
                | Record::Kept { task, outcome: Outcome::Value(value), .. }
                | Record::Heard { task, event: value, .. } => secret.learn(flow.sensitive(), task, value),
                _ => {}
            }
        }
    }
    secret
}

impl Replayed {
    fn mask(&mut self, secret: &Secret) {
        if secret.is_empty() {
            return;
        }
        for differs in self.parts_at.iter_mut().chain(&mut self.differences) {
            for asking in differs.recorded.iter_mut().chain(&mut differs.now) {
                secret.mask_text(&mut asking.what);
                secret.mask(&mut asking.with);
            }
            differs.arguments.iter_mut().for_each(|line| secret.mask_text(line));
        }
        for answer in &mut self.answers {
            answer.recorded.iter_mut().chain(std::iter::once(&mut answer.now)).for_each(|it| secret.mask(it));
            answer.differences.iter_mut().for_each(|line| secret.mask_text(line));
        }
        secret.mask(&mut self.recorded_outcome);
        secret.mask(&mut self.outcome);
        self.outcome_differences.iter_mut().chain(&mut self.notes).for_each(|line| secret.mask_text(line));
    }
}

fn differs(asked: &Asked, was: Option<&Asked>, journal: &Journal, answered: bool) -> Option<Differs> {
    let now = Some(Asking { what: asked.what.clone(), with: asked.with.clone() });
    let recorded = was.map(|was| Asking { what: was.what.clone(), with: was.with.clone() });
    // Without the recorded edition, its functions at least stand in the journal.
    let recorded = recorded.or_else(|| {
        let (what, _) = journal.calls.get(&asked.place)?;
        Some(Asking { what: what.clone(), with: Value::Null })
    });
    let arguments = match was {
        Some(was) if was.what == asked.what => differences(&was.with, &asked.with, false),
        _ => Vec::new(),
    };
    let same = match &recorded {
        Some(recorded) => recorded.what == asked.what && arguments.is_empty(),
        None => false,
    };
    (!same).then(|| Differs { place: asked.place.clone(), recorded, now, arguments, answered })
}

fn outcome(rehearsed: &Rehearsed) -> Value {
    match &rehearsed.outcome {
        Some(Ended::Completed(output)) => json!({ "state": "completed", "output": output }),
        Some(Ended::Faulted(error)) => json!({ "state": "faulted", "error": error.to_value() }),
        Some(Ended::Cancelled) => json!({ "state": "cancelled" }),
        Some(Ended::Suspended) | None => json!({ "state": "not over" }),
    }
}

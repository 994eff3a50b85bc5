//! Learning mode: a flow is run with every effect answered from fixtures and none of them done, and from what its plugins
//! and the flow itself attempted comes the least grant for each.
//!
//! The run has an engine, a store in memory and an audit log of its own; of the host it sees the installed plugins' code,
//! configuration and manifests. The host's own audit log says who learned what, when.

mod actions;
mod fixtures;
mod own;
mod scratch;

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::{Actor, AuditLog};
use factotum_grant::{Capability, Grants, contains, keeping_bounds, propose};
use factotum_store::{Batch, Options, Store};
use serde::Serialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::config::Limits;
use crate::error::{ErrorCode, HostError};
use crate::flow_rights::{FlowRights, holder};
use crate::plugins::{GrantChange, Plugins, Sentences};
use crate::runs::{Engine, RunState, StartRun};

pub use fixtures::Fixtures;
pub use own::LearnedFlow;

use actions::Learning;
pub(crate) use scratch::Scratch;

use scratch::Seen;

/// The most inputs of one learning run.
pub const MAX_INPUTS: usize = 100;
/// The longest that all runs together may take.
const TIME: Duration = Duration::from_secs(120);
/// The longest that one run may take; one that waits for longer, for instance for a timer, is left at that.
const RUN_TIME: Duration = Duration::from_secs(30);

/// What to learn from.
#[derive(Debug, Default)]
pub struct LearnRequest {
    /// The flow's document.
    pub source: String,
    /// The name of the document's file, for messages.
    pub file: String,
    /// An input for each run.
    pub inputs: Vec<Value>,
    /// What the plugins' effects are answered with.
    pub fixtures: Fixtures,
    /// Only this plugin's grant is proposed, and not the flow's; all plugins' effects are answered from fixtures all the same.
    pub plugin: Option<String>,
}

/// What was learned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Learned {
    /// The flow, `namespace/name`.
    pub flow: String,
    /// How each run went, in the order of the inputs.
    pub runs: Vec<LearnedRun>,
    /// What each plugin that was called attempted and needs.
    pub plugins: Vec<LearnedPlugin>,
    /// What the flow itself attempted and needs, when it sent requests of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<LearnedFlow>,
}

/// How one run went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnedRun {
    /// Where it stands; one that still runs or waits was left at that.
    pub state: RunState,
    /// Why it faulted or is stuck, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What one plugin attempted and needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnedPlugin {
    /// The plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How many effects it attempted.
    pub attempts: u64,
    /// The least grant that allows what it attempted, as TOML in the grant language.
    pub proposal: String,
    /// The same in sentences.
    pub may: Sentences,
    /// What of it the plugin may not do today: what would have been refused.
    pub refused_today: Vec<crate::plugins::Told>,
    /// Attempts that no grant should allow, or that cannot be named by one.
    pub unlearnable: Vec<String>,
    /// Requests that no fixture answered; what the plugin would have done next is not known.
    pub unanswered: Vec<String>,
}

/// Runs a flow on fixtures and proposes grants. Needs an async runtime.
pub(crate) async fn learn(
    plugins: &Arc<Plugins>,
    rights: &FlowRights,
    clock: Arc<dyn Clock>,
    limits: &Limits,
    request: LearnRequest,
) -> Result<Learned, HostError> {
    if request.inputs.is_empty() || request.inputs.len() > MAX_INPUTS {
        let message = format!("give 1 to {MAX_INPUTS} inputs");
        return Err(HostError::new(ErrorCode::InvalidRequest, message));
    }
    let scratch = Scratch::new(request.fixtures);
    let actions = Arc::new(Learning::new(Arc::clone(plugins), Arc::clone(&scratch)));
    let folder = tempfile::tempdir().map_err(HostError::internal)?;
    let (audit, linker) = AuditLog::open(folder.path()).map_err(HostError::internal)?;
    let options = Options { linker: Some(Box::new(linker)), ..Options::default() };
    let store = Store::in_memory(options).map_err(HostError::store)?;
    let limits = Limits { max_active_runs: 1, flow_limits: false, ..limits.clone() };
    let engine = Engine::new(store, audit, clock, Arc::clone(&actions) as _, limits);
    engine.begin().map_err(HostError::store)?;
    let ran =
        tokio::time::timeout(TIME, run_all(&engine, &request.source, &request.file, request.inputs)).await;
    engine.end(Duration::ZERO).await;
    let (flow, runs) = ran.map_err(|_| {
        HostError::new(ErrorCode::StillRunning, format!("learning takes at most {} seconds", TIME.as_secs()))
            .hint("give fewer inputs, or fixtures that do not make the flow wait")
    })??;
    let mut seen = scratch.seen();
    let own = match &request.plugin {
        Some(_) => None,
        None => LearnedFlow::of(seen.remove(&holder(&flow)).unwrap_or_default(), &rights.show(&flow).grants)?,
    };
    let mut learned = Vec::new();
    for pin in actions.called() {
        if request.plugin.as_ref().is_none_or(|only| *only == pin.plugin) {
            let seen = seen.get(&pin.plugin).cloned().unwrap_or_default();
            learned.push(plugins.learned(&pin, seen)?);
        }
    }
    Ok(Learned { flow, runs, plugins: learned, own })
}

async fn run_all(
    engine: &Arc<Engine>,
    source: &str,
    file: &str,
    inputs: Vec<Value>,
) -> Result<(String, Vec<LearnedRun>), HostError> {
    let info = engine.deploy(&Actor::System, source, file).await?;
    let flow = format!("{}/{}", info.namespace, info.name);
    let mut runs = Vec::new();
    for input in inputs {
        let request = StartRun {
            actor: Actor::System,
            flow: flow.clone(),
            input,
            dedupe_key: None,
            trigger: "learning".into(),
        };
        let started = engine.start(request).await?;
        runs.push(match engine.wait(&started.run_id, RUN_TIME).await {
            Ok(info) => LearnedRun { state: info.state, reason: info.reason.clone() },
            Err(error) if error.code == ErrorCode::StillRunning => {
                let state = engine.row(&started.run_id).map_err(HostError::store)?.map(|row| row.state);
                LearnedRun { state: state.unwrap_or(RunState::Running), reason: None }
            }
            Err(error) => return Err(error),
        });
    }
    Ok((flow, runs))
}

impl Plugins {
    /// What one plugin's attempts say of the grant that it needs.
    fn learned(&self, pin: &crate::Pin, seen: Seen) -> Result<LearnedPlugin, HostError> {
        let subject = self.subject(pin)?;
        let mut attempts = seen.attempts;
        // Reading either changes nothing outside, is given whole or not at all, and is not noted use by use.
        let whole = [Capability::RunContext, Capability::Config];
        attempts.extend(subject.imported.iter().filter(|used| whole.contains(used)).map(|used| match used {
            Capability::Config => factotum_grant::Attempt::Config,
            _ => factotum_grant::Attempt::RunContext,
        }));
        let known: Vec<_> = subject.granted.http.iter().chain(&subject.suggested.http).cloned().collect();
        let proposal = keeping_bounds(propose(&attempts, &subject.asked, &known), &subject.granted);
        let lacking = match contains(&subject.granted, &proposal) {
            Ok(()) => Vec::new(),
            Err(_) => GrantChange::between(&subject.granted, &proposal).gained,
        };
        Ok(LearnedPlugin {
            name: pin.plugin.clone(),
            version: pin.version.to_string(),
            attempts: seen.count,
            may: Sentences::of(&proposal),
            proposal: written(&proposal)?,
            refused_today: lacking,
            unlearnable: seen.unlearnable.into_iter().collect(),
            unanswered: seen.unanswered.into_iter().collect(),
        })
    }

    /// Writes into the host's own log who learned what.
    pub(crate) async fn note_learned(&self, actor: &Actor, learned: &Learned) -> Result<(), HostError> {
        let mut batch = Batch::new();
        for plugin in &learned.plugins {
            self.audit()
                .entry(actor, "plugin.learn", &plugin.name)
                .detail("version", &plugin.version)
                .detail("flow", &learned.flow)
                .detail("attempts", &plugin.attempts.to_string())
                .payload("proposal", plugin.proposal.as_bytes())
                .add_to(&mut batch);
        }
        if let Some(own) = &learned.own {
            self.audit()
                .entry(actor, "flow.learn", &learned.flow)
                .detail("attempts", &own.attempts.to_string())
                .payload("proposal", own.proposal.as_bytes())
                .add_to(&mut batch);
        }
        self.store().commit(batch).await.map_err(HostError::store)?;
        Ok(())
    }
}

fn written(grants: &Grants) -> Result<String, HostError> {
    grants.to_toml().map_err(HostError::internal)
}

//! The host: one value that the server and the command line talk to.

mod calendars;
mod lifecycle;
mod rooms;
mod status;

pub use lifecycle::FlowLeft;
pub use status::Status;

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::{Actor, AuditLog};
use factotum_egress::Egress;
use factotum_flow::{Problems, Severity};
use factotum_sandbox::Backends;
use factotum_store::{Blobs, Store};
use serde_json::Value;

use crate::actions::Pin;
use crate::backends::{ArtifactContent, Courier, MailBackend, StoredArtifacts, StoredKeyValue, StoredPlaces};
use crate::config::{HostConfig, Limits};
use crate::error::{ErrorCode, HostError};
use crate::events::{EventPage, EventQuery, Published, RunWatch};
use crate::flows::{self, Deployment, FlowInfo};
use crate::keep::{self, Keeper};
use crate::plugins::{PluginInfo, Plugins};
use crate::runs::{Engine, RunDetail, RunInfo, RunPage, RunQuery, StartRun, Started};
use crate::scripts::Scripts;
use crate::secrets::HostSecrets;
use rooms::{Rooms, open_rooms, post};

/// The host. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    plugins: Arc<Plugins>,
    artifacts: Arc<StoredArtifacts>,
    keeper: Arc<Keeper>,
    secrets: Arc<HostSecrets>,
    store: Store,
    audit: AuditLog,
    grace: Duration,
    /// Held while a flow is learned from.
    learning: tokio::sync::Mutex<()>,
}

impl Host {
    /// Opens the data folder, links the installed plugins, loads the deployed flows, and goes on with unfinished runs.
    ///
    /// # Errors
    /// When the folder is in use or cannot be used, or the engine does not start on this machine.
    pub async fn open(config: HostConfig) -> Result<Host, HostError> {
        let opened = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || open_rooms(&config)).await.map_err(HostError::internal)??
        };
        let Rooms { store, audit, secrets, sandbox } = opened;
        for finding in audit.found_at_open() {
            tracing::error!(%finding, "the audit log is not as it was left");
        }
        Blobs::new(&store).sweep().await.map_err(HostError::store)?;
        let artifacts = Arc::new(StoredArtifacts::new(store.clone(), Arc::clone(&config.clock)));
        let outbox = config.mail.outbox.as_ref().map(|outbox| config.data_dir.join(outbox));
        let courier: Arc<dyn Courier> = Arc::new(post(&config, Arc::clone(&secrets) as _)?);
        let egress = Egress::new(config.egress, config.resolver, Arc::clone(&secrets) as _)
            .map_err(|e| HostError::new(ErrorCode::InvalidRequest, format!("HTTP out: {e}")))?;
        let backends = Backends {
            key_value: Arc::new(StoredKeyValue::new(store.clone())),
            mail: Arc::new(MailBackend::new(
                store.clone(),
                audit.clone(),
                Arc::clone(&config.clock),
                Arc::clone(&courier),
            )),
            artifacts: Arc::clone(&artifacts) as _,
            egress: Arc::new(egress),
            labels: Arc::new(StoredPlaces::new(store.clone())),
        };
        let scripts = Scripts::new(config.script_engine);
        let plugins =
            Plugins::new(sandbox, backends, scripts, store.clone(), audit.clone(), Arc::clone(&config.clock));
        let limits = Limits {
            max_input_bytes: config.limits.max_input_bytes.min(Limits::MAX_INPUT_BYTES),
            ..config.limits
        };
        let engine =
            Engine::new(store.clone(), audit.clone(), config.clock, Arc::clone(&plugins) as _, limits);
        // Flows compile while plugins link.
        let loading = {
            let engine = Arc::clone(&engine);
            tokio::task::spawn_blocking(move || engine.deployments.open())
        };
        plugins.load_all().await.map_err(HostError::store)?;
        loading.await.map_err(HostError::internal)?.map_err(HostError::store)?;
        engine.begin_notices(config.notices, courier);
        engine.begin().map_err(HostError::store)?;
        engine.begin_mailboxes(config.mailboxes, Arc::clone(&secrets) as _, &config.mail.sender);
        let keeper = Keeper::new(Arc::clone(&engine), Arc::clone(&artifacts), config.retention, outbox);
        tokio::spawn(keep::watch(Arc::clone(&keeper)));
        let inner = Inner {
            engine,
            plugins,
            artifacts,
            keeper,
            secrets,
            store,
            audit,
            grace: config.grace,
            learning: tokio::sync::Mutex::default(),
        };
        Ok(Host { inner: Arc::new(inner) })
    }

    pub(crate) fn plugin_catalog(&self) -> &Arc<Plugins> {
        &self.inner.plugins
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.inner.keeper
    }

    /// Takes on no more runs, lets calls in flight end for a while, and closes the store. What is not done then goes
    /// on at the next start.
    pub async fn shutdown(&self) {
        self.inner.engine.end(self.inner.grace).await;
        let store = self.inner.store.clone();
        // Closing waits for the disk.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }

    /// Every installed version of every plugin, by name and version.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginInfo> {
        self.inner.plugins.list()
    }

    /// The newest version of a plugin.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<PluginInfo> {
        self.inner.plugins.show(name)
    }

    /// Calls a function of the newest version of a plugin, once, without retries.
    ///
    /// # Errors
    /// [`ErrorCode::ActionRefused`] for the plugin's business fault, [`ErrorCode::ActionFailed`] for a technical one,
    /// each with the fault in `detail`.
    pub async fn call_plugin(
        &self,
        actor: &Actor,
        name: &str,
        function: &str,
        input: &Value,
        idempotency_key: Option<&str>,
    ) -> Result<Value, HostError> {
        self.inner.engine.check_space()?;
        let (plugins, actor) = (Arc::clone(&self.inner.plugins), actor.clone());
        let (name, function, input) = (name.to_owned(), function.to_owned(), input.clone());
        let idempotency_key = idempotency_key.map(str::to_owned);
        to_the_end(async move {
            plugins.call_directly(&actor, &name, &function, &input, idempotency_key.as_deref()).await
        })
        .await
    }

    /// Checks a flow as deploying it would: the document, every call, and the arguments of each. Compiles expressions:
    /// call it off the async threads.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and mend.
    pub fn check_flow(&self, source: &str, file: &str) -> Result<FlowInfo, Problems> {
        let actions = &*self.inner.engine.actions;
        let (flow, pins) = flows::check(actions, source, file)?;
        let unknown = self.inner.engine.calendars.lacking(&flow, file);
        if !unknown.is_empty() {
            return Err(Problems(unknown));
        }
        let mut doubts = flows::doubts(actions, &flow, file);
        doubts.extend(self.inner.engine.flow_rights.lacking(&flow, file));
        doubts.extend(self.inner.engine.wrong_with_mail(&flow, file, Severity::Warning));
        doubts.extend(self.inner.engine.notices.lacking(&flow, file));
        Ok(FlowInfo::checked(&flow, pins).with(doubts))
    }

    /// Checks and deploys a flow. New runs take it from now on; the same again changes nothing.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidFlow`] with the problems.
    pub async fn deploy_flow(&self, actor: &Actor, source: &str, file: &str) -> Result<FlowInfo, HostError> {
        self.inner.engine.check_space()?;
        let (engine, actor) = (Arc::clone(&self.inner.engine), actor.clone());
        let (source, file) = (source.to_owned(), file.to_owned());
        to_the_end(async move { engine.deploy(&actor, &source, &file).await }).await
    }

    /// Takes a flow off. Accepted runs end with the deployment they were started with.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownFlow`].
    pub async fn remove_flow(&self, actor: &Actor, namespace: &str, name: &str) -> Result<(), HostError> {
        let (engine, actor, flow) =
            (Arc::clone(&self.inner.engine), actor.clone(), format!("{namespace}/{name}"));
        to_the_end(async move { engine.undeploy(&actor, &flow).await }).await
    }

    /// The deployed flows, by name.
    #[must_use]
    pub fn flows(&self) -> Vec<FlowInfo> {
        self.inner.engine.deployments.all().iter().map(|deployment| self.flow_info(deployment)).collect()
    }

    /// A deployed flow.
    #[must_use]
    pub fn flow(&self, namespace: &str, name: &str) -> Option<FlowInfo> {
        self.deployment(namespace, name).map(|deployment| self.flow_info(&deployment))
    }

    fn flow_info(&self, deployment: &Deployment) -> FlowInfo {
        let next_start =
            deployment.flow.schedule().and_then(|_| self.inner.engine.next_start(&deployment.flow.id()));
        let limits = self.inner.engine.flow_limits(deployment);
        FlowInfo { next_start, limits, ..FlowInfo::deployed(deployment) }
    }

    /// A deployed flow with its document, trigger and source.
    #[must_use]
    pub fn deployment(&self, namespace: &str, name: &str) -> Option<Arc<Deployment>> {
        self.inner.engine.deployments.current(&format!("{namespace}/{name}"))
    }

    /// Starts a run. When this returns, the run is on disk and will be executed whatever happens to this process.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownFlow`], [`ErrorCode::InvalidInput`], [`ErrorCode::InputTooLarge`], [`ErrorCode::Busy`],
    /// [`ErrorCode::ShuttingDown`], [`ErrorCode::Store`].
    pub async fn start_run(&self, request: StartRun) -> Result<Started, HostError> {
        self.inner.engine.start(request).await
    }

    /// Starts a run and waits until it is over or parked, at most `timeout`; its end is `None` when it takes longer. When this
    /// returns, the run is on disk. Cheaper than the two in turn: a short run without effects waits for the disk once.
    ///
    /// # Errors
    /// Like [`Host::start_run`]; then nothing was accepted.
    pub async fn start_and_wait(
        &self,
        request: StartRun,
        timeout: Duration,
    ) -> Result<(Started, Option<Arc<RunInfo>>), HostError> {
        Box::pin(self.inner.engine.start_and_wait(request, timeout)).await
    }

    /// Waits until a run is over or parked, at most `timeout`.
    ///
    /// # Errors
    /// [`ErrorCode::StillRunning`], [`ErrorCode::UnknownRun`].
    pub async fn wait_run(&self, run_id: &str, timeout: Duration) -> Result<Arc<RunInfo>, HostError> {
        self.inner.engine.wait(run_id, timeout).await
    }

    /// A page of runs, newest first.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] for a cursor that is none.
    pub fn runs(&self, query: &RunQuery) -> Result<RunPage, HostError> {
        self.inner.engine.list(query)
    }

    /// A run with its history; `None` when there is none of that identifier.
    ///
    /// # Errors
    /// [`ErrorCode::Store`].
    pub fn run(&self, run_id: &str) -> Result<Option<RunDetail>, HostError> {
        self.inner.engine.detail(run_id)
    }

    /// A run without its history; `None` when there is none of that identifier.
    ///
    /// # Errors
    /// [`ErrorCode::Store`].
    pub fn run_info(&self, run_id: &str) -> Result<Option<RunInfo>, HostError> {
        self.inner.engine.info(run_id)
    }

    /// Publishes a CloudEvent in its JSON form. When this returns, it is on disk, and is delivered to the runs that listen
    /// and the flows that it starts, whatever happens to this process. One of the same source and identifier as before
    /// counts for nothing.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`], [`ErrorCode::Busy`], [`ErrorCode::ShuttingDown`], [`ErrorCode::Store`].
    pub async fn publish_event(&self, actor: &Actor, event: Value) -> Result<Published, HostError> {
        let (engine, actor) = (Arc::clone(&self.inner.engine), actor.clone());
        to_the_end(async move { engine.publish(&actor, event).await }).await
    }

    /// A page of the log of events, newest first.
    ///
    /// # Errors
    /// [`ErrorCode::Store`].
    pub fn events(&self, query: &EventQuery) -> Result<EventPage, HostError> {
        self.inner.engine.list_events(query)
    }

    /// What happens to runs and tasks from now on, as CloudEvents. A reader that falls too far behind is told how many it
    /// missed. `None` when there are as many readers as the host takes.
    #[must_use]
    pub fn watch_runs(&self) -> Option<RunWatch> {
        self.inner.engine.events.live.watch()
    }

    /// Lets everyone go who watches runs: the host is about to stop.
    pub fn end_watching(&self) {
        self.inner.engine.events.live.end();
    }

    /// The audit log. Its reading functions take [`Host::store`].
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.inner.audit
    }

    /// The secrets. What changes them waits for the disk: call it off the async threads.
    #[must_use]
    pub fn secrets(&self) -> &HostSecrets {
        &self.inner.secrets
    }

    /// The store, for the rooms that keep something of their own in it: tokens, secrets, the audit log's readers.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// An artifact with its bytes.
    ///
    /// # Errors
    /// [`ErrorCode::Store`].
    pub fn artifact(&self, id: &str) -> Result<Option<ArtifactContent>, HostError> {
        self.inner.artifacts.read(id).map_err(HostError::store)
    }
}

/// Does something to its end, also when the caller goes away in the middle: what was committed must also be seen in
/// memory, and what was done must also be audited.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Result<T, HostError> {
    tokio::spawn(work).await.map_err(HostError::internal)?
}

/// Who may still call what `uses` says yes to.
fn users(engine: &Engine, uses: &dyn Fn(&Pin) -> bool) -> Result<Vec<String>, HostError> {
    let mut users: Vec<String> = engine
        .deployments
        .all()
        .iter()
        .filter(|deployment| deployment.pins().iter().any(uses))
        .map(|deployment| format!("the flow {}", deployment.flow.id()))
        .collect();
    let unfinished = engine.unfinished_deployments()?;
    for (digest, count) in unfinished {
        let pins = engine.deployments.pins_of(&digest).map_err(HostError::store)?;
        if pins.iter().any(uses) {
            users.push(format!("{count} unfinished runs of the deployment {digest}"));
        }
    }
    Ok(users)
}

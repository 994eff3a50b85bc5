//! A run is accepted: its input, row, deduplication key and audit entry are on disk before the caller hears of it.

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::Actor;
use factotum_provenance::Labels;
use factotum_store::{Batch, StoreError, Table};
use serde_json::Value;

use super::queue::Admission;
use super::replay::Replay;
use super::{Engine, Row, Run, RunState, put_row, row};
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::flows::Deployment;
use crate::gate::{Entering, Limited};
use crate::journal::{Record, WriteRecord};

/// When a caller should come back after [`ErrorCode::Busy`].
const COME_BACK: Duration = Duration::from_secs(2);
/// Triggers whose senders cannot be told to come back: what they bring was accepted before.
const NOT_REFUSED: [&str; 2] = ["event", "mail"];
/// The longest deduplication key, in bytes.
const MAX_DEDUPE_KEY: usize = 1024;

/// What is needed to start a run.
#[derive(Debug, Clone)]
pub struct StartRun {
    /// Who starts it.
    pub actor: Actor,
    /// The flow, `namespace/name`.
    pub flow: String,
    /// Its input.
    pub input: Value,
    /// Tells a repeated request from a new one: the second with the same key (for the same flow) gets the first run.
    pub dedupe_key: Option<String>,
    /// What starts it, one word for the run's history: `webhook`, `api`, `cli`.
    pub trigger: String,
}

/// What a request for a run turned out to be.
pub(super) enum Examined {
    /// A repeated one.
    Known(Started),
    New(Candidate),
}

/// A run that may be taken on.
pub(super) struct Candidate {
    pub id: String,
    pub deployment: Arc<Deployment>,
    /// Under which key a request for the same run would come.
    pub dedupe: Option<Vec<u8>>,
    pub limited: Option<Box<Limited>>,
    /// The first record of its journal.
    pub record: Vec<u8>,
    /// When it came, in milliseconds since 1970.
    pub at: u64,
}

/// A run that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Started {
    /// The run's identifier.
    pub run_id: String,
    /// Whether the run existed before this request, which then started nothing.
    pub duplicate: bool,
}

impl Engine {
    /// Accepts a run. When this returns, the run is on disk.
    pub async fn start(self: &Arc<Self>, request: StartRun) -> Result<Started, HostError> {
        self.start_together(request, Labels::default(), |_, _| {}).await
    }

    /// The same with an input that comes from somewhere else than the trigger.
    pub(crate) async fn start_with(
        self: &Arc<Self>,
        request: StartRun,
        from: Labels,
    ) -> Result<Started, HostError> {
        self.start_together(request, from, |_, _| {}).await
    }

    /// The same, with what is to be on disk together with the run: `with` is told the run's identifier.
    pub(crate) async fn start_together(
        self: &Arc<Self>,
        request: StartRun,
        from: Labels,
        with: impl FnOnce(&str, &mut Batch) + Send,
    ) -> Result<Started, HostError> {
        match self.examine(&request, &from)? {
            Examined::Known(started) => Ok(started),
            Examined::New(candidate) => self.take_on(request, from, candidate, with).await,
        }
    }

    /// Looks at a request without taking anything on.
    pub(super) fn examine(&self, request: &StartRun, from: &Labels) -> Result<Examined, HostError> {
        if self.stop.is_requested() {
            return Err(
                HostError::new(ErrorCode::ShuttingDown, "the host is stopping").retry_after(COME_BACK)
            );
        }
        let deployment =
            self.deployments.current(&request.flow).ok_or_else(|| unknown_flow(&request.flow))?;
        let dedupe = match &request.dedupe_key {
            Some(key) => Some(checked_dedupe_key(&request.flow, key)?),
            None => None,
        };
        if let Some(key) = &dedupe
            && let Some(run_id) = self.first_run(key)?
        {
            return Ok(Examined::Known(Started { run_id, duplicate: true }));
        }
        self.check_space()?;
        let at = self.clock.now_ms();
        let record = encode(at, &request.input, from)?;
        // What stands around the input: a record of null without the four letters.
        let around = encode(at, &Value::Null, from)?.len().saturating_sub(4);
        let bytes = record.len().saturating_sub(around);
        if bytes > self.limits.max_input_bytes {
            return Err(too_large(bytes, self.limits.max_input_bytes));
        }
        deployment.flow.check_input(&request.input).map_err(|error| {
            HostError::new(ErrorCode::InvalidInput, error.detail.clone().unwrap_or_else(|| error.to_string()))
                .hint("send what the flow's input.schema asks for")
                .detail(error.to_value())
        })?;
        let limited = self.limited(&deployment, &request.input).map_err(|error| not_limited(&error))?;
        let id = crate::ids::new_run_id();
        Ok(Examined::New(Candidate { id, deployment, dedupe, limited, record, at }))
    }

    pub(super) async fn take_on(
        self: &Arc<Self>,
        request: StartRun,
        from: Labels,
        mut candidate: Candidate,
        with: impl FnOnce(&str, &mut Batch) + Send,
    ) -> Result<Started, HostError> {
        let mut entering = match &mut candidate.limited {
            None => None,
            Some(limited) => {
                let bounded = !NOT_REFUSED.contains(&request.trigger.as_str());
                Some(self.enter(&candidate.id, &request.flow, limited, bounded).await?)
            }
        };
        let admission = if entering.as_ref().is_none_or(Entering::starts) {
            Some(self.queue.admit(&request.flow).ok_or_else(busy)?)
        } else {
            None
        };

        let state = if admission.is_some() { RunState::Running } else { RunState::Queued };
        let Candidate { id, deployment, dedupe, limited, record, at } = candidate;
        let row = Row {
            dedupe_key: request.dedupe_key,
            limited,
            ..Row::of_new(state, request.flow, &deployment, at, &request.actor, request.trigger)
        };
        let run = Run { id, row, deployment };
        let mut batch = Batch::new();
        if let Some(key) = &dedupe {
            batch.put_new(Table::Dedupe, key.as_slice(), run.id.as_bytes());
        }
        self.add_run(&mut batch, &run, &request.actor, record).map_err(HostError::internal)?;
        if let Some(entering) = &mut entering {
            entering.add_to(&mut batch, &run)?;
        }
        with(&run.id, &mut batch);
        // From here on the caller may go away: what is on disk must also be executed.
        let engine = Arc::clone(self);
        let accepting = tokio::spawn(async move {
            engine.accept(run, (request.input, from), batch, (admission, entering), dedupe).await
        });
        accepting.await.map_err(HostError::internal)?
    }

    async fn accept(
        self: &Arc<Self>,
        run: Run,
        (input, from): (Value, Labels),
        batch: Batch,
        (admission, entering): (Option<Admission>, Option<Entering>),
        dedupe: Option<Vec<u8>>,
    ) -> Result<Started, HostError> {
        match self.commit(batch).await {
            Ok(_) => {}
            Err(StoreError::Conflict { table: Table::Dedupe, .. }) => {
                // Another request with the same key came first.
                let first = match &dedupe {
                    Some(key) => self.first_run(key)?,
                    None => None,
                };
                let run_id = first.ok_or_else(|| HostError::internal("a deduplication key came and went"))?;
                return Ok(Started { run_id, duplicate: true });
            }
            Err(error) => return Err(HostError::store(error)),
        }
        let run_id = run.id.clone();
        if let Some(entering) = entering {
            entering.arrived().await;
        }
        if admission.is_some() {
            self.tell("workflow.started", &run.id, &run.row, None, Value::Null);
        }
        match admission {
            // Its turn comes.
            None => {}
            Some(Admission::Place(place)) => {
                self.queue.claim(&run_id);
                let replay = Replay::from(from);
                self.spawn(run, input, replay, 1, place, None);
            }
            Some(Admission::InLine(reservation)) => {
                self.queue.push(&run_id, run.row.lane());
                drop(reservation);
            }
        }
        Ok(Started { run_id, duplicate: false })
    }

    /// Adds a new run to a batch: row, indexes, the first record of its journal, and the audit entry.
    pub(super) fn add_run(
        &self,
        batch: &mut Batch,
        run: &Run,
        actor: &Actor,
        record: Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        put_row(batch, &run.id, &run.row, None)?;
        self.add_beginning(batch, run, actor, record);
        Ok(())
    }

    /// The same but for the row.
    pub(super) fn add_beginning(&self, batch: &mut Batch, run: &Run, actor: &Actor, record: Vec<u8>) {
        batch.put(Table::RunsByFlow, row::by_flow_key(&run.row.flow, &run.id), *b"");
        audit::run_started(batch, self, run, actor, &record);
        self.begin_clocks(batch, run);
        batch.append(run.id.as_str(), 0, record);
    }

    /// The run that a deduplication key belongs to.
    fn first_run(&self, key: &[u8]) -> Result<Option<String>, HostError> {
        let Some(id) = self.store.get(Table::Dedupe, key).map_err(HostError::store)? else { return Ok(None) };
        String::from_utf8(id).map(Some).map_err(HostError::internal)
    }
}

fn encode(at: u64, input: &Value, from: &Labels) -> Result<Vec<u8>, HostError> {
    let record: WriteRecord<'_> = Record::Started { at, input, from: from.clone() };
    record.encode().map_err(HostError::internal)
}

fn checked_dedupe_key(flow: &str, key: &str) -> Result<Vec<u8>, HostError> {
    if key.is_empty() || key.len() > MAX_DEDUPE_KEY {
        let message =
            format!("a deduplication key has 1 to {MAX_DEDUPE_KEY} bytes, this one has {}", key.len());
        return Err(HostError::new(ErrorCode::InvalidRequest, message)
            .hint("use an identifier that the message brings along, or a digest"));
    }
    Ok(row::dedupe_key(flow, key))
}

fn unknown_flow(flow: &str) -> HostError {
    let shown: String = flow.chars().take(140).collect();
    HostError::new(ErrorCode::UnknownFlow, format!("there is no flow {shown:?}"))
        .hint("list the deployed flows with `factotum flow list`; a flow is named namespace/name")
}

fn not_limited(error: &factotum_flow::FlowError) -> HostError {
    let why = error.detail.clone().unwrap_or_else(|| error.to_string());
    HostError::new(
        ErrorCode::InvalidInput,
        format!("the keys of the flow's limits cannot be made of this input: {why}"),
    )
    .hint("send what document.metadata.limits expects, or have its expressions take what may be missing")
}

fn too_large(bytes: usize, max: usize) -> HostError {
    HostError::new(
        ErrorCode::InputTooLarge,
        format!("the input has {bytes} bytes as JSON; at most {max} are taken"),
    )
    .hint("store large files as artifacts and pass their identifiers")
}

fn busy() -> HostError {
    HostError::new(ErrorCode::Busy, "the host has taken on as many runs as it can; this one was not accepted")
        .hint("send it again after the time given")
        .retry_after(COME_BACK)
}

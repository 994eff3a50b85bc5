//! Erasure: one customer's data are found, shown, and removed.

use std::sync::Arc;
use std::time::Duration;

use factotum_audit::{Actor, Outcome};
use factotum_store::{Batch, KvNamespace, Quota, Table};
use serde::Serialize;

use super::Keeper;
use super::search::{Closed, Found, LookedAt};
use super::subject::Subject;
use crate::Host;
use crate::error::{ErrorCode, HostError};
use crate::repair::CancelRun;
use crate::runs::{Removed, RunState};

/// The most finds of one request.
const MAX_CAP: usize = 10_000;
/// The most runs whose contents are removed together.
const MOST_AT_ONCE: usize = 50;
/// How long a run that is cancelled may take to end before it is told as under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is needed to erase one customer's data.
#[derive(Debug, Clone)]
pub struct Erase {
    /// Who has it done.
    pub actor: Actor,
    /// What names the customer: an address, a number. Found as a word of its own, in whatever case.
    pub subject: String,
    /// Only where it stands there, such as `.customer.email`.
    pub path: Option<String>,
    /// Whether runs that are under way are cancelled, to be erased as well.
    pub cancel: bool,
    /// The most finds, 1 to 10,000.
    pub cap: usize,
    /// Only say what would be erased.
    pub preview: bool,
}

/// A run that mentions the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedRun {
    /// The run.
    pub run_id: String,
    /// Its flow, `namespace/name`.
    pub flow: String,
    /// Where it stands.
    pub state: RunState,
    /// Whether its contents are removed; in a preview, whether they would be.
    pub erased: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A key of a plugin's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedKey {
    /// The namespace.
    pub namespace: String,
    /// The key.
    pub key: String,
}

/// What was erased, or would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Erased {
    /// Whether this only tells what would be done.
    pub preview: bool,
    /// Whether everything was looked through, and nothing is left but what is told in `left`.
    pub complete: bool,
    /// The runs.
    pub runs: Vec<ErasedRun>,
    /// The artifacts by identifier, those of the runs included.
    pub artifacts: Vec<String>,
    /// The keys that were deleted with their values.
    pub keys: Vec<ErasedKey>,
    /// The numbers of the events that were removed from the log.
    pub events: Vec<u64>,
    /// The files of the outbox folder.
    pub mails: Vec<String>,
    /// How many messages of mailboxes that were kept aside.
    pub kept_aside: usize,
    /// How many starts that rates of flows look back at: from the host's next start on they count no more.
    pub starts: usize,
    /// What could not be looked into and is left: at most 1,000 of them.
    pub closed: Vec<Closed>,
    /// How much could not be looked into.
    pub closed_count: u64,
    /// How much was looked through.
    pub looked_at: LookedAt,
    /// What is left, and why.
    pub left: Vec<String>,
}

impl Host {
    /// Finds one customer's data in runs, questions to people, artifacts (also inside of archives and office documents), keys
    /// and values, events, what rates count, mailboxes and the outbox, and erases
    /// them, or says what would be. Runs under way are left, unless they are to be cancelled. On record in the audit log,
    /// with a keyed digest of what names the customer.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] for a subject that names nobody, a path or a cap that is none; [`ErrorCode::Busy`]
    /// while another erasure goes on; [`ErrorCode::Store`].
    pub async fn erase(&self, request: Erase) -> Result<Erased, HostError> {
        let keeper = Arc::clone(self.keeper());
        tokio::spawn(async move { keeper.erase(request).await }).await.map_err(HostError::internal)?
    }
}

impl Keeper {
    pub(super) async fn erase(self: Arc<Self>, request: Erase) -> Result<Erased, HostError> {
        if !(1..=MAX_CAP).contains(&request.cap) {
            let message = format!("a cap is a number from 1 to {MAX_CAP}");
            return Err(HostError::new(ErrorCode::InvalidRequest, message));
        }
        let subject = Subject::new(&request.subject, request.path.as_deref())?;
        let Ok(_only) = self.erasing.try_lock() else {
            return Err(HostError::new(ErrorCode::Busy, "another erasure goes on at this moment"));
        };
        self.artifacts.index_once().await.map_err(HostError::store)?;
        let found = {
            let (keeper, cap) = (Arc::clone(&self), request.cap);
            tokio::task::spawn_blocking(move || keeper.search(&subject, cap))
                .await
                .map_err(HostError::internal)?
                .map_err(HostError::store)?
        };
        let mut told = self.told(&found, request.preview).map_err(HostError::store)?;
        self.note(&request, &told, Outcome::Started).await?;
        if !request.preview {
            let looked_through = found.is_everything();
            self.erase_runs(&request, &mut told).await?;
            let rest = self.erase_rest(found, &mut told).await?;
            told.complete = looked_through && rest && told.runs.iter().all(|run| run.erased);
            self.note(&request, &told, Outcome::Ok).await?;
            tracing::info!(
                runs = told.runs.iter().filter(|run| run.erased).count(),
                artifacts = told.artifacts.len(),
                keys = told.keys.len(),
                events = told.events.len(),
                mails = told.mails.len(),
                "one customer's data were erased"
            );
        }
        Ok(told)
    }

    /// What is to be done.
    fn told(&self, found: &Found, preview: bool) -> Result<Erased, factotum_store::StoreError> {
        let mut artifacts = found.artifacts.clone();
        let mut runs = Vec::with_capacity(found.runs.len());
        for (id, row) in &found.runs {
            let over = row.state.is_final();
            if over {
                artifacts.extend(self.artifacts.of_run(id)?);
            }
            runs.push(ErasedRun {
                run_id: id.clone(),
                flow: row.flow.clone(),
                state: row.state,
                erased: over && preview,
                why: (!over).then(|| format!("the run is not over: {}", row.state.as_str())),
            });
        }
        artifacts.sort_unstable();
        artifacts.dedup();
        let mut left = found.remarks.clone();
        if found.audit_entries > 0 {
            left.push(format!(
                "{} entries of the audit log name it, in who did what to whom; they stay, or the log would not verify",
                found.audit_entries
            ));
        }
        if found.is_full() {
            left.push("the cap was reached: erase again to go on".to_owned());
        }
        let key = |(namespace, key): &(String, String)| ErasedKey {
            namespace: namespace.clone(),
            key: key.clone(),
        };
        Ok(Erased {
            preview,
            complete: found.is_everything() && runs.iter().all(|run| run.why.is_none()),
            runs,
            artifacts,
            keys: found.keys.iter().map(key).collect(),
            events: found.events.iter().map(|(number, _)| *number).collect(),
            mails: found
                .mails
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect(),
            kept_aside: found.kept_aside.len(),
            starts: found.starts.len(),
            closed: found.closed.clone(),
            closed_count: found.closed_count,
            looked_at: found.looked_at,
            left,
        })
    }

    async fn note(&self, request: &Erase, told: &Erased, outcome: Outcome) -> Result<(), HostError> {
        let action = if request.preview { "data.search" } else { "data.erase" };
        let outcome = if request.preview { Outcome::Ok } else { outcome };
        let mut batch = Batch::new();
        self.engine
            .audit
            .entry(&request.actor, action, "the data of one customer")
            .outcome(outcome)
            .payload("subject", request.subject.trim().to_lowercase().as_bytes())
            .detail("runs", &told.runs.len().to_string())
            .detail("artifacts", &told.artifacts.len().to_string())
            .detail("keys", &told.keys.len().to_string())
            .detail("events", &told.events.len().to_string())
            .detail("mails", &told.mails.len().to_string())
            .detail("kept-aside", &told.kept_aside.to_string())
            .detail("starts", &told.starts.to_string())
            .detail("closed", &told.closed_count.to_string())
            .detail("complete", if told.complete { "yes" } else { "no" })
            .add_to(&mut batch);
        self.engine.commit(batch).await.map(drop).map_err(HostError::store)
    }

    async fn erase_runs(&self, request: &Erase, told: &mut Erased) -> Result<(), HostError> {
        let removed = Removed { at: self.engine.clock.now_ms(), retention: None, left: true };
        if request.cancel {
            for run in told.runs.iter_mut().filter(|run| !run.state.is_final()) {
                self.cancel(request, run).await;
            }
        }
        let over: Vec<String> =
            told.runs.iter().filter(|run| run.state.is_final()).map(|run| run.run_id.clone()).collect();
        for ids in over.chunks(MOST_AT_ONCE) {
            let mut runs = Vec::with_capacity(ids.len());
            for id in ids {
                runs.extend(self.ended(id).map_err(HostError::store)?);
            }
            let audit = |batch: &mut Batch, runs: &[super::contents::Ended]| {
                for run in runs {
                    self.engine
                        .audit
                        .entry(&request.actor, "run.erase", &run.row.flow)
                        .run(&run.id)
                        .add_to(batch);
                }
            };
            let emptied = self.empty(runs, removed, audit).await.map_err(HostError::store)?;
            for run in told.runs.iter_mut().filter(|run| emptied.contains(&run.run_id)) {
                (run.erased, run.why) = (true, None);
            }
        }
        for run in told.runs.iter_mut().filter(|run| !run.erased && run.why.is_none()) {
            run.why = Some("something else happened to the run in this moment; erase again".to_owned());
        }
        Ok(())
    }

    async fn cancel(&self, request: &Erase, run: &mut ErasedRun) {
        let cancel = CancelRun {
            actor: request.actor.clone(),
            run_id: run.run_id.clone(),
            reason: Some("a customer's data are erased".to_owned()),
            abort: false,
            preview: false,
        };
        if let Err(error) = self.engine.cancel(cancel).await {
            run.why = Some(format!("the run cannot be cancelled: {error}"));
            return;
        }
        let _ = self.engine.wait(&run.run_id, PATIENCE).await;
        if let Ok(Some(row)) = self.engine.row(&run.run_id) {
            run.state = row.state;
        }
        run.why = (!run.state.is_final())
            .then(|| "the run is being cancelled, and what it did is taken back; erase again".to_owned());
    }

    /// Returns whether nothing is left of it.
    async fn erase_rest(&self, found: Found, told: &mut Erased) -> Result<bool, HostError> {
        let before = told.left.len();
        self.artifacts.remove(&found.artifacts).await.map_err(HostError::store)?;
        for (namespace, key) in &found.keys {
            let space = KvNamespace::new(&self.engine.store, namespace, Quota::default())
                .map_err(HostError::store)?;
            space.delete(key).await.map_err(HostError::store)?;
        }
        for (number, stored) in &found.events {
            if !self.engine.forget_event(*number, stored).await.map_err(HostError::store)? {
                told.events.retain(|event| event != number);
                told.left.push(format!("the event {number} is still to be delivered; erase again"));
            }
        }
        for (table, keys) in [(Table::Mailboxes, &found.kept_aside), (Table::Limits, &found.starts)] {
            for keys in keys.chunks(1_000) {
                let mut batch = Batch::new();
                for key in keys {
                    batch.delete(table, key.as_slice());
                }
                self.engine.commit(batch).await.map_err(HostError::store)?;
            }
        }
        for path in found.mails {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Err(error) = std::fs::remove_file(&path) {
                told.mails.retain(|mail| *mail != name);
                told.left.push(format!("the mail {name} cannot be removed: {error}"));
            }
        }
        Ok(told.left.len() == before)
    }
}

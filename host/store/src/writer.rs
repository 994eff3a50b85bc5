//! The one writer: takes what is waiting, decides it, writes it as one group, syncs once, answers everyone.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::{
    Batch, Committed, Linker, StoreError, Table, engine::Engine, mark::Mark, plan::Plan, table::full_key,
    watch,
};

/// A group is closed at this many batches or bytes. Engine memory for a group stays far below the smallest cache,
/// and the first of a group never waits for more than this.
const MAX_GROUP_BATCHES: usize = 512;
const MAX_GROUP_BYTES: usize = 4 * 1024 * 1024;

/// One waiting batch.
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) reply: oneshot::Sender<Result<Committed, StoreError>>,
    /// Its share of the queue's bytes, given back when the job is done.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What the queue carries.
pub(crate) enum Message {
    Commit(Job),
    Stop,
}

/// What the writer shares with the store's handles.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The first failure; once set, no write is acknowledged any more.
    pub(crate) failed: Arc<OnceLock<String>>,
    pub(crate) groups: AtomicU64,
    pub(crate) batches: AtomicU64,
}

impl Shared {
    pub(crate) fn failure(&self) -> Option<StoreError> {
        self.failed.get().map(|reason| StoreError::Failed { reason: reason.clone() })
    }
}

/// The linker and the sequence number of the next entry.
pub(crate) struct Chain {
    pub(crate) linker: Box<dyn Linker>,
    pub(crate) next: u64,
}

pub(crate) struct Writer {
    pub(crate) engine: Arc<Engine>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) chain: Option<Chain>,
    /// How far the log was acknowledged.
    pub(crate) mark: Mark,
    /// Where the watch sees that a group is being written.
    pub(crate) watch: Arc<watch::State>,
}

impl Writer {
    /// Works until told to stop or until no handle is left.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut stop = false;
        while !stop {
            let mut jobs = Vec::new();
            match queue.blocking_recv() {
                Some(Message::Commit(job)) => jobs.push(job),
                Some(Message::Stop) | None => break,
            }
            // No delay to gather more: whoever came while the last group was synced is waiting here already.
            let mut bytes = jobs.first().map_or(0, |job| job.batch.bytes);
            while jobs.len() < MAX_GROUP_BATCHES && bytes < MAX_GROUP_BYTES {
                match queue.try_recv() {
                    Ok(Message::Commit(job)) => {
                        bytes = bytes.saturating_add(job.batch.bytes);
                        jobs.push(job);
                    }
                    Ok(Message::Stop) => {
                        stop = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.group(jobs);
        }
        queue.close();
        while let Ok(message) = queue.try_recv() {
            if let Message::Commit(job) = message {
                let _ = job.reply.send(Err(StoreError::Closed));
            }
        }
    }

    fn group(&mut self, jobs: Vec<Job>) {
        let watch = Arc::clone(&self.watch);
        let _busy = watch.begin();
        let (batches, replies): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.batch, (job.reply, job._permit))).unzip();
        // The engine asserts on states it holds impossible; such a panic must not take the acknowledgements along.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.write(batches)))
            .unwrap_or_else(|_| Err("the storage engine gave up on an internal check".to_owned()));
        match outcome {
            Ok(answers) => {
                for (answer, (reply, _permit)) in answers.into_iter().zip(replies) {
                    // A caller that stopped waiting changes nothing: its batch is decided all the same.
                    let _ = reply.send(answer);
                }
            }
            Err(reason) => {
                let reason = self.shared.failed.get_or_init(|| {
                    tracing::error!(%reason, "the store takes no more writes");
                    reason
                });
                for (reply, _permit) in replies {
                    let _ = reply.send(Err(StoreError::Failed { reason: reason.clone() }));
                }
            }
        }
    }

    /// Decides and writes a group; every answer it returns is true on disk. `Err` is the end of writing.
    fn write(&mut self, batches: Vec<Batch>) -> Result<Vec<Result<Committed, StoreError>>, String> {
        if let Some(reason) = self.shared.failed.get() {
            return Err(reason.clone());
        }
        let engine = Arc::clone(&self.engine);
        let mut plan = Plan::new(&*engine);
        let mut answers = Vec::with_capacity(batches.len());
        let mut linked = false;
        for mut batch in batches {
            let entries = std::mem::take(&mut batch.chain);
            if !entries.is_empty() && self.chain.is_none() {
                answers.push(Err(StoreError::NoLinker));
                continue;
            }
            let sums = match plan.accept(batch) {
                Ok(sums) => sums,
                // An engine that cannot be read cannot be written either.
                Err(error @ (StoreError::Io { .. } | StoreError::Closed)) => return Err(error.to_string()),
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            let mut range = 0..0;
            if let (false, Some(chain)) = (entries.is_empty(), self.chain.as_mut()) {
                let first = chain.next;
                for entry in entries {
                    let stored = chain.linker.link(chain.next, &entry);
                    plan.set(full_key(Table::Audit, &chain.next.to_be_bytes()), &stored);
                    chain.next += 1;
                }
                range = first..chain.next;
                linked = true;
            }
            answers.push(Ok(Committed { chain: range, sums }));
        }
        if let (true, Some(chain)) = (linked, self.chain.as_mut()) {
            plan.set(full_key(Table::AuditHead, b"head"), &chain.linker.head());
        }
        let effects = plan.into_effects();
        if !effects.is_empty() {
            let group = engine.apply(effects).map_err(|error| error.to_string())?;
            self.mark.note(group).map_err(|error| format!("noting how far it was acknowledged: {error}"))?;
            self.shared.groups.fetch_add(1, Ordering::Relaxed);
            if let (true, Some(chain)) = (linked, self.chain.as_mut()) {
                chain.linker.durable();
            }
        }
        // Rejections wait for the sync as well: they speak of what others wrote, which must be true by now.
        let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
        self.shared.batches.fetch_add(accepted as u64, Ordering::Relaxed);
        Ok(answers)
    }
}

//! Retention: from time to time, what runs held whose time is over is removed, a few at once.
//!
//! No index is kept for it: runs lie by flow in the order of their start, so those whose time is over lie at the beginning,
//! and a mark in memory says up to where all of them are done. The mark is thrown away now and then, because a run that
//! another one starts lies beside that one, which may have begun long ago.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use factotum_audit::Actor;
use factotum_store::{ScanRange, StoreError, Table};

use super::Keeper;
use super::contents::Ended;
use crate::runs::{Removed, kept_for, run_of_index, runs_of_flow};

/// The most runs whose contents are removed together: others write in between.
const MOST_AT_ONCE: usize = 50;
/// Runs that are looked at without a pause.
const PAGE: usize = 200;
/// The pause.
const PAUSE: Duration = Duration::from_millis(10);
/// After so many rounds everything is looked at anew.
const ROUNDS: u64 = 200;
/// How often to look, at the most and at least.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(10 * 60);
/// How often to look whether a flow with a retention was deployed.
const LOOK_UP: Duration = Duration::from_secs(60);

/// Removes what is not to be kept any more, until the host stops.
pub(crate) async fn watch(keeper: Arc<Keeper>) {
    for round in 0_u64.. {
        if round % ROUNDS == ROUNDS - 1 {
            keeper.done.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let shortest = keeper.sweep().await.unwrap_or_else(|error| {
            tracing::error!(%error, "what is not to be kept any more could not be removed");
            None
        });
        let pause = shortest.map_or(LOOK_UP, |shortest| (shortest / 20).clamp(SOONEST, LATEST));
        let next = keeper.engine.clock.now_ms().saturating_add(milliseconds(pause));
        tokio::select! {
            () = keeper.engine.clock.sleep_until(next) => {}
            () = keeper.engine.stop.requested() => return,
        }
    }
}

impl Keeper {
    /// One round. Returns the shortest retention that there is.
    pub(super) async fn sweep(&self) -> Result<Option<Duration>, StoreError> {
        self.artifacts.index_once().await?;
        let mut shortest = None;
        let mut start = Vec::new();
        loop {
            let range = ScanRange::default().from(start).limit(1);
            let Some((key, _)) = self.engine.store.scan(Table::RunsByFlow, &range)?.pop() else { break };
            let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
            // The first key after all of this flow's.
            start = [name, &[1]].concat();
            let Ok(flow) = std::str::from_utf8(name) else { continue };
            if let Some(retention) = self.retention_of(flow).await? {
                shortest = Some(shortest.map_or(retention, |shortest: Duration| shortest.min(retention)));
                self.sweep_flow(flow, retention).await?;
            }
            if self.engine.stop.is_requested() {
                return Ok(shortest);
            }
        }
        if let Some(retention) = self.retention {
            shortest = Some(shortest.map_or(retention, |shortest| shortest.min(retention)));
            let until = self.engine.clock.now_ms().saturating_sub(milliseconds(retention));
            let events = self.engine.forget_events(until).await?;
            if events > 0 {
                tracing::info!(events, "events were removed whose time was over");
            }
        }
        Ok(shortest)
    }

    /// How long what a flow's runs held is kept: as the deployed document says, or the last one that was, or the host.
    async fn retention_of(&self, flow: &str) -> Result<Option<Duration>, StoreError> {
        if let Some(deployment) = self.engine.deployments.current(flow) {
            return Ok(deployment.flow.retention().or(self.retention));
        }
        let newest = ScanRange::prefix(runs_of_flow(flow)).limit(1).reverse();
        let newest = self.engine.store.scan(Table::RunsByFlow, &newest)?.pop();
        let id = newest.as_ref().and_then(|(key, _)| run_of_index(key));
        let Some(row) = id.map(|id| self.engine.row(id)).transpose()?.flatten() else {
            return Ok(self.retention);
        };
        let known = |keeper: &Self| {
            keeper.known.lock().unwrap_or_else(PoisonError::into_inner).get(&row.deployment).copied()
        };
        if let Some(retention) = known(self) {
            return Ok(retention.or(self.retention));
        }
        let deployment = self.engine.deployments.by_digest(&row.deployment).await.ok();
        let retention = deployment.and_then(|deployment| deployment.flow.retention());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(row.deployment, retention);
        Ok(retention.or(self.retention))
    }

    async fn sweep_flow(&self, flow: &str, retention: Duration) -> Result<(), StoreError> {
        let now = self.engine.clock.now_ms();
        let until = now.saturating_sub(milliseconds(retention));
        let removed = Removed { at: now, retention: Some(retention.as_secs()), left: true };
        let mut after = self.done.lock().unwrap_or_else(PoisonError::into_inner).get(flow).cloned();
        let (mut due, mut left, mut all_done) = (Vec::new(), Vec::new(), true);
        loop {
            let range = ScanRange::prefix(runs_of_flow(flow)).after(after.clone()).limit(PAGE);
            let page = self.engine.store.scan(Table::RunsByFlow, &range)?;
            let mut over = page.len() < PAGE;
            for (key, _) in page {
                let Some(id) = run_of_index(&key).map(str::to_owned) else { continue };
                after = Some(key.clone());
                match self.engine.row(&id) {
                    Ok(Some(row)) => match row.removed {
                        Some(removed) if removed.left => left.push(id),
                        Some(_) if all_done => {
                            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
                            done.insert(flow.to_owned(), key);
                            continue;
                        }
                        Some(_) => {}
                        None if row.started_at > until && row.depth == 0 => {
                            over = true;
                            break;
                        }
                        None if row.state.is_final() && row.ended_at.is_some_and(|at| at <= until) => {
                            due.extend(self.ended(&id)?);
                        }
                        None => {}
                    },
                    Ok(None) => {}
                    Err(error) => tracing::warn!(run = id, %error, "the time of a run cannot be read"),
                }
                all_done = false;
                if due.len() >= MOST_AT_ONCE {
                    self.purge(flow, std::mem::take(&mut due), removed).await?;
                }
            }
            if !left.is_empty() {
                self.complete(&std::mem::take(&mut left)).await?;
            }
            if over || self.engine.stop.is_requested() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.purge(flow, due, removed).await
    }

    async fn purge(&self, flow: &str, due: Vec<Ended>, removed: Removed) -> Result<(), StoreError> {
        if due.is_empty() {
            return Ok(());
        }
        let kept = kept_for(removed.retention.unwrap_or_default());
        let emptied = self
            .empty(due, removed, |batch, runs| {
                self.engine
                    .audit
                    .entry(&Actor::System, "retention.purge", flow)
                    .detail("runs", &runs.len().to_string())
                    .detail("retention", &kept)
                    .add_to(batch);
            })
            .await?;
        tracing::info!(
            flow,
            runs = emptied.len(),
            retention = kept,
            "contents of runs were removed whose time was over"
        );
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

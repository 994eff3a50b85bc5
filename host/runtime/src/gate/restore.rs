//! The index of limited runs and of starts, read at the start of the host and kept short.

use factotum_store::{Batch, ScanRange, StoreError, Table};

use super::{Limited, START, index_key, parts};
use crate::runs::Engine;

/// Starts that count no more are forgotten so many at a time, with each new one.
const FORGET_AT_ONCE: usize = 4;

/// What is done with each key and value of the index.
type Each<'a> = &'a mut dyn FnMut(&mut super::Gate, &[u8], &[u8]);

impl Engine {
    /// Adds a start to a batch, if its flow has a rate, and takes off some that count no more.
    pub(super) fn put_start(&self, batch: &mut Batch, flow: &str, limited: &Limited, id: &str, now: u64) {
        let limits = self.deployments.current(flow);
        let rate = limits.as_ref().and_then(|d| d.flow.limits()).and_then(|limits| limits.rate.as_ref());
        let Some(rate) = rate else { return };
        let per = u64::try_from(rate.per.as_millis()).unwrap_or(u64::MAX);
        let entry = [&now.to_be_bytes(), id.as_bytes()].concat();
        batch.put(Table::Limits, index_key(START, flow, &entry), limited.rate.as_bytes());
        let range = ScanRange::prefix(index_key(START, flow, b"")).limit(FORGET_AT_ONCE);
        for (key, _) in self.store.scan(Table::Limits, &range).unwrap_or_default() {
            if start_of(&key).is_some_and(|(_, at)| at.saturating_add(per) <= now) {
                batch.delete(Table::Limits, key);
            }
        }
    }

    /// Reads who waits and who is under way, at the start of the host.
    pub(crate) fn open_gate(&self) -> Result<(), StoreError> {
        let now = self.clock.now_ms();
        let mut gate = self.gate.lock();
        for deployment in self.deployments.all() {
            if let Some(limits) = deployment.flow.limits() {
                gate.set_rules(&deployment.flow.id(), Some(super::rules(limits)));
            }
        }
        let mut read = |kind: u8, each: Each<'_>| {
            let mut cursor = None;
            loop {
                let range = ScanRange::prefix([kind]).after(cursor).limit(1_000);
                let page = self.store.scan(Table::Limits, &range)?;
                let Some((last, _)) = page.last() else { return Ok::<_, StoreError>(()) };
                cursor = Some(last.clone());
                for (key, value) in &page {
                    each(&mut gate, key, value);
                }
            }
        };
        read(START, &mut |gate, key, rate| {
            if let (Some((flow, at)), Ok(rate)) = (start_of(key), std::str::from_utf8(rate)) {
                gate.started(flow, rate, at.min(now));
            }
        })?;
        read(super::RUN, &mut |gate, key, value| {
            let id = parts(key).and_then(|(flow, id)| Some((flow, std::str::from_utf8(id).ok()?)));
            match (id, serde_json::from_slice::<super::Indexed>(value)) {
                (Some((flow, id)), Ok(super::Indexed { at, limited })) => {
                    let ticket = limited.ticket(flow, at);
                    if limited.admitted_at.is_some() {
                        gate.goes(id, &ticket);
                    } else {
                        gate.wait(id, &ticket, limited.quiet(at));
                    }
                }
                _ => tracing::error!("an entry of the index of limited runs cannot be read and is left out"),
            }
        })
    }

    /// The starts that rates look back at, in pages: where each is kept, and the key that it counts under.
    pub(crate) fn rate_starts(
        &self,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, String)>, StoreError> {
        let page = self.store.scan(Table::Limits, &ScanRange::prefix([START]).after(after).limit(limit))?;
        Ok(page.into_iter().map(|(key, rate)| (key, String::from_utf8_lossy(&rate).into_owned())).collect())
    }

    /// Takes off the index the starts that count no more.
    pub(super) async fn forget_starts(&self) -> Result<(), StoreError> {
        let now = self.clock.now_ms();
        let mut cursor = None;
        loop {
            let range = ScanRange::prefix([START]).after(cursor).limit(1_000);
            let page = self.store.scan(Table::Limits, &range)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            cursor = Some(last.clone());
            let mut batch = Batch::new();
            for (key, _) in page {
                let counts = start_of(&key).is_some_and(|(flow, at)| {
                    let rate = self.gate.lock().rate_of(flow);
                    rate.is_some_and(|rate| at.saturating_add(rate.per) > now)
                });
                if !counts {
                    batch.delete(Table::Limits, key);
                }
            }
            if !batch.is_empty() {
                self.commit(batch).await?;
            }
        }
    }

    /// Flows that were taken off have runs that wait: the numbers of the deployment that one of those keeps to hold on.
    pub(super) async fn rules_of_flows_taken_off(&self) {
        let flows: Vec<String> = self.gate.lock().flows().map(str::to_owned).collect();
        for flow in flows.into_iter().filter(|flow| self.deployments.current(flow).is_none()) {
            let range = ScanRange::prefix(index_key(super::RUN, &flow, b"")).limit(1).reverse();
            let last = self.store.scan(Table::Limits, &range).unwrap_or_default().pop();
            let id = last.and_then(|(key, _)| Some(std::str::from_utf8(parts(&key)?.1).ok()?.to_owned()));
            let row = id.and_then(|id| self.row(&id).ok().flatten());
            let Some(row) = row else { continue };
            match self.deployments.by_digest(&row.deployment).await {
                Ok(deployment) => {
                    let rules = deployment.flow.limits().map(super::rules);
                    self.gate.lock().set_rules(&flow, rules);
                }
                Err(error) => {
                    tracing::error!(flow, error, "the limits of a flow that was taken off are lost")
                }
            }
        }
    }
}

/// The flow and the moment of a start in the index.
fn start_of(key: &[u8]) -> Option<(&str, u64)> {
    let (flow, rest) = parts(key)?;
    Some((flow, u64::from_be_bytes(rest.get(..8)?.try_into().ok()?)))
}

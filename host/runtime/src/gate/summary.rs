//! What a flow's limits do at this moment, in numbers.

use serde::Serialize;

use crate::flows::Deployment;
use crate::runs::Engine;

/// A flow's limits and what they do at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowLimits {
    /// The most runs under way at a time, of each key if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// The most starts in [`rate_ms`](Self::rate_ms), of each key if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// The length of the window that starts are counted in, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_ms: Option<u64>,
    /// How long it must be quiet before a run starts, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<u64>,
    /// How long after the first of triggers that replace one another a run starts at the latest, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_max_wait_ms: Option<u64>,
    /// The most runs that may wait before triggers are refused.
    pub queue: u64,
    /// Runs under way.
    pub under_way: usize,
    /// Runs that wait for their turn.
    pub queued: usize,
    /// When the next of them may start by the passing of time alone; absent when none waits for that.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub next: Option<u64>,
}

impl Engine {
    /// What a flow's limits do at this moment; `None` when it has none.
    pub(crate) fn flow_limits(&self, deployment: &Deployment) -> Option<FlowLimits> {
        let rules = super::rules(deployment.flow.limits()?);
        let load = self.gate.lock().load(&deployment.flow.id());
        Some(FlowLimits {
            concurrency: rules.concurrency,
            rate: rules.rate.map(|rate| rate.max),
            rate_ms: rules.rate.map(|rate| rate.per),
            debounce_ms: rules.debounce.map(|quiet| quiet.after),
            debounce_max_wait_ms: rules.debounce.map(|quiet| quiet.max_wait),
            queue: rules.queue,
            under_way: load.map_or(0, |load| load.under_way),
            queued: load.map_or(0, |load| load.queued),
            next: load.and_then(|load| load.next),
        })
    }
}

//! What can be seen of the gate: why a run waits, what a flow's load is, when to look again.

use std::sync::Arc;

#[cfg(test)]
use super::admission::Member;
use super::admission::{Alarm, Gate, Standing};
use super::window::RateRule;

/// Why a run waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// For another trigger that replaces it, until this moment.
    Quiet { until: u64, key: Arc<str> },
    /// All slots of its key are taken; the first by this run.
    Slot { key: Arc<str>, taken: usize, max: u64, first: Option<Arc<str>>, before: usize },
    /// As many as may have started lately; it starts at about this moment.
    Rate { key: Arc<str>, max: u64, per: u64, at: u64, before: usize },
    /// It is about to start.
    Turn { before: usize },
}

/// A flow's runs in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub under_way: usize,
    pub queued: usize,
    /// The next moment at which one of them may start by the passing of time.
    pub next: Option<u64>,
}

impl Gate {
    /// The next moment at which there may be someone to start.
    pub fn next_alarm(&self) -> Option<u64> {
        self.alarms.first_key_value().map(|((at, _), _)| *at)
    }

    /// Why a run waits; `None` when it does not.
    pub fn why(&mut self, id: &str, now: u64) -> Option<Why> {
        let member = self.members.get(id)?;
        let flow = self.flows.get_mut(&member.flow)?;
        match &member.standing {
            Standing::Quiet { quiet, key, .. } => {
                Some(Why::Quiet { until: quiet.until, key: Arc::clone(key) })
            }
            Standing::Queued => {
                let before = flow.before(&member.needs, member.rank);
                if let (Some(max), Some(slot), false) =
                    (flow.rules.concurrency, &member.needs.slot, flow.has_slot(&member.needs))
                {
                    let (taken, first) = flow.holders(slot);
                    return Some(Why::Slot { key: Arc::clone(slot), taken, max, first, before });
                }
                let at = flow.free_at(&member.needs.rate, before, now);
                if let (Some(rule), Some(at)) = (flow.rules.rate, at.filter(|at| *at > now)) {
                    let key = Arc::clone(&member.needs.rate);
                    return Some(Why::Rate { key, max: rule.max, per: rule.per, at, before });
                }
                Some(Why::Turn { before })
            }
            _ => None,
        }
    }

    /// A flow's runs in numbers; `None` when it has no limits and none of its runs had.
    pub fn load(&self, flow: &str) -> Option<Load> {
        let found = self.flows.get(flow)?;
        let of_flow = |id: &Arc<str>| self.members.get(id).is_some_and(|member| &*member.flow == flow);
        let quiet = self.alarms.iter().take(1_000).find_map(|((at, _), alarm)| match alarm {
            Alarm::Quiet(id) if of_flow(id) => Some(*at),
            _ => None,
        });
        let next = [quiet, found.next_alarm()].into_iter().flatten().min();
        Some(Load { under_way: found.going, queued: found.held, next })
    }

    /// The rate of a flow.
    pub fn rate_of(&self, flow: &str) -> Option<RateRule> {
        self.flows.get(flow)?.rules.rate
    }

    /// How many wait, of all flows.
    pub fn held(&self) -> usize {
        self.held
    }

    /// The flows that have runs here.
    pub fn flows(&self) -> impl Iterator<Item = &str> {
        self.flows.iter().filter(|(_, flow)| flow.held + flow.going > 0).map(|(name, _)| &**name)
    }

    /// Every run, and whether it waits.
    #[cfg(test)]
    pub fn members(&self) -> std::collections::BTreeMap<String, bool> {
        let waits = |member: &Member| !matches!(member.standing, Standing::UnderWay(_));
        self.members.iter().map(|(id, member)| (id.to_string(), waits(member))).collect()
    }
}

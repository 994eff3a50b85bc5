//! Runs that wait for one another for ever: found when the last of them begins to wait, and ended there.
//!
//! A run that another one waits for may need a slot, and whoever holds that slot may wait, itself or through others, for
//! the first. None of them ever goes on. The graph of who waits for whom is looked at when a run that is waited for has
//! come into line: waiting for a slot needs one of its holders to go on, waiting for other runs' ends needs all of them
//! to. When nobody in the part of the graph that it can reach goes on, the run is cancelled, and whoever waits for it is
//! told so with an error that it may catch. Letting it go over the limit would break what the limit is for, since whoever
//! holds the slot is in the middle of its work.
//!
//! A deadline, a timer or an event beside the wait is not counted as a way out: a run that is held up until its deadline
//! does nothing better than one that learns of it now.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use factotum_store::{ScanRange, StoreError, Table};

use super::admission::{Gate, Standing};
use crate::runs::{Engine, RunState, open_promises_prefix};

/// The most runs that are looked at for one. Whoever stands in a larger crowd is taken to go on: its deadlines hold.
const MAX_RUNS: usize = 2_000;
/// The most holders of a slot, and the most runs that one run waits for, that are looked at.
const MAX_EACH: usize = 200;

/// What a run needs in order to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Needs {
    /// Nothing of other runs, or nobody can say.
    Nothing,
    /// The end of one of these.
    OneOf(Vec<Arc<str>>),
    /// The ends of all of these.
    All(Vec<Arc<str>>),
}

/// Whether a run stands in a circle of runs that wait for one another for ever. Not one that only waits for such a circle:
/// ending that one would not help. `needs` has everyone that the run can reach.
fn is_dead(run: &Arc<str>, needs: &HashMap<Arc<str>, Needs>) -> bool {
    let mut going: HashSet<&Arc<str>> = HashSet::new();
    loop {
        let before = going.len();
        for (run, needs) in needs {
            let goes_on = match needs {
                Needs::Nothing => true,
                Needs::OneOf(runs) => runs.iter().any(|run| going.contains(run)),
                Needs::All(runs) => runs.iter().all(|run| going.contains(run)),
            };
            if goes_on {
                going.insert(run);
            }
        }
        if going.len() == before {
            let mut dead = needs.iter().filter(|(run, _)| !going.contains(run));
            return dead.any(|(_, needs)| match needs {
                Needs::Nothing => false,
                Needs::OneOf(runs) | Needs::All(runs) => runs.contains(run),
            }) && !going.contains(run);
        }
    }
}

impl Gate {
    /// Runs that others wait for and that came into line since the last time, and still stand there.
    pub fn newly_awaited(&mut self) -> Vec<Arc<str>> {
        #[cfg(test)]
        if self.overlooks_deadlocks {
            return Vec::new();
        }
        let mut awaited = std::mem::take(&mut self.awaited);
        awaited.retain(|id| self.members.get(id).is_some_and(|member| member.standing == Standing::Queued));
        awaited
    }

    /// The runs that hold the slots which a run in line lacks; `None` when it lacks none. Empty when they are too many.
    fn holders_before(&self, id: &str) -> Option<Vec<Arc<str>>> {
        let member = self.members.get(id).filter(|member| member.standing == Standing::Queued)?;
        let flow = self.flows.get(&member.flow).filter(|flow| !flow.has_slot(&member.needs))?;
        let slot = member.needs.slot.as_ref()?;
        Some(flow.all_holders(slot, MAX_EACH))
    }
}

impl Engine {
    /// Ends runs that came into line, that others wait for, and whose turn can never come.
    pub(super) async fn break_deadlocks(self: &Arc<Self>) {
        let awaited = self.gate.lock().newly_awaited();
        for run in awaited {
            match self.waits_for_ever(&run) {
                Ok(None) => {}
                Ok(Some(first)) => self.end_deadlock(&run, &first).await,
                Err(error) => {
                    tracing::warn!(%run, %error, "whether a run waits for itself cannot be said");
                }
            }
        }
    }

    async fn end_deadlock(&self, run: &str, first: &str) {
        let Ok(Some(row)) = self.row(run) else { return };
        let Some(parent) = &row.parent else { return };
        let reason = format!(
            "deadlock: it needs a slot of {} that run {first} holds, which waits, itself or through others, for run {}, \
             which waits for this one; raise the limit, or let neither flow wait for the other",
            row.flow, parent.run
        );
        tracing::warn!(run, flow = row.flow, reason, "a run is cancelled");
        if let Err(error) = self.cancel_by_host(run, reason).await {
            tracing::error!(run, %error, "a run that waits for itself could not be cancelled");
        }
    }

    /// Whether a run in line can never start; with the first of those that hold what it needs.
    fn waits_for_ever(&self, run: &Arc<str>) -> Result<Option<Arc<str>>, StoreError> {
        let mut needs: HashMap<Arc<str>, Needs> = HashMap::new();
        let mut first = None;
        let mut to_look = vec![Arc::clone(run)];
        while let Some(id) = to_look.pop() {
            if needs.contains_key(&id) {
                continue;
            }
            let of_it = if needs.len() < MAX_RUNS { self.needs_of(&id)? } else { Needs::Nothing };
            if let Needs::OneOf(runs) | Needs::All(runs) = &of_it {
                first = first.or_else(|| runs.first().cloned());
                to_look.extend(runs.iter().cloned());
            }
            needs.insert(id, of_it);
        }
        Ok(first.filter(|_| is_dead(run, &needs)))
    }

    fn needs_of(&self, id: &str) -> Result<Needs, StoreError> {
        if let Some(holders) = self.gate.lock().holders_before(id) {
            return Ok(if holders.is_empty() { Needs::Nothing } else { Needs::OneOf(holders) });
        }
        let range = ScanRange::prefix(open_promises_prefix(id)).limit(MAX_EACH + 1);
        let open: Vec<Vec<u8>> =
            self.store.scan(Table::Promises, &range)?.into_iter().map(|(key, _)| key).collect();
        if open.len() > MAX_EACH {
            return Ok(Needs::Nothing);
        }
        let mut children = Vec::new();
        for child in self.children_of(&open) {
            // One that is over, or that a person has to see to, is not what holds anybody up for ever.
            let waits = self.row(&child)?.is_some_and(|row| {
                matches!(row.state, RunState::Running | RunState::Queued | RunState::Waiting)
            });
            if waits {
                children.push(child.into());
            }
        }
        Ok(if children.is_empty() { Needs::Nothing } else { Needs::All(children) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, Needs)]) -> HashMap<Arc<str>, Needs> {
        edges.iter().map(|(run, needs)| (Arc::from(*run), needs.clone())).collect()
    }

    fn runs(ids: &[&str]) -> Vec<Arc<str>> {
        ids.iter().map(|id| Arc::from(*id)).collect()
    }

    #[test]
    fn a_circle_is_dead_and_one_way_out_of_it_is_enough_for_a_slot_but_not_for_an_end() {
        let one = |ids: &[&str]| Needs::OneOf(runs(ids));
        let all = |ids: &[&str]| Needs::All(runs(ids));
        // p holds A and waits for c, which needs B; q holds B and waits for d, which needs A.
        let mut circle = vec![("c", one(&["q"])), ("q", all(&["d"])), ("d", one(&["p"])), ("p", all(&["c"]))];
        assert!(is_dead(&"c".into(), &graph(&circle)));
        // A second holder of B goes on.
        circle[0] = ("c", one(&["q", "r"]));
        circle.push(("r", Needs::Nothing));
        assert!(!is_dead(&"c".into(), &graph(&circle)));
        // It waits for an end that comes, and for one that does not.
        circle[4] = ("r", all(&["s", "d"]));
        circle.push(("s", Needs::Nothing));
        assert!(is_dead(&"c".into(), &graph(&circle)));
        let own = [("c", one(&["p"])), ("p", all(&["c"]))];
        assert!(is_dead(&"c".into(), &graph(&own)), "a slot of one's own ancestor");
        let behind = [("c", one(&["p"])), ("p", all(&["c"])), ("e", one(&["p"]))];
        assert!(!is_dead(&"e".into(), &graph(&behind)), "it goes on when the circle is broken");
    }
}

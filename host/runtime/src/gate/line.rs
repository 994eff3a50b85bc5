//! A line in which priority counts as time waited.
//!
//! Each step of priority is worth an hour: a run goes before those that came up to so many hours earlier with less. Since
//! all of them age alike, the order of any two never changes: it is a number that is known when a run comes, and the
//! next one is found in logarithmic time. A run is overtaken by none that comes more than nine hours after it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a step of priority is worth, in milliseconds of waiting.
const STEP_MS: i64 = 3_600_000;
/// Up to so many are counted that stand before a run.
pub(super) const MOST_COUNTED: usize = 1_000;

/// Where a run stands in its line: what its moment and priority make, then the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(i64, u64);

impl Rank {
    /// Of a run that came at `at` (milliseconds since the Unix epoch) with a priority, the `nth` of all that came.
    pub fn new(at: u64, priority: u8, nth: u64) -> Self {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Self(at.saturating_sub(i64::from(priority) * STEP_MS), nth)
    }
}

/// Runs that wait for the same.
#[derive(Debug, Default)]
pub(super) struct Line {
    runs: BTreeMap<Rank, Arc<str>>,
    /// It stands in one of the places where a line waits for its turn.
    pub placed: bool,
}

impl Line {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn len(&self) -> usize {
        self.runs.len()
    }

    pub fn insert(&mut self, rank: Rank, id: Arc<str>) {
        self.runs.insert(rank, id);
    }

    pub fn remove(&mut self, rank: Rank) {
        self.runs.remove(&rank);
    }

    pub fn pop(&mut self) -> Option<Arc<str>> {
        self.runs.pop_first().map(|(_, id)| id)
    }

    /// How many stand before a rank, counted up to [`MOST_COUNTED`] and one.
    pub fn before(&self, rank: Rank) -> usize {
        self.runs.range(..rank).take(MOST_COUNTED + 1).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn an_urgent_run_goes_first_and_a_plain_one_is_not_overtaken_for_ever() {
        let mut line = Line::default();
        let now = 1_700_000_000_000;
        for (id, at, priority) in [
            ("plain", now, 0),
            ("second", now, 0),
            ("urgent", now + HOUR, 9),
            ("a little", now + HOUR / 2, 1),
            ("urgent, but nine hours later", now + 9 * HOUR + 1, 9),
        ] {
            line.insert(Rank::new(at, priority, line.runs.len() as u64), id.into());
        }
        assert_eq!(line.before(Rank::new(now, 0, 1)), 3);
        let order: Vec<Arc<str>> = std::iter::from_fn(|| line.pop()).collect();
        assert_eq!(
            order.iter().map(|id| &**id).collect::<Vec<_>>(),
            ["urgent", "a little", "plain", "second", "urgent, but nine hours later"]
        );
    }
}

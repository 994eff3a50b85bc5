//! Parts the narrower's rules among the wider's rules so that no rate is passed.
//!
//! Rates add up: a plugin that splits one rule with 60 requests a minute into a hundred such rules asks for a hundred times
//! as much. So each rule of the narrower is counted, once, against each rule of the wider that takes any part of it.

use crate::HttpRule;

/// A part of a rule of the narrower (one method on one path), and the rules of the wider that would take it.
pub(super) struct Part {
    /// The rule of the narrower.
    pub(super) rule: usize,
    /// The rules of the wider, in their order.
    pub(super) takers: Vec<usize>,
}

/// The most steps of the search. What is not found by then is taken for impossible.
const MAX_STEPS: usize = 20_000;
/// The most parts that are searched beyond the first fit; the search goes as deep as there are parts.
const MAX_PARTS: usize = 512;

#[derive(Clone)]
struct Load {
    /// The rules of the narrower that are counted against this one.
    rules: Vec<usize>,
    per_minute: u64,
    concurrency: u64,
}

struct Search<'r> {
    wider: &'r [HttpRule],
    narrower: &'r [HttpRule],
    parts: Vec<&'r Part>,
    loads: Vec<Load>,
    steps: usize,
}

/// The rules of the narrower (by place) that cannot be parted; empty when all can.
pub(super) fn unplaced(wider: &[HttpRule], narrower: &[HttpRule], parts: &[Part]) -> Vec<usize> {
    let bounded = |rule: &HttpRule| rule.per_minute.is_some() || rule.concurrency.is_some();
    // What an unbounded rule takes needs no counting.
    let parts: Vec<&Part> = parts
        .iter()
        .filter(|part| !part.takers.iter().any(|taker| wider.get(*taker).is_some_and(|rule| !bounded(rule))))
        .collect();
    let empty = Load { rules: Vec::new(), per_minute: 0, concurrency: 0 };
    let loads = vec![empty; wider.len()];
    let mut search = Search { wider, narrower, parts, loads, steps: 0 };
    let first_fit = search.first_fit();
    if first_fit.is_empty() || search.parts.len() > MAX_PARTS {
        return first_fit;
    }
    search
        .loads
        .iter_mut()
        .for_each(|load| *load = Load { rules: Vec::new(), per_minute: 0, concurrency: 0 });
    if search.place(0) { Vec::new() } else { first_fit }
}

impl Search<'_> {
    /// Counts a rule against a taker, if it fits. `Some(true)` when it was counted just now.
    fn charge(&mut self, taker: usize, rule: usize) -> Option<bool> {
        let (wide, narrow, load) =
            (self.wider.get(taker)?, self.narrower.get(rule)?, self.loads.get_mut(taker)?);
        if load.rules.contains(&rule) {
            return Some(false);
        }
        let fits = |bound: Option<u32>, used: u64, more: Option<u32>| match (bound, more) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(bound), Some(more)) => used + u64::from(more) <= u64::from(bound),
        };
        if !fits(wide.per_minute, load.per_minute, narrow.per_minute)
            || !fits(wide.concurrency, load.concurrency, narrow.concurrency)
        {
            return None;
        }
        load.rules.push(rule);
        load.per_minute += u64::from(narrow.per_minute.unwrap_or_default());
        load.concurrency += u64::from(narrow.concurrency.unwrap_or_default());
        Some(true)
    }

    fn release(&mut self, taker: usize, rule: usize) {
        if let (Some(load), Some(narrow)) = (self.loads.get_mut(taker), self.narrower.get(rule)) {
            load.rules.pop();
            load.per_minute -= u64::from(narrow.per_minute.unwrap_or_default());
            load.concurrency -= u64::from(narrow.concurrency.unwrap_or_default());
        }
    }

    /// Gives each part to the first rule with room. Always succeeds for a list of rules and itself: each rule finds its own
    /// copy free at the latest.
    fn first_fit(&mut self) -> Vec<usize> {
        let mut left = Vec::new();
        for at in 0..self.parts.len() {
            let Some(part) = self.parts.get(at).copied() else { break };
            let placed = part.takers.iter().any(|taker| self.charge(*taker, part.rule).is_some());
            if !placed && !left.contains(&part.rule) {
                left.push(part.rule);
            }
        }
        left
    }

    /// Tries every way, within the steps.
    fn place(&mut self, at: usize) -> bool {
        let Some(part) = self.parts.get(at).copied() else { return true };
        for taker in &part.takers {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return false;
            }
            if let Some(counted) = self.charge(*taker, part.rule) {
                if self.place(at + 1) {
                    return true;
                }
                if counted {
                    self.release(*taker, part.rule);
                }
            }
        }
        false
    }
}

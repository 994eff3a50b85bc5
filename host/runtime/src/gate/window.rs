//! Starts in a sliding window: never more than so many in any stretch of the given length.
//!
//! The moments themselves are kept, not a bucket's level: a bucket lets through up to twice its size in one stretch.

use std::collections::VecDeque;

/// A number of starts in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateRule {
    /// The most, from 1.
    pub max: u64,
    /// In so many milliseconds.
    pub per: u64,
}

/// The latest starts under one key, in milliseconds since the Unix epoch, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    starts: VecDeque<u64>,
}

impl Window {
    /// Whether nothing that counts is left at `now`.
    pub fn is_over(&mut self, rule: RateRule, now: u64) -> bool {
        self.expire(rule, now);
        self.starts.is_empty()
    }

    /// Whether one more may start at `now`.
    pub fn has_room(&mut self, rule: RateRule, now: u64) -> bool {
        self.expire(rule, now);
        (self.starts.len() as u64) < rule.max
    }

    /// Notes a start.
    pub fn note(&mut self, at: u64) {
        let later = self.starts.iter().rev().take_while(|start| **start > at).count();
        self.starts.insert(self.starts.len().saturating_sub(later), at);
    }

    /// Takes back a start that did not come about.
    pub fn take_back(&mut self, at: u64) {
        if let Some(place) = self.starts.iter().rposition(|start| *start == at) {
            self.starts.remove(place);
        }
    }

    /// When a run can start that `before` others go before, if all of them start as soon as they may.
    pub fn free_at(&mut self, rule: RateRule, before: u64, now: u64) -> u64 {
        self.expire(rule, now);
        let taken = self.starts.len() as u64;
        let free = rule.max.saturating_sub(taken);
        if before < free {
            return now;
        }
        // So many starts must become too old first; each of them makes room for one that becomes too old in its turn.
        let nth = before - free + taken.saturating_sub(rule.max);
        if taken == 0 {
            return now.saturating_add(rule.per.saturating_mul(before / rule.max.max(1)));
        }
        let (rounds, index) = (nth / taken, nth % taken);
        let start =
            usize::try_from(index).ok().and_then(|index| self.starts.get(index)).copied().unwrap_or(now);
        start.saturating_add(rule.per.saturating_mul(rounds.saturating_add(1)))
    }

    /// The clock was set back: nothing has started in the future.
    pub fn not_after(&mut self, now: u64) {
        for start in self.starts.iter_mut().rev().take_while(|start| **start > now) {
            *start = now;
        }
    }

    fn expire(&mut self, rule: RateRule, now: u64) {
        while self.starts.front().is_some_and(|start| start.saturating_add(rule.per) <= now) {
            self.starts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: RateRule = RateRule { max: 3, per: 1_000 };

    #[test]
    fn no_stretch_holds_more_than_the_most() {
        let mut window = Window::default();
        let mut starts = Vec::new();
        for now in (0..10_000).step_by(7) {
            if window.has_room(RULE, now) {
                window.note(now);
                starts.push(now);
            }
        }
        assert!(starts.windows(4).all(|four| four[3] - four[0] >= 1_000), "{starts:?}");
        assert!(starts.len() >= 27, "and no fewer than may be: {}", starts.len());
    }

    #[test]
    fn the_moment_of_each_in_line_is_foretold() {
        let mut window = Window::default();
        for at in [0, 100, 200] {
            window.note(at);
        }
        let foretold: Vec<u64> = (0..7).map(|before| window.free_at(RULE, before, 300)).collect();
        assert_eq!(foretold, [1_000, 1_100, 1_200, 2_000, 2_100, 2_200, 3_000]);
        window.take_back(100);
        assert_eq!((window.free_at(RULE, 0, 300), window.free_at(RULE, 1, 300)), (300, 1_000));
        let narrower = RateRule { max: 1, per: 1_000 };
        assert_eq!(window.free_at(narrower, 0, 300), 1_200, "both must be over");
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_up_for_longer_than_the_window() {
        let mut window = Window::default();
        for _ in 0..3 {
            window.note(1_000_000);
        }
        window.not_after(500);
        assert_eq!(window.free_at(RULE, 0, 500), 1_500);
    }
}

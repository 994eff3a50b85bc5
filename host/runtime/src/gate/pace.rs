//! How fast a line moves: what whoever is told to come back is given a time from.

/// What the latest interval counts for in the average, one in so many.
const WEIGHT: u64 = 8;

/// The observed time from one start out of a line to the next, while others wait there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// The moment of the latest start that left others waiting.
    last: Option<u64>,
    /// The average, in thousandths of a millisecond.
    average: Option<u64>,
}

impl Pace {
    /// A run left the line at `now`; `waiting` are left in it. How long an empty line stays empty says nothing.
    pub fn note(&mut self, now: u64, waiting: usize) {
        if let Some(last) = self.last {
            let interval = now.saturating_sub(last).saturating_mul(1_000);
            self.average = Some(match self.average {
                None => interval,
                Some(average) => average.saturating_mul(WEIGHT - 1).saturating_add(interval) / WEIGHT,
            });
        }
        self.last = (waiting > 0).then_some(now);
    }

    /// How long it takes until so many have left, in milliseconds; `None` when nothing was observed yet. A line that
    /// stands still at `now` for longer than is usual is as slow as that.
    pub fn time_for(&self, starts: usize, now: u64) -> Option<u64> {
        let standing = self.last.map(|last| now.saturating_sub(last).saturating_mul(1_000));
        let each = self.average.map(|average| average.max(standing.unwrap_or_default()))?;
        Some(each.saturating_mul(starts as u64) / 1_000)
    }

    /// The clock was set back.
    pub fn not_after(&mut self, now: u64) {
        self.last = self.last.map(|last| last.min(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_what_is_observed_and_an_empty_line_says_nothing() {
        let mut pace = Pace::default();
        assert_eq!(pace.time_for(10, 0), None);
        for n in 0..5 {
            pace.note(n * 2_000, 3);
        }
        assert_eq!(pace.time_for(10, 8_000), Some(20_000));
        // The line was empty for an hour.
        pace.note(10_000, 0);
        pace.note(3_610_000, 1);
        assert_eq!(pace.time_for(10, 3_610_000), Some(20_000));
        // It becomes ten times as slow.
        for n in 1..40 {
            pace.note(3_610_000 + n * 20_000, 1);
        }
        let now = 3_610_000 + 39 * 20_000;
        assert!((190_000..=200_000).contains(&pace.time_for(10, now).unwrap()), "{pace:?}");
        assert_eq!(pace.time_for(10, now + 60_000), Some(600_000), "it stands still");
        pace.not_after(0);
        assert!(pace.time_for(10, 0).unwrap() <= 200_000);
    }
}

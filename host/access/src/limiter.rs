//! Limits how many failed attempts are answered, and audited, one by one; in bounded memory, whoever calls.
//!
//! The generic cell rate algorithm (GCRA, ITU-T I.371): one point in time per source says how much of its allowance
//! is used up.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::Source;

/// Failures that a source may have at once.
pub const FAILURE_BURST: u64 = 10;
/// Failures that a source may have after that, each minute.
pub const FAILURES_PER_MINUTE: u64 = 10;
/// Failures that all sources together may have at once.
pub const TOTAL_BURST: u64 = 300;
/// Failures that all sources together may have after that, each minute.
pub const TOTAL_PER_MINUTE: u64 = 600;
/// Most sources that are remembered.
pub const MAX_SOURCES: usize = 4096;

const MINUTE: u64 = 60_000;

/// An allowance: `burst` at once, then one every `every` milliseconds.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    burst: u64,
    every: u64,
}

const PER_SOURCE: Allowance = Allowance { burst: FAILURE_BURST, every: MINUTE / FAILURES_PER_MINUTE };
const IN_TOTAL: Allowance = Allowance { burst: TOTAL_BURST, every: MINUTE / TOTAL_PER_MINUTE };

impl Allowance {
    /// The new point in time when there is room for one more, or how long until there is, in milliseconds.
    fn take(self, used_up_to: u64, now: u64) -> Result<u64, u64> {
        let next = used_up_to.max(now).saturating_add(self.every);
        let horizon = now.saturating_add(self.burst.saturating_mul(self.every));
        if next <= horizon { Ok(next) } else { Err(next.saturating_sub(horizon)) }
    }
}

/// What is remembered of a source.
#[derive(Debug, Default)]
struct Known {
    /// Its allowance is used up to this point in time.
    used_up_to: u64,
    /// Refusals past the limit that were not reported yet.
    counted: u64,
}

/// Whether a failure is within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is: answer and audit it for itself.
    Within,
    /// It is past it and was counted; the time until there is room again.
    Past(Duration),
}

#[derive(Debug, Default)]
struct State {
    sources: HashMap<Source, Known>,
    total: u64,
    /// Counted refusals of sources that are not remembered.
    others: u64,
}

/// The limit on failed attempts. Times are milliseconds of a clock that never goes back.
#[derive(Debug, Default)]
pub(crate) struct Limiter(Mutex<State>);

impl Limiter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a failure.
    pub(crate) fn fail(&self, source: Source, now: u64) -> Verdict {
        let mut state = self.state();
        let used = state.sources.get(&source).map_or(0, |known| known.used_up_to);
        let verdict = PER_SOURCE.take(used, now).and_then(|next| {
            // Only what the source may still have is taken from everybody's.
            let total = IN_TOTAL.take(state.total, now)?;
            Ok((next, total))
        });
        match verdict {
            Ok((next, total)) => {
                state.total = total;
                state.make_room(source, now);
                state.sources.entry(source).or_default().used_up_to = next;
                Verdict::Within
            }
            Err(wait) => {
                let State { sources, others, .. } = &mut *state;
                let count = sources.get_mut(&source).map_or(others, |known| &mut known.counted);
                *count = count.saturating_add(1);
                Verdict::Past(Duration::from_millis(wait))
            }
        }
    }

    /// How long until this source may try again; `None` when it may now. Takes nothing from its allowance.
    pub(crate) fn blocked(&self, source: Source, now: u64) -> Option<Duration> {
        let mut state = self.state();
        let known = state.sources.get_mut(&source)?;
        let wait = PER_SOURCE.take(known.used_up_to, now).err()?;
        known.counted = known.counted.saturating_add(1);
        Some(Duration::from_millis(wait))
    }

    /// The refusals that were counted since the last time, by source; `None` for sources that are not remembered.
    pub(crate) fn take_counted(&self) -> Vec<(Option<Source>, u64)> {
        let mut state = self.state();
        let mut counted: Vec<_> = state
            .sources
            .iter_mut()
            .filter(|(_, known)| known.counted > 0)
            .map(|(source, known)| (Some(*source), std::mem::take(&mut known.counted)))
            .collect();
        counted.sort_unstable();
        let others = std::mem::take(&mut state.others);
        if others > 0 {
            counted.push((None, others));
        }
        counted
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.state().sources.len()
    }
}

impl State {
    /// Forgets sources when there are too many: first those with nothing to remember, then the eighth that has been
    /// quiet for longest, at once, so that a flood of new sources does not search the table for each.
    fn make_room(&mut self, source: Source, now: u64) {
        if self.sources.len() < MAX_SOURCES || self.sources.contains_key(&source) {
            return;
        }
        self.sources.retain(|_, known| known.used_up_to > now || known.counted > 0);
        if self.sources.len() < MAX_SOURCES {
            return;
        }
        let mut times: Vec<_> = self.sources.values().map(|known| known.used_up_to).collect();
        let (_, limit, _) = times.select_nth_unstable(MAX_SOURCES / 8);
        let limit = *limit;
        let mut forgotten = 0_u64;
        self.sources.retain(|_, known| {
            let stays = known.used_up_to > limit;
            if !stays {
                forgotten = forgotten.saturating_add(known.counted);
            }
            stays
        });
        self.others = self.others.saturating_add(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn source(number: u32) -> Source {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn a_burst_then_one_at_a_time() {
        let limiter = Limiter::default();
        for _ in 0..FAILURE_BURST {
            assert_eq!(limiter.blocked(source(1), 0), None);
            assert_eq!(limiter.fail(source(1), 0), Verdict::Within);
        }
        assert_eq!(limiter.fail(source(1), 0), Verdict::Past(Duration::from_secs(6)));
        assert_eq!(limiter.blocked(source(1), 2000), Some(Duration::from_secs(4)));
        assert_eq!(limiter.fail(source(2), 0), Verdict::Within, "another source has its own allowance");
        assert_eq!(limiter.blocked(source(1), 6000), None);
        assert_eq!(limiter.fail(source(1), 6000), Verdict::Within);
        assert!(matches!(limiter.fail(source(1), 6000), Verdict::Past(_)));
        assert_eq!(limiter.take_counted(), [(Some(source(1)), 3)]);
        assert!(limiter.take_counted().is_empty());
    }

    #[test]
    fn many_sources_are_limited_together_and_take_bounded_memory() {
        let limiter = Limiter::default();
        let (mut within, mut past) = (0_u64, 0_u64);
        // An hour of a different source every 20 ms.
        for step in 0..180_000_u32 {
            match limiter.fail(source(step), u64::from(step) * 20) {
                Verdict::Within => within += 1,
                Verdict::Past(_) => past += 1,
            }
            assert!(limiter.remembered() <= MAX_SOURCES);
        }
        assert!(within <= TOTAL_BURST + 60 * TOTAL_PER_MINUTE, "{within}");
        let counted: u64 = limiter.take_counted().iter().map(|(_, count)| count).sum();
        assert_eq!(counted, past, "none is lost");
    }

    #[test]
    fn a_full_table_forgets_the_quietest_first() {
        let limiter = Limiter::default();
        {
            let mut state = limiter.state();
            for number in 0..u32::try_from(MAX_SOURCES).unwrap() {
                let known = Known { used_up_to: 1_000_000 + u64::from(number), counted: 1 };
                state.sources.insert(source(number), known);
            }
        }
        assert_eq!(limiter.fail(source(u32::MAX), 1), Verdict::Within);
        let state = limiter.state();
        assert!(state.sources.contains_key(&source(u32::MAX)) && !state.sources.contains_key(&source(0)));
        assert!(state.sources.contains_key(&source(4095)));
        assert_eq!(state.sources.len() + usize::try_from(state.others).unwrap(), MAX_SOURCES + 1);
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_allowance(
            steps in proptest::collection::vec((0..4_u32, 0..4000_u64), 1..400),
        ) {
            let limiter = Limiter::default();
            let mut now = 0;
            let mut within: Vec<Vec<u64>> = vec![Vec::new(); 4];
            let mut past = 0;
            for (who, wait) in steps {
                now += wait;
                match limiter.fail(source(who), now) {
                    Verdict::Within => within[who as usize].push(now),
                    Verdict::Past(wait) => {
                        past += 1;
                        prop_assert!(!wait.is_zero() && wait <= Duration::from_secs(6));
                    }
                }
            }
            for times in within {
                for (first, begin) in times.iter().enumerate() {
                    for (last, end) in times.iter().enumerate().skip(first) {
                        let allowed = FAILURE_BURST + (end - begin) / PER_SOURCE.every;
                        prop_assert!((last - first + 1) as u64 <= allowed);
                    }
                }
            }
            prop_assert_eq!(limiter.take_counted().iter().map(|(_, count)| count).sum::<u64>(), past);
        }
    }
}

//! When a failed call is tried again: a pure function, so that tests need no clock.

use sha2::{Digest, Sha256};

/// How often a technical fault is tried again, beyond the first attempt.
pub(crate) const RETRIES: u32 = 3;
/// The pause before the first retry, in milliseconds, before jitter. Each further one is twice as long.
const FIRST_MS: u64 = 250;
/// The longest pause, in milliseconds, also when the other side asks for longer.
pub(crate) const LONGEST_MS: u64 = 60_000;

/// The pause after failed attempt `attempt` (from 1), in milliseconds, or `None` when it was the last one.
///
/// Half of the pause is jitter, so that calls that failed together do not come back together. It is drawn from the
/// idempotency key rather than from a random number: a repeated test sees the same pauses.
pub(crate) fn pause_ms(attempt: u32, idempotency_key: &str, asked_ms: Option<u64>) -> Option<u64> {
    if attempt == 0 || attempt > RETRIES {
        return None;
    }
    let full = FIRST_MS.saturating_mul(1 << (attempt - 1).min(20));
    let jittered = full / 2 + draw(attempt, idempotency_key) % (full / 2 + 1);
    Some(jittered.max(asked_ms.unwrap_or(0)).min(LONGEST_MS))
}

fn draw(attempt: u32, key: &str) -> u64 {
    let digest = Sha256::new().chain_update(attempt.to_be_bytes()).chain_update(key).finalize();
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_retries_with_growing_pauses() {
        for key in ["a", "b", "c"] {
            for (attempt, full) in [(1, 250), (2, 500), (3, 1000)] {
                let pause = pause_ms(attempt, key, None).unwrap();
                assert!((full / 2..=full).contains(&pause), "attempt {attempt}: {pause}");
            }
            assert_eq!(pause_ms(4, key, None), None);
        }
        assert_ne!(pause_ms(3, "a", None), pause_ms(3, "b", None), "jitter tells calls apart");
    }

    #[test]
    fn what_the_other_side_asks_for_is_respected_up_to_a_bound() {
        assert_eq!(pause_ms(1, "a", Some(5_000)), Some(5_000));
        assert!(pause_ms(1, "a", Some(1)).unwrap() >= 125);
        assert_eq!(pause_ms(1, "a", Some(u64::MAX)), Some(LONGEST_MS));
        assert_eq!(pause_ms(4, "a", Some(5_000)), None);
    }
}

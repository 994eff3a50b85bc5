//! The retry policy of a `try`: how often, how long between, and when to give up.

use super::flat;
use crate::decode::{At, Decoder, Object};
use crate::duration;
use crate::expr::{self, Expr, Vars};
use crate::yaml::Kind as NodeKind;
use std::time::Duration;

/// No delay grows beyond this, whatever the backoff says.
const MAX_DELAY: Duration = Duration::from_secs(86_400);
/// Retries when neither a count nor a duration limits them.
const DEFAULT_ATTEMPTS: u64 = 10;

/// When a failed `try` begins again.
#[derive(Debug)]
pub(crate) struct Policy {
    pub when: Option<Expr>,
    pub except_when: Option<Expr>,
    delay: Duration,
    backoff: Backoff,
    jitter: Option<(Duration, Duration)>,
    /// The most retries, not counting the first attempt.
    pub attempts: Option<u64>,
    /// The longest time from the first attempt to the start of another.
    pub duration: Option<Duration>,
    /// The longest time of one attempt.
    pub attempt: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum Backoff {
    Constant,
    Linear,
    Exponential,
}

const KEYS: [&str; 6] = ["when", "exceptWhen", "delay", "backoff", "limit", "jitter"];

/// Decodes a retry policy; `vars` hold the caught error's name.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Policy> {
    let object = d.object(at, &KEYS)?;
    let when = object.get("when").map(|at| expr::decode(d, &at, vars));
    let except_when = object.get("exceptWhen").map(|at| expr::decode(d, &at, vars));
    let delay = object.get("delay").map(|at| duration::fixed(d, &at));
    let backoff = object.get("backoff").map(|at| backoff(d, at));
    let jitter = object.get("jitter").map(|at| jitter(d, at));
    let limit = object.get("limit").map(|at| limit(d, at));
    let Limit { attempts, duration, attempt } = flat(limit)?.unwrap_or_default();
    let attempts = match (attempts, duration) {
        (None, None) => {
            d.warning(
                &object.at,
                format!("without a limit it is retried {DEFAULT_ATTEMPTS} times"),
                "say how often with `limit: { attempt: { count: 3 } }`",
            );
            Some(DEFAULT_ATTEMPTS)
        }
        _ => attempts,
    };
    Some(Policy {
        when: flat(when)?,
        except_when: flat(except_when)?,
        delay: flat(delay)?.unwrap_or_default(),
        backoff: flat(backoff)?.unwrap_or(Backoff::Constant),
        jitter: flat(jitter)?,
        attempts,
        duration,
        attempt,
    })
}

/// When to give up, as written.
#[derive(Default)]
struct Limit {
    attempts: Option<u64>,
    duration: Option<Duration>,
    attempt: Option<Duration>,
}

/// Checks a policy that nothing refers to.
pub(crate) fn check(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) {
    decode(d, at, vars);
}

fn backoff(d: &mut Decoder<'_>, at: At<'_>) -> Option<Backoff> {
    let object = d.object(at, &["constant", "linear", "exponential"])?;
    let [entry] = object.entries() else {
        d.error(&object.at, "a backoff is one of constant, linear, exponential");
        return None;
    };
    if !matches!(entry.value.kind, NodeKind::Null) {
        d.object(object.at.entry(entry), &[]);
    }
    match entry.key.as_str() {
        "constant" => Some(Backoff::Constant),
        "linear" => Some(Backoff::Linear),
        "exponential" => Some(Backoff::Exponential),
        _ => None,
    }
}

fn jitter(d: &mut Decoder<'_>, at: At<'_>) -> Option<(Duration, Duration)> {
    let object = d.object(at, &["from", "to"])?;
    let from = d.required(&object, "from").and_then(|at| duration::fixed(d, &at));
    let to = d.required(&object, "to").and_then(|at| duration::fixed(d, &at));
    let (from, to) = (from?, to?);
    if from > to {
        d.error_hint(&object.at, "`from` is longer than `to`", "swap them");
        return None;
    }
    Some((from, to))
}

fn limit(d: &mut Decoder<'_>, at: At<'_>) -> Option<Limit> {
    let object = d.object(at, &["attempt", "duration"])?;
    let total = object.get("duration").map(|at| duration::fixed(d, &at));
    let attempt: Option<Object<'_>> =
        object.get("attempt").and_then(|at| d.object(at, &["count", "duration"]));
    let count = attempt.as_ref().and_then(|a| a.get("count")).map(|at| d.count(&at));
    let one = attempt.as_ref().and_then(|a| a.get("duration")).map(|at| duration::fixed(d, &at));
    Some(Limit { attempts: flat(count)?, duration: flat(total)?, attempt: flat(one)? })
}

impl Policy {
    /// Whether a delay needs a random number.
    pub fn has_jitter(&self) -> bool {
        self.jitter.is_some()
    }

    /// How long to wait before retry number `attempt`, from 1; `random` is from 0 up to 1.
    pub fn delay(&self, attempt: u64, random: f64) -> Duration {
        let base = match self.backoff {
            Backoff::Constant => self.delay,
            Backoff::Linear => self.delay.saturating_mul(u32::try_from(attempt).unwrap_or(u32::MAX)),
            Backoff::Exponential => {
                let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
                self.delay.saturating_mul(2u32.saturating_pow(doublings))
            }
        };
        let extra = self.jitter.map_or(Duration::ZERO, |(from, to)| {
            from + to.saturating_sub(from).mul_f64(if random.is_finite() {
                random.clamp(0.0, 1.0)
            } else {
                0.0
            })
        });
        base.saturating_add(extra).min(MAX_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(backoff: Backoff) -> Policy {
        Policy {
            when: None,
            except_when: None,
            delay: Duration::from_secs(2),
            backoff,
            jitter: Some((Duration::from_secs(1), Duration::from_secs(3))),
            attempts: None,
            duration: None,
            attempt: None,
        }
    }

    #[test]
    fn delays_grow_as_the_backoff_says() {
        let delays = |b| [1, 2, 3].map(|n| policy(b).delay(n, 0.5).as_secs());
        assert_eq!(delays(Backoff::Constant), [4, 4, 4]);
        assert_eq!(delays(Backoff::Linear), [4, 6, 8]);
        assert_eq!(delays(Backoff::Exponential), [4, 6, 10]);
        assert_eq!(policy(Backoff::Exponential).delay(u64::MAX, f64::NAN), MAX_DELAY);
    }
}

//! The retry policy of a `try`: how often, how long between, and when to give up.

use super::flat;
use crate::decode::{At, Decoder, Object};
use crate::duration::{self, Length};
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
    /// The first delay; an expression sees the error.
    pub delay: Length,
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
    /// Each delay is so many times the one before.
    Exponential(f64),
}

/// What an exponential backoff multiplies by when it does not say.
const FACTOR: f64 = 2.0;
/// The largest factor.
const MAX_FACTOR: f64 = 100.0;

const KEYS: [&str; 6] = ["when", "exceptWhen", "delay", "backoff", "limit", "jitter"];

/// Decodes a retry policy; `vars` hold the caught error's name.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Policy> {
    let object = d.object(at, &KEYS)?;
    let when = object.get("when").map(|at| expr::decode(d, &at, vars));
    let except_when = object.get("exceptWhen").map(|at| expr::decode(d, &at, vars));
    let delay = object.get("delay").map(|at| duration::length(d, &at, vars));
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
        delay: flat(delay)?.unwrap_or(Length::Fixed(Duration::ZERO)),
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
    let keys: &[&str] = if entry.key == "exponential" { &["factor"] } else { &[] };
    let factor = match entry.value.kind {
        NodeKind::Null => None,
        _ => d.object(object.at.entry(entry), keys)?.get("factor"),
    };
    match entry.key.as_str() {
        "constant" => Some(Backoff::Constant),
        "linear" => Some(Backoff::Linear),
        "exponential" => {
            let Some(at) = factor else { return Some(Backoff::Exponential(FACTOR)) };
            let factor = at.node.to_json().as_f64().filter(|factor| (1.0..=MAX_FACTOR).contains(factor));
            if factor.is_none() {
                let message = format!("`factor` is a number from 1 to {MAX_FACTOR}");
                d.error_hint(&at, message, "2 doubles each delay, and is what counts without it");
            }
            factor.map(Backoff::Exponential)
        }
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

    /// How long to wait before retry number `attempt`, from 1, when the first delay is `first`; `random` is from 0 up to 1.
    pub fn after(&self, first: Duration, attempt: u64, random: f64) -> Duration {
        let base = match self.backoff {
            Backoff::Constant => first,
            Backoff::Linear => first.saturating_mul(u32::try_from(attempt).unwrap_or(u32::MAX)),
            Backoff::Exponential(_) if first.is_zero() => first,
            Backoff::Exponential(factor) => {
                let times = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
                let seconds = first.as_secs_f64() * factor.powi(times);
                Duration::try_from_secs_f64(seconds).unwrap_or(MAX_DELAY)
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
            delay: Length::Fixed(Duration::ZERO),
            backoff,
            jitter: Some((Duration::from_secs(1), Duration::from_secs(3))),
            attempts: None,
            duration: None,
            attempt: None,
        }
    }

    #[test]
    fn delays_grow_as_the_backoff_says() {
        let first = Duration::from_secs(2);
        let delays = |b| [1, 2, 3].map(|n| policy(b).after(first, n, 0.5).as_secs());
        assert_eq!(delays(Backoff::Constant), [4, 4, 4]);
        assert_eq!(delays(Backoff::Linear), [4, 6, 8]);
        assert_eq!(delays(Backoff::Exponential(FACTOR)), [4, 6, 10]);
        assert_eq!(delays(Backoff::Exponential(3.0)), [4, 8, 20]);
        assert_eq!(policy(Backoff::Exponential(1.5)).after(first, u64::MAX, f64::NAN), MAX_DELAY);
        assert_eq!(
            policy(Backoff::Exponential(2.0)).after(Duration::ZERO, 9, 0.0).as_secs(),
            1,
            "only the jitter"
        );
    }
}

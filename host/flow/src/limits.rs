//! `document.metadata.limits` and `retention`: how many runs of a flow there may be, and how long what they held is kept.
//!
//! ```yaml
//! metadata:
//!   limits:
//!     concurrency: { max: 1, key: .customer }      # or a number
//!     rate: { max: 100, per: PT1M }
//!     debounce: { after: PT10S, maxWait: PT2M, key: .order }
//!     queue: 1000
//!     priority: if .urgent then 9 else 0 end   # or a number
//!   retention: P90D
//! ```
//!
//! Read and checked here; whoever admits runs enforces them.
//!
//! A priority is a whole number from 0, which is what a run has without one, to 9. It orders the runs that wait for the
//! same, and nothing else: it takes no place from a run that is under way.

use crate::FlowError;
use crate::decode::{At, Decoder};
use crate::duration;
use crate::expr::{self, Data, Expr, Vars};
use crate::task::flat;
use crate::yaml::Kind;
use serde_json::Value;
use std::time::Duration;

/// The largest number that a limit may say.
const MAX: u64 = 1_000_000;
/// How many times the quiet a run waits at the longest for it, when the flow does not say.
const MAX_WAIT_TIMES: u32 = 10;

/// How many runs of a flow there may be.
#[derive(Debug, Default)]
pub struct Limits {
    /// Runs at a time.
    pub concurrency: Option<Limit>,
    /// Runs that start in a time.
    pub rate: Option<Rate>,
    /// Of triggers that come within a time after one another, only the last starts a run.
    pub debounce: Option<Debounce>,
    /// Runs that wait for their turn; further ones are refused.
    pub queue: Option<u64>,
    /// Who goes first of those that wait.
    pub priority: Option<Priority>,
}

/// The highest priority that a run can have.
pub const MAX_PRIORITY: u8 = 9;

/// Who goes first: one number for all runs, or an expression over a run's input.
#[derive(Debug)]
pub enum Priority {
    /// All runs alike: counts against other flows' runs in the line before the host's places.
    Fixed(u8),
    /// An expression over the input.
    Of(LimitKey),
}

impl Priority {
    /// The priority of an input: what the expression gives, rounded down and brought into 0 to 9; null is 0.
    ///
    /// # Errors
    /// The DSL's expression error, status 400, also when the expression gives something else than a number or null.
    pub fn of(&self, input: &Value) -> Result<u8, FlowError> {
        let expression = match self {
            Self::Fixed(priority) => return Ok(*priority),
            Self::Of(expression) => expression,
        };
        match expression.value(input)? {
            Value::Null => Ok(0),
            Value::Number(number) => Ok(within(number.as_f64().unwrap_or_default())),
            Value::Bool(_) => Err(not_a_number("true or false")),
            Value::String(_) => Err(not_a_number("a text")),
            Value::Array(_) => Err(not_a_number("a list")),
            Value::Object(_) => Err(not_a_number("an object")),
        }
    }
}

fn not_a_number(kind: &str) -> FlowError {
    FlowError::expression(format!("the priority must be a number from 0 to {MAX_PRIORITY}, this is {kind}"))
}

/// The highest priority that is not above a number.
fn within(number: f64) -> u8 {
    (1..=MAX_PRIORITY).rev().find(|priority| f64::from(*priority) <= number).unwrap_or(0)
}

/// A number of runs, for all or for each key.
#[derive(Debug)]
pub struct Limit {
    /// The most, from 1.
    pub max: u64,
    /// What the runs that count together have in common; all of them without it.
    pub key: Option<LimitKey>,
}

/// A number of starts in a time.
#[derive(Debug)]
pub struct Rate {
    /// The most.
    pub limit: Limit,
    /// In this time.
    pub per: Duration,
}

/// How long it must be quiet before a run starts.
#[derive(Debug)]
pub struct Debounce {
    /// This long.
    pub after: Duration,
    /// So long after the first of triggers that replace one another a run starts, however many still come. Not shorter
    /// than `after`; ten times that where the flow does not say.
    pub max_wait: Duration,
    /// Which triggers replace one another; all without it.
    pub key: Option<LimitKey>,
}

/// An expression over a run's input that gives the key under which it counts.
#[derive(Debug)]
pub struct LimitKey(Expr);

impl LimitKey {
    /// The key of an input: a string, or any other value as JSON. Null is a key too.
    ///
    /// # Errors
    /// The DSL's expression error, status 400.
    pub fn key(&self, input: &Value) -> Result<String, FlowError> {
        match self.value(input)? {
            Value::String(text) => Ok(text),
            other => Ok(other.to_string()),
        }
    }

    fn value(&self, input: &Value) -> Result<Value, FlowError> {
        let value = self.0.eval(&Data::from(input.clone()), &|_| None).map_err(|failure| failure.message);
        value.and_then(Data::into_json).map_err(FlowError::expression)
    }
}

/// Decodes `limits`.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>) -> Option<Limits> {
    let object = d.object(at, &["concurrency", "rate", "debounce", "queue", "priority"])?;
    let concurrency = object.get("concurrency").map(|at| match &at.node.kind {
        Kind::Number(_) => most(d, &at).map(|max| Limit { max, key: None }),
        _ => {
            let object = d.object(at, &["max", "key"])?;
            let max = d.required(&object, "max").and_then(|at| most(d, &at));
            let key = object.get("key").map(|at| key(d, &at));
            Some(Limit { max: max?, key: flat(key)? })
        }
    });
    let rate = object.get("rate").map(|at| {
        let object = d.object(at, &["max", "per", "key"])?;
        let max = d.required(&object, "max").and_then(|at| most(d, &at));
        let per = d.required(&object, "per").and_then(|at| some_time(d, &at));
        let key = object.get("key").map(|at| key(d, &at));
        Some(Rate { limit: Limit { max: max?, key: flat(key)? }, per: per? })
    });
    let debounce = object.get("debounce").map(|at| {
        let object = d.object(at, &["after", "maxWait", "key"])?;
        let after = d.required(&object, "after").and_then(|at| some_time(d, &at));
        let max_wait = object.get("maxWait").map(|at| {
            let max_wait = some_time(d, &at)?;
            if after.is_some_and(|after| max_wait < after) {
                d.error(&at, "this must not be shorter than `after`: nothing could ever replace another");
                return None;
            }
            Some(max_wait)
        });
        let key = object.get("key").map(|at| key(d, &at));
        let (after, max_wait) = (after?, flat(max_wait)?);
        let max_wait = max_wait.unwrap_or_else(|| after.saturating_mul(MAX_WAIT_TIMES));
        Some(Debounce { after, max_wait, key: flat(key)? })
    });
    let queue = object.get("queue").map(|at| most(d, &at));
    let priority = object.get("priority").map(|at| match &at.node.kind {
        Kind::Number(_) => {
            let number = d.count(&at)?;
            let fixed = u8::try_from(number).ok().filter(|priority| *priority <= MAX_PRIORITY);
            if fixed.is_none() {
                d.error(&at, format!("a priority is a number from 0 to {MAX_PRIORITY}"));
            }
            fixed.map(Priority::Fixed)
        }
        _ => key(d, &at).map(Priority::Of),
    });
    Some(Limits {
        concurrency: flat(concurrency)?,
        rate: flat(rate)?,
        debounce: flat(debounce)?,
        queue: flat(queue)?,
        priority: flat(priority)?,
    })
}

/// Decodes `retention`: how long what a finished run held is kept.
pub(crate) fn retention(d: &mut Decoder<'_>, at: &At<'_>) -> Option<Duration> {
    some_time(d, at)
}

fn most(d: &mut Decoder<'_>, at: &At<'_>) -> Option<u64> {
    let count = d.count(at)?;
    if !(1..=MAX).contains(&count) {
        d.error(at, format!("a limit is a number from 1 to {MAX}"));
        return None;
    }
    Some(count)
}

fn some_time(d: &mut Decoder<'_>, at: &At<'_>) -> Option<Duration> {
    let time = duration::fixed(d, at)?;
    if time.is_zero() {
        d.error(at, "this must be longer than nothing");
        return None;
    }
    Some(time)
}

fn key(d: &mut Decoder<'_>, at: &At<'_>) -> Option<LimitKey> {
    expr::decode(d, at, &Vars::new(&[])).map(LimitKey)
}

//! `document.metadata.limits` and `retention`: how many runs of a flow there may be, and how long what they held is kept.
//!
//! ```yaml
//! metadata:
//!   limits:
//!     concurrency: { max: 1, key: .customer }      # or a number
//!     rate: { max: 100, per: PT1M }
//!     debounce: { after: PT10S, key: .order }
//!     queue: 1000
//!   retention: P90D
//! ```
//!
//! Read and checked here; whoever admits runs enforces them.

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
        let value = self.0.eval(&Data::from(input.clone()), &|_| None).map_err(|failure| failure.message);
        match value.and_then(Data::into_json).map_err(FlowError::expression)? {
            Value::String(text) => Ok(text),
            other => Ok(other.to_string()),
        }
    }
}

/// Decodes `limits`.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>) -> Option<Limits> {
    let object = d.object(at, &["concurrency", "rate", "debounce", "queue"])?;
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
        let object = d.object(at, &["after", "key"])?;
        let after = d.required(&object, "after").and_then(|at| some_time(d, &at));
        let key = object.get("key").map(|at| key(d, &at));
        Some(Debounce { after: after?, key: flat(key)? })
    });
    let queue = object.get("queue").map(|at| most(d, &at));
    Some(Limits {
        concurrency: flat(concurrency)?,
        rate: flat(rate)?,
        debounce: flat(debounce)?,
        queue: flat(queue)?,
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

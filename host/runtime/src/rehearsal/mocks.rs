//! Mocks: what a flow's test answers in place of the world.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use factotum_flow::{Calendar, FlowError, Subscription};
use serde::Deserialize;
use serde_json::Value;

use super::calendars::Calendars;
use super::difference::contains;
use super::effects::{Answers, Asked, Given};

/// One mock.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Mock {
    /// Answers calls of this function, requests such as `GET https://…`, `human-task`, `script` or `flow NAMESPACE/NAME`.
    call: Option<String>,
    /// Answers this task, by its name or its place (`/do/each[0]/do/book`).
    task: Option<String>,
    /// Answers only when the arguments have all of this.
    with: Option<Value>,
    /// The answer.
    returns: Option<Value>,
    /// Or the fault: `{type, status, title, detail, kind, code}`, each of which may be left out.
    fault: Option<Fault>,
    /// How often it answers; always when absent.
    times: Option<u32>,
    /// How many seconds the answer takes.
    #[serde(default)]
    after_seconds: f64,
    #[serde(skip)]
    used: AtomicU32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    #[serde(rename = "type")]
    type_: Option<String>,
    status: Option<u16>,
    title: Option<String>,
    detail: Option<String>,
    /// `business` or `technical`, as plugins' faults have it.
    kind: Option<String>,
    code: Option<String>,
}

impl Mock {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.call.is_none() && self.task.is_none() {
            return Err("a mock answers a `call` or a `task`, and this names neither".into());
        }
        if self.returns.is_some() && self.fault.is_some() {
            return Err("a mock either `returns` something or has a `fault`".into());
        }
        if !(0.0..=3.0e9).contains(&self.after_seconds) {
            return Err("`after-seconds` is a number of seconds from 0".into());
        }
        Ok(())
    }

    fn fits(&self, asked: &Asked) -> bool {
        self.call.as_ref().is_none_or(|call| calls(&asked.what, call))
            && self
                .task
                .as_ref()
                .is_none_or(|task| *task == asked.name || *task == asked.place || *task == asked.key)
            && self.with.as_ref().is_none_or(|part| contains(&asked.with, part))
    }

    fn take(&self) -> bool {
        let most = self.times.unwrap_or(u32::MAX);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n.saturating_add(1)))
            .is_ok()
    }

    fn given(&self) -> Given {
        let result = match &self.fault {
            None => Ok(self.returns.clone().unwrap_or(Value::Null)),
            Some(fault) => Err(fault.error()),
        };
        Given::Answer(result, Duration::try_from_secs_f64(self.after_seconds).unwrap_or_default())
    }

    /// How it is told apart, when it was never used.
    pub fn unused(&self) -> Option<String> {
        (self.used.load(Ordering::Relaxed) == 0).then(|| {
            let name = |kind: &str, name: &Option<String>| name.as_ref().map(|name| format!("{kind} {name}"));
            let names: Vec<String> =
                [name("call", &self.call), name("task", &self.task)].into_iter().flatten().collect();
            names.join(", ")
        })
    }
}

/// Whether what was asked for is this function, whatever version the flow wants of it.
pub(super) fn calls(what: &str, call: &str) -> bool {
    what == call || what.split([':', '@']).next() == Some(call) && !what.contains("://")
}

impl Fault {
    fn error(&self) -> FlowError {
        let detail = self.detail.clone().unwrap_or_else(|| "a fault of the test".into());
        let mut error = FlowError::communication(detail);
        if let Some(type_) = &self.type_ {
            error.type_.clone_from(type_);
        }
        if let Some(title) = &self.title {
            error.title.clone_from(title);
        }
        for (name, member) in [("kind", &self.kind), ("code", &self.code)] {
            if let Some(text) = member {
                error = error.with(name, text.as_str());
            }
        }
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}

/// The mocks of one case, and the events that come.
pub(super) struct Mocks<'c> {
    pub mocks: &'c [Mock],
    pub events: &'c [Value],
    pub hours: &'c Calendars,
}

impl Answers for Mocks<'_> {
    fn answer(&self, asked: &Asked) -> Given {
        match self.mocks.iter().find(|mock| mock.fits(asked) && mock.take()) {
            Some(mock) => mock.given(),
            None => match &asked.mock {
                Some(value) => Given::Answer(Ok(value.clone()), Duration::ZERO),
                None => Given::Unknown,
            },
        }
    }

    fn calendar(&self, name: &str) -> Option<Arc<Calendar>> {
        self.hours.get(name).cloned()
    }

    fn event(&self, _: &Asked, nth: u64, subscription: &Subscription) -> Given {
        let fits = |event: &&Value| {
            subscription.any_of.iter().any(|attributes| {
                attributes.iter().all(|(name, text)| event.get(name).and_then(Value::as_str) == Some(text))
            })
        };
        let nth = usize::try_from(nth).unwrap_or(usize::MAX);
        match self.events.iter().filter(fits).nth(nth) {
            Some(event) => Given::Answer(Ok(event.clone()), Duration::ZERO),
            None => Given::Unknown,
        }
    }
}

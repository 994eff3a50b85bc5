//! `try`: runs tasks, and when one faults, begins again or runs others instead.
//!
//! ```yaml
//! - reach:
//!     try:
//!       - ask: { call: erp/order, with: { id: '${ .order }' } }
//!     catch:
//!       errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/communication' } }
//!       as: problem
//!       when: ${ $problem.status >= 500 }
//!       retry:
//!         delay: { seconds: 2 }
//!         backoff: { exponential: {} }
//!         limit: { attempt: { count: 3 } }
//!       do:
//!         - note: { set: { failed: '${ $problem.detail }' } }
//! ```
//!
//! A caught error is retried while the policy allows; then `catch.do` runs. When there is no `catch.do`: an error whose
//! retries are used up goes on upwards, and one that was not to be retried is dropped, the output being the input.

use super::timeout::Clock;
use super::{Around, Kind, KindSpec, List, Policy, Ran, flat, list, retry};
use crate::decode::{At, Decoder, Object, did_you_mean, shorten};
use crate::document::variable;
use crate::duration::Length;
use crate::expr::{self, Data, Expr, Vars};
use crate::reuse::Context;
use crate::run::{End, Halt, Position, Run, Running, Scope, TaskEvent};
use crate::yaml::Kind as NodeKind;
use crate::{FlowError, duration};
use std::time::Duration;

pub(super) const SPEC: KindSpec = KindSpec { key: "try", also: &["catch"], decode };

/// Tasks, and what to do when one of them faults.
#[derive(Debug)]
struct Try {
    tasks: List,
    filter: Filter,
    name: String,
    when: Option<Expr>,
    except_when: Option<Expr>,
    retry: Option<Policy>,
    instead: Option<List>,
}

/// `errors.with`: each member that is given must be equal.
#[derive(Debug, Default)]
struct Filter {
    type_: Option<String>,
    status: Option<u64>,
    title: Option<String>,
    detail: Option<String>,
    instance: Option<String>,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let catch = d.required(object, "catch");
    let catch = catch.and_then(|at| d.object(at, &["errors", "as", "when", "exceptWhen", "retry", "do"]));
    let retried = around.retried || catch.as_ref().is_some_and(|c| c.has("retry"));
    let tasks = d.required(object, "try").and_then(|at| list(d, &at, cx, around.vars, retried));
    let catch = catch?;
    let name = catch.get("as").map_or(Some("error".to_owned()), |at| variable(d, &at))?;
    let vars = around.vars.with(&[&name]);
    let filter = catch.get("errors").map(|at| errors(d, at));
    let when = catch.get("when").map(|at| expr::decode(d, &at, &vars));
    let except_when = catch.get("exceptWhen").map(|at| expr::decode(d, &at, &vars));
    let policy = catch.get("retry").map(|at| policy(d, at, cx, &vars));
    let instead = catch.get("do").map(|at| list(d, &at, cx, &vars, around.retried));
    Some(Box::new(Try {
        tasks: tasks?,
        filter: flat(filter)?.unwrap_or_default(),
        name,
        when: flat(when)?,
        except_when: flat(except_when)?,
        retry: flat(policy)?,
        instead: flat(instead)?,
    }))
}

fn errors(d: &mut Decoder<'_>, at: At<'_>) -> Option<Filter> {
    let object = d.object(at, &["with"])?;
    let Some(at) = object.get("with") else { return Some(Filter::default()) };
    let with = d.object(at, &["type", "status", "instance", "title", "detail", "details"])?;
    if with.entries().is_empty() {
        d.error_hint(
            &with.at,
            "a filter needs at least one member",
            "leave `errors` out to catch every error",
        );
    }
    let mut text = |key: &str| -> Option<Option<String>> {
        let Some(at) = with.get(key) else { return Some(None) };
        let text = d.text(&at)?;
        if text.contains("${") {
            d.error_hint(&at, "a filter compares fixed values", "use `catch.when` for expressions");
            return None;
        }
        Some(Some(text.to_owned()))
    };
    let (type_, title, instance) = (text("type"), text("title"), text("instance"));
    let detail = text("details").and_then(|details| Some(details.or(text("detail")?)));
    let status = with.get("status").map(|at| d.count(&at));
    Some(Filter { type_: type_?, status: flat(status)?, title: title?, detail: detail?, instance: instance? })
}

fn policy(d: &mut Decoder<'_>, at: At<'_>, cx: &mut Context<'_>, vars: &Vars) -> Option<Policy> {
    let NodeKind::Text(name) = &at.node.kind else { return retry::decode(d, at, vars) };
    cx.used.insert(name.clone());
    match cx.retries.get(name) {
        Some(definition) => retry::decode(d, definition.clone(), vars),
        None => {
            let hint = did_you_mean(name, cx.retries.keys().map(String::as_str))
                .unwrap_or_else(|| "define it in use.retries".into());
            d.error_hint(&at, format!("there is no retry policy \"{}\"", shorten(name, 60)), hint);
            None
        }
    }
}

impl Filter {
    fn matches(&self, error: &FlowError) -> bool {
        let equal =
            |wanted: &Option<String>, is: Option<&str>| wanted.as_deref().is_none_or(|w| is == Some(w));
        self.type_.as_deref().is_none_or(|t| error.is_type(t))
            && self.status.is_none_or(|s| s == u64::from(error.status))
            && equal(&self.title, Some(&error.title))
            && equal(&self.detail, error.detail.as_deref())
            && equal(&self.instance, error.instance.as_deref())
    }
}

/// `when` must hold, if there is one, and `except_when` must not.
fn allows(
    run: &Run<'_>,
    when: Option<&Expr>,
    except: Option<&Expr>,
    input: &Data,
    scope: &Scope<'_>,
) -> Result<bool, Halt> {
    if let Some(when) = when
        && !run.eval(when, input, scope)?.is_true()
    {
        return Ok(false);
    }
    match except {
        Some(except) => Ok(!run.eval(except, input, scope)?.is_true()),
        None => Ok(true),
    }
}

/// The time between two RFC 3339 times; none when it went backwards.
fn elapsed(from: &str, to: &str) -> Result<Duration, Halt> {
    let read = |text: &str| {
        chrono::DateTime::parse_from_rfc3339(text).map_err(|e| {
            Halt::Fault(FlowError::runtime(format!("the host gave a time that is not RFC 3339: {e}")))
        })
    };
    Ok((read(to)? - read(from)?).to_std().unwrap_or_default())
}

impl Try {
    /// Runs the tasks once, within the time of one attempt.
    async fn attempt(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        here: &Position,
        attempt: u64,
        input: Data,
    ) -> Result<End, Halt> {
        let Some(longest) = self.retry.as_ref().and_then(|policy| policy.attempt) else {
            return run.list("try", &self.tasks, scope, here, input).await;
        };
        let deadline = run.fx.deadline(&at.effect(&format!("limit~{attempt}")), longest).await?;
        let clock = Clock { deadline, after: duration::words(longest) };
        let end = run.list("try", &self.tasks, &scope.until(deadline), here, input).await;
        end.map_err(|halt| clock.passed(halt, scope, "the attempt", at.pointer()))
    }

    /// How long to wait before the next attempt; nothing when it must not be tried again.
    async fn again(
        &self,
        policy: &Policy,
        run: &Run<'_>,
        at: &Position,
        attempt: u64,
        started: Option<&str>,
        first: Duration,
    ) -> Result<Option<Duration>, Halt> {
        if policy.attempts.is_some_and(|most| attempt > most) {
            return Ok(None);
        }
        let random = match policy.has_jitter() {
            true => run.fx.random(&at.effect(&format!("jitter~{attempt}"))).await?,
            false => 0.0,
        };
        let delay = policy.after(first, attempt, random);
        if let (Some(limit), Some(started)) = (policy.duration, started) {
            let now = run.fx.now(&at.effect(&format!("failed~{attempt}"))).await?;
            if elapsed(started, &now)?.saturating_add(delay) > limit {
                return Ok(None);
            }
        }
        Ok(Some(delay))
    }
}

impl Kind for Try {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let timed = self.retry.as_ref().is_some_and(|policy| policy.duration.is_some());
            let started = if timed { Some(run.fx.now(&at.effect("try")).await?) } else { None };
            let mut attempt = 0u64;
            loop {
                let here = at.attempt(attempt);
                let error = match self.attempt(run, scope, at, &here, attempt, input.clone()).await {
                    Ok(end) => return Ok(Ran { end, next: None }),
                    Err(Halt::Fault(error)) => error,
                    Err(other) => return Err(other),
                };
                if !self.filter.matches(&error) {
                    return Err(Halt::Fault(error));
                }
                let caught = Data::from(error.to_value()).of(error.labels().clone());
                let inside = scope.named(&self.name, caught);
                if !allows(run, self.when.as_ref(), self.except_when.as_ref(), &input, &inside)? {
                    return Err(Halt::Fault(error));
                }
                let mut used_up = false;
                if let Some(policy) = &self.retry
                    && allows(run, policy.when.as_ref(), policy.except_when.as_ref(), &input, &inside)?
                {
                    attempt += 1;
                    let first = run.length(&policy.delay, &input, &inside)?;
                    let again = self.again(policy, run, at, attempt, started.as_deref(), first).await?;
                    if let Some(after) = again {
                        run.fx.observe(at, &TaskEvent::Retrying { attempt, after });
                        if !after.is_zero() {
                            run.fx
                                .wait(&at.effect(&format!("delay~{attempt}")), after, scope.deadline())
                                .await?;
                        }
                        continue;
                    }
                    used_up = true;
                }
                let Some(instead) = &self.instead else {
                    return if used_up { Err(Halt::Fault(error)) } else { Ok(Ran::done(input)) };
                };
                let end = run.list("catch/do", instead, &inside, at, input.clone()).await?;
                return Ok(Ran { end, next: None });
            }
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        let delay = |policy: &Policy| match &policy.delay {
            Length::Computed(expr) => test(expr),
            Length::Fixed(_) => false,
        };
        if self.retry.as_ref().is_some_and(delay) {
            return true;
        }
        let policy =
            self.retry.as_ref().map(|p| [p.when.as_ref(), p.except_when.as_ref()]).unwrap_or_default();
        [self.when.as_ref(), self.except_when.as_ref()].into_iter().chain(policy).flatten().any(test)
    }
}

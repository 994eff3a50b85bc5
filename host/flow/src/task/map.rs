//! `call: map`: runs tasks once for each item of a list, several at a time.
//!
//! ```yaml
//! - notifyAll:
//!     call: map
//!     with:
//!       in: ${ .customers }
//!       each: customer          # `item` when absent
//!       at: number              # `index` when absent; counts from 0
//!       concurrency: 8          # 10 when absent, at most 100
//!       errors: collect         # `fail` when absent
//!       do:
//!         - send: { call: mail/send, with: { to: '${ $customer.mail }' } }
//! ```
//!
//! The output is the list of the iterations' outputs, in the order of the items. An iteration that faults ends the others,
//! and the error goes on upwards; with `errors: collect` the others go on, and the list has `{output}` or `{error}` for each.
//! What ended it early is written down before anything follows from it, as with a `fork`. Each iteration starts from the
//! task's input, and has a `$context` of its own; afterwards each member that an iteration changed is taken over, in the order
//! of the items.

use super::decision::Decision;
use super::with::With;
use super::{Around, Kind, List, Ran, Undo, flat, fork, list};
use crate::FlowError;
use crate::decode::{At, Decoder, Object, shorten};
use crate::document::variable;
use crate::expr::{self, Data, Expr};
use crate::reuse::Context;
use crate::run::{End, Halt, Position, Run, Running, Scope};
use factotum_provenance::{Labels, Provenance};
use serde_json::{Value, json};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context as Waking, Poll};

/// What stands behind `call` for it.
pub(super) const WORD: &str = "map";

const KEYS: [&str; 6] = ["in", "each", "at", "concurrency", "errors", "do"];
/// Items of one map.
const MAX_ITEMS: usize = 10_000;
/// Iterations at a time: the most, and when nothing is said.
const CONCURRENCY: (u64, usize) = (100, 10);

/// Tasks for each item of a list.
#[derive(Debug)]
struct Map {
    items: Expr,
    each: String,
    at: String,
    concurrency: usize,
    /// Whether an error of an iteration becomes a part of the output.
    collect: bool,
    tasks: List,
}

pub(super) fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    own: Option<At<'_>>,
    base: Option<At<'_>>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    if base.is_some() {
        let hint = "make the function a task with `do`, and the map one of its tasks";
        d.error_hint(&object.at, "`call: map` stands at its task, not in a function's `call`", hint);
        return None;
    }
    let with = With::decode(d, &object.at, own, base, &KEYS)?;
    let items = with.required(d, "in").and_then(|at| expr::decode(d, &at, around.vars));
    let each = with.get("each").map_or(Some("item".to_owned()), |at| variable(d, &at));
    let index = with.get("at").map_or(Some("index".to_owned()), |at| variable(d, &at));
    let concurrency = with.get("concurrency").map(|at| match d.count(&at)? {
        count if (1..=CONCURRENCY.0).contains(&count) => usize::try_from(count).ok(),
        _ => {
            d.error(&at, format!("a map runs 1 to {} iterations at a time", CONCURRENCY.0));
            None
        }
    });
    let collect = with.get("errors").map(|at| match d.text(&at)? {
        "fail" => Some(false),
        "collect" => Some(true),
        other => {
            d.error_hint(&at, format!("\"{}\" is no way with errors", shorten(other, 40)), "fail or collect");
            None
        }
    });
    let (each, index) = (each?, index?);
    if each == index {
        d.error(&object.at, format!("`each` and `at` are both \"{each}\""));
    }
    let vars = around.vars.with(&[&each, &index]);
    let tasks = with.required(d, "do").and_then(|at| list(d, &at, cx, &vars, around.retried));
    Some(Box::new(Map {
        items: items?,
        each,
        at: index,
        concurrency: flat(concurrency)?.unwrap_or(CONCURRENCY.1),
        collect: flat(collect)?.unwrap_or(false),
        tasks: tasks?,
    }))
}

/// How an iteration ended, and its `$context` then.
struct Ended {
    end: Result<End, Halt>,
    context: Data,
}

type Iteration<'a> = Pin<Box<dyn Future<Output = Ended> + Send + 'a>>;

/// An iteration that has begun; none when it rests.
type Begun<'a> = (usize, Option<Iteration<'a>>);

/// Iterations, so many at a time, begun and polled in the order of their items: none overtakes another whose answers are
/// there as well.
struct Spread<'a, S> {
    begin: S,
    begun: Vec<Begun<'a>>,
    next: usize,
    most: usize,
    ended: Vec<Option<Ended>>,
}

impl<'a, S: FnMut(usize) -> Option<Iteration<'a>>> Spread<'a, S> {
    /// Goes on until one iteration decides, or none can go on.
    fn poll(&mut self, collect: bool, cx: &mut Waking<'_>) -> Poll<Option<usize>> {
        loop {
            while self.begun.len() < self.most && self.next < self.ended.len() {
                // On a replay that one iteration decided, the others do not begin.
                if let Some(iteration) = (self.begin)(self.next) {
                    self.begun.push((self.next, Some(iteration)));
                }
                self.next += 1;
            }
            let (mut freed, mut going) = (false, false);
            for (index, slot) in &mut self.begun {
                let Some(iteration) = slot else { continue };
                let Poll::Ready(found) = iteration.as_mut().poll(cx) else {
                    going = true;
                    continue;
                };
                *slot = None;
                let rests = matches!(found.end, Err(Halt::Suspended));
                let decides = decides(&found.end, collect);
                if let Some(ended) = self.ended.get_mut(*index) {
                    *ended = Some(found);
                }
                if decides {
                    return Poll::Ready(Some(*index));
                }
                freed |= !rests;
            }
            if !freed {
                return if going { Poll::Pending } else { Poll::Ready(None) };
            }
            // One that rests keeps its place: it is under way.
            let ended = &self.ended;
            self.begun.retain(|(index, slot)| {
                let rests =
                    || matches!(ended.get(*index), Some(Some(Ended { end: Err(Halt::Suspended), .. })));
                slot.is_some() || rests()
            });
        }
    }
}

/// Whether nothing that another iteration does matters any more.
fn decides(end: &Result<End, Halt>, collect: bool) -> bool {
    match end {
        Ok(End::Flow(_)) | Err(Halt::Limit(_) | Halt::DeadlinePassed | Halt::Cancelled) => true,
        Err(Halt::Fault(_)) => !collect,
        Ok(_) | Err(Halt::Suspended) => false,
    }
}

impl Map {
    /// The list, and where it comes from.
    fn list(&self, run: &Run<'_>, input: &Data, scope: &Scope<'_>) -> Result<(Vec<Value>, Provenance), Halt> {
        let items = run.eval(&self.items, input, scope)?;
        // Items are not told apart, nor is their number from what is in them.
        let from = Provenance::from(items.labels());
        let wrong = |what: String| {
            let detail = format!(
                "`in` must give a list of at most {MAX_ITEMS} items, not {what} (in `{}`)",
                self.items.source()
            );
            Err(Halt::Fault(FlowError::expression(detail).and_labels(&from.total())))
        };
        match items.into_value().map_err(Halt::Fault)? {
            Value::Array(items) if items.len() > MAX_ITEMS => wrong(format!("{} items", items.len())),
            Value::Array(items) => Ok((items, from)),
            other => wrong(shorten(&other.to_string(), 60)),
        }
    }

    /// The iterations' outputs, in the order of the items.
    fn outputs(&self, ended: Vec<Ended>) -> Result<(Data, Vec<Data>), Halt> {
        let (mut outputs, mut labels) = (Vec::with_capacity(ended.len()), Labels::default());
        let mut contexts = Vec::with_capacity(ended.len());
        for Ended { end, context } in ended {
            let output = match end {
                Ok(End::Done(data) | End::Exit(data) | End::Flow(data)) => {
                    labels = labels.union(&data.labels());
                    let value = data.into_value().map_err(Halt::Fault)?;
                    if self.collect { json!({ "output": value }) } else { value }
                }
                Err(Halt::Fault(error)) => {
                    labels = labels.union(error.labels());
                    json!({ "error": error.to_value() })
                }
                // None can go on, and one is not at its end.
                Err(halt) => return Err(halt),
            };
            outputs.push(output);
            contexts.push(context);
        }
        Ok((Data::from(Value::Array(outputs)).of(Provenance::from(labels)), contexts))
    }
}

impl Kind for Map {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let (items, from) = self.list(run, &input, scope)?;
            let decision = Decision::at(run, at.effect("map"), "iteration");
            let base = scope.context();
            let undos: Vec<Mutex<Vec<Undo>>> = items.iter().map(|_| Mutex::default()).collect();
            let (mut ended, decided) = {
                let (input, base, from, undos) = (&input, &base, &from, &undos);
                let begin = |i: usize| -> Option<Iteration<'_>> {
                    let (item, undo) = (items.get(i)?.clone(), undos.get(i)?);
                    decision.wants(i).then(|| {
                        Box::pin(async move {
                            let context = Mutex::new(base.clone());
                            let here = at.iteration(i);
                            let end = {
                                let scope = scope.branch(&context, undo);
                                let scope = scope.named(&self.each, Data::from(item).of(from.clone()));
                                let scope =
                                    scope.named(&self.at, Data::from(Value::from(i)).of(from.clone()));
                                let scope = scope.input(input);
                                run.list("with/do", &self.tasks, &scope, &here, input.clone()).await
                            };
                            let context = context.into_inner().unwrap_or_else(PoisonError::into_inner);
                            Ended { end, context }
                        }) as Iteration<'_>
                    })
                };
                let ended = items.iter().map(|_| None).collect();
                let mut all = Spread { begin, begun: Vec::new(), next: 0, most: self.concurrency, ended };
                let decided = poll_fn(|cx| all.poll(self.collect, cx)).await;
                (std::mem::take(&mut all.ended), decided)
            };
            let undos = undos.into_iter().map(|u| u.into_inner().unwrap_or_else(PoisonError::into_inner));
            let undos: Vec<Vec<Undo>> = undos.collect();
            if let Some((i, Ended { end, context })) =
                decided.and_then(|i| Some((i, ended.get_mut(i)?.take()?)))
            {
                decision.settle(i, matches!(end, Err(Halt::Cancelled)), undos, scope).await?;
                let end = end?;
                scope.export(context);
                return Ok(Ran { end, next: None });
            }
            let Some(ended) = ended.into_iter().collect::<Option<Vec<Ended>>>() else {
                // Some have not begun: those that have hold all places, and rest.
                return Err(Halt::Suspended);
            };
            let (output, contexts) = self.outputs(ended)?;
            scope.can_undo(undos.into_iter().flatten());
            scope.export(fork::merge(&base, &contexts)?);
            Ok(Ran::done(output))
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        test(&self.items)
    }
}

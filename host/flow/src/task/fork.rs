//! `fork`: runs branches at the same time.
//!
//! ```yaml
//! - alarm:
//!     fork:
//!       compete: true
//!       branches:
//!         - nurse: { call: pager/ask, with: { who: nurse } }
//!         - doctor: { call: pager/ask, with: { who: doctor } }
//! ```
//!
//! The output is the list of the branches' outputs in their order; with `compete`, the output of the first that ends. A
//! branch that faults, wins or ends the flow ends the others. Which one it was is written down before anything follows from
//! it, and a replay then runs that branch alone, so that it ends alike however fast the answers come.
//!
//! Every branch has a `$context` of its own. After the fork it is the winner's; without `compete`, each member that a branch
//! changed is taken over, in the order of the branches.

use super::decision::Decision;
use super::{Around, Kind, KindSpec, List, Next, Ran, Task, Undo, branches, flat};
use crate::decode::{Decoder, Object};
use crate::expr::{Data, Expr};
use crate::reuse::Context;
use crate::run::{End, Halt, Position, Run, Running, Scope};
use crate::yaml::Kind as NodeKind;
use factotum_provenance::{Labels, Provenance};
use serde_json::Value;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

pub(super) const SPEC: KindSpec = KindSpec { key: "fork", also: &[], decode };

/// Branches in one fork.
const MAX_BRANCHES: usize = 100;

/// Branches that run at the same time.
#[derive(Debug)]
struct Fork {
    branches: List,
    compete: bool,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "fork")?;
    let fork = d.object(at, &["branches", "compete"])?;
    let compete = fork.get("compete").map(|at| d.flag(&at));
    let at = d.required(&fork, "branches")?;
    if let NodeKind::List(items) = &at.node.kind
        && items.len() > MAX_BRANCHES
    {
        d.error_hint(&at, format!("a fork has at most {MAX_BRANCHES} branches"), "put the work into a `for`");
        return None;
    }
    let list = branches(d, &at, cx, around.vars, around.retried);
    Some(Box::new(Fork { branches: list?, compete: flat(compete)?.unwrap_or(false) }))
}

/// A branch's end.
type Ended = Result<End, Halt>;

type Branch<'a> = Pin<Box<dyn Future<Output = Ended> + Send + 'a>>;

/// Whether nothing that another branch does matters any more.
fn decides(ended: &Ended, compete: bool) -> bool {
    match ended {
        Ok(End::Flow(_)) | Err(Halt::Fault(_) | Halt::Limit(_) | Halt::DeadlinePassed | Halt::Cancelled) => {
            true
        }
        Ok(_) => compete,
        Err(Halt::Suspended) => false,
    }
}

/// Runs branches in turn until one decides or none can go on. Always in the same order: no branch overtakes another whose
/// answers are there as well.
async fn race(mut running: Vec<Option<Branch<'_>>>, compete: bool) -> (Vec<Option<Ended>>, Option<usize>) {
    let mut ended: Vec<Option<Ended>> = running.iter().map(|_| None).collect();
    let decided = poll_fn(|cx| {
        let mut going = false;
        for (i, (slot, end)) in running.iter_mut().zip(&mut ended).enumerate() {
            let Some(branch) = slot else { continue };
            let Poll::Ready(found) = branch.as_mut().poll(cx) else {
                going = true;
                continue;
            };
            *slot = None;
            let decides = decides(&found, compete);
            *end = Some(found);
            if decides {
                return Poll::Ready(Some(i));
            }
        }
        if going { Poll::Pending } else { Poll::Ready(None) }
    })
    .await;
    (ended, decided)
}

impl Fork {
    /// One branch, as a task with everything around it.
    fn branch<'a>(
        run: &'a Run<'a>,
        task: &'a Task,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Branch<'a> {
        Box::pin(async move {
            let (end, next) = run.task(task, scope, at, input).await?;
            Ok(match (end, next) {
                (End::Flow(data), _) | (End::Done(data) | End::Exit(data), Next::End) => End::Flow(data),
                (End::Done(data) | End::Exit(data), _) => End::Done(data),
            })
        })
    }
}

/// What the branches made of the context, in their order.
pub(super) fn merge(base: &Data, branches: &[Data]) -> Result<Data, Halt> {
    let json = |data: &Data| data.clone().into_value().map_err(Halt::Fault);
    let before = json(base)?;
    let (mut value, mut from) = (before.clone(), base.provenance().clone());
    for branch in branches {
        let after = json(branch)?;
        if after == before {
            continue;
        }
        match (&mut value, &before, after) {
            (Value::Object(value), Value::Object(before), Value::Object(after)) => {
                value.retain(|key, _| after.contains_key(key) || !before.contains_key(key));
                for (key, member) in after {
                    if before.get(&key) != Some(&member) {
                        from = from.with_member(&key, branch.provenance().member(&key));
                        value.insert(key, member);
                    }
                }
            }
            (value, _, after) => {
                *value = after;
                from = branch.provenance().clone();
            }
        }
    }
    Ok(Data::from(value).of(from))
}

impl Kind for Fork {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let decision = Decision::at(run, at.effect("fork"), "branch");
            let base = scope.context();
            let contexts: Vec<Mutex<Data>> = self.branches.iter().map(|_| Mutex::new(base.clone())).collect();
            let undos: Vec<Mutex<Vec<Undo>>> = self.branches.iter().map(|_| Mutex::default()).collect();
            let scopes: Vec<Scope<'_>> =
                contexts.iter().zip(&undos).map(|(context, undo)| scope.branch(context, undo)).collect();
            let places: Vec<Position> = self
                .branches
                .iter()
                .enumerate()
                .map(|(i, t)| at.task("fork/branches", i, &t.name, 0))
                .collect();
            let running = self.branches.iter().zip(&scopes).zip(&places).enumerate();
            let running = running.map(|(i, ((task, scope), at))| {
                decision.wants(i).then(|| Fork::branch(run, task, scope, at, input.clone()))
            });
            let (mut ended, decided) = race(running.collect(), self.compete).await;
            let decided = decided.and_then(|i| Some((i, ended.get_mut(i)?.take()?)));
            drop(scopes);
            let mut contexts =
                contexts.into_iter().map(|c| c.into_inner().unwrap_or_else(PoisonError::into_inner));
            let undos = undos.into_iter().map(|u| u.into_inner().unwrap_or_else(PoisonError::into_inner));
            let undos: Vec<Vec<Undo>> = undos.collect();
            if let Some((i, end)) = decided {
                decision.settle(i, matches!(end, Err(Halt::Cancelled)), undos, scope).await?;
                let end = end?;
                scope.export(contexts.nth(i).unwrap_or(base));
                return Ok(Ran { end, next: None });
            }
            let (mut outputs, mut labels) = (Vec::with_capacity(ended.len()), Labels::default());
            for end in ended {
                let Some(Ok(End::Done(data) | End::Exit(data) | End::Flow(data))) = end else {
                    // None can go on, and one is not at its end.
                    return Err(Halt::Suspended);
                };
                labels = labels.union(&data.labels());
                outputs.push(data.into_value().map_err(Halt::Fault)?);
            }
            scope.can_undo(undos.into_iter().flatten());
            scope.export(merge(&base, &contexts.collect::<Vec<_>>())?);
            Ok(Ran::done(Data::from(Value::Array(outputs)).of(Provenance::from(labels))))
        })
    }

    fn any_expr(&self, _: &dyn Fn(&Expr) -> bool) -> bool {
        false
    }
}

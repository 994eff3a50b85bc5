//! `listen`: waits for events. The output is the list of what was read, in the order of arrival.
//!
//! ```yaml
//! - paid:
//!     listen:
//!       to:
//!         any:
//!         - with: { type: com.example.payment.received }
//!           correlate: { order: { from: .data.order, expect: '${ .order }' } }
//!         until: ([ .[].amount ] | add) >= $input.total
//!       read: data
//!     foreach:
//!       item: payment
//!       do: [ { book: { call: erp/book, with: { amount: '${ $payment.amount }' } } } ]
//! ```
//!
//! The host keeps what fits the literal attributes; whether an event fits as a whole is decided here, the same on a replay.
//! `until` as an expression is asked after each event, on the list of what was read so far; as events, they end the
//! listening and are not part of the output. What `foreach` gives for an event takes its place in the output.

use super::{Around, Kind, KindSpec, List, Output, Ran, flat, list, output};
use crate::FlowError;
use crate::decode::{At, Decoder, Object, shorten};
use crate::document::variable;
use crate::events::{self, Correlated, Filter, Strategy, Until};
use crate::expr::{Data, Expr, Vars};
use crate::reuse::Context;
use crate::run::{End, Halt, Position, Run, Running, Scope, Subscription};
use factotum_provenance::{Labels, Provenance};
use serde_json::Value;

pub(super) const SPEC: KindSpec = KindSpec { key: "listen", also: &["foreach"], decode };

/// Events that one task looks at; one that never fits must not fill a journal.
const MAX_EVENTS: u64 = 10_000;

/// A listening task.
#[derive(Debug)]
struct Listen {
    to: Strategy,
    read: Read,
    foreach: Option<Foreach>,
}

/// What of an event is read.
#[derive(Debug, Clone, Copy)]
enum Read {
    Data,
    Envelope,
    Raw,
}

/// What is done for each event.
#[derive(Debug)]
struct Foreach {
    item: String,
    at: String,
    tasks: List,
    output: Output,
    export: Output,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "listen")?;
    let listen = d.object(at, &["to", "read"])?;
    let to = d.required(&listen, "to").and_then(|at| events::decode(d, at, around.vars));
    let read = listen.get("read").map(|at| match d.text(&at)? {
        "data" => Some(Read::Data),
        "envelope" => Some(Read::Envelope),
        "raw" => Some(Read::Raw),
        other => {
            let message = format!("\"{}\" is not a way to read", shorten(other, 40));
            d.error_hint(&at, message, "use data, envelope or raw");
            None
        }
    });
    let foreach = object.get("foreach").map(|at| foreach(d, at, cx, around));
    Some(Box::new(Listen { to: to?, read: flat(read)?.unwrap_or(Read::Data), foreach: flat(foreach)? }))
}

fn foreach(d: &mut Decoder<'_>, at: At<'_>, cx: &mut Context<'_>, around: &Around<'_>) -> Option<Foreach> {
    let object = d.object(at, &["item", "at", "do", "output", "export"])?;
    let item = object.get("item").map_or(Some("item".to_owned()), |at| variable(d, &at));
    let index = object.get("at").map_or(Some("index".to_owned()), |at| variable(d, &at));
    let (item, index) = (item?, index?);
    if item == index {
        d.error(&object.at, format!("`item` and `at` are both \"{item}\""));
        return None;
    }
    let vars: Vars = around.vars.with(&[&item, &index]);
    let tasks = object.get("do").map(|at| list(d, &at, cx, &vars, around.retried));
    let after = vars.with(&["output"]);
    let [out, export] = ["output", "export"].map(|key| object.get(key).map(|at| output(d, at, &after)));
    Some(Foreach {
        item,
        at: index,
        tasks: flat(tasks)?.unwrap_or_default(),
        output: flat(out)?.unwrap_or_default(),
        export: flat(export)?.unwrap_or_default(),
    })
}

/// One side of the listening: which filters are still open, and what has been correlated.
struct Hearing<'l> {
    filters: &'l [Filter],
    /// Whether each filter takes one event only (`all`).
    once: bool,
    open: Vec<bool>,
    first: Correlated,
}

impl<'l> Hearing<'l> {
    fn new(strategy: &'l Strategy) -> Self {
        let filters = strategy.filters();
        let once = matches!(strategy, Strategy::All(_));
        Hearing { filters, once, open: vec![true; filters.len()], first: Correlated::new() }
    }

    /// Whether it takes this event.
    fn takes(&mut self, event: &Data, input: &Data, scope: &Scope<'_>) -> bool {
        if self.filters.is_empty() {
            return true;
        }
        let lookup = |name: &str| scope.get(name);
        let mut open = self.filters.iter().zip(&mut self.open).filter(|(_, open)| **open);
        let Some((_, open)) = open.find(|(filter, _)| filter.fits(event, input, &lookup, &mut self.first))
        else {
            return false;
        };
        if self.once {
            *open = false;
        }
        true
    }

    /// Whether, having taken an event, it has heard all that it waits for.
    fn complete(&self) -> bool {
        !self.once || !self.open.contains(&true)
    }
}

impl Listen {
    fn read(&self, event: &Data) -> Result<Data, Halt> {
        let whole = event.json().map_err(|e| Halt::Fault(FlowError::expression(e)))?;
        let part = |name: &str| {
            let value = whole.get(name).cloned();
            value.map(|value| Data::from(value).of(event.provenance().member(name)))
        };
        Ok(match self.read {
            Read::Envelope => event.clone(),
            Read::Data => part("data").unwrap_or_default(),
            // The data as they came: Base64 when they are no JSON or text (CloudEvents JSON format, section 3.1).
            Read::Raw => match part("data_base64") {
                Some(raw) => raw,
                None => part("data").unwrap_or_default(),
            },
        })
    }

    async fn listen(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        input: &Data,
        subscription: &Subscription,
    ) -> Result<Result<Vec<Data>, End>, Halt> {
        let mut hearing = Hearing::new(&self.to);
        let until = match &self.to {
            Strategy::Any(_, until) => until.as_ref(),
            _ => None,
        };
        let mut stop = match until {
            Some(Until::Events(strategy)) => Some(Hearing::new(strategy)),
            _ => None,
        };
        let mut heard: Vec<Data> = Vec::new();
        for nth in 0..MAX_EVENTS {
            let answer = run.fx.event(at, nth, subscription, scope.deadline()).await?;
            let event = answer.result.map_err(Halt::Fault)?;
            let event = Data::from(event).of(Provenance::from(answer.from));
            if let Some(stop) = &mut stop
                && stop.takes(&event, input, scope)
            {
                if stop.complete() {
                    return Ok(Ok(heard));
                }
                continue;
            }
            if !hearing.takes(&event, input, scope) {
                continue;
            }
            let item = self.read(&event)?;
            let item = match &self.foreach {
                None => item,
                Some(foreach) => match foreach.each(run, scope, at, heard.len(), item).await? {
                    Ok(item) => item,
                    Err(end) => return Ok(Err(end)),
                },
            };
            heard.push(item);
            let enough = match until {
                None => hearing.complete(),
                Some(Until::Events(_)) => false,
                Some(Until::Condition(expr)) => {
                    let so_far = together(&heard)?;
                    run.eval(expr, &so_far, &scope.output(&so_far))?.is_true()
                }
            };
            if enough {
                return Ok(Ok(heard));
            }
        }
        let detail = format!("more than {MAX_EVENTS} events came, and the task still listens");
        Err(Halt::Fault(FlowError::runtime(detail)))
    }
}

fn together(items: &[Data]) -> Result<Data, Halt> {
    let (mut values, mut labels) = (Vec::with_capacity(items.len()), Labels::default());
    for item in items {
        labels = labels.union(&item.labels());
        values.push(item.clone().into_value().map_err(Halt::Fault)?);
    }
    Ok(Data::from(Value::Array(values)).of(Provenance::from(labels)))
}

impl Foreach {
    /// What is made of one event; or the end of the flow, when a task inside says so.
    async fn each(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        at: &Position,
        index: usize,
        item: Data,
    ) -> Result<Result<Data, End>, Halt> {
        let number = Data::from(Value::from(index)).of(item.labels());
        let scope = scope.named(&self.item, item.clone());
        let scope = scope.named(&self.at, number);
        let here = at.iteration(index);
        let made = match self.tasks.is_empty() {
            true => item,
            false => match run.list("foreach/do", &self.tasks, &scope, &here, item).await? {
                End::Done(data) | End::Exit(data) => data,
                end @ End::Flow(_) => return Ok(Err(end)),
            },
        };
        run.after(&self.output, &self.export, made, &scope, at.pointer()).map(Ok)
    }
}

impl Kind for Listen {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let subscription = self.to.subscription();
            let heard = self.listen(run, scope, at, &input, &subscription).await;
            // Whoever will not listen again says so; a run that is set aside goes on listening.
            if !matches!(heard, Err(Halt::Suspended | Halt::Cancelled)) {
                run.fx.unsubscribe(at).await?;
            }
            match heard? {
                Ok(heard) => Ok(Ran::done(together(&heard)?)),
                Err(end) => Ok(Ran { end, next: None }),
            }
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        let foreach = self.foreach.as_ref().is_some_and(|f| {
            [&f.output.as_, &f.export.as_].into_iter().flatten().any(|template| template.any(test))
        });
        foreach || self.to.any_expr(test)
    }
}

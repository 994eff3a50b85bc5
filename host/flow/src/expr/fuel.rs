//! What running one expression may cost, and the filters that count it.
//!
//! Steps, not time: a run must come out the same when it is replayed on a slower machine.

use jaq_core::box_iter::box_once;
use jaq_core::data::{DataT, HasLut};
use jaq_core::native::{Fun, bome, v};
use jaq_core::{Error, Exn, Lut, Native};
use jaq_json::{Num, Val};
use std::cell::Cell;

/// Steps that one evaluation may take.
pub(super) const STEPS: u64 = 500_000;
/// The longest string that an expression may make, in bytes.
pub(super) const MAX_STRING: usize = 16 * 1024 * 1024;
/// The longest array, and the largest object, that an expression may make.
const MAX_ITEMS: usize = 1_000_000;
/// The deepest value that an expression may make, or is given.
pub(super) const MAX_VALUE_DEPTH: usize = 256;
/// The longest integer that an expression may make, in bits.
const MAX_BITS: u64 = 4096;
/// The longest path (as `path(f)` gives it) that an expression may make, in steps.
const MAX_PATH: usize = 512;
/// Native stack that one evaluation may use, in bytes. The smallest stack that we run on is 2 MiB.
const MAX_STACK: usize = 512 * 1024;

/// What is left of an evaluation's allowance.
pub(super) struct Fuel {
    left: Cell<u64>,
    base: usize,
    spent: Cell<Option<&'static str>>,
}

/// An address near the top of the current stack frame.
#[inline(never)]
fn stack_address() -> usize {
    let here = 0u8;
    std::hint::black_box(&raw const here).addr()
}

impl Fuel {
    pub fn new() -> Self {
        Fuel { left: Cell::new(STEPS), base: stack_address(), spent: Cell::new(None) }
    }

    /// The limit that was hit, if one was. It holds even if the program caught the error.
    pub fn exhausted(&self) -> Option<&'static str> {
        self.spent.get()
    }

    fn refuse(&self, why: &'static str) -> Error<Val> {
        self.left.set(0);
        self.spent.set(Some(why));
        Error::str(why)
    }

    fn spend(&self, steps: u64) -> Result<(), Error<Val>> {
        if self.base.abs_diff(stack_address()) > MAX_STACK {
            return Err(self.refuse("the expression nests its calls too deeply"));
        }
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.refuse("the expression took more than 500000 steps")),
        }
    }

    /// A path is a linked list in jaq, which recurses when it is dropped.
    fn path(&self, steps: usize) -> Result<(), Error<Val>> {
        if steps > MAX_PATH {
            return Err(self.refuse("the expression made a path that is nested too deeply"));
        }
        Ok(())
    }

    /// Spends for a value that was just built, part by part: what is shared in memory counts as often as it is seen.
    fn built(&self, value: &Val) -> Result<(), Error<Val>> {
        let mut nodes = 0u64;
        let limit = self.left.get().saturating_mul(16);
        measure(value, 0, limit, &mut nodes).map_err(|why| self.refuse(why))?;
        self.spend(1 + nodes / 16)
    }

    fn grown(&self, value: &Val) -> Result<(), Error<Val>> {
        let (size, limit, rate) = match value {
            Val::TStr(b) | Val::BStr(b) => (b.len(), MAX_STRING, 512),
            Val::Arr(a) => (a.len(), MAX_ITEMS, 256),
            Val::Obj(o) => (o.len(), MAX_ITEMS, 256),
            _ => return Ok(()),
        };
        if size > limit {
            return Err(self.refuse("the expression made a value that is too large"));
        }
        self.spend(1 + (size / rate) as u64)
    }
}

fn measure(value: &Val, depth: usize, limit: u64, nodes: &mut u64) -> Result<(), &'static str> {
    *nodes += 1;
    if *nodes > limit {
        return Err("the expression took more than 500000 steps");
    }
    if depth > MAX_VALUE_DEPTH {
        return Err("the expression made a value that is nested too deeply");
    }
    match value {
        Val::Arr(items) => items.iter().try_for_each(|v| measure(v, depth + 1, limit, nodes)),
        Val::Obj(map) => map.iter().try_for_each(|(k, v)| {
            measure(k, depth + 1, limit, nodes)?;
            measure(v, depth + 1, limit, nodes)
        }),
        Val::TStr(b) | Val::BStr(b) => {
            *nodes += (b.len() / 128) as u64;
            if b.len() > MAX_STRING { Err("the expression made a value that is too large") } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// Our kind of data for jaq: its values, and our fuel beside its look-up table.
pub(super) struct Kind;

/// What filters see of an evaluation.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    pub lut: &'a Lut<Kind>,
    pub fuel: &'a Fuel,
}

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Env<'a>;
}

impl<'a> HasLut<'a, Kind> for Env<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.lut
    }
}

/// What a native's work grows with, seen from outside.
fn weight(value: &Val) -> u64 {
    match value {
        Val::TStr(b) | Val::BStr(b) => (b.len() / 64) as u64,
        Val::Arr(a) => (a.len() / 16) as u64,
        Val::Obj(o) => (o.len() / 16) as u64,
        _ => 0,
    }
}

/// A filter that passes its input on, also as a path and in updates, after `$spend(fuel, input)`.
macro_rules! passing {
    ($name:literal, $spend:expr) => {
        (
            $name,
            v(0),
            Native::<Kind>::new(|cv| {
                let spend: fn(&Fuel, &Val) -> Result<(), Error<Val>> = $spend;
                let spent = spend(cv.0.data().fuel, &cv.1);
                bome(spent.map(|()| cv.1))
            })
            .with_paths(|cv| {
                let spend: fn(&Fuel, &Val) -> Result<(), Error<Val>> = $spend;
                let fuel = cv.0.data().fuel;
                let steps = cv.1.1.iter().take(MAX_PATH + 1).count();
                let spent = spend(fuel, &cv.1.0).and_then(|()| fuel.path(steps));
                box_once(spent.map(|()| cv.1).map_err(Exn::from))
            })
            .with_update(|cv, f| {
                let spend: fn(&Fuel, &Val) -> Result<(), Error<Val>> = $spend;
                match spend(cv.0.data().fuel, &cv.1) {
                    Ok(()) => f(cv.1),
                    Err(e) => box_once(Err(Exn::from(e))),
                }
            }),
        )
    };
}

/// The filters that count.
pub(super) fn funs() -> Vec<Fun<Kind>> {
    vec![
        passing!("!tick", |fuel, _| fuel.spend(1)),
        passing!("!charge", |fuel, value| fuel.spend(1 + weight(value))),
        passing!("!built", |fuel, value| fuel.built(value)),
        passing!("!grown", |fuel, value| fuel.grown(value)),
        (
            "!mul",
            v(2),
            Native::<Kind>::new(|mut cv| {
                let r = cv.0.pop_var();
                let l = cv.0.pop_var();
                bome(may_multiply(cv.0.data().fuel, &l, &r).and_then(|()| l * r))
            }),
        ),
    ]
}

fn bits(value: &Val) -> u64 {
    match value {
        Val::Num(Num::BigInt(i)) => i.bits(),
        _ => 64,
    }
}

fn may_multiply(fuel: &Fuel, l: &Val, r: &Val) -> Result<(), Error<Val>> {
    match (l, r) {
        (Val::TStr(s) | Val::BStr(s), Val::Num(n)) | (Val::Num(n), Val::TStr(s) | Val::BStr(s)) => {
            let times = match n {
                Num::Int(i) => usize::try_from(*i).unwrap_or(0),
                Num::BigInt(_) => usize::MAX,
                _ => 0,
            };
            let size = s.len().saturating_mul(times);
            if size > MAX_STRING {
                return Err(fuel.refuse("the expression made a value that is too large"));
            }
            fuel.spend(1 + (size / 512) as u64)
        }
        (Val::Num(_), Val::Num(_)) if bits(l).saturating_add(bits(r)) > MAX_BITS => {
            Err(fuel.refuse("the expression made a number that is too large"))
        }
        _ => fuel.spend(1 + weight(l) + weight(r)),
    }
}

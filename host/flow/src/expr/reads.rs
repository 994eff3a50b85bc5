//! What the result of an expression is made of: worked out from its text once, and filled in with labels at each
//! evaluation.
//!
//! The parsed program becomes a small formula over the input, the variables and their members. It covers what flows
//! mostly write (paths, objects, sums, pipes, conditions, alternatives, assignments, strings) member by member. Of
//! everything else, such as calls of functions, the result is made of all that goes in. jq is pure, so nothing else can
//! be in a result. What a condition inside of an expression looks at counts as well.

use super::Data;
use factotum_provenance::{Labels, Provenance};
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};
use std::sync::Arc;

/// The most terms of a formula, those that stand in several places counted in each. A larger one is replaced by "all that
/// goes in".
const MAX_SIZE: usize = 1_000;
/// The deepest nesting of terms that is looked into.
const MAX_DEPTH: usize = 200;

/// A formula for where a result comes from.
#[derive(Debug)]
pub(super) struct Reads {
    kind: Kind,
    size: usize,
}

type Formula = Arc<Reads>;

#[derive(Debug)]
enum Kind {
    Nothing,
    /// The input, `.`.
    Dot,
    /// A variable from outside, with its `$`.
    Var(String),
    /// All variables that the expression uses.
    AllVars,
    Member(Formula, Arc<str>),
    /// All of each, as one.
    Whole(Vec<Formula>),
    /// Each part is that part of one of these.
    Join(Vec<Formula>),
    Object(Vec<(Arc<str>, Formula)>),
    /// The first, with another member.
    Set(Formula, Arc<str>, Formula),
    /// The first, made with the help of all of the second.
    And(Formula, Formula),
}

/// The formula became too large.
struct TooLarge;

type Built = Result<Formula, TooLarge>;

/// What names mean at one place of the program.
struct Env<'s> {
    dot: Formula,
    bound: Vec<(&'s str, Formula)>,
    depth: usize,
}

impl Reads {
    /// The formula of a whole expression.
    pub fn of(term: &Term<&str>) -> Reads {
        let mut env = Env { dot: leaf(Kind::Dot), bound: Vec::new(), depth: 0 };
        let built = env.term(term).ok().and_then(Arc::into_inner);
        built.unwrap_or_else(|| Reads {
            kind: Kind::Whole(vec![leaf(Kind::Dot), leaf(Kind::AllVars)]),
            size: 3,
        })
    }

    /// Where the result comes from. `names` and `values` are the variables that the expression uses.
    pub fn provenance(&self, dot: &Data, names: &[String], values: &[Data]) -> Provenance {
        if dot.provenance().is_empty() && values.iter().all(|value| value.provenance().is_empty()) {
            return Provenance::default();
        }
        self.eval(dot, names, values)
    }

    fn eval(&self, dot: &Data, names: &[String], values: &[Data]) -> Provenance {
        let total = |part: &Formula| part.eval(dot, names, values).total();
        match &self.kind {
            Kind::Nothing => Provenance::default(),
            Kind::Dot => dot.provenance().clone(),
            Kind::Var(name) => {
                let at = names.iter().position(|known| known == name.trim_start_matches('$'));
                match at.and_then(|at| values.get(at)) {
                    Some(value) => value.provenance().clone(),
                    // A name that is not among the expression's own cannot be; if it is, it may hold any of them.
                    None => all(values).into(),
                }
            }
            Kind::AllVars => all(values).into(),
            Kind::Member(of, key) => of.eval(dot, names, values).member(key),
            Kind::Whole(parts) => {
                parts.iter().fold(Labels::default(), |labels, part| labels.union(&total(part))).into()
            }
            Kind::Join(parts) => parts
                .iter()
                .fold(Provenance::default(), |joined, part| joined.join(&part.eval(dot, names, values))),
            Kind::Object(members) => Provenance::object(
                members.iter().map(|(key, part)| (Arc::clone(key), part.eval(dot, names, values))),
            ),
            Kind::Set(of, key, part) => {
                of.eval(dot, names, values).with_member(key, part.eval(dot, names, values))
            }
            Kind::And(of, with) => of.eval(dot, names, values).and(&total(with)),
        }
    }
}

/// All labels of some values.
pub(super) fn all(values: &[Data]) -> Labels {
    values.iter().fold(Labels::default(), |labels, value| labels.union(&value.provenance().total()))
}

fn leaf(kind: Kind) -> Formula {
    Arc::new(Reads { kind, size: 1 })
}

fn node(kind: Kind) -> Built {
    let parts = match &kind {
        Kind::Nothing | Kind::Dot | Kind::Var(_) | Kind::AllVars => 0,
        Kind::Member(of, _) => of.size,
        Kind::Whole(parts) | Kind::Join(parts) => parts.iter().map(|part| part.size).sum(),
        Kind::Object(members) => members.iter().map(|(_, part)| part.size).sum(),
        Kind::Set(of, _, with) | Kind::And(of, with) => of.size + with.size,
    };
    if parts >= MAX_SIZE { Err(TooLarge) } else { Ok(Arc::new(Reads { kind, size: parts + 1 })) }
}

/// The text of a string without expressions in it.
fn constant<'s>(term: &Term<&'s str>) -> Option<&'s str> {
    match term {
        Term::Str(None, parts) => match parts.as_slice() {
            [] => Some(""),
            [StrPart::Str(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The keys of `.a.b`.
fn keys<'s>(term: &Term<&'s str>) -> Option<Vec<&'s str>> {
    match term {
        Term::Path(head, path) if matches!(**head, Term::Id) => path
            .0
            .iter()
            .map(|(part, _)| match part {
                Part::Index(key) => constant(key),
                Part::Range(..) => None,
            })
            .collect(),
        _ => None,
    }
}

impl<'s> Env<'s> {
    fn term(&mut self, term: &Term<&'s str>) -> Built {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(TooLarge);
        }
        let built = self.shallow(term);
        self.depth -= 1;
        built
    }

    /// The formula of a term that runs on another input.
    fn on(&mut self, dot: Formula, term: &Term<&'s str>) -> Built {
        let outer = std::mem::replace(&mut self.dot, dot);
        let built = self.term(term);
        self.dot = outer;
        built
    }

    fn dot(&self) -> Formula {
        Arc::clone(&self.dot)
    }

    /// All that a term here can see.
    fn everything(&self) -> Built {
        let bound = self.bound.iter().map(|(_, formula)| Arc::clone(formula));
        node(Kind::Whole(bound.chain([self.dot(), leaf(Kind::AllVars)]).collect()))
    }

    /// All of the input and of what each term makes of any part of it.
    fn whole_with<'t>(&mut self, terms: impl IntoIterator<Item = &'t Term<&'s str>>) -> Built
    where
        's: 't,
    {
        let dot = node(Kind::Whole(vec![self.dot()]))?;
        let mut parts = vec![Arc::clone(&dot)];
        for term in terms {
            parts.push(self.on(Arc::clone(&dot), term)?);
        }
        node(Kind::Whole(parts))
    }

    fn shallow(&mut self, term: &Term<&'s str>) -> Built {
        match term {
            Term::Id => Ok(self.dot()),
            Term::Num(_) | Term::Break(_) | Term::Arr(None) => Ok(leaf(Kind::Nothing)),
            Term::Recurse => node(Kind::Whole(vec![self.dot()])),
            Term::Var(name) => Ok(match self.bound.iter().rev().find(|(known, _)| known == name) {
                Some((_, formula)) => Arc::clone(formula),
                None => leaf(Kind::Var((*name).to_owned())),
            }),
            Term::Str(_, parts) => {
                let mut built = Vec::new();
                for part in parts {
                    if let StrPart::Term(term) = part {
                        built.push(self.term(term)?);
                    }
                }
                node(Kind::Whole(built))
            }
            Term::Arr(Some(term)) | Term::Neg(term) => {
                let items = self.term(term)?;
                node(Kind::Whole(vec![items]))
            }
            Term::Obj(entries) => self.object(entries),
            Term::BinOp(l, op, r) => self.binary(l, op, r),
            Term::Label(_, term) | Term::TryCatch(term, None) => self.term(term),
            Term::TryCatch(term, Some(catch)) => {
                let tried = self.term(term)?;
                // A message may quote whatever the program saw.
                let message = self.everything()?;
                let caught = self.on(message, catch)?;
                node(Kind::Join(vec![tried, caught]))
            }
            Term::IfThenElse(cases, otherwise) => {
                let (mut conditions, mut results) = (Vec::new(), Vec::new());
                for (condition, result) in cases {
                    conditions.push(self.term(condition)?);
                    results.push(self.term(result)?);
                }
                results.push(match otherwise {
                    Some(term) => self.term(term)?,
                    None => self.dot(),
                });
                node(Kind::And(node(Kind::Join(results))?, node(Kind::Whole(conditions))?))
            }
            Term::Call(name, args) => self.call(name, args),
            Term::Path(head, path) => self.path(head, path),
            Term::Fold(..) | Term::Def(..) => self.everything(),
        }
    }

    fn object(&mut self, entries: &[(Term<&'s str>, Option<Term<&'s str>>)]) -> Built {
        let (mut members, mut computed) = (Vec::new(), Vec::new());
        for (key, value) in entries {
            match (key, constant(key), value) {
                (_, Some(key), Some(value)) => members.push((key.into(), self.term(value)?)),
                (_, Some(key), None) => {
                    members.push((key.into(), node(Kind::Member(self.dot(), key.into()))?))
                }
                (Term::Var(name), None, None) => {
                    members.push((name.trim_start_matches('$').into(), self.term(key)?));
                }
                (key, None, value) => {
                    computed.push(self.term(key)?);
                    computed.push(match value {
                        Some(value) => self.term(value)?,
                        None => self.dot(),
                    });
                }
            }
        }
        let object = node(Kind::Object(members))?;
        if computed.is_empty() { Ok(object) } else { node(Kind::And(object, node(Kind::Whole(computed))?)) }
    }

    fn binary(&mut self, l: &Term<&'s str>, op: &BinaryOp<&'s str>, r: &Term<&'s str>) -> Built {
        match op {
            BinaryOp::Pipe(None) => {
                let dot = self.term(l)?;
                self.on(dot, r)
            }
            BinaryOp::Pipe(Some(pattern)) => {
                let value = self.term(l)?;
                let before = self.bound.len();
                match pattern {
                    Pattern::Var(name) => self.bound.push((name, value)),
                    pattern => {
                        let all = node(Kind::Whole(vec![value, self.everything()?]))?;
                        bind_all(pattern, &all, &mut self.bound);
                    }
                }
                let built = self.term(r);
                self.bound.truncate(before);
                built
            }
            // Sums and products of objects take members of either; of all else, all of both.
            BinaryOp::Comma | BinaryOp::Alt | BinaryOp::Math(Math::Add | Math::Mul) => {
                let parts = vec![self.term(l)?, self.term(r)?];
                node(Kind::Join(parts))
            }
            BinaryOp::Or | BinaryOp::And | BinaryOp::Math(_) | BinaryOp::Cmp(_) => {
                let parts = vec![self.term(l)?, self.term(r)?];
                node(Kind::Whole(parts))
            }
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                self.assign(l, op, r)
            }
        }
    }

    fn assign(&mut self, l: &Term<&'s str>, op: &BinaryOp<&'s str>, r: &Term<&'s str>) -> Built {
        let Some(keys) = keys(l) else { return self.whole_with([l, r]) };
        let mut old = self.dot();
        for key in &keys {
            old = node(Kind::Member(old, (*key).into()))?;
        }
        let new = match op {
            BinaryOp::Assign => self.term(r)?,
            BinaryOp::Update => self.on(old, r)?,
            BinaryOp::UpdateAlt | BinaryOp::UpdateMath(Math::Add | Math::Mul) => {
                let with = self.term(r)?;
                node(Kind::Join(vec![old, with]))?
            }
            _ => {
                let with = self.term(r)?;
                node(Kind::Whole(vec![old, with]))?
            }
        };
        set(self.dot(), &keys, new)
    }

    fn call(&mut self, name: &'s str, args: &[Term<&'s str>]) -> Built {
        match (name, args) {
            ("true" | "false" | "null" | "empty" | "nan" | "infinite", []) => Ok(leaf(Kind::Nothing)),
            ("select", [condition]) => {
                let condition = self.term(condition)?;
                node(Kind::And(self.dot(), condition))
            }
            // What is not taken away stays where it is.
            ("del", [path]) if keys(path).is_some() => Ok(self.dot()),
            _ => self.whole_with(args),
        }
    }

    fn path(&mut self, head: &Term<&'s str>, path: &Path<Term<&'s str>>) -> Built {
        let mut value = self.term(head)?;
        for (part, _) in &path.0 {
            value = match part {
                Part::Index(key) => match constant(key) {
                    Some(key) => node(Kind::Member(value, key.into()))?,
                    None => {
                        let index = self.term(key)?;
                        node(Kind::Whole(vec![value, index]))?
                    }
                },
                Part::Range(from, to) => {
                    let mut parts = vec![value];
                    for end in [from, to].into_iter().flatten() {
                        parts.push(self.term(end)?);
                    }
                    node(Kind::Whole(parts))?
                }
            };
        }
        Ok(value)
    }
}

fn set(of: Formula, keys: &[&str], value: Formula) -> Built {
    let Some((key, below)) = keys.split_first() else { return Ok(value) };
    let member = node(Kind::Member(Arc::clone(&of), (*key).into()))?;
    let value = set(member, below, value)?;
    node(Kind::Set(of, (*key).into(), value))
}

fn bind_all<'s>(pattern: &Pattern<&'s str>, value: &Formula, bound: &mut Vec<(&'s str, Formula)>) {
    match pattern {
        Pattern::Var(name) => bound.push((name, Arc::clone(value))),
        Pattern::Arr(items) => items.iter().for_each(|item| bind_all(item, value, bound)),
        Pattern::Obj(entries) => {
            for (key, item) in entries {
                // `{$x: …}` binds `$x`, too.
                if let Term::Var(name) = key {
                    bound.push((name, Arc::clone(value)));
                }
                bind_all(item, value, bound);
            }
        }
    }
}

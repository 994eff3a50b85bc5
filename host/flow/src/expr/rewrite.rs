//! Rewrites a parsed jq program so that running it costs a bounded number of steps.
//!
//! jaq runs a program without asking anyone; a loop in it would hold a thread for ever, and a deep recursion would
//! overflow its stack. So every place that can repeat or grow gets one of our filters beside it, which counts:
//! `!tick` where outputs multiply or a definition calls itself, `!charge` before natives, `!built` after new values,
//! `!grown` after sums. The names start with `!`, which no program can write.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part, Path};
use std::collections::BTreeSet;

/// The deepest nesting of terms.
const MAX_TERM_DEPTH: usize = 200;
/// The most parts of one path, such as `.a.b[0]`.
const MAX_PATH_PARTS: usize = 100;
/// The variable that carries the right side of an arithmetic update.
const HELD: &str = "$!held";

/// Why a program was refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// Its terms are nested too deeply.
    TooDeep,
    /// A definition with function parameters calls itself: each call would wrap the parameter once more, and what is
    /// wrapped a million times overflows the stack when it is unwrapped.
    WrapsItself,
}

/// Rewrites terms, and notes what they call and which variables they leave open.
#[derive(Default)]
pub(super) struct Rewriter<'s> {
    /// Definitions around the current term: calling one is a recursion.
    enclosing: Vec<(&'s str, usize)>,
    /// Those of them that have function parameters.
    wrapping: Vec<(&'s str, usize)>,
    /// Functions that the program binds itself.
    local: Vec<(&'s str, usize)>,
    bound: Vec<&'s str>,
    depth: usize,
    /// Functions that must come from outside, with their arity.
    pub calls: BTreeSet<(&'s str, usize)>,
    /// Variables that must come from outside, with their `$`.
    pub vars: BTreeSet<&'s str>,
}

fn call(name: &str) -> Term<&str> {
    Term::Call(name, Vec::new())
}

fn pipe<'s>(l: Term<&'s str>, r: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(l), BinaryOp::Pipe(None), Box::new(r))
}

impl<'s> Rewriter<'s> {
    fn uses(&mut self, name: &'s str, arity: usize) {
        if !self.local.contains(&(name, arity)) {
            self.calls.insert((name, arity));
        }
    }

    fn after(&mut self, term: Term<&'s str>, filter: &'static str) -> Term<&'s str> {
        self.calls.insert((filter, 0));
        pipe(term, call(filter))
    }

    fn before(&mut self, filter: &'static str, term: Term<&'s str>) -> Term<&'s str> {
        self.calls.insert((filter, 0));
        pipe(call(filter), term)
    }

    fn boxed(&mut self, term: Term<&'s str>) -> Result<Box<Term<&'s str>>, Refused> {
        self.term(term).map(Box::new)
    }

    fn all(&mut self, terms: Vec<Term<&'s str>>) -> Result<Vec<Term<&'s str>>, Refused> {
        terms.into_iter().map(|t| self.term(t)).collect()
    }

    /// Rewrites a definition; `top` ones are visible to everyone and need not be noted as local.
    pub fn definition(&mut self, def: Def<&'s str>, top: bool) -> Result<Def<&'s str>, Refused> {
        let (locals, bound) = (self.local.len(), self.bound.len());
        let signature = (def.name, def.args.len());
        if !top {
            self.local.push(signature);
        }
        for arg in &def.args {
            if arg.starts_with('$') {
                self.bound.push(arg);
            } else {
                self.local.push((arg, 0));
            }
        }
        let wraps = def.args.iter().any(|arg| !arg.starts_with('$'));
        let wrapping = self.wrapping.len();
        if wraps {
            self.wrapping.push(signature);
        }
        self.enclosing.push(signature);
        let body = self.term(def.body);
        self.enclosing.pop();
        self.wrapping.truncate(wrapping);
        self.local.truncate(locals);
        self.bound.truncate(bound);
        Ok(Def { name: def.name, args: def.args, body: body? })
    }

    /// Rewrites a term.
    pub fn term(&mut self, term: Term<&'s str>) -> Result<Term<&'s str>, Refused> {
        self.depth += 1;
        if self.depth > MAX_TERM_DEPTH {
            return Err(Refused::TooDeep);
        }
        let term = self.shallow(term);
        self.depth -= 1;
        term
    }

    fn shallow(&mut self, term: Term<&'s str>) -> Result<Term<&'s str>, Refused> {
        Ok(match term {
            Term::Id | Term::Num(_) | Term::Break(_) => term,
            Term::Recurse => self.after(Term::Recurse, "!tick"),
            Term::Var(name) => {
                if !self.bound.contains(&name) {
                    self.vars.insert(name);
                }
                Term::Var(name)
            }
            Term::Str(format, parts) => {
                let grows = parts.iter().any(|p| matches!(p, StrPart::Term(_)));
                let text = self.text(format, parts)?;
                if grows { self.after(text, "!built") } else { text }
            }
            Term::Arr(None) => Term::Arr(None),
            Term::Arr(Some(items)) => {
                let items = self.boxed(*items)?;
                self.after(Term::Arr(Some(items)), "!built")
            }
            Term::Obj(entries) => self.object(entries)?,
            Term::Neg(t) => Term::Neg(self.boxed(*t)?),
            Term::BinOp(l, op, r) => self.binary(*l, op, *r)?,
            Term::Label(name, t) => Term::Label(name, self.boxed(*t)?),
            Term::Fold(name, source, pattern, args) => self.fold(name, *source, pattern, args)?,
            Term::TryCatch(t, None) => Term::TryCatch(self.boxed(*t)?, None),
            Term::TryCatch(t, Some(c)) => Term::TryCatch(self.boxed(*t)?, Some(self.boxed(*c)?)),
            Term::IfThenElse(cases, otherwise) => {
                let cases = cases
                    .into_iter()
                    .map(|(i, t)| Ok((self.term(i)?, self.term(t)?)))
                    .collect::<Result<_, Refused>>()?;
                let otherwise = otherwise.map(|t| self.boxed(*t)).transpose()?;
                Term::IfThenElse(cases, otherwise)
            }
            Term::Def(defs, then) => {
                let locals = self.local.len();
                let mut rewritten = Vec::with_capacity(defs.len());
                for def in defs {
                    let signature = (def.name, def.args.len());
                    rewritten.push(self.definition(def, false)?);
                    self.local.push(signature);
                }
                let then = self.boxed(*then);
                self.local.truncate(locals);
                Term::Def(rewritten, then?)
            }
            Term::Call(name, args) => self.call(name, args)?,
            Term::Path(head, path) => self.path(*head, path)?,
        })
    }

    fn text(
        &mut self,
        format: Option<&'s str>,
        parts: Vec<StrPart<&'s str, Term<&'s str>>>,
    ) -> Result<Term<&'s str>, Refused> {
        if let Some(format) = format {
            self.uses(format, 0);
        }
        let parts = parts
            .into_iter()
            .map(|part| {
                Ok(match part {
                    StrPart::Term(t) => StrPart::Term(self.term(t)?),
                    other => other,
                })
            })
            .collect::<Result<_, Refused>>()?;
        Ok(Term::Str(format, parts))
    }

    fn object(
        &mut self,
        entries: Vec<(Term<&'s str>, Option<Term<&'s str>>)>,
    ) -> Result<Term<&'s str>, Refused> {
        if entries.is_empty() {
            return Ok(Term::Obj(entries));
        }
        let mut rewritten = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            // `{$x}` and `{"a"}` need their key as it is written: its shape says what the value is.
            let key = match (key, &value) {
                (Term::Str(format, parts), _) => self.text(format, parts)?,
                (key, _) => self.term(key)?,
            };
            let value = value.map(|v| self.term(v)).transpose()?;
            rewritten.push((key, value));
        }
        Ok(self.after(Term::Obj(rewritten), "!built"))
    }

    fn binary(
        &mut self,
        l: Term<&'s str>,
        op: BinaryOp<&'s str>,
        r: Term<&'s str>,
    ) -> Result<Term<&'s str>, Refused> {
        match op {
            BinaryOp::Pipe(Some(pattern)) => {
                let l = self.boxed(l)?;
                let bound = self.bound.len();
                let pattern = self.pattern(pattern)?;
                let r = self.boxed(r);
                self.bound.truncate(bound);
                Ok(Term::BinOp(l, BinaryOp::Pipe(Some(pattern)), r?))
            }
            BinaryOp::Comma => {
                let (l, r) = (self.boxed(l)?, self.term(r)?);
                let r = self.before("!tick", r);
                Ok(Term::BinOp(l, BinaryOp::Comma, Box::new(r)))
            }
            BinaryOp::Math(op @ (Math::Add | Math::Mul)) => {
                let (l, r) = (self.term(l)?, self.term(r)?);
                Ok(self.math(l, op, r))
            }
            BinaryOp::UpdateMath(op @ (Math::Add | Math::Mul)) => {
                let (l, r) = (self.boxed(l)?, self.boxed(r)?);
                let step = self.math(Term::Id, op, Term::Var(HELD));
                let update = Term::BinOp(l, BinaryOp::Update, Box::new(step));
                Ok(Term::BinOp(r, BinaryOp::Pipe(Some(Pattern::Var(HELD))), Box::new(update)))
            }
            op => Ok(Term::BinOp(self.boxed(l)?, op, self.boxed(r)?)),
        }
    }

    /// A sum is made by jaq, which appends in place, and checked afterwards; a product (`"x" * 1e9`) must be checked before.
    fn math(&mut self, l: Term<&'s str>, op: Math, r: Term<&'s str>) -> Term<&'s str> {
        if op == Math::Mul {
            self.calls.insert(("!mul", 2));
            return Term::Call("!mul", vec![l, r]);
        }
        self.after(Term::BinOp(Box::new(l), BinaryOp::Math(op), Box::new(r)), "!grown")
    }

    fn fold(
        &mut self,
        name: &'s str,
        source: Term<&'s str>,
        pattern: Pattern<&'s str>,
        args: Vec<Term<&'s str>>,
    ) -> Result<Term<&'s str>, Refused> {
        let source = self.boxed(source)?;
        let bound = self.bound.len();
        let mut args = args.into_iter();
        let mut rewritten = Vec::with_capacity(3);
        if let Some(start) = args.next() {
            rewritten.push(self.term(start)?);
        }
        let pattern = self.pattern(pattern)?;
        for (i, arg) in args.enumerate() {
            let arg = self.term(arg)?;
            rewritten.push(if i == 0 { self.before("!tick", arg) } else { arg });
        }
        self.bound.truncate(bound);
        Ok(Term::Fold(name, source, pattern, rewritten))
    }

    fn pattern(&mut self, pattern: Pattern<&'s str>) -> Result<Pattern<&'s str>, Refused> {
        Ok(match pattern {
            Pattern::Var(name) => {
                self.bound.push(name);
                Pattern::Var(name)
            }
            Pattern::Arr(items) => {
                Pattern::Arr(items.into_iter().map(|p| self.pattern(p)).collect::<Result<_, _>>()?)
            }
            Pattern::Obj(entries) => Pattern::Obj(
                entries
                    .into_iter()
                    .map(|(key, p)| {
                        // `{$x}` in a pattern binds `$x`: the key is the variable itself.
                        let key = match key {
                            Term::Var(name) => {
                                self.bound.push(name);
                                Term::Var(name)
                            }
                            key => self.term(key)?,
                        };
                        Ok((key, self.pattern(p)?))
                    })
                    .collect::<Result<_, Refused>>()?,
            ),
        })
    }

    fn call(&mut self, name: &'s str, args: Vec<Term<&'s str>>) -> Result<Term<&'s str>, Refused> {
        let arity = args.len();
        let args = self.all(args)?;
        self.uses(name, arity);
        let term = Term::Call(name, args);
        if self.wrapping.contains(&(name, arity)) {
            return Err(Refused::WrapsItself);
        }
        if self.enclosing.contains(&(name, arity)) {
            // In front, so that a tail call stays one.
            return Ok(self.before("!tick", term));
        }
        if self.local.contains(&(name, arity)) {
            return Ok(term);
        }
        Ok(match name {
            "range" => self.after(term, "!tick"),
            _ => self.before("!charge", term),
        })
    }

    fn path(&mut self, head: Term<&'s str>, path: Path<Term<&'s str>>) -> Result<Term<&'s str>, Refused> {
        if path.0.len() > MAX_PATH_PARTS {
            return Err(Refused::TooDeep);
        }
        let head = self.boxed(head)?;
        let mut iterates = false;
        let parts = path
            .0
            .into_iter()
            .map(|(part, opt): (Part<_>, Opt)| {
                let part = match part {
                    Part::Index(t) => Part::Index(self.term(t)?),
                    Part::Range(from, to) => {
                        iterates |= from.is_none() && to.is_none();
                        Part::Range(
                            from.map(|t| self.term(t)).transpose()?,
                            to.map(|t| self.term(t)).transpose()?,
                        )
                    }
                };
                Ok((part, opt))
            })
            .collect::<Result<_, Refused>>()?;
        let term = Term::Path(head, Path(parts));
        Ok(if iterates { self.after(term, "!tick") } else { term })
    }
}

//! Runtime expressions: jq, compiled when a flow is deployed and run without any way out.
//!
//! What is bounded, per evaluation: steps (so loops end), native stack, the size of strings, arrays, objects and
//! integers that are made, and the nesting of values. Bounds count steps, never time, so that a replay ends alike.
//! What is only bounded loosely: one native call works on its whole input (a sort, a regular expression, a
//! comparison), so its time grows with the data that the caller let in. Regular expressions cannot backtrack.

mod convert;
mod fuel;
mod prelude;
mod reads;
mod rewrite;
mod template;

pub(crate) use convert::Data;
pub(crate) use template::{Template, clause, template};

use crate::decode::{At, Decoder, did_you_mean, shorten};
use factotum_provenance::Labels;
use fuel::{Env, Fuel, Kind};
use jaq_core::load::lex::{Lexer, Token};
use jaq_core::load::parse::{Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader, lex::StrPart};
use jaq_core::path::{Opt, Part};
use jaq_core::{Ctx, Filter, Vars as JaqVars};
use prelude::Prelude;
use reads::Reads;
use rewrite::{Refused, Rewriter};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The definition that holds a whole expression; no expression can call it, because it is not in the prelude.
const MAIN: &str = "flow_expression_main";
/// The longest expression, in bytes.
const MAX_EXPRESSION: usize = 16 * 1024;

/// The variables that an expression may use, without their `$`.
#[derive(Clone, Debug)]
pub(crate) struct Vars(Arc<Vec<String>>);

impl Vars {
    pub fn new(names: &[&str]) -> Self {
        Vars(Arc::new(names.iter().map(|n| (*n).to_owned()).collect()))
    }

    /// The same and some more.
    pub fn with(&self, names: &[&str]) -> Self {
        let mut all = (*self.0).clone();
        for name in names {
            if !self.has(name) {
                all.push((*name).to_owned());
            }
        }
        Vars(Arc::new(all))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|n| n == name)
    }
}

/// A compiled expression.
pub(crate) struct Expr {
    source: String,
    /// The variables that it uses, without `$`, in the order that jaq binds them.
    vars: Vec<String>,
    plan: Plan,
    reads: Reads,
}

enum Plan {
    Identity,
    /// `.a.b` or `$x.a.b`, which needs no jq; and the filter, for values that jaq already holds.
    Path(Vec<String>, Filter<Kind>),
    Jaq(Filter<Kind>),
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expr").field(&self.source).finish()
    }
}

/// Why an evaluation gave nothing.
#[derive(Debug)]
pub(crate) struct Failure {
    pub message: String,
    /// Where what the message may quote comes from.
    pub from: Labels,
}

impl Failure {
    fn new(message: String, dot: &Data, vars: &[Data]) -> Self {
        Failure { message, from: dot.labels().union(&reads::all(vars)) }
    }
}

/// Why an expression was refused.
pub(crate) struct Refusal {
    pub message: String,
    pub hint: Option<String>,
}

impl Refusal {
    fn new(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Refusal { message: message.into(), hint: hint.into() }
    }
}

/// Whether a string is an expression as a whole: `${ … }`.
pub(crate) fn is_expression(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("${") && text.ends_with('}')
}

/// The program inside `${ … }`, or the text itself.
fn strip(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("${").and_then(|t| t.strip_suffix('}')).map_or(text, str::trim)
}

/// Decodes a string that is an expression, with or without `${ … }` around it.
pub(crate) fn decode(d: &mut Decoder<'_>, at: &At<'_>, vars: &Vars) -> Option<Expr> {
    let text = d.text(at)?;
    match Expr::compile(text, vars) {
        Ok(expr) => Some(expr),
        Err(refusal) => {
            d.error_mark(at.node.mark, &at.path, refusal.message, refusal.hint);
            None
        }
    }
}

impl Expr {
    /// Compiles an expression. Call it on a thread with a large stack: jaq's parser recurses.
    pub fn compile(text: &str, known: &Vars) -> Result<Expr, Refusal> {
        let code = strip(text);
        if code.len() > MAX_EXPRESSION {
            let message = format!("the expression has {} bytes; the most is {MAX_EXPRESSION}", code.len());
            return Err(Refusal::new(message, None));
        }
        let term = parse(code)?;
        let path = simple_path(&term);
        let reads = Reads::of(&term);
        let mut rewriter = Rewriter::default();
        let body = rewriter.term(term).map_err(|refused| match refused {
            Refused::TooDeep => Refusal::new(
                "the expression is nested too deeply",
                Some("split it over several tasks".into()),
            ),
            Refused::WrapsItself => Refusal::new(
                "a definition with function parameters calls itself",
                Some("put the recursion into a `def` without parameters inside it".into()),
            ),
        })?;
        let (mut calls, vars) = (rewriter.calls, rewriter.vars);
        check_vars(&vars, known)?;
        check_calls(&calls)?;
        let defs = Prelude::get().needed(&mut calls);
        let mut defs: Vec<Def<&str>> = defs;
        defs.push(Def { name: MAIN, args: Vec::new(), body });
        let arena = Arena::default();
        let modules = Loader::new(defs)
            .load(&arena, File { code: MAIN, path: () })
            .map_err(|_| Refusal::new("the expression could not be loaded", None))?;
        let filter = jaq_core::Compiler::default()
            .with_global_vars(vars.iter().copied())
            .with_funs(prelude::natives(&calls))
            .compile(modules)
            .map_err(|errors| Refusal::new(undefined(&errors), None))?;
        let vars: Vec<String> = vars.iter().map(|v| v.trim_start_matches('$').to_owned()).collect();
        let plan = match path {
            Some(keys) if keys.is_empty() && vars.is_empty() => Plan::Identity,
            Some(keys) => Plan::Path(keys, filter),
            None => Plan::Jaq(filter),
        };
        Ok(Expr { source: code.to_owned(), vars, plan, reads })
    }

    /// The program, as written, without `${ }`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the program uses `$name`.
    pub fn uses(&self, name: &str) -> bool {
        self.vars.iter().any(|v| v == name)
    }

    /// Runs the program on `dot`. No output counts as null; more than one is an error.
    pub fn eval(&self, dot: &Data, lookup: &dyn Fn(&str) -> Option<Data>) -> Result<Data, Failure> {
        let filter = match &self.plan {
            Plan::Identity => return Ok(dot.clone()),
            Plan::Path(keys, filter) => {
                let head = match self.vars.first() {
                    Some(name) => &lookup(name).unwrap_or_default(),
                    None => dot,
                };
                if keys.is_empty() {
                    return Ok(head.clone());
                }
                if let Some(json) = head.json_at_hand()
                    && let Some(found) = follow(json, keys)
                {
                    let mut from = head.provenance().clone();
                    for key in keys.iter().take_while(|_| !head.provenance().is_empty()) {
                        from = from.member(key);
                    }
                    return Ok(Data::from(found.clone()).of(from));
                }
                filter
            }
            Plan::Jaq(filter) => filter,
        };
        let vars: Vec<Data> = self.vars.iter().map(|name| lookup(name).unwrap_or_default()).collect();
        let fail = |message: String| Failure::new(message, dot, &vars);
        let values = vars.iter().map(Data::val).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let input = dot.val().map_err(fail)?;
        // jaq has a few arithmetic corners that panic; none of them may take the host down.
        catch_unwind(AssertUnwindSafe(|| run(filter, values, input)))
            .unwrap_or_else(|_| Err("the expression failed inside jq".into()))
            .map(|value| Data::from(value).of(self.reads.provenance(dot, &self.vars, &vars)))
            .map_err(|e| fail(shorten(&e, 500)))
    }
}

fn run(filter: &Filter<Kind>, vars: Vec<jaq_json::Val>, dot: jaq_json::Val) -> Result<jaq_json::Val, String> {
    let fuel = Fuel::new();
    let env = Env { lut: &filter.lut, fuel: &fuel };
    let ctx = Ctx::<Kind>::new(env, JaqVars::new(vars));
    let mut outputs = filter.id.run((ctx, dot));
    let first = outputs.next();
    let more = matches!(first, Some(Ok(_))) && outputs.next().is_some();
    drop(outputs);
    if let Some(limit) = fuel.exhausted() {
        return Err(limit.into());
    }
    match first {
        None => Ok(jaq_json::Val::Null),
        Some(Ok(_)) if more => Err("the expression gave more than one result; collect them with [ ]".into()),
        Some(Ok(value)) => Ok(value),
        Some(Err(exn)) => {
            Err(exn.get_err().map_or_else(|_| "the expression broke off".into(), |e| e.to_string()))
        }
    }
}

/// Follows keys through objects; nothing when jq itself must say what comes out.
fn follow<'v>(mut value: &'v Value, keys: &[String]) -> Option<&'v Value> {
    for key in keys {
        value = value.as_object()?.get(key)?;
    }
    Some(value)
}

/// The keys of `.a.b` or `$x.a.b`.
fn simple_path(term: &Term<&str>) -> Option<Vec<String>> {
    match term {
        Term::Id | Term::Var(_) => Some(Vec::new()),
        Term::Path(head, path) if matches!(**head, Term::Id | Term::Var(_)) => {
            path.0.iter().map(|(part, opt)| simple_key(part, *opt)).collect()
        }
        _ => None,
    }
}

fn simple_key(part: &Part<Term<&str>>, opt: Opt) -> Option<String> {
    match (part, opt) {
        (Part::Index(Term::Str(None, parts)), Opt::Essential) => match parts.as_slice() {
            [StrPart::Str(key)] => Some((*key).to_owned()),
            _ => None,
        },
        _ => None,
    }
}

fn parse(code: &str) -> Result<Term<&str>, Refusal> {
    let near = |text: &str| match text.trim() {
        "" => "at its end".to_owned(),
        text => format!("at `{}`", shorten(text, 30)),
    };
    if code.is_empty() {
        return Err(Refusal::new("the expression is empty", None));
    }
    let tokens = Lexer::new(code).lex().map_err(|errors| {
        let said = errors
            .first()
            .map(|(expected, found)| format!("{}: expected {}", near(found), expected.as_str()));
        Refusal::new(format!("this is not jq, {}", said.unwrap_or_default()), None)
    })?;
    Parser::new(&tokens).parse(|p| p.term()).map_err(|errors| {
        let said = errors.first().map(|(expected, found)| {
            format!("{}: expected {}", near(Token::opt_as_str(*found, code)), expected.as_str())
        });
        Refusal::new(format!("this is not jq, {}", said.unwrap_or_default()), None)
    })
}

fn check_vars(used: &std::collections::BTreeSet<&str>, known: &Vars) -> Result<(), Refusal> {
    for var in used {
        let name = var.trim_start_matches('$');
        if known.has(name) {
            continue;
        }
        let hint = match name {
            "secrets" => "an expression never sees a secret; name it in the plugin's grant".into(),
            "ENV" => "an expression cannot reach the process".into(),
            "output" => "the output is known in `output.as` and `export.as` only".into(),
            _ => did_you_mean(name, known.0.iter().map(String::as_str)).unwrap_or_else(|| {
                let names: Vec<String> = known.0.iter().map(|n| format!("${n}")).collect();
                format!("known here: {}", names.join(", "))
            }),
        };
        return Err(Refusal::new(format!("{var} is not known here"), hint));
    }
    Ok(())
}

fn check_calls(calls: &std::collections::BTreeSet<(&str, usize)>) -> Result<(), Refusal> {
    let prelude = Prelude::get();
    for (name, arity) in calls {
        if prelude.has(name, *arity) || prelude::is_native(name, *arity) {
            continue;
        }
        let hint = match *name {
            "now" => "the clock differs on a replay; use $workflow.startedAt or $task.startedAt".into(),
            "localtime" | "strflocaltime" => {
                "the host's time zone must not matter; use gmtime or strftime".into()
            }
            name if prelude::FORBIDDEN.contains(&name) => "an expression cannot reach the process".into(),
            name => did_you_mean(name, prelude.names())
                .unwrap_or_else(|| "see the jq manual for its functions".into()),
        };
        let name = shorten(name, 60);
        return Err(Refusal::new(format!("there is no function {name}/{arity} here"), hint));
    }
    Ok(())
}

fn undefined(errors: &jaq_core::compile::Errors<&str, ()>) -> String {
    let first = errors.iter().flat_map(|(_, errors)| errors).next();
    match first {
        Some((name, what)) => format!("{} {name} is not defined", what.as_str()),
        None => "the expression could not be compiled".into(),
    }
}

#[cfg(test)]
mod tests;

//! Which events fit: the filters of `listen`, of a schedule's `on`, and how they are combined.
//!
//! ```yaml
//! any:
//! - with: { type: com.example.payment.received, source: 'https://pay\.example/.*' }
//!   correlate:
//!     order: { from: .data.order, expect: '${ .order }' }
//! ```
//!
//! In `with`, a text is compared as it is; one that has a regular expression's signs must match as a whole. An
//! expression sees the attribute as `.` (for `data`, the event's data): true and false decide, any other result must be
//! equal. In `correlate`, `from` sees the whole event. A filter whose expression fails does not fit: what a stranger
//! sends must not end a run.

use crate::decode::{At, Decoder, shorten};
use crate::expr::{self, Data, Expr, Template, Vars, is_expression};
use crate::run::Subscription;
use crate::yaml::Kind;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// The memory that a compiled pattern may take, in bytes.
const MAX_PATTERN: usize = 256 * 1024;
/// Filters in one strategy.
const MAX_FILTERS: usize = 100;

/// Looks a variable up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<Data>;

/// What an event must be like.
#[derive(Debug)]
pub(crate) struct Filter {
    with: Vec<(String, Want)>,
    correlate: Vec<Correlation>,
}

#[derive(Debug)]
enum Want {
    Text(String),
    Pattern(Regex),
    Value(Template),
    Expr(Expr),
}

#[derive(Debug)]
struct Correlation {
    name: String,
    from: Expr,
    expect: Option<Template>,
}

/// Which events, and how many of them.
#[derive(Debug)]
pub(crate) enum Strategy {
    /// One that fits.
    One(Filter),
    /// The first that fits one of them, or all that do until the end; no filter fits every event.
    Any(Vec<Filter>, Option<Until>),
    /// One for each filter, in any order.
    All(Vec<Filter>),
}

/// When `any` has heard enough.
#[derive(Debug)]
pub(crate) enum Until {
    /// When this holds of what was read so far.
    Condition(Expr),
    /// When these have come.
    Events(Box<Strategy>),
}

/// Values that were extracted first, and that later events must repeat, by the correlation's name.
pub(crate) type Correlated = BTreeMap<String, Value>;

/// Decodes an event consumption strategy; `until` sees `vars` too.
pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Strategy> {
    let object = d.object(at, &["one", "any", "all", "until"])?;
    let words: Vec<&str> = ["one", "any", "all"].into_iter().filter(|word| object.has(word)).collect();
    let [word] = words.as_slice() else {
        d.error_hint(&object.at, "events are chosen by one of `one`, `any` and `all`", "write one of them");
        return None;
    };
    if *word != "any"
        && let Some(until) = object.get("until")
    {
        d.error_hint(&until, "`until` goes with `any` only", "leave it out, or choose with `any`");
        return None;
    }
    let at = d.required(&object, word)?;
    if *word == "one" {
        return filter(d, at, vars).map(Strategy::One);
    }
    let items = d.list(&at)?;
    if items.len() > MAX_FILTERS {
        d.error(&at, format!("at most {MAX_FILTERS} filters are read"));
        return None;
    }
    if *word == "all" && items.is_empty() {
        d.error(&at, "`all` of nothing would wait for nothing");
        return None;
    }
    let filters: Vec<Option<Filter>> =
        items.iter().enumerate().map(|(i, item)| filter(d, at.child(&i.to_string(), item), vars)).collect();
    let until = object.get("until").map(|at| match &at.node.kind {
        Kind::Text(_) => expr::decode(d, &at, vars).map(Until::Condition),
        _ => {
            let strategy = decode(d, at.clone(), vars)?;
            if matches!(&strategy, Strategy::Any(_, Some(_))) {
                d.error(&at, "the events of an `until` have no `until` of their own");
                return None;
            }
            Some(Until::Events(Box::new(strategy)))
        }
    });
    let filters = filters.into_iter().collect::<Option<Vec<_>>>()?;
    let until = crate::task::flat(until)?;
    Some(if *word == "all" { Strategy::All(filters) } else { Strategy::Any(filters, until) })
}

fn filter(d: &mut Decoder<'_>, at: At<'_>, vars: &Vars) -> Option<Filter> {
    let object = d.object(at, &["with", "correlate"])?;
    let with = d.required(&object, "with").and_then(|at| d.map(at))?;
    if with.entries().is_empty() {
        d.error_hint(
            &with.at,
            "a filter needs at least one attribute",
            "for example `type: com.example.order.placed`",
        );
        return None;
    }
    let wants: Vec<Option<(String, Want)>> = with
        .entries()
        .iter()
        .map(|entry| {
            let at = with.at.entry(entry);
            attribute_name(d, &at, &entry.key)?;
            attribute(d, &at, &entry.key)?;
            want(d, &at, &entry.key, vars).map(|want| (entry.key.clone(), want))
        })
        .collect();
    let correlate = object.get("correlate").map(|at| {
        let map = d.map(at)?;
        let all: Vec<Option<Correlation>> =
            map.entries().iter().map(|e| correlation(d, map.at.entry(e), &e.key, vars)).collect();
        all.into_iter().collect::<Option<Vec<_>>>()
    });
    Some(Filter {
        with: wants.into_iter().collect::<Option<_>>()?,
        correlate: crate::task::flat(correlate)?.unwrap_or_default(),
    })
}

/// A CloudEvents attribute's name: lower-case letters and digits (CloudEvents 1.0, "Attribute Naming Convention").
pub(crate) fn attribute_name(d: &mut Decoder<'_>, at: &At<'_>, name: &str) -> Option<()> {
    let fine =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !fine {
        let message = format!("\"{}\" cannot name an attribute of an event", shorten(name, 60));
        d.error_hint(at, message, "lower-case letters and digits, as in datacontenttype");
        return None;
    }
    Some(())
}

/// The attributes of CloudEvents 1.0 are texts; `source` and `dataschema` name something by a URI.
pub(crate) fn attribute(d: &mut Decoder<'_>, at: &At<'_>, name: &str) -> Option<()> {
    if !matches!(name, "id" | "source" | "type" | "subject" | "time" | "datacontenttype" | "dataschema") {
        return Some(());
    }
    let text = d.text(at)?;
    if matches!(name, "source" | "dataschema") && !is_expression(text) && !is_uri(text) {
        let message = format!("`{name}` must be an absolute URI or an expression");
        d.error_hint(at, message, "for example https://desk.example.com/intake");
        return None;
    }
    Some(())
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn want(d: &mut Decoder<'_>, at: &At<'_>, name: &str, vars: &Vars) -> Option<Want> {
    match &at.node.kind {
        Kind::Text(text) if is_expression(text) => expr::decode(d, at, vars).map(Want::Expr),
        _ if name == "data" => expr::template(d, at, vars).map(Want::Value),
        Kind::Text(text) if text.contains("${") => expr::template(d, at, vars).map(Want::Value),
        Kind::Text(text)
            if text.contains(['\\', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$']) =>
        {
            let whole = format!("^(?:{text})$");
            match regex::RegexBuilder::new(&whole).size_limit(MAX_PATTERN).build() {
                Ok(pattern) => Some(Want::Pattern(pattern)),
                Err(error) => {
                    let said = error.to_string();
                    let said = said.lines().last().unwrap_or("").trim().trim_start_matches("error: ");
                    d.error_hint(
                        at,
                        format!("this is not a regular expression: {}", shorten(said, 200)),
                        "put a \\ before signs that stand for themselves",
                    );
                    None
                }
            }
        }
        Kind::Text(text) => Some(Want::Text(text.clone())),
        Kind::Number(_) | Kind::Bool(_) => expr::template(d, at, vars).map(Want::Value),
        _ => {
            d.error(at, format!("an attribute is a text, a number or a boolean, not {}", at.node.describe()));
            None
        }
    }
}

fn correlation(d: &mut Decoder<'_>, at: At<'_>, name: &str, vars: &Vars) -> Option<Correlation> {
    let object = d.object(at, &["from", "expect"])?;
    let from = d.required(&object, "from").and_then(|at| expr::decode(d, &at, vars));
    let expect = object.get("expect").map(|at| d.text(&at).and_then(|_| expr::template(d, &at, vars)));
    Some(Correlation { name: name.to_owned(), from: from?, expect: crate::task::flat(expect)? })
}

impl Filter {
    /// The attributes that must be equal as text, for the host's index.
    fn exact(&self) -> BTreeMap<String, String> {
        let exact = self.with.iter().filter_map(|(name, want)| match want {
            Want::Text(text) => Some((name.clone(), text.clone())),
            _ => None,
        });
        exact.collect()
    }

    /// Whether an event fits; `dot` is what `expect` sees. Takes down what was extracted first when it does.
    pub fn fits(&self, event: &Data, dot: &Data, lookup: Lookup<'_>, first: &mut Correlated) -> bool {
        let Ok(json) = event.json() else { return false };
        let whole = self.with.iter().all(|(name, want)| want.fits(name, json.get(name), event, lookup));
        if !whole {
            return false;
        }
        let mut extracted = Vec::new();
        for correlation in &self.correlate {
            let Ok(Ok(value)) = correlation.from.eval(event, lookup).map(Data::into_json) else {
                return false;
            };
            if value.is_null() {
                return false;
            }
            let fits = match (&correlation.expect, first.get(&correlation.name)) {
                (Some(expect), _) => match expect.eval(dot, lookup).map(Data::into_json) {
                    Ok(Ok(expected)) => same(&expected, &value),
                    _ => false,
                },
                (None, Some(before)) => *before == value,
                (None, None) => {
                    extracted.push((correlation.name.clone(), value));
                    true
                }
            };
            if !fits {
                return false;
            }
        }
        first.extend(extracted);
        true
    }

    /// Whether it compares with what came before, which only a listening task has.
    fn remembers(&self) -> bool {
        self.correlate.iter().any(|c| c.expect.is_none())
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.with.iter().any(|(_, want)| match want {
            Want::Expr(expr) => test(expr),
            Want::Value(template) => template.any(test),
            Want::Text(_) | Want::Pattern(_) => false,
        }) || self
            .correlate
            .iter()
            .any(|c| test(&c.from) || c.expect.as_ref().is_some_and(|template| template.any(test)))
    }
}

/// A constant in a document is a text, where the event may have a number.
fn same(expected: &Value, value: &Value) -> bool {
    expected == value
        || match (expected, value) {
            (Value::String(text), Value::Number(_) | Value::Bool(_)) => written(value) == text.as_str(),
            _ => false,
        }
}

/// A value as JSON writes it.
fn written(value: &Value) -> String {
    value.to_string()
}

impl Want {
    fn fits(&self, name: &str, value: Option<&Value>, event: &Data, lookup: Lookup<'_>) -> bool {
        let part = || Data::from(value.cloned().unwrap_or_default()).of(event.provenance().member(name));
        match self {
            Want::Text(text) => value.is_some_and(|value| match value {
                Value::String(value) => value == text,
                other => written(other) == text.as_str(),
            }),
            Want::Pattern(pattern) => {
                value.and_then(Value::as_str).is_some_and(|value| pattern.is_match(value))
            }
            Want::Value(template) => {
                value.is_some()
                    && matches!(template.eval(&part(), lookup).map(Data::into_json), Ok(Ok(wanted)) if Some(&wanted) == value)
            }
            Want::Expr(expr) => match expr.eval(&part(), lookup).map(Data::into_json) {
                Ok(Ok(Value::Bool(decided))) => decided,
                Ok(Ok(wanted)) => value == Some(&wanted),
                _ => false,
            },
        }
    }
}

impl Strategy {
    /// Its filters, without those of `until`.
    pub fn filters(&self) -> &[Filter] {
        match self {
            Strategy::One(filter) => std::slice::from_ref(filter),
            Strategy::Any(filters, _) | Strategy::All(filters) => filters,
        }
    }

    /// What the host must deliver.
    pub fn subscription(&self) -> Subscription {
        let mut any_of: Vec<BTreeMap<String, String>> = self.filters().iter().map(Filter::exact).collect();
        if let Strategy::Any(filters, until) = self {
            if filters.is_empty() {
                any_of.push(BTreeMap::new());
            }
            if let Some(Until::Events(strategy)) = until {
                any_of.extend(strategy.subscription().any_of);
            }
        }
        any_of.sort();
        any_of.dedup();
        Subscription { any_of }
    }

    /// Whether an expression in it meets a condition.
    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        let until = match self {
            Strategy::Any(_, Some(Until::Condition(expr))) => test(expr),
            Strategy::Any(_, Some(Until::Events(strategy))) => strategy.any_expr(test),
            _ => false,
        };
        until || self.filters().iter().any(|filter| filter.any_expr(test))
    }
}

/// The events that start a flow (`schedule.on`).
#[derive(Debug)]
pub struct EventTrigger {
    strategy: Strategy,
}

impl EventTrigger {
    pub(crate) fn decode(d: &mut Decoder<'_>, at: At<'_>) -> Option<Self> {
        let strategy = decode(d, at.clone(), &Vars::new(&[]))?;
        let (why, hint) = match &strategy {
            Strategy::All(_) => {
                ("a run is started by one event", "start with `one`, and `listen` to the others")
            }
            Strategy::Any(_, Some(_)) => {
                ("a run is started by one event", "leave `until` out, or `listen` in the flow")
            }
            other if other.filters().iter().any(Filter::remembers) => {
                ("there is no event before the one that starts a run", "say in `expect` what must be equal")
            }
            _ => return Some(EventTrigger { strategy }),
        };
        d.error_hint(&at, format!("this cannot start a flow: {why}"), hint);
        None
    }

    /// What to deliver; [`EventTrigger::accepts`] then decides.
    pub fn subscription(&self) -> Subscription {
        self.strategy.subscription()
    }

    /// Whether a CloudEvent (in its JSON form) starts a run, whose input is then an array of this one event.
    pub fn accepts(&self, event: &Value) -> bool {
        let event = Data::from(event.clone());
        let none = |_: &str| None;
        let filters = self.strategy.filters();
        filters.is_empty()
            || filters.iter().any(|f| f.fits(&event, &Data::default(), &none, &mut Correlated::new()))
    }
}

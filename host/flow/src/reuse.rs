//! `use`: what tasks refer to by name, and all else that decoding a task needs of its document.

use crate::auth;
use crate::decode::{At, Decoder, Object};
use crate::document::Ours;
use crate::expr::Vars;
use crate::hours::{CalendarSite, Hours};
use crate::sites::{CallSite, HttpSite};
use crate::task::{self, Compensation, Declassified, Extension, Sensitive};
use crate::trigger;
use std::collections::{BTreeMap, BTreeSet};

/// What decoding a task needs of the document.
pub(crate) struct Context<'n> {
    pub tasks: usize,
    pub calls: Vec<CallSite>,
    pub https: Vec<HttpSite>,
    /// The secrets that `use.secrets` lists, and those of them that something uses.
    pub secrets: BTreeSet<String>,
    pub secrets_used: BTreeSet<String>,
    pub authentications: BTreeMap<String, At<'n>>,
    pub declassified: Vec<Declassified>,
    pub sensitive: Vec<Sensitive>,
    pub functions: BTreeMap<String, Object<'n>>,
    pub functions_used: BTreeSet<String>,
    /// The functions that are being decoded, the innermost last: none may call itself.
    pub calling: Vec<String>,
    pub retries: BTreeMap<String, At<'n>>,
    /// The retry policies that some `try` refers to; the others are checked on their own.
    pub used: BTreeSet<String>,
    pub errors: BTreeMap<String, At<'n>>,
    pub timeouts: BTreeMap<String, At<'n>>,
    /// The extensions, and whether one is being decoded: nothing extends an extension.
    pub extensions: Vec<Extension>,
    pub extending: bool,
    pub compensations: BTreeMap<String, Compensation>,
    /// The document's business hours, and every place that names a calendar of the host's.
    pub hours: Option<Hours>,
    pub calendars: Vec<CalendarSite>,
    /// Whether the document has an `sla`.
    pub sla: bool,
}

impl Context<'_> {
    /// What `decode` gives, and the secrets that it uses.
    pub fn with_secrets<T>(&mut self, decode: impl FnOnce(&mut Self) -> T) -> (T, Vec<String>) {
        let before = std::mem::take(&mut self.secrets_used);
        let decoded = decode(self);
        let used = self.secrets_used.iter().cloned().collect();
        self.secrets_used.extend(before);
        (decoded, used)
    }
}

impl Context<'_> {
    /// Keeps one of each place: what is reused is decoded once for every use.
    pub fn once(&mut self) {
        fn first<T>(items: &mut Vec<T>, path: impl Fn(&T) -> &String) {
            let mut seen = BTreeSet::new();
            items.retain(|item| seen.insert(path(item).clone()));
        }
        first(&mut self.calls, |call| &call.path);
        first(&mut self.https, |http| &http.path);
        first(&mut self.declassified, |d| &d.path);
        first(&mut self.sensitive, |s| &s.path);
        first(&mut self.calendars, |c| &c.path);
    }
}

/// Decodes `use`.
pub(crate) fn reused<'n>(d: &mut Decoder<'_>, top: &Object<'n>, vars: &Vars, head: &Ours) -> Context<'n> {
    let mut cx = Context {
        tasks: 0,
        calls: Vec::new(),
        https: Vec::new(),
        secrets: BTreeSet::new(),
        secrets_used: BTreeSet::new(),
        authentications: BTreeMap::new(),
        declassified: Vec::new(),
        sensitive: Vec::new(),
        functions: BTreeMap::new(),
        functions_used: BTreeSet::new(),
        calling: Vec::new(),
        retries: BTreeMap::new(),
        used: BTreeSet::new(),
        errors: BTreeMap::new(),
        timeouts: BTreeMap::new(),
        extensions: Vec::new(),
        extending: false,
        compensations: BTreeMap::new(),
        hours: head.hours.clone(),
        calendars: head.calendars.clone(),
        sla: head.sla.is_some(),
    };
    let keys = [
        "authentications",
        "errors",
        "extensions",
        "functions",
        "retries",
        "secrets",
        "timeouts",
        "catalogs",
    ];
    let Some(object) = top.get("use").and_then(|at| d.object(at, &keys)) else { return cx };
    if let Some(at) = object.get("catalogs") {
        d.error_hint(
            &at,
            "`use.catalogs` is refused, because only installed plugins are called, whose digests are pinned",
            "install the plugin and call it by its name",
        );
    }
    let inside = vars.with(&["input", "task"]);
    if let Some(at) = object.get("secrets") {
        secrets(d, &at, &mut cx);
    }
    for (name, at) in members(d, &object, "authentications") {
        auth::check(d, at.clone(), &mut cx, &inside);
        cx.authentications.insert(name, at);
    }
    // What nothing refers to is not carried anywhere.
    cx.secrets_used.clear();
    for at in members(d, &object, "errors") {
        task::check_error(d, at.1.clone(), &inside);
        cx.errors.insert(at.0, at.1);
    }
    for (name, at) in members(d, &object, "retries") {
        cx.retries.insert(name, at);
    }
    for (name, at) in members(d, &object, "timeouts") {
        task::check_timeout(d, at.clone(), &inside);
        cx.timeouts.insert(name, at);
    }
    for (name, at) in members(d, &object, "functions") {
        if let Some(function) = function(d, at) {
            cx.functions.insert(name, function);
        }
    }
    if let Some(at) = object.get("extensions") {
        task::extension(d, &at, &mut cx, &vars.with(&["input"]));
    }
    cx
}

/// `use.secrets`: names, which authentication policies may then use.
fn secrets(d: &mut Decoder<'_>, at: &At<'_>, cx: &mut Context<'_>) {
    for (i, item) in d.list(at).unwrap_or_default().iter().enumerate() {
        let at = at.child(&i.to_string(), item);
        if let Some(name) = trigger::token(d, &at)
            && !cx.secrets.insert(name)
        {
            d.error(&at, "this secret is listed already");
        }
    }
}

fn function<'n>(d: &mut Decoder<'_>, at: At<'n>) -> Option<Object<'n>> {
    let object = d.map(at)?;
    if !task::is_call(&object) {
        // Decoded where it is called.
        return Some(object);
    }
    d.only(&object, &["call", "with"]);
    let call = object.get("call")?;
    task::check_call(d, &call)?;
    Some(object)
}

fn members<'n>(d: &mut Decoder<'_>, object: &Object<'n>, key: &str) -> Vec<(String, At<'n>)> {
    let Some(map) = object.get(key).and_then(|at| d.map(at)) else { return Vec::new() };
    map.entries().iter().map(|entry| (entry.key.clone(), map.at.entry(entry))).collect()
}

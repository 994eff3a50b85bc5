//! The functions that an expression may call: jaq's, without those that reach the process, its clock, or its zone.

use super::fuel::{self, Kind};
use super::rewrite::Rewriter;
use jaq_core::load::parse::Def;
use jaq_core::native::{Fun, bome, v};
use jaq_core::{Error, Native};
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

/// Natives that reach outside. Everything that jaq adds later is out until it stands in [`NATIVES`].
pub(super) const FORBIDDEN: [&str; 18] = [
    "env",
    "halt",
    "halt_error",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "now",
    "localtime",
    "strflocaltime",
    "mktime_local",
    "get_search_list",
    "repl",
    "$ENV",
];

/// Natives that compute and nothing else, with their arity.
const NATIVES: &[(&str, usize)] = &[
    ("error_empty", 0),
    ("path", 1),
    ("path_value", 1),
    ("range", 3),
    ("keys_unsorted", 0),
    ("key_values", 0),
    ("first", 1),
    ("last", 1),
    ("limit", 2),
    ("skip", 2),
    ("floor", 0),
    ("round", 0),
    ("ceil", 0),
    ("utf8bytelength", 0),
    ("explode", 0),
    ("implode", 0),
    ("ascii_downcase", 0),
    ("ascii_upcase", 0),
    ("reverse", 0),
    ("sort", 0),
    ("sort_by", 1),
    ("group_by", 1),
    ("min_by_or_empty", 1),
    ("max_by_or_empty", 1),
    ("startswith", 1),
    ("endswith", 1),
    ("ltrimstr", 1),
    ("rtrimstr", 1),
    ("trim", 0),
    ("ltrim", 0),
    ("rtrim", 0),
    ("escape_sh", 0),
    ("escape_html", 0),
    ("unescape_html", 0),
    ("encode_uri", 0),
    ("decode_uri", 0),
    ("encode_base64", 0),
    ("decode_base64", 0),
    ("acos", 0),
    ("acosh", 0),
    ("asin", 0),
    ("asinh", 0),
    ("atan", 0),
    ("atanh", 0),
    ("cbrt", 0),
    ("cos", 0),
    ("cosh", 0),
    ("erf", 0),
    ("erfc", 0),
    ("exp", 0),
    ("exp10", 0),
    ("exp2", 0),
    ("expm1", 0),
    ("fabs", 0),
    ("frexp", 0),
    ("ilogb", 0),
    ("j0", 0),
    ("j1", 0),
    ("lgamma", 0),
    ("log", 0),
    ("log10", 0),
    ("log1p", 0),
    ("log2", 0),
    ("modf", 0),
    ("nearbyint", 0),
    ("rint", 0),
    ("sin", 0),
    ("sinh", 0),
    ("sqrt", 0),
    ("tan", 0),
    ("tanh", 0),
    ("tgamma", 0),
    ("trunc", 0),
    ("y0", 0),
    ("y1", 0),
    ("atan2", 2),
    ("copysign", 2),
    ("fdim", 2),
    ("fmax", 2),
    ("fmin", 2),
    ("fmod", 2),
    ("hypot", 2),
    ("jn", 2),
    ("ldexp", 2),
    ("nextafter", 2),
    ("pow", 2),
    ("remainder", 2),
    ("scalbln", 2),
    ("yn", 2),
    ("fma", 3),
    ("matches", 2),
    ("split_matches", 2),
    ("split_", 2),
    ("fromdateiso8601", 0),
    ("todateiso8601", 0),
    ("strftime", 1),
    ("gmtime", 0),
    ("strptime", 1),
    ("mktime", 0),
    ("tojson", 0),
    ("tobytes", 0),
    ("length", 0),
    ("contains", 1),
    ("has", 1),
    ("indices", 1),
    ("bsearch", 1),
];

/// jaq's own `fromjson` follows nesting down the stack without a limit; ours stops at serde_json's 128 levels.
fn from_json() -> Fun<Kind> {
    let native = Native::<Kind>::new(|cv| {
        let parsed = cv.1.try_as_utf8_bytes_owned().and_then(|bytes| {
            let value = serde_json::from_slice::<serde_json::Value>(&bytes)
                .map_err(|e| Error::str(format!("this is not JSON: {e}")))?;
            super::convert::to_val(&value, 0).map_err(Error::str)
        });
        bome(parsed)
    });
    ("fromjson", v(0), native)
}

/// All natives that may be called, or only those whose name and arity `wanted` has.
pub(super) fn natives(wanted: &BTreeSet<(&str, usize)>) -> Vec<Fun<Kind>> {
    jaq_core::funs::<Kind>()
        .chain(jaq_std::funs::<Kind>())
        .chain(jaq_json::funs::<Kind>())
        .filter(|(name, args, _)| NATIVES.contains(&(*name, args.len())))
        .chain([from_json()])
        .chain(fuel::funs())
        .filter(|(name, args, _)| wanted.contains(&(*name, args.len())))
        .collect()
}

/// Whether a native of this name and arity may be called.
pub(super) fn is_native(name: &str, arity: usize) -> bool {
    name.starts_with('!') || (name, arity) == ("fromjson", 0) || NATIVES.contains(&(name, arity))
}

/// A rewritten definition and what it calls.
struct Entry {
    def: Def<&'static str>,
    calls: BTreeSet<(&'static str, usize)>,
}

/// The definitions of jq's library, rewritten once, in their order.
pub(super) struct Prelude {
    entries: Vec<Entry>,
    by_name: HashMap<(&'static str, usize), Vec<usize>>,
}

impl Prelude {
    /// The one prelude.
    pub fn get() -> &'static Prelude {
        static PRELUDE: OnceLock<Prelude> = OnceLock::new();
        PRELUDE.get_or_init(Prelude::new)
    }

    fn new() -> Self {
        let mut entries = Vec::new();
        let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        for def in defs.filter(|def| !FORBIDDEN.contains(&def.name)) {
            let signature = (def.name, def.args.len());
            let mut rewriter = Rewriter::default();
            // A definition that would be too deep for us would be left out; a test sees that none is.
            if let Ok(def) = rewriter.definition(def, true) {
                by_name.entry(signature).or_default().push(entries.len());
                entries.push(Entry { def, calls: rewriter.calls });
            }
        }
        Prelude { entries, by_name }
    }

    /// Whether there is a definition of this name and arity.
    pub fn has(&self, name: &str, arity: usize) -> bool {
        self.by_name.contains_key(&(name, arity))
    }

    /// Every function that can be called, for hints.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.by_name.keys().map(|(name, _)| *name).chain(NATIVES.iter().map(|(name, _)| *name))
    }

    /// The definitions that `calls` needs, and theirs, in order; `calls` grows by what they call.
    pub fn needed(&self, calls: &mut BTreeSet<(&str, usize)>) -> Vec<Def<&'static str>> {
        let mut wanted = BTreeSet::new();
        let mut open: Vec<(&str, usize)> = calls.iter().copied().collect();
        while let Some(signature) = open.pop() {
            for id in self.by_name.get(&signature).into_iter().flatten() {
                if wanted.insert(*id)
                    && let Some(entry) = self.entries.get(*id)
                {
                    for call in &entry.calls {
                        if calls.insert(*call) {
                            open.push(*call);
                        }
                    }
                }
            }
        }
        wanted.into_iter().filter_map(|id| self.entries.get(id)).map(|entry| entry.def.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_of_the_library_resolves() {
        let prelude = Prelude::get();
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        assert_eq!(prelude.entries.len(), defs.filter(|d| !FORBIDDEN.contains(&d.name)).count());
        for entry in &prelude.entries {
            for (name, arity) in &entry.calls {
                assert!(
                    prelude.has(name, *arity) || is_native(name, *arity),
                    "{} calls {name}/{arity}",
                    entry.def.name
                );
            }
        }
    }

    #[test]
    fn every_native_that_is_allowed_exists() {
        let all: BTreeSet<_> = NATIVES.iter().copied().collect();
        assert_eq!(natives(&all).len(), all.len());
        for name in FORBIDDEN {
            assert!(NATIVES.iter().all(|(native, _)| native != &name), "{name}");
        }
    }
}

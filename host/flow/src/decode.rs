//! The decoder: walks the document's tree, knows where it is, and collects every problem instead of stopping at the first.

use crate::problem::{Problem, Severity};
use crate::yaml::{Entry, Kind, Mark, Node};

/// Problems kept for one document; more do not help anyone.
const MAX_PROBLEMS: usize = 200;

/// Keys whose value may be anything, null too. Behind every other a null is a value that was forgotten.
const MAY_BE_NULL: [&str; 1] = ["body"];

/// Collects problems while a document is decoded.
pub(crate) struct Decoder<'a> {
    file: &'a str,
    problems: Vec<Problem>,
}

/// A node with its JSON Pointer.
#[derive(Clone)]
pub(crate) struct At<'n> {
    pub node: &'n Node,
    pub path: String,
}

/// Escapes one reference token (RFC 6901, section 3).
pub(crate) fn escape(token: &str) -> String {
    if token.contains(['~', '/']) { token.replace('~', "~0").replace('/', "~1") } else { token.to_owned() }
}

impl<'n> At<'n> {
    pub fn new(node: &'n Node, path: impl Into<String>) -> Self {
        At { node, path: path.into() }
    }

    pub fn child(&self, key: &str, node: &'n Node) -> At<'n> {
        At { node, path: format!("{}/{}", self.path, escape(key)) }
    }

    pub fn entry(&self, entry: &'n Entry) -> At<'n> {
        self.child(&entry.key, &entry.value)
    }

    /// What stands under a key, or at an index.
    pub fn find(&self, key: &str) -> Option<At<'n>> {
        match &self.node.kind {
            Kind::Map(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| self.entry(entry))
            }
            Kind::List(items) => {
                key.parse::<usize>().ok().and_then(|i| items.get(i)).map(|i| self.child(key, i))
            }
            _ => None,
        }
    }
}

/// An object whose keys were checked.
#[derive(Clone)]
pub(crate) struct Object<'n> {
    pub at: At<'n>,
    entries: &'n [Entry],
}

impl<'n> Object<'n> {
    /// The value of a key; a key with nothing behind it counts as absent ([`Decoder::only`] reports it).
    pub fn get(&self, key: &str) -> Option<At<'n>> {
        let entry = self.entries.iter().find(|e| e.key == key)?;
        (!matches!(entry.value.kind, Kind::Null)).then(|| self.at.entry(entry))
    }

    /// The value of a key, also when it is null.
    pub fn get_any(&self, key: &str) -> Option<At<'n>> {
        self.entries.iter().find(|e| e.key == key).map(|e| self.at.entry(e))
    }

    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|e| e.key == key)
    }

    pub fn entries(&self) -> &'n [Entry] {
        self.entries
    }
}

impl<'a> Decoder<'a> {
    pub fn new(file: &'a str) -> Self {
        Decoder { file, problems: Vec::new() }
    }

    /// All problems, in the order of the text.
    pub fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (p.line, p.column));
        // What is reused is decoded once for every use.
        self.problems.dedup();
        self.problems
    }

    fn push(&mut self, severity: Severity, mark: Mark, path: &str, message: String, hint: Option<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            let file = self.file.to_owned();
            let path = path.to_owned();
            self.problems.push(Problem {
                severity,
                file,
                line: mark.line,
                column: mark.column,
                path,
                message,
                hint,
            });
        }
    }

    /// Reports an error at a node.
    pub fn error(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.push(Severity::Error, at.node.mark, &at.path, message.into(), None);
    }

    /// Reports an error at a node, with the mend.
    pub fn error_hint(&mut self, at: &At<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, at.node.mark, &at.path, message.into(), Some(hint.into()));
    }

    /// Reports an error at a place that is not the start of a node.
    pub fn error_mark(&mut self, mark: Mark, path: &str, message: String, hint: Option<String>) {
        self.push(Severity::Error, mark, path, message, hint);
    }

    /// Reports something that works, but probably not as meant.
    pub fn warning(&mut self, at: &At<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, at.node.mark, &at.path, message.into(), Some(hint.into()));
    }

    fn expected(&mut self, at: &At<'_>, what: &str) {
        let message = format!("expected {what}, found {}", at.node.describe());
        self.error(at, message);
    }

    /// An object with any keys.
    pub fn map<'n>(&mut self, at: At<'n>) -> Option<Object<'n>> {
        match &at.node.kind {
            Kind::Map(entries) => Some(Object { entries, at }),
            _ => {
                self.expected(&at, "an object");
                None
            }
        }
    }

    /// An object; every key that is not one of `keys` is an error.
    pub fn object<'n>(&mut self, at: At<'n>, keys: &[&str]) -> Option<Object<'n>> {
        let object = self.map(at)?;
        self.only(&object, keys);
        Some(object)
    }

    /// Reports every key that is not one of `keys`.
    pub fn only(&mut self, object: &Object<'_>, keys: &[&str]) {
        for entry in object.entries {
            if !keys.contains(&entry.key.as_str()) {
                let hint = did_you_mean(&entry.key, keys.iter().copied())
                    .unwrap_or_else(|| format!("known here: {}", keys.join(", ")));
                self.push(
                    Severity::Error,
                    entry.mark,
                    &object.at.path,
                    format!("unknown key \"{}\"", shorten(&entry.key, 60)),
                    Some(hint),
                );
            } else if matches!(entry.value.kind, Kind::Null) && !MAY_BE_NULL.contains(&entry.key.as_str()) {
                self.push(
                    Severity::Error,
                    entry.mark,
                    &object.at.path,
                    format!("nothing stands behind \"{}\"", entry.key),
                    Some("write a value, or leave the key out".into()),
                );
            }
        }
    }

    pub fn list<'n>(&mut self, at: &At<'n>) -> Option<&'n [Node]> {
        match &at.node.kind {
            Kind::List(items) => Some(items),
            _ => {
                self.expected(at, "a list");
                None
            }
        }
    }

    pub fn text<'n>(&mut self, at: &At<'n>) -> Option<&'n str> {
        match &at.node.kind {
            Kind::Text(text) => Some(text),
            Kind::Number(_) | Kind::Bool(_) => {
                let message = format!("expected a string, found {}", at.node.describe());
                self.error_hint(at, message, "put it in quotes");
                None
            }
            _ => {
                self.expected(at, "a string");
                None
            }
        }
    }

    /// A whole number from 0.
    pub fn count(&mut self, at: &At<'_>) -> Option<u64> {
        match &at.node.kind {
            Kind::Number(n) if n.as_u64().is_some() => n.as_u64(),
            _ => {
                self.expected(at, "a whole number, 0 or more");
                None
            }
        }
    }

    /// True or false.
    pub fn flag(&mut self, at: &At<'_>) -> Option<bool> {
        match &at.node.kind {
            Kind::Bool(flag) => Some(*flag),
            _ => {
                self.expected(at, "true or false");
                None
            }
        }
    }

    /// A required key.
    pub fn required<'n>(&mut self, object: &Object<'n>, key: &str) -> Option<At<'n>> {
        let found = object.get(key);
        if found.is_none() {
            self.error(&object.at, format!("\"{key}\" is missing"));
        }
        found
    }
}

/// At most `max` characters of a text.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max).chain(['…']).collect()
}

/// `did you mean "…"?` for the nearest known word, if one is near.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    if word.len() > 60 {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|k| (distance(&lower, &k.to_lowercase()), k))
        .filter(|(d, k)| *d <= 1 + k.chars().count() / 4 && *d < lower.chars().count())
        .min()
        .map(|(_, k)| format!("did you mean \"{k}\"?"))
}

/// Edits (insert, delete, replace, swap neighbours) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let get = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best =
                (get(&last, j + 1) + 1).min(get(&row, j) + 1).min(get(&last, j) + usize::from(x != y));
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(get(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    get(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_word_is_offered() {
        let known = ["color", "with", "then"];
        assert_eq!(did_you_mean("colour", known).as_deref(), Some("did you mean \"color\"?"));
        assert_eq!(did_you_mean("tehn", known).as_deref(), Some("did you mean \"then\"?"));
        assert_eq!(did_you_mean("frobnicate", known), None);
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(escape("a/b~c"), "a~1b~0c");
    }
}

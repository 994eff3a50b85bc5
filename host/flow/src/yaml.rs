//! YAML 1.2 (and so JSON) to a tree that knows line and column of every node.
//!
//! A document is hostile until shown otherwise: bytes, depth and nodes are bounded, and aliases are refused, because
//! a few lines of them describe gigabytes.

use crate::problem::{Problem, Severity};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};
use std::collections::HashSet;

/// The longest source that is read, in bytes.
pub const MAX_SOURCE: usize = 1024 * 1024;
/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;
/// The most nodes that are read.
const MAX_NODES: usize = 200_000;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Mark {
    pub line: usize,
    pub column: usize,
}

impl From<Span> for Mark {
    fn from(span: Span) -> Self {
        Mark { line: span.start.line(), column: span.start.col() + 1 }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub mark: Mark,
    pub kind: Kind,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map, where it stands, and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub mark: Mark,
    pub value: Node,
}

impl Node {
    /// What this is, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "an object",
        }
    }

    /// The same as JSON, without positions.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Number(n) => Value::Number(n.clone()),
            Kind::Text(s) => Value::String(s.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }
}

struct Failure(Mark, String, Option<String>);

/// Reads one document, or says what is wrong with the text.
pub(crate) fn read(source: &str, file: &str) -> Result<Node, Problem> {
    let problem = |Failure(mark, message, hint)| Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        line: mark.line,
        column: mark.column,
        path: String::new(),
        message,
        hint,
    };
    let top = Mark { line: 1, column: 1 };
    if source.len() > MAX_SOURCE {
        let message =
            format!("the document has {} bytes; the most that is read is {MAX_SOURCE}", source.len());
        return Err(problem(Failure(top, message, None)));
    }
    match Reader::new(source).document() {
        Ok(Some(node)) => Ok(node),
        Ok(None) => Err(problem(Failure(
            top,
            "the document is empty".into(),
            Some("start it with `document:` and `do:`".into()),
        ))),
        Err(failure) => Err(problem(failure)),
    }
}

/// A list or map that is still open.
enum Open {
    List(Mark, Vec<Node>),
    Map { mark: Mark, entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Mark)> },
}

struct Reader<'s> {
    parser: Parser<'s, saphyr_parser::StrInput<'s>>,
    stack: Vec<Open>,
    nodes: usize,
}

impl<'s> Reader<'s> {
    fn new(source: &'s str) -> Self {
        Reader { parser: Parser::new_from_str(source), stack: Vec::new(), nodes: 0 }
    }

    fn document(&mut self) -> Result<Option<Node>, Failure> {
        let mut root = None;
        let mut documents = 0;
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(|e| {
                let mark = Mark { line: e.marker().line(), column: e.marker().col() + 1 };
                if e.info().contains("recursion limit") {
                    return Failure(mark, format!("nested more than {MAX_DEPTH} deep"), None);
                }
                Failure(mark, format!("this is not YAML: {}", e.info()), None)
            })?;
            let mark = Mark::from(span);
            let done = match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let hint = Some("one file holds one flow; remove the second `---`".into());
                        return Err(Failure(mark, "a second document begins here".into(), hint));
                    }
                    None
                }
                Event::Alias(_) => {
                    let hint = Some("write the value out, or reuse it through `use`".into());
                    return Err(Failure(mark, "aliases (`*name`) are not read".into(), hint));
                }
                Event::Scalar(text, style, anchor, tag) => {
                    no_anchor(mark, anchor)?;
                    let kind = scalar(&text, style, tag.as_deref()).map_err(|m| Failure(mark, m, None))?;
                    Some(Node { mark, kind })
                }
                Event::SequenceStart(anchor, tag) => {
                    no_anchor(mark, anchor)?;
                    no_tag(mark, tag.as_deref())?;
                    self.open(Open::List(mark, Vec::new()), mark)?;
                    None
                }
                Event::MappingStart(anchor, tag) => {
                    no_anchor(mark, anchor)?;
                    no_tag(mark, tag.as_deref())?;
                    self.open(
                        Open::Map { mark, entries: Vec::new(), seen: HashSet::new(), key: None },
                        mark,
                    )?;
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => self.stack.pop().map(|open| match open {
                    Open::List(mark, items) => Node { mark, kind: Kind::List(items) },
                    Open::Map { mark, entries, .. } => Node { mark, kind: Kind::Map(entries) },
                }),
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => None,
            };
            if let Some(node) = done {
                self.nodes += 1;
                if self.nodes > MAX_NODES {
                    return Err(Failure(mark, format!("more than {MAX_NODES} values"), None));
                }
                if let Some(node) = self.place(node)? {
                    root = Some(node);
                }
            }
        }
        Ok(root)
    }

    fn open(&mut self, open: Open, mark: Mark) -> Result<(), Failure> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Failure(mark, format!("nested more than {MAX_DEPTH} deep"), None));
        }
        if let Some(Open::Map { key: None, .. }) = self.stack.last() {
            let hint = Some("quote it if it should be text".into());
            return Err(Failure(mark, "a key must be a string, not a list or an object".into(), hint));
        }
        self.stack.push(open);
        Ok(())
    }

    /// Puts a finished node where it belongs; gives it back when it is the root.
    fn place(&mut self, node: Node) -> Result<Option<Node>, Failure> {
        match self.stack.last_mut() {
            None => return Ok(Some(node)),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map { entries, seen, key, .. }) => match key.take() {
                Some((name, mark)) => entries.push(Entry { key: name, mark, value: node }),
                None => {
                    let name = match node.kind {
                        Kind::Text(text) => text,
                        Kind::Number(n) => n.to_string(),
                        Kind::Bool(b) => b.to_string(),
                        Kind::Null => "null".into(),
                        Kind::List(_) | Kind::Map(_) => {
                            return Err(Failure(node.mark, "a key must be a string".into(), None));
                        }
                    };
                    if name == "<<" {
                        let hint = Some("write the keys out".into());
                        return Err(Failure(node.mark, "merge keys (`<<`) are not read".into(), hint));
                    }
                    if !seen.insert(name.clone()) {
                        return Err(Failure(node.mark, format!("the key \"{name}\" is here twice"), None));
                    }
                    *key = Some((name, node.mark));
                }
            },
        }
        Ok(None)
    }
}

fn no_anchor(mark: Mark, anchor: usize) -> Result<(), Failure> {
    if anchor == 0 {
        return Ok(());
    }
    Err(Failure(mark, "anchors (`&name`) are not read".into(), Some("remove it".into())))
}

fn no_tag(mark: Mark, tag: Option<&Tag>) -> Result<(), Failure> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "seq" | "map") => Ok(()),
        Some(tag) => Err(Failure(mark, format!("the tag {}{} is not known", tag.handle, tag.suffix), None)),
    }
}

/// A scalar by the core schema (YAML 1.2.2, section 10.3).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Kind, String> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => return Ok(Kind::Text(text.into())),
        Some(tag) => return Err(format!("the tag {}{} is not known", tag.handle, tag.suffix)),
        None => {}
    }
    if style != ScalarStyle::Plain {
        return Ok(Kind::Text(text.into()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "-.Inf" | ".nan" | ".NaN" | ".NAN" => {
            return Err(format!("{text} is not a number that JSON knows"));
        }
        _ => match number(text) {
            Some(number) => Kind::Number(number),
            None => Kind::Text(text.into()),
        },
    })
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let first = digits.bytes().next()?;
    if !(first.is_ascii_digit() || first == b'.') {
        return None;
    }
    let unsigned = |radix, rest: &str| u64::from_str_radix(rest, radix).ok().map(Number::from);
    if let Some(rest) = text.strip_prefix("0x") {
        return unsigned(16, rest);
    }
    if let Some(rest) = text.strip_prefix("0o") {
        return unsigned(8, rest);
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(n) = text.parse::<i64>() {
            return Some(n.into());
        }
        if let Ok(n) = text.parse::<u64>() {
            return Some(n.into());
        }
    }
    let float_like = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'));
    if !float_like {
        return None;
    }
    Number::from_f64(text.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn json(text: &str) -> Value {
        read(text, "t").unwrap().to_json()
    }

    fn message(text: &str) -> String {
        read(text, "t.yaml").unwrap_err().to_string()
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        assert_eq!(
            json(
                "{a: 1, b: -2, c: 1.5, d: '1', e: yes, f: true, g: ~, h: 0x10, i: 18446744073709551615, j: 1.0.3}"
            ),
            json!({"a": 1, "b": -2, "c": 1.5, "d": "1", "e": "yes", "f": true, "g": null, "h": 16,
                   "i": 18446744073709551615u64, "j": "1.0.3"})
        );
    }

    #[test]
    fn json_is_yaml() {
        assert_eq!(json("{\"a\": [1, \"x\\n\"]}"), json!({"a": [1, "x\n"]}));
    }

    #[test]
    fn a_position_is_line_and_column() {
        let node = read("a:\n  - b: 1\n", "t").unwrap();
        let Kind::Map(entries) = &node.kind else { panic!() };
        let Kind::List(items) = &entries[0].value.kind else { panic!() };
        assert_eq!(items[0].mark, Mark { line: 2, column: 5 });
    }

    #[test]
    fn hostile_text_is_refused_with_its_place() {
        assert_eq!(message("a: &x [1]\nb: *x"), "t.yaml:1:4: anchors (`&name`) are not read; remove it");
        assert!(message(&"[".repeat(1000)).contains("nested more than 64 deep"));
        assert!(message(&"a".repeat(MAX_SOURCE + 1)).contains("1048577 bytes"));
        assert_eq!(message("a: 1\na: 2"), "t.yaml:2:1: the key \"a\" is here twice");
        assert!(message("a: 1\n---\nb: 2").contains("second document"));
        assert!(message("a: [1").contains("this is not YAML"));
        assert!(message("").contains("empty"));
        assert!(message("a: !!python/object x").contains("tag"));
        assert!(message("? [a]\n: 1").contains("key must be a string"));
    }
}

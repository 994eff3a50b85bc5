//! `metadata.declassify`: a task whose output is reviewed to hold nothing of some data any more.
//!
//! ```yaml
//! - category:
//!     set: { category: '${ .message.category }' }
//!     metadata:
//!       declassify: { from: [crm, 'class:personal'], reason: The category is one of twelve words of ours }
//! ```
//!
//! The labels are taken off the task's output, after `output.as`. Who deploys the flow is shown each one with its reason.

use crate::decode::{At, Decoder, shorten};
use factotum_provenance::Source;

/// The most sources that one task declassifies.
const MAX_SOURCES: usize = 32;
/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// A task that declassifies its output, for those who review a flow.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Declassified {
    /// The task: a JSON Pointer (RFC 6901).
    pub path: String,
    /// Line of the task's `declassify`, from 1.
    pub line: usize,
    /// The data whose labels are taken off.
    pub from: Vec<Source>,
    /// Why that is right, in the author's words.
    pub reason: String,
}

impl Declassified {
    /// The data whose labels are taken off, for people.
    pub fn names(&self) -> String {
        self.from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Decodes `metadata.declassify` of the task at `path`.
pub(super) fn decode(d: &mut Decoder<'_>, at: At<'_>, path: &str) -> Option<Declassified> {
    let line = at.node.mark.line;
    let object = d.object(at, &["from", "reason"])?;
    let from = d.required(&object, "from").and_then(|at| sources(d, &at));
    let reason = d.required(&object, "reason").and_then(|at| {
        let text = d.text(&at)?.trim();
        if text.is_empty() || text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
            let message = format!("a reason has 1 to {MAX_REASON} characters on one line");
            d.error_hint(&at, message, "say why nothing of that data is left in the output");
            return None;
        }
        Some(text.to_owned())
    });
    Some(Declassified { path: path.to_owned(), line, from: from?, reason: reason? })
}

fn sources(d: &mut Decoder<'_>, at: &At<'_>) -> Option<Vec<Source>> {
    let items = d.list(at)?;
    if items.is_empty() || items.len() > MAX_SOURCES {
        d.error(at, format!("`declassify.from` names 1 to {MAX_SOURCES} sources of data"));
        return None;
    }
    let mut sources = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let at = at.child(&i.to_string(), item);
        match d.text(&at)?.parse() {
            Ok(source) => sources.push(source),
            Err(error) => {
                d.error(&at, shorten(&format!("{error}"), 300));
                return None;
            }
        }
    }
    Some(sources)
}

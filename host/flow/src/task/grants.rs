//! `metadata.grants` of a call: what the flow leaves of the plugin's rights, or of its own, at this task.
//!
//! ```yaml
//! - lookUp:
//!     call: crm/find-contact
//!     metadata:
//!       grants:
//!         only: [http]
//!         http: [{ methods: [GET], paths: [/contacts/*] }]
//! ```
//!
//! At `call: http` and `call: openapi` it narrows what the flow is granted itself. The shape is that of [`Narrowing`]. It can only take away, so everything in it that might be read as less than it says
//! is refused: unknown keys, keys with nothing behind them, methods that no request has.

use crate::decode::{At, Decoder, Object};
use crate::yaml::Kind as NodeKind;
use factotum_grant::Narrowing;
use serde_path_to_error::Segment;

/// The key in `metadata`.
const KEY: &str = "grants";

fn place<'n>(object: &Object<'n>) -> Option<At<'n>> {
    let metadata = object.get("metadata")?;
    let NodeKind::Map(entries) = &metadata.node.kind else { return None };
    entries.iter().find(|entry| entry.key == KEY).map(|entry| metadata.entry(entry))
}

/// Refuses `metadata.grants` at a task that neither calls a plugin nor sends a request.
pub(super) fn refuse(d: &mut Decoder<'_>, object: &Object<'_>, kind: &str) {
    if let Some(at) = place(object) {
        d.error_hint(
            &at,
            format!("`metadata.grants` narrows the call of a plugin or a request, and `{kind}` is neither"),
            "put it at each `call` that it is meant for",
        );
    }
}

/// The narrowing of a flow's own request; outer `None` when it is wrong. Only requests, whose data, and time are a flow's own.
pub(super) fn of_request(d: &mut Decoder<'_>, object: &Object<'_>) -> Option<Option<Narrowing>> {
    let Some(by) = decode(d, object)? else { return Some(None) };
    let limits = by.limits.clone().unwrap_or_default();
    let foreign = [
        ("only", by.only.is_some()),
        ("key-value", by.key_value.is_some()),
        ("artifacts", by.artifacts.is_some()),
        ("mail", by.mail.is_some()),
        ("limits", limits.memory_bytes.is_some() || limits.concurrency.is_some()),
    ];
    if let Some((key, _)) = foreign.into_iter().find(|(_, there)| *there) {
        let at = place(object).map(|at| at.find(key).unwrap_or(at))?;
        let hint = "a request is narrowed by `http`, `data` and `limits.time-ms`";
        d.error_hint(&at, format!("`{key}` narrows a plugin, and this is a request of the flow's own"), hint);
        return None;
    }
    Some(Some(by))
}

/// The narrowing of a call; outer `None` when it is wrong.
pub(super) fn decode(d: &mut Decoder<'_>, object: &Object<'_>) -> Option<Option<Narrowing>> {
    let Some(at) = place(object) else { return Some(None) };
    if let Some(empty) = empty(&at) {
        d.error_hint(&empty, "nothing stands here", "write [] for nothing at all, or leave the key out");
        return None;
    }
    let value = at.node.to_json();
    let by: Narrowing = match serde_path_to_error::deserialize(&value) {
        Ok(by) => by,
        Err(error) => {
            let wrong = error.path().iter().fold(at, |at, segment| step(&at, segment).unwrap_or(at));
            d.error(&wrong, error.into_inner().to_string());
            return None;
        }
    };
    let problem = problem(&by);
    if let Some((path, message)) = &problem {
        let wrong = path.iter().fold(at, |at, key| at.find(key).unwrap_or(at));
        d.error(&wrong, *message);
    }
    problem.is_none().then_some(Some(by))
}

/// A key or an item with nothing behind it: it would narrow nothing, and looks as if it took everything.
fn empty<'n>(at: &At<'n>) -> Option<At<'n>> {
    match &at.node.kind {
        NodeKind::Null => Some(at.clone()),
        NodeKind::Map(entries) => entries.iter().find_map(|entry| empty(&at.entry(entry))),
        NodeKind::List(items) => {
            items.iter().enumerate().find_map(|(index, item)| empty(&at.child(&index.to_string(), item)))
        }
        _ => None,
    }
}

fn step<'n>(at: &At<'n>, segment: &Segment) -> Option<At<'n>> {
    match segment {
        Segment::Seq { index } => at.find(&index.to_string()),
        Segment::Map { key } => at.find(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// What the types allow and no call could live with, with the keys that lead to it.
fn problem(by: &Narrowing) -> Option<(Vec<String>, &'static str)> {
    let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    if let Some(limits) = &by.limits {
        for (key, zero) in [
            ("memory-bytes", limits.memory_bytes == Some(0)),
            ("time-ms", limits.time_ms == Some(0)),
            ("concurrency", limits.concurrency == Some(0)),
        ] {
            if zero {
                return Some((path(&["limits", key]), "must be at least 1; nothing runs without it"));
            }
        }
    }
    for (index, rule) in by.http.iter().flatten().enumerate() {
        let at = index.to_string();
        if rule.scheme.as_ref().is_some_and(|scheme| scheme != "https" && scheme != "http") {
            return Some((path(&["http", &at, "scheme"]), "the scheme is https or http"));
        }
        let is_method = |m: &String| m.len() <= 32 && m.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if let Some(wrong) = rule.methods.iter().flatten().position(|method| !is_method(method)) {
            return Some((
                path(&["http", &at, "methods", &wrong.to_string()]),
                "methods are written in upper case, as in GET",
            ));
        }
    }
    None
}

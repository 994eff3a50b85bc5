//! `metadata.idempotencyKey`: what a call is told apart by, in the words of the matter.
//!
//! ```yaml
//! - refund:
//!     call: shop/refund
//!     with: { order: '${ .order }' }
//!     metadata: { idempotencyKey: '${ "refund-\(.order)" }' }
//! ```
//!
//! Plugins and HTTP targets are given it in place of the key that is made of the run and the place. So two runs, or a run that
//! is retried, that come with the same key are one to whoever honours it. It leaves the host, so its labels count as those of
//! an argument.

use super::Around;
use crate::FlowError;
use crate::decode::Decoder;
use crate::expr::{self, Data, Expr, Template};
use crate::run::{Halt, Run, Scope};
use factotum_provenance::Provenance;
use serde_json::Value;

/// The key in `metadata`.
pub(super) const KEY: &str = "idempotencyKey";
/// The longest key, in bytes.
const MAX_BYTES: usize = 200;
/// The name under which its labels stand among the arguments'.
pub(super) const ARGUMENT: &str = "metadata.idempotencyKey";

/// What the key of a call is made of.
#[derive(Debug)]
pub(super) struct Key(Template);

/// Decodes the key of a task that calls something, if it has one; outer `None` when it is wrong.
pub(super) fn decode(d: &mut Decoder<'_>, around: &Around<'_>) -> Option<Option<Key>> {
    let Some(at) = &around.idempotency else { return Some(None) };
    let text = d.text(at)?;
    if !expr::is_expression(text) {
        let hint = "as in ${ \"refund-\\(.order)\" }";
        d.error_hint(at, "the same key for every run would make them one; this must be an expression", hint);
        return None;
    }
    expr::template(d, at, around.vars).map(|template| Some(Key(template)))
}

/// Warns of a key at a task that calls neither a plugin nor an HTTP target.
pub(super) fn unused(d: &mut Decoder<'_>, around: &Around<'_>, kind: &str) {
    if let Some(at) = &around.idempotency {
        let message =
            format!("`metadata.{KEY}` is handed to plugins and HTTP targets, and `{kind}` calls none");
        d.warning(at, message, "put it at the call that it is meant for");
    }
}

impl Key {
    /// The key for this input, and where it comes from.
    pub fn of(&self, run: &Run<'_>, input: &Data, scope: &Scope<'_>) -> Result<(String, Provenance), Halt> {
        let made = run.fill(&self.0, input, scope)?;
        let from = made.provenance().clone();
        let text = match made.into_value().map_err(Halt::Fault)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let detail = format!(
                "`metadata.{KEY}` must give 1 to {MAX_BYTES} visible ASCII characters without spaces, or a number"
            );
            return Err(Halt::Fault(FlowError::expression(detail).and_labels(&from.total())));
        }
        Ok((text, Provenance::from(from.total())))
    }

    pub fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.0.any(test)
    }
}

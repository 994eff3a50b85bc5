//! Which of several parts that run at the same time (branches of a `fork`, iterations of a `map`) ended them all: written
//! down before anything follows from it, together with what takes the others' work back.

use super::Undo;
use crate::run::{Halt, Position, Run, Scope};
use serde_json::{Map, Value};

/// The decision of one task, known in a replay.
pub(super) struct Decision<'a> {
    run: &'a Run<'a>,
    at: Position,
    /// What the parts are called in the journal.
    part: &'static str,
    written: Option<Value>,
}

impl<'a> Decision<'a> {
    /// The decision that is written down at a place, if one is.
    pub fn at(run: &'a Run<'a>, at: Position, part: &'static str) -> Self {
        let written = run.fx.decided(&at);
        Self { run, at, part, written }
    }

    /// Whether a part runs: all do, until it is written down which one decided. Then that one runs again, alone.
    pub fn wants(&self, part: usize) -> bool {
        let known = self.written.as_ref().and_then(|written| written.get(self.part)?.as_u64());
        known.is_none_or(|known| known == part as u64)
    }

    /// Writes down that this part ended all of them, unless a cancellation did, and keeps what each part did for a
    /// compensation: the others' first.
    pub async fn settle(
        &self,
        part: usize,
        cancelled: bool,
        mut undos: Vec<Vec<Undo>>,
        scope: &Scope<'_>,
    ) -> Result<(), Halt> {
        let own = undos.get_mut(part).map(std::mem::take).unwrap_or_default();
        let mut others: Vec<Undo> = undos.into_iter().flatten().collect();
        if let Some(written) = &self.written {
            // The others do not run again, but what they did is done.
            others = Undo::read_all(self.run, written);
        } else if !cancelled {
            let mut decision = Value::Object(Map::from_iter([(self.part.to_owned(), Value::from(part))]));
            Undo::write_all(&others, &mut decision);
            self.run.fx.decide(&self.at, &decision).await?;
        }
        scope.can_undo(others.into_iter().chain(own));
        Ok(())
    }
}

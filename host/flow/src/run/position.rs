//! Where execution is: the keys under which a journal finds an effect again.

use crate::decode::escape;
use std::fmt::Write as _;
use std::sync::Arc;

/// Where execution is.
///
/// `key()` differs for every execution of a task in a run and is the same on a replay. `idempotency_path()` leaves out
/// the attempts of a `try`, so that a repeated attempt carries the same idempotency key. `pointer()` is the place in
/// the document. In the first two, `[2]` is a loop's third iteration, `#1` a task's second visit (after a jump by
/// `then`), and in a key `~1` is a second attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pointer: Arc<str>,
    key: Arc<str>,
    idempotency: Arc<str>,
    name: Arc<str>,
}

impl Position {
    /// The run itself.
    pub(crate) fn root() -> Self {
        let empty: Arc<str> = "".into();
        Position { pointer: empty.clone(), key: empty.clone(), idempotency: empty.clone(), name: empty }
    }

    /// A position that was written down.
    pub(crate) fn restore(pointer: &str, key: &str, idempotency: &str, name: &str) -> Self {
        Position {
            pointer: pointer.into(),
            key: key.into(),
            idempotency: idempotency.into(),
            name: name.into(),
        }
    }

    /// The first execution of the task at this place of the document: for the tests of a host's effects.
    #[doc(hidden)]
    pub fn at(pointer: &str) -> Self {
        let (path, name) = (Arc::from(pointer), Arc::from(pointer.rsplit('/').next().unwrap_or_default()));
        Position { pointer: Arc::clone(&path), key: Arc::clone(&path), idempotency: path, name }
    }

    /// Unique for every execution of a task (and every effect) in a run, and the same on a replay.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Like [`Position::key`], without the attempts of a `try`.
    pub fn idempotency_path(&self) -> &str {
        &self.idempotency
    }

    /// The place in the document: a JSON Pointer (RFC 6901), as errors carry it in `instance`.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The task's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The task `name` at `index` of the list `list` (such as `do`), on its `visit`th visit, from 0.
    pub(crate) fn task(&self, list: &str, index: usize, name: &Arc<str>, visit: u32) -> Self {
        let token = escape(name);
        let join = |base: &str, visit: u32| -> Arc<str> {
            let mut path = String::with_capacity(base.len() + list.len() + token.len() + 12);
            // Writing to a string cannot fail.
            let _ = write!(path, "{base}/{list}/{index}/{token}");
            if visit > 0 {
                let _ = write!(path, "#{visit}");
            }
            path.into()
        };
        let pointer = join(&self.pointer, 0);
        let key =
            if visit == 0 && self.key == self.pointer { pointer.clone() } else { join(&self.key, visit) };
        let same = self.idempotency == self.key;
        let idempotency = if same { key.clone() } else { join(&self.idempotency, visit) };
        Position { pointer, key, idempotency, name: name.clone() }
    }

    /// Inside a loop's iteration, from 0.
    pub(crate) fn iteration(&self, index: usize) -> Self {
        let mut next = self.clone();
        next.key = format!("{}[{index}]", self.key).into();
        next.idempotency = format!("{}[{index}]", self.idempotency).into();
        next
    }

    /// Inside a try's attempt, from 0; the first is not marked.
    pub(crate) fn attempt(&self, attempt: u64) -> Self {
        let mut next = self.clone();
        if attempt > 0 {
            next.key = format!("{}~{attempt}", self.key).into();
        }
        next
    }

    /// In the tasks that extension `name`, number `index` of the document, puts around this task.
    pub(crate) fn extension(&self, index: usize, name: &str) -> Self {
        let name = escape(name);
        let mut next = self.effect(&name);
        next.pointer = format!("/use/extensions/{index}/{name}").into();
        next
    }

    /// In the function `name` of `use.functions` that this task calls.
    pub(crate) fn function(&self, name: &Arc<str>) -> Self {
        let token = escape(name);
        let mut next = self.effect(&token);
        next.pointer = format!("/use/functions/{token}").into();
        next.name = name.clone();
        next
    }

    /// An effect of the task's own, beside its work, such as the delay before an attempt. A task's name cannot follow
    /// its path without a `/`, so `!` keeps it apart.
    pub(crate) fn effect(&self, what: &str) -> Self {
        let mut next = self.clone();
        next.key = format!("{}!{what}", self.key).into();
        next.idempotency = format!("{}!{what}", self.idempotency).into();
        next
    }
}

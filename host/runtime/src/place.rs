//! Places in a run, as its journal names them: which of them are one and the same, which stand below another, which ran
//! beside one another.
//!
//! A key names a task's execution: `/do/2/each[1]/do/0/book#1~2!pause` (see [`factotum_flow::Position`]). The numbers after
//! list names say where in its list a task stands. Names are unique in a list, so a place is found without the numbers,
//! and a task inserted above it does not move it: what a run did before its flow was corrected is still found.

/// A key without the numbers of its tasks in their lists: the same in every edition of a flow that kept the names.
pub(crate) fn place(key: &str) -> String {
    let mut place = String::with_capacity(key.len());
    for part in parts(key) {
        place.push('/');
        place.push_str(part.list);
        place.push('/');
        place.push_str(part.task);
    }
    place
}

/// A place without the attempts of `try`, under which idempotency keys are made.
pub(crate) fn without_attempts(place: &str) -> String {
    let mut left = String::with_capacity(place.len());
    let mut rest = place;
    while let Some(at) = rest.find('~') {
        let (before, from) = rest.split_at(at);
        left.push_str(before);
        let length = attempt_mark(from).unwrap_or(0);
        if length == 0 {
            left.push('~');
        }
        rest = from.get(length.max(1)..).unwrap_or_default();
    }
    left.push_str(rest);
    left
}

/// Whether `place` is `under` itself or stands inside of it: its tasks, iterations, attempts and effects, but not a later
/// visit.
pub(crate) fn is_within(place: &str, under: &str) -> bool {
    let Some(rest) = place.strip_prefix(under) else { return false };
    rest.is_empty() || rest.starts_with(['/', '[', '!']) || attempt_mark(rest).is_some()
}

/// Whether what happened at one of two places may have happened beside the other: they stand in different branches of
/// one `fork`, or in different iterations of one `map`.
pub(crate) fn beside(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (parts(one).peekable(), parts(other).peekable());
    while let (Some(part), Some(with)) = (one.next(), other.next()) {
        if with == part {
            continue;
        }
        let mapped = |part: Option<&Part<'_>>| part.is_some_and(|part| part.list == MAP);
        let iterations = without_iteration(part.task) == without_iteration(with.task)
            && mapped(one.peek())
            && mapped(other.peek());
        return with.list == part.list && (part.list.ends_with("branches") || iterations);
    }
    false
}

/// The list of the tasks of a `map`.
const MAP: &str = "with/do";

/// A task with its marks, but for the iteration at their end.
fn without_iteration(task: &str) -> &str {
    match task.rsplit_once('[') {
        Some((before, number)) if number.ends_with(']') => before,
        _ => task,
    }
}

/// The length of an attempt's mark (`~2`) at the beginning of a text, when one stands there. An escaped character of a
/// task's name (`~0`, `~1`; RFC 6901) is followed by more of the name.
fn attempt_mark(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('~')?;
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let after = digits.get(count..)?;
    (count > 0 && (after.is_empty() || after.starts_with(['/', '[', '!', '#', '~']))).then_some(count + 1)
}

/// A list and the task in it, with its marks.
#[derive(Debug, PartialEq)]
struct Part<'k> {
    list: &'k str,
    task: &'k str,
}

/// The parts of a key, or of a place, from the outside in.
fn parts(key: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = key.strip_prefix('/').unwrap_or(key);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (list, after) = list_of(rest);
        let (index, after_index) = after.split_once('/').unwrap_or((after, ""));
        let numbered = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
        // A place has no number; then the task follows.
        let after = if numbered && !after_index.is_empty() { after_index } else { after };
        let (task, left) = after.split_once('/').unwrap_or((after, ""));
        rest = left;
        Some(Part { list, task })
    })
}

/// The list's name at the beginning, which may have two words: `fork/branches`.
fn list_of(rest: &str) -> (&str, &str) {
    const TWO_WORDS: [&str; 4] = ["fork/branches", "catch/do", "foreach/do", MAP];
    for list in TWO_WORDS {
        if let Some(after) = rest.strip_prefix(list).and_then(|after| after.strip_prefix('/')) {
            return (list, after);
        }
    }
    rest.split_once('/').unwrap_or((rest, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_inserted_above_moves_no_place() {
        assert_eq!(place("/do/3/each[1]/do/0/book#1!pause"), "/do/each[1]/do/book#1!pause");
        assert_eq!(place("/do/4/each[1]/do/2/book#1!pause"), place("/do/3/each[1]/do/0/book#1!pause"));
        assert_eq!(place("/do/0/t/catch/do/0/note"), "/do/t/catch/do/note");
        assert_eq!(place("/do/0/f/fork/branches/1/b"), "/do/f/fork/branches/b");
        assert_eq!(place("/do/0/m[2]/with/do/1/b"), "/do/m[2]/with/do/b");
        assert_eq!(place(&place("/do/0/a/do/1/b")), "/do/a/do/b", "a place is its own place");
        assert_eq!(place("/do/0/7"), "/do/7", "a task may be called by a number");
    }

    #[test]
    fn a_place_holds_what_is_inside_and_not_what_is_named_alike() {
        let under = "/do/each[1]/do/book";
        for inside in ["", "/do/x", "!pause", "~1/try/x", "[0]/do/y"] {
            assert!(is_within(&format!("{under}{inside}"), under), "{inside}");
        }
        for outside in ["#1", "s", "~1s", "-more/do/x"] {
            assert!(!is_within(&format!("{under}{outside}"), under), "{outside}");
        }
        assert!(!is_within("/do/each[2]/do/book", under));
        assert!(is_within("/do/each[2]/do/book", "/do/each"));
    }

    #[test]
    fn branches_run_beside_one_another_and_iterations_do_not() {
        assert!(beside("/do/f/fork/branches/a/do/x", "/do/f/fork/branches/b"));
        assert!(!beside("/do/f/fork/branches/a/do/x", "/do/f/fork/branches/a/do/y"));
        assert!(!beside("/do/f/fork/branches/a", "/do/g"));
        assert!(!beside("/do/each[1]/do/x", "/do/each[2]/do/x"));
        assert!(!beside("/do/f#1/fork/branches/a", "/do/f/fork/branches/b"));
        assert!(!beside("/do/f", "/do/f/fork/branches/b"));
        assert!(beside("/do/m[1]/with/do/x", "/do/m[2]/with/do/y"));
        assert!(!beside("/do/m[1]/with/do/x", "/do/m[1]/with/do/y"));
        assert!(!beside("/do/m!map", "/do/m[1]/with/do/y"));
        assert!(!beside("/do/m[1]/with/do/x", "/do/n[2]/with/do/y"));
    }

    #[test]
    fn attempts_are_left_out_and_escapes_stay() {
        assert_eq!(without_attempts("/do/t~2/try/x~1"), "/do/t/try/x");
        assert_eq!(without_attempts("/do/a~1b~3/try/x"), "/do/a~1b/try/x");
        assert_eq!(without_attempts("/do/x"), "/do/x");
    }
}

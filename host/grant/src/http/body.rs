//! Which fields a JSON body writes, read so that no server can read others.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{HttpBody, wire::MAX_LIST};
use crate::{FieldPointer, pattern};

/// The deepest nesting of a body.
const MAX_DEPTH: usize = 64;
/// How many keys of an object are compared one by one before a table is made.
const FEW: usize = 16;
/// How `serde_json` shows a number as a map when some crate of the build asks it for arbitrary precision.
const NUMBER: &str = "$serde_json::private::Number";

/// Why a body is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyProblem {
    /// It cannot be said for sure what it writes.
    Unclear(&'static str),
    /// It writes this field (a JSON Pointer), which is not granted.
    Field(String),
}

/// Whether all that `body` writes lies at or inside of one of `allowed`. Allocates nothing for a body that is allowed, has
/// no escapes in its keys and at most 16 keys in each object.
pub(super) fn check_body(allowed: &[FieldPointer], body: &HttpBody<'_>) -> Result<(), BodyProblem> {
    if body.content_encoding.is_some_and(|encoding| !encoding.trim().eq_ignore_ascii_case("identity")) {
        return Err(BodyProblem::Unclear("it is encoded (Content-Encoding), so its fields cannot be seen"));
    }
    if body.bytes.is_empty() {
        return Ok(());
    }
    if !body.content_type.is_some_and(is_json) {
        return Err(BodyProblem::Unclear("its Content-Type is not application/json in UTF-8"));
    }
    let text = std::str::from_utf8(body.bytes).map_err(|_| BodyProblem::Unclear("it is not UTF-8"))?;
    let mut state = State { allowed, field: None, problem: None };
    let mut reader = serde_json::Deserializer::from_str(text);
    let root = Value { mask: Mask::full(allowed.len()), depth: 0, state: &mut state }.settled();
    let read = root.deserialize(&mut reader).and_then(|()| reader.end());
    match (read, state) {
        (Ok(()), _) => Ok(()),
        (Err(_), State { field: Some(field), .. }) => Err(BodyProblem::Field(field)),
        (Err(_), State { problem, .. }) => Err(BodyProblem::Unclear(problem.unwrap_or("it is not JSON"))),
    }
}

/// Whether a media type says JSON in UTF-8 (RFC 8259, section 11; RFC 6839, section 3.1), and not a list of changes, whose
/// fields name other fields (RFC 6902).
fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let Some((kind, sub)) = name.split_once('/') else { return false };
    let suffix = sub.len().checked_sub(5).and_then(|at| sub.split_at_checked(at));
    let json = sub.eq_ignore_ascii_case("json")
        || suffix.is_some_and(|(name, suffix)| !name.is_empty() && suffix.eq_ignore_ascii_case("+json"));
    let plain = sub.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_'));
    let patch = sub.eq_ignore_ascii_case("json-patch+json");
    let utf8 = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    kind.eq_ignore_ascii_case("application")
        && json
        && plain
        && !patch
        && parts.next().is_none_or(utf8)
        && parts.next().is_none()
}

/// Which of the pointers still agree with the way to a value. As wide as the longest list a rule may hold.
#[derive(Clone, Copy)]
struct Mask([u64; MAX_LIST / 64]);

impl Mask {
    fn full(count: usize) -> Self {
        let mut mask = Self([0; MAX_LIST / 64]);
        (0..count).for_each(|at| mask.set(at));
        mask
    }

    fn set(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    /// The positions that are set. A mask of few pointers, or none, costs next to nothing.
    fn positions(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word_at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.checked_sub(1)?;
                Some(word_at * 64 + bit)
            })
        })
    }
}

struct State<'p> {
    allowed: &'p [FieldPointer],
    /// The field that was refused, completed on the way back to the root.
    field: Option<String>,
    problem: Option<&'static str>,
}

impl State<'_> {
    /// The mask after one more step, and whether a pointer ends there.
    fn step(&self, mask: Mask, depth: usize, member: &str) -> (Mask, bool) {
        let mut next = Mask::full(0);
        let mut granted = false;
        for at in mask.positions() {
            if let Some(pointer) = self.allowed.get(at).filter(|pointer| pointer.takes(depth, member)) {
                next.set(at);
                granted |= pointer.depth() == depth + 1;
            }
        }
        (next, granted)
    }

    fn refuse<E: serde::de::Error>(&mut self, problem: &'static str) -> E {
        self.problem = Some(problem);
        E::custom(problem)
    }

    fn refuse_field<E: serde::de::Error>(&mut self) -> E {
        self.field = Some(String::new());
        E::custom("a field that is not granted")
    }

    /// Completes the name of a refused field by the member that leads to it.
    fn lead(&mut self, member: &str) {
        if let Some(field) = &mut self.field {
            // Longer than any pointer may be, so that nobody takes it for one.
            let cut: String = member.chars().take(600).collect();
            *field = format!("/{}{field}", pattern::escape_member(&cut));
        }
    }
}

/// One value of the body.
struct Value<'s, 'p> {
    mask: Mask,
    depth: usize,
    state: &'s mut State<'p>,
}

/// One value, and whether it may be written whole.
struct Settled<'s, 'p> {
    value: Value<'s, 'p>,
    granted: bool,
}

impl<'s, 'p> Value<'s, 'p> {
    /// The root: granted whole when there is an empty pointer.
    fn settled(self) -> Settled<'s, 'p> {
        let granted = self.state.allowed.iter().any(|pointer| pointer.depth() == 0);
        Settled { value: self, granted }
    }
}

impl<'p> Settled<'_, 'p> {
    fn leaf<E: serde::de::Error>(self) -> Result<(), E> {
        if self.granted { Ok(()) } else { Err(self.value.state.refuse_field()) }
    }

    /// The seed for what lies one step further.
    fn inner<'t>(&'t mut self, member: &str) -> Settled<'t, 'p> {
        let depth = self.value.depth;
        let (mask, ends) = if self.granted {
            (Mask::full(0), true)
        } else {
            self.value.state.step(self.value.mask, depth, member)
        };
        Settled { value: Value { mask, depth: depth + 1, state: self.value.state }, granted: ends }
    }

    fn check_depth<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.value.depth >= MAX_DEPTH {
            return Err(self.value.state.refuse("it is nested too deeply"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Settled<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Settled<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.leaf()
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.leaf()
    }
    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.leaf()
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.leaf()
    }
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.leaf()
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.leaf()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut index = Index::default();
        loop {
            let member = index.text();
            match items.next_element_seed(self.inner(member)) {
                Ok(Some(())) => index.next(),
                // An empty list is a value too.
                Ok(None) if member == "0" => return self.leaf(),
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.value.state.lead(member);
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut seen = Keys::default();
        while let Some(key) = members.next_key_seed(Key)? {
            if seen.count == 0 && key == NUMBER {
                members.next_value::<IgnoredAny>()?;
                return self.leaf();
            }
            let result = members.next_value_seed(self.inner(&key));
            if result.is_err() {
                self.value.state.lead(&key);
            }
            result?;
            if !seen.add(key) {
                return Err(self
                    .value
                    .state
                    .refuse("it names a key twice, and servers differ on which one counts"));
            }
        }
        // `{}` as the whole body names no field; inside of one it is a value.
        if seen.count == 0 && self.value.depth > 0 { self.leaf() } else { Ok(()) }
    }
}

/// Reads a key without copying it when it holds no escape.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E: serde::de::Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// The keys of an object so far.
#[derive(Default)]
struct Keys<'de> {
    few: [Cow<'de, str>; FEW],
    many: HashSet<Cow<'de, str>>,
    count: usize,
}

impl<'de> Keys<'de> {
    /// Whether the key is new.
    fn add(&mut self, key: Cow<'de, str>) -> bool {
        if self.few.iter().take(self.count).any(|seen| *seen == key) {
            return false;
        }
        let new = match self.few.get_mut(self.count) {
            Some(place) => {
                *place = key;
                true
            }
            None => self.many.insert(key),
        };
        self.count += 1;
        new
    }
}

/// The position of an element, as decimal text, without allocating.
struct Index {
    digits: [u8; 20],
    start: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { digits: [b'0'; 20], start: 19 }
    }
}

impl Index {
    fn text(&self) -> &str {
        self.digits.get(self.start..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }

    fn next(&mut self) {
        for at in (0..self.digits.len()).rev() {
            if let Some(digit) = self.digits.get_mut(at) {
                self.start = self.start.min(at);
                if *digit < b'9' {
                    *digit += 1;
                    return;
                }
                *digit = b'0';
            }
        }
    }
}

#[cfg(test)]
mod tests;

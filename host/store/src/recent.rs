//! Recent writes: what the log has and the engine does not have yet, in memory, in key order.
//!
//! Two generations. New groups go into the young one. When it has grown to a segment of the log it becomes the old one,
//! which is moved into the engine while the next grows. A key is looked for in the young one, the old one and then the
//! engine, and a removal hides what lies below it; so nobody sees that the engine is being written.

use std::{
    collections::{BTreeMap, btree_map},
    ops::Bound,
    sync::Arc,
};

use sled::IVec;

use crate::{StoreError, redo::Effect, scan::Bounds};

/// What a generation holds: keys with their stored values, `None` where they were removed.
pub(crate) type Generation = BTreeMap<Vec<u8>, Option<IVec>>;

/// What a key and its value take beside their bytes, about.
const OVERHEAD: usize = 64;

/// The writes that the engine does not have yet.
#[derive(Default)]
pub(crate) struct Recent {
    young: Generation,
    /// Bytes of the young one.
    bytes: usize,
    old: Option<Arc<Generation>>,
}

impl Recent {
    /// What is known of a key here; `None` when the engine is to be asked.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Option<IVec>> {
        self.young.get(key).or_else(|| self.old.as_ref()?.get(key))
    }

    /// Takes up a group.
    pub(crate) fn take(&mut self, effects: Vec<Effect>) {
        for (key, value) in effects {
            self.bytes = self
                .bytes
                .saturating_add(OVERHEAD)
                .saturating_add(key.len())
                .saturating_add(value.as_ref().map_or(0, |value| value.len()));
            self.young.insert(key, value);
        }
    }

    /// How many bytes were taken up since the last turn.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the young generation the old one, which must be gone.
    pub(crate) fn turn(&mut self) -> Arc<Generation> {
        let old = Arc::new(std::mem::take(&mut self.young));
        self.bytes = 0;
        self.old = Some(Arc::clone(&old));
        old
    }

    /// The engine has the old generation.
    pub(crate) fn moved(&mut self) {
        self.old = None;
    }

    /// Walks over keys in order, with those of the engine, `stored`, which come in the same order.
    pub(crate) fn over<'a, S>(&'a self, bounds: &Bounds, reverse: bool, stored: S) -> Walk<'a, S>
    where
        S: Iterator<Item = Result<(IVec, IVec), StoreError>>,
    {
        let young = Side::new(&self.young, bounds, reverse);
        let old = self.old.as_deref().map(|old| Side::new(old, bounds, reverse));
        Walk { young, old, stored: stored.fuse(), head: None, reverse }
    }
}

/// One generation's part of a walk.
struct Side<'a> {
    range: btree_map::Range<'a, Vec<u8>, Option<IVec>>,
    head: Option<(&'a Vec<u8>, &'a Option<IVec>)>,
    reverse: bool,
}

impl<'a> Side<'a> {
    fn new(generation: &'a Generation, bounds: &Bounds, reverse: bool) -> Side<'a> {
        let range = generation.range::<[u8], _>((slice(&bounds.0), slice(&bounds.1)));
        let mut side = Side { range, head: None, reverse };
        side.advance();
        side
    }

    fn advance(&mut self) {
        self.head = if self.reverse { self.range.next_back() } else { self.range.next() };
    }
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// Keys that are there, with their stored values, from both generations and the engine.
pub(crate) struct Walk<'a, S: Iterator> {
    young: Side<'a>,
    old: Option<Side<'a>>,
    stored: std::iter::Fuse<S>,
    /// What the engine has next.
    head: Option<(IVec, IVec)>,
    reverse: bool,
}

/// Where a pair of a walk comes from.
pub(crate) enum Origin {
    /// A recent write: the value is whole.
    Recent,
    /// The engine.
    Engine,
}

impl<S> Iterator for Walk<'_, S>
where
    S: Iterator<Item = Result<(IVec, IVec), StoreError>>,
{
    type Item = Result<(Vec<u8>, IVec, Origin), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.head.is_none() {
                match self.stored.next() {
                    Some(Ok(pair)) => self.head = Some(pair),
                    Some(Err(error)) => return Some(Err(error)),
                    None => {}
                }
            }
            let young = self.young.head;
            let old = self.old.as_ref().and_then(|old| old.head);
            let heads = [
                young.map(|(key, _)| key.as_slice()),
                old.map(|(key, _)| key.as_slice()),
                self.head.as_ref().map(|(key, _)| &**key),
            ];
            let heads = heads.into_iter().flatten();
            let next = if self.reverse { heads.max() } else { heads.min() }?;
            let is = |head: Option<(&Vec<u8>, &Option<IVec>)>| head.is_some_and(|(key, _)| key == next);
            let (in_young, in_old) = (is(young), is(old));
            let in_engine = self.head.as_ref().is_some_and(|(key, _)| &**key == next);
            // The newest word on the key counts; what lies below it is passed over.
            let newest = if in_young { young } else { old.filter(|_| in_old) };
            let newest = newest.map(|(key, value)| (key.clone(), value.clone()));
            let engines = if in_engine { self.head.take() } else { None };
            if in_young {
                self.young.advance();
            }
            if let (true, Some(old)) = (in_old, self.old.as_mut()) {
                old.advance();
            }
            match (newest, engines) {
                (Some((key, Some(value))), _) => return Some(Ok((key, value, Origin::Recent))),
                (Some((_, None)), _) => {}
                (None, Some((key, value))) => return Some(Ok((key.to_vec(), value, Origin::Engine))),
                (None, None) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A key, and in which layer it has which value, or none.
    type Write = (u8, u8, Option<u8>);

    fn value(byte: u8) -> IVec {
        IVec::from(&[byte])
    }

    proptest! {
        #[test]
        fn a_walk_shows_what_one_map_would(
            writes in proptest::collection::vec((0..3_u8, 0..20_u8, proptest::option::of(any::<u8>())), 0..60),
            from in 0..20_u8, to in 0..20_u8, reverse in any::<bool>(),
        ) {
            let mut writes: Vec<Write> = writes;
            writes.sort_by_key(|(layer, ..)| *layer);
            let (mut engine, mut all, mut recent) = (BTreeMap::new(), BTreeMap::new(), Recent::default());
            let mut turned = false;
            for (layer, key, new) in writes {
                if layer == 2 && !turned {
                    recent.turn();
                    turned = true;
                }
                match (layer, new) {
                    (0, Some(new)) => drop(engine.insert(vec![key], value(new))),
                    (0, None) => drop(engine.remove(&vec![key])),
                    (_, new) => recent.take(vec![(vec![key], new.map(value))]),
                }
                match new {
                    Some(new) => all.insert(vec![key], value(new)),
                    None => all.remove(&vec![key]),
                };
            }
            let (from, to) = (from.min(to), from.max(to));
            let bounds: Bounds = (Bound::Included(vec![from]), Bound::Excluded(vec![to]));
            let pair = |(key, value): (&Vec<u8>, &IVec)| Ok((IVec::from(key.as_slice()), value.clone()));
            let stored: Vec<_> = engine.range(bounds.clone()).map(pair).collect();
            let stored: Box<dyn Iterator<Item = _>> =
                if reverse { Box::new(stored.into_iter().rev()) } else { Box::new(stored.into_iter()) };
            let walked: Vec<_> = recent
                .over(&bounds, reverse, stored)
                .map(|next| next.map(|(key, value, _)| (key, value)).unwrap())
                .collect();
            let mut expected: Vec<_> = all.range(bounds).map(|(k, v)| (k.clone(), v.clone())).collect();
            if reverse {
                expected.reverse();
            }
            prop_assert_eq!(walked, expected);
            for key in 0..20_u8 {
                let known = recent.get(&[key]).cloned().unwrap_or_else(|| engine.get(&vec![key]).cloned());
                prop_assert_eq!(known.as_ref(), all.get(&vec![key]));
            }
        }
    }
}

//! Labels that follow the members of a JSON value, so that `{a: crm's, b: the classifier's}` keeps the two apart.

use std::fmt;
use std::sync::Arc;

use crate::{Label, Labels, Source};

/// How many levels of members are told apart. Below, a value is one.
pub const MAX_DEPTH: u8 = 6;
/// The most members of one object that are told apart. An object with more is one.
pub const MAX_MEMBERS: usize = 64;

/// Where a JSON value comes from, member by member. One word; nothing on the heap when nothing is known to be in it; cheap
/// to clone.
///
/// What is said of the whole holds for every part of the value: each member, each item, the keys, the length. What is
/// said of a member holds for that member, on top.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Provenance(Option<Arc<Node>>);

#[derive(Default, PartialEq, Eq)]
struct Node {
    whole: Labels,
    /// Sorted by key; none is empty.
    members: Vec<(Arc<str>, Provenance)>,
    /// Levels of members below.
    depth: u8,
}

/// A value that comes from `labels` as a whole.
impl From<Labels> for Provenance {
    fn from(whole: Labels) -> Self {
        if whole.is_empty() { Self(None) } else { Self::node(whole, Vec::new()) }
    }
}

impl Provenance {
    fn node(whole: Labels, mut members: Vec<(Arc<str>, Provenance)>) -> Self {
        members.retain(|(_, member)| !member.is_empty());
        if whole.is_empty() && members.is_empty() {
            return Self(None);
        }
        if members.len() > MAX_MEMBERS {
            let whole = members.iter().fold(whole, |all, (_, member)| all.union(&member.total()));
            return Self::from(whole);
        }
        for (_, member) in &mut members {
            if member.depth() + 1 >= MAX_DEPTH {
                *member = Self::from(member.total());
            }
        }
        let depth = members.iter().map(|(_, member)| member.depth() + 1).max().unwrap_or_default();
        Self(Some(Arc::new(Node { whole, members, depth })))
    }

    /// An object that is made of members. Of members with one key, the last counts.
    #[must_use]
    pub fn object(members: impl IntoIterator<Item = (Arc<str>, Self)>) -> Self {
        let mut sorted: Vec<(Arc<str>, Self)> = Vec::new();
        for (key, member) in members {
            match sorted.binary_search_by(|(known, _)| known.cmp(&key)) {
                Ok(at) => {
                    if let Some(slot) = sorted.get_mut(at) {
                        slot.1 = member;
                    }
                }
                Err(at) => sorted.insert(at, (key, member)),
            }
        }
        Self::node(Labels::default(), sorted)
    }

    fn depth(&self) -> u8 {
        self.0.as_ref().map_or(0, |node| node.depth)
    }

    fn members(&self) -> &[(Arc<str>, Self)] {
        self.0.as_ref().map_or(&[], |node| node.members.as_slice())
    }

    fn whole(&self) -> Labels {
        self.0.as_ref().map(|node| node.whole.clone()).unwrap_or_default()
    }

    fn own(&self, key: &str) -> Option<&Self> {
        let members = self.members();
        let at = members.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        members.get(at).map(|(_, member)| member)
    }

    /// Whether nothing is known to be in the value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All labels in it.
    #[must_use]
    pub fn total(&self) -> Labels {
        self.members().iter().fold(self.whole(), |all, (_, member)| all.union(&member.total()))
    }

    /// Where its member `key` comes from.
    #[must_use]
    pub fn member(&self, key: &str) -> Self {
        match self.own(key) {
            Some(member) => member.and(&self.whole()),
            None => Self::from(self.whole()),
        }
    }

    /// The same, with `labels` on the whole.
    #[must_use]
    pub fn and(&self, labels: &Labels) -> Self {
        match &self.0 {
            None => Self::from(labels.clone()),
            Some(node) if node.whole.contains(labels) => self.clone(),
            Some(node) => Self(Some(Arc::new(Node {
                whole: node.whole.union(labels),
                members: node.members.clone(),
                depth: node.depth,
            }))),
        }
    }

    /// Where a value comes from of which each part is that part of one or of the other.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let (mine, theirs) = match (&self.0, &other.0) {
            (None, _) => return other.clone(),
            (_, None) => return self.clone(),
            (Some(mine), Some(theirs)) if Arc::ptr_eq(mine, theirs) => return self.clone(),
            (Some(mine), Some(theirs)) => (mine, theirs),
        };
        let mut members = mine.members.clone();
        for (key, member) in &theirs.members {
            match members.binary_search_by(|(known, _)| known.cmp(key)) {
                Ok(at) => {
                    if let Some(slot) = members.get_mut(at) {
                        slot.1 = slot.1.join(member);
                    }
                }
                Err(at) => members.insert(at, (Arc::clone(key), member.clone())),
            }
        }
        Self::node(mine.whole.union(&theirs.whole), members)
    }

    /// The same object with another member `key`.
    #[must_use]
    pub fn with_member(&self, key: &str, member: Self) -> Self {
        let mut members = self.members().to_vec();
        match members.binary_search_by(|(known, _)| (**known).cmp(key)) {
            Ok(at) => {
                if let Some(slot) = members.get_mut(at) {
                    slot.1 = member;
                }
            }
            Err(at) => members.insert(at, (key.into(), member)),
        }
        Self::node(self.whole(), members)
    }

    /// The same without the labels that `sources` match.
    #[must_use]
    pub fn without(&self, sources: &[Source]) -> Self {
        let members =
            self.members().iter().map(|(key, member)| (Arc::clone(key), member.without(sources))).collect();
        Self::node(self.whole().without(sources), members)
    }

    /// The path of the first part with a label that `test` takes: keys from the top, the most precise first. Allocates
    /// nothing when there is none.
    pub(crate) fn find(&self, test: &dyn Fn(&Label) -> bool) -> Option<(Vec<Arc<str>>, Labels)> {
        let node = self.0.as_ref()?;
        for (key, member) in &node.members {
            if let Some((mut path, labels)) = member.find(test) {
                path.insert(0, Arc::clone(key));
                return Some((path, labels));
            }
        }
        node.whole.iter().any(test).then(|| (Vec::new(), node.whole.clone()))
    }
}

impl fmt::Debug for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.members(), self.whole()) {
            ([], whole) => whole.fmt(f),
            (members, whole) => {
                if !whole.is_empty() {
                    write!(f, "{whole:?}+")?;
                }
                f.debug_map().entries(members.iter().map(|(key, member)| (key, member))).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from(origins: &str) -> Provenance {
        origins.split_whitespace().map(|o| Label::new(o, None)).collect::<Labels>().into()
    }

    fn object(members: &[(&str, Provenance)]) -> Provenance {
        Provenance::object(members.iter().map(|(key, p)| (Arc::from(*key), p.clone())))
    }

    #[test]
    fn members_are_kept_apart() {
        let value = object(&[("a", from("crm")), ("b", from("classifier")), ("c", from(""))]);
        assert_eq!(value.member("a"), from("crm"));
        assert_eq!(value.member("b"), from("classifier"));
        assert!(value.member("c").is_empty() && value.member("d").is_empty());
        assert_eq!(value.total(), from("crm classifier").total());
        assert_eq!(value.and(&from("x").total()).member("c"), from("x"));
        assert_eq!(value.with_member("a", Provenance::default()).total(), from("classifier").total());
        assert_eq!(value.join(&object(&[("a", from("erp"))])).member("a"), from("crm erp"));
        assert_eq!(value.without(&["crm".parse().unwrap()]).total(), from("classifier").total());
        assert_eq!(size_of::<Provenance>(), size_of::<usize>());
    }

    #[test]
    fn the_most_precise_place_is_found() {
        let value = object(&[("message", object(&[("phone", from("crm")), ("text", from("trigger"))]))]);
        let (path, labels) = value.find(&|label| label.origin() == "crm").unwrap();
        assert_eq!((path.join("."), labels), ("message.phone".to_owned(), from("crm").total()));
        assert!(value.find(&|label| label.origin() == "erp").is_none());
        assert_eq!(from("crm").find(&|_| true).unwrap().0, Vec::<Arc<str>>::new());
    }

    #[test]
    fn deep_and_wide_values_become_one() {
        let mut deep = from("crm");
        for _ in 0..1000 {
            deep = object(&[("a", deep.clone()), ("b", from("x"))]);
        }
        assert!(deep.depth() <= MAX_DEPTH);
        assert_eq!(deep.total(), from("crm x").total());
        let wide =
            Provenance::object((0..1000).map(|i| (Arc::from(format!("k{i}")), from(&format!("p{}", i % 3)))));
        assert_eq!(wide, from("p0 p1 p2"));
        assert_eq!(wide.member("elsewhere"), from("p0 p1 p2"));
    }

    fn tree() -> impl Strategy<Value = Provenance> {
        let leaf = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3)
            .prop_map(|origins| from(&origins.join(" ")));
        leaf.prop_recursive(8, 40, 3, |inner| {
            (
                proptest::collection::vec((proptest::sample::select(vec!["x", "y", "z"]), inner), 0..3),
                proptest::sample::subsequence(vec!["a", "b", "c"], 0..=1),
            )
                .prop_map(|(members, whole)| object(&members).and(&from(&whole.join(" ")).total()))
        })
    }

    proptest! {
        /// No part loses a label, whatever is done.
        #[test]
        fn no_label_is_lost(one in tree(), two in tree(), key in proptest::sample::select(vec!["x", "y", "z", "w"])) {
            let both = one.join(&two);
            prop_assert!(both.total().contains(&one.total()) && both.total().contains(&two.total()));
            prop_assert!(both.member(key).total().contains(&one.member(key).total()));
            prop_assert!(one.total().contains(&one.member(key).total()));
            let nested = object(&[(key, one.clone())]);
            prop_assert!(nested.member(key).total().contains(&one.total()));
            let replaced = one.with_member(key, two.clone());
            prop_assert!(replaced.member(key).total().contains(&two.total()));
            for label in one.total().iter() {
                prop_assert!(one.find(&|l| l == label).is_some());
            }
            let gone = one.without(&["a".parse().unwrap()]);
            prop_assert!(gone.find(&|l| l.origin() == "a").is_none());
            prop_assert!(gone.total().union(&from("a").total()).contains(&one.total()));
        }
    }
}

//! One origin of data, and sets of them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Source, is_name, is_origin};

/// The origin of what came in from outside: a run's input, or the argument of a direct call.
pub const TRIGGER: &str = "trigger";
/// The most labels of one set. A set that would hold more holds one that stands for all of them.
pub const MAX_LABELS: usize = 64;
/// The label that every source matches.
const ANYTHING: &str = "*";

/// Data from one origin, perhaps of one class of sensitivity. Written `crm` or `crm/personal`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// Data from `origin`: an installed plugin's name, [`TRIGGER`], or `http:` and a host ([`is_origin`]). With `class`, data of that class from there.
    ///
    /// What is no name becomes the label that every source matches, so that it is refused rather than lost.
    #[must_use]
    pub fn new(origin: &str, class: Option<&str>) -> Self {
        if !is_origin(origin) || class.is_some_and(|class| !is_name(class)) {
            return Self::anything();
        }
        Self(class.map_or_else(|| origin.into(), |class| format!("{origin}/{class}").into()))
    }

    /// Data of which is not known where it comes from. Every source matches it.
    #[must_use]
    pub fn anything() -> Self {
        Self(ANYTHING.into())
    }

    /// Whether every source matches it.
    #[must_use]
    pub fn is_anything(&self) -> bool {
        &*self.0 == ANYTHING
    }

    /// Where the data comes from.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(origin, _)| origin)
    }

    /// Its class, if it has one.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, class)| class)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (origin, class) = text.split_once('/').map_or((text, None), |(o, c)| (o, Some(c)));
        let label = Self::new(origin, class);
        (!label.is_anything() || text == ANYTHING).then_some(label)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of labels. One word, and nothing on the heap when it is empty; cheap to clone.
#[derive(Clone, Default)]
pub struct Labels(Option<Arc<Vec<Label>>>);

impl Labels {
    /// The set of one label.
    #[must_use]
    pub fn one(label: Label) -> Self {
        Self(Some(Arc::new(vec![label])))
    }

    /// Data from `origin`, in each of `classes`; plainly from there when there are none.
    #[must_use]
    pub fn from_origin<'c>(origin: &str, classes: impl IntoIterator<Item = &'c str>) -> Self {
        let labels: Self = classes.into_iter().map(|class| Label::new(origin, Some(class))).collect();
        if labels.is_empty() { Self::one(Label::new(origin, None)) } else { labels }
    }

    /// What came in from outside.
    #[must_use]
    pub fn trigger() -> Self {
        Self::one(Label::new(TRIGGER, None))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The labels, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.as_deref().map_or(&[][..], Vec::as_slice).iter()
    }

    /// Whether all of `other` are in here. [`Label::anything`] stands for each.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => {
                Arc::ptr_eq(mine, theirs)
                    || mine.iter().any(Label::is_anything)
                    || theirs.iter().all(|label| mine.binary_search(label).is_ok())
            }
        }
    }

    /// Those of both. Shares the larger set when it holds the other.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.contains(other) {
            return self.clone();
        }
        if other.contains(self) {
            return other.clone();
        }
        self.iter().chain(other.iter()).cloned().collect()
    }

    /// Those that no source in `sources` matches. [`Label::anything`] stays: nobody knows what it stands for.
    #[must_use]
    pub fn without(&self, sources: &[Source]) -> Self {
        let goes = |label: &Label| !label.is_anything() && sources.iter().any(|source| source.matches(label));
        if !self.iter().any(goes) {
            return self.clone();
        }
        self.iter().filter(|label| !goes(label)).cloned().collect()
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        let mut labels: Vec<Label> = labels.into_iter().collect();
        labels.sort_unstable();
        labels.dedup();
        if labels.len() > MAX_LABELS || labels.iter().any(Label::is_anything) {
            labels = vec![Label::anything()];
        }
        Self((!labels.is_empty()).then(|| Arc::new(labels)))
    }
}

impl<'l> IntoIterator for &'l Labels {
    type Item = &'l Label;
    type IntoIter = std::slice::Iter<'l, Label>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Labels {}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Label::as_str)).finish()
    }
}

/// For people: each origin once, with its classes: `crm (financial, personal), trigger`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last: Option<&str> = None;
        let mut open = false;
        for label in self.iter() {
            let origin = if label.is_anything() { "an unknown origin" } else { label.origin() };
            if last == Some(origin) {
                f.write_str(if open { ", " } else { " (" })?;
            } else {
                if open {
                    f.write_str(")")?;
                }
                if last.is_some() {
                    f.write_str(", ")?;
                }
                f.write_str(origin)?;
                open = false;
                if label.class().is_some() {
                    f.write_str(" (")?;
                }
            }
            if let Some(class) = label.class() {
                f.write_str(class)?;
                open = true;
            }
            last = Some(origin);
        }
        if open { f.write_str(")") } else { Ok(()) }
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Label::as_str))
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parse = |text: &String| {
            Label::parse(text).ok_or_else(|| {
                D::Error::custom("a label is an origin, or an origin and a class with / between them")
            })
        };
        texts.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(texts: &[&str]) -> Labels {
        texts.iter().map(|text| Label::parse(text).unwrap()).collect()
    }

    #[test]
    fn sets_are_sorted_and_shared() {
        let one = labels(&["crm", "trigger", "crm"]);
        assert_eq!(one.iter().map(Label::as_str).collect::<Vec<_>>(), ["crm", "trigger"]);
        let both = one.union(&labels(&["crm"]));
        assert!(Arc::ptr_eq(both.0.as_ref().unwrap(), one.0.as_ref().unwrap()));
        assert_eq!(labels(&["b"]).union(&labels(&["a"])), labels(&["a", "b"]));
        assert!(Labels::default().union(&Labels::default()).is_empty());
        assert_eq!(size_of::<Labels>(), size_of::<usize>());
    }

    #[test]
    fn too_many_labels_stand_for_everything() {
        let many: Labels = (0..=MAX_LABELS).map(|i| Label::new(&format!("p{i}"), None)).collect();
        assert_eq!(many, Labels::one(Label::anything()));
        assert!(many.contains(&labels(&["crm"])));
        assert_eq!(many.without(&["p1".parse().unwrap()]), many);
        assert_eq!(Label::new("Not a name", None), Label::anything());
    }

    #[test]
    fn people_read_each_origin_once() {
        let all = labels(&["crm/personal", "crm", "trigger", "crm/financial", "mail"]);
        assert_eq!(all.to_string(), "crm (financial, personal), mail, trigger");
        assert_eq!(labels(&["crm/personal"]).to_string(), "crm (personal)");
        assert_eq!(labels(&["crm/personal", "erp/personal"]).to_string(), "crm (personal), erp (personal)");
        assert_eq!(labels(&["*"]).to_string(), "an unknown origin");
    }

    #[test]
    fn a_set_is_a_list_in_json() {
        let all = labels(&["crm/personal", "trigger"]);
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(json, "[\"crm/personal\",\"trigger\"]");
        assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), all);
        for bad in ["[\"\"]", "[\"A\"]", "[\"a/b/c\"]", "[\"a/\"]", "[5]", "\"crm\""] {
            assert!(serde_json::from_str::<Labels>(bad).is_err(), "{bad}");
        }
    }
}

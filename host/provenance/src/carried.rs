//! What one call holds: its argument, and what it read of stored data.

use std::fmt;

use crate::{Labels, Provenance, Source};

/// Where the data of one call comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Its argument, member by member.
    pub argument: Provenance,
    /// What it read of stored data: keys and values, artifacts.
    pub stored: Labels,
}

impl From<Provenance> for Carried {
    fn from(argument: Provenance) -> Self {
        Self { argument, stored: Labels::default() }
    }
}

/// Data of a call that one of some sources matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it stands.
    pub place: Place,
    /// What is known of it, as far as the source that matched it: all labels of the same origin.
    pub labels: Labels,
    /// The source that matched it.
    pub source: Source,
}

/// Where data of a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the argument: the keys from the top, with dots between; none when it is all of it.
    Argument(Option<String>),
    /// In what the call read of stored data.
    Stored,
}

/// The longest path that is shown, in characters. Keys may be a guest's words.
const MAX_PATH: usize = 200;

impl Carried {
    /// All labels of the call's data.
    #[must_use]
    pub fn total(&self) -> Labels {
        self.argument.total().union(&self.stored)
    }

    /// The first data that one of `sources` matches, the argument's most precise place first. Allocates nothing when there
    /// is none.
    #[must_use]
    pub fn find(&self, sources: &[Source]) -> Option<Found> {
        sources.iter().find_map(|source| {
            let test = |label: &crate::Label| source.matches(label);
            let (place, labels) = match self.argument.find(&test) {
                Some((path, labels)) => {
                    let path = (!path.is_empty()).then(|| {
                        path.join(".").chars().take(MAX_PATH).flat_map(char::escape_debug).collect()
                    });
                    (Place::Argument(path), labels)
                }
                None if self.stored.iter().any(test) => (Place::Stored, self.stored.clone()),
                None => return None,
            };
            let origins: Vec<&str> =
                labels.iter().filter(|label| test(label)).map(crate::Label::origin).collect();
            let labels = labels.iter().filter(|label| origins.contains(&label.origin())).cloned().collect();
            Some(Found { place, labels, source: source.clone() })
        })
    }
}

/// As in "the argument `message.phone` holds data from crm (personal)".
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Argument(Some(path)) => write!(f, "the argument `{path}` holds data from {}", self.labels),
            Place::Argument(None) => write!(f, "the argument holds data from {}", self.labels),
            Place::Stored => write!(f, "the stored data that it read holds data from {}", self.labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Label;
    use std::sync::Arc;

    #[test]
    fn what_is_found_is_said_in_words() {
        let crm: Labels =
            [Label::new("crm", Some("personal")), Label::new("trigger", None)].into_iter().collect();
        let phone = Provenance::object([(Arc::from("phone"), Provenance::from(crm.clone()))]);
        let argument = Provenance::object([(Arc::from("message"), phone)]);
        let carried = Carried { argument, stored: Labels::one(Label::new("erp", None)) };
        let said = |source: &str| carried.find(&[source.parse().unwrap()]).map(|found| found.to_string());
        assert_eq!(said("crm").unwrap(), "the argument `message.phone` holds data from crm (personal)");
        assert_eq!(said("class:personal"), said("crm"));
        assert_eq!(said("trigger").unwrap(), "the argument `message.phone` holds data from trigger");
        assert_eq!(said("erp").unwrap(), "the stored data that it read holds data from erp");
        assert_eq!(said("classifier"), None);
        assert_eq!(carried.find(&[]), None);
    }
}

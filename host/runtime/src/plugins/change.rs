//! What a change of grants gives and takes, in words that an administrator reads before agreeing and an auditor after.

use factotum_grant::{Difference, Grants, Language, contains};
use serde::Serialize;

/// A text in English and Chinese.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

impl Told {
    fn given(difference: &Difference) -> Self {
        let words = |language| difference.words(language).to_owned();
        Self { en: words(Language::English), zh: words(Language::Chinese) }
    }

    fn taken(difference: &Difference) -> Self {
        let words = |language| difference.words_when_taken(language);
        Self { en: words(Language::English), zh: words(Language::Chinese) }
    }
}

/// The difference between two grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GrantChange {
    /// What it may do from now on: "may also …".
    pub gained: Vec<Told>,
    /// What it may do no longer: "may no longer …".
    pub lost: Vec<Told>,
}

impl GrantChange {
    /// From `old` to `new`.
    #[must_use]
    pub fn between(old: &Grants, new: &Grants) -> Self {
        let lacking = |wider, narrower| contains(wider, narrower).err().unwrap_or_default();
        Self {
            gained: lacking(old, new).iter().map(Told::given).collect(),
            lost: lacking(new, old).iter().map(Told::taken).collect(),
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_change_are_told() {
        let old =
            Grants::from_toml("[mail]\nrecipients = [\"*@a.test\", \"*@b.test\"]\n[key-value]").unwrap();
        let new = Grants::from_toml("[mail]\nrecipients = [\"*@a.test\"]\n[key-value]\n[artifacts]").unwrap();
        let change = GrantChange::between(&old, &new);
        assert_eq!(change.gained.len(), 1, "{change:?}");
        assert!(change.gained[0].en.starts_with("may also store files"), "{change:?}");
        assert_eq!(change.lost.len(), 1, "{change:?}");
        assert_eq!(change.lost[0].en, "may no longer send mail to anybody at b.test");
        assert_eq!(change.lost[0].zh, "不再可以发送邮件给 b.test 的任何人");
        assert!(GrantChange::between(&old, &old).is_empty());
    }
}

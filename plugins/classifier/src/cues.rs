//! The shipped rules: phrases, each of which is a cue for one thing. The trained model weighs the cues; here stands only
//! what they are and where their weights start ([`Cue::prior`]). Phrases are folded (see `fold`), in the language of
//! `phrases`.

mod category;
mod concepts;
mod strong;
mod tone;

pub use concepts::CONCEPTS;

use crate::labels::{Category, Priority, Sentiment};

/// What a phrase points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// A category, as a topic.
    Category(Category),
    /// A category, as what is asked for.
    Strong(Category),
    /// Danger to people or things.
    Safety,
    /// Fraud or a taken-over account.
    Fraud,
    /// A threat with a lawyer, a court, an authority.
    Legal,
    /// Something is down for many.
    Outage,
    /// A deadline today or tomorrow.
    Deadline,
    /// A plea for haste.
    Hurry,
    /// Money is missing or was taken twice.
    Money,
    /// Not the first contact.
    Repeat,
    /// No haste.
    Calm,
    /// A good mood.
    Positive,
    /// A bad mood.
    Negative,
    /// Anger.
    Anger,
}

impl Cue {
    /// How many cues there are.
    pub const COUNT: usize = 2 * Category::ALL.len() + 12;

    /// The cue's place among the model's dense inputs.
    #[must_use]
    pub const fn index(self) -> usize {
        let after = 2 * Category::ALL.len();
        match self {
            Self::Category(category) => category.index(),
            Self::Strong(category) => Category::ALL.len() + category.index(),
            Self::Safety => after,
            Self::Fraud => after + 1,
            Self::Legal => after + 2,
            Self::Outage => after + 3,
            Self::Deadline => after + 4,
            Self::Hurry => after + 5,
            Self::Money => after + 6,
            Self::Repeat => after + 7,
            Self::Calm => after + 8,
            Self::Positive => after + 9,
            Self::Negative => after + 10,
            Self::Anger => after + 11,
        }
    }

    /// The weights that training starts from and is pulled back to: what a person would say the cue means.
    #[must_use]
    pub fn prior(self) -> Prior {
        let mut prior = Prior::default();
        match self {
            Self::Category(category) => prior.category = Some((category, 0.7)),
            Self::Strong(category) => prior.category = Some((category, 2.0)),
            Self::Safety | Self::Legal | Self::Outage => prior.priority = Some((Priority::Urgent, 2.5)),
            Self::Fraud | Self::Deadline => prior.priority = Some((Priority::Urgent, 2.0)),
            Self::Hurry | Self::Money | Self::Repeat => prior.priority = Some((Priority::High, 1.0)),
            Self::Calm => prior.priority = Some((Priority::Low, 1.0)),
            Self::Positive => prior.sentiment = Some((Sentiment::Positive, 1.5)),
            Self::Negative => prior.sentiment = Some((Sentiment::Negative, 1.2)),
            Self::Anger => {
                prior.sentiment = Some((Sentiment::Negative, 2.5));
                prior.priority = Some((Priority::High, 1.0));
            }
        }
        prior
    }

    /// What the cue bears on, in the words of the contract's `reason.target`.
    #[must_use]
    pub const fn target(self) -> &'static str {
        match self {
            Self::Category(_) | Self::Strong(_) => "category",
            Self::Positive | Self::Negative | Self::Anger => "sentiment",
            _ => "priority",
        }
    }
}

/// Where a cue's weights start, per kind of label; absent is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prior {
    /// The category it speaks for.
    pub category: Option<(Category, f32)>,
    /// The priority it speaks for.
    pub priority: Option<(Priority, f32)>,
    /// The mood it speaks for.
    pub sentiment: Option<(Sentiment, f32)>,
}

/// All shipped phrases with their cues, in a fixed order.
pub fn shipped() -> impl Iterator<Item = (Cue, &'static str)> {
    let lists = strong::PHRASES.iter().chain(category::PHRASES).chain(tone::PHRASES);
    lists.flat_map(|(cue, phrases)| {
        phrases.split('|').map(|p| (*cue, p.trim())).filter(|(_, p)| !p.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_phrases_are_folded_and_stand_once_per_cue() {
        let mut seen = std::collections::HashSet::new();
        for (cue, phrase) in shipped() {
            assert_eq!(crate::fold::fold(phrase), phrase, "not folded: it would never be found");
            assert!(phrase.len() >= 2, "{phrase:?} is too short to mean anything");
            assert!(seen.insert((cue.index(), phrase)), "{phrase:?} stands twice");
            assert!(cue.index() < Cue::COUNT);
        }
        assert!(seen.len() > 700);
    }
}

//! The dense inputs of the model: how often each cue was hit, and a few plain facts about the text.

use crate::cues::{self, Cue};
use crate::labels::Category;
use crate::normalise::Prepared;
use crate::phrases::Book;

/// What a text shows beside its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Two or more exclamation marks.
    Exclaims,
    /// Words in capitals.
    Shouts,
    /// A question mark.
    Asks,
    /// An order number.
    Order,
    /// Two or more order numbers.
    Orders,
    /// Fewer than 12 letters or characters.
    Short,
    /// More than 400 bytes.
    Long,
}

impl Fact {
    /// How many facts there are.
    pub const COUNT: usize = 7;

    /// The fact's place among the dense inputs: after the cues.
    #[must_use]
    pub const fn index(self) -> usize {
        Cue::COUNT + self as usize
    }
}

/// How many dense inputs the model has.
pub const DENSE: usize = Cue::COUNT + Fact::COUNT;

/// A phrase that was found, and what it points to.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// What it points to.
    pub cue: Cue,
    /// The phrase, as the rule has it.
    pub phrase: &'static str,
}

/// The dense inputs of one text.
#[derive(Debug)]
pub struct Signals {
    /// The values, from 0 to 1.7, by [`Cue::index`] and [`Fact::index`].
    pub values: [f32; DENSE],
    /// The phrases behind them, each once.
    pub found: Vec<Found>,
}

impl Signals {
    /// Looks at a message with `orders` order numbers in it.
    #[must_use]
    pub fn of(message: &Prepared, orders: usize) -> Self {
        let shipped: Vec<(Cue, &'static str)> = cues::shipped().collect();
        let book = Book::new(shipped.iter().map(|(_, phrase)| *phrase));
        let mut signals = Self { values: [0.0; DENSE], found: Vec::new() };
        let mut counts = [0_usize; Cue::COUNT];
        for hit in book.find(&message.folded) {
            let Some((mut cue, phrase)) = shipped.get(hit.phrase).copied() else { continue };
            if matches!(cue, Cue::Positive | Cue::Category(Category::Praise))
                && negated(message.folded.get(..hit.start).unwrap_or(""))
            {
                cue = Cue::Negative;
            }
            if signals.found.iter().any(|f| f.cue == cue && f.phrase == phrase) {
                continue;
            }
            signals.found.push(Found { cue, phrase });
            if let Some(count) = counts.get_mut(cue.index()) {
                *count += 1;
            }
        }
        for (value, count) in signals.values.iter_mut().zip(counts) {
            // A second hit adds less than the first, and a third is the last that counts.
            *value = match count {
                0 => 0.0,
                1 => 1.0,
                2 => 1.4,
                _ => 1.7,
            };
        }
        signals.facts(message, orders);
        signals
    }

    fn facts(&mut self, message: &Prepared, orders: usize) {
        let own = message.own.as_str();
        let letters = own.chars().filter(|c| c.is_alphanumeric()).count();
        let shouted = own
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|w| w.len() >= 4 && w.bytes().all(|b| b.is_ascii_uppercase()))
            .count();
        let mut set = |fact: Fact, holds: bool| {
            if let Some(value) = self.values.get_mut(fact.index()) {
                *value = if holds { 1.0 } else { 0.0 };
            }
        };
        set(Fact::Exclaims, own.matches('!').count() >= 2);
        set(Fact::Shouts, shouted >= 1);
        set(Fact::Asks, own.contains('?') || own.contains(['吗', '呢', '嗎']));
        set(Fact::Order, orders >= 1);
        set(Fact::Orders, orders >= 2);
        set(Fact::Short, letters < 12);
        set(Fact::Long, own.len() > 400);
    }
}

/// True when the words just before turn a good word bad: `not happy`, `不满意`.
fn negated(before: &str) -> bool {
    let start = before.char_indices().rev().nth(11).map_or(0, |(i, _)| i);
    let near = before.get(start..).unwrap_or("");
    let near = near.rsplit(['.', ',', '!', '?', '\n', '。', ',']).next().unwrap_or("");
    let chinese = near.trim_end_matches(['太', '很', '是', '够', '怎', '么']);
    ["not ", "isnt ", "wasnt ", "never ", "no ", "dont ", "cant ", "arent ", "hardly "]
        .iter()
        .any(|word| near.contains(word))
        || chinese.ends_with(['不', '没', '别'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Signals {
        Signals::of(&Prepared::new(None, text), 0)
    }

    #[test]
    fn cues_and_facts() {
        let s = of("PLEASE give me my money back!! Where is it?");
        assert!(s.found.iter().any(|f| f.phrase == "money back"));
        for fact in [Fact::Exclaims, Fact::Shouts, Fact::Asks] {
            assert!((s.values[fact.index()] - 1.0).abs() < 1e-6, "{fact:?}");
        }
    }

    #[test]
    fn a_denied_good_word_is_a_bad_one() {
        let has = |text: &str, cue: Cue| of(text).found.iter().any(|f| f.cue == cue);
        assert!(has("not very helpful", Cue::Negative) && !has("not very helpful", Cue::Positive));
        assert!(has("very helpful", Cue::Positive));
        assert!(!has("不太满意", Cue::Positive));
    }
}

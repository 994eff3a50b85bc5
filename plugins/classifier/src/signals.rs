//! The dense inputs of the model: how often each cue was hit, and a few plain facts about the text.

use crate::concepts::Finder;
use crate::cues::{self, Cue};
use crate::features::Feature;
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

/// Where the inputs start that say which category was asked for: hits in requests only.
pub const ASKED: usize = Cue::COUNT + Fact::COUNT;
/// Where the inputs start that say which share of all category hits each category has.
pub const SHARE: usize = ASKED + Category::ALL.len();
/// How many dense inputs the model has.
pub const DENSE: usize = SHARE + Category::ALL.len();

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
    /// The values, from 0 to 2, by [`Cue::index`], [`Fact::index`], [`ASKED`] and [`SHARE`].
    pub values: [f32; DENSE],
    /// The phrases behind them, each once.
    pub found: Vec<Found>,
    /// The concepts in the message's requests, then those in the whole text.
    pub concepts: [Vec<Feature>; 2],
}

impl Signals {
    /// Looks at a message with `orders` order numbers in it.
    #[must_use]
    pub fn of(message: &Prepared, orders: usize) -> Self {
        let shipped: Vec<(Cue, &'static str)> = cues::shipped().collect();
        let book = Book::new(shipped.iter().map(|(_, phrase)| *phrase));
        let mut signals = Self { values: [0.0; DENSE], found: Vec::new(), concepts: Default::default() };
        let finder = Finder::new();
        for (text, features) in [&message.focus, &message.folded].into_iter().zip(&mut signals.concepts) {
            finder.each(text, |feature| features.push(feature));
        }
        let counts = count(&mut signals.found, hits(&book, &shipped, &message.folded));
        for (value, count) in signals.values.iter_mut().zip(counts) {
            *value = level(count);
        }
        let asked = topics(&count(&mut Vec::new(), hits(&book, &shipped, &message.focus)));
        for (value, count) in signals.values.iter_mut().skip(ASKED).zip(asked) {
            *value = level(count);
        }
        let topics = topics(&counts);
        let all: usize = topics.iter().sum();
        for (value, count) in signals.values.iter_mut().skip(SHARE).zip(topics) {
            *value = 2.0 * count as f32 / all.max(1) as f32;
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

/// The phrases in a text, each once per cue. One that the words before it deny points elsewhere, or nowhere.
fn hits(book: &Book<'_>, shipped: &[(Cue, &'static str)], text: &str) -> Vec<Found> {
    let mut out: Vec<Found> = Vec::new();
    for hit in book.find(text) {
        let Some((mut cue, phrase)) = shipped.get(hit.phrase).copied() else { continue };
        let before = text.get(..hit.start).unwrap_or("");
        match cue {
            Cue::Positive | Cue::Category(Category::Praise) | Cue::Strong(Category::Praise)
                if negated(before) =>
            {
                cue = Cue::Negative
            }
            Cue::Category(_) | Cue::Strong(_) if unwanted(before) => continue,
            _ => {}
        }
        if !out.iter().any(|f| f.cue == cue && f.phrase == phrase) {
            out.push(Found { cue, phrase });
        }
    }
    out
}

/// How often each cue was found; what was found is added to `all`.
fn count(all: &mut Vec<Found>, found: Vec<Found>) -> [usize; Cue::COUNT] {
    let mut counts = [0_usize; Cue::COUNT];
    for found in found {
        if let Some(count) = counts.get_mut(found.cue.index()) {
            *count += 1;
        }
        all.push(found);
    }
    counts
}

/// The counts per category; a strong phrase counts twice.
fn topics(counts: &[usize; Cue::COUNT]) -> [usize; Category::ALL.len()] {
    let mut out = [0; Category::ALL.len()];
    for category in Category::ALL {
        let of = |cue: Cue| counts.get(cue.index()).copied().unwrap_or(0);
        if let Some(topic) = out.get_mut(category.index()) {
            *topic = of(Cue::Category(*category)) + 2 * of(Cue::Strong(*category));
        }
    }
    out
}

/// A second hit adds less than the first, and a third is the last that counts.
const fn level(count: usize) -> f32 {
    match count {
        0 => 0.0,
        1 => 1.0,
        2 => 1.4,
        _ => 1.7,
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

/// True when the words just before say that this is not what is wanted: `i dont want a`, `instead of`, `不要`.
fn unwanted(before: &str) -> bool {
    let near = before.get(before.ceil_char_boundary(before.len().saturating_sub(28))..).unwrap_or("");
    let near = near.rsplit(['.', ',', '!', '?', '\n', '。', ';']).next().unwrap_or("").trim_end();
    let near = ["another", "a", "the", "any", "to", "my"].iter().fold(near, |n, word| {
        n.strip_suffix(word).filter(|head| head.is_empty() || head.ends_with(' ')).map_or(n, str::trim_end)
    });
    [
        "dont",
        "do not",
        "didnt",
        "dont want",
        "do not want",
        "didnt want",
        "not asking for",
        "no need for",
        "dont need",
        "do not need",
        "rather than",
        "not looking for",
        "not interested in",
    ]
    .iter()
    .any(|words| near.ends_with(words))
        || ["不要", "不想", "不是要", "不用", "无需", "不需要", "并不是"]
            .iter()
            .any(|words| near.ends_with(words))
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
        assert!(s.found.iter().any(|f| f.phrase == "money back" || f.phrase == "my money"));
        for fact in [Fact::Exclaims, Fact::Shouts, Fact::Asks] {
            assert!((s.values[fact.index()] - 1.0).abs() < 1e-6, "{fact:?}");
        }
    }

    #[test]
    fn a_denied_good_word_is_a_bad_one() {
        let has = |text: &str, cue: Cue| of(text).found.iter().any(|f| f.cue == cue);
        assert!(has("not very helpful", Cue::Negative) && !has("not very helpful", Cue::Positive));
        assert!(has("i want a refund", Cue::Strong(Category::Refund)));
        assert!(!has("i dont want a refund", Cue::Strong(Category::Refund)));
        assert!(!has("不要退货", Cue::Category(Category::ReturnExchange)));
        assert!(has("very helpful", Cue::Category(Category::Praise)));
        assert!(has("so helpful of you, great", Cue::Positive));
        assert!(!has("不太满意", Cue::Positive));
    }
}

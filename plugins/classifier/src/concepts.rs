//! Finds [`crate::cues::CONCEPTS`] in a folded text and gives them as features.

use crate::cues::CONCEPTS;
use crate::features::{self, Feature};
use crate::phrases::Book;

/// How many sentences of one text are looked at; the rest of a longer text adds nothing.
const SENTENCES: usize = 250;

/// An index of the phrases of all concepts.
pub struct Finder {
    book: Book<'static>,
    /// The concept of each phrase.
    owners: Vec<u8>,
}

impl Finder {
    /// Indexes the shipped concepts.
    #[must_use]
    pub fn new() -> Self {
        let mut owners = Vec::with_capacity(4096);
        let phrases = (0_u8..).zip(CONCEPTS).flat_map(|(concept, (_, phrases))| {
            phrases.split('|').map(str::trim).filter(|p| !p.is_empty()).map(move |p| (concept, p))
        });
        let book = Book::new(phrases.map(|(concept, phrase)| {
            owners.push(concept);
            phrase
        }));
        Self { book, owners }
    }

    /// Gives the features of a folded text to `sink`, each concept once.
    pub fn each(&self, text: &str, mut sink: impl FnMut(Feature)) {
        let mut seen = [false; 256];
        let mut start = 0;
        for sentence in text.split_inclusive(['.', '!', '?', '。', '\n', ';']).take(SENTENCES) {
            for hit in self.book.find(sentence) {
                let Some(concept) = self.owners.get(hit.phrase) else { continue };
                if let Some(seen) = seen.get_mut(usize::from(*concept)).filter(|seen| !**seen) {
                    *seen = true;
                    sink(features::concept(*concept, start + hit.start, start + hit.end));
                }
            }
            start += sentence.len();
        }
    }
}

impl Default for Finder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn hashes(text: &str) -> HashSet<u32> {
        let mut out = HashSet::new();
        Finder::new().each(text, |feature| {
            out.insert(feature.hash);
        });
        out
    }

    #[test]
    fn both_languages_give_the_same_concepts() {
        let common =
            hashes("the invoice shows the wrong amount").intersection(&hashes("发票上的金额不对")).count();
        assert!(common >= 3, "{common}");
    }

    #[test]
    fn a_concept_counts_once() {
        let mut count = 0;
        Finder::new().each(&"invoice. ".repeat(1000), |_| count += 1);
        assert_eq!(count, 1);
    }

    #[test]
    fn phrases_are_folded_and_numbers_fit() {
        assert!(CONCEPTS.len() <= 256);
        for (name, phrases) in CONCEPTS {
            for phrase in phrases.split('|').map(str::trim) {
                assert_eq!(crate::fold::fold(phrase), phrase, "{name}: never found");
                assert!(!phrase.is_empty(), "{name}");
            }
        }
    }
}

//! The features of a folded text: words and pairs of words, pieces of words (typing errors leave most of them whole),
//! and one to three neighbouring Chinese characters. Each is a 32-bit hash and the place it came from.

use crate::tokens::{Kind, Token, Tokens};

/// How many features of one text are looked at; the rest of a longer text adds nothing.
pub const LIMIT: usize = 6000;

/// What a feature is made of. The number is the seed of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A word, a number or a mark.
    Word = 1,
    /// Two neighbouring words.
    Pair = 2,
    /// Four neighbouring characters of a word, its edges included.
    Piece = 3,
    /// One Chinese character.
    Han = 4,
    /// Two neighbouring Chinese characters.
    HanPair = 5,
    /// Three neighbouring Chinese characters.
    HanTriple = 6,
    /// A concept.
    Concept = 7,
}

/// A feature and where it stands in the folded text.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The hash.
    pub hash: u32,
    /// What it is made of.
    pub shape: Shape,
    /// The byte where it starts.
    pub start: usize,
    /// The byte after its end.
    pub end: usize,
}

/// Gives the features of a folded text to `sink`, at most [`LIMIT`].
pub fn each(text: &str, mut sink: impl FnMut(Feature)) {
    let mut left = LIMIT;
    let mut give = |shape: Shape, hash: u32, start: usize, end: usize| {
        if left > 0 {
            left -= 1;
            sink(Feature { hash: finish(hash), shape, start, end });
        }
    };
    // The last two tokens, as long as they are neighbours.
    let mut before: Option<(Token, u32)> = None;
    let mut han_before: [Option<Token>; 2] = [None, None];
    for token in Tokens::new(text) {
        let Some(word) = text.get(token.start..token.end) else { continue };
        if token.kind == Kind::Han {
            give(Shape::Han, hash(Shape::Han, word), token.start, token.end);
            let touching = |other: Option<Token>, end: usize| other.filter(|o| o.end == end);
            let previous = touching(han_before[0], token.start);
            if let Some(p) = previous {
                give(
                    Shape::HanPair,
                    hash(Shape::HanPair, text.get(p.start..token.end).unwrap_or("")),
                    p.start,
                    token.end,
                );
                if let Some(pp) = touching(han_before[1], p.start) {
                    let triple = text.get(pp.start..token.end).unwrap_or("");
                    give(Shape::HanTriple, hash(Shape::HanTriple, triple), pp.start, token.end);
                }
            }
            han_before = [Some(token), previous];
            before = None;
            continue;
        }
        han_before = [None, None];
        if token.kind == Kind::Mark
            && matches!(word, "." | "," | ":" | ";" | "-" | "(" | ")" | "\"" | "'" | "。" | "、")
        {
            before = None;
            continue;
        }
        let own = hash(Shape::Word, if token.kind == Kind::Number { "0" } else { word });
        give(Shape::Word, own, token.start, token.end);
        if let Some((p, p_hash)) = before {
            give(Shape::Pair, mix(mix(Shape::Pair as u32, p_hash), own), p.start, token.end);
        }
        before = (token.kind != Kind::Mark).then_some((token, own));
        if token.kind == Kind::Word {
            pieces(word, token.start, &mut give);
        }
    }
}

/// The feature of a concept.
#[must_use]
pub fn concept(number: u8, start: usize, end: usize) -> Feature {
    Feature { hash: finish(step(seed(Shape::Concept), u32::from(number))), shape: Shape::Concept, start, end }
}

/// Gives the four-character pieces of ` word ` (at most 24 characters of it), for words of four characters and more.
fn pieces(word: &str, at: usize, give: &mut impl FnMut(Shape, u32, usize, usize)) {
    let mut window = [' '; 4];
    let mut seen = 0_usize;
    let length = word.chars().take(24).count();
    if length < 4 {
        return;
    }
    for c in word.chars().take(24).chain(std::iter::once(' ')) {
        window.rotate_left(1);
        window[3] = c;
        seen += 1;
        if seen >= 3 {
            let hash = window.iter().fold(seed(Shape::Piece), |h, c| step(h, u32::from(*c)));
            give(Shape::Piece, hash, at, at + word.len());
        }
    }
}

const fn seed(shape: Shape) -> u32 {
    0x811c_9dc5 ^ (shape as u32).wrapping_mul(0x9e37_79b9)
}

/// One step of FNV-1a, on a character instead of a byte.
const fn step(hash: u32, value: u32) -> u32 {
    (hash ^ value).wrapping_mul(0x0100_0193)
}

fn hash(shape: Shape, text: &str) -> u32 {
    text.bytes().fold(seed(shape), |h, b| step(h, u32::from(b)))
}

const fn mix(a: u32, b: u32) -> u32 {
    step(a.rotate_left(5) ^ 0x5bd1_e995, b).rotate_left(13)
}

/// Spreads the hash over all bits (the finaliser of `MurmurHash3`): the model finds a feature by the upper ones.
const fn finish(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn all(text: &str, shape: Shape) -> Vec<&str> {
        let mut out = Vec::new();
        each(text, |f| {
            if f.shape == shape {
                out.push(&text[f.start..f.end]);
            }
        });
        out
    }

    #[test]
    fn words_and_pairs() {
        assert_eq!(all("my order, please", Shape::Pair), ["my order"]);
        assert_eq!(all("要退款 ok", Shape::HanPair), ["要退", "退款"]);
        assert_eq!(all("要退款", Shape::HanTriple), ["要退款"]);
    }

    #[test]
    fn a_typing_error_keeps_most_pieces() {
        let set = |text: &str| {
            let mut out = HashSet::new();
            each(text, |f| {
                if f.shape == Shape::Piece {
                    out.insert(f.hash);
                }
            });
            out
        };
        assert!(set("delivery").intersection(&set("delievery")).count() >= 4);
    }

    #[test]
    fn the_number_of_features_is_bounded() {
        let mut count = 0;
        each(&"word ".repeat(50_000), |_| count += 1);
        assert_eq!(count, LIMIT);
    }
}

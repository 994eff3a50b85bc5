//! Finds phrases in a folded text. A phrase is words with single spaces; `refund*` also finds `refunded`; `where ~ order`
//! allows up to 40 bytes of the same sentence in between. Chinese phrases are found anywhere, others at word edges.
//! Building the index costs a few microseconds, which matters: every call starts from nothing.

use crate::tokens::in_word;

/// How many hits of one text are kept.
const MAX_HITS: usize = 96;
/// How many bytes a `~` may skip.
const MAX_GAP: usize = 40;
const BUCKETS: usize = 4096;

/// A phrase that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its position in the list that the book was built from.
    pub phrase: usize,
    /// The byte where it starts.
    pub start: usize,
    /// The byte after its end.
    pub end: usize,
}

/// An index of phrases by their first two bytes.
pub struct Book<'a> {
    phrases: Vec<&'a str>,
    /// The first phrase of each bucket, counted from 1; 0 for none.
    heads: Vec<u16>,
    /// The next phrase of the same bucket, likewise.
    next: Vec<u16>,
}

impl<'a> Book<'a> {
    /// Indexes phrases; those after the 65,535th are left out.
    #[must_use]
    pub fn new(phrases: impl IntoIterator<Item = &'a str>) -> Self {
        let mut book = Self {
            phrases: Vec::with_capacity(4096),
            heads: vec![0; BUCKETS],
            next: Vec::with_capacity(4096),
        };
        for phrase in phrases {
            let Ok(number) = u16::try_from(book.phrases.len() + 1) else { break };
            book.phrases.push(phrase);
            let mut chained = 0;
            if let Some(head) = book.heads.get_mut(bucket(phrase)) {
                chained = std::mem::replace(head, number);
            }
            book.next.push(chained);
        }
        book
    }

    /// The phrases in a folded text, in order of place. A hit inside a longer one is left out: `return policy` is not
    /// also `return`.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Hit> {
        let mut hits = self.find_all(text);
        let all = hits.clone();
        hits.retain(|hit| {
            !all.iter().any(|other| {
                other.start <= hit.start
                    && hit.end <= other.end
                    && other.end - other.start > hit.end - hit.start
            })
        });
        hits
    }

    /// The same, with the hits inside longer ones.
    #[must_use]
    pub fn find_all(&self, text: &str) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut before = ' ';
        for (at, c) in text.char_indices() {
            // A word is looked up once, at its start.
            let starts = !(in_word(c) && in_word(before));
            if starts && !c.is_whitespace() {
                let rest = text.get(at..).unwrap_or("");
                let mut number = self.heads.get(bucket(rest)).copied().unwrap_or(0);
                while let Some(index) = usize::from(number).checked_sub(1) {
                    let phrase = self.phrases.get(index).copied().unwrap_or("");
                    if let Some(length) = match_start(phrase, rest)
                        && length > 0
                        && hits.len() < MAX_HITS
                    {
                        hits.push(Hit { phrase: index, start: at, end: at + length });
                    }
                    number = self.next.get(index).copied().unwrap_or(0);
                }
            }
            before = c;
        }
        hits
    }
}

fn bucket(text: &str) -> usize {
    let mut bytes = text.bytes();
    let (a, b) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
    // The third byte tells Chinese characters apart; ASCII words differ enough in two.
    let c = if a >= 0x80 { bytes.next().unwrap_or(0) } else { 0 };
    (usize::from(a) * 31 + usize::from(b) * 7 + usize::from(c) * 3) % BUCKETS
}

/// How many bytes of `text` the phrase takes up, if it stands at its start.
fn match_start(phrase: &str, text: &str) -> Option<usize> {
    let Some((first, others)) = phrase.split_once(" ~ ") else { return match_part(phrase, text) };
    let mut end = match_part(first, text)?;
    let mut others = Some(others);
    while let Some(rest) = others {
        let (part, after) = rest.split_once(" ~ ").map_or((rest, None), |(part, after)| (part, Some(after)));
        let gap = text.get(end..text.floor_char_boundary(end + MAX_GAP))?;
        let sentence = gap.find(['.', '!', '?', '\n', '。']).unwrap_or(gap.len());
        let mut before = ' ';
        let offset = gap.get(..sentence)?.char_indices().find_map(|(offset, c)| {
            let edge = !(in_word(c) && in_word(before));
            before = c;
            if !edge {
                return None;
            }
            match_part(part, text.get(end + offset..)?).map(|length| offset + length)
        })?;
        end += offset;
        others = after;
    }
    Some(end)
}

/// The same for a phrase without `~`.
fn match_part(part: &str, text: &str) -> Option<usize> {
    let (part, any_ending) = part.strip_suffix('*').map_or((part, false), |stem| (stem, true));
    let mut bytes = text.bytes();
    for expected in part.bytes() {
        let found = bytes.next()?;
        if found != expected && !(expected == b' ' && matches!(found, b'\n' | b'-')) {
            return None;
        }
    }
    let rest = text.get(part.len()..)?;
    let ends_in_word = part.chars().next_back().is_some_and(in_word);
    if !ends_in_word {
        return Some(part.len());
    }
    let tail = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
    if any_ending || tail == 0 { Some(part.len() + tail) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(phrases: &[&'a str], text: &str) -> Vec<&'a str> {
        Book::new(phrases.iter().copied()).find(text).iter().map(|h| phrases[h.phrase]).collect()
    }

    #[test]
    fn word_edges_hold() {
        assert_eq!(found(&["art", "late"], "start late"), ["late"]);
        assert!(found(&["late"], "later").is_empty());
        assert_eq!(found(&["refund*"], "was it refunded?"), ["refund*"]);
        assert_eq!(found(&["money back"], "my money-back"), ["money back"]);
    }

    #[test]
    fn chinese_is_found_anywhere() {
        assert_eq!(found(&["退款", "退货"], "我要申请退款谢谢"), ["退款"]);
    }

    #[test]
    fn gaps_stay_in_the_sentence() {
        assert_eq!(found(&["where ~ order"], "where the heck is my order"), ["where ~ order"]);
        assert!(found(&["where ~ order"], "where? i gave my order").is_empty());
        assert_eq!(found(&["没 ~ 收到"], "一直没有人收到"), ["没 ~ 收到"]);
    }

    #[test]
    fn the_longer_phrase_wins() {
        assert_eq!(found(&["return*", "return policy"], "your return policy?"), ["return policy"]);
    }
}

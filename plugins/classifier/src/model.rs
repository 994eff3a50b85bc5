//! The trained model: three linear classifiers (category, priority, mood) over one table of features, in a binary form
//! that is used where it lies. Nothing is parsed or copied when an instance starts; a damaged file does not compile.
//!
//! | bytes | what (little-endian) |
//! |---|---|
//! | 8 | `FTCLASS2` |
//! | 4 + 4 + 4 | rows, dense inputs, columns |
//! | 4 | checksum of all that follows ([`checksum`]) |
//! | 3 x 4 | the step of one weight unit, per head |
//! | 4 | the temperature of the confidence |
//! | 4 x columns | biases |
//! | 4 x dense x columns | weights of the dense inputs |
//! | 4 x columns x (columns - categories) | links: what the first opinion on all heads adds to priority and mood |
//! | 4 x 1025 | for each value of a hash's upper ten bits, its first row; then the number of rows |
//! | 4 x rows | the hashes, sorted |
//! | rows | how much a feature weighs in its text (a rare one more) |
//! | rows x columns | weights, -127 to 127 |

use crate::features::{self, Feature};
use crate::labels::{Category, Priority, Sentiment};
use crate::normalise::Prepared;
use crate::signals::{DENSE, Signals};

/// The first bytes of the file.
pub const MAGIC: &[u8; 8] = b"FTCLASS2";
/// Columns: categories, then priorities, then moods.
pub const COLUMNS: usize = Category::ALL.len() + Priority::ALL.len() + Sentiment::ALL.len();
/// Where each head's columns start, and where the last ends.
pub const HEADS: [usize; 4] = [0, Category::ALL.len(), Category::ALL.len() + Priority::ALL.len(), COLUMNS];
/// How far the words of a text count beside the dense inputs: the length of their vector.
pub const TEXT_LENGTH: f32 = 8.0;
/// How much more a feature counts in a request than elsewhere.
pub const FOCUS: f32 = 2.0;
/// The upper bits of a hash by which rows are found.
pub const INDEX_BITS: u32 = 10;
/// The columns that links add to: priorities and moods.
pub const LINKED: usize = COLUMNS - Category::ALL.len();
const HEADER: usize = 24;

/// The shipped model.
static SHIPPED: &[u8] = include_bytes!("../model/model.bin");
/// Its metrics, JSON.
pub const METRICS: &str = include_str!("../model/metrics.json");

// A damaged model must not ship. The trainer is let through, because it is what mends one.
#[cfg(not(feature = "train"))]
const _: () =
    assert!(is_whole(SHIPPED), "model/model.bin is damaged or of another format: run classifier-train");

/// FNV-1a over the little-endian words of a file after its header.
#[must_use]
pub const fn checksum(bytes: &[u8]) -> u32 {
    let (words, _) = bytes.as_chunks::<4>();
    let mut hash = 0x811c_9dc5_u32;
    let mut at = HEADER / 4;
    #[allow(clippy::indexing_slicing)] // const code has no iterators; `at` is below the length
    while at < words.len() {
        hash = (hash ^ u32::from_le_bytes(words[at])).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// True when a file has this format and is undamaged.
#[cfg(any(test, not(feature = "train")))]
#[must_use]
#[allow(clippy::indexing_slicing)] // const code has no iterators; the length is checked first
const fn is_whole(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<4>();
    if words.len() < HEADER / 4 || !rest.is_empty() {
        return false;
    }
    let magic = u32::from_le_bytes(words[0]) == u32::from_le_bytes(*b"FTCL")
        && u32::from_le_bytes(words[1]) == u32::from_le_bytes(*b"ASS2");
    let (rows, dense, columns) = (
        u32::from_le_bytes(words[2]) as usize,
        u32::from_le_bytes(words[3]) as usize,
        u32::from_le_bytes(words[4]) as usize,
    );
    magic
        && dense == DENSE
        && columns == COLUMNS
        && bytes.len() == size(rows)
        && u32::from_le_bytes(words[5]) == checksum(bytes)
}

/// The bytes of a file with so many rows, filled up to a multiple of four.
#[must_use]
pub const fn size(rows: usize) -> usize {
    let fixed =
        HEADER + 16 + 4 * COLUMNS + 4 * DENSE * COLUMNS + 4 * COLUMNS * LINKED + 4 * ((1 << INDEX_BITS) + 1);
    (fixed + rows * (4 + 1 + COLUMNS)).next_multiple_of(4)
}

/// A model, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    steps: [f32; 3],
    temperature: f32,
    biases: &'a [[u8; 4]],
    dense: &'a [[u8; 4]],
    links: &'a [[u8; 4]],
    index: &'a [[u8; 4]],
    hashes: &'a [[u8; 4]],
    values: &'a [u8],
    weights: &'a [[u8; COLUMNS]],
}

/// A feature of a text that the model knows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    row: usize,
    value: f32,
    in_focus: bool,
    /// The byte where it starts in the message's `focus` or `folded`.
    pub start: usize,
    /// The byte after its end.
    pub end: usize,
}

impl Known {
    /// The words it stands for.
    #[must_use]
    pub fn words<'m>(&self, message: &'m Prepared) -> Option<&'m str> {
        let text = if self.in_focus { &message.focus } else { &message.folded };
        text.get(self.start..self.end)
    }
}

/// What the model says of one text.
#[derive(Debug)]
pub struct Scores {
    /// One score for each column; see [`HEADS`].
    pub columns: [f32; COLUMNS],
    /// The features behind them.
    pub known: Vec<Known>,
}

impl Model<'static> {
    /// The shipped model.
    #[must_use]
    pub fn shipped() -> Option<Self> {
        Model::read(SHIPPED)
    }
}

impl<'a> Model<'a> {
    /// Cuts a file into its parts; `None` when it is too short or of another format. The checksum is not looked at: that
    /// is done when the plugin is compiled.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..)?.first_chunk::<4>().copied();
        let number = |at: usize| word(at).map(|w| u32::from_le_bytes(w) as usize);
        let real = |at: usize| word(at).map(f32::from_le_bytes);
        let rows = number(8)?;
        if bytes.get(..8)? != MAGIC
            || number(12)? != DENSE
            || number(16)? != COLUMNS
            || rows > 1 << 20
            || bytes.len() != size(rows)
        {
            return None;
        }
        let (words, _) = bytes.get(HEADER + 16..)?.as_chunks::<4>();
        let (biases, words) = words.split_at_checked(COLUMNS)?;
        let (dense, words) = words.split_at_checked(DENSE * COLUMNS)?;
        let (links, words) = words.split_at_checked(COLUMNS * LINKED)?;
        let (index, words) = words.split_at_checked((1 << INDEX_BITS) + 1)?;
        let (hashes, _) = words.split_at_checked(rows)?;
        let tables = bytes.get(bytes.len().checked_sub((rows * (1 + COLUMNS)).next_multiple_of(4))?..)?;
        let (values, tables) = tables.split_at_checked(rows)?;
        let (weights, _) = tables.as_chunks::<COLUMNS>();
        Some(Self {
            steps: [real(HEADER)?, real(HEADER + 4)?, real(HEADER + 8)?],
            temperature: real(HEADER + 12)?,
            biases,
            dense,
            links,
            index,
            hashes,
            values,
            weights: weights.get(..rows)?,
        })
    }

    /// The number of features it knows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.hashes.len()
    }

    /// The temperature by which category scores are divided before they become a confidence.
    #[must_use]
    pub const fn temperature(&self) -> f32 {
        self.temperature
    }

    /// The row of a feature.
    fn row(&self, hash: u32) -> Option<usize> {
        let slot = (hash >> (32 - INDEX_BITS)) as usize;
        let bound = |at: usize| self.index.get(at).map(|w| u32::from_le_bytes(*w) as usize);
        let (from, to) = (bound(slot)?, bound(slot + 1)?);
        let offset =
            self.hashes.get(from..to)?.binary_search_by_key(&hash, |w| u32::from_le_bytes(*w)).ok()?;
        Some(from + offset)
    }

    /// Scores a message with its dense inputs. What stands in a request counts double.
    #[must_use]
    pub fn score(&self, message: &Prepared, signals: &Signals) -> Scores {
        let mut seen = vec![0_u64; self.rows() / 64 + 1];
        let mut known = Vec::with_capacity(512);
        let mut length = 0.0_f32;
        let texts = [(&message.focus, FOCUS, true), (&message.folded, 1.0, false)];
        for ((text, weight, in_focus), concepts) in texts.into_iter().zip(&signals.concepts) {
            let mut take = |feature: Feature| {
                let Some(row) = self.row(feature.hash) else { return };
                let Some(word) = seen.get_mut(row / 64) else { return };
                if *word & (1 << (row % 64)) != 0 {
                    return;
                }
                *word |= 1 << (row % 64);
                let value = weight * f32::from(self.values.get(row).copied().unwrap_or(0));
                length += value * value;
                known.push(Known { row, value, in_focus, start: feature.start, end: feature.end });
            };
            features::each(text, &mut take);
            concepts.iter().copied().for_each(take);
        }
        let scale = if length > 0.0 { TEXT_LENGTH / length.sqrt() } else { 0.0 };
        let mut columns = [0.0_f32; COLUMNS];
        for feature in &mut known {
            feature.value *= scale;
            let Some(weights) = self.weights.get(feature.row) else { continue };
            for (column, weight) in columns.iter_mut().zip(weights) {
                *column += feature.value * f32::from(weight.cast_signed());
            }
        }
        for (head, step) in HEADS.windows(2).zip(self.steps) {
            if let [from, to] = *head {
                columns.iter_mut().take(to).skip(from).for_each(|column| *column *= step);
            }
        }
        let mut add = |weights: &[[u8; 4]], by: f32| {
            for (column, weight) in columns.iter_mut().zip(weights) {
                *column += by * f32::from_le_bytes(*weight);
            }
        };
        add(self.biases, 1.0);
        for (value, weights) in signals.values.iter().zip(self.dense.chunks_exact(COLUMNS)) {
            if *value != 0.0 {
                add(weights, *value);
            }
        }
        Scores { columns, known }
    }

    /// Lets the first opinion on all heads bear on priority and mood: a complaint is seldom cheerful, praise never urgent.
    pub fn link(&self, columns: &mut [f32; COLUMNS]) {
        let opinion = opinion(columns, self.temperature);
        let linked = columns.iter_mut().skip(COLUMNS - LINKED);
        for (at, column) in linked.enumerate() {
            for (share, links) in opinion.iter().zip(self.links.chunks_exact(LINKED)) {
                *column += share * links.get(at).map_or(0.0, |w| f32::from_le_bytes(*w));
            }
        }
    }

    /// How much a feature spoke for one column of a head against the head's average.
    #[must_use]
    pub fn contribution(&self, feature: &Known, head: usize, column: usize) -> f32 {
        let (Some(weights), Some([from, to])) = (self.weights.get(feature.row), HEADS.get(head..head + 2))
        else {
            return 0.0;
        };
        let weight = |at: usize| weights.get(at).map_or(0.0, |w| f32::from(w.cast_signed()));
        let columns = to - from;
        let mean = (*from..*to).map(weight).sum::<f32>() / columns as f32;
        (weight(from + column) - mean) * feature.value * self.steps.get(head).copied().unwrap_or(0.0)
    }

    /// How much a dense input spoke for one column of a head against the head's average.
    #[must_use]
    pub fn dense_contribution(&self, input: usize, value: f32, head: usize, column: usize) -> f32 {
        let Some([from, to]) = HEADS.get(head..head + 2) else { return 0.0 };
        let weight = |at: usize| self.dense.get(input * COLUMNS + at).map_or(0.0, |w| f32::from_le_bytes(*w));
        let columns = to - from;
        let mean = (*from..*to).map(weight).sum::<f32>() / columns as f32;
        (weight(from + column) - mean) * value
    }
}

/// The softmax probabilities of each head; the category's at the given temperature.
#[must_use]
fn opinion(columns: &[f32; COLUMNS], temperature: f32) -> [f32; COLUMNS] {
    let mut out = [0.0_f32; COLUMNS];
    for (head, bounds) in HEADS.windows(2).enumerate() {
        let [from, to] = *bounds else { continue };
        let divide = if head == 0 { temperature.max(0.05) } else { 1.0 };
        let part = columns.get(from..to).unwrap_or(&[]);
        let most = part.iter().copied().fold(f32::MIN, f32::max);
        let mut sum = 0.0;
        for (share, column) in out.iter_mut().skip(from).zip(part) {
            *share = ((column - most) / divide).exp();
            sum += *share;
        }
        out.iter_mut().take(to).skip(from).for_each(|share| *share /= sum.max(f32::MIN_POSITIVE));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_model_is_whole() {
        assert!(is_whole(SHIPPED));
        assert!(SHIPPED.len() < 400 * 1024, "{} bytes", SHIPPED.len());
        assert!(Model::shipped().is_some_and(|m| m.rows() > 1000));
        assert!(serde_json::from_str::<serde_json::Value>(METRICS).is_ok_and(|m| m.is_object()));
    }

    #[test]
    fn a_damaged_model_is_seen() {
        let mut bytes = SHIPPED.to_vec();
        bytes[HEADER + 500] ^= 1;
        assert!(!is_whole(&bytes));
        assert!(Model::read(&SHIPPED[..SHIPPED.len() - 4]).is_none());
        assert!(Model::read(b"").is_none());
    }
}

//! Fits the three linear classifiers: multinomial logistic regression, whole-batch gradient descent with Nesterov's
//! momentum, and an L2 pull towards zero for words and towards [`crate::cues::Cue::prior`] for cues.

use std::collections::BTreeMap;

use crate::cues;
use crate::features::{self, Shape};
use crate::labels::Category;
use crate::model::{COLUMNS, FOCUS, HEADS, TEXT_LENGTH};
use crate::normalise::Prepared as Message;
use crate::signals::{ASKED, DENSE, Signals};

/// How training is done; the defaults were chosen by leaving out batches of the training data.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pull on the weights of words.
    pub words: f64,
    /// The pull on the weights of cues.
    pub cues: f64,
    /// How many steps.
    pub steps: usize,
    /// The length of a step.
    pub rate: f64,
    /// In how many messages a feature must stand.
    pub least: usize,
    /// The most features kept.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { words: 0.002, cues: 0.03, steps: 200, rate: 0.25, least: 2, most: 14_000 }
    }
}

/// One message, ready for training.
pub struct Prepared {
    features: BTreeMap<u32, (Shape, f32)>,
    dense: [f32; DENSE],
    /// The right label of each head.
    pub labels: [usize; 3],
}

impl Prepared {
    /// Takes the features of a message, those in its requests with their greater weight.
    #[must_use]
    pub fn new(message: &Message, signals: &Signals, labels: [usize; 3]) -> Self {
        let mut found = BTreeMap::new();
        let texts = [(&message.focus, FOCUS), (&message.folded, 1.0)];
        for ((text, weight), concepts) in texts.into_iter().zip(&signals.concepts) {
            let mut take = |f: features::Feature| {
                found.entry(f.hash).or_insert((f.shape, weight));
            };
            features::each(text, &mut take);
            concepts.iter().copied().for_each(take);
        }
        Self { features: found, dense: signals.values, labels }
    }
}

/// A fitted model, before it is rounded into a file.
pub struct Fitted {
    /// The hashes of its features, sorted.
    pub hashes: Vec<u32>,
    /// How much each weighs in its text.
    pub values: Vec<u8>,
    /// Their weights, by column.
    pub weights: Vec<[f64; COLUMNS]>,
    /// The weights of the dense inputs.
    pub dense: Vec<[f64; COLUMNS]>,
    /// The biases.
    pub biases: [f64; COLUMNS],
}

impl Fitted {
    /// The scores of a message, before rounding into a file.
    #[must_use]
    pub fn score(&self, message: &Prepared) -> [f64; COLUMNS] {
        let mut scores = self.biases;
        let mut add = |weights: &[f64; COLUMNS], by: f64| {
            scores.iter_mut().zip(weights).for_each(|(s, w)| *s += by * w)
        };
        for (row, value) in vector(message, &self.hashes, &self.values) {
            add(&self.weights[row], value);
        }
        for (value, weights) in message.dense.iter().zip(&self.dense) {
            add(weights, f64::from(*value));
        }
        scores
    }
}

/// Fits.
#[must_use]
pub fn fit(messages: &[&Prepared], settings: &Settings) -> Fitted {
    let (hashes, values) = vocabulary(messages, settings);
    let texts: Vec<Vec<(usize, f64)>> = messages.iter().map(|m| vector(m, &hashes, &values)).collect();
    let rows = hashes.len();
    let prior = prior();
    let size = rows + DENSE + 1;
    let mut weights = vec![[0.0; COLUMNS]; size];
    weights[rows..rows + DENSE].copy_from_slice(&prior);
    let mut last = weights.clone();
    let count = messages.len().max(1) as f64;
    for step in 0..settings.steps {
        // Nesterov: look ahead along the last step, then take the gradient there.
        let momentum = step as f64 / (step as f64 + 3.0);
        let mut ahead = weights.clone();
        for (a, l) in ahead.iter_mut().zip(&last) {
            for (x, y) in a.iter_mut().zip(l) {
                *x += momentum * (*x - y);
            }
        }
        let mut gradient = vec![[0.0; COLUMNS]; size];
        for (message, text) in messages.iter().zip(&texts) {
            let inputs = || {
                let dense = message
                    .dense
                    .iter()
                    .enumerate()
                    .filter(|(_, v)| **v != 0.0)
                    .map(|(i, v)| (rows + i, f64::from(*v)));
                text.iter().copied().chain(dense).chain(std::iter::once((rows + DENSE, 1.0)))
            };
            let mut scores = [0.0; COLUMNS];
            for (at, value) in inputs() {
                scores.iter_mut().zip(&ahead[at]).for_each(|(s, w)| *s += value * w);
            }
            let errors = errors(&scores, &message.labels);
            for (at, value) in inputs() {
                gradient[at].iter_mut().zip(&errors).for_each(|(g, e)| *g += value * e / count);
            }
        }
        last = std::mem::take(&mut weights);
        weights = ahead;
        for (at, (row, slope)) in weights.iter_mut().zip(&gradient).enumerate() {
            for (column, (weight, slope)) in row.iter_mut().zip(slope).enumerate() {
                let pull = match at {
                    _ if at < rows => settings.words * *weight,
                    _ if at < rows + DENSE => settings.cues * (*weight - prior[at - rows][column]),
                    _ => 0.0,
                };
                *weight -= settings.rate * (slope + pull);
            }
        }
    }
    let dense = weights[rows..rows + DENSE].to_vec();
    let biases = weights[rows + DENSE];
    weights.truncate(rows);
    Fitted { hashes, values, weights, dense, biases }
}

/// The probability of each label minus what it should be, head by head.
pub fn errors(scores: &[f64; COLUMNS], labels: &[usize; 3]) -> [f64; COLUMNS] {
    let mut out = [0.0; COLUMNS];
    for (head, label) in labels.iter().enumerate() {
        let (from, to) = (HEADS[head], HEADS[head + 1]);
        let most = scores[from..to].iter().copied().fold(f64::MIN, f64::max);
        let mut sum = 0.0;
        for column in from..to {
            out[column] = libm::exp(scores[column] - most);
            sum += out[column];
        }
        out[from..to].iter_mut().for_each(|p| *p /= sum);
        out[from + label] -= 1.0;
    }
    out
}

/// The features that are kept, sorted by hash, with how much each weighs: its shape's share times its rarity.
fn vocabulary(messages: &[&Prepared], settings: &Settings) -> (Vec<u32>, Vec<u8>) {
    let mut found: BTreeMap<u32, (Shape, usize)> = BTreeMap::new();
    for message in messages {
        for (hash, (shape, _)) in &message.features {
            found.entry(*hash).or_insert((*shape, 0)).1 += 1;
        }
    }
    let mut kept: Vec<(u32, Shape, usize)> =
        found.into_iter().filter(|(_, (_, n))| *n >= settings.least).map(|(h, (s, n))| (h, s, n)).collect();
    kept.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
    kept.truncate(settings.most);
    kept.sort_by_key(|(hash, ..)| *hash);
    let total = messages.len().max(1) as f64;
    let value = |shape: Shape, n: usize| {
        let share = match shape {
            Shape::Word => 1.0,
            Shape::Pair => 0.8,
            Shape::Piece => 0.5,
            Shape::Han => 0.6,
            Shape::HanPair => 1.0,
            Shape::Concept => 1.0,
            Shape::HanTriple => 0.8,
        };
        // The rarest features weigh about 6.1 (ln 460); 40 units each keep that within a byte.
        (share * libm::log(1.0 + total / n as f64) * 40.0).round().clamp(1.0, 255.0) as u8
    };
    (kept.iter().map(|k| k.0).collect(), kept.iter().map(|(_, s, n)| value(*s, *n)).collect())
}

/// A text as rows and values, of length [`TEXT_LENGTH`].
fn vector(message: &Prepared, hashes: &[u32], values: &[u8]) -> Vec<(usize, f64)> {
    let known = message
        .features
        .iter()
        .filter_map(|(hash, (_, weight))| Some((hashes.binary_search(hash).ok()?, weight)));
    let mut out: Vec<(usize, f64)> =
        known.map(|(row, weight)| (row, f64::from(values[row]) * f64::from(*weight))).collect();
    let length = out.iter().map(|(_, v)| v * v).sum::<f64>().sqrt();
    if length > 0.0 {
        out.iter_mut().for_each(|(_, v)| *v *= f64::from(TEXT_LENGTH) / length);
    }
    out
}

/// Where the weights of the dense inputs start.
fn prior() -> Vec<[f64; COLUMNS]> {
    let mut out = vec![[0.0; COLUMNS]; DENSE];
    // What is asked for says as much again as what is mentioned.
    for category in Category::ALL {
        out[ASKED + category.index()][HEADS[0] + category.index()] = 1.0;
    }
    for cue in cues::shipped().map(|(cue, _)| cue) {
        let prior = cue.prior();
        let row = &mut out[cue.index()];
        if let Some((label, weight)) = prior.category {
            row[HEADS[0] + label.index()] = f64::from(weight);
        }
        if let Some((label, weight)) = prior.priority {
            row[HEADS[1] + label.index()] = f64::from(weight);
        }
        if let Some((label, weight)) = prior.sentiment {
            row[HEADS[2] + label.index()] = f64::from(weight);
        }
    }
    out
}

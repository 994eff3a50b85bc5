//! What builds on the first opinion: the temperature that makes the confidence honest, and the links by which the
//! category bears on priority and mood. Fitted on opinions of models that had not seen the message.

use super::fit::errors;
use crate::model::{COLUMNS, HEADS, LINKED};

/// Scores of a message by a model that had not seen it, and the right labels.
pub type Opinion = ([f64; COLUMNS], [usize; 3]);

/// Temperature and links.
pub struct Second {
    /// By what category scores are divided before they become probabilities.
    pub temperature: f32,
    /// What each label's probability adds to each priority and mood.
    pub links: Vec<[f64; LINKED]>,
}

/// The pull of the links towards zero, chosen by cross-validation on the training data.
const PULL: f64 = 0.005;
const STEPS: usize = 400;
const RATE: f64 = 0.5;

impl Second {
    /// Fits both.
    #[must_use]
    pub fn fit(opinions: &[Opinion]) -> Self {
        let temperature = temperature(opinions);
        Self { temperature, links: links(opinions, temperature) }
    }
}

/// The temperature at which the category probabilities fit best (least negative log-likelihood).
fn temperature(opinions: &[Opinion]) -> f32 {
    let loss = |temperature: f64| -> f64 {
        let one = |(scores, labels): &Opinion| {
            let own = scores[labels[0]];
            libm::log(scores[..HEADS[1]].iter().map(|s| libm::exp((s - own) / temperature)).sum::<f64>())
        };
        opinions.iter().map(one).sum()
    };
    let grid = (4..=80).map(|step| f64::from(step) * 0.05);
    grid.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0) as f32
}

/// [`crate::model::opinion`] in the arithmetic that is the same on every machine.
fn opinion(scores: &[f64; COLUMNS], temperature: f32) -> [f64; COLUMNS] {
    let mut scores = *scores;
    scores[..HEADS[1]].iter_mut().for_each(|s| *s /= f64::from(temperature));
    // The error of a label is its probability, less one for the right label.
    let mut out = errors(&scores, &[0; 3]);
    HEADS[..3].iter().for_each(|first| out[*first] += 1.0);
    out
}

/// Logistic regression on top of the first scores, by plain gradient descent.
fn links(opinions: &[Opinion], temperature: f32) -> Vec<[f64; LINKED]> {
    let mut links = vec![[0.0; LINKED]; COLUMNS];
    let shares: Vec<[f64; COLUMNS]> =
        opinions.iter().map(|(scores, _)| opinion(scores, temperature)).collect();
    let count = opinions.len().max(1) as f64;
    for _ in 0..STEPS {
        let mut gradient = vec![[0.0; LINKED]; COLUMNS];
        for ((scores, labels), shares) in opinions.iter().zip(&shares) {
            let mut scores = *scores;
            for (share, row) in shares.iter().zip(&links) {
                scores[COLUMNS - LINKED..].iter_mut().zip(row).for_each(|(s, w)| *s += share * w);
            }
            let errors = errors(&scores, labels);
            for (share, row) in shares.iter().zip(&mut gradient) {
                row.iter_mut().zip(&errors[COLUMNS - LINKED..]).for_each(|(g, e)| *g += share * e / count);
            }
        }
        for (row, slope) in links.iter_mut().zip(&gradient) {
            row.iter_mut().zip(slope).for_each(|(w, g)| *w -= RATE * (g + PULL * *w));
        }
    }
    links
}

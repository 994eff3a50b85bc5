//! The trainer and the evaluation: from labelled messages to `model/model.bin` and `model/metrics.json`. Deterministic:
//! the same data give the same bytes. Never part of the guest.

#![allow(clippy::indexing_slicing)] // reads only the repository's own data, on the developer's machine

pub mod data;
mod file;
mod fit;
pub mod metrics;
mod second;

use std::collections::BTreeSet;

use crate::classify::{self, Classification};
use crate::fields;
use crate::labels::Category;
use crate::model::Model;
use crate::normalise::Prepared;
use crate::rules::Rules;
use crate::signals::Signals;
use data::Example;
use fit::{Prepared as Row, Settings};
use second::Second;

/// How many parts plain cross-validation makes.
const FOLDS: usize = 5;

/// How messages are parted, so that each is judged by a model that was trained without its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Every fifth message: the model knows other messages of the same author and day, and the figures flatter it.
    Fifths,
    /// Batch by batch ([`Example::batch`]): nearer to messages of authors and trades the model has never seen.
    Batches,
}

impl Parting {
    /// The part of each example, counted from 0. Fewer than three batches cannot be parted by batch; then it is fifths.
    #[must_use]
    pub fn parts(self, examples: &[Example]) -> Vec<usize> {
        let batches: BTreeSet<u32> = examples.iter().map(|e| e.batch).collect();
        if self == Self::Fifths || batches.len() < 3 {
            return (0..examples.len()).map(|i| i % FOLDS).collect();
        }
        examples.iter().map(|e| batches.range(..e.batch).count()).collect()
    }
}

/// Trains on all examples; what builds on the first opinion (confidence, links) is fitted on opinions of models that had
/// not seen the message's batch, because that is what the confidence is about. The bytes of the model file.
#[must_use]
pub fn train(examples: &[Example]) -> Vec<u8> {
    let rows = rows(examples);
    let rows: Vec<&Row> = rows.iter().collect();
    train_rows(&rows, &few(&Parting::Batches.parts(examples)))
}

/// The same parts, some of them put together, so that there are at most [`FOLDS`]: each costs a training.
fn few(parts: &[usize]) -> Vec<usize> {
    parts.iter().map(|part| part % FOLDS).collect()
}

fn train_rows(rows: &[&Row], parts: &[usize]) -> Vec<u8> {
    let settings = Settings::default();
    let mut opinions = Vec::with_capacity(rows.len());
    for part in parts.iter().copied().collect::<BTreeSet<_>>() {
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|i| parts[*i] != part);
        let kept: Vec<&Row> = inside.into_iter().map(|i| rows[i]).collect();
        let fitted = fit::fit(&kept, &settings);
        opinions.extend(outside.into_iter().map(|i| (fitted.score(rows[i]), rows[i].labels)));
    }
    file::write(&fit::fit(rows, &settings), &Second::fit(&opinions))
}

/// Classifies each example by a model that was trained without its part.
#[must_use]
pub fn cross_validate(examples: &[Example], parting: Parting) -> Vec<Classification> {
    let mut out: Vec<(usize, Classification)> = Vec::new();
    let (rows, parts) = (rows(examples), parting.parts(examples));
    let inner = few(&Parting::Batches.parts(examples));
    for part in parts.iter().copied().collect::<BTreeSet<_>>() {
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|i| parts[*i] != part);
        let kept: Vec<&Row> = inside.iter().map(|i| &rows[*i]).collect();
        let kept_parts: Vec<usize> = inside.iter().map(|i| inner[*i]).collect();
        let bytes = train_rows(&kept, &kept_parts);
        let Some(model) = Model::read(&bytes) else { continue };
        out.extend(outside.into_iter().map(|i| (i, classify_with(&model, &examples[i]))));
    }
    out.sort_by_key(|(i, _)| *i);
    out.into_iter().map(|(_, c)| c).collect()
}

/// Classifies one example.
#[must_use]
pub fn classify_with(model: &Model<'_>, example: &Example) -> Classification {
    classify::classify(model, &Rules::default(), example.message.subject.as_deref(), &example.message.text)
}

fn rows(examples: &[Example]) -> Vec<Row> {
    examples
        .iter()
        .map(|example| {
            let message = Prepared::new(example.message.subject.as_deref(), &example.message.text);
            let orders = fields::find(&message).orders.len();
            let signals = Signals::of(&message, orders);
            let labels = [
                example.expect.category.index(),
                example.expect.priority.index(),
                example.expect.sentiment.index(),
            ];
            Row::new(&message, &signals, labels)
        })
        .collect()
}

/// How far the stated confidence is from the reached accuracy, on average over ten bins (expected calibration error).
#[must_use]
pub fn calibration_error(results: &[(Category, Classification)]) -> f64 {
    let mut bins = [(0.0_f64, 0.0_f64, 0_usize); 10];
    for (expected, got) in results.iter().filter(|(_, c)| c.confidence > 0.0) {
        let bin = ((got.confidence * 10.0) as usize).min(9);
        bins[bin].0 += got.confidence;
        bins[bin].1 += f64::from(u8::from(*expected == got.category));
        bins[bin].2 += 1;
    }
    let total: usize = bins.iter().map(|b| b.2).sum();
    bins.iter().map(|(confidence, right, _)| (confidence - right).abs()).sum::<f64>() / total.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_model_is_what_the_data_give() {
        let text = std::fs::read_to_string(data::path("data/train.jsonl")).unwrap();
        let trained = train(&data::parse(&text).unwrap());
        let committed = std::fs::read(data::path("model/model.bin")).unwrap();
        assert!(
            trained == committed,
            "the data or the trainer changed: run `cargo run -p plugin-classifier --features train --bin classifier-train`"
        );
    }

    #[test]
    fn the_training_data_cover_every_category_in_both_languages() {
        let examples =
            data::parse(&std::fs::read_to_string(data::path("data/train.jsonl")).unwrap()).unwrap();
        assert!(examples.len() >= 300);
        for category in Category::ALL {
            for language in [crate::labels::Language::English, crate::labels::Language::Chinese] {
                let count = examples
                    .iter()
                    .filter(|e| e.expect.category == *category && e.expect.language == language)
                    .count();
                assert!(count >= 10, "{category:?} {language:?}: {count}");
            }
        }
    }
}

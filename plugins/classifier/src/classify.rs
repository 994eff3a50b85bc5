//! Puts the parts together: prepare, find fields, look for cues, ask the model, apply the administrator's rules, explain.

use crate::cues::Cue;
use crate::fields::{self, Fields};
use crate::labels::{Category, Language, Priority, Sentiment};
use crate::language;
use crate::model::{HEADS, Model, Scores};
use crate::normalise::Prepared;
use crate::rules::{Rules, Verdict};
use crate::signals::Signals;

/// The most bytes of a text (the contract's 256 KiB).
pub const MAX_TEXT: usize = 256 * 1024;
/// The most reasons (the contract's).
pub const MAX_REASONS: usize = 8;

/// Why the classifier thinks so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What it bears on.
    pub target: &'static str,
    /// What was seen.
    pub text: String,
}

/// What was found out about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// What the customer wants.
    pub category: Category,
    /// How soon somebody must look.
    pub priority: Priority,
    /// The mood.
    pub sentiment: Sentiment,
    /// The main language.
    pub language: Language,
    /// How sure it is of the category, 0 to 1.
    pub confidence: f64,
    /// What stands in the message.
    pub fields: Fields,
    /// Why, strongest first.
    pub reasons: Vec<Reason>,
}

/// Classifies a message. The cost is bounded, however long the text: see [`crate::normalise`] and [`crate::features`].
#[must_use]
pub fn classify(model: &Model<'_>, rules: &Rules, subject: Option<&str>, text: &str) -> Classification {
    let message = Prepared::new(subject, text);
    let mut fields = fields::find(&message);
    if message.is_empty() {
        return Classification {
            category: Category::Other,
            priority: Priority::Normal,
            sentiment: Sentiment::Neutral,
            language: Language::Undetermined,
            confidence: 0.0,
            fields,
            reasons: Vec::new(),
        };
    }
    let verdict = rules.apply(&message, &mut fields);
    let signals = Signals::of(&message, fields.orders.len());
    let telling = |cue: Cue| !matches!(cue, Cue::Category(Category::Other) | Cue::Strong(Category::Other));
    let english_phrases = signals.found.iter().filter(|f| f.phrase.is_ascii() && telling(f.cue)).count();
    let language = language::detect(&message.folded, english_phrases);
    let mut scores = model.score(&message, &signals);
    for (score, extra) in scores.columns.iter_mut().zip(verdict.categories) {
        *score += extra;
    }
    model.link(&mut scores.columns);
    let category = best(&scores, 0, Category::ALL).unwrap_or(Category::Other);
    let priority = verdict.priority.or_else(|| best(&scores, 1, Priority::ALL)).unwrap_or(Priority::Normal);
    let sentiment =
        verdict.sentiment.or_else(|| best(&scores, 2, Sentiment::ALL)).unwrap_or(Sentiment::Neutral);
    let chosen = [category.index(), priority.index(), sentiment.index()];
    Classification {
        category,
        priority,
        sentiment,
        language,
        confidence: confidence(&scores, category, model.temperature()),
        reasons: reasons(model, &message, &signals, &scores, &verdict, chosen),
        fields,
    }
}

/// The label with the highest score of a head.
fn best<T: Copy>(scores: &Scores, head: usize, labels: &[T]) -> Option<T> {
    let from = HEADS.get(head).copied()?;
    let columns = scores.columns.get(from..from + labels.len())?;
    columns.iter().zip(labels).max_by(|a, b| a.0.total_cmp(b.0)).map(|(_, label)| *label)
}

/// The softmax probability of the category, at the model's temperature.
fn confidence(scores: &Scores, category: Category, temperature: f32) -> f64 {
    let columns = scores.columns.get(..Category::ALL.len()).unwrap_or(&[]);
    let temperature = f64::from(temperature.max(0.05));
    let own = columns.get(category.index()).copied().map_or(0.0, f64::from);
    let sum: f64 = columns.iter().map(|c| ((f64::from(*c) - own) / temperature).exp()).sum();
    if sum > 0.0 { (1.0 / sum).clamp(0.0, 1.0) } else { 0.0 }
}

const TARGETS: [&str; 3] = ["category", "priority", "sentiment"];

/// The strongest reasons: the administrator's rules first, then shipped rules and words by what they contributed.
fn reasons(
    model: &Model<'_>,
    message: &Prepared,
    signals: &Signals,
    scores: &Scores,
    verdict: &Verdict,
    chosen: [usize; 3],
) -> Vec<Reason> {
    let mut out: Vec<Reason> = verdict
        .matched
        .iter()
        .take(MAX_REASONS)
        .map(|(name, target)| Reason { target, text: format!("configured rule {name:?}") })
        .collect();
    let mut weighed: Vec<(f32, Reason)> = Vec::new();
    for (head, (target, column)) in TARGETS.into_iter().zip(chosen).enumerate() {
        for found in &signals.found {
            let value = signals.values.get(found.cue.index()).copied().unwrap_or(0.0);
            let by = model.dense_contribution(found.cue.index(), value, head, column);
            if by > 0.3 && (found.cue.target() == target || by > 1.0) {
                weighed.push((by, Reason { target, text: format!("rule {:?}", found.phrase) }));
            }
        }
        let mut words: Vec<(f32, &str)> = Vec::new();
        for feature in &scores.known {
            let by = model.contribution(feature, head, column);
            let Some(word) = feature.words(message) else { continue };
            // Pieces of one word count as that word.
            match words.iter_mut().rev().take(24).find(|(_, w)| *w == word) {
                Some(known) => known.0 += by,
                None => words.push((by, word)),
            }
        }
        words.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (by, word) in words.into_iter().take(3).filter(|(by, _)| *by > 0.15) {
            weighed.push((by, Reason { target, text: format!("model: {word} (+{by:.1})") }));
        }
    }
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0));
    out.extend(weighed.into_iter().map(|(_, reason)| reason));
    out.truncate(MAX_REASONS);
    out
}

//! How good the classifier is: accuracy, macro-F1, field precision and recall, calibration, and what is taken for what.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::calibration_error;
use super::data::Example;
use crate::classify::Classification;
use crate::labels::{Category, Language, Priority, Sentiment};

/// An example with what the classifier said.
pub type Pair<'a> = (&'a Example, &'a Classification);

/// The metrics of one set of messages as JSON, whole and per language.
#[must_use]
pub fn json(pairs: &[Pair<'_>]) -> Value {
    let mut out = json!({ "all": slice(pairs) });
    for language in [Language::English, Language::Chinese, Language::Undetermined] {
        out[language.word()] = slice(&of_language(pairs, language));
    }
    let results: Vec<(Category, Classification)> =
        pairs.iter().map(|(e, c)| (e.expect.category, (*c).clone())).collect();
    out["calibration_error"] = json!(rounded(calibration_error(&results)));
    out["fields"] = json!(
        fields(pairs).into_iter().map(|(name, f)| (name.to_owned(), f.json())).collect::<BTreeMap<_, _>>()
    );
    out
}

/// The metrics as a table for people.
#[must_use]
pub fn table(title: &str, pairs: &[Pair<'_>]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{title}: {} messages\n", pairs.len());
    let _ = writeln!(
        out,
        "{:<10} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "part", "n", "category", "macro-F1", "priority", "sentiment", "language"
    );
    let mut line = |name: &str, part: &[Pair<'_>]| {
        let s = Slice::of(part);
        let _ = writeln!(
            out,
            "{name:<10} {:>5} {:>8.1}% {:>9.3} {:>8.1}% {:>8.1}% {:>8.1}%",
            part.len(),
            s.category * 100.0,
            s.macro_f1,
            s.priority * 100.0,
            s.sentiment * 100.0,
            s.language * 100.0
        );
    };
    line("all", pairs);
    for language in [Language::English, Language::Chinese, Language::Undetermined] {
        line(language.word(), &of_language(pairs, language));
    }
    for channel in ["web", "mail", "chat", "social", "phone"] {
        line(
            channel,
            &pairs.iter().copied().filter(|(e, _)| e.message.channel == channel).collect::<Vec<_>>(),
        );
    }
    let results: Vec<(Category, Classification)> =
        pairs.iter().map(|(e, c)| (e.expect.category, (*c).clone())).collect();
    let _ = writeln!(out, "\ncalibration error of the confidence: {:.3}\n", calibration_error(&results));
    let _ = writeln!(out, "{:<18} {:>9} {:>9} {:>9}   taken for", "category", "precision", "recall", "F1");
    for category in Category::ALL {
        let (precision, recall, f1) = scores(pairs, |e| e.expect.category, |c| c.category, *category);
        let mut wrong: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, got) in
            pairs.iter().filter(|(e, c)| e.expect.category == *category && c.category != *category)
        {
            *wrong.entry(got.category.word()).or_default() += 1;
        }
        let wrong: Vec<String> = wrong.iter().map(|(word, n)| format!("{word} {n}")).collect();
        let _ = writeln!(
            out,
            "{:<18} {precision:>9.3} {recall:>9.3} {f1:>9.3}   {}",
            category.word(),
            wrong.join(", ")
        );
    }
    confusion(
        &mut out,
        "priority",
        Priority::ALL,
        Priority::word,
        pairs,
        |e| e.expect.priority,
        |c| c.priority,
    );
    confusion(
        &mut out,
        "sentiment",
        Sentiment::ALL,
        Sentiment::word,
        pairs,
        |e| e.expect.sentiment,
        |c| c.sentiment,
    );
    let _ = writeln!(
        out,
        "\n{:<14} {:>9} {:>9} {:>8} {:>14}",
        "field", "precision", "recall", "expected", "not in text"
    );
    for (name, f) in fields(pairs) {
        let _ = writeln!(
            out,
            "{name:<14} {:>9.3} {:>9.3} {:>8} {:>14}",
            f.precision(),
            f.recall(),
            f.expected,
            f.absent
        );
    }
    out
}

/// A line for each batch.
#[must_use]
pub fn batches(pairs: &[Pair<'_>]) -> String {
    let mut out = String::from("\nbatch          n  category  priority sentiment\n");
    let all: std::collections::BTreeSet<u32> = pairs.iter().map(|(e, _)| e.batch).collect();
    for batch in all {
        let part: Vec<Pair<'_>> = pairs.iter().copied().filter(|(e, _)| e.batch == batch).collect();
        let s = Slice::of(&part);
        let _ = writeln!(
            out,
            "{batch:<10} {:>5} {:>8.1}% {:>8.1}% {:>8.1}%",
            part.len(),
            s.category * 100.0,
            s.priority * 100.0,
            s.sentiment * 100.0
        );
    }
    out
}

fn confusion<L: PartialEq + Copy>(
    out: &mut String,
    title: &str,
    all: &[L],
    word: fn(L) -> &'static str,
    pairs: &[Pair<'_>],
    expected: impl Fn(&Example) -> L,
    got: impl Fn(&Classification) -> L,
) {
    let head: String = all.iter().map(|l| format!("{:>10}", word(*l))).collect();
    let _ = writeln!(out, "\n{title:<12}{head}   <- said; rows: expected");
    for row in all {
        let counts: String = all
            .iter()
            .map(|column| {
                format!(
                    "{:>10}",
                    pairs.iter().filter(|(e, c)| expected(e) == *row && got(c) == *column).count()
                )
            })
            .collect();
        let _ = writeln!(out, "{:<12}{counts}", word(*row));
    }
}

fn of_language<'a>(pairs: &[Pair<'a>], language: Language) -> Vec<Pair<'a>> {
    pairs.iter().copied().filter(|(e, _)| e.expect.language == language).collect()
}

struct Slice {
    category: f64,
    macro_f1: f64,
    priority: f64,
    priority_f1: f64,
    sentiment: f64,
    sentiment_f1: f64,
    language: f64,
}

impl Slice {
    fn of(pairs: &[Pair<'_>]) -> Self {
        Self {
            category: share(pairs, |e, c| e.expect.category == c.category),
            macro_f1: macro_f1(pairs, Category::ALL, |e| e.expect.category, |c| c.category),
            priority: share(pairs, |e, c| e.expect.priority == c.priority),
            priority_f1: macro_f1(pairs, Priority::ALL, |e| e.expect.priority, |c| c.priority),
            sentiment: share(pairs, |e, c| e.expect.sentiment == c.sentiment),
            sentiment_f1: macro_f1(pairs, Sentiment::ALL, |e| e.expect.sentiment, |c| c.sentiment),
            language: share(pairs, |e, c| e.expect.language == c.language),
        }
    }
}

fn slice(pairs: &[Pair<'_>]) -> Value {
    let s = Slice::of(pairs);
    json!({
        "messages": pairs.len(),
        "category_accuracy": rounded(s.category),
        "category_macro_f1": rounded(s.macro_f1),
        "priority_accuracy": rounded(s.priority),
        "priority_macro_f1": rounded(s.priority_f1),
        "sentiment_accuracy": rounded(s.sentiment),
        "sentiment_macro_f1": rounded(s.sentiment_f1),
        "language_accuracy": rounded(s.language),
    })
}

fn rounded(real: f64) -> f64 {
    (real * 1000.0).round() / 1000.0
}

fn share(pairs: &[Pair<'_>], right: impl Fn(&Example, &Classification) -> bool) -> f64 {
    pairs.iter().filter(|(e, c)| right(e, c)).count() as f64 / pairs.len().max(1) as f64
}

/// Precision, recall and F1 of one label.
fn scores<L: PartialEq>(
    pairs: &[Pair<'_>],
    expected: impl Fn(&Example) -> L,
    got: impl Fn(&Classification) -> L,
    label: L,
) -> (f64, f64, f64) {
    let hits = pairs.iter().filter(|(e, c)| expected(e) == label && got(c) == label).count() as f64;
    let said = pairs.iter().filter(|(_, c)| got(c) == label).count() as f64;
    let truly = pairs.iter().filter(|(e, _)| expected(e) == label).count() as f64;
    (ratio(hits, said), ratio(hits, truly), ratio(2.0 * hits, said + truly))
}

/// The mean F1 over the labels that are expected at least once.
fn macro_f1<L: PartialEq + Copy>(
    pairs: &[Pair<'_>],
    all: &[L],
    expected: impl Fn(&Example) -> L + Copy,
    got: impl Fn(&Classification) -> L + Copy,
) -> f64 {
    let present: Vec<L> =
        all.iter().copied().filter(|l| pairs.iter().any(|(e, _)| expected(e) == *l)).collect();
    present.iter().map(|l| scores(pairs, expected, got, *l).2).sum::<f64>() / present.len().max(1) as f64
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Hits and misses of one field.
#[derive(Default)]
struct FieldScore {
    hits: usize,
    said: usize,
    expected: usize,
    /// Expected, but neither in subject nor in text: it came with the envelope, which the classifier never sees.
    absent: usize,
}

impl FieldScore {
    fn precision(&self) -> f64 {
        ratio(self.hits as f64, self.said as f64)
    }

    fn recall(&self) -> f64 {
        ratio(self.hits as f64, self.expected as f64)
    }

    fn json(&self) -> Value {
        json!({ "precision": rounded(self.precision()), "recall": rounded(self.recall()), "expected": self.expected, "not_in_text": self.absent })
    }
}

/// Compares field by field. Two spellings of one number are one: only letters and digits are compared, without case, and
/// order numbers without their `#`.
fn fields(pairs: &[Pair<'_>]) -> Vec<(&'static str, FieldScore)> {
    let plain = |text: &str| {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>()
    };
    let mut out = [
        ("name", FieldScore::default()),
        ("email", FieldScore::default()),
        ("phone", FieldScore::default()),
        ("order_number", FieldScore::default()),
    ];
    for (example, got) in pairs {
        let expect = &example.expect.fields;
        let whole =
            plain(&format!("{}\n{}", example.message.subject.as_deref().unwrap_or(""), example.message.text));
        let orders =
            expect.order_numbers.clone().unwrap_or_else(|| expect.order_number.iter().cloned().collect());
        let one = |field: &Option<String>| field.iter().cloned().collect::<Vec<_>>();
        let rows = [
            (one(&expect.name), one(&got.fields.name)),
            (one(&expect.email), one(&got.fields.email)),
            (one(&expect.phone), one(&got.fields.phone)),
            (orders, got.fields.orders.clone()),
        ];
        for ((_, score), (expected, said)) in out.iter_mut().zip(rows) {
            let (inside, outside): (Vec<String>, Vec<String>) =
                expected.iter().map(|e| plain(e)).partition(|e| whole.contains(e.as_str()));
            let said: Vec<String> = said.iter().map(|s| plain(s)).collect();
            score.absent += outside.len();
            score.expected += inside.len();
            score.said += said.len();
            score.hits += inside.iter().filter(|e| said.contains(e)).count();
        }
    }
    out.into_iter().collect()
}

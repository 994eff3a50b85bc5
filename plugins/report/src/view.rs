//! What both documents show: the figures with the names that people read, cut to what fits a page.

use chrono::{DateTime, NaiveDate, Utc};

use crate::{
    CaseRow, Count, Statistics, days, palette,
    palette::Colour,
    statistics::{self, UNKNOWN},
    text,
    words::{Kind, Language, Words},
};

/// The most rows of one table; rarer values share the last.
const MAX_ROWS: usize = 12;
/// The most cases in the list of those that press.
const MAX_ATTENTION: usize = 15;
/// The most characters of a subject on the page.
const MAX_SUBJECT: usize = 160;

/// One row of a table, and its bar or column.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The value's name.
    pub label: String,
    /// How many cases.
    pub count: u64,
    /// The part of all cases, 0 to 1.
    pub share: f64,
    /// The bar's colour.
    pub colour: Colour,
    /// The day, where the row stands for a single one.
    pub day: Option<NaiveDate>,
    /// Whether the chart shows it; cases without a date have no place on an axis of time.
    pub charted: bool,
}

/// What a headline says.
pub enum Figure {
    /// A number of cases.
    Count(u64),
    /// An average.
    Average(f64),
    /// A part of all cases, 0 to 1.
    Share(f64),
    /// A name.
    Name(String),
}

impl Figure {
    /// The figure as people read it.
    pub fn text(&self) -> String {
        match self {
            Self::Count(count) => text::grouped(*count),
            Self::Average(average) => format!("{average:.1}"),
            Self::Share(share) => text::percent(*share),
            Self::Name(name) => name.clone(),
        }
    }
}

/// One chart and the table beside it.
pub struct Section {
    /// What it counts by.
    pub kind: Kind,
    /// Its heading.
    pub heading: &'static str,
    /// The head of its first column.
    pub column: &'static str,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Section {
    /// The chart in one sentence, for those who do not see it.
    pub fn sentence(&self, words: &Words) -> String {
        let most = self
            .rows
            .iter()
            .filter(|row| row.charted)
            .max_by(|a, b| a.count.cmp(&b.count).then(b.label.cmp(&a.label)));
        most.map_or_else(String::new, |row| {
            let (count, share) = (text::grouped(row.count), text::percent(row.share));
            format!("{}{} — {count} ({share})", words.most, row.label)
        })
    }
}

/// A case that presses.
pub struct Attention {
    /// Its identifier.
    pub id: String,
    /// When it was opened, `YYYY-MM-DD HH:MM` in UTC.
    pub opened: String,
    /// Its category's name.
    pub category: String,
    /// Its priority's name.
    pub priority: String,
    /// Whether it is urgent.
    pub urgent: bool,
    /// Its subject, shortened.
    pub subject: String,
}

/// Everything both documents show but the list of all cases.
pub struct View {
    pub title: String,
    pub language: Language,
    pub words: &'static Words,
    pub total: u64,
    /// The first and the last day with a case.
    pub period: Option<(NaiveDate, NaiveDate)>,
    /// The newest case's time: the documents' own date.
    pub newest: Option<DateTime<Utc>>,
    /// The figures at the top: name and value.
    pub headlines: Vec<(&'static str, Figure)>,
    pub sections: Vec<Section>,
    pub attention: Vec<Attention>,
}

impl View {
    /// The view on `cases` and their `statistics`.
    pub fn new(title: String, language: Language, statistics: &Statistics, cases: &[CaseRow]) -> Self {
        let dated = |count: &Count| count.value.parse::<NaiveDate>().ok();
        let first = statistics.by_day.iter().find_map(dated);
        let period = first.zip(statistics.by_day.iter().rev().find_map(dated));
        Self {
            title,
            language,
            words: language.words(),
            total: statistics.total,
            period,
            newest: cases.iter().filter_map(|case| days::moment(&case.created)).max(),
            headlines: headlines(language, statistics, period),
            sections: sections(language, statistics),
            attention: attention(language, cases),
        }
    }

    /// The period in words, when any case has a date.
    pub fn period_text(&self) -> Option<String> {
        self.period
            .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} – {last}") })
    }

    /// The document's file name.
    pub fn file_name(&self, extension: &str) -> String {
        match self.period {
            Some((first, last)) => format!("case-report-{first}-to-{last}-{}.{extension}", self.words.tag),
            None => format!("case-report-{}.{extension}", self.words.tag),
        }
    }
}

fn headlines(
    language: Language,
    statistics: &Statistics,
    period: Option<(NaiveDate, NaiveDate)>,
) -> Vec<(&'static str, Figure)> {
    let words = language.words();
    if statistics.total == 0 {
        return vec![(words.total, Figure::Count(0))];
    }
    let share = |counts: &[Count], wanted: &[&str]| {
        counts
            .iter()
            .filter(|count| wanted.contains(&count.value.as_str()))
            .map(|count| count.share)
            .sum::<f64>()
    };
    let mut headlines = vec![(words.total, Figure::Count(statistics.total))];
    if let Some((first, last)) = period {
        let days = last.signed_duration_since(first).num_days().saturating_add(1);
        let dated: u64 =
            statistics.by_day.iter().filter(|day| day.value != UNKNOWN).map(|day| day.count).sum();
        headlines.push((words.per_day, Figure::Average(dated as f64 / days as f64)));
    }
    headlines.push((words.pressing, Figure::Share(share(&statistics.by_priority, &["urgent", "high"]))));
    headlines.push((words.negative, Figure::Share(share(&statistics.by_sentiment, &["negative"]))));
    if let Some(top) = statistics.by_category.iter().find(|count| count.value != UNKNOWN) {
        let name = text::shortened(&language.label(Kind::Category, &top.value), 40);
        headlines.push((words.top_category, Figure::Name(name)));
    }
    headlines
}

fn sections(language: Language, statistics: &Statistics) -> Vec<Section> {
    if statistics.total == 0 {
        return Vec::new();
    }
    let section =
        |kind, rows| Section { kind, heading: language.heading(kind), column: language.column(kind), rows };
    let by = |kind, counts: &[Count]| section(kind, value_rows(language, kind, counts, statistics.total));
    vec![
        section(Kind::Day, day_rows(language, statistics)),
        by(Kind::Category, &statistics.by_category),
        by(Kind::Priority, &statistics.by_priority),
        by(Kind::Sentiment, &statistics.by_sentiment),
        by(Kind::Channel, &statistics.by_channel),
        by(Kind::Language, &statistics.by_language),
    ]
}

fn value_rows(language: Language, kind: Kind, counts: &[Count], total: u64) -> Vec<Row> {
    let row = |label: String, count: u64, colour| Row {
        label,
        count,
        share: statistics::share(count, total),
        colour,
        day: None,
        charted: true,
    };
    let shown = if counts.len() > MAX_ROWS { MAX_ROWS.saturating_sub(1) } else { MAX_ROWS };
    let mut rows: Vec<Row> = counts
        .iter()
        .take(shown)
        .map(|c| {
            row(
                text::shortened(&language.label(kind, &c.value), 40),
                c.count,
                palette::colour(kind, &c.value),
            )
        })
        .collect();
    let rest: u64 = counts.iter().skip(shown).map(|c| c.count).sum();
    if rest > 0 {
        let label = language.rest(counts.len().saturating_sub(shown));
        rows.push(row(label, rest, palette::colour(kind, UNKNOWN)));
    }
    rows
}

fn day_rows(language: Language, statistics: &Statistics) -> Vec<Row> {
    let (step, columns) = days::columns(&statistics.by_day);
    let row = |label, count, day, charted| Row {
        label,
        count,
        share: statistics::share(count, statistics.total),
        colour: palette::BLUE,
        day,
        charted,
    };
    let single = |start| (step == days::Step::Day).then_some(start);
    let mut rows: Vec<Row> = columns
        .into_iter()
        .map(|(start, count)| row(step.label(start), count, single(start), true))
        .collect();
    if let Some(unknown) = statistics.by_day.iter().find(|day| day.value == UNKNOWN) {
        rows.push(row(language.label(Kind::Day, UNKNOWN).into_owned(), unknown.count, None, false));
    }
    rows
}

fn attention(language: Language, cases: &[CaseRow]) -> Vec<Attention> {
    let pressing =
        |case: &&CaseRow| matches!(case.priority.as_deref().map(str::trim), Some("urgent" | "high"));
    let mut newest: Vec<_> =
        cases.iter().filter(pressing).map(|case| (days::moment(&case.created), case)).collect();
    newest.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.id.cmp(&other.id)));
    newest
        .into_iter()
        .take(MAX_ATTENTION)
        .map(|(opened, case)| {
            let label = |kind, value: Option<&str>| {
                text::shortened(&language.label(kind, &statistics::named(value)), 40)
            };
            Attention {
                id: text::shortened(&case.id, 40),
                opened: opened.map_or_else(|| "—".into(), |time| time.format("%Y-%m-%d %H:%M").to_string()),
                category: label(Kind::Category, case.category.as_deref()),
                priority: label(Kind::Priority, case.priority.as_deref()),
                urgent: case.priority.as_deref().map(str::trim) == Some("urgent"),
                subject: text::shortened(&case.subject, MAX_SUBJECT),
            }
        })
        .collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A case with a value in every field.
    pub fn case(number: u32, created: &str) -> CaseRow {
        CaseRow {
            id: format!("C-{number:06}"),
            created: created.into(),
            channel: "mail".into(),
            category: Some("refund".into()),
            priority: Some("urgent".into()),
            sentiment: Some("negative".into()),
            language: Some("en".into()),
            subject: format!("Where is my money? ({number})"),
        }
    }

    #[test]
    fn rare_values_share_a_row_and_nothing_is_lost() {
        let cases: Vec<CaseRow> = (0..100_u32)
            .map(|i| CaseRow { category: Some(format!("own-{}", i % 40)), ..case(i, "2026-11-02T08:00:00Z") })
            .collect();
        let figures = statistics::of(&cases);
        assert_eq!(figures.by_category.len(), 40);
        let view = View::new("T".into(), Language::English, &figures, &cases);
        let category = view.sections.iter().find(|s| s.kind == Kind::Category).unwrap();
        assert_eq!(category.rows.len(), MAX_ROWS);
        assert_eq!(category.rows[MAX_ROWS - 1].label, "29 more values");
        assert_eq!(category.rows.iter().map(|row| row.count).sum::<u64>(), 100);
    }

    #[test]
    fn the_newest_pressing_cases_come_first() {
        let mut cases: Vec<CaseRow> =
            (1..29).map(|i| case(i, &format!("2026-11-{i:02}T08:00:00Z"))).collect();
        cases[27].priority = Some("low".into());
        let view = View::new("T".into(), Language::Chinese, &statistics::of(&cases), &cases);
        assert_eq!(view.attention.len(), MAX_ATTENTION);
        assert_eq!(view.attention[0].opened, "2026-11-27 08:00");
        assert_eq!(view.attention[0].priority, "紧急");
        assert_eq!(view.file_name("html"), "case-report-2026-11-01-to-2026-11-28-zh.html");
    }
}

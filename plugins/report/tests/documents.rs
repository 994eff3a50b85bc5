//! Builds reports through the plugin's own functions and reads the stored documents back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::Cursor;

use calamine::{Data, Range, Reader, Xlsx};
use factotum_sdk::testing;
use plugin_report::{CaseRow, Format, MAX_CASES, Made, Options, build, summarize};

fn case(number: usize, created: &str, subject: &str) -> CaseRow {
    let pick = |values: &[&str]| Some(values[number % values.len()].to_owned());
    CaseRow {
        id: format!("C-{number:06}"),
        created: created.into(),
        channel: ["mail", "web", "chat", "phone", "social"][number % 5].into(),
        category: pick(&["refund", "delivery", "delivery", "billing", "technical", "praise", "delivery"]),
        priority: pick(&["normal", "normal", "high", "low", "normal", "urgent"]),
        sentiment: pick(&["neutral", "negative", "positive", "neutral"]),
        language: pick(&["en", "en", "zh"]),
        subject: subject.into(),
    }
}

fn options(language: &str, formats: &[Format]) -> Options {
    Options { title: None, language: Some(language.into()), formats: formats.to_vec() }
}

/// Builds, and answers with the stored bytes beside what the plugin said.
fn built(cases: Vec<CaseRow>, options: &Options) -> (Made, Vec<Vec<u8>>) {
    testing::reset();
    let made = build(cases, options).unwrap();
    let bytes = testing::with(|world| world.artifacts.iter().map(|(_, bytes)| bytes.clone()).collect());
    (made, bytes)
}

fn sheets(bytes: &[u8]) -> Vec<(String, Range<Data>)> {
    Xlsx::new(Cursor::new(bytes.to_vec())).unwrap().worksheets()
}

fn value_beside(sheet: &Range<Data>, label: &str) -> Option<f64> {
    sheet.rows().find(|row| row[0] == Data::String(label.into())).and_then(|row| match row[1] {
        Data::Float(number) => Some(number),
        _ => None,
    })
}

#[test]
fn a_workbook_has_the_figures_and_the_cases_in_both_languages() {
    for (tag, names, total, delivery) in
        [("en", ["Figures", "Cases"], "Total", "Delivery"), ("zh-CN", ["统计", "工单"], "合计", "物流配送")]
    {
        let cases: Vec<_> = (0..70)
            .map(|n| case(n, &format!("2026-11-{:02}T09:30:00Z", n % 7 + 1), "Where is it?"))
            .collect();
        let (made, bytes) = built(cases, &options(tag, &[Format::Xlsx]));
        let sheets = sheets(&bytes[0]);
        assert_eq!(sheets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(value_beside(&sheets[0].1, total), Some(70.0));
        assert_eq!(value_beside(&sheets[0].1, delivery), Some(30.0));
        assert_eq!(made.statistics.total, 70);
        let list = &sheets[1].1;
        assert_eq!(list.height(), 71);
        assert!(matches!(list[(1, 1)], Data::DateTime(_)), "{:?}", list[(1, 1)]);
        // Newest first.
        assert_eq!(list[(1, 0)], Data::String("C-000006".into()));
    }
}

#[test]
fn what_looks_like_a_formula_stays_text() {
    let hostile = [
        "=HYPERLINK(\"https://evil.example\",\"Refund\")",
        "+1+1",
        "-2+3",
        "@SUM(A1:A9)",
        "=cmd|' /C calc'!A0",
        "\t=1+1",
        "<script>alert(1)</script>",
        "_x003D_1",
    ];
    let cases: Vec<_> = hostile
        .iter()
        .enumerate()
        .map(|(n, text)| CaseRow {
            id: (*text).into(),
            category: Some((*text).into()),
            ..case(n, "2026-11-01T00:00:00Z", text)
        })
        .collect();
    let (_, bytes) = built(cases, &options("en", &[Format::Xlsx]));
    let mut book = Xlsx::new(Cursor::new(bytes[0].clone())).unwrap();
    for name in ["Figures", "Cases"] {
        let formulas = book.worksheet_formula(name).unwrap();
        assert!(formulas.used_cells().all(|(_, _, formula)| formula.is_empty()), "{name}");
    }
    let list = book.worksheet_range("Cases").unwrap();
    for (row, text) in hostile.iter().enumerate() {
        assert_eq!(list[(row + 1, 7)], Data::String(text.trim().into()));
        assert_eq!(list[(row + 1, 0)], Data::String(text.trim().into()));
    }
}

#[test]
fn long_texts_controls_and_stray_dates_do_not_break_a_workbook() {
    let mut cases = vec![
        case(0, "2026-11-01T00:00:00Z", &"长😀".repeat(30_000)),
        case(1, "1800-01-01T00:00:00Z", "a\u{0}b\u{8}c\r\nd\u{ffff}"),
        case(2, "not a date", ""),
    ];
    cases[2].category = None;
    let (made, bytes) = built(cases, &options("en", &[Format::Html, Format::Xlsx]));
    assert_eq!(made.artifacts.len(), 2);
    let list = &sheets(&bytes[1])[1].1;
    let Data::String(long) = &list[(1, 7)] else { panic!("{:?}", list[(1, 7)]) };
    assert!(long.encode_utf16().count() <= 32_767 && long.encode_utf16().count() > 32_760);
    assert_eq!(list[(2, 7)], Data::String("abc  d".into()));
    assert_eq!(list[(2, 1)], Data::String("1800-01-01T00:00:00Z".into()));
    assert_eq!(list[(3, 3)], Data::String("Unknown".into()));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let cases: Vec<_> =
        (0..300).map(|n| case(n, &format!("2026-11-{:02}T09:30:00Z", n % 28 + 1), "Hello")).collect();
    let (_, first) = built(cases.clone(), &options("zh", &[Format::Html, Format::Xlsx]));
    // The ZIP format keeps times in steps of two seconds; a clock that leaked in would show.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let (_, second) = built(cases, &options("zh", &[Format::Html, Format::Xlsx]));
    assert!(first == second);
}

#[test]
fn artifacts_come_in_the_order_asked_for() {
    let cases = vec![case(1, "2026-11-05T00:00:00Z", "x")];
    for formats in [[Format::Xlsx, Format::Html], [Format::Html, Format::Xlsx]] {
        let (made, _) = built(cases.clone(), &options("en", &formats));
        let types: Vec<_> =
            made.artifacts.iter().map(|artifact| artifact.media_type.contains("html")).collect();
        assert_eq!(types, formats.map(|format| format == Format::Html));
        assert!(
            made.artifacts.iter().all(|a| a.name.starts_with("case-report-2026-11-05-to-2026-11-05-en."))
        );
    }
}

#[test]
fn no_cases_is_a_valid_report() {
    let (made, bytes) = built(Vec::new(), &options("en", &[Format::Html, Format::Xlsx]));
    assert_eq!(made.statistics.total, 0);
    assert!(String::from_utf8(bytes[0].clone()).unwrap().contains("There are no cases in this report."));
    let sheets = sheets(&bytes[1]);
    assert_eq!(value_beside(&sheets[0].1, "Total"), Some(0.0));
    assert!(
        sheets[0]
            .1
            .used_cells()
            .any(|(_, _, cell)| *cell == Data::String("There are no cases in this report.".into()))
    );
    assert_eq!(sheets[1].1.height(), 1);
}

#[test]
fn ten_thousand_cases() {
    let cases: Vec<_> = (0..10_000)
        .map(|n| case(n, &format!("2026-{:02}-{:02}T09:30:00Z", n % 12 + 1, n % 28 + 1), "Hello"))
        .collect();
    let (made, bytes) = built(cases, &options("en", &[Format::Html, Format::Xlsx]));
    assert_eq!(made.statistics.total, 10_000);
    assert!(bytes[0].len() < 200_000, "{} bytes of HTML", bytes[0].len());
    assert_eq!(sheets(&bytes[1])[1].1.height(), 10_001);
}

#[test]
fn requests_that_cannot_be_met_are_refused() {
    let one = || vec![case(1, "2026-11-05T00:00:00Z", "x")];
    for bad in
        [options("en", &[]), options("en", &[Format::Html, Format::Html]), options("fr", &[Format::Html])]
    {
        assert_eq!(build(one(), &bad).unwrap_err().code, "invalid-input", "{bad:?}");
    }
    let many = vec![case(1, "", ""); MAX_CASES + 1];
    assert_eq!(summarize(&many).unwrap_err().code, "invalid-input");
    assert_eq!(build(many, &options("en", &[Format::Html])).unwrap_err().code, "invalid-input");
}

#[test]
fn a_sheet_of_cases_that_is_cut_says_so_and_the_figures_count_all() {
    let cases: Vec<_> =
        (0..40_010).map(|n| case(n, &format!("2026-11-{:02}T09:30:00Z", n % 28 + 1), "Hello")).collect();
    let (made, bytes) = built(cases, &options("en", &[Format::Xlsx]));
    assert_eq!(made.statistics.total, 40_010);
    let sheets = sheets(&bytes[0]);
    assert_eq!(sheets[1].1.height(), 40_001);
    let note = "The sheet of cases has the newest 40,000 of 40,010; the figures count them all.";
    assert!(sheets[0].1.used_cells().any(|(_, _, cell)| *cell == Data::String(note.into())));
}

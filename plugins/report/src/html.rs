//! Writes the report as one HTML page: nothing is loaded, nothing is scripted, and every chart has its table.

use base64::{Engine, prelude::BASE64_STANDARD};
use factotum_sdk::Fault;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::{
    charts, text,
    view::{Section, View},
    words::Kind,
};

const STYLE: &str = include_str!("page.css");

/// The page.
///
/// # Errors
/// `internal` when a chart cannot be drawn.
pub fn page(view: &View) -> Result<String, Fault> {
    let words = view.words;
    // The style sheet is named by its digest (CSP Level 3, section 6.7.3.3), so that the policy can forbid all others.
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy =
        format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'");
    let sections =
        view.sections.iter().enumerate().map(|(n, s)| section(view, n, s)).collect::<Result<Vec<_>, _>>()?;
    let page = html! {
        (DOCTYPE)
        html lang=(words.tag) {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (view.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (view.title) }
                    @if let Some(period) = view.period_text() { p { (words.period) ": " (period) } }
                }
                main {
                    dl.headlines {
                        @for (name, value) in &view.headlines { div { dt { (name) } dd dir="auto" { (value.text()) } } }
                    }
                    @if view.total == 0 { p.empty { (words.no_cases) } }
                    div.sections { @for section in &sections { (section) } }
                    @if !view.attention.is_empty() { (attention(view)) }
                }
                footer { p { (words.times_in_utc) } }
            }
        }
    };
    Ok(page.into_string())
}

fn section(view: &View, number: usize, section: &Section) -> Result<Markup, Fault> {
    let chart = charts::draw(section)?;
    let words = view.words;
    let id = |part: &str| format!("{part}-{number}");
    let labelled = format!("{} {}", id("title"), id("desc"));
    let over_time = section.kind == Kind::Day;
    // The longest table stands beside its chart, so that the cards of a row are of like height.
    let beside = section.kind == Kind::Category;
    Ok(html! {
        section.wide[over_time || beside].beside[beside] aria-labelledby=(id("heading")) {
            h2 id=(id("heading")) { (section.heading) }
            @if section.rows.iter().any(|row| row.charted) {
                svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", chart.width, chart.height))
                    width=(chart.width) height=(chart.height) role="img" aria-labelledby=(labelled) {
                    title id=(id("title")) { (section.heading) }
                    desc id=(id("desc")) { (section.sentence(words)) }
                    (PreEscaped(&chart.body))
                }
            }
            div.table.columns[section.rows.len() > 12] {
                table {
                    caption { (words.table_of) (section.heading) }
                    thead { tr { th scope="col" { (section.column) } th.n scope="col" { (words.cases) } th.n scope="col" { (words.share) } } }
                    tbody {
                        // Quiet days are gaps in the chart; in the table they would only be rows of zeros.
                        @for row in section.rows.iter().filter(|row| row.count > 0) {
                            tr {
                                th scope="row" dir="auto" { (row.label) }
                                td.n { (text::grouped(row.count)) }
                                td.n { (text::percent(row.share)) }
                            }
                        }
                    }
                }
            }
        }
    })
}

fn attention(view: &View) -> Markup {
    let (words, language) = (view.words, view.language);
    html! {
        section.wide aria-labelledby="heading-attention" {
            h2 id="heading-attention" { (words.attention) }
            div.table {
                table {
                    thead {
                        tr {
                            th scope="col" { (words.id) }
                            th scope="col" { (words.opened) }
                            th scope="col" { (language.column(Kind::Priority)) }
                            th scope="col" { (language.column(Kind::Category)) }
                            th scope="col" { (words.subject) }
                        }
                    }
                    tbody {
                        @for case in &view.attention {
                            tr {
                                th.id scope="row" dir="auto" { (case.id) }
                                td.id { (case.opened) }
                                td { span.mark.urgent[case.urgent] { (case.priority) } }
                                td dir="auto" { (case.category) }
                                td.subject dir="auto" { (case.subject) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CaseRow, statistics, view::tests::case, words::Language};

    fn page_of(language: Language, cases: &[CaseRow]) -> String {
        page(&View::new("<b>Week</b>".into(), language, &statistics::of(cases), cases)).unwrap()
    }

    #[test]
    fn what_customers_write_stays_text() {
        let hostile = "<script>alert(1)</script>\"'&</title></svg><img src=x onerror=alert(1)>";
        let cases = [CaseRow {
            id: hostile.into(),
            channel: hostile.into(),
            category: Some(hostile.into()),
            priority: Some("urgent".into()),
            sentiment: Some(hostile.into()),
            language: Some(hostile.into()),
            subject: hostile.into(),
            created: hostile.into(),
        }];
        let page = page_of(Language::English, &cases);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        for bad in ["<script", "<img", "<b>"] {
            assert!(!page.contains(bad), "{bad} in {page}");
        }
        // One style sheet, and as many drawings as sections: nothing closed an element early.
        assert_eq!(page.matches("</svg>").count(), page.matches("<svg").count());
        assert_eq!(page.matches("</style>").count(), 1);
    }

    #[test]
    fn nothing_is_loaded_and_the_policy_names_the_style() {
        let page = page_of(Language::English, &[case(1, "2026-11-02T08:00:00Z")]);
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        assert!(page.contains("default-src 'none'") && page.contains(&format!("sha256-{digest}")));
        // The policy would refuse style attributes too.
        for bad in ["src=", "href=", "url(", "@import", " style=", "<link", "<script"] {
            assert!(!page.contains(bad), "{bad}");
        }
    }

    #[test]
    fn every_chart_has_words_and_a_table() {
        for (language, tag, heading, label) in [
            (Language::English, "lang=\"en\"", "Cases by category", "Refund"),
            (Language::Chinese, "lang=\"zh\"", "按类别统计", "退款"),
        ] {
            let page = page_of(language, &[case(1, "2026-11-02T08:00:00Z"), case(2, "2026-11-03T08:00:00Z")]);
            assert!(page.contains(tag) && page.contains(heading) && page.contains(label), "{page}");
            assert_eq!(page.matches("<svg").count(), 6);
            assert_eq!(page.matches("role=\"img\"").count(), 6);
            assert_eq!(page.matches("<desc").count(), 6);
            assert_eq!(page.matches("<caption>").count(), 6);
        }
    }

    #[test]
    fn no_cases_is_a_report_too() {
        let page = page_of(Language::English, &[]);
        assert!(page.contains("There are no cases in this report.") && !page.contains("<svg"));
        assert!(page_of(Language::Chinese, &[]).contains("本报告没有工单。"));
    }

    #[test]
    fn cases_without_a_single_date_have_no_time_chart() {
        let page = page_of(Language::English, &[case(1, "soon")]);
        assert_eq!(page.matches("<svg").count(), 5);
        assert_eq!(page.matches("<caption>").count(), 6);
    }
}

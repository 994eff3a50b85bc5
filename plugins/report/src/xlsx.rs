//! Writes the report as a workbook: a sheet of figures with native charts, and a sheet of cases.
//!
//! Every text is written as a string cell. Excel computes only formula cells, so a subject that starts with `=`, `+`, `-`
//! or `@` stays what the customer wrote; the quote prefix keeps it so when someone edits the cell.

use std::cmp::Reverse;

use chrono::{DateTime, NaiveDate, Utc};
use factotum_sdk::Fault;
use rust_xlsxwriter::{
    Chart, ChartDataLabel, ChartFormat, ChartLine, ChartPoint, ChartSolidFill, ChartType, Color,
    DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

use crate::{
    CaseRow, days, palette, statistics, text,
    view::{Figure, Section, View},
    words::Kind,
};

/// The most rows on the sheet of cases. A workbook is built in memory, and a call may hold at most 128 MiB.
pub const MAX_SHEET_CASES: usize = 40_000;
/// The most characters of a cell (Excel's specifications and limits).
const MAX_CELL: usize = 32_767;
/// Column and row where charts start.
const CHART_COLUMN: u16 = 4;
/// Rows that a chart's height takes, at 20 pixels each.
const CHART_ROWS: u32 = 15;

/// The workbook. Takes the cases, so that each leaves memory as soon as it is written.
///
/// # Errors
/// `internal` when the library refuses a cell or cannot write the file.
pub fn workbook(view: &View, cases: Vec<CaseRow>) -> Result<Vec<u8>, Fault> {
    write(view, cases).map_err(|e| Fault::internal(format!("the workbook cannot be written: {e}")))
}

fn write(view: &View, cases: Vec<CaseRow>) -> Result<Vec<u8>, XlsxError> {
    let styles = Styles::new();
    let mut book = Workbook::new();
    // Without a date of its own the library would ask the clock, and the same report would be other bytes each time.
    let created =
        view.newest.as_ref().and_then(excel_time).map_or_else(|| ExcelDateTime::from_ymd(2000, 1, 1), Ok)?;
    book.set_properties(&DocProperties::new().set_title(&view.title).set_creation_datetime(&created));
    figures(book.add_worksheet(), view, &styles)?;
    case_list(book.add_worksheet(), view, cases, &styles)?;
    book.save_to_buffer()
}

struct Styles {
    title: Format,
    soft: Format,
    heading: Format,
    head: Format,
    number: Format,
    share: Format,
    day: Format,
    time: Format,
    text: Format,
    average: Format,
    name: Format,
}

impl Styles {
    fn new() -> Self {
        let line = Color::RGB(palette::rgb(palette::LINE));
        let plain = Format::new();
        Self {
            title: plain.clone().set_bold().set_font_size(18),
            soft: plain.clone().set_font_color(Color::RGB(0x5b_66_75)),
            heading: plain.clone().set_bold().set_font_size(13),
            head: plain
                .clone()
                .set_bold()
                .set_background_color(Color::RGB(palette::rgb(palette::BLUE)))
                .set_font_color(Color::White)
                .set_border_bottom(FormatBorder::Thin)
                .set_border_color(line),
            number: plain.clone().set_num_format("#,##0"),
            share: plain.clone().set_num_format("0.0%"),
            day: plain.clone().set_num_format("yyyy-mm-dd").set_align(FormatAlign::Left),
            time: plain.clone().set_num_format("yyyy-mm-dd hh:mm").set_align(FormatAlign::Left),
            text: plain.clone().set_quote_prefix(),
            average: plain.clone().set_num_format("#,##0.0"),
            name: plain.set_quote_prefix().set_align(FormatAlign::Right),
        }
    }
}

fn excel_time(time: &DateTime<Utc>) -> Option<ExcelDateTime> {
    // Excel's calendar runs from 1900 to 9999; a time outside stays text.
    ExcelDateTime::from_timestamp(time.timestamp()).ok()
}

fn excel_day(day: NaiveDate) -> Option<ExcelDateTime> {
    excel_time(&day.and_hms_opt(0, 0, 0)?.and_utc())
}

fn figures(sheet: &mut Worksheet, view: &View, styles: &Styles) -> Result<(), XlsxError> {
    let words = view.words;
    sheet.set_name(words.figures_sheet)?.set_screen_gridlines(false);
    sheet.set_landscape().set_print_fit_to_pages(1, 0).set_paper_size(9);
    sheet
        .set_column_width(0, 30)?
        .set_column_width(1, 12)?
        .set_column_width(2, 10)?
        .set_column_width(3, 4)?;
    sheet.write_string_with_format(0, 0, &view.title, &styles.title)?;
    let mut row = 1;
    if let Some(period) = view.period_text() {
        sheet.write_string_with_format(row, 0, format!("{}: {period}", words.period), &styles.soft)?;
        row += 1;
    }
    sheet.write_string_with_format(row, 0, words.times_in_utc, &styles.soft)?;
    if view.total == 0 {
        sheet.write_string_with_format(row + 1, 0, words.no_cases, &styles.heading)?;
    }
    if view.total > MAX_SHEET_CASES as u64 {
        let (shown, total) = (text::grouped(MAX_SHEET_CASES as u64), text::grouped(view.total));
        sheet.write_string_with_format(
            row + 1,
            0,
            view.language.newest_only(&shown, &total),
            &styles.soft,
        )?;
    }
    row += 3;
    for (name, figure) in &view.headlines {
        sheet.write_string(row, 0, *name)?;
        match figure {
            Figure::Count(count) => sheet.write_number_with_format(row, 1, *count as f64, &styles.number)?,
            Figure::Average(average) => sheet.write_number_with_format(row, 1, *average, &styles.average)?,
            Figure::Share(share) => sheet.write_number_with_format(row, 1, *share, &styles.share)?,
            Figure::Name(name) => sheet.write_string_with_format(row, 1, name, &styles.name)?,
        };
        row += 1;
    }
    row += 2;
    for section in &view.sections {
        row = section_rows(sheet, view, section, row, styles)?;
    }
    Ok(())
}

/// Writes one table and its chart from `top` on, and answers with the row where the next may start.
fn section_rows(
    sheet: &mut Worksheet,
    view: &View,
    section: &Section,
    top: u32,
    styles: &Styles,
) -> Result<u32, XlsxError> {
    let words = view.words;
    sheet.write_string_with_format(top, 0, section.heading, &styles.heading)?;
    for (column, name) in [(0, section.column), (1, words.cases), (2, words.share)] {
        sheet.write_string_with_format(top + 1, column, name, &styles.head)?;
    }
    let first = top + 2;
    let mut next = first;
    let mut charted = 0;
    for row in &section.rows {
        match row.day.and_then(excel_day) {
            Some(day) => sheet.write_datetime_with_format(next, 0, &day, &styles.day)?,
            None => sheet.write_string_with_format(next, 0, &row.label, &styles.text)?,
        };
        sheet.write_number_with_format(next, 1, row.count as f64, &styles.number)?;
        sheet.write_number_with_format(next, 2, row.share, &styles.share)?;
        next += 1;
        charted += u32::from(row.charted);
    }
    if charted > 0 {
        let last = first + charted - 1;
        let chart = chart(view, section, first, last);
        sheet.insert_chart(top + 1, CHART_COLUMN, &chart)?;
    }
    Ok(next.max(top + 1 + CHART_ROWS) + 2)
}

fn chart(view: &View, section: &Section, first: u32, last: u32) -> Chart {
    let sheet = view.words.figures_sheet;
    let over_time = section.kind == Kind::Day;
    let mut chart = Chart::new(if over_time { ChartType::Column } else { ChartType::Bar });
    let points: Vec<ChartPoint> = section
        .rows
        .iter()
        .filter(|row| row.charted && !over_time)
        .map(|row| {
            let fill = ChartSolidFill::new().set_color(Color::RGB(palette::rgb(row.colour))).clone();
            ChartPoint::new().set_format(ChartFormat::new().set_solid_fill(&fill))
        })
        .collect();
    let series = chart
        .add_series()
        .set_categories((sheet, first, 0, last, 0))
        .set_values((sheet, first, 1, last, 1))
        .set_name(view.words.cases)
        .set_gap(if over_time { 30 } else { 45 })
        .set_format(
            ChartFormat::new()
                .set_solid_fill(ChartSolidFill::new().set_color(Color::RGB(palette::rgb(palette::BLUE)))),
        );
    if !over_time {
        series.set_points(&points).set_data_label(ChartDataLabel::new().show_value());
    }
    chart.title().set_name(section.heading);
    chart.legend().set_hidden();
    let line = ChartLine::new().set_color(Color::RGB(palette::rgb(palette::LINE))).clone();
    chart.y_axis().set_num_format("#,##0").set_min(0).set_major_gridlines_line(&line);
    if over_time {
        chart.x_axis().set_num_format("yyyy-mm-dd");
    } else {
        // A bar chart's axis runs upwards; the most frequent value belongs on top.
        chart.x_axis().set_reverse();
        chart.y_axis().set_hidden(true);
    }
    chart.set_width(if over_time { 860 } else { 620 }).set_height(CHART_ROWS * 20);
    chart.set_alt_text(format!("{}. {}", section.heading, section.sentence(view.words)));
    chart
}

fn case_list(
    sheet: &mut Worksheet,
    view: &View,
    mut cases: Vec<CaseRow>,
    styles: &Styles,
) -> Result<(), XlsxError> {
    let (words, language) = (view.words, view.language);
    sheet.set_name(words.cases_sheet)?;
    let heads = [
        (words.id, 18),
        (words.opened, 18),
        (language.column(Kind::Channel), 14),
        (language.column(Kind::Category), 20),
        (language.column(Kind::Priority), 12),
        (language.column(Kind::Sentiment), 12),
        (language.column(Kind::Language), 12),
        (words.subject, 80),
    ];
    for (column, (name, width)) in (0_u16..).zip(heads) {
        sheet.set_column_width(column, width)?.write_string_with_format(0, column, name, &styles.head)?;
    }
    // Newest first; cases without a date last. The sort is stable: the rest stays in the caller's order.
    cases.sort_by_cached_key(|case| Reverse(days::moment(&case.created)));
    cases.truncate(MAX_SHEET_CASES);
    let last = u32::try_from(cases.len()).unwrap_or(u32::MAX);
    for (row, case) in (1_u32..).zip(cases) {
        let cell = |value: &str| text::one_line(value, MAX_CELL);
        let label = |kind, value: Option<&str>| language.label(kind, &statistics::named(value)).into_owned();
        sheet.write_string_with_format(row, 0, cell(&case.id), &styles.text)?;
        match days::moment(&case.created).as_ref().and_then(excel_time) {
            Some(time) => sheet.write_datetime_with_format(row, 1, &time, &styles.time)?,
            None => {
                sheet.write_string_with_format(row, 1, text::one_line(&case.created, 64), &styles.text)?
            }
        };
        for (column, kind, value) in [
            (2, Kind::Channel, Some(case.channel.as_str())),
            (3, Kind::Category, case.category.as_deref()),
            (4, Kind::Priority, case.priority.as_deref()),
            (5, Kind::Sentiment, case.sentiment.as_deref()),
            (6, Kind::Language, case.language.as_deref()),
        ] {
            sheet.write_string_with_format(row, column, label(kind, value), &styles.text)?;
        }
        sheet.write_string_with_format(row, 7, cell(&case.subject), &styles.text)?;
    }
    sheet.set_freeze_panes(1, 0)?.autofilter(0, 0, last, 7)?;
    sheet.set_landscape().set_print_fit_to_pages(1, 0).set_paper_size(9).set_repeat_rows(0, 0)?;
    Ok(())
}

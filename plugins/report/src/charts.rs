//! Draws charts as SVG.

use factotum_sdk::Fault;
use plotters::{
    coord::ranged1d::{IntoSegmentedCoord, SegmentValue},
    prelude::{ChartBuilder, Color, IntoDrawingArea, RGBColor, Rectangle, SVGBackend, Text, TextStyle},
    style::{
        IntoFont, ShapeStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{
    palette::{self, Colour},
    text,
    view::{Row, Section},
    words::Kind,
};

/// A chart: its size in pixels, and what stands between the tags of the `svg` element.
pub struct Chart {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// The drawing, which is well-formed and escaped.
    pub body: String,
}

/// plotters draws text at size / 1.24; this asks for 13 pixels.
const FONT: f64 = 13.0 * 1.24;

/// The chart of `section`: columns over time, bars for all else.
///
/// # Errors
/// `internal` when the library cannot draw it.
pub fn draw(section: &Section) -> Result<Chart, Fault> {
    let rows: Vec<&Row> = section.rows.iter().filter(|row| row.charted).collect();
    let over_time = section.kind == Kind::Day;
    let width = if over_time { 960 } else { 520 };
    let height =
        if over_time { 260 } else { slots(&rows).unsigned_abs().saturating_mul(30).saturating_add(10) };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        let drawn = if over_time { columns(&area, &rows) } else { bars(&area, &rows) };
        drawn
            .and_then(|()| area.present().map_err(|e| e.to_string()))
            .map_err(|e| Fault::internal(format!("the chart {:?} cannot be drawn: {e}", section.heading)))?;
    }
    // The page writes the svg element itself, with title, description and role.
    let body =
        svg.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>")).map(|(body, _)| body.to_owned());
    let body = body.ok_or_else(|| Fault::internal("the chart library drew no SVG"))?;
    Ok(Chart { width, height, body })
}

type Area<'a> = plotters::drawing::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn fill(colour: Colour) -> ShapeStyle {
    rgb(colour).filled()
}

fn rgb((red, green, blue): Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

fn ink(anchor: Pos) -> TextStyle<'static> {
    TextStyle {
        font: ("sans-serif", FONT).into_font(),
        color: rgb(palette::INK).to_backend_color(),
        pos: anchor,
    }
}

fn highest(rows: &[&Row]) -> f64 {
    rows.iter().map(|row| row.count).max().unwrap_or(0).max(1) as f64
}

/// How many slots the axis has. A segmented axis has one for every number of its range, both ends included, and needs two
/// different ends.
fn slots(rows: &[&Row]) -> i32 {
    i32::try_from(rows.len()).unwrap_or(i32::MAX).max(2)
}

fn bars(area: &Area<'_>, rows: &[&Row]) -> Result<(), String> {
    let count = slots(rows);
    // Room to the right of the longest bar for its number.
    let mut chart = ChartBuilder::on(area)
        .margin(4)
        .y_label_area_size(168)
        .build_cartesian_2d(0.0..highest(rows) * 1.35, (0..count.saturating_sub(1)).into_segmented())
        .map_err(|e| e.to_string())?;
    // The first row on top, and the axis runs upwards.
    let at = |index: usize| count.saturating_sub(1).saturating_sub(i32::try_from(index).unwrap_or(0));
    let row_at = |at: i32| {
        usize::try_from(count.saturating_sub(1).saturating_sub(at)).ok().and_then(|index| rows.get(index))
    };
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_x_axis()
        .y_labels(rows.len())
        .y_label_style(ink(Pos::new(HPos::Right, VPos::Center)))
        .axis_style(rgb(palette::LINE))
        .y_label_formatter(&|value| match value {
            SegmentValue::CenterOf(at) => row_at(*at).map_or_else(String::new, |row| fitting(&row.label)),
            _ => String::new(),
        })
        .draw()
        .map_err(|e| e.to_string())?;
    chart
        .draw_series(rows.iter().enumerate().map(|(index, row)| {
            let from = (0.0, SegmentValue::Exact(at(index)));
            let to = (row.count as f64, SegmentValue::Exact(at(index).saturating_add(1)));
            let mut bar = Rectangle::new([from, to], fill(row.colour));
            bar.set_margin(5, 5, 0, 0);
            bar
        }))
        .map_err(|e| e.to_string())?;
    let beside = highest(rows) * 0.015;
    chart
        .draw_series(rows.iter().enumerate().map(|(index, row)| {
            let number = format!("{} · {}", text::grouped(row.count), text::percent(row.share));
            Text::new(
                number,
                (row.count as f64 + beside, SegmentValue::CenterOf(at(index))),
                ink(Pos::new(HPos::Left, VPos::Center)),
            )
        }))
        .map_err(|e| e.to_string())?;
    Ok(())
}

/// The label as far as it fits beside the axis; the table beside the chart has it whole.
fn fitting(label: &str) -> String {
    let width = |c: char| if c.is_ascii() { 1 } else { 2 };
    let (mut out, mut used) = (String::new(), 0_usize);
    for c in label.chars() {
        used = used.saturating_add(width(c));
        if used > 22 {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

fn columns(area: &Area<'_>, rows: &[&Row]) -> Result<(), String> {
    let count = slots(rows);
    let top = highest(rows);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(16)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d((0..count.saturating_sub(1)).into_segmented(), 0.0..top * 1.08)
        .map_err(|e| e.to_string())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(rows.len().clamp(1, 9))
        .y_labels(usize::try_from(top as u64).unwrap_or(5).clamp(1, 5))
        .y_max_light_lines(0)
        .bold_line_style(rgb(palette::LINE))
        .axis_style(rgb(palette::LINE))
        .label_style(("sans-serif", FONT).into_font().color(&rgb(palette::INK)))
        .x_label_formatter(&|value| match value {
            SegmentValue::CenterOf(at) => usize::try_from(*at)
                .ok()
                .and_then(|at| rows.get(at))
                .map_or_else(String::new, |row| row.label.clone()),
            _ => String::new(),
        })
        .y_label_formatter(&|value| text::grouped(value.round() as u64))
        .draw()
        .map_err(|e| e.to_string())?;
    // Columns touch when there are many of them, so that a quarter still fits.
    let gap = if rows.len() > 45 { 1 } else { 3 };
    chart
        .draw_series(rows.iter().enumerate().filter(|(_, row)| row.count > 0).map(|(index, row)| {
            let index = i32::try_from(index).unwrap_or(0);
            let from = (SegmentValue::Exact(index), 0.0);
            let to = (SegmentValue::Exact(index.saturating_add(1)), row.count as f64);
            let mut column = Rectangle::new([from, to], fill(row.colour));
            column.set_margin(0, 0, gap, gap);
            column
        }))
        .map_err(|e| e.to_string())?;
    Ok(())
}

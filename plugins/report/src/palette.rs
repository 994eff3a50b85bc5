//! The colours of charts. Labels stand beside every colour, so none carries meaning alone (WCAG 2.2, 1.4.1).

use crate::words::Kind;

/// A colour as red, green, blue.
pub type Colour = (u8, u8, u8);

/// Bars without a meaning of their own.
pub const BLUE: Colour = (37, 99, 160);
/// Axes and grid lines.
pub const LINE: Colour = (222, 226, 232);
/// Text in charts.
pub const INK: Colour = (45, 55, 72);
const GREY: Colour = (138, 148, 162);

/// The colour for `value`.
pub fn colour(kind: Kind, value: &str) -> Colour {
    match (kind, value) {
        (_, "unknown") => GREY,
        (Kind::Priority, "urgent") | (Kind::Sentiment, "negative") => (190, 49, 49),
        (Kind::Priority, "high") => (214, 126, 26),
        (Kind::Priority, "low") | (Kind::Sentiment, "neutral") => GREY,
        (Kind::Sentiment, "positive") => (46, 132, 84),
        _ => BLUE,
    }
}

/// The colour as `RRGGBB`.
pub fn rgb((red, green, blue): Colour) -> u32 {
    (u32::from(red) << 16) | (u32::from(green) << 8) | u32::from(blue)
}

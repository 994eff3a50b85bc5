//! JSON to WIT values and back.
//!
//! | WIT | JSON |
//! |---|---|
//! | bool, string | the same |
//! | integers | number, checked against the range; nothing is rounded |
//! | floats | number; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | char | string of one Unicode scalar value |
//! | `list<u8>` | base64 string (RFC 4648, section 4); an array of numbers is taken too |
//! | list, tuple | array |
//! | record | object; an option may be left out, an unknown member is refused |
//! | variant | `"case"` without payload, `{"case": payload}` with one |
//! | enum | string |
//! | flags | array of strings |
//! | option | null or the value; an option within an option: null or `{"some": …}` |
//! | result | `{"ok": …}` or `{"err": …}` |
//! | map | object for string keys, else array of pairs |

mod from_wit;
mod to_wit;

pub(crate) use from_wit::from_wit;
pub(crate) use to_wit::{Room, ValueError, to_wit, to_wit_within, unknown_member};

use crate::shape::Shape;

/// Whether JSON null is a value of this type, so that an option around it needs a wrapper.
fn is_nullable(shape: &Shape) -> bool {
    matches!(shape, Shape::Option(_))
}

#[cfg(test)]
mod tests;

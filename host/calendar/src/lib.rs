//! Business hours and holidays: when a desk is open, and arithmetic in the time that it is.
//!
//! Pure: moments come in and go out as milliseconds since the Unix epoch, and whoever asks has the clock. A moment counts
//! as open when the wall clock of the calendar's time zone says so. So an hour that the clock skips counts for nothing,
//! one that it repeats counts twice, and a day on which the desk does not open counts not at all.
//!
//! No question is searched for ever: what does not come within fifty years is told to come never.

mod arithmetic;
mod import;
mod model;
mod openings;
mod read;

pub use arithmetic::{HORIZON_MS, Length, Never};
pub use import::{Holidays, MAX_FILE, Merged, WrongFile};
pub use model::Calendar;
pub use read::Wrong;

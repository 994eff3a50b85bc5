//! Where values come from: sets of labels, and trees of them that follow the members of a JSON value.
//!
//! A [`Label`] says that a value holds data from one origin, such as the plugin `crm`. The flow language hands labels on
//! with the data, the sandbox adds those of what a call reads from its stored data, and grants say by [`Source`] whose
//! data may not reach a destination. All three share these types, so this crate knows none of them.
//!
//! Everything here errs to one side: a value may carry a label too many, never one too few.

mod carried;
mod label;
mod source;
mod tree;

pub use carried::{Carried, Found, Place};
pub use label::{Label, Labels, MAX_LABELS, TRIGGER};
pub use source::{Source, SourceError, is_name, is_origin};
pub use tree::{MAX_DEPTH, MAX_MEMBERS, Provenance};

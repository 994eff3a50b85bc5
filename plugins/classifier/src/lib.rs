//! The classifier plugin: what a customer's message is about, how urgent it is, in which mood and language it was
//! written, and what stands in it. English and Chinese.
//!
//! Two sources are put together: shipped rules ([`cues`]) whose hits are inputs of a trained linear model ([`model`]),
//! and the administrator's own rules ([`rules`]), which are added to the model's scores. The core is plain Rust and
//! knows neither WIT nor host; the component's exports are in `guest`.

pub mod classify;
pub mod concepts;
pub mod cues;
pub mod features;
pub mod fields;
pub mod focus;
pub mod fold;
mod guest;
pub mod labels;
pub mod language;
pub mod model;
pub mod normalise;
pub mod phrases;
pub mod rules;
pub mod signals;
pub mod tokens;
#[cfg(any(test, feature = "train"))]
pub mod train;

pub use guest::Plugin;

//! The classifier plugin.

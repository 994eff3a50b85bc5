//! The mail plugin.

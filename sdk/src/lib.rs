//! The guest library for plugin authors.

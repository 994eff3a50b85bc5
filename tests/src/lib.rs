//! Whole-program tests against the built binary and real servers.

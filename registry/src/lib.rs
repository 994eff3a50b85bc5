//! Plugin packages: the manifest inside a component, semantic versions, and where plugins come from.
//!
//! Knows no engine and no flows: a package is looked at as bytes, never compiled or run here.

pub mod manifest;
mod package;
mod resolve;

pub use manifest::Manifest;
pub use package::{MAX_COMPONENT_BYTES, Package, PackageError};
pub use resolve::resolve;

//! Plugin packages: the manifest inside a component, semantic versions, and where plugins come from.

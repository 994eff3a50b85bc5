//! The flow language: model, validation, expressions and an interpreter that is pure over one effects trait.

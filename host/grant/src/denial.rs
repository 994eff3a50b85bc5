//! A refusal that says what was refused, why, and the smallest grant that would have allowed it.

use crate::Capability;

/// An effect that the grants do not allow. The plugin sees `message`; the log and the audit entry also see `mend`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{capability}: {message}")]
pub struct Denial {
    /// The capability whose grant was too narrow.
    pub capability: Capability,
    /// What was refused, in words. Holds no secret and no payload.
    pub message: String,
    /// The smallest grant that would have allowed it, as TOML to add.
    pub mend: String,
}

//! Why a token could not be made, revoked or kept.

use crate::{MAX_NAME_BYTES, MAX_NAMESPACES, MAX_TOKENS};

/// Why a token could not be made, revoked or kept. Refusals of callers are [`crate::Refusal`]s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The name cannot be one.
    #[error(
        "{name:?} cannot be a token's name: 1 to {MAX_NAME_BYTES} ASCII letters, digits, '-', '_' and '.', beginning with a letter or digit"
    )]
    Name {
        /// The name as given, cut to a line.
        name: String,
    },
    /// A namespace cannot be one, or there are none or too many.
    #[error(
        "{problem}; a token is confined to 1 to {MAX_NAMESPACES} namespaces (letters, digits and inner hyphens, at most 63), or to none"
    )]
    Namespaces {
        /// What is wrong.
        problem: String,
    },
    /// The life is none or too long.
    #[error("a token's life is 1 s to 10 years; leave it out for one that does not expire")]
    Life,
    /// The name is taken.
    #[error(
        "there is a token {name:?} already, perhaps a revoked one; a name that is kept is not used twice, so that the audit log stays clear"
    )]
    Exists {
        /// The name.
        name: String,
    },
    /// There is no such token.
    #[error("there is no token {name:?}; `factotum token list` shows what there is")]
    NotFound {
        /// The name as given, cut to a line.
        name: String,
    },
    /// Nobody could administer the host any more.
    #[error(
        "{name:?} is the last token that can administer this host; make another first (factotum token create --role admin)"
    )]
    LastAdmin {
        /// The token.
        name: String,
    },
    /// There are as many tokens as there can be.
    #[error(
        "there are {MAX_TOKENS} tokens, which is the most; forget some that ended (factotum token prune)"
    )]
    TooMany,
    /// The first token could not be put where the host's owner finds it.
    #[error("the first admin token cannot be written: {0}")]
    Write(std::io::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] factotum_store::StoreError),
}

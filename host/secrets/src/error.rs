//! Why a secret could not be kept or had. No error holds a value or a key.

use crate::{
    KeyId, MAX_NAME_BYTES, MAX_OVERLAP, MAX_PAYLOAD_KEYS, MAX_SECRETS, MAX_VALUE_BYTES, MAX_VERSIONS,
};

/// Why a secret could not be kept or had. Nothing was written, except where [`SecretError::Store`] says that it
/// cannot know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The name cannot be one.
    #[error(
        "{name:?} cannot be a secret's name: 1 to {MAX_NAME_BYTES} ASCII letters, digits, '-', '_' and '.', beginning with a letter or digit"
    )]
    Name {
        /// The name as given, cut to a line.
        name: String,
    },
    /// The value cannot be one.
    #[error("the value of secret {name:?} is {problem}; it must have 1 to {MAX_VALUE_BYTES} bytes of UTF-8")]
    Value {
        /// The secret.
        name: String,
        /// What is wrong with the value.
        problem: &'static str,
    },
    /// There is no such secret.
    #[error(
        "there is no secret {name:?}; `factotum secret list` shows what there is, `factotum secret set` adds one"
    )]
    NotFound {
        /// The name as given.
        name: String,
    },
    /// There are as many secrets as there can be.
    #[error("there are {MAX_SECRETS} secrets, which is the most; remove one that is no longer used")]
    TooMany,
    /// There are as many keys of payloads as there can be.
    #[error("there are {MAX_PAYLOAD_KEYS} keys of payloads, which is the most")]
    TooManyPayloadKeys,
    /// The overlap of a rotation is too long.
    #[error("the overlap is {seconds} s; at most {} s (30 days) are allowed", MAX_OVERLAP.as_secs())]
    Overlap {
        /// What was asked for, in seconds.
        seconds: u64,
    },
    /// As many values are accepted as can be.
    #[error(
        "secret {name:?} has {MAX_VERSIONS} values that are still accepted, which is the most; wait for the oldest to expire, or set it without an overlap, which ends them all"
    )]
    TooManyVersions {
        /// The secret.
        name: String,
    },
    /// The master key cannot be had from where it should come.
    #[error("the master key cannot be had from {origin}: {problem}")]
    MasterKey {
        /// Where it was looked for: `file …`, `environment variable …`, `command …`.
        origin: String,
        /// What is wrong, and the mend.
        problem: String,
    },
    /// None of the keys at hand is the one that the secrets are sealed under. Nothing was changed.
    #[error(
        "the secrets are sealed under master key {wanted}, but {tried}; nothing was changed. Put the key {wanted} back, or, if it was replaced on purpose, name the old one as a previous key for one start. Without it the secrets cannot be read by anyone"
    )]
    WrongMasterKey {
        /// The identity of the key that the keyring is sealed under.
        wanted: KeyId,
        /// Which keys were tried.
        tried: String,
    },
    /// The new master key is the present one.
    #[error("the new master key is the present one ({id}); make another: openssl rand -hex 32")]
    SameMasterKey {
        /// The key's identity.
        id: KeyId,
    },
    /// The host cannot write a new key to where the present one comes from.
    #[error(
        "the master key comes from {origin}, which the host does not write to; put a new key there and name the old one as a previous key, or name the new key's source"
    )]
    NotOurFile {
        /// Where the present key comes from.
        origin: String,
    },
    /// What is stored was changed by something other than this host, or lost.
    #[error("{what} {problem}; {mend}")]
    Damaged {
        /// What is damaged: `the keyring`, `the secret "…"`.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] factotum_store::StoreError),
}

/// A text that somebody else wrote, as an error may show it.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_NAME_BYTES).filter(|c| !c.is_control()).collect()
}

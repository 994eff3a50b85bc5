//! What plugins' capabilities do: key-value on the store, mail through the mailer, artifacts as blobs.
//!
//! Grants were checked by the sandbox before any of this is reached. These rooms know the store and no plugins.

mod artifacts;
mod courier;
mod forget;
mod key_value;
pub(crate) mod lent;
mod mail;
mod post;
mod stored_labels;
#[cfg(test)]
pub(crate) mod testing;

pub use artifacts::{Artifact, ArtifactContent};
pub(crate) use artifacts::{MAILBOX, StoredArtifacts, digest_of};
pub(crate) use courier::Courier;
pub(crate) use forget::index as index_artifact;
pub(crate) use key_value::StoredKeyValue;
pub(crate) use mail::MailBackend;
pub(crate) use post::Post;
pub(crate) use stored_labels::StoredPlaces;

use factotum_sandbox::CallFault;
use factotum_store::StoreError;

/// A store that failed is a technical fault to a plugin: the call may be repeated when it works again. The cause is for
/// the log, not for the plugin.
fn store_fault(error: &StoreError) -> CallFault {
    tracing::error!(%error, "the store failed under a plugin's call");
    CallFault::technical("unavailable", "the host's store failed")
}

//! The sandbox: wasmtime, its limits and cache, JSON to WIT values and back, and the capabilities a plugin may import.
//!
//! One call, end to end: [`Plugin::call`] converts the JSON input to WIT values, takes a fresh instance from the pool,
//! runs the exported function under the plugin's limits, converts the result back, and reports every capability that
//! was used or refused. Whether an effect is granted is asked before it happens, in the `capability` module of that
//! effect, of the right as it is at that moment; a plugin that imports what is not granted is not even installed.
//!
//! This crate knows no flows, no store and no network: effects go through the traits in [`Backends`].

mod backends;
mod cache;
mod call;
mod capability;
mod check;
mod component;
mod data;
mod engine;
#[doc(hidden)]
pub mod fuzzing;
mod holder;
mod limits;
mod link;
mod meter;
mod patience;
mod places;
mod plugin;
mod right;
mod schema;
mod shape;
mod state;
pub mod testing;
mod value;

pub use backends::{
    ArtifactInfo, Artifacts, BackendError, Backends, HttpOut, KeyValue, MailAttachment, MailMailbox,
    MailMessage, MailOut, MailReceipt, StoredLabels,
};
pub use call::{CallContext, CallFault, CallReport, CapabilityUse, FaultKind, UseOutcome};
pub use check::InputProblem;
pub use component::{Component, FindError, Function};
pub use engine::{Sandbox, SandboxConfig, SandboxError};
pub use holder::{HttpRight, HttpRights};
pub use link::{LinkError, MissingGrant, PluginSpec};
pub use plugin::Plugin;
pub use right::Narrowed;

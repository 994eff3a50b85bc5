//! Files that a run produces and people fetch (`factotum:host/artifacts`).

use crate::Fault;
pub use crate::bindings::factotum::host::artifacts::Artifact;

/// Stores a file.
///
/// # Errors
/// A business fault when it is larger than granted, a technical one when the store does not answer.
pub fn put(name: &str, media_type: &str, content: &[u8]) -> Result<Artifact, Fault> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::factotum::host::artifacts::put(name, media_type, content)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        Ok(crate::testing::with(|world| world.put_artifact(name, media_type, content)))
    }
}

/// Reads a file that this plugin stored.
///
/// # Errors
/// `not-found` when this plugin stored no such file.
pub fn get(id: &str) -> Result<Vec<u8>, Fault> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::factotum::host::artifacts::get(id)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::with(|world| {
            world.artifacts.iter().find(|(a, _)| a.id == id).map(|(_, bytes)| bytes.clone())
        })
        .ok_or_else(|| Fault::not_found(format!("artifact {id}")))
    }
}

/// What is known of a file that this plugin stored.
///
/// # Errors
/// `not-found` when this plugin stored no such file.
pub fn info(id: &str) -> Result<Artifact, Fault> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::factotum::host::artifacts::info(id)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::with(|world| world.artifacts.iter().find(|(a, _)| a.id == id).map(|(a, _)| a.clone()))
            .ok_or_else(|| Fault::not_found(format!("artifact {id}")))
    }
}

/// The files that this plugin stored in this run, by identifier; at most 100 at once, after the one named.
///
/// # Errors
/// A business fault when artifacts are not granted, a technical one when the store does not answer.
pub fn list(after: Option<&str>) -> Result<Vec<Artifact>, Fault> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::factotum::host::artifacts::list(after)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        Ok(crate::testing::with(|world| {
            let mut all: Vec<Artifact> = world.artifacts.iter().map(|(a, _)| a.clone()).collect();
            all.sort_by(|a, b| a.id.cmp(&b.id));
            all.into_iter().filter(|a| after.is_none_or(|after| a.id.as_str() > after)).take(100).collect()
        }))
    }
}

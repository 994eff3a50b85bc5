//! `factotum:host/artifacts`: files that a run produces, within the size granted.

use factotum_grant::{Capability, Denial};

use super::{bindings::factotum::host::artifacts as wit, bindings::factotum::types::faults::Fault, to_guest};
use crate::{CallFault, state::State};

impl wit::Host for State {
    async fn put(
        &mut self,
        name: String,
        media_type: String,
        content: Vec<u8>,
    ) -> wasmtime::Result<Result<wit::Artifact, Fault>> {
        if let Err(fault) = self.check_artifact(&name, &media_type, content.len()) {
            return Ok(Err(to_guest(fault)));
        }
        let backend = self.backends().artifacts.clone();
        let result = backend.put(&self.identity.name, &self.context, &name, &media_type, content).await;
        self.note(Capability::Artifacts, "put", &name, &result, |fault| fault.code.clone());
        Ok(result.map_err(to_guest).map(|a| wit::Artifact {
            id: a.id,
            name: a.name,
            media_type: a.media_type,
            size: a.size,
            sha256: a.sha256,
        }))
    }

    async fn get(&mut self, id: String) -> wasmtime::Result<Result<Vec<u8>, Fault>> {
        let backend = self.backends().artifacts.clone();
        let result = backend.get(&self.identity.name, &id).await;
        self.note(Capability::Artifacts, "get", &id, &result, |fault| fault.code.clone());
        Ok(result.map_err(to_guest))
    }
}

impl State {
    fn check_artifact(&self, name: &str, media_type: &str, bytes: usize) -> Result<(), CallFault> {
        let plain = !name.is_empty()
            && name.chars().count() <= 200
            && !name.contains(['/', '\\'])
            && !name.chars().any(char::is_control)
            && !name.starts_with('.');
        if !plain {
            return Err(CallFault::business(
                "invalid-input",
                "an artifact's name has 1 to 200 characters, no slash, no control character, and no dot in front",
            ));
        }
        if media_type.len() > 200 || !media_type.is_ascii() || !media_type.contains('/') {
            return Err(CallFault::business(
                "invalid-input",
                "an artifact's media type is type/subtype (RFC 6838)",
            ));
        }
        let limit = self.grants().artifacts.as_ref().map_or(0, |grant| grant.max_bytes);
        if bytes as u64 > limit {
            let denial = Denial {
                capability: Capability::Artifacts,
                message: format!("an artifact of {bytes} bytes; granted are {limit}"),
                mend: format!("[artifacts]\nmax-bytes = {bytes}"),
            };
            self.uses.deny(&self.identity.name, "put", name, &denial);
            return Err(CallFault::business("denied", denial.message));
        }
        Ok(())
    }
}

//! `factotum:host/artifacts`: files that a run produces, within the size granted.

use factotum_grant::Capability;

use super::{bindings::factotum::host::artifacts as wit, bindings::factotum::types::faults::Fault, to_guest};
use crate::{CallFault, state::State};

impl wit::Host for State {
    async fn put(
        &mut self,
        name: String,
        media_type: String,
        content: Vec<u8>,
    ) -> wasmtime::Result<Result<wit::Artifact, Fault>> {
        if let Err(fault) = self.check_artifact(&name, &media_type, content.len() as u64) {
            return Ok(Err(to_guest(fault)));
        }
        let marked = self.data.will_write(self.identity(), &self.artifacts_place()).await;
        if let Err(error) = marked {
            return Ok(Err(to_guest(CallFault::technical("internal", error.0))));
        }
        let backend = self.backends().artifacts.clone();
        let result = backend.put(&self.identity().name, &self.context, &name, &media_type, content).await;
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
        if let Err(denial) = self.right().effective.check_capability(Capability::Artifacts) {
            self.deny("get", &id, &denial);
            return Ok(Err(to_guest(CallFault::business("denied", denial.message))));
        }
        let backend = self.backends().artifacts.clone();
        let result = backend.get(&self.identity().name, &self.context, &id).await;
        Ok(self.of_artifacts("get", &id, result).await.map_err(to_guest))
    }
}

impl State {
    fn check_artifact(&self, name: &str, media_type: &str, bytes: u64) -> Result<(), CallFault> {
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
        let right = self.right();
        right.effective.check_artifact(bytes).map_err(|denial| {
            self.deny("put", name, &denial);
            CallFault::business("denied", denial.message)
        })?;
        right
            .begin_artifact(&self.identity().ledger)
            .map_err(|too_often| self.too_often("put", name, too_often))
    }
}

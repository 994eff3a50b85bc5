//! Diagrams, as the host offers them.

use std::sync::Arc;

use super::{DiagramFormat, diagram, tree};
use crate::Host;
use crate::error::{ErrorCode, HostError};
use crate::ids::is_run_id;

impl Host {
    /// Draws a deployed flow; `None` when there is none of that name.
    #[must_use]
    pub fn flow_diagram(&self, namespace: &str, name: &str, format: DiagramFormat) -> Option<String> {
        self.deployment(namespace, name).map(|deployment| diagram(&deployment.flow, format))
    }

    /// Draws the flow of a run, with the path that the run took: every task that ended, as its history says.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownRun`]; [`ErrorCode::Conflict`] when its flow or its journal cannot be read any more.
    pub async fn run_diagram(&self, run_id: &str, format: DiagramFormat) -> Result<String, HostError> {
        let engine = self.engine();
        let row = if is_run_id(run_id) { engine.row(run_id).map_err(HostError::store)? } else { None };
        let row =
            row.ok_or_else(|| HostError::new(ErrorCode::UnknownRun, "there is no run with this identifier"))?;
        let unreadable = |why: String| HostError::new(ErrorCode::Conflict, why);
        let deployment = engine.deployments.by_digest(&row.deployment).await.map_err(unreadable)?;
        let (engine, id) = (Arc::clone(engine), run_id.to_owned());
        tokio::task::spawn_blocking(move || {
            let ran = engine.path_of(&id, &row, &deployment.flow)?;
            Ok(format.draw(&tree(&deployment.flow, &ran)))
        })
        .await
        .map_err(HostError::internal)?
    }
}

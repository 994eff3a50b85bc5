//! A flow is deployed: new runs take this document with these pins from now on.

use std::sync::Arc;

use factotum_audit::Actor;
use factotum_flow::{Declassified, Flow, Problem, Problems, Severity, WebhookAuth};
use factotum_store::{Batch, Table};
use serde::Serialize;

use super::{BY_DIGEST, CURRENT, Deployment, Record, check, doubts, key, version_key};
use crate::actions::Pin;
use crate::audit;
use crate::error::{ErrorCode, HostError};
use crate::ids::digest_parts;
use crate::runs::Engine;

/// What is known of a flow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowInfo {
    /// Its namespace.
    pub namespace: String,
    /// Its name in the namespace.
    pub name: String,
    /// The document's version.
    pub version: String,
    /// A title for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A summary for people, Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What its calls mean, each once.
    pub calls: Vec<Pin>,
    /// Whether a webhook starts it.
    pub webhook: bool,
    /// Whether its webhook asks for a client's certificate.
    #[serde(skip)]
    pub mutual_tls: bool,
    /// The mailbox and folder whose messages start it; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// The digest over document and pins; absent while it is only checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When it was deployed; absent while it is only checked.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub deployed_at: Option<u64>,
    /// Who deployed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed_by: Option<String>,
    /// When its schedule starts it next; absent without one.
    #[serde(
        serialize_with = "crate::time::serde_ms_option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub next_start: Option<u64>,
    /// What its limits do at this moment; absent without limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<crate::FlowLimits>,
    /// The tasks whose outputs are taken to hold nothing of some data any more: for whoever reviews the flow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub declassified: Vec<Declassified>,
    /// What works, but probably not as meant.
    pub warnings: Problems,
}

impl FlowInfo {
    pub(crate) fn checked(flow: &Flow, pins: Vec<Pin>) -> Self {
        let document = flow.document();
        Self {
            namespace: document.namespace.clone(),
            name: document.name.clone(),
            version: document.version.to_string(),
            title: document.title.clone(),
            summary: document.summary.clone(),
            calls: pins,
            webhook: flow.trigger().is_some(),
            mutual_tls: flow.trigger().is_some_and(|hook| matches!(hook.auth, WebhookAuth::Mtls { .. })),
            mailbox: flow.mail().map(|mail| format!("{}/{}", mail.mailbox, mail.folder)),
            digest: None,
            deployed_at: None,
            deployed_by: None,
            next_start: None,
            limits: None,
            declassified: flow.declassified().to_vec(),
            warnings: flow.warnings().clone(),
        }
    }

    /// With what the installed plugins make doubtful.
    pub(crate) fn with(mut self, doubts: Vec<Problem>) -> Self {
        self.warnings.0.extend(doubts);
        self
    }

    pub(crate) fn deployed(deployment: &Deployment) -> Self {
        Self {
            digest: Some(deployment.digest.clone()),
            deployed_at: Some(deployment.record.deployed_at),
            deployed_by: Some(deployment.record.deployed_by.clone()),
            ..Self::checked(&deployment.flow, deployment.record.pins.clone())
        }
    }
}

impl Engine {
    /// Checks and deploys a document. Deploying the same again changes nothing.
    pub async fn deploy(
        self: &Arc<Self>,
        actor: &Actor,
        source: &str,
        file: &str,
    ) -> Result<FlowInfo, HostError> {
        let (engine, text, name) = (Arc::clone(self), source.to_owned(), file.to_owned());
        let (flow, pins) = tokio::task::spawn_blocking(move || check(&*engine.actions, &text, &name))
            .await
            .map_err(HostError::internal)??;
        if let Some(problem) = self.wrong_with_mail(&flow, file, Severity::Error) {
            return Err(Problems(vec![problem]).into());
        }
        let unknown = self.calendars.lacking(&flow, file);
        if !unknown.is_empty() {
            return Err(Problems(unknown).into());
        }
        let mut doubts = doubts(&*self.actions, &flow, file);
        doubts.extend(self.flow_rights.lacking(&flow, file));
        let pinned = serde_json::to_vec(&pins).map_err(HostError::internal)?;
        let digest = digest_parts("deployment", &[source.as_bytes(), &pinned], 32);
        let id = flow.id();
        if let Some(current) = self.deployments.current(&id)
            && current.digest == digest
        {
            return Ok(FlowInfo::deployed(&current).with(doubts));
        }
        let record = Record {
            source: source.to_owned(),
            file: file.to_owned(),
            pins,
            deployed_at: self.clock.now_ms(),
            deployed_by: actor.to_string(),
        };
        let stored = serde_json::to_vec(&record).map_err(HostError::internal)?;
        let deployment = Arc::new(Deployment::new(digest, flow, record).map_err(HostError::internal)?);
        let mut batch = Batch::new();
        batch.put(Table::Flows, key(BY_DIGEST, &deployment.digest), stored);
        batch.put(Table::Flows, key(CURRENT, &id), deployment.digest.as_bytes());
        batch.put(
            Table::Flows,
            version_key(&id, &deployment.flow.document().version.to_string()),
            deployment.digest.as_bytes(),
        );
        audit::flow_deployed(&mut batch, self, actor, &deployment);
        self.commit(batch).await.map_err(HostError::store)?;
        tracing::info!(flow = id, digest = deployment.digest, "flow deployed");
        let info = FlowInfo::deployed(&deployment).with(doubts);
        self.deployments.set_current(deployment);
        self.limits_changed(&id);
        self.schedules_changed();
        Ok(info)
    }

    /// Takes a flow off: no new runs. Runs that were accepted keep their deployment and end.
    pub async fn undeploy(&self, actor: &Actor, flow: &str) -> Result<(), HostError> {
        let Some(deployment) = self.deployments.current(flow) else {
            return Err(HostError::new(ErrorCode::UnknownFlow, "there is no such flow"));
        };
        let mut batch = Batch::new();
        batch.delete(Table::Flows, key(CURRENT, flow));
        audit::flow_removed(&mut batch, self, actor, &deployment);
        self.commit(batch).await.map_err(HostError::store)?;
        self.deployments.take_off(flow);
        self.schedules_changed();
        Ok(())
    }
}

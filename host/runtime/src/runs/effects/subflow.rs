//! `run: workflow`: another flow is started, once, and waited for or not.

use std::sync::Arc;
use std::time::Duration;

use factotum_flow::{Answer, FlowError, Position, Stop, Subflow};
use factotum_provenance::Labels;
use factotum_store::Batch;

use super::super::children::{Child, MAX_DEPTH};
use super::super::replay::Answered;
use super::promise::Opening;
use super::{Durable, LONGEST_NAP_MS};
use crate::flows::Deployment;
use crate::journal::{Outcome, Record, WriteRecord};
use crate::place::place;

impl Durable<'_> {
    /// The outcome of another flow. With `takes_back` it undoes an earlier task, and cancelling the run does not stop it.
    pub(super) async fn start_flow(
        &self,
        at: &Position,
        subflow: &Subflow,
        takes_back: bool,
    ) -> Result<Answer, Stop> {
        let flow = format!("{}/{}", subflow.namespace, subflow.name);
        let told = self.lock().replay.call(at);
        if let Some(Answered { from, outcome, .. }) = told {
            return Ok(Answer { result: outcome.into(), from });
        }
        let known = self.lock().replay.promised(at);
        if known {
            return self.promised(at, subflow.deadline, takes_back, |_, _| Ok(Opening::default())).await;
        }
        self.not_late(at, subflow.deadline)?;
        self.wanted(takes_back)?;
        self.in_time(at, subflow.deadline).await?;
        if self.engine.queue.room() == 0 {
            // A flow must not push the runs of others out of the line.
            let again = self.engine.clock.now_ms().saturating_add(LONGEST_NAP_MS);
            return Err(self.rest_until(at, Some(again)));
        }
        let deployment = match self.deployment_of(&flow, subflow).await? {
            Ok(deployment) => deployment,
            Err(error) => {
                let answer = Answer { result: Err(error), from: Labels::default() };
                return self.tell(at, &flow, answer, Batch::new()).await;
            }
        };
        let place = place(at.key());
        let child = |awaited| Child {
            parent: self.run,
            key: &place,
            awaited,
            deployment: Arc::clone(&deployment),
            input: &subflow.input,
            from: subflow.from.total(),
        };
        if !subflow.wait {
            let mut batch = Batch::new();
            let id = self.engine.add_child(&mut batch, child(false)).map_err(|e| self.stuck(e))?;
            let answer = Answer { result: Ok(serde_json::json!({ "id": &id })), from: Labels::default() };
            let answer = self.tell(at, &flow, answer, batch).await?;
            self.engine.begin_child(&id);
            return Ok(answer);
        }
        let mut started = None;
        let answer = self
            .promised(at, subflow.deadline, takes_back, |_, batch| {
                let id = self.engine.add_child(batch, child(true)).map_err(|e| self.stuck(e))?;
                let what = format!("the end of {flow}, run {id}");
                started = Some(id.clone());
                Ok(Opening { what, run: Some(id) })
            })
            .await;
        // Executed only now that it is on disk; when it is not, the run stops anyway.
        if self.lock().halted.is_none()
            && let Some(id) = started
        {
            self.engine.begin_child(&id);
        }
        answer
    }

    /// The deployment that is started; the error when it cannot be.
    async fn deployment_of(
        &self,
        flow: &str,
        subflow: &Subflow,
    ) -> Result<Result<Arc<Deployment>, FlowError>, Stop> {
        if self.run.row.depth >= MAX_DEPTH {
            let message =
                format!("{MAX_DEPTH} flows have started one another; {flow} is not started as well");
            return Ok(Err(FlowError::configuration(message)));
        }
        let deployments = &self.engine.deployments;
        let deployment = match subflow.version.as_deref() {
            None | Some("latest") => deployments.current(flow),
            Some(version) => deployments.of_version(flow, version).await.map_err(|e| self.stuck(e))?,
        };
        let Some(deployment) = deployment else {
            let version = subflow.version.as_deref().map(|v| format!(" of version {v}")).unwrap_or_default();
            return Ok(Err(
                FlowError::configuration(format!("there is no flow {flow}{version}")).with_status(404)
            ));
        };
        let bytes = serde_json::to_vec(&subflow.input).map(|bytes| bytes.len()).unwrap_or(usize::MAX);
        let max = self.engine.limits.max_input_bytes;
        if bytes > max {
            let message = format!("the input for {flow} has {bytes} bytes; at most {max} are taken");
            return Ok(Err(FlowError::validation(message)));
        }
        Ok(match deployment.flow.check_input(&subflow.input) {
            Ok(()) => Ok(deployment),
            Err(error) => Err(FlowError::validation(format!("the input for {flow}: {error}"))),
        })
    }

    /// Journals what a flow was told that it started, with what must be on disk together with it.
    async fn tell(&self, at: &Position, flow: &str, answer: Answer, batch: Batch) -> Result<Answer, Stop> {
        let record: WriteRecord<'_> = Record::Called {
            key: at.key().to_owned(),
            task: at.pointer().to_owned(),
            function: format!("workflow {flow}"),
            at: self.engine.clock.now_ms(),
            elapsed_ms: super::millis(Duration::ZERO),
            attempt: 1,
            from: answer.from.clone(),
            outcome: match &answer.result {
                Ok(value) => Outcome::Value(value),
                Err(error) => Outcome::Error(error),
            },
        };
        let bytes = self.encode(&record)?;
        if batch.is_empty() {
            self.put_ahead(bytes, batch).await?
        } else {
            self.write(Some(bytes), batch).await?
        }
        Ok(answer)
    }
}

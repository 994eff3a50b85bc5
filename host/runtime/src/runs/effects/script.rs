//! Scripts of the flow: run in the sandbox without any capability. What has no effect need not be on disk before the run goes
//! on: after a crash it is run again, and nobody has seen the first.

use std::time::Instant;

use factotum_flow::{Answer, FlowError, Position, Script, Stop};
use factotum_provenance::Labels;
use factotum_sandbox::{CallContext, CallFault, FaultKind};
use factotum_store::Batch;
use serde_json::{Value, json};

use super::super::replay::Answered;
use super::{Durable, MAX_RECORD, millis};
use crate::audit;
use crate::journal::{Outcome, Record, WriteRecord};

/// How the journal calls a script.
const FUNCTION: &str = "script";

impl Durable<'_> {
    pub(super) async fn run_script(&self, at: &Position, script: &Script<'_>) -> Result<Answer, Stop> {
        self.learn(at, &json!({ "arguments": script.arguments }));
        let told = self.lock().replay.call(at);
        if let Some(Answered { function, from, outcome }) = told {
            if function != FUNCTION {
                let what = format!(
                    "the journal has a call of {function} at {}, the flow runs a script there",
                    at.key()
                );
                return Err(self.stuck(what));
            }
            return Ok(Answer { result: outcome.into(), from });
        }
        self.not_late(at, script.deadline)?;
        self.wanted(false)?;
        self.in_time(at, script.deadline).await?;
        let environment: Vec<Value> =
            script.environment.iter().map(|(name, value)| json!([name, value])).collect();
        let input = json!({
            "code": script.code,
            "arguments": script.arguments,
            "environment": environment,
            "stdin": script.stdin,
        });
        let context = CallContext {
            run_id: Some(self.run.id.clone()),
            flow: Some(self.run.row.flow.clone()),
            task: Some(at.pointer().to_owned()),
            attempt: 1,
            idempotency_key: String::new(),
            timeout: self.rest(script.deadline),
            data: script.from.clone(),
        };
        let begun = Instant::now();
        let report = match self.engine.actions.script(&input, &context).await {
            Ok(report) => report,
            // Not the run's fault, and mended without it: the run can go on when the engine is there.
            Err(why) => return Err(self.stuck(why)),
        };
        if report.result.is_err() && self.passed(script.deadline) {
            return Err(self.late(at, Batch::new()).await);
        }
        let mut result = report.result.map_err(|fault| error_of(&fault));
        let elapsed_ms = millis(begun.elapsed());
        let encode = |result: &Result<Value, FlowError>| {
            let record: WriteRecord<'_> = Record::Called {
                key: at.key().to_owned(),
                task: at.pointer().to_owned(),
                function: FUNCTION.to_owned(),
                at: self.engine.clock.now_ms(),
                elapsed_ms,
                attempt: 1,
                from: Labels::default(),
                outcome: match result {
                    Ok(value) => Outcome::Value(value),
                    Err(error) => Outcome::Error(error),
                },
            };
            self.encode(&record)
        };
        let mut bytes = encode(&result)?;
        if bytes.len() > MAX_RECORD {
            result = Err(error_of(&CallFault::business(
                "result-too-large",
                "the script wrote more than can be kept",
            )));
            bytes = encode(&result)?;
        }
        let mut entries = Batch::new();
        audit::run_script(&mut entries, self.engine, self.run, at, &input, result.as_ref());
        self.put_ahead(bytes, entries).await?;
        Ok(result.into())
    }
}

/// A script that did not come to its end. The same script would fare no better, so the host tries none again.
fn error_of(fault: &CallFault) -> FlowError {
    let text = format!("the script did not come to its end: {}", fault.message);
    let error = match (fault.kind, fault.code.as_str()) {
        (FaultKind::Technical, "timeout") => FlowError::timeout(text),
        (FaultKind::Business, "invalid-input") => FlowError::validation(text),
        _ => FlowError::runtime(text),
    };
    error.with("kind", "business").with("code", fault.code.as_str())
}

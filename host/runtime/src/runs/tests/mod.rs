//! Runs, tested without plugins: scripted actions, a clock moved by hand, a store in a temporary folder.

mod clocks;
mod concurrent;
mod crash;
mod deadlock;
mod endurance;
mod events;
mod hours;
mod http_requests;
mod lent;
mod limits;
mod maps;
mod narrowed;
mod parked;
mod promises;
mod provenance;
mod provisional;
mod queued;
mod retries;
mod schedules;
mod start;
mod suspend;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use factotum_audit::{Actor, AuditLog};
use factotum_egress::{EgressError, Login, Policy};
use factotum_flow::FunctionRef;
use factotum_grant::Narrowing;
use factotum_provenance::{Labels, Provenance};
use factotum_sandbox::{CallContext, CallFault, CallReport, InputProblem, Narrowed};
use factotum_secrets::{MasterKeySource, MasterKeys, SecretStore};
use factotum_store::{Durability, Options, Store, StoreError};
use serde_json::{Value, json};

use super::*;
use crate::actions::{NotLoaded, Pin, Unresolved};
use crate::clock::manual::ManualClock;
use crate::error::HostError;

/// Lets a number of commits pass, then none: what a crash in front of a commit looks like from here.
pub(crate) struct Crash(AtomicI64);

impl Default for Crash {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Crash {
    pub fn after(&self, commits: i64) {
        self.0.store(commits, Ordering::SeqCst);
    }

    /// Whether a commit was asked for that did not pass.
    pub fn happened(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }

    pub fn pass(&self) -> Result<(), StoreError> {
        if self.0.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(StoreError::Closed) }
    }
}

/// One call that an action saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub function: String,
    pub key: String,
    pub attempt: u32,
}

/// Actions that do what their names say.
#[derive(Default)]
pub struct Script {
    pub seen: Mutex<Vec<Seen>>,
    /// The tasks that were called narrowed, and by what.
    pub narrowed: Mutex<Vec<(String, Narrowing)>>,
    /// Where the arguments of the calls that answered came from.
    pub data: Mutex<Vec<(String, Provenance)>>,
    /// The requests of flows that were allowed, in order: flow, method and URI, idempotency key.
    pub requests: Mutex<Vec<(String, String, Option<String>)>>,
    /// What requests are answered with, in order; the last one for ever.
    pub answers: Mutex<Vec<Result<http::Response<Bytes>, EgressError>>>,
    /// The call of this number (from 0) never answers.
    pub hang_at: Mutex<Option<usize>>,
    /// Moved by `slow`, which takes all the time that it is given.
    pub clock: Mutex<Option<Arc<ManualClock>>>,
    /// Whether `switched` fails.
    pub broken: std::sync::atomic::AtomicBool,
    /// Says that `gated` was called, and lets it answer.
    pub arrived: Notify,
    pub gate: Notify,
}

impl Script {
    pub fn calls(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How often each key was called.
    pub fn by_key(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for seen in self.calls() {
            *counts.entry(seen.key).or_insert(0) += 1;
        }
        counts
    }
}

#[async_trait]
impl Actions for Script {
    fn resolve(&self, function: &FunctionRef) -> Result<Pin, Unresolved> {
        if function.plugin == "nowhere" {
            return Err(Unresolved { message: "there is no plugin nowhere".into(), hint: None });
        }
        Ok(Pin {
            call: function.to_string(),
            plugin: function.plugin.clone(),
            version: semver::Version::new(1, 0, 0),
            digest: "d".repeat(64),
            function: function.function.clone(),
        })
    }

    fn check_input(&self, pin: &Pin, with: &Value) -> Vec<InputProblem> {
        let wrong = pin.function == "echo" && with.get("wrong").is_some();
        let problem =
            || InputProblem { pointer: "/wrong".into(), message: "unknown member \"wrong\"".into() };
        wrong.then(problem).into_iter().collect()
    }

    fn may_act(&self, pin: &Pin) -> bool {
        pin.plugin != "pure"
    }

    fn check_narrowing(&self, _: &Pin, _: &Narrowing) -> Option<String> {
        None
    }

    async fn script(&self, input: &Value, _: &CallContext) -> Result<CallReport, String> {
        let result = Ok(json!({ "code": 0, "stdout": input["code"], "stderr": "" }));
        let from = Labels::default();
        Ok(CallReport { result, uses: Vec::new(), from, not_given: None, elapsed: Duration::ZERO })
    }

    async fn http(
        &self,
        flow: &str,
        policy: &dyn Policy,
        request: http::Request<Bytes>,
        login: Option<&Login>,
        limits: &factotum_egress::Limits,
    ) -> Result<http::Response<Bytes>, EgressError> {
        let names = login.map(Login::secrets).unwrap_or_default();
        let allowed = factotum_egress::look_at(&request, |seen| policy.check_as(seen, &names).map(|_| ()))?;
        allowed?;
        let key = request.headers().get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
        let line = format!("{} {}", request.method(), request.uri());
        self.requests.lock().unwrap().push((flow.to_owned(), line, key));
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        };
        if let Ok(answer) = &answer
            && answer.status() == 418
        {
            tokio::time::sleep(limits.timeout).await;
            let host = request.uri().host().unwrap().to_owned();
            return Err(EgressError::Timeout { host, after: limits.timeout });
        }
        answer
    }

    async fn call(
        &self,
        pin: &Pin,
        input: &Value,
        context: &CallContext,
        narrowed: Option<&Arc<Narrowed>>,
    ) -> Result<CallReport, NotLoaded> {
        let number = {
            let mut seen = self.seen.lock().unwrap();
            let (function, key) = (pin.function.clone(), context.idempotency_key.clone());
            seen.push(Seen { function, key, attempt: context.attempt });
            seen.len() - 1
        };
        if *self.hang_at.lock().unwrap() == Some(number) {
            std::future::pending::<()>().await;
        }
        if let Some(narrowed) = narrowed {
            let task = context.task.clone().unwrap_or_default();
            self.narrowed.lock().unwrap().push((task, narrowed.narrowing().clone()));
        }
        let down = || CallFault::technical("unavailable", "the other side is down");
        let result = match pin.function.as_str() {
            "echo" => Ok(json!({"got": input, "key": context.idempotency_key})),
            "fails-twice" if context.attempt <= 2 => Err(down()),
            "fails-twice" => Ok(json!("third time lucky")),
            "never-works" => Err(down()),
            "refuses" => Err(CallFault::business("not-found", "there is no such contact")),
            "switched" if self.broken.load(Ordering::SeqCst) => {
                Err(CallFault::technical("unavailable", "it is switched off"))
            }
            "switched" => Ok(json!("on")),
            "gated" => {
                self.arrived.notify_one();
                self.gate.notified().await;
                Ok(json!("through"))
            }
            "later" if context.attempt == 1 => Err(CallFault { retry_after_ms: Some(30_000), ..down() }),
            "later" => Ok(json!("later")),
            "slow" => {
                let given = context.timeout.unwrap_or(Duration::from_secs(30));
                if let Some(clock) = &*self.clock.lock().unwrap() {
                    clock.advance(u64::try_from(given.as_millis()).unwrap());
                }
                Err(CallFault::technical("timeout", "it did not end in time"))
            }
            "sleeps" => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(json!("at last"))
            }
            "dawdles" => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok(json!("at long last"))
            }
            "hangs" => std::future::pending().await,
            "is-gone" => return Err(NotLoaded("the plugin is not installed".into())),
            "panics" => panic!("a defect"),
            "is-large" => Ok(json!("x".repeat(5 << 20))),
            other => panic!("no script for {other}"),
        };
        self.data.lock().unwrap().push((pin.function.clone(), context.data.clone()));
        let from = match pin.plugin.as_str() {
            "crm" => Labels::from_origin("crm", ["personal"]),
            plugin => Labels::from_origin(plugin, None),
        };
        Ok(CallReport { result, uses: Vec::new(), from, not_given: None, elapsed: Duration::from_millis(1) })
    }
}

/// A host's folder, clock and actions, which outlive the engines that are opened on them.
pub struct World {
    pub dir: tempfile::TempDir,
    pub clock: Arc<ManualClock>,
    pub script: Arc<Script>,
    pub limits: Limits,
}

impl World {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(1_700_000_000_000)),
            script: Arc::default(),
            limits: Limits::default(),
        }
    }

    /// Opens an engine that takes up what an earlier one left.
    pub fn open(&self) -> Arc<Engine> {
        let (audit, linker) = AuditLog::open(&self.dir.path().join("audit")).unwrap();
        let options =
            Options { linker: Some(Box::new(linker)), durability: Durability::System, ..Options::default() };
        let store = Store::open(&self.dir.path().join("store"), options).unwrap();
        let key = MasterKeySource::OwnFile(self.dir.path().join("keys").join("secrets.key"));
        let secrets = SecretStore::open(store.clone(), audit.clone(), &MasterKeys::new(key)).unwrap();
        secrets.seal_payloads().unwrap();
        let engine = Engine::new(
            store,
            audit,
            Arc::clone(&self.clock) as _,
            Arc::clone(&self.script) as _,
            self.limits.clone(),
        );
        engine.deployments.open().unwrap();
        engine.begin().unwrap();
        engine
    }

    /// Ends an engine without mercy, as far as a test can: nothing in flight is waited for.
    pub async fn kill(&self, engine: Arc<Engine>) {
        engine.crash.after(0);
        engine.end(Duration::ZERO).await;
        let store = engine.store.clone();
        drop(engine);
        tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    }

    /// Moves the clock until the run is over or parked.
    pub async fn finish(&self, engine: &Engine, id: &str) -> Arc<RunInfo> {
        for _ in 0..2_000 {
            match engine.wait(id, Duration::from_millis(5)).await {
                Ok(info) => return info,
                Err(_) => self.clock.advance(500),
            }
        }
        if let Ok(info) = engine.wait(id, Duration::from_secs(60)).await {
            return info;
        }
        panic!("run {id} does not end: {:#?}", engine.detail(id));
    }
}

/// A document with these tasks.
pub fn document(name: &str, version: &str, tasks: &str) -> String {
    let tasks = tasks.trim_end();
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '{version}' }}\ndo:\n{tasks}\n"
    )
}

pub async fn deploy(engine: &Arc<Engine>, name: &str, tasks: &str) {
    let source = document(name, "1.0.0", tasks);
    if let Err(error) = engine.deploy(&actor(), &source, "test.yaml").await {
        panic!("{error}: {:?}", error.problems);
    }
}

pub fn actor() -> Actor {
    Actor::Token("test".into())
}

pub fn request(flow: &str, input: Value) -> StartRun {
    StartRun { actor: actor(), flow: format!("test/{flow}"), input, dedupe_key: None, trigger: "test".into() }
}

pub async fn start(engine: &Arc<Engine>, flow: &str, input: Value) -> String {
    engine.start(request(flow, input)).await.unwrap().run_id
}

/// The row's state, as the store has it.
pub fn state(engine: &Engine, id: &str) -> RunState {
    engine.row(id).unwrap().unwrap().state
}

/// How often something is looked for, 2 ms apart, before it counts as never coming: a machine full of other work stops a
/// test for seconds.
pub const PATIENCE: u32 = 15_000;

/// Waits until a run is in a state.
pub async fn until(engine: &Engine, id: &str, wanted: RunState) {
    for _ in 0..PATIENCE {
        if state(engine, id) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("run {id} is {:?}, not {wanted:?}: {:#?}", state(engine, id), engine.detail(id));
}

/// Waits until nothing executes or stands in line.
pub async fn idle(engine: &Engine) {
    for _ in 0..PATIENCE {
        if engine.queue.counts() == (0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the engine does not come to rest: {:?}", engine.queue.counts());
}

pub fn assert_audit_holds(engine: &Engine) {
    let report = engine.audit.verify(&engine.store, &[]).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
}

pub fn code<T: std::fmt::Debug>(result: Result<T, HostError>) -> crate::ErrorCode {
    result.unwrap_err().code
}

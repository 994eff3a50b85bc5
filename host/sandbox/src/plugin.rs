//! A linked plugin, and the way of one call through it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use factotum_grant::{Capability, DataDenial, Grants, Import, Narrowing, TooManyRules, classify_import};
use factotum_provenance::Labels;
use serde_json::Value;
use wasmtime::{
    Store, Trap,
    component::{InstancePre, Val},
};

use crate::{
    CallContext, CallFault, CallReport, Component, FaultKind, FindError, Function, LinkError,
    backends::Backends,
    capability::stdio::Log,
    component::{Outcome, Signature},
    data::Data,
    engine, link,
    meter::{Ledger, Ledgers},
    places::Places,
    right::{Narrowed, Right, Rights},
    shape::Shape,
    state::{State, Uses},
    value::{Room, ValueError, from_wit, to_wit_within, unknown_member},
};

/// The most bytes a guest may hand to the host at once, as the engine counts them: what the host would allocate.
const HOSTCALL_BYTES: usize = 48 << 20;
/// What the engine says when a guest hands over more. It gives no type to ask for; a test watches over this text.
const HOSTCALL_SPENT: &str = "fuel allocated for hostcalls has been exhausted";
/// The most handles of components' own resources.
const MAX_COMPONENT_HANDLES: usize = 10_000;

/// A plugin, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<PluginInner>,
}

pub(crate) struct PluginInner {
    pub(crate) sandbox: Arc<engine::Inner>,
    pub(crate) component: Component,
    pub(crate) version: String,
    pub(crate) digest: String,
    pub(crate) identity: Arc<Identity>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) places: Arc<Places>,
    /// Whether a call can change anything outside of its own sandbox.
    acts: bool,
}

impl PluginInner {
    pub(crate) fn new(
        sandbox: Arc<engine::Inner>,
        (component, version, digest): (Component, String, String),
        identity: Arc<Identity>,
        pre: InstancePre<State>,
        places: Arc<Places>,
    ) -> PluginInner {
        let acts = component.imports().iter().any(|name| match classify_import(name) {
            Import::Capability(Capability::RunContext | Capability::Config) => false,
            Import::Capability(_) => true,
            Import::Base | Import::Types | Import::Unknown => false,
        });
        PluginInner { sandbox, component, version, digest, identity, pre, places, acts }
    }
}

/// What effects need to know of the plugin they act for.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) rights: Rights,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) ledgers: Arc<Ledgers>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) backends: Backends,
}

impl Plugin {
    pub(crate) fn new(inner: PluginInner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The name it is installed under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.identity.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// SHA-256 of its component.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// What an administrator allows it at this moment.
    #[must_use]
    pub fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.inner.identity.rights.live().grants)
    }

    /// Replaces what an administrator allows it. Holds from the next effect of every call, also of those under way; what
    /// a call may use of the machine (`limits`), from the next call.
    ///
    /// A capability that is no longer granted stays linked, and its effects are denied.
    ///
    /// # Errors
    /// [`LinkError::Limits`] and [`LinkError::TooManyRules`]; nothing is changed then.
    pub fn set_grants(&self, grants: Grants) -> Result<(), LinkError> {
        link::check_limits(&grants.limits)?;
        let (identity, concurrency) = (&self.inner.identity, grants.limits.concurrency);
        identity.rights.set(grants, &identity.ledger)?;
        self.inner.places.resize(concurrency);
        Ok(())
    }

    /// Whether [`Self::set_grants`] would take these grants: to be asked before they are written down.
    ///
    /// # Errors
    /// As those of [`Self::set_grants`].
    pub fn check_grants(&self, grants: &Grants) -> Result<(), LinkError> {
        link::check_limits(&grants.limits)?;
        Ok(self.inner.identity.rights.check(grants)?)
    }

    /// What is left of its rights by a flow's narrowing: to show it, or to see before a deploy that it can be worked out.
    ///
    /// # Errors
    /// When the lists are too long.
    pub fn narrowed(&self, by: &Narrowing) -> Result<Grants, TooManyRules> {
        self.inner.identity.rights.narrowed(by).map(|right| right.grants().clone())
    }

    /// Whether a call can change anything outside of its own sandbox, whatever it is granted from one moment to the next.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.inner.acts
    }

    /// The functions it exports.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        self.inner.component.functions()
    }

    /// See [`Component::find`].
    ///
    /// # Errors
    /// When there is no such function, several, or it cannot be called with JSON.
    pub fn find(&self, function: &str) -> Result<&Function, FindError> {
        self.inner.component.find(function)
    }

    /// Calls a function with a JSON object of its parameters, in a fresh instance. Never panics, never outlives its time.
    pub async fn call(&self, function: &str, input: &Value, context: &CallContext) -> CallReport {
        self.call_narrowed(function, input, context, None).await
    }

    /// The same under what a flow leaves of the plugin's rights at this task.
    pub async fn call_narrowed(
        &self,
        function: &str,
        input: &Value,
        context: &CallContext,
        narrowed: Option<&Arc<Narrowed>>,
    ) -> CallReport {
        let start = Instant::now();
        let right = Right::new(Arc::clone(&self.inner.identity), narrowed.cloned());
        let now = right.now();
        let data = Data::new(context.data.clone(), now.own_labels(&self.inner.identity));
        if let Err(denial) = now.effective.check_data(&data.carried()) {
            return self.not_given(function, denial, start);
        }
        let limits = now.effective.grants().limits.clone();
        drop(now);
        let limit = Duration::from_millis(limits.time_ms);
        let limit = context.timeout.map_or(limit, |timeout| timeout.min(limit));
        let deadline = start + limit;
        let (uses, log) = (Uses::default(), Log::default());
        // Made when there is a place for it: a thousand calls that wait hold nothing but their input.
        let (known, carried) = (uses.clone(), data.clone());
        let state =
            || State::new(right, limits.memory_bytes, context.clone(), carried, deadline, known, log.clone());
        let result = match tokio::time::timeout(limit, self.run(function, input, narrowed, state)).await {
            Ok(result) => result,
            Err(_) => Err(CallFault::technical(
                "timeout",
                format!("{}/{function} did not end within {} ms", self.name(), limit.as_millis()),
            )
            .with_hint("raise limits.time-ms in the plugin's grants if it needs longer")),
        };
        log.flush(self.name(), context);
        CallReport { result, uses: uses.take(), from: data.from(), not_given: None, elapsed: start.elapsed() }
    }

    /// The call is not made, because of the data in its argument.
    fn not_given(&self, function: &str, denial: DataDenial, start: Instant) -> CallReport {
        let DataDenial { message, mend } = &denial;
        tracing::warn!(plugin = self.name(), function, mend, "not called: {}", message.escape_debug());
        let message = format!("{}/{function} was not called: {message}", self.name());
        CallReport {
            result: Err(CallFault::business("data-not-allowed", message).with_hint(mend.clone())),
            uses: Vec::new(),
            from: Labels::default(),
            not_given: Some(denial),
            elapsed: start.elapsed(),
        }
    }

    async fn run(
        &self,
        name: &str,
        input: &Value,
        narrowed: Option<&Arc<Narrowed>>,
        state: impl FnOnce() -> State,
    ) -> Result<Value, CallFault> {
        let function = self.find(name).map_err(|e| CallFault::business("unknown-function", e.to_string()))?;
        let signature =
            function.signature.as_ref().map_err(|reason| CallFault::business("not-callable", *reason))?;
        let params = params(signature, input).map_err(|e| {
            let at = if e.pointer.is_empty() { String::new() } else { format!(" at {}", e.pointer) };
            CallFault::business("invalid-input", format!("{}/{name}{at}: {}", self.name(), e.message))
        })?;
        let busy = |_| CallFault::technical("stopping", "the host is stopping");
        let _task_place = match narrowed.and_then(|narrowed| narrowed.places.as_ref()) {
            Some(places) => Some(places.acquire().await.map_err(busy)?),
            None => None,
        };
        let _own_place = self.inner.places.take().await.map_err(busy)?;
        let _place = self.inner.sandbox.places.acquire().await.map_err(busy)?;
        let mut store = self.store(state());
        let mut results = match signature.result {
            Outcome::Nothing => vec![],
            _ => vec![Val::Bool(false)],
        };
        let called = async {
            let instance = self.inner.pre.instantiate_async(&mut store).await?;
            let func = instance
                .get_func(&mut store, function.export)
                .ok_or_else(|| wasmtime::Error::msg("the exported function is gone"))?;
            func.call_async(&mut store, &params, &mut results).await
        }
        .await;
        if let Err(error) = called {
            return Err(self.trapped(name, &store, &error));
        }
        // The store goes before the result is converted: its place and memory are free for the next call.
        drop(store);
        outcome(signature, results.pop())
    }

    fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(&self.inner.sandbox.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_max_component_handles(MAX_COMPONENT_HANDLES);
        store
    }

    /// Says in words why a guest stopped.
    fn trapped(&self, function: &str, store: &Store<State>, error: &wasmtime::Error) -> CallFault {
        let who = format!("{}/{function}", self.name());
        // With the names of the guest's functions, which are a stranger's text.
        let words = clip(&format!("{error:?}"));
        tracing::warn!(
            plugin = self.name(),
            version = self.version(),
            function,
            "the call was ended: {}",
            words.escape_debug()
        );
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return CallFault::technical("busy", format!("{who}: no free instance in the pool"));
        }
        if store.data().memory.hit {
            let limit = store.data().memory.limit();
            return CallFault::technical(
                "memory-limit",
                format!("{who} wanted more than its {limit} bytes of memory"),
            )
            .with_hint("raise limits.memory-bytes in the plugin's grants if it needs more");
        }
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            return CallFault::technical(
                "trap",
                format!("{who} left with exit code {} and no result", exit.0),
            );
        }
        if error.root_cause().to_string().contains(HOSTCALL_SPENT) {
            return CallFault::technical(
                "output-too-large",
                format!("{who} handed more than {HOSTCALL_BYTES} bytes to the host at once"),
            )
            .with_hint("let the plugin answer in pages, or store a large result as an artifact");
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => {
                CallFault::technical("stack-overflow", format!("{who} ran out of stack"))
            }
            Some(trap) => CallFault::technical("trap", format!("{who} broke off: {trap}"))
                .with_hint("the plugin's standard error is in the host's log"),
            None => CallFault::technical("trap", format!("{who} broke off: {}", error.root_cause()))
                .with_hint("the plugin's standard error is in the host's log"),
        }
    }
}

fn params(signature: &Signature, input: &Value) -> Result<Vec<Val>, ValueError> {
    let empty = serde_json::Map::new();
    let members = match input {
        Value::Object(members) => members,
        Value::Null => &empty,
        _ => return Err(ValueError::new("the input must be an object with a member for each parameter")),
    };
    let mut room = Room::default();
    let known = || signature.params.iter().map(|p| p.name.json.as_str());
    if let Some(unknown) = members.keys().find(|key| !known().any(|name| name == *key)) {
        return Err(ValueError::new(unknown_member(unknown, known())));
    }
    signature
        .params
        .iter()
        .map(|param| match members.get(&param.name.json) {
            None if !param.shape.is_optional() => {
                Err(ValueError::new(format!("missing {:?}: {}", param.name.json, param.shape.describe())))
            }
            value => to_wit_within(&param.shape, value.unwrap_or(&Value::Null), &mut room)
                .map_err(|e| e.under(&param.name.json)),
        })
        .collect()
}

fn outcome(signature: &Signature, result: Option<Val>) -> Result<Value, CallFault> {
    let lost = || CallFault::technical("internal", "the result does not fit its own type");
    match (&signature.result, result) {
        (Outcome::Value(shape), Some(val)) => from_wit(shape, val).ok_or_else(lost),
        (Outcome::Fallible(shape, _), Some(Val::Result(Ok(val)))) => match (shape, val) {
            (Some(shape), Some(val)) => from_wit(shape, *val).ok_or_else(lost),
            _ => Ok(Value::Null),
        },
        (Outcome::Fallible(_, shape), Some(Val::Result(Err(val)))) => {
            Err(fault(shape.as_ref(), val.map(|v| *v)))
        }
        (Outcome::Nothing, _) => Ok(Value::Null),
        _ => Err(lost()),
    }
}

/// The plugin's own error: the shared fault type as it is, any other type as the detail of a business fault.
fn fault(shape: Option<&Shape>, val: Option<Val>) -> CallFault {
    let detail = shape.zip(val).and_then(|(shape, val)| from_wit(shape, val)).unwrap_or(Value::Null);
    if let Some(fault) = shared_fault(&detail) {
        return fault;
    }
    let message = match &detail {
        Value::String(text) => text.clone(),
        other => format!("the action answered with the error {other}"),
    };
    CallFault { detail: Some(detail), ..CallFault::business("action-failed", clip(&message)) }
}

fn shared_fault(detail: &Value) -> Option<CallFault> {
    let kind = match detail.get("kind")?.as_str()? {
        "business" => FaultKind::Business,
        "technical" => FaultKind::Technical,
        _ => return None,
    };
    Some(CallFault {
        kind,
        code: clip(detail.get("code")?.as_str()?),
        message: clip(detail.get("message")?.as_str()?),
        hint: detail.get("hint").and_then(Value::as_str).map(clip),
        retry_after_ms: detail.get("retry_after_ms").and_then(Value::as_u64),
        detail: None,
    })
}

/// A plugin's words go into journals, logs and answers; they are kept short.
fn clip(text: &str) -> String {
    const MAX_CHARS: usize = 2000;
    text.chars().take(MAX_CHARS).collect()
}

//! A compiled component and what can be called on it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use wasmtime::component::{ComponentExportIndex, types::ComponentItem};

use crate::{
    InputProblem, Sandbox, SandboxError, check,
    patience::NoOutcome,
    schema::{input_schema, schema},
    shape::{Budget, Field, Name, Shape, Unsupported},
};

/// The most bytes of a component. A Python interpreter with its libraries has about 40 MiB.
const MAX_COMPONENT_BYTES: usize = 64 << 20;

/// What compiling may take for each MiB, beside what the configuration says. One core takes about a second for it, and
/// several may be compiled at one time.
const COMPILE_SECONDS_PER_MIB: u32 = 10;

/// A compiled component. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) component: wasmtime::component::Component,
    pub(crate) functions: Vec<Function>,
    by_name: HashMap<String, Vec<usize>>,
    imports: Vec<String>,
}

/// An exported function, with its types as JSON sees them.
pub struct Function {
    interface: Option<String>,
    name: String,
    pub(crate) export: ComponentExportIndex,
    pub(crate) signature: Result<Signature, Unsupported>,
    input_schema: Value,
    output_schema: Value,
}

/// What a callable function takes and gives.
pub(crate) struct Signature {
    pub(crate) params: Vec<Field>,
    pub(crate) result: Outcome,
}

/// What a function gives, with the outermost `result` taken apart: its error is a fault, not a value.
pub(crate) enum Outcome {
    Nothing,
    Value(Shape),
    Fallible(Option<Shape>, Option<Shape>),
}

/// A function that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// There is none of that name.
    #[error("there is no function {name:?}; there are {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Several interfaces have one of that name.
    #[error("several interfaces have a function {name:?}; say which: {}", choices.join(", "))]
    Ambiguous {
        /// The name asked for.
        name: String,
        /// The full names.
        choices: Vec<String>,
    },
    /// It cannot be called with JSON.
    #[error("the function {name:?} cannot be called from a flow: {reason}")]
    NotCallable {
        /// The name asked for.
        name: String,
        /// Why.
        reason: &'static str,
    },
}

impl Component {
    pub(crate) fn load(sandbox: &Sandbox, wasm: &[u8]) -> Result<Self, SandboxError> {
        if wasm.len() > MAX_COMPONENT_BYTES {
            return Err(SandboxError::TooLarge { bytes: wasm.len(), limit: MAX_COMPONENT_BYTES });
        }
        let engine = &sandbox.inner.engine;
        let cache = sandbox.inner.cache.as_ref();
        if let Some(component) = cache.and_then(|cache| cache.get(engine, wasm)) {
            return Ok(Self::describe(engine, component));
        }
        // The bytes are a stranger's; neither a panic of the compiler nor its endless work may take the host with it.
        let (bytes, compiler) = (wasm.to_vec(), engine.clone());
        let compile = move || wasmtime::component::Component::from_binary(&compiler, &bytes);
        let mib = u32::try_from(wasm.len() >> 20).unwrap_or(u32::MAX);
        let limit = sandbox.inner.compile_time
            + Duration::from_secs(COMPILE_SECONDS_PER_MIB.saturating_mul(mib).into());
        let compiled = sandbox
            .inner
            .compiling
            .within(limit, compile)
            .map_err(|none| match none {
                NoOutcome::TooSlow => SandboxError::TooSlow { limit },
                NoOutcome::Busy => SandboxError::Busy,
                NoOutcome::Broken => SandboxError::CompilerPanic,
            })?
            .map_err(SandboxError::Compile)?;
        if let Some(cache) = cache {
            cache.put(wasm, &compiled);
        }
        Ok(Self::describe(engine, compiled))
    }

    fn describe(engine: &wasmtime::Engine, component: wasmtime::component::Component) -> Self {
        let ty = component.component_type();
        let imports = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let mut functions = Vec::new();
        let mut budget = Budget::default();
        for (name, export) in ty.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(func) => {
                    if let Some(index) = component.get_export_index(None, name) {
                        functions.push(Function::read(None, name, index, &func, &mut budget));
                    }
                }
                ComponentItem::ComponentInstance(instance) => {
                    let Some(outer) = component.get_export_index(None, name) else { continue };
                    for (func_name, export) in instance.exports(engine) {
                        if let ComponentItem::ComponentFunc(func) = export.ty
                            && let Some(index) = component.get_export_index(Some(&outer), func_name)
                        {
                            functions.push(Function::read(Some(name), func_name, index, &func, &mut budget));
                        }
                    }
                }
                _ => {}
            }
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, function) in functions.iter().enumerate() {
            by_name.entry(function.name.clone()).or_default().push(i);
            if function.interface.is_some() {
                by_name.entry(function.full_name()).or_default().push(i);
                by_name.entry(function.exact_name()).or_default().push(i);
            }
        }
        // A function of the component itself has no longer name, so its short one is its own.
        for (i, function) in functions.iter().enumerate().filter(|(_, f)| f.interface.is_none()) {
            by_name.insert(function.name.clone(), vec![i]);
        }
        Self { inner: Arc::new(Inner { component, functions, by_name, imports }) }
    }

    /// The exported functions.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.inner.functions
    }

    /// The names of the imports, such as `wasi:http/outgoing-handler@0.2.6`.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// The function called `name`: `upsert-contact`, or `crm.upsert-contact` where several interfaces have it, or
    /// `acme:crm/crm@1.0.0#upsert-contact` where even that is not enough.
    ///
    /// # Errors
    /// When there is none, several, or it cannot be called with JSON.
    pub fn find(&self, name: &str) -> Result<&Function, FindError> {
        let indexes = self.inner.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let mut found = indexes.iter().filter_map(|i| self.inner.functions.get(*i));
        let short: String = name.chars().take(100).collect();
        match (found.next(), found.next()) {
            (Some(function), None) => match &function.signature {
                Ok(_) => Ok(function),
                Err(reason) => Err(FindError::NotCallable { name: short, reason }),
            },
            (None, _) => {
                let known = self.inner.functions.iter().take(40).map(|f| f.name.clone()).collect();
                Err(FindError::Unknown { name: short, known })
            }
            (Some(_), Some(_)) => {
                let all = || indexes.iter().filter_map(|i| self.inner.functions.get(*i));
                let mut choices: Vec<String> = all().map(Function::full_name).collect();
                choices.dedup();
                if choices.len() < indexes.len() {
                    choices = all().map(Function::exact_name).collect();
                }
                Err(FindError::Ambiguous { name: short, choices })
            }
        }
    }
}

impl Function {
    fn read(
        interface: Option<&str>,
        name: &str,
        export: ComponentExportIndex,
        ty: &wasmtime::component::types::ComponentFunc,
        budget: &mut Budget,
    ) -> Self {
        budget.next_function();
        let signature = Signature::read(ty, budget);
        let (input_schema, output_schema) = match &signature {
            Ok(signature) => (input_schema(&signature.params), signature.result.schema()),
            Err(_) => (json!(false), json!(false)),
        };
        Self {
            interface: interface.map(str::to_owned),
            name: name.to_owned(),
            export,
            signature,
            input_schema,
            output_schema,
        }
    }

    /// The interface it is of, such as `factotum:crm/crm@0.1.0`; `None` for a function of the component itself.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// Its name, in kebab-case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name with the interface's short name: `crm.upsert-contact`.
    #[must_use]
    pub fn full_name(&self) -> String {
        let short = self.interface.as_deref().map(|interface| {
            let bare = interface.split('@').next().unwrap_or(interface);
            bare.rsplit('/').next().unwrap_or(bare)
        });
        short.map_or_else(|| self.name.clone(), |short| format!("{short}.{}", self.name))
    }

    /// Its name with the whole interface: `acme:crm/crm@1.0.0#upsert-contact`.
    fn exact_name(&self) -> String {
        self.interface
            .as_deref()
            .map_or_else(|| self.name.clone(), |interface| format!("{interface}#{}", self.name))
    }

    /// Why it cannot be called with JSON, when it cannot.
    #[must_use]
    pub fn not_callable(&self) -> Option<&'static str> {
        self.signature.as_ref().err().copied()
    }

    /// The JSON Schema of its input, an object with a member for each parameter.
    #[must_use]
    pub fn input_schema(&self) -> &Value {
        &self.input_schema
    }

    /// The JSON Schema of its output. The error of a fallible function is a fault, and not in here.
    #[must_use]
    pub fn output_schema(&self) -> &Value {
        &self.output_schema
    }

    /// Checks an input at deploy time; strings for which `is_expression` says yes pass anywhere.
    #[must_use]
    pub fn check_input(&self, template: &Value, is_expression: &dyn Fn(&str) -> bool) -> Vec<InputProblem> {
        match &self.signature {
            Ok(signature) => check::check_input(&signature.params, template, is_expression),
            Err(reason) => {
                vec![InputProblem { pointer: String::new(), message: format!("not callable: {reason}") }]
            }
        }
    }
}

impl Signature {
    fn read(
        ty: &wasmtime::component::types::ComponentFunc,
        budget: &mut Budget,
    ) -> Result<Self, Unsupported> {
        if ty.async_() {
            return Err("it is an asynchronous function, which this host does not run yet");
        }
        let params = ty
            .params()
            .map(|(name, ty)| Ok(Field { name: Name::new(name), shape: Shape::read(&ty, budget)? }))
            .collect::<Result<_, Unsupported>>()?;
        let result = match ty.results().next() {
            None => Outcome::Nothing,
            Some(ty) => match Shape::read(&ty, budget)? {
                Shape::Result(ok, err) => Outcome::Fallible(ok.map(|s| *s), err.map(|s| *s)),
                shape => Outcome::Value(shape),
            },
        };
        Ok(Self { params, result })
    }
}

impl Outcome {
    fn schema(&self) -> Value {
        match self {
            Self::Nothing | Self::Fallible(None, _) => json!({"type": "null"}),
            Self::Value(shape) | Self::Fallible(Some(shape), _) => schema(shape),
        }
    }
}

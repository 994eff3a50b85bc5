//! Linking: a component gets just the interfaces that are granted, and an install says what is missing.

use std::{collections::BTreeMap, sync::Arc};

use factotum_grant::{
    Capability, Grants, Import, Limits, Narrowing, TooManyRules, classify_import, describe_unknown,
};
use wasmtime::component::{HasSelf, InstancePre, Linker};
use wasmtime_wasi::{
    WasiView,
    cli::{WasiCli, WasiCliView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::bindings as wasi,
    random::WasiRandom,
};

use crate::{
    Component, Plugin, Sandbox,
    backends::Backends,
    capability::{bindings, host_0_2, http},
    places::Places,
    plugin::{Identity, PluginInner},
    right::Rights,
    state::State,
};

/// An installed plugin, as far as the sandbox must know it.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// The name it is installed under; also its key-value namespace.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// What it may do.
    pub grants: Grants,
    /// What it asked for in its manifest. A plugin without one is not narrowed by it.
    pub asked: Narrowing,
    /// Its configuration.
    pub config: BTreeMap<String, String>,
}

/// A capability that the component imports and the administrator did not grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingGrant {
    /// The import.
    pub import: String,
    /// The capability it belongs to.
    pub capability: Capability,
    /// The smallest grant that would allow it, as TOML.
    pub mend: String,
}

/// A component that cannot be installed as it is.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It imports what was not granted.
    #[error("it imports what it was not granted: {}", list(.0))]
    MissingGrants(Vec<MissingGrant>),
    /// It imports what this host does not offer, each named with the versions offered when only the version is unknown.
    #[error("it imports what this host does not offer: {}; sockets, files and other hosts' interfaces are not given to plugins", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// A limit is outside of what this host gives.
    #[error("{0}")]
    Limits(String),
    /// Grant and manifest are too long to be worked out together.
    #[error(transparent)]
    TooManyRules(#[from] TooManyRules),
    /// wasmtime could not link it: mostly a version of an interface that this host does not have.
    #[error("it cannot be linked: {0:#}")]
    Link(wasmtime::Error),
}

fn list(missing: &[MissingGrant]) -> String {
    missing.iter().map(|m| format!("{} ({})", m.capability, m.import)).collect::<Vec<_>>().join(", ")
}

pub(crate) fn link(
    sandbox: &Sandbox,
    component: &Component,
    spec: PluginSpec,
    backends: &Backends,
) -> Result<Plugin, LinkError> {
    check_limits(&spec.grants.limits)?;
    let pre = pre_link(sandbox, component).map_err(LinkError::Link)?;
    let places = Places::new(spec.grants.limits.concurrency);
    let ledger = sandbox.inner.ledgers.of(&spec.name);
    let rights = Rights::new(spec.asked, spec.grants, &ledger)?;
    let identity = Arc::new(Identity {
        name: spec.name,
        rights,
        ledger,
        ledgers: Arc::clone(&sandbox.inner.ledgers),
        config: spec.config,
        backends: backends.clone(),
    });
    identity.ledger.add(&identity);
    let engine = Arc::clone(&sandbox.inner);
    let what = (component.clone(), spec.version, spec.digest);
    Ok(Plugin::new(PluginInner::new(engine, what, identity, pre, places)))
}

pub(crate) fn check_limits(limits: &Limits) -> Result<(), LinkError> {
    let refuse = |what: &str| Err(LinkError::Limits(format!("limits.{what}")));
    if limits.memory_bytes > Limits::MAX_MEMORY_BYTES {
        return refuse(&format!(
            "memory-bytes is {}; at most {}",
            limits.memory_bytes,
            Limits::MAX_MEMORY_BYTES
        ));
    }
    if limits.time_ms == 0 || limits.time_ms > Limits::MAX_TIME_MS {
        return refuse(&format!("time-ms is {}; from 1 to {}", limits.time_ms, Limits::MAX_TIME_MS));
    }
    if limits.concurrency == 0 || limits.concurrency > 100_000 {
        return refuse(&format!("concurrency is {}; from 1 to 100000", limits.concurrency));
    }
    Ok(())
}

/// Whether this host offers all that the component imports.
pub(crate) fn check_known(component: &Component) -> Result<(), LinkError> {
    let unknown = |import: &&String| classify_import(import) == Import::Unknown;
    let unknown: Vec<String> =
        component.imports().iter().filter(unknown).map(|name| describe_unknown(name)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(LinkError::UnknownImports(unknown)) }
}

/// Whether all that the component imports is offered and granted.
pub(crate) fn check_imports(component: &Component, grants: &Grants) -> Result<(), LinkError> {
    check_known(component)?;
    let missing = |import: &String| match classify_import(import) {
        Import::Capability(capability) if !grants.allows(capability) => Some(MissingGrant {
            import: import.clone(),
            capability,
            mend: capability.smallest_grant().to_owned(),
        }),
        _ => None,
    };
    let missing: Vec<MissingGrant> = component.imports().iter().filter_map(missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(LinkError::MissingGrants(missing)) }
}

/// Links what the component imports, and no capability that it does not.
fn pre_link(sandbox: &Sandbox, component: &Component) -> wasmtime::Result<InstancePre<State>> {
    let mut linker = Linker::<State>::new(&sandbox.inner.engine);
    add_base(&mut linker)?;
    let wanted = |capability| {
        component.imports().iter().any(|name| classify_import(name) == Import::Capability(capability))
    };
    let l = &mut linker;
    bindings::factotum::types::faults::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    if component.imports().iter().any(|name| name.starts_with("wasi:http/types")) {
        let options = wasmtime_wasi_http::p2::bindings::LinkOptions::default();
        wasmtime_wasi_http::p2::bindings::http::types::add_to_linker::<_, wasmtime_wasi_http::WasiHttp>(
            l,
            &(&options).into(),
            wasmtime_wasi_http::WasiHttpView::http,
        )?;
    }
    if wanted(Capability::Http) {
        http::add_outgoing_handler(l)?;
    }
    if wanted(Capability::RunContext) {
        bindings::factotum::host::run_context::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    }
    if wanted(Capability::Config) {
        bindings::wasi::config::store::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    }
    if wanted(Capability::KeyValue) {
        bindings::wasi::keyvalue::store::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
        bindings::wasi::keyvalue::atomics::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
        bindings::wasi::keyvalue::batch::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    }
    if wanted(Capability::Mail) {
        bindings::factotum::host::mail_out::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    }
    if wanted(Capability::Artifacts) {
        bindings::factotum::host::artifacts::add_to_linker::<_, HasSelf<State>>(l, |s| s)?;
    }
    host_0_2::add_to_linker(l, wanted)?;
    linker.instantiate_pre(&component.inner.component)
}

/// What every sandbox has, because nearly every toolchain's standard library imports it: clocks, random numbers, streams
/// that end in the log, an environment without variables and arguments, a file system without a single folder.
fn add_base(l: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    wasi::random::insecure::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    wasi::random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    wasi::filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    wasi::filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    wasi::cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    wasi::cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    wasi::cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    wasi::cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    wasi::cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    wasi::cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    wasi::cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    Ok(())
}

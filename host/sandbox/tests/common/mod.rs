//! What all tests share: the guests, built once, and plugins linked with chosen grants.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)] // test support: each test binary uses a part of it, and a failure here fails the test

pub mod server;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
};

use factotum_grant::Grants;
use factotum_sandbox::{
    CallContext, CallFault, CallReport, Plugin, PluginSpec, Sandbox, SandboxConfig, testing::Memory,
};
use serde_json::Value;

/// The folder of the built guests: `FACTOTUM_GUEST_DIR` when it is set, else they are built here.
fn guest_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("FACTOTUM_GUEST_DIR") {
        return dir.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target/guests");
    // Cargo locks the folder, so that test processes that come at once build one after the other, and only once.
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--profile", "plugin", "--target", "wasm32-wasip2"])
        .args(["-p", "guest-sampler", "-p", "guest-hostile"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&root)
        // Flags and wrappers meant for the host's own build, such as a coverage tool's, do not fit the guests.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .expect("cargo can be started");
    assert!(
        status.success(),
        "the test guests do not build; is the target there? rustup target add wasm32-wasip2"
    );
    target.join("wasm32-wasip2/plugin")
}

/// The bytes of a guest: `sampler` or `hostile`.
pub fn guest(name: &str) -> Vec<u8> {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let path = DIR.get_or_init(guest_dir).join(format!("guest_{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A sandbox for the tests of one file; compiled guests are kept for the time of the process.
pub fn sandbox() -> Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| sandbox_of(32)).clone()
}

/// A sandbox of its own with that many places.
pub fn sandbox_of(max_calls: u32) -> Sandbox {
    Sandbox::new(SandboxConfig { max_calls, ..SandboxConfig::default() }).unwrap()
}

/// The component of a guest in the shared sandbox, compiled once.
pub fn component(name: &str) -> factotum_sandbox::Component {
    static KNOWN: Mutex<BTreeMap<String, factotum_sandbox::Component>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    known.entry(name.into()).or_insert_with(|| sandbox().load(&guest(name)).unwrap()).clone()
}

/// Everything the hostile guest imports, narrowed to nearly nothing, with these lines of TOML on top.
pub fn grants(toml: &str) -> Grants {
    let mut grants = Grants::from_toml(toml).unwrap();
    grants.run_context = true;
    grants.config = true;
    grants.key_value.get_or_insert_default();
    grants.artifacts.get_or_insert_default();
    grants.mail.get_or_insert_default();
    if grants.http.is_empty() {
        let nowhere = "[[http]]\nhost = \"api.example.com\"\nmethods = [\"GET\"]\npaths = [\"/\"]";
        grants.http = Grants::from_toml(nowhere).unwrap().http;
    }
    grants
}

pub fn spec(name: &str, grants: Grants) -> PluginSpec {
    PluginSpec {
        name: name.into(),
        version: "1.0.0".into(),
        digest: "d".into(),
        grants,
        asked: factotum_grant::Narrowing::default(),
        config: BTreeMap::from([("color".into(), "green".into())]),
    }
}

/// The hostile guest with these grants (TOML), and the memory behind its effects.
pub fn hostile(toml: &str) -> (Plugin, Arc<Memory>) {
    let (backends, memory) = Memory::backends();
    let plugin = sandbox().link(&component("hostile"), spec("hostile", grants(toml)), &backends).unwrap();
    (plugin, memory)
}

/// The sampler without any grant.
pub fn sampler() -> Plugin {
    let (backends, _) = Memory::backends();
    sandbox().link(&component("sampler"), spec("sampler", Grants::default()), &backends).unwrap()
}

/// A component written by hand in the text format, without any grant but the limits in `toml`.
pub fn by_hand(wat: &str, toml: &str) -> Plugin {
    let (backends, _) = Memory::backends();
    let component = sandbox().load(&wat::parse_str(wat).unwrap()).unwrap();
    sandbox().link(&component, spec("by-hand", Grants::from_toml(toml).unwrap()), &backends).unwrap()
}

pub fn context() -> CallContext {
    factotum_sandbox::testing::context("key-1")
}

pub async fn call(plugin: &Plugin, function: &str, input: Value) -> CallReport {
    plugin.call(function, &input, &context()).await
}

/// Calls a function that must succeed.
pub async fn ok(plugin: &Plugin, function: &str, input: Value) -> Value {
    call(plugin, function, input).await.result.unwrap_or_else(|fault| panic!("{function}: {fault:?}"))
}

/// Calls a function that must fail.
pub async fn fault(plugin: &Plugin, function: &str, input: Value) -> CallFault {
    match call(plugin, function, input).await.result {
        Ok(value) => panic!("{function} answered {value}"),
        Err(fault) => fault,
    }
}

/// The most memory this process held, in bytes (`VmHWM`).
pub fn peak_memory() -> u64 {
    status("VmHWM:")
}

/// The memory this process holds, in bytes (`VmRSS`).
pub fn memory_now() -> u64 {
    status("VmRSS:")
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

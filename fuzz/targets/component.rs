//! The bytes of a component at install: looked at, compiled, described, linked with what it could be granted, and called.
//!
//! An input that begins like WebAssembly is taken as it is. Of one that begins with `G` a real guest is made, with its sections
//! changed (`common/guest.rs`, from the folder that `FACTOTUM_GUEST_DIR` names); of any other a small component
//! (`common/component.rs`). So the fuzzer mutates structure: types, names, imports, and what lies in the guest's memory when
//! the host reads a result out of it.
#![no_main]

#[path = "../common/component.rs"]
mod component;
#[path = "../common/guest.rs"]
mod guest;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

use cap::Cap;
use factotum_grant::{Grants, Narrowing};
use factotum_registry::Package;
use factotum_sandbox::{Backends, Component, PluginSpec, Sandbox, SandboxConfig, testing};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// What compiling, describing and calling may take at one time. An allocation beyond it ends the process, and so counts as
/// a finding.
const MOST_BYTES: usize = 512 << 20;
/// The longest that all schemas of a component may be together, for each byte of it and anyway.
const SCHEMA_BYTES_A_BYTE: usize = 64;
const SCHEMA_BYTES_ANYWAY: usize = 64 << 20;

const GRANTS: &str = r#"
    run-context = true
    config = true
    [key-value]
    [artifacts]
    [mail]
    recipients = ["*@example.com"]
    [[http]]
    host = "example.com"
    methods = ["GET"]
    paths = ["/**"]
    [limits]
    memory-bytes = 4000000
    time-ms = 100
"#;

struct Host {
    runtime: Runtime,
    sandbox: Sandbox,
    backends: Backends,
    grants: Grants,
}

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Types that take long to compare are known, and are refused after a time: here, long before the fuzzer calls it one.
    let compile_time = Duration::from_secs(20);
    let sandbox = Sandbox::new(SandboxConfig { max_calls: 2, compile_time, ..SandboxConfig::default() })
        .expect("an engine");
    let backends = runtime.block_on(async { testing::Memory::backends().0 });
    Host { runtime, sandbox, backends, grants: Grants::from_toml(GRANTS).expect("grants") }
});

fuzz_target!(|data: &[u8]| {
    let host = &*HOST;
    let made;
    let bytes = match data {
        [b'\0', b'a', b's', b'm', ..] => data,
        [b'G', changes @ ..] => {
            let Some(guest) = guest::changed(changes) else { return };
            made = guest;
            made.as_slice()
        }
        _ => {
            made = component::component(data);
            made.as_slice()
        }
    };
    let package = Package::read(bytes);
    MEMORY.set_limit(MEMORY.allocated() + MOST_BYTES).expect("room");
    let component = host.sandbox.load(bytes);
    if let Ok(component) = &component {
        if let Ok(package) = &package {
            // What the administrator was shown is what the engine links.
            let seen: BTreeSet<&String> = package.imports.iter().collect();
            assert_eq!(seen, component.imports().iter().collect(), "two lists of imports");
        }
        describe(component, bytes.len());
        call(host, component);
    }
    MEMORY.set_limit(usize::MAX).expect("no bound");
});

fn describe(component: &Component, bytes: usize) {
    let mut schemas = 0;
    for function in component.functions() {
        schemas += function.input_schema().to_string().len() + function.output_schema().to_string().len();
        let found = component.find(&function.full_name());
        assert!(found.is_ok() || found.err().is_some_and(|error| !error.to_string().is_empty()));
        for input in [Value::Null, json!({}), json!([]), json!({"p0": [{}], "p1": "${ .x }"})] {
            let problems = function.check_input(&input, &|text| text.starts_with("${"));
            assert!(problems.len() <= 51, "{} problems", problems.len());
        }
    }
    assert!(
        schemas <= SCHEMA_BYTES_ANYWAY + bytes * SCHEMA_BYTES_A_BYTE,
        "{schemas} bytes of schemas for a component of {bytes}"
    );
}

fn call(host: &Host, component: &Component) {
    let spec = PluginSpec {
        name: "p".into(),
        version: "1.0.0".into(),
        digest: String::new(),
        grants: host.grants.clone(),
        asked: Narrowing::default(),
        config: BTreeMap::new(),
    };
    let Ok(plugin) = host.sandbox.link(component, spec, &host.backends) else { return };
    let context = testing::context("k");
    for function in plugin.functions().iter().take(3) {
        let report = host.runtime.block_on(plugin.call(&function.full_name(), &json!({}), &context));
        if let Ok(value) = report.result {
            serde_json::to_vec(&value).expect("an answer is JSON");
        }
    }
}

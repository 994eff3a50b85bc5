//! The whole host on real components: install, deploy, run, restart, upgrade, remove.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a failed test may panic

use std::path::Path;
use std::time::Duration;

use factotum_grant::Grants;
use factotum_runtime::{Actor, AddPlugin, ErrorCode, Host, HostConfig, RunState, StartRun};
use serde_json::{Value, json};

/// A component without manifest: `sum: func(a: u32, b: u32) -> u32`, plus a constant that tells versions apart.
fn adder(plus: u32, import: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component {import}
            (core module $m
                (func (export "sum") (param i32 i32) (result i32)
                    local.get 0 local.get 1 i32.add i32.const {plus} i32.add)
                (func (export "trap") (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func (export "sum") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "sum")))
            (func (export "trap") (result u32) (canon lift (core func $i "trap"))))"#
    ))
    .unwrap()
}

fn plugin(plus: u32, version: &str) -> AddPlugin {
    AddPlugin {
        wasm: adder(plus, ""),
        name: Some("adder".into()),
        version: Some(version.parse().unwrap()),
        ..AddPlugin::default()
    }
}

fn admin() -> Actor {
    Actor::Token("admin".into())
}

async fn open(dir: &Path) -> Host {
    let mut config = HostConfig::new(dir);
    config.max_calls = 8;
    config.grace = Duration::from_secs(2);
    Host::open(config).await.unwrap()
}

fn flow(with: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: sum, version: '1.0.0' }}\ndo:\n  - add:\n      call: {with}\n"
    )
}

async fn run(host: &Host, input: Value) -> Value {
    let request =
        StartRun { actor: admin(), flow: "test/sum".into(), input, dedupe_key: None, trigger: "test".into() };
    let started = host.start_run(request).await.unwrap();
    let info = host.wait_run(&started.run_id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.state, RunState::Completed, "{info:?}");
    info.output.clone().unwrap()
}

const CALL: &str = "adder/sum\n      with: { a: '${ .a }', b: 1 }";

#[tokio::test(flavor = "multi_thread")]
async fn a_third_party_component_is_installed_called_deployed_upgraded_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    let info = host.add_plugin(&admin(), plugin(0, "1.0.0")).await.unwrap();
    assert_eq!(info.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["sum", "trap"]);
    assert_eq!(info.functions[0].input_schema["required"], json!(["a", "b"]));
    let call = |input| {
        let host = host.clone();
        async move { host.call_plugin(&admin(), "adder", "sum", &input, None).await }
    };
    assert_eq!(call(json!({"a": 2, "b": 3})).await.unwrap(), json!(5));
    assert_eq!(call(json!({"a": -2, "b": 3})).await.unwrap_err().code, ErrorCode::ActionRefused);
    let error = host.call_plugin(&admin(), "adder", "none", &json!({}), None).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownFunction);
    let error = host.call_plugin(&admin(), "adder", "trap", &json!({}), None).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ActionFailed);
    assert_eq!(call(json!({"a": 1, "b": 1})).await.unwrap(), json!(2), "a trap ends the call, not the host");

    // The types of a call's arguments are checked when the flow is deployed.
    let problems = host.check_flow(&flow("adder/sum\n      with: { a: one, c: 2 }"), "sum.yaml").unwrap_err();
    let text = problems.to_string();
    assert!(text.contains("sum.yaml:4") && text.contains("/do/0/add/with/a"), "{text}");
    host.deploy_flow(&admin(), &flow(CALL), "sum.yaml").await.unwrap();
    assert_eq!(run(&host, json!({"a": 41})).await, json!(42));

    // A new version is installed beside the old one; the deployed flow keeps what it was deployed with.
    let error = host.add_plugin(&admin(), plugin(100, "1.0.0")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    host.add_plugin(&admin(), plugin(100, "1.1.0")).await.unwrap();
    assert_eq!(run(&host, json!({"a": 41})).await, json!(42));
    let info = host.deploy_flow(&admin(), &flow(CALL), "sum.yaml").await.unwrap();
    assert_eq!(info.calls[0].version.to_string(), "1.1.0");
    assert_eq!(run(&host, json!({"a": 41})).await, json!(142));

    // After a restart everything is there again.
    host.shutdown().await;
    drop(host);
    let host = open(dir.path()).await;
    assert_eq!(host.plugins().len(), 2);
    assert!(host.plugins().iter().all(|p| p.unavailable.is_none()));
    assert_eq!(run(&host, json!({"a": 1})).await, json!(102));
    let error = host.remove_plugin(&admin(), "adder", None).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(error.message.contains("test/sum"), "{error}");
    host.remove_plugin(&admin(), "adder", Some(&"1.0.0".parse().unwrap())).await.unwrap();
    host.remove_flow(&admin(), "test", "sum").await.unwrap();
    host.remove_plugin(&admin(), "adder", None).await.unwrap();
    assert!(host.plugins().is_empty() && host.flows().is_empty());
    assert!(host.audit().verify(host.store(), &[]).unwrap().is_intact());
    let status = host.status();
    assert!(status.ready && status.audit_findings.is_empty(), "{status:?}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_imports_what_it_was_not_granted_is_refused_with_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    let wasm = adder(0, r#"(import "factotum:host/run-context@0.1.0" (instance))"#);
    let request = |grants| AddPlugin { wasm: wasm.clone(), grants, ..plugin(0, "1.0.0") };
    let error = host.add_plugin(&admin(), request(None)).await.unwrap_err();
    assert_eq!((error.code, error.status()), (ErrorCode::MissingGrants, 422));
    let missing = &error.detail.as_ref().unwrap()["missing"][0];
    assert_eq!(missing["capability"], "run-context");
    assert_eq!(missing["mend"], "run-context = true");
    assert!(host.plugins().is_empty());
    let entries = host.audit().list(host.store(), &factotum_audit::Filter::default(), None, 10).unwrap();
    assert_eq!(entries.records[0].entry.outcome, factotum_audit::Outcome::Denied);

    let grants = Grants { run_context: true, ..Grants::default() };
    host.add_plugin(&admin(), request(Some(grants))).await.unwrap();
    assert!(host.plugin("adder").unwrap().grants.run_context);
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    let bad = |change: fn(&mut AddPlugin)| {
        let mut request = plugin(0, "1.0.0");
        change(&mut request);
        let host = host.clone();
        async move { host.add_plugin(&admin(), request).await.unwrap_err().code }
    };
    assert_eq!(bad(|r| r.wasm = b"hello".to_vec()).await, ErrorCode::InvalidPlugin);
    assert_eq!(bad(|r| r.wasm = b"\0asm\x01\0\0\0".to_vec()).await, ErrorCode::InvalidPlugin);
    assert_eq!(bad(|r| r.name = None).await, ErrorCode::InvalidRequest);
    assert_eq!(bad(|r| r.version = None).await, ErrorCode::InvalidRequest);
    assert_eq!(bad(|r| r.name = Some("../x".into())).await, ErrorCode::InvalidRequest);
    let sockets = |r: &mut AddPlugin| r.wasm = adder(0, r#"(import "wasi:sockets/tcp@0.2.0" (instance))"#);
    assert_eq!(bad(sockets).await, ErrorCode::InvalidPlugin);
    host.shutdown().await;
}

//! `run: script` on a whole host, with the engine that ships.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)] // a failed test may panic

use std::path::PathBuf;
use std::time::Duration;

use factotum_runtime::{Actor, Host, HostConfig, RunState, StartRun};
use serde_json::{Value, json};

/// The engine, where it was built.
fn engine() -> Option<PathBuf> {
    let dist = std::env::var_os("FACTOTUM_DIST").map(|dist| PathBuf::from(dist).join("script.wasm"));
    let found = dist.filter(|path| path.is_file());
    if found.is_none() {
        println!("skipped: scripts need FACTOTUM_DIST with script.wasm; run cargo xtask test");
    }
    found
}

async fn open(dir: &tempfile::TempDir, engine: Option<PathBuf>) -> Host {
    let mut config = HostConfig::new(dir.path());
    config.max_calls = 4;
    config.script_engine = engine;
    Host::open(config).await.unwrap()
}

async fn run(host: &Host, code: &str, more: &str) -> (RunState, Value) {
    let admin = Actor::Token("admin".into());
    let code = code.replace('\n', "\n            ");
    let source = format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: s, version: '1.0.0' }}
do:
  - it:
      run:
        return: all
        script:
          language: javascript
          code: |
            {code}
{more}"
    );
    if let Err(error) = host.deploy_flow(&admin, &source, "s.yaml").await {
        panic!("{error}: {:#?}", error.problems);
    }
    let request = StartRun {
        actor: admin,
        flow: "test/s".into(),
        input: json!({"name": "Zoë"}),
        dedupe_key: None,
        trigger: "test".into(),
    };
    let started = host.start_run(request).await.unwrap();
    let info = host.wait_run(&started.run_id, Duration::from_secs(120)).await.unwrap();
    let value = match &info.error {
        Some(error) => error.to_value(),
        None => info.output.clone().unwrap_or_default(),
    };
    (info.state, value)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_computes_and_finds_nothing_to_reach_out_with() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let host = open(&dir, Some(engine)).await;
    let more = "          arguments: ['${ .name }', '2']\n          environment: { MODE: dry }\n          stdin: '7'\n";
    let code = "const [, , name, n] = process.argv;
console.log('hello', name, Number(n) + 1, { a: [1, 'x'], m: null });
Promise.resolve(process.env.MODE).then((mode) => console.error(mode, stdin, typeof require, typeof fetch, typeof WebAssembly));";
    let (state, output) = run(&host, code, more).await;
    assert_eq!(state, RunState::Completed, "{output}");
    assert_eq!(output["code"], 0, "{output}");
    assert_eq!(output["stdout"], "hello Zoë 3 { a: [ 1, \"x\" ], m: null }\n");
    assert_eq!(output["stderr"], "dry 7 undefined undefined undefined\n");

    let (_, output) = run(&host, "console.log(globalThis.kept = (globalThis.kept || 0) + 1)", "").await;
    assert_eq!(output["stdout"], "1\n");
    let (_, output) = run(&host, "console.log(globalThis.kept = (globalThis.kept || 0) + 1)", "").await;
    assert_eq!(output["stdout"], "1\n", "nothing is left of the script before");

    let (_, output) = run(&host, "console.log('a'); throw new TypeError('no such order')", "").await;
    assert_eq!((&output["code"], &output["stdout"]), (&json!(1), &json!("a\n")), "{output}");
    assert!(output["stderr"].as_str().unwrap().contains("TypeError: no such order"), "{output}");
    let (_, output) = run(&host, "process.exit(3); console.log('never')", "").await;
    assert_eq!((&output["code"], &output["stdout"]), (&json!(3), &json!("")), "{output}");
    assert!(host.audit().verify(host.store(), &[]).unwrap().is_intact());
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_takes_too_much_ends_and_the_host_does_not() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let host = open(&dir, Some(engine)).await;
    for code in [
        "while (true) {}",
        "const all = []; while (true) all.push(new Array(100000).fill(1));",
        "let s = 'x'; while (true) s += s;",
    ] {
        let (state, error) = run(&host, code, "").await;
        assert!(
            state == RunState::Faulted || error["code"] != json!(0),
            "{code}: {state:?} {}",
            error.to_string().chars().take(300).collect::<String>()
        );
    }
    let (_, output) = run(&host, "function f() { return f() + 1 } f()", "").await;
    assert_ne!(output["code"], json!(0), "{output}");
    let (_, output) = run(&host, "while (true) console.log('x'.repeat(10000))", "").await;
    assert!(output["stderr"].as_str().unwrap().contains("more than 1 MiB"), "{}", output["stderr"]);
    let (state, output) = run(&host, "console.log(6 * 7)", "").await;
    assert_eq!((state, &output["stdout"]), (RunState::Completed, &json!("42\n")));
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_a_run_is_parked_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(&dir, None).await;
    let (state, _) = run(&host, "console.log(1)", "").await;
    assert_eq!(state, RunState::Stuck);
    host.shutdown().await;
}

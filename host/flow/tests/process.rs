//! `run`: sub-flows and scripts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use factotum_flow::Outcome;
use serde_json::json;
use support::{Fake, output, parse, run};

#[tokio::test]
async fn another_flow_runs_and_gives_its_output() {
    let tasks = "do:\n- r: { run: { workflow: { namespace: shop, name: refund, version: '1.2.0', input: { order: '${ .id }' } } } }";
    let fx = Fake::echo();
    let found = run(&parse(tasks), json!({"id": 7}), &fx).await;
    assert_eq!(found, Outcome::Completed(json!({"from": "refund", "input": {"order": 7}})));
    assert_eq!(fx.asked()[0].what, "shop/refund Some(\"1.2.0\") {\"order\":7} true");

    let tasks =
        "do:\n- r: { run: { workflow: { namespace: shop, name: refund, version: latest }, await: false } }";
    let fx = Fake::echo();
    assert_eq!(run(&parse(tasks), json!({"id": 7}), &fx).await, Outcome::Completed(json!({"id": 7})));
    assert_eq!(fx.asked()[0].what, "shop/refund None {} false");
}

#[tokio::test]
async fn a_script_gets_its_arguments_and_gives_what_is_asked_for() {
    let task = |rest: &str| {
        format!(
            "do:\n- r: {{ run: {{ script: {{ language: javascript, code: 'console.log(1)', arguments: [ '${{ .a }}', b, '${{ 3 }}' ], environment: {{ K: '${{ .a }}', N: 1 }}, stdin: '${{ . }}' }}{rest} }} }}"
        )
    };
    let fx = Fake::echo();
    assert_eq!(run(&parse(&task("")), json!({"a": "x"}), &fx).await, Outcome::Completed(json!("x b 3")));
    assert_eq!(
        fx.asked()[0].what,
        "console.log(1) [\"x\", \"b\", \"3\"] {\"K\": \"x\", \"N\": \"1\"} Some(\"{\\\"a\\\":\\\"x\\\"}\")"
    );
    for (rest, expected) in [
        (", return: stderr", json!("warned")),
        (", return: code", json!(3)),
        (", return: all", json!({"code": 3, "stdout": "x b 3", "stderr": "warned"})),
        (", return: none", json!(null)),
        (", await: false", json!({"a": "x"})),
    ] {
        assert_eq!(output(&task(rest), json!({"a": "x"})).await, expected, "{rest}");
    }
}

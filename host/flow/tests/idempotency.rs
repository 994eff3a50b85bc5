//! `metadata.idempotencyKey`: what is handed on, what is refused, and where it comes from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Test code.

mod support;

use serde_json::{Value, json};
use support::{Fake, fault, parse, problems, run};

fn keys(fx: &Fake) -> Vec<String> {
    fx.events().into_iter().filter(|event| event.contains("has the key")).collect()
}

#[tokio::test]
async fn a_plugin_and_an_http_target_are_given_the_key_that_the_flow_computes() {
    let tasks = "do:
- t:
    try:
    - a: { call: shop/refund, with: { order: '${ .order }' }, metadata: { idempotencyKey: '${ \"refund-\\(.order)\" }' } }
    catch: { retry: { limit: { attempt: { count: 1 } } } }
- b: { call: http, with: { method: post, endpoint: 'https://api.test/x' }, metadata: { idempotencyKey: '${ 17 }' } }
- c: { call: shop/look }";
    let mut fx = Fake::new(|function, _, number| match (function, number) {
        ("shop/refund", 1) => Err(factotum_flow::FlowError::communication("down").with_status(503)),
        _ => Ok(json!({ "order": 7 })),
    });
    fx.web = Some(Box::new(|_| (200, json!({}))));
    run(&parse(tasks), json!({"order": 7}), &fx).await;
    assert_eq!(keys(&fx), ["a has the key refund-7", "a has the key refund-7", "b has the key 17"]);
}

#[tokio::test]
async fn a_key_that_cannot_travel_is_an_expression_error() {
    for key in ["null", "\"\"", "\"two words\"", "\"schl\u{fc}ssel\"", "\"a\\nb\"", "\"k\" * 201", "{}"] {
        let tasks = format!("do:\n- a:\n    call: a/b\n    metadata: {{ idempotencyKey: '${{ {key} }}' }}");
        let error = fault(&tasks, Value::Null).await;
        assert!(error.status == 400 && error.to_string().contains("visible ASCII"), "{key}: {error}");
    }
}

#[test]
fn a_constant_key_is_refused_and_one_that_nobody_gets_is_warned_of() {
    let found = problems("do:\n- a: { call: a/b, metadata: { idempotencyKey: same } }");
    assert!(found.contains("must be an expression"), "{found}");
    let idle = "do:\n- a: { set: { b: 1 }, metadata: { idempotencyKey: '${ .x }' } }\n- h: { call: human-task, with: { title: x, group: y }, metadata: { idempotencyKey: '${ .x }' } }";
    assert_eq!(parse(idle).warnings().iter().count(), 2);
}

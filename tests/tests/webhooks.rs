//! Webhooks: who may call, what comes back, and how duplicates are told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use factotum_tests::{Server, dist, problem};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const CONFIG: &str = "[secrets.intake]\nenv = \"TEST_INTAKE_SECRET\"\n";
const ENVS: [(&str, &str); 1] = [("TEST_INTAKE_SECRET", "hush-hush-hush")];

fn flow(name: &str, webhook: &str) -> String {
    format!(
        "document:\n  dsl: '1.0.3'\n  namespace: t\n  name: {name}\n  version: '1.0.0'\n  metadata: {{ trigger: {{ webhook: {webhook} }} }}\ndo:\n  - answer: {{ set: {{ got: '${{ .n }}' }} }}\n"
    )
}

#[test]
fn bearer_and_signature_are_checked_before_anything_is_kept() {
    let Some(dist) = dist("webhook_auth") else { return };
    let server = Server::with_config(&dist, CONFIG, &ENVS);
    server.deploy("bearer", &flow("bearer", "{ auth: { bearer: { secret: intake } }, reply: sync }"));
    server.deploy(
        "hmac",
        &flow(
            "hmac",
            "{ auth: { hmac: { secret: intake, header: x-signature-256, prefix: 'sha256=' } }, reply: sync }",
        ),
    );
    server.deploy("unset", &flow("unset", "{ auth: { bearer: { secret: nobody-set-this } }, reply: sync }"));
    let url = |name: &str| format!("{}/hooks/t/{name}", server.address());

    problem(server.hook("t/bearer", &json!({ "n": 1 })), 401);
    problem(
        server.http.post(url("bearer")).bearer_auth("hush-hush-hus").json(&json!({ "n": 1 })).send().unwrap(),
        401,
    );
    let answer = server
        .http
        .post(url("bearer"))
        .bearer_auth("hush-hush-hush")
        .json(&json!({ "n": 1 }))
        .send()
        .unwrap();
    assert_eq!(answer.json::<Value>().unwrap(), json!({ "got": 1 }));

    let body = r#"{"n": 2}"#;
    let sign = |body: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(b"hush-hush-hush").unwrap().chain_update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    };
    let post = |body: &'static str, signature: String| {
        let request = server.http.post(url("hmac")).header("content-type", "application/json");
        request.header("x-signature-256", signature).body(body).send().unwrap()
    };
    problem(post(body, sign("another body")), 401);
    problem(post(body, "sha256=zz".into()), 401);
    assert_eq!(post(body, sign(body)).json::<Value>().unwrap(), json!({ "got": 2 }));

    problem(server.hook("t/unset", &json!({ "n": 1 })), 503);
    assert_eq!(server.all_runs().len(), 2, "only the two that were let in");
    // The secret is in no log and in no store of ours.
    assert!(!server.log().contains("hush-hush"));
    assert!(!server.ok(&["audit", "export"]).contains("hush-hush"));
}

#[test]
fn an_asynchronous_webhook_answers_with_the_runs_id_and_a_duplicate_with_the_same() {
    let Some(dist) = dist("webhook_async") else { return };
    let server = Server::start(&dist);
    server.deploy("async", &flow("async", "{ auth: none, dedupe: '${ .body.n }' }"));
    let first = server.hook("t/async", &json!({ "n": "x-7" }));
    assert_eq!(first.status(), 202);
    let first: Value = first.json().unwrap();
    let second: Value = server.hook("t/async", &json!({ "n": "x-7" })).json().unwrap();
    assert_eq!(
        (&first["run_id"], &second["duplicate"]),
        (&second["run_id"], &json!(true)),
        "{first} {second}"
    );
    let third: Value = server.hook("t/async", &json!({ "n": "x-8" })).json().unwrap();
    assert_ne!(first["run_id"], third["run_id"]);
}

#[test]
fn the_apis_description_is_the_committed_one() {
    let Some(dist) = dist("openapi") else { return };
    let output = std::process::Command::new(dist.join("factotum")).arg("openapi").output().unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/server/openapi.json");
    let built: Value = serde_json::from_slice(&output.stdout).unwrap();
    if std::env::var_os("FACTOTUM_BLESS").is_some() {
        std::fs::write(&path, &output.stdout).unwrap();
    }
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        built, committed,
        "the API changed; look at the difference and commit it: FACTOTUM_BLESS=1 cargo xtask test openapi"
    );
}

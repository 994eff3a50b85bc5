//! A stranger's component: installed, described, called by a flow; and refused, ended or survived when it is hostile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::time::{Duration, Instant};

use factotum_tests::{Server, dist, guest, text};
use serde_json::json;

#[test]
fn a_third_partys_component_shows_its_functions_and_a_flow_calls_one() {
    let (Some(dist), Some(wasm)) = (dist("third_party"), guest("third_party", "guest_sampler")) else {
        return;
    };
    let server = Server::start(&dist);
    // No manifest, so a name and a version must be given; no capability, so no grant is needed.
    server.ok(&["plugin", "add", &wasm, "--as", "acme", "--version", "1.0.0"]);
    let shown = server.json(&["plugin", "show", "acme"]);
    let functions = shown["functions"].as_array().unwrap();
    let record = functions.iter().find(|f| f["name"] == "echo-record").expect("echo-record");
    assert_eq!(record["interface"], "acme:sampler/shapes@1.0.0");
    let schema = &record["input_schema"]["properties"]["value"];
    assert_eq!(schema["properties"]["article_number"], json!({ "type": "string" }), "{schema}");
    assert!(schema["required"].as_array().unwrap().contains(&json!("quantity")));
    assert!(functions.iter().any(|f| !f["not_callable"].is_null()), "resources are named as not callable");

    server.deploy(
        "acme",
        "
document: { dsl: '1.0.3', namespace: acme, name: reserve, version: '1.0.0' }
do:
  - ask:
      call: acme/divide
      with: { dividend: '${ .a }', divisor: '${ .b }' }
",
    );
    let run = server.json(&["flow", "run", "acme/reserve", "--input", r#"{"a": 42, "b": 6}"#]);
    assert_eq!((&run["state"], &run["output"]), (&json!("completed"), &json!(7)), "{run}");
    // Its own error is a business fault that the flow could catch, and the caller reads.
    let output = server.cli(&["flow", "run", "acme/reserve", "--input", r#"{"a": 1, "b": 0}"#, "--json"]);
    assert!(!output.status.success());
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["state"], "faulted");
    assert_eq!(run["error"]["instance"], "/do/0/ask", "{run}");
}

#[test]
fn what_was_not_granted_is_listed_and_the_install_refused() {
    let (Some(dist), Some(hostile)) = (dist("not_granted"), guest("not_granted", "guest_hostile")) else {
        return;
    };
    let server = Server::start(&dist);
    let (code, message) =
        server.fails(&["plugin", "add", &hostile, "--as", "stranger", "--version", "1.0.0"]);
    assert_eq!(code, 2);
    for capability in ["http", "key-value", "mail", "artifacts", "config", "run-context"] {
        assert!(message.contains(capability), "{capability} is not in: {message}");
    }
    assert!(server.json(&["plugin", "list"]).as_array().unwrap().is_empty());
    let refused = server.json(&["audit", "list", "--action", "plugin.add", "--outcome", "denied"]);
    assert!(!refused["records"].as_array().unwrap().is_empty(), "the refusal is not in the audit log");
}

#[test]
fn a_loop_a_memory_bomb_and_a_trap_end_the_call_and_not_the_host() {
    let (Some(dist), Some(hostile)) = (dist("hostile"), guest("hostile", "guest_hostile")) else { return };
    let server = Server::start(&dist);
    server.install("classifier", "config = true");
    let grants = server.data().join("stranger.toml");
    std::fs::write(
        &grants,
        "run-context = true\nconfig = true\n[key-value]\n[artifacts]\n[mail]\nrecipients = []\n\
         [[http]]\nhost = \"example.com\"\nmethods = [\"GET\"]\npaths = [\"/\"]\n\
         [limits]\ntime-ms = 1500\nmemory-bytes = 33554432\n",
    )
    .unwrap();
    server.ok(&[
        "plugin",
        "add",
        &hostile,
        "--as",
        "stranger",
        "--version",
        "1.0.0",
        "--grants",
        grants.to_str().unwrap(),
    ]);
    for (function, with, word) in [
        ("spin", json!({}), "did not end within 1500 ms"),
        ("fill-memory", json!({}), "memory"),
        // A Rust guest keeps its own stack in its memory, so running out of it shows as a trap.
        ("recurse", json!({ "depth": 100_000_000 }), "broke off"),
        ("panic", json!({ "message": "boom" }), "broke off"),
    ] {
        let begun = Instant::now();
        let (code, message) =
            server.fails(&["plugin", "call", &format!("stranger/{function}"), "--with", &with.to_string()]);
        assert!(message.contains(word), "{function}: {message}");
        assert_ne!(code, 0);
        assert!(begun.elapsed() < Duration::from_secs(30), "{function} took {:?}", begun.elapsed());
        // The same plugin and another one work at once.
        let printed = server.cli(&["plugin", "call", "stranger/recurse", "--with", r#"{"depth": 3}"#]);
        assert!(printed.status.success(), "{}", text(&printed.stderr));
        let found = server.json(&[
            "plugin",
            "call",
            "classifier/classify",
            "--with",
            r#"{"message":{"text":"where is my refund"}}"#,
        ]);
        assert_eq!(found["category"], "refund");
    }
    server.audit_holds();
}

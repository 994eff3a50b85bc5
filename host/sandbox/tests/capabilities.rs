//! What a plugin reaches is what was granted; every use and every refusal stands in the call's report.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::collections::BTreeMap;

use common::{call, component, context, fault, grants, hostile, ok, sampler, sandbox, spec};
use factotum_grant::{Capability, Grants};
use factotum_sandbox::{CallContext, CapabilityUse, FaultKind, UseOutcome, testing::Memory};
use serde_json::{Value, json};

fn used(
    capability: Capability,
    action: &str,
    target: &str,
    count: u32,
    outcome: UseOutcome,
) -> CapabilityUse {
    CapabilityUse { capability, action: action.into(), target: target.into(), count, outcome }
}

fn failed(code: &str) -> UseOutcome {
    UseOutcome::Failed { code: code.into() }
}

#[tokio::test]
async fn there_are_no_variables_arguments_files_or_input() {
    let plugin = sampler();
    // The host's own environment is not empty, so an empty one is not the host's.
    assert!(std::env::vars().count() > 0);
    assert_eq!(ok(&plugin, "variables", json!({})).await, json!([]));
    assert_eq!(ok(&plugin, "arguments", json!({})).await, json!([]));
    assert_eq!(ok(&plugin, "read-input", json!({})).await, json!(""));
    for path in ["/etc/passwd", "Cargo.toml", ".", "/", "../../secret", "/dev/stdin", "/proc/self/environ"] {
        let read = fault(&plugin, "read-file", json!({"path": path})).await;
        assert_eq!(read.code, "action-failed", "{path}: {read:?}");
        let listed = fault(&plugin, "list-folder", json!({"path": path})).await;
        assert_eq!(listed.code, "action-failed", "{path}: {listed:?}");
        let written = fault(&plugin, "write-file", json!({"path": path, "text": "x"})).await;
        assert_eq!(written.code, "action-failed", "{path}: {written:?}");
    }
    assert_eq!(ok(&plugin, "clock-moves", json!({})).await, json!(true));
}

#[tokio::test]
async fn two_plugins_have_each_their_own_keys() {
    let (backends, memory) = Memory::backends();
    let link = |name| sandbox().link(&component("hostile"), spec(name, grants("")), &backends).unwrap();
    let (crm, spy) = (link("crm"), link("spy"));
    ok(&crm, "put", json!({"bucket": "default", "key": "contact", "value": "Jane"})).await;
    assert_eq!(ok(&crm, "get", json!({"bucket": "", "key": "contact"})).await, json!("Jane"));
    assert_eq!(ok(&spy, "get", json!({"bucket": "default", "key": "contact"})).await, json!(null));
    assert_eq!(ok(&spy, "keys", json!({})).await, json!([]));
    for bucket in ["../crm", "default/../crm", "/crm", "crm\u{0}", "*", "DEFAULT", "default "] {
        for function in ["get", "put"] {
            let mut input = json!({"bucket": bucket, "key": "contact"});
            if function == "put" {
                input["value"] = json!("x");
            }
            let report = call(&spy, function, input).await;
            assert_eq!(report.result.unwrap_err().code, "not-found", "{bucket:?}");
            assert_eq!(report.uses, [used(Capability::KeyValue, "open", bucket, 1, failed("no-such-store"))]);
        }
    }
    for key in ["../crm/contact", "crm/contact", "\u{0}crm\u{0}contact"] {
        assert_eq!(ok(&spy, "get", json!({"bucket": "default", "key": key})).await, json!(null));
    }
    ok(&spy, "delete", json!({"key": "contact"})).await;
    assert_eq!(memory.pairs.lock().unwrap().keys().collect::<Vec<_>>(), [&("crm".into(), "contact".into())]);
}

#[tokio::test]
async fn keys_and_values_are_used_and_noted() {
    let (plugin, _) = hostile("");
    let report = call(&plugin, "put", json!({"bucket": "default", "key": "a", "value": "1"})).await;
    assert_eq!(report.uses, [used(Capability::KeyValue, "set", "own namespace", 1, UseOutcome::Ok)]);
    assert_eq!(ok(&plugin, "increment", json!({"key": "n", "delta": 2})).await, json!(2));
    assert_eq!(ok(&plugin, "increment", json!({"key": "n", "delta": 3})).await, json!(5));
    assert_eq!(ok(&plugin, "keys", json!({})).await, json!(["a", "n"]));
    ok(&plugin, "delete", json!({"key": "a"})).await;
    assert_eq!(ok(&plugin, "get", json!({"bucket": "default", "key": "a"})).await, json!(null));
}

#[tokio::test]
async fn the_key_value_quota_holds_for_single_pairs_and_batches() {
    let (plugin, memory) = hostile("[key-value]\nquota-bytes = 1000\nquota-keys = 3");
    ok(&plugin, "put-bytes", json!({"key": "a", "bytes": 900})).await;
    let report = call(&plugin, "put-bytes", json!({"key": "b", "bytes": 200})).await;
    assert!(report.result.unwrap_err().message.contains("quota"));
    assert_eq!(report.uses, [used(Capability::KeyValue, "set", "own namespace", 1, failed("failed"))]);
    assert!(fault(&plugin, "put-many", json!({"count": 3, "bytes": 1})).await.message.contains("quota"));
    assert_eq!(memory.pairs.lock().unwrap().len(), 1, "all of a batch or none");
    ok(&plugin, "put-many", json!({"count": 2, "bytes": 1})).await;
}

#[tokio::test]
async fn keys_values_and_batches_are_bounded() {
    let (plugin, memory) = hostile("");
    for key in [String::new(), "k".repeat(1025)] {
        let fault = fault(&plugin, "put", json!({"bucket": "default", "key": key, "value": "v"})).await;
        assert!(fault.message.contains("a key has 1 to 1024 bytes"), "{}", fault.message);
    }
    let large = fault(&plugin, "put-bytes", json!({"key": "a", "bytes": (1 << 20) + 1})).await;
    assert!(large.message.contains("a value has at most 1048576 bytes"), "{}", large.message);
    let many = fault(&plugin, "put-many", json!({"count": 10_001, "bytes": 0})).await;
    assert!(many.message.contains("at most 10000"), "{}", many.message);
    assert!(memory.pairs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_batch_that_names_one_large_value_ten_thousand_times_is_refused() {
    let (plugin, _) = hostile("");
    ok(&plugin, "put-bytes", json!({"key": "a", "bytes": 1 << 20})).await;
    assert_eq!(ok(&plugin, "get-many", json!({"key": "a", "count": 16})).await, json!(16 << 20));
    let before = common::peak_memory();
    let fault = fault(&plugin, "get-many", json!({"key": "a", "count": 10_000})).await;
    assert!(fault.message.contains("ask for fewer keys"), "{}", fault.message);
    // Ten thousand megabytes would show.
    assert!(common::peak_memory() < before + (1 << 30));
}

#[tokio::test]
async fn mail_goes_only_where_it_is_granted_and_refusals_carry_their_mend() {
    let (plugin, memory) =
        hostile("[mail]\nsenders = [\"desk@example.com\"]\nrecipients = [\"*@example.com\"]");
    let to = |to: &[&str], cc: &[&str], sender: Value| json!({"to": to, "cc": cc, "sender": sender, "subject": "Hello"});
    let report =
        call(&plugin, "send-mail", to(&["jane@example.com"], &["li@example.com"], json!(null))).await;
    assert_eq!(report.result.unwrap(), json!("<key-1@test> false"));
    assert_eq!(
        report.uses,
        [used(Capability::Mail, "send", "jane@example.com, li@example.com", 1, UseOutcome::Ok)]
    );
    for (input, target, mend) in [
        (
            to(&["jane@example.com", "eve@evil.test"], &[], json!(null)),
            "jane@example.com, eve@evil.test",
            "[mail]\nrecipients = [\"eve@evil.test\"]",
        ),
        (
            to(&["jane@example.com"], &["eve@evil.test"], json!(null)),
            "jane@example.com, eve@evil.test",
            "[mail]\nrecipients = [\"eve@evil.test\"]",
        ),
        (
            to(&["jane@example.com"], &[], json!("ceo@example.com")),
            "jane@example.com",
            "[mail]\nsenders = [\"ceo@example.com\"]",
        ),
    ] {
        let report = call(&plugin, "send-mail", input).await;
        let fault = report.result.unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Business, "denied"));
        assert_eq!(
            report.uses,
            [used(Capability::Mail, "send", target, 1, UseOutcome::Denied { mend: mend.into() })]
        );
        assert!(Grants::from_toml(mend).unwrap().allows(Capability::Mail));
    }
    assert_eq!(memory.mails.lock().unwrap().len(), 1);
    for recipients in [vec![], vec!["a@example.com"; 101]] {
        assert_eq!(
            fault(&plugin, "send-mail", to(&recipients, &[], json!(null))).await.code,
            "invalid-input"
        );
    }
}

#[tokio::test]
async fn the_same_idempotency_key_sends_one_mail() {
    let (plugin, memory) = hostile("[mail]\nrecipients = [\"*@example.com\"]");
    let input = json!({"to": ["jane@example.com"], "cc": [], "subject": "Hello"});
    assert_eq!(ok(&plugin, "send-mail", input.clone()).await, json!("<key-1@test> false"));
    assert_eq!(ok(&plugin, "send-mail", input).await, json!("<key-1@test> true"));
    assert_eq!(memory.mails.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn artifacts_are_stored_within_the_granted_size_and_read_back_by_their_owner_alone() {
    let (backends, memory) = Memory::backends();
    let link = |name| {
        let grants = grants("[artifacts]\nmax-bytes = 1000");
        sandbox().link(&component("hostile"), spec(name, grants), &backends).unwrap()
    };
    let (report_plugin, spy) = (link("report"), link("spy"));
    let file = |name: &str, bytes: u64| json!({"name": name, "media_type": "text/html", "bytes": bytes});
    let report = call(&report_plugin, "store-file", file("report.html", 1000)).await;
    assert_eq!(report.uses, [used(Capability::Artifacts, "put", "report.html", 1, UseOutcome::Ok)]);
    let id = report.result.unwrap();
    assert_eq!(ok(&report_plugin, "reach.read-file", json!({"id": id})).await, json!(1000));
    let stolen = call(&spy, "reach.read-file", json!({"id": id})).await;
    assert_eq!(stolen.result.unwrap_err().code, "not-found");
    assert_eq!(stolen.uses[0].outcome, failed("not-found"));
    let report = call(&report_plugin, "store-file", file("report.html", 1001)).await;
    assert_eq!(report.result.unwrap_err().code, "denied");
    let mend = "[artifacts]\nmax-bytes = 1001".to_owned();
    assert_eq!(
        report.uses,
        [used(Capability::Artifacts, "put", "report.html", 1, UseOutcome::Denied { mend })]
    );
    for name in ["", "../x", "a/b", "a\\b", ".hidden", "a\nb", &"x".repeat(201)] {
        assert_eq!(
            fault(&report_plugin, "store-file", file(name, 1)).await.code,
            "invalid-input",
            "{name:?}"
        );
    }
    let odd = json!({"name": "a", "media_type": "html", "bytes": 1});
    assert_eq!(fault(&report_plugin, "store-file", odd).await.code, "invalid-input");
    assert_eq!(memory.files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_plugin_reads_its_own_configuration() {
    let (backends, _) = Memory::backends();
    let with = |key: &str, value: &str| {
        let config = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let spec = factotum_sandbox::PluginSpec { config, ..spec("p", grants("")) };
        sandbox().link(&component("hostile"), spec, &backends).unwrap()
    };
    let (one, other) = (with("base-url", "https://a.example"), with("color", "red"));
    assert_eq!(ok(&one, "configuration", json!({"key": "base-url"})).await, json!("https://a.example"));
    assert_eq!(ok(&one, "configuration", json!({"key": "color"})).await, json!(null));
    assert_eq!(ok(&other, "configuration", json!({"key": "color"})).await, json!("red"));
}

#[tokio::test]
async fn the_run_context_is_the_hosts_word() {
    let (plugin, _) = hostile("[limits]\ntime-ms = 9000");
    let context = CallContext {
        run_id: Some("run-9".into()),
        flow: Some("support/intake".into()),
        task: Some("/do/2/record".into()),
        attempt: 3,
        idempotency_key: "key-9".into(),
        timeout: None,
        data: factotum_provenance::Provenance::default(),
    };
    let seen = plugin.call("context", &json!({}), &context).await.result.unwrap();
    let remaining = seen["remaining_ms"].as_u64().unwrap();
    assert!((1..=9000).contains(&remaining), "{remaining}");
    assert_eq!(
        seen,
        json!({"run_id": "run-9", "flow": "support/intake", "task": "/do/2/record", "attempt": 3,
               "idempotency_key": "key-9", "remaining_ms": remaining})
    );
    let direct = CallContext { run_id: None, flow: None, task: None, ..common::context() };
    let seen = plugin.call("context", &json!({}), &direct).await.result.unwrap();
    assert_eq!((seen.get("run_id"), &seen["attempt"]), (None, &json!(1)));
    // An input cannot speak for the context.
    let forged = plugin.call("context", &json!({"run_id": "run-1"}), &self::context()).await;
    assert_eq!(forged.result.unwrap_err().code, "invalid-input");
}

#[tokio::test]
async fn uses_are_counted_and_not_listed_without_end() {
    let (plugin, _) = hostile("[limits]\ntime-ms = 200");
    let report = call(&plugin, "spin-on-host", json!({"what": "denied"})).await;
    assert_eq!(report.uses.len(), 1, "{:?}", report.uses);
    assert!(report.uses[0].count > 1, "{:?}", report.uses);
    assert!(
        matches!(&report.uses[0].outcome, UseOutcome::Denied { mend } if mend.contains("not-granted.example"))
    );
    // A target is a guest's text, and is kept short.
    let bucket = "b".repeat(1 << 20);
    let report = call(&plugin, "get", json!({"bucket": bucket, "key": "a"})).await;
    assert!(report.uses[0].target.len() <= 1000, "{}", report.uses[0].target.len());
}

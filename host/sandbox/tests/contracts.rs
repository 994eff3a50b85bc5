//! Versions of the host's contract side by side: what was built against an older one keeps working, through the same code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use common::{call, fault, grants, hostile, ok, sandbox, spec};
use factotum_grant::{Capability, Grants};
use factotum_sandbox::{CapabilityUse, LinkError, Plugin, UseOutcome, testing::Memory};
use serde_json::{Value, json};

/// Built once, when `factotum:host` was 0.1.0, and never again; its source and how it was made lie beside it.
const OLD: &[u8] = include_bytes!("contracts/host-0.1.0/guest.wasm");

fn old() -> (Plugin, std::sync::Arc<Memory>) {
    let (backends, memory) = Memory::backends();
    let component = sandbox().load(OLD).unwrap();
    let mail = "[mail]\nrecipients = [\"*@example.com\"]";
    (sandbox().link(&component, spec("old", grants(mail)), &backends).unwrap(), memory)
}

fn targets(uses: &[CapabilityUse]) -> Vec<(Capability, &str, bool)> {
    uses.iter().map(|u| (u.capability, u.action.as_str(), u.outcome == UseOutcome::Ok)).collect()
}

#[test]
fn the_old_component_imports_every_interface_of_its_time_and_no_later_one() {
    let component = sandbox().load(OLD).unwrap();
    let imports = component.imports();
    for interface in [
        "factotum:host/run-context@0.1.0",
        "factotum:host/mail-out@0.1.0",
        "factotum:host/artifacts@0.1.0",
        "factotum:types/faults@0.1.0",
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:keyvalue/atomics@0.2.0-draft",
        "wasi:keyvalue/batch@0.2.0-draft",
        "wasi:config/store@0.2.0-rc.1",
    ] {
        assert!(imports.iter().any(|i| i == interface), "{interface} is not among {imports:?}");
    }
    assert!(imports.iter().all(|i| !i.starts_with("factotum:") || i.ends_with("@0.1.0")), "{imports:?}");
    let now = common::component("hostile");
    assert!(now.imports().iter().any(|i| i == "factotum:host/mail-out@0.2.0"), "{:?}", now.imports());
}

#[tokio::test]
async fn a_plugin_built_against_the_older_contract_keeps_working() {
    let (plugin, memory) = old();
    assert_eq!(
        ok(&plugin, "context", json!({})).await,
        json!(["run-1", "test/flow", "/do/0/test", 1, "key-1", true])
    );
    let send = json!({"to": "jane@example.com", "attachment": "AQID"});
    assert_eq!(ok(&plugin, "send", send.clone()).await, json!(["<key-1@test>", false]));
    assert_eq!(ok(&plugin, "send", send).await, json!(["<key-1@test>", true]));
    let stored = call(&plugin, "store", json!({"name": "a.txt", "content": "AQID"})).await;
    let answer = stored.result.unwrap();
    assert_eq!((&answer[0], &answer[1]), (&json!("old-1"), &json!(3)));
    assert_eq!(answer[2], "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81");
    assert_eq!(
        targets(&stored.uses),
        [(Capability::Artifacts, "put", true), (Capability::Artifacts, "get", true)]
    );
    assert_eq!(ok(&plugin, "keys", json!({"value": "AQID"})).await, json!(["AQID", ["count", "single"], 2]));
    assert_eq!(ok(&plugin, "configured", json!({"key": "color"})).await, json!("green"));
    let mails = memory.mails.lock().unwrap();
    let attached = &mails[0].1.attachments[0];
    assert_eq!((attached.name.as_str(), attached.content.as_slice()), ("old.txt", &[1, 2, 3][..]));
}

#[tokio::test]
async fn the_older_contract_is_held_to_the_same_grants() {
    let (plugin, memory) = old();
    let report = call(&plugin, "send", json!({"to": "eve@evil.test", "attachment": ""})).await;
    assert_eq!(report.result.unwrap_err().code, "denied");
    assert!(matches!(&report.uses[0].outcome, UseOutcome::Denied { mend } if mend.contains("eve@evil.test")));
    assert!(memory.mails.lock().unwrap().is_empty());
    let (backends, _) = Memory::backends();
    let component = sandbox().load(OLD).unwrap();
    let Err(LinkError::MissingGrants(missing)) =
        sandbox().link(&component, spec("old", Grants::default()), &backends)
    else {
        panic!("it was linked without a grant")
    };
    let mut asked: Vec<_> = missing.iter().map(|m| m.capability).collect();
    asked.sort();
    asked.dedup();
    let all = [
        Capability::RunContext,
        Capability::Config,
        Capability::KeyValue,
        Capability::Artifacts,
        Capability::Mail,
    ];
    assert_eq!(asked, all);
}

fn by_imports(imports: &[&str]) -> Result<Plugin, LinkError> {
    let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
    let component = sandbox().load(&wat::parse_str(format!("(component {imports})")).unwrap()).unwrap();
    sandbox().link(&component, spec("by-hand", grants("[mail]\nrecipients = []")), &Memory::backends().0)
}

#[test]
fn both_versions_are_linked_side_by_side_and_an_unknown_one_is_refused_by_name() {
    assert!(
        by_imports(&[
            "factotum:host/run-context@0.1.0",
            "factotum:host/run-context@0.2.0",
            "factotum:host/mail-out@0.1.4",
            "factotum:host/mail-out@0.2.1",
            "factotum:host/artifacts@0.2.0",
        ])
        .is_ok()
    );
    for (import, words) in [
        ("factotum:host/mail-out@0.3.0", "this host offers 0.1.0 and 0.2.0"),
        ("factotum:host/mail-out@1.0.0", "this host offers 0.1.0 and 0.2.0"),
        ("wasi:keyvalue/store@0.2.0-draft2", "this host offers 0.2.0-draft"),
        ("wasi:http/outgoing-handler@0.3.0", "this host offers 0.2.12"),
        ("factotum:host/mail-out", "without a version"),
    ] {
        let Err(LinkError::UnknownImports(unknown)) = by_imports(&[import]) else { panic!("{import}") };
        assert!(unknown.len() == 1 && unknown[0].starts_with(import), "{unknown:?}");
        assert!(unknown[0].contains(words), "{unknown:?}");
    }
}

const MAIL: &str = "[mail]\nrecipients = [\"*@example.com\"]\n[artifacts]\nmax-bytes = 20000000";

fn file(name: &str, bytes: u64) -> Value {
    json!({"name": name, "media_type": "application/pdf", "bytes": bytes})
}

fn attach(artifacts: &[&str], files: u64, bytes: u64) -> Value {
    json!({"to": "jane@example.com", "artifacts": artifacts, "files": files, "bytes": bytes})
}

#[tokio::test]
async fn an_artifact_is_attached_by_its_identifier() {
    let (plugin, memory) = hostile(MAIL);
    let id = ok(&plugin, "store-file", file("report.pdf", 1000)).await;
    let id = id.as_str().unwrap();
    assert_eq!(
        ok(&plugin, "describe-file", json!({"id": id})).await,
        json!(["report.pdf", "application/pdf", 1000])
    );
    assert_eq!(ok(&plugin, "list-files", json!({})).await, json!([id]));
    assert_eq!(ok(&plugin, "list-files", json!({"after": id})).await, json!([]));
    let report = call(&plugin, "attach", attach(&[id], 1, 5)).await;
    assert_eq!(report.result.unwrap(), json!("<key-1@test>"));
    assert_eq!(
        targets(&report.uses),
        [(Capability::Artifacts, "attach", true), (Capability::Mail, "send", true)]
    );
    let mails = memory.mails.lock().unwrap();
    let sent: Vec<_> = mails[0].1.attachments.iter().map(|a| (a.name.as_str(), a.content.len())).collect();
    assert_eq!(sent, [("report.pdf", 1000), ("0.bin", 5)]);
}

#[tokio::test]
async fn another_plugins_artifact_is_neither_seen_nor_sent() {
    let (backends, memory) = Memory::backends();
    let link =
        |name| sandbox().link(&common::component("hostile"), spec(name, grants(MAIL)), &backends).unwrap();
    let (owner, spy) = (link("report"), link("spy"));
    let id = ok(&owner, "store-file", file("salaries.pdf", 10)).await;
    let id = id.as_str().unwrap();
    for other in [id, "", "../report-1", "report-1 ", &"x".repeat(100_000)] {
        assert_eq!(fault(&spy, "attach", attach(&[other], 0, 0)).await.code, "not-found", "{other:.20}");
        assert_eq!(fault(&spy, "describe-file", json!({"id": other})).await.code, "not-found");
    }
    assert_eq!(ok(&spy, "list-files", json!({})).await, json!([]));
    assert!(memory.mails.lock().unwrap().is_empty());
}

#[tokio::test]
async fn attachments_are_counted_and_weighed_before_any_is_read() {
    let (plugin, memory) = hostile(MAIL);
    let id = ok(&plugin, "store-file", file("large.pdf", 9 << 20)).await;
    let id = id.as_str().unwrap();
    for (artifacts, files, bytes, words) in [
        (vec![id; 21], 0, 0, "at most 20 attachments"),
        (vec![id; 3], 0, 0, "at most 26214400 bytes together"),
        (vec![id; 2], 8, 1 << 20, "at most 26214400 bytes together"),
        (vec![], 21, 1, "at most 20 attachments"),
    ] {
        let refused = fault(&plugin, "attach", attach(&artifacts, files, bytes)).await;
        assert_eq!(refused.code, "invalid-input");
        assert!(refused.message.contains(words), "{}", refused.message);
    }
    assert!(memory.mails.lock().unwrap().is_empty());
    ok(&plugin, "attach", attach(&[id; 2], 0, 0)).await;
}

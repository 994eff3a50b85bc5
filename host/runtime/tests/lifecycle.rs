//! Plugins over time: grants changed and taken back, upgrades held, agreed to and declined, all of it audited.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a failed test may panic

use std::path::Path;
use std::time::Duration;

use factotum_audit::{Filter, Outcome, Record};
use factotum_grant::{Capability, Grants};
use factotum_runtime::{
    Actor, AddPlugin, ErrorCode, Host, HostConfig, PendingUpgrade, PluginInfo, UpgradePlugin, Upgraded,
};
use serde_json::json;

const HTTP: &str = r#"(import "wasi:http/outgoing-handler@0.2.0" (instance))"#;
const CONTEXT: &str = r#"(import "factotum:host/run-context@0.1.0" (instance))"#;
const ORDERS: &str =
    "[[grants.http]]\nhost = \"api.example.com\"\nmethods = [\"GET\"]\npaths = [\"/orders/*\"]\n";
const INVOICES: &str =
    "[[grants.http]]\nhost = \"api.example.com\"\nmethods = [\"POST\"]\npaths = [\"/invoices\"]\n";

/// A component `sum: func(a: u32, b: u32) -> u32` whose result tells versions apart, with these imports and a manifest.
fn component(version: &str, plus: u32, asks: &[(&str, &str)], grants: &str) -> Vec<u8> {
    let imports: String = asks.iter().map(|(_, import)| *import).collect();
    let mut bytes = wat::parse_str(format!(
        r#"(component {imports}
            (core module $m (func (export "sum") (param i32 i32) (result i32)
                local.get 0 local.get 1 i32.add i32.const {plus} i32.add))
            (core instance $i (instantiate $m))
            (func (export "sum") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "sum"))))"#
    ))
    .unwrap();
    let asks: String = asks
        .iter()
        .map(|(name, _)| format!("[[asks]]\ncapability = \"{name}\"\nreason.en = \"It needs it.\"\n"))
        .collect();
    let manifest = format!("name = \"shop\"\nversion = \"{version}\"\n{asks}{grants}");
    // A custom section (WebAssembly core specification, binary format).
    let mut content = vec![u8::try_from("factotum:manifest".len()).unwrap()];
    content.extend(b"factotum:manifest");
    content.extend(manifest.bytes());
    let mut size = content.len();
    bytes.push(0);
    while size >= 0x80 {
        bytes.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    bytes.push(u8::try_from(size).unwrap());
    bytes.extend(content);
    bytes
}

fn admin() -> Actor {
    Actor::Token("anna".into())
}

async fn open(dir: &Path) -> Host {
    let mut config = HostConfig::new(dir);
    config.max_calls = 4;
    config.grace = Duration::from_secs(2);
    Host::open(config).await.unwrap()
}

fn granted() -> Grants {
    Grants::from_toml(
        "[[http]]\nhost = \"api.shop.test\"\nmethods = [\"GET\"]\npaths = [\"/orders/*\"]\ninject = [{ secret = \"key\", bearer = true }]",
    )
    .unwrap()
}

async fn install(host: &Host) -> PluginInfo {
    let wasm = component("1.2.0", 0, &[("http", HTTP)], ORDERS);
    let request = AddPlugin { wasm, grants: Some(granted()), ..AddPlugin::default() };
    host.add_plugin(&admin(), request).await.unwrap()
}

async fn upgrade(host: &Host, wasm: Vec<u8>) -> Result<Upgraded, factotum_runtime::HostError> {
    host.upgrade_plugin(&admin(), "shop", UpgradePlugin { wasm, ..UpgradePlugin::default() }).await
}

fn held(upgraded: Upgraded) -> PendingUpgrade {
    match upgraded {
        Upgraded::Held(pending) => *pending,
        Upgraded::Installed(info) => panic!("it was installed: {info:?}"),
    }
}

async fn sum(host: &Host) -> serde_json::Value {
    host.call_plugin(&admin(), "shop", "sum", &json!({"a": 1, "b": 1}), None).await.unwrap()
}

fn entries(host: &Host, action: &str) -> Vec<Record> {
    let filter = Filter { action: Some(action.into()), plugin: Some("shop".into()), ..Filter::default() };
    host.audit().list(host.store(), &filter, None, 100).unwrap().records
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_wants_one_more_path_is_held_shown_agreed_and_audited() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    install(&host).await;
    let new = component("1.3.0", 100, &[("http", HTTP)], &format!("{ORDERS}{INVOICES}"));
    let pending = held(upgrade(&host, new).await.unwrap());
    assert_eq!((pending.from.as_str(), pending.version.as_str()), ("1.2.0", "1.3.0"));
    assert_eq!(pending.more.len(), 1, "{:?}", pending.more);
    assert_eq!(pending.more[0].en, "may also send requests: add or send (POST) at api.shop.test: /invoices");
    assert!(pending.more[0].zh.starts_with("还可以发送请求"), "{:?}", pending.more);

    // Held means: not there for anybody, and the old one goes on.
    assert_eq!(host.plugins().len(), 1);
    assert_eq!(sum(&host).await, json!(2));
    let held_entry = &entries(&host, "plugin.upgrade.hold")[0].entry;
    assert_eq!((held_entry.actor.as_str(), held_entry.outcome), ("token:anna", Outcome::Started));
    assert_eq!(held_entry.detail["asks.1"], pending.more[0].en);

    // It survives a restart.
    host.shutdown().await;
    drop(host);
    let host = open(dir.path()).await;
    assert_eq!(host.pending_upgrades().unwrap(), std::slice::from_ref(&pending));
    assert_eq!(sum(&host).await, json!(2));

    let version: semver::Version = "1.3.0".parse().unwrap();
    let wrong = host.agree_to_upgrade(&admin(), "shop", version.clone(), Some("0".repeat(64)), None).await;
    assert_eq!(wrong.unwrap_err().code, ErrorCode::Conflict, "agreed is to the bytes that were shown");
    let (info, change) = host
        .agree_to_upgrade(&admin(), "shop", version.clone(), Some(pending.digest.clone()), None)
        .await
        .unwrap();
    assert_eq!(info.version, "1.3.0");
    assert_eq!((change.gained.len(), change.lost.len()), (1, 0), "{change:?}");
    let toml = info.grants.to_toml().unwrap();
    assert_eq!(
        toml.matches("secret = \"key\"").count(),
        2,
        "the new path gets the secret of the old: {toml}"
    );
    assert!(toml.contains("/invoices") && !toml.contains("example.com"), "{toml}");
    assert_eq!(sum(&host).await, json!(102));
    assert!(host.pending_upgrades().unwrap().is_empty());
    let agreed = &entries(&host, "plugin.upgrade.agree")[0].entry;
    assert_eq!(agreed.actor, "token:anna");
    assert_eq!((agreed.detail["from"].as_str(), agreed.detail["version"].as_str()), ("1.2.0", "1.3.0"));
    assert_eq!(agreed.digests["grants"], host.audit().digest(toml.as_bytes()));
    let again = host.agree_to_upgrade(&admin(), "shop", version, None, None).await;
    assert_eq!(again.unwrap_err().code, ErrorCode::UnknownPlugin);
    assert!(host.audit().verify(host.store(), &[]).unwrap().is_intact());
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_asks_for_no_more_takes_over_the_grant_and_moves_only_the_flows_that_admit_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    install(&host).await;
    for (name, call) in [("any", "shop/sum"), ("range", "shop/sum:^1.2"), ("fixed", "shop/sum:=1.2.0")] {
        let source = format!(
            "document: {{ dsl: '1.0.3', namespace: t, name: {name}, version: '1.0.0' }}\ndo:\n  - add:\n      call: {call}\n      with: {{ a: 1, b: 1 }}\n"
        );
        host.deploy_flow(&admin(), &source, "f.yaml").await.unwrap();
    }
    let upgraded = upgrade(&host, component("1.2.1", 100, &[("http", HTTP)], ORDERS)).await.unwrap();
    let Upgraded::Installed(info) = upgraded else { panic!("{upgraded:?}") };
    assert_eq!(info.grants, granted(), "the administrator's grant, not the author's suggestion");
    assert_eq!(entries(&host, "plugin.upgrade").len(), 1);

    let left = host.flows_left_behind(&admin(), "shop", false).await;
    let told: Vec<_> = left.iter().map(|flow| (flow.flow.as_str(), flow.moves, flow.moved)).collect();
    assert_eq!(told, [("t/any", true, false), ("t/fixed", false, false), ("t/range", true, false)]);
    assert_eq!(
        host.flow("t", "any").unwrap().calls[0].version.to_string(),
        "1.2.0",
        "nothing moves by itself"
    );
    let left = host.flows_left_behind(&admin(), "shop", true).await;
    assert!(left.iter().all(|flow| flow.problem.is_none() && flow.moved == flow.moves), "{left:?}");
    assert_eq!(host.flow("t", "range").unwrap().calls[0].version.to_string(), "1.2.1");
    assert_eq!(host.flow("t", "fixed").unwrap().calls[0].version.to_string(), "1.2.0");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_import_is_held_and_an_upgrade_can_be_declined_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    install(&host).await;
    let wider = component("2.0.0", 0, &[("http", HTTP), ("run-context", CONTEXT)], ORDERS);
    let pending = held(upgrade(&host, wider).await.unwrap());
    assert_eq!(pending.more.len(), 1, "{:?}", pending.more);
    assert!(pending.more[0].en.contains("which task it works for"), "{:?}", pending.more);
    host.decline_upgrade(&admin(), "shop", "2.0.0".parse().unwrap()).await.unwrap();
    assert!(host.pending_upgrades().unwrap().is_empty());
    assert_eq!(entries(&host, "plugin.upgrade.decline")[0].entry.outcome, Outcome::Cancelled);

    let code = |result: Result<Upgraded, factotum_runtime::HostError>| result.unwrap_err().code;
    let lower = component("1.1.0", 0, &[("http", HTTP)], ORDERS);
    assert_eq!(code(upgrade(&host, lower).await), ErrorCode::Conflict);
    let nameless = wat::parse_str("(component)").unwrap();
    assert_eq!(
        code(upgrade(&host, nameless).await),
        ErrorCode::Conflict,
        "without a manifest nothing can be compared"
    );
    let mut other = component("3.0.0", 0, &[("http", HTTP)], ORDERS);
    let at = other.windows(4).position(|part| part == b"shop").unwrap();
    other[at..at + 4].copy_from_slice(b"evil");
    assert_eq!(code(upgrade(&host, other).await), ErrorCode::Conflict, "another plugin is no upgrade");
    assert_eq!(code(upgrade(&host, b"no plugin".to_vec()).await), ErrorCode::InvalidPlugin);
    assert_eq!(sum(&host).await, json!(2));
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_changed_and_taken_back_and_stay_so_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    let before = install(&host).await;
    let wider = Grants::from_toml(&(granted().to_toml().unwrap() + &INVOICES.replace("grants.http", "http")))
        .unwrap();
    let stale = host.set_grants(&admin(), "shop", None, wider.clone(), Some(Grants::default())).await;
    assert_eq!(
        stale.unwrap_err().code,
        ErrorCode::Conflict,
        "somebody else's change is not overwritten unseen"
    );
    let changed = host.set_grants(&admin(), "shop", None, wider.clone(), Some(before.grants)).await.unwrap();
    assert_eq!((changed.change.gained.len(), changed.change.lost.len()), (1, 0), "{:?}", changed.change);
    assert_eq!(changed.plugin.grants, wider);
    let absurd =
        Grants { limits: factotum_grant::Limits { time_ms: 0, ..Default::default() }, ..wider.clone() };
    let refused = host.set_grants(&admin(), "shop", None, absurd, None).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidRequest);
    assert_eq!(host.plugin("shop").unwrap().grants, wider, "what cannot hold is not written down");

    let taken = host.revoke_grants(&admin(), "shop", None, vec![Capability::Http]).await.unwrap();
    assert_eq!((taken.change.gained.len(), taken.change.lost.len()), (0, 2), "{:?}", taken.change);
    assert!(taken.change.lost[0].en.starts_with("may no longer send requests"), "{:?}", taken.change);
    assert!(!taken.plugin.grants.allows(Capability::Http));
    let entry = &entries(&host, "plugin.revoke")[0].entry;
    assert_eq!((entry.actor.as_str(), &entry.detail["lost.1"]), ("token:anna", &taken.change.lost[0].en));
    assert_eq!(entry.digests["before"], host.audit().digest(wider.to_toml().unwrap().as_bytes()));
    assert!(entry.digests.contains_key("after"));

    host.shutdown().await;
    drop(host);
    let host = open(dir.path()).await;
    let info = host.plugin("shop").unwrap();
    assert!(!info.grants.allows(Capability::Http) && info.unavailable.is_none(), "{info:?}");
    assert!(info.may.en.last().unwrap().starts_with("It cannot"), "{:?}", info.may);
    assert_eq!(sum(&host).await, json!(2), "it computes, and reaches nothing");
    // What was taken back does not come back with a new version that asks for what the old one asked for.
    let same = upgrade(&host, component("1.2.1", 100, &[("http", HTTP)], ORDERS)).await.unwrap();
    let Upgraded::Installed(info) = same else { panic!("{same:?}") };
    assert!(!info.grants.allows(Capability::Http));
    assert_eq!(
        host.revoke_grants(&admin(), "nobody", None, Vec::new()).await.unwrap_err().code,
        ErrorCode::UnknownPlugin
    );
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_labels_off_that_nothing_here_gives_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    install(&host).await;
    let marked =
        Grants { data: Grants::from_toml("[data]\nsensitivity = [\"orders\"]").unwrap().data, ..granted() };
    host.set_grants(&admin(), "shop", None, marked, None).await.unwrap();
    let flow = "
document: { dsl: '1.0.3', namespace: t, name: count, version: '1.0.0' }
do:
  - count:
      set: { n: 1 }
      metadata: { declassify: { from: [shop, shopp, 'class:orders', 'class:odrers', trigger], reason: A number } }
";
    let info = host.check_flow(flow, "count.yaml").unwrap();
    let said: Vec<String> = info.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("count.yaml:6:1 /do/0/count/metadata/declassify/from (warning)"), "{said:?}");
    assert!(said[0].contains("no installed plugin is called \"shopp\""), "{said:?}");
    assert!(said[1].contains("of the class \"odrers\""), "{said:?}");
    for _ in 0..2 {
        // Deployed, and deployed again without a change.
        assert_eq!(host.deploy_flow(&admin(), flow, "count.yaml").await.unwrap().warnings, info.warnings);
    }
    host.shutdown().await;
}

/// A component whose validation takes seconds: its types unfold to many long names, which are compared one by one.
fn slow() -> Vec<u8> {
    let mut wat =
        format!(r#"(component (type $leaf (flags "{}")) (export $t0 "t0" (type $leaf))"#, "n".repeat(60_000));
    for at in 0..4 {
        wat += &format!("(type $t{} (tuple {}))", at + 1, format!("$t{at} ").repeat(10));
    }
    wat::parse_str(
        wat + r#"(export "e0" (type $t4) (type (eq $t4))) (export "e1" (type $t4) (type (eq $t4))))"#,
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_taken_back_while_a_component_is_still_being_compiled() {
    let dir = tempfile::tempdir().unwrap();
    let host = std::sync::Arc::new(open(dir.path()).await);
    install(&host).await;
    let busy = std::sync::Arc::clone(&host);
    let adding = tokio::spawn(async move {
        let version = Some("1.0.0".parse().unwrap());
        let request = AddPlugin { wasm: slow(), name: Some("slow".into()), version, ..AddPlugin::default() };
        busy.add_plugin(&admin(), request).await
    });
    // So that it has begun; the claim does not hang on it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    host.revoke_grants(&admin(), "shop", None, vec![]).await.unwrap();
    assert!(!adding.is_finished(), "taking back waited for it");
    assert_eq!(adding.await.unwrap().unwrap().name, "slow");
}

//! Grants and upgrades over the API: who may change them, and what an upgrade that asks for more leads to.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_access::{Role, Scope};
use serde_json::{Value, json};

use super::{Body, Desk, code};

/// A component that imports the run context and HTTP, with a manifest that suggests these paths.
fn component(version: &str, paths: &str) -> String {
    let mut bytes = wat::parse_str(
        r#"(component
            (import "factotum:host/run-context@0.1.0" (instance))
            (import "wasi:http/outgoing-handler@0.2.0" (instance)))"#,
    )
    .unwrap();
    let manifest = format!(
        "name=\"shop\"\nversion=\"{version}\"\nasks=[{{capability=\"http\",reason={{en=\"x\"}}}},{{capability=\"run-context\",reason={{en=\"y\"}}}}]\n[grants]\nrun-context=true\n[[grants.http]]\nhost=\"a.test\"\nmethods=[\"GET\"]\npaths=[{paths}]\n"
    );
    let mut content = vec![17];
    content.extend(b"factotum:manifest");
    content.extend(manifest.bytes());
    // A custom section; its size in LEB128 takes two bytes here.
    let size = u16::try_from(content.len()).unwrap();
    assert!((0x80..0x4000).contains(&size));
    bytes.extend([0, u8::try_from(size & 0x7f).unwrap() | 0x80, u8::try_from(size >> 7).unwrap()]);
    bytes.extend(content);
    STANDARD.encode(bytes)
}

const GRANTS: &str =
    "run-context = true\n[[http]]\nhost = \"a.test\"\nmethods = [\"GET\"]\npaths = [\"/orders\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_grants_and_takes_back_and_nobody_else() {
    let desk = Desk::start().await;
    let add = json!({ "wasm": component("1.0.0", "\"/orders\""), "grants": GRANTS });
    let added = desk.send(1, &desk.admin, "post", "/api/v1/plugins", Body::Json(add)).await;
    assert_eq!(added.status(), 201, "{}", added.text().await.unwrap());
    let path = "/api/v1/plugins/shop/grants";
    let wider = GRANTS.replace("/orders", "/**");
    for role in [Role::Deployer, Role::Operator, Role::Agent, Role::Auditor] {
        let token = desk.token(role.name(), role, Scope::Host);
        let put = desk.send(1, &token, "put", path, Body::Json(json!({ "grants": wider }))).await;
        assert_eq!(code(put, 403).await, "role-lacks-permission", "{role}");
        assert_eq!(
            code(desk.send(1, &token, "delete", path, Body::None).await, 403).await,
            "role-lacks-permission",
            "{role}"
        );
    }
    let stale = json!({ "grants": wider, "expected": "config = true" });
    assert_eq!(code(desk.send(1, &desk.admin, "put", path, Body::Json(stale)).await, 409).await, "conflict");
    let bad = json!({ "grants": "mail = 7" });
    assert_eq!(
        code(desk.send(1, &desk.admin, "put", path, Body::Json(bad)).await, 400).await,
        "invalid-request"
    );
    let put = json!({ "grants": wider, "expected": GRANTS });
    let changed: Value = desk.send(1, &desk.admin, "put", path, Body::Json(put)).await.json().await.unwrap();
    assert_eq!(changed["change"]["gained"].as_array().unwrap().len(), 1, "{changed}");
    let unknown =
        desk.send(1, &desk.admin, "delete", &format!("{path}?capabilities=flight"), Body::None).await;
    assert_eq!(code(unknown, 400).await, "invalid-request");
    let taken = desk.send(1, &desk.admin, "delete", &format!("{path}?capabilities=http"), Body::None).await;
    let taken: Value = taken.json().await.unwrap();
    assert_eq!(taken["plugin"]["grants"]["run-context"], true, "{taken}");
    assert!(taken["plugin"]["grants"].get("http").is_none(), "{taken}");
    let all: Value = desk.send(1, &desk.admin, "delete", path, Body::None).await.json().await.unwrap();
    assert_eq!(all["plugin"]["grants"]["run-context"], false, "{all}");
    assert_eq!((desk.audited("plugin.grant").len(), desk.audited("plugin.revoke").len()), (1, 2));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_asks_for_more_waits_and_is_agreed_to_or_declined() {
    let desk = Desk::start().await;
    let add = json!({ "wasm": component("1.0.0", "\"/orders\""), "grants": GRANTS });
    assert_eq!(desk.send(1, &desk.admin, "post", "/api/v1/plugins", Body::Json(add)).await.status(), 201);
    let bring = |version: &'static str, paths: &'static str| {
        let body = json!({ "wasm": component(version, paths) });
        desk.send(1, &desk.admin, "post", "/api/v1/plugins/shop/upgrade", Body::Json(body))
    };
    let same = bring("1.0.1", "\"/orders\"").await;
    assert_eq!(same.status(), 200);
    assert_eq!(same.json::<Value>().await.unwrap()["status"], "installed");
    let held = bring("1.1.0", "\"/orders\", \"/invoices\"").await;
    assert_eq!(held.status(), 202);
    let held: Value = held.json().await.unwrap();
    assert_eq!(held["pending"]["more"][0]["en"], "may also send requests: read (GET) at a.test: /invoices");
    assert_eq!(bring("1.2.0", "\"/**\"").await.status(), 202);

    let auditor = desk.token("auditor", Role::Auditor, Scope::Host);
    let list: Value = desk.get(&auditor, "/api/v1/upgrades").await.json().await.unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    let agree = |token: String, version: &str, body: Value| {
        let path = format!("/api/v1/upgrades/shop/{version}/agree");
        let desk = &desk;
        async move { desk.send(1, &token, "post", &path, Body::Json(body)).await }
    };
    assert_eq!(code(agree(auditor, "1.1.0", json!({})).await, 403).await, "role-lacks-permission");
    assert_eq!(code(agree(desk.admin.clone(), "9.0.0", json!({})).await, 404).await, "unknown-plugin");
    let digest = held["pending"]["digest"].clone();
    let agreed = agree(desk.admin.clone(), "1.1.0", json!({ "digest": digest })).await;
    assert_eq!(agreed.status(), 200);
    let agreed: Value = agreed.json().await.unwrap();
    assert_eq!((&agreed["status"], &agreed["plugin"]["version"]), (&json!("installed"), &json!("1.1.0")));
    assert_eq!(agreed["change"]["gained"].as_array().unwrap().len(), 1, "{agreed}");
    let declined = desk.send(1, &desk.admin, "post", "/api/v1/upgrades/shop/1.2.0/decline", Body::None).await;
    assert_eq!(declined.status(), 204);
    let list: Value = desk.get(&desk.admin, "/api/v1/upgrades").await.json().await.unwrap();
    assert_eq!(list, json!([]));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_granted_requests_of_its_own_by_an_administrator_only() {
    let desk = Desk::start().await;
    let path = "/api/v1/flows/support/intake/grants";
    let grants =
        "[[http]]\nhost = \"a.test\"\nmethods = [\"GET\"]\npaths = [\"/orders\"]\nsecrets = [\"login\"]\n";
    let put = |token: String, body: Value| {
        let desk = &desk;
        async move { desk.send(1, &token, "put", path, Body::Json(body)).await }
    };
    for role in [Role::Deployer, Role::Operator, Role::Agent, Role::Auditor] {
        let token = desk.token(role.name(), role, Scope::Host);
        let refused = put(token.clone(), json!({ "grants": grants })).await;
        assert_eq!(code(refused, 403).await, "role-lacks-permission", "{role}");
        assert_eq!(desk.get(&token, path).await.status(), 200, "{role}");
    }
    let elsewhere = desk.token("else", Role::Deployer, Scope::Namespaces([String::from("sales")].into()));
    assert_eq!(desk.get(&elsewhere, path).await.status(), 403);
    let bad = put(desk.admin.clone(), json!({ "grants": "config = true" })).await;
    assert_eq!(code(bad, 400).await, "invalid-request", "a flow has requests, and nothing else");
    let changed: Value =
        put(desk.admin.clone(), json!({ "grants": grants, "expected": "" })).await.json().await.unwrap();
    assert_eq!(changed["change"]["gained"].as_array().unwrap().len(), 1, "{changed}");
    let stale = put(desk.admin.clone(), json!({ "grants": grants, "expected": "" })).await;
    assert_eq!(code(stale, 409).await, "conflict");
    let shown: Value = desk.get(&desk.admin, path).await.json().await.unwrap();
    assert_eq!(shown["grants"]["http"][0]["secrets"], json!(["login"]));
    assert!(shown["may"]["en"].to_string().contains("sign in there with the secrets login"), "{shown}");
    assert!(shown["may"]["zh"].to_string().contains("login"), "{shown}");
    let gone: Value = desk.send(1, &desk.admin, "delete", path, Body::None).await.json().await.unwrap();
    assert_eq!(gone["change"]["lost"].as_array().unwrap().len(), 1, "{gone}");
    assert_eq!((desk.audited("flow.grant").len(), desk.audited("flow.revoke").len()), (1, 1));
    desk.stop().await;
}

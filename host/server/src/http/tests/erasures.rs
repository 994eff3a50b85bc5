//! Erasure over the API: for administrators of the whole host, shown first, and then nowhere to be read.

use factotum_access::{Role, Scope};
use serde_json::{Value, json};

use super::{Body, Desk, code};

const MARKER: &str = "ann@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_erases_a_customers_data_and_nobody_else_does() {
    let desk = Desk::start().await;
    let source = "document: { dsl: '1.0.3', namespace: support, name: hook, version: '1.0.0' }\ndo:\n  - answer: { set: { got: '${ .n }' } }\n";
    let deployed =
        desk.send(1, &desk.admin, "post", "/api/v1/flows", Body::Json(json!({ "source": source }))).await;
    assert_eq!(deployed.status(), 201, "{}", deployed.text().await.unwrap());
    let start = |n: Value| {
        let body = Body::Json(json!({ "n": n }));
        desk.send(1, &desk.admin, "post", "/api/v1/flows/support/hook/runs?wait=10", body)
    };
    let hers: Value = start(json!(format!("From: <{MARKER}>"))).await.json().await.unwrap();
    let other: Value = start(json!("bob@example.com")).await.json().await.unwrap();
    assert_eq!(
        (&hers["state"], &other["state"]),
        (&json!("completed"), &json!("completed")),
        "{hers} {other}"
    );
    let erase = |token: String, body: Value| {
        let desk = &desk;
        async move { desk.send(1, &token, "post", "/api/v1/erasures", Body::Json(body)).await }
    };
    for (name, role) in [("oper", Role::Operator), ("aud", Role::Auditor), ("dep", Role::Deployer)] {
        let token = desk.token(name, role, Scope::Host);
        let refused = erase(token, json!({ "subject": MARKER })).await;
        assert_eq!(code(refused, 403).await, "role-lacks-permission", "{name}");
    }
    assert_eq!(
        code(erase(desk.admin.clone(), json!({ "subject": "a" })).await, 400).await,
        "invalid-request"
    );
    let preview = erase(desk.admin.clone(), json!({ "subject": MARKER, "preview": true })).await;
    let preview: Value = preview.json().await.unwrap();
    assert_eq!((&preview["preview"], &preview["complete"]), (&json!(true), &json!(true)), "{preview}");
    assert_eq!(preview["runs"][0]["run_id"], hers["id"]);
    let told: Value = erase(desk.admin.clone(), json!({ "subject": MARKER })).await.json().await.unwrap();
    assert_eq!(told["runs"].as_array().unwrap().len(), 1);
    assert_eq!((&told["runs"][0]["erased"], &told["complete"]), (&json!(true), &json!(true)), "{told}");

    let read = |path: String| {
        let desk = &desk;
        async move { desk.get(&desk.admin, &path).await.text().await.unwrap() }
    };
    let of = |run: &Value| format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    let shown = read(of(&hers)).await;
    assert!(shown.contains("erased") && !shown.contains(MARKER), "{shown}");
    assert!(read(of(&other)).await.contains("bob@example.com"));
    for path in ["/api/v1/runs", "/api/v1/audit", "/api/v1/audit/export", "/api/v1/events", "/api/v1/inbox"] {
        assert!(!read(path.into()).await.contains(MARKER), "{path}");
    }
    let replay =
        desk.send(1, &desk.admin, "post", &format!("{}/replay", of(&hers)), Body::Json(json!({}))).await;
    assert_eq!(code(replay, 409).await, "conflict");
    let verified: Value = desk.get(&desk.admin, "/api/v1/audit/verify").await.json().await.unwrap();
    assert_eq!(verified["findings"], json!([]), "{verified}");
    assert_eq!((desk.audited("data.search").len(), desk.audited("data.erase").len()), (1, 2));
    desk.stop().await;
}

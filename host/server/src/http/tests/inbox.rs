//! The inbox over the API: who sees and answers what.

use factotum_access::{Role, Scope};
use serde_json::{Value, json};

use super::{Body, Desk, code};

const ASKS: &str = "document: { dsl: '1.0.3', namespace: support, name: asks, version: '1.0.0' }\ndo:\n  - ask:\n      call: human-task\n      with: { title: 'Refund?', group: desk, requester: olga, form: { type: object, required: [ok], properties: { ok: { type: boolean } } } }\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_in_his_namespace_and_not_what_he_asked_for() {
    let desk = Desk::start().await;
    let document = json!({ "source": ASKS, "file": "asks.yaml" });
    assert_eq!(desk.send(1, &desk.admin, "post", "/api/v1/flows", Body::Json(document)).await.status(), 201);
    let started =
        desk.send(1, &desk.admin, "post", "/api/v1/flows/support/asks/runs", Body::Json(json!({}))).await;
    let run = started.json::<Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned();
    let here = || Scope::Namespaces(["support".to_owned()].into());
    let anna = desk.token("anna", Role::Agent, here());
    let olga = desk.token("olga", Role::Agent, here());
    let otto = desk.token("otto", Role::Agent, Scope::Namespaces(["sales".to_owned()].into()));
    let auditor = desk.token("aud", Role::Auditor, Scope::Host);
    let operator = desk.token("oper", Role::Operator, Scope::Host);

    let mut items = Vec::new();
    for _ in 0..3_000 {
        let page: Value = desk.get(&anna, "/api/v1/inbox?mine=true").await.json().await.unwrap();
        items = page["items"].as_array().unwrap().clone();
        if !items.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let id = items[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/inbox/{id}");
    let shown: Value = desk.get(&anna, &path).await.json().await.unwrap();
    assert_eq!((&shown["title"], &shown["run"]), (&json!("Refund?"), &json!(run)));
    assert_eq!(shown["form"]["required"], json!(["ok"]));
    assert_eq!(desk.get(&otto, "/api/v1/inbox").await.json::<Value>().await.unwrap()["items"], json!([]));
    assert_eq!(code(desk.get(&otto, &path).await, 403).await, "outside-scope");
    assert_eq!(code(desk.get(&auditor, "/api/v1/inbox").await, 403).await, "role-lacks-permission");

    let complete = |token: String, body: Value| {
        let (desk, path) = (&desk, format!("{path}/complete"));
        async move { desk.send(1, &token, "post", &path, Body::Json(body)).await }
    };
    let good = json!({ "outcome": "approved", "answer": { "ok": true } });
    assert_eq!(code(complete(operator, good.clone()).await, 403).await, "role-lacks-permission");
    assert_eq!(code(complete(otto, good.clone()).await, 403).await, "outside-scope");
    assert_eq!(code(complete(olga, good.clone()).await, 403).await, "denied");
    assert_eq!(
        code(complete(anna.clone(), json!({ "answer": { "ok": 7 } })).await, 422).await,
        "invalid-input"
    );
    let done = complete(anna.clone(), good.clone()).await;
    assert_eq!(done.status(), 200);
    assert_eq!(code(complete(anna.clone(), good).await, 409).await, "conflict");
    let audited = desk.audited("inbox.complete");
    assert_eq!(audited.len(), 1);
    assert_eq!(audited[0].entry.actor.to_string(), "token:anna");
    let ended = desk.host.wait_run(&run, std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!(ended.output.as_ref().unwrap()["by"], "anna");
    desk.stop().await;
}

//! Repair over the API: who may, in which namespace, and what the audit log then says.

use factotum_access::{Role, Scope};
use factotum_runtime::StartRun;
use serde_json::{Value, json};

use super::{Body, Desk, code};

const WAITS: &str = "document: { dsl: '1.0.3', namespace: support, name: waits, version: '1.0.0' }\ndo:\n  - w: { wait: { hours: 1 } }\n  - e: { raise: { error: { type: 'https://x.test/e', status: 400, title: broken } } }\n";

impl Desk {
    async fn waiting(&self) -> String {
        let document = json!({ "source": WAITS, "file": "waits.yaml" });
        let deployed = self.send(1, &self.admin, "post", "/api/v1/flows", Body::Json(document)).await;
        assert_eq!(deployed.status(), 201);
        let request = StartRun {
            actor: factotum_audit::Actor::System,
            flow: "support/waits".into(),
            input: json!({}),
            dedupe_key: None,
            trigger: "test".into(),
        };
        self.host.start_run(request).await.unwrap().run_id
    }

    async fn act(&self, token: &str, id: &str, what: &str, body: Value) -> reqwest::Response {
        self.send(1, token, "post", &format!("/api/v1/runs/{id}/{what}"), Body::Json(body)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_suspends_resumes_and_cancels_in_his_namespace_and_no_agent_does() {
    let desk = Desk::start().await;
    let id = desk.waiting().await;
    let here = Scope::Namespaces(["support".to_owned()].into());
    let operator = desk.token("olga", Role::Operator, here);
    let elsewhere = desk.token("otto", Role::Operator, Scope::Namespaces(["sales".to_owned()].into()));
    let agent = desk.token("anna", Role::Agent, Scope::Host);
    for what in ["suspend", "resume", "cancel", "retry"] {
        assert_eq!(code(desk.act(&agent, &id, what, json!({})).await, 403).await, "role-lacks-permission");
        assert_eq!(code(desk.act(&elsewhere, &id, what, json!({})).await, 403).await, "outside-scope");
    }
    let held: Value =
        desk.act(&operator, &id, "suspend", json!({"reason": "lunch"})).await.json().await.unwrap();
    assert_eq!(held["state"], "suspended", "{held}");
    assert_eq!(code(desk.act(&operator, &id, "retry", json!({})).await, 409).await, "conflict");
    assert_eq!(desk.act(&operator, &id, "resume", json!({})).await.status(), 200);
    let preview: Value =
        desk.act(&operator, &id, "cancel", json!({"preview": true})).await.json().await.unwrap();
    assert_eq!(preview["pending"], false);
    let done: Value =
        desk.act(&operator, &id, "cancel", json!({"reason": "a mistake"})).await.json().await.unwrap();
    assert_eq!(done["state"], "cancelled", "{done}");
    for action in ["run.suspend", "run.resume", "run.cancel"] {
        let entries = desk.audited(action);
        assert_eq!(entries.len(), 1, "{action}");
        assert_eq!(entries[0].entry.actor.to_string(), "token:olga", "{action}");
    }
    let shown: Value = desk.get(&operator, &format!("/api/v1/runs/{id}")).await.json().await.unwrap();
    let events: Vec<_> =
        shown["history"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["accepted", "waiting", "suspended", "resumed", "cancelled"]);
    assert_eq!(code(desk.act(&operator, "nonsense", "retry", json!({})).await, 404).await, "unknown-run");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_retried_only_where_the_asker_may() {
    let desk = Desk::start().await;
    let id = desk.waiting().await;
    let operator = desk.token("olga", Role::Operator, Scope::Namespaces(["support".to_owned()].into()));
    assert_eq!(desk.act(&operator, &id, "cancel", json!({})).await.status(), 200);
    let many = |token: String, body: Value| {
        let desk = &desk;
        async move { desk.send(1, &token, "post", "/api/v1/runs/retry", Body::Json(body)).await }
    };
    let told: Value = many(operator.clone(), json!({"state": "cancelled", "cap": 5, "preview": true}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!((&told["matched"], &told["retried"]), (&json!(1), &json!(1)), "{told}");
    let other = desk.token("otto", Role::Operator, Scope::Namespaces(["sales".to_owned()].into()));
    let told: Value = many(other.clone(), json!({"state": "cancelled", "cap": 5, "preview": true}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(told["matched"], 0, "{told}");
    let named = json!({"flow": "support/waits", "cap": 5});
    assert_eq!(code(many(other, named).await, 403).await, "outside-scope");
    for bad in [json!({"cap": 0}), json!({"cap": 1, "state": "waiting"}), json!({"cap": 1, "since": "noon"})]
    {
        assert_eq!(code(many(operator.clone(), bad).await, 400).await, "invalid-request");
    }
    desk.stop().await;
}

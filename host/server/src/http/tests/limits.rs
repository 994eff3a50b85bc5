//! Limits of flows over the API: what is refused with which status, what waits and says why.

use factotum_access::{Role, Scope};
use serde_json::{Value, json};

use super::{Body, Desk, code};

const ONE: &str = "document: { dsl: '1.0.3', namespace: support, name: one, version: '1.0.0', metadata: { trigger: { webhook: { auth: none } }, limits: { concurrency: { max: 1, key: .customer }, queue: 2 } } }\ndo:\n  - w: { wait: { hours: 1 } }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_a_full_flow_is_told_when_to_come_back_and_a_queued_run_says_why() {
    let desk = Desk::start().await;
    let document = json!({ "source": ONE, "file": "one.yaml" });
    let deployed: Value =
        desk.send(1, &desk.admin, "post", "/api/v1/flows", Body::Json(document)).await.json().await.unwrap();
    assert_eq!(deployed["warnings"], json!([]), "limits hold, so nothing is warned of");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let taken =
            desk.send(1, "", "post", "/hooks/support/one", Body::Json(json!({"customer": "acme"}))).await;
        assert_eq!(taken.status(), 202);
        let started: Value = taken.json().await.unwrap();
        ids.push(started["run_id"].as_str().unwrap().to_owned());
    }
    for path in ["/hooks/support/one", "/api/v1/flows/support/one/runs"] {
        let token = if path.starts_with("/hooks") { "" } else { &desk.admin };
        let refused = desk.send(1, token, "post", path, Body::Json(json!({"customer": "acme"}))).await;
        let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=3_600).contains(&after));
        assert_eq!(code(refused, 429).await, "queue-full");
    }
    let other = desk.send(1, "", "post", "/hooks/support/one", Body::Json(json!({"customer": "zeta"}))).await;
    assert_eq!(other.status(), 202, "another customer is not held up");

    let shown: Value = desk.get(&desk.admin, &format!("/api/v1/runs/{}", ids[2])).await.json().await.unwrap();
    assert_eq!(shown["state"], "queued");
    let reason = shown["queued"]["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        format!(
            "1 of 1 runs of support/one with key \"acme\" are under way (first: {}); 1 run is before this one",
            ids[0]
        )
    );
    assert!(shown["queued"]["reason_zh"].as_str().unwrap().contains("acme"));
    let page: Value = desk.get(&desk.admin, "/api/v1/runs?state=queued").await.json().await.unwrap();
    assert_eq!(page["runs"].as_array().unwrap().len(), 2);
    assert_eq!(page["runs"][0]["queued"]["before"], 1);
    // The key is made of the message: who may not read runs does not see it in lists.
    let auditor = desk.token("audrey", Role::Auditor, Scope::Host);
    let response = desk.get(&auditor, "/api/v1/runs?state=queued").await;
    assert_eq!(response.status(), 200);
    assert!(!response.text().await.unwrap().contains("acme"));
    let flow: Value = desk.get(&desk.admin, "/api/v1/flows/support/one").await.json().await.unwrap();
    assert_eq!(flow["info"]["limits"]["under_way"], 2);
    assert_eq!(flow["info"]["limits"]["queued"], 2);
    let status: Value = desk.get(&desk.admin, "/api/v1/status").await.json().await.unwrap();
    assert_eq!(status["held_runs"], 2);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_holds_back_as_many_as_it_can_is_full_for_everyone() {
    let desk = Desk::start_with(|config| config.limits.max_held_runs = 1).await;
    let document = json!({ "source": ONE, "file": "one.yaml" });
    desk.send(1, &desk.admin, "post", "/api/v1/flows", Body::Json(document)).await;
    let send = || desk.send(1, "", "post", "/hooks/support/one", Body::Json(json!({"customer": "acme"})));
    assert_eq!(
        (send().await.status(), send().await.status()),
        (202.try_into().unwrap(), 202.try_into().unwrap())
    );
    let refused = send().await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(code(refused, 503).await, "busy");
    desk.stop().await;
}

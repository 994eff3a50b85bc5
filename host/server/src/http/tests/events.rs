//! Events over the API: who may send and read them, the three modes, and the live stream.

use std::time::Duration;

use factotum_access::{Role, Scope};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::{Body, Desk, code};

const STARTED: &str = "document: { dsl: '1.0.3', namespace: support, name: ordered, version: '1.0.0' }\nschedule: { on: { one: { with: { type: com.example.order } } } }\ndo:\n  - note: { set: { order: '${ .[0].data.order }' } }\n";

impl Desk {
    async fn publish(&self, token: &str, media_type: &str, body: impl ToString) -> Response {
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/events", self.address)).bearer_auth(token);
        let attributes = [
            ("ce-specversion", "1.0"),
            ("ce-id", "b"),
            ("ce-source", "/shop"),
            ("ce-type", "com.example.order"),
        ];
        let request = if media_type.starts_with("application/cloudevents") {
            request
        } else {
            attributes.into_iter().fold(request, |request, (name, value)| request.header(name, value))
        };
        request.header("content-type", media_type).body(body.to_string()).send().await.unwrap()
    }
}

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "com.example.order", "data": {"order": id}})
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_once_start_flows_and_are_listed_for_those_who_may() {
    let desk = Desk::start().await;
    let document = json!({ "source": STARTED, "file": "ordered.yaml" });
    assert_eq!(desk.send(1, &desk.admin, "post", "/api/v1/flows", Body::Json(document)).await.status(), 201);
    let deployer = desk.token("dora", Role::Deployer, Scope::Host);
    let agent = desk.token("anna", Role::Agent, Scope::Host);
    let confined = desk.token("carl", Role::Operator, Scope::Namespaces(["support".to_owned()].into()));

    let structured = "application/cloudevents+json";
    let answer = desk.publish(&deployer, structured, event("a")).await;
    assert_eq!(answer.status(), 202);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["published"][0]["duplicate"], false);
    let again: Value = desk.publish(&deployer, structured, event("a")).await.json().await.unwrap();
    assert_eq!(
        again["published"][0],
        json!({"sequence": answer["published"][0]["sequence"], "duplicate": true})
    );
    assert_eq!(desk.publish(&deployer, "application/json", json!({"order": "b"})).await.status(), 202);
    let batch = "application/cloudevents-batch+json";
    let answer: Value =
        desk.publish(&deployer, batch, json!([event("b"), event("c")])).await.json().await.unwrap();
    let duplicates: Vec<_> =
        answer["published"].as_array().unwrap().iter().map(|p| p["duplicate"].clone()).collect();
    assert_eq!(duplicates, [json!(true), json!(false)]);

    let bad = desk.publish(&deployer, batch, json!([event("d"), {"id": "e"}])).await;
    assert_eq!(code(bad, 400).await, "invalid-request");
    for token in [&agent, &confined] {
        assert_eq!(desk.publish(token, structured, event("x")).await.status(), 403);
        assert_eq!(desk.get(token, "/api/v1/events").await.status(), 403);
    }
    assert_eq!(desk.get(&deployer, "/api/v1/events").await.status(), 403, "who sends need not read");

    let page: Value = desk.get(&desk.admin, "/api/v1/events").await.json().await.unwrap();
    let ids: Vec<_> = page["events"].as_array().unwrap().iter().map(|e| e["event"]["id"].clone()).collect();
    assert_eq!(ids, ["c", "b", "a"], "nothing of the bad batch was taken");
    let mut outputs = Vec::new();
    for _ in 0..3_000 {
        let page: Value = desk.get(&desk.admin, "/api/v1/runs?state=completed").await.json().await.unwrap();
        outputs = page["runs"].as_array().unwrap().iter().map(|run| run["trigger"].clone()).collect();
        if outputs.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(outputs, ["event", "event", "event"]);
    assert_eq!(desk.audited("event.publish").len(), 3);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_sees_a_run_from_its_start_to_its_end() {
    let desk = Desk::start().await;
    let document = json!({ "source": STARTED, "file": "ordered.yaml" });
    assert_eq!(desk.send(1, &desk.admin, "post", "/api/v1/flows", Body::Json(document)).await.status(), 201);
    let agent = desk.token("anna", Role::Agent, Scope::Host);
    assert_eq!(desk.get(&agent, "/api/v1/events/stream").await.status(), 403);
    let mut stream = desk.get(&desk.admin, "/api/v1/events/stream?flow=support/ordered").await;
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    desk.publish(&desk.admin, "application/cloudevents+json", event("a")).await;
    let mut seen = String::new();
    while !seen.contains("workflow.completed.v1") {
        let chunk = tokio::time::timeout(Duration::from_secs(60), stream.chunk()).await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert!(
        seen.contains("event: cloudevent") && seen.contains("io.serverlessworkflow.workflow.started.v1"),
        "{seen}"
    );
    desk.host.end_watching();
    let end = tokio::time::timeout(Duration::from_secs(60), stream.chunk()).await.unwrap().unwrap();
    assert_eq!(end, None, "a host that stops lets its readers go");
    desk.stop().await;
}

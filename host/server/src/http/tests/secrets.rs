//! Secrets go in, are used, and never come out.

use factotum_access::{Role, Scope};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Body, Desk, code};

impl Desk {
    async fn set(&self, path: &str, value: &str) -> reqwest::Response {
        self.send(1, &self.admin, "put", path, Body::Text(value.into())).await
    }

    /// Posts a signed message; the answer's status.
    async fn signed(&self, key: &str) -> u16 {
        let body = r#"{"n":1}"#;
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(body);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request =
            client.post(format!("{}/hooks/a/f", self.address)).header("content-type", "application/json");
        let signature = hex::encode(mac.finalize().into_bytes());
        request.header("x-signature", signature).body(body).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_accepts_both_values_while_a_rotation_overlaps() {
    let desk = Desk::start().await;
    let deployed =
        desk.deploy(&desk.admin, "a", "f", "{ auth: { hmac: { secret: hook, header: x-signature } } }").await;
    assert_eq!(deployed.status(), 201);
    assert_eq!(desk.signed("first").await, 503, "not set yet");
    assert_eq!(code(desk.set("/api/v1/secrets/hook?overlap=60", "first").await, 404).await, "unknown-secret");
    assert_eq!(desk.set("/api/v1/secrets/hook", "first").await.status(), 200);
    assert_eq!((desk.signed("first").await, desk.signed("second").await), (202, 401));
    let rotated: Value = desk.set("/api/v1/secrets/hook?overlap=3600", "second").await.json().await.unwrap();
    assert_eq!(
        (&rotated["version"], &rotated["accepted"][0]["version"]),
        (&json!(2), &json!(1)),
        "{rotated}"
    );
    assert_eq!((desk.signed("first").await, desk.signed("second").await), (202, 202));
    assert_eq!(desk.set("/api/v1/secrets/hook", "third").await.status(), 200);
    assert_eq!(
        (desk.signed("first").await, desk.signed("second").await, desk.signed("third").await),
        (401, 401, 202)
    );
    let removed = desk.send(1, &desk.admin, "delete", "/api/v1/secrets/hook", Body::None).await;
    assert_eq!(removed.status(), 204);
    assert_eq!(desk.signed("third").await, 503);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_repeats_a_value() {
    let desk = Desk::start().await;
    let value = "s3cr3t-that-must-not-come-back";
    let deployer = desk.token("deployer", Role::Deployer, Scope::Host);
    let mut answers = Vec::new();
    let mut note = async |response: reqwest::Response, status: u16| {
        assert_eq!(response.status().as_u16(), status, "{}", response.url());
        answers.push(response.text().await.unwrap());
    };
    note(desk.set("/api/v1/secrets/one", value).await, 200).await;
    note(desk.set("/api/v1/secrets/one?overlap=99999999", value).await, 400).await;
    note(desk.set("/api/v1/secrets/one?overlap=soon", value).await, 400).await;
    note(desk.set("/api/v1/secrets/no%20name", value).await, 400).await;
    note(desk.set("/api/v1/secrets/long", &value.repeat(3000)).await, 413).await;
    note(desk.set("/api/v1/secrets/empty", "").await, 400).await;
    let quoted = Body::Json(json!({ "value": value }));
    note(desk.send(1, &desk.admin, "put", "/api/v1/secrets/quoted", quoted).await, 415).await;
    note(desk.send(1, &deployer, "put", "/api/v1/secrets/two", Body::Text(value.into())).await, 403).await;
    note(desk.get(&deployer, "/api/v1/secrets").await, 200).await;
    note(desk.get(&desk.admin, "/api/v1/secrets/one").await, 405).await;
    let rotate = desk.send(1, &desk.admin, "post", "/api/v1/master-key/rotate", Body::None).await;
    note(rotate, 200).await;
    note(desk.get(&desk.admin, "/api/v1/audit?limit=1000").await, 200).await;
    for answer in &answers {
        assert!(!answer.contains("must-not-come-back"), "{answer}");
    }
    let listed: Value = desk.get(&desk.admin, "/api/v1/secrets").await.json().await.unwrap();
    assert_eq!(listed["secrets"][0]["name"], "one", "{listed}");
    assert_eq!(listed["secrets"][0]["by"], "token:admin", "{listed}");
    assert_eq!(desk.audited("secret.set").len(), 1, "only what was done");
    assert_eq!(desk.audited("secret.master-key.rotate").len(), 1);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_changes_the_key_of_payloads_and_what_was_stored_stays_readable() {
    let desk = Desk::start().await;
    let deployed = desk.deploy(&desk.admin, "a", "f", "{ auth: none, reply: sync }").await;
    assert_eq!(deployed.status(), 201);
    let post = async |n: u32| {
        let answer = desk.send(1, "", "post", "/hooks/a/f", Body::Json(json!({ "n": n }))).await;
        answer.headers()["factotum-run"].to_str().unwrap().to_owned()
    };
    let rotate = |token: String| {
        let desk = &desk;
        async move { desk.send(1, &token, "post", "/api/v1/payload-key/rotate", Body::None).await }
    };
    let first = post(1).await;
    for role in [Role::Deployer, Role::Operator, Role::Agent, Role::Auditor] {
        let token = desk.token(role.name(), role, Scope::Host);
        assert_eq!(code(rotate(token).await, 403).await, "role-lacks-permission");
    }
    assert_eq!(rotate(desk.admin.clone()).await.json::<Value>().await.unwrap(), json!({ "payload_key": 2 }));
    let second = post(2).await;
    assert_eq!(rotate(desk.admin.clone()).await.json::<Value>().await.unwrap(), json!({ "payload_key": 3 }));
    let listed: Value = desk.get(&desk.admin, "/api/v1/secrets").await.json().await.unwrap();
    assert_eq!(listed["payload_key"], 3);
    for (run, n) in [(first, 1), (second, 2)] {
        let shown: Value = desk.get(&desk.admin, &format!("/api/v1/runs/{run}")).await.json().await.unwrap();
        assert_eq!(
            (&shown["input"], &shown["output"]),
            (&json!({ "n": n }), &json!({ "got": n })),
            "{shown}"
        );
    }
    let audited = desk.audited("secret.payload-key.rotate");
    assert_eq!(audited.len(), 2);
    assert!(audited.iter().all(|record| serde_json::to_string(record).unwrap().contains("token:admin")));
    // Until there are as many as there may be.
    for number in 4..=64 {
        let rotated: Value = rotate(desk.admin.clone()).await.json().await.unwrap();
        assert_eq!(rotated["payload_key"], number);
    }
    assert_eq!(code(rotate(desk.admin.clone()).await, 409).await, "too-many-keys");
    desk.stop().await;
}

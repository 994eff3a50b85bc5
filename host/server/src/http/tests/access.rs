//! Who gets in where.

use std::collections::BTreeSet;

use factotum_access::{FAILURE_BURST, PERMISSIONS, PermissionRow, Reach, Role, Scope};
use serde_json::{Value, json};

use super::{Body, Desk, code};
use crate::{http::openapi, upkeep};

/// What is open on purpose: supervisors ask for health, and each webhook has its flow's own authentication.
const OPEN: [&str; 3] = ["get /healthz", "get /readyz", "post /hooks/{namespace}/{flow}"];

struct Endpoint {
    method: String,
    path: String,
    wants: &'static PermissionRow,
}

/// Every endpoint of the description with the permission that it wants.
fn endpoints() -> Vec<Endpoint> {
    let document = serde_json::to_value(openapi()).unwrap();
    let (mut endpoints, mut open) = (Vec::new(), BTreeSet::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation.get("security").is_none() {
                open.insert(format!("{method} {path}"));
                continue;
            }
            let name = operation["security"][0]["token"][0].as_str();
            let wants = PERMISSIONS.iter().find(|row| Some(row.name) == name);
            let wants =
                wants.unwrap_or_else(|| panic!("{method} {path} wants {name:?}, which is no permission"));
            endpoints.push(Endpoint { method: method.clone(), path: path.clone(), wants });
        }
    }
    assert_eq!(open, OPEN.map(str::to_owned).into());
    assert!(endpoints.len() >= 20, "the description was read");
    endpoints
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_refuses_strangers_and_roles_without_its_permission() {
    let desk = Desk::start().await;
    let tokens = Role::ALL.map(|role| (role, desk.token(&format!("the-{role}"), role, Scope::Host)));
    let other = if desk.admin.ends_with('0') { '1' } else { '0' };
    let never_given = format!("{}{other}", &desk.admin[..desk.admin.len() - 1]);
    let mut refused = 0;
    for (number, endpoint) in endpoints().into_iter().enumerate() {
        let Endpoint { method, path, wants } = &endpoint;
        let from = u8::try_from(number + 2).unwrap();
        let url = path.replace(['{', '}'], "");
        let response = desk.send(from, "", method, &url, Body::None).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"factotum\"", "{method} {path}");
        assert_eq!(code(response, 401).await, "token-missing", "{method} {path}");
        let response = desk.send(from, &never_given, method, &url, Body::None).await;
        assert!(
            response.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"),
            "{method} {path}"
        );
        code(response, 401).await;
        refused += 2;
        for (role, token) in &tokens {
            let response = desk.send(from, token, method, &url, Body::Json(json!({}))).await;
            if role.has(wants.permission) {
                let status = response.status().as_u16();
                assert!(status != 401 && status != 403, "{method} {path} refuses {role}: {status}");
                continue;
            }
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["code"], "role-lacks-permission", "{method} {path} as {role}: {problem}");
            assert_eq!(problem["status"], 403);
            assert!(problem["detail"].as_str().unwrap().contains(wants.name), "{problem}");
            assert!(problem["hint"].as_str().unwrap().contains("admin"), "{problem}");
            refused += 1;
        }
    }
    let audited = desk.audited("auth.refused");
    assert_eq!(audited.len(), refused, "every refusal is in the audit log");
    let of_auditor: BTreeSet<_> = audited
        .iter()
        .filter(|record| record.entry.actor == "token:the-auditor")
        .map(|record| record.entry.target.clone())
        .collect();
    assert!(of_auditor.contains("POST /api/v1/plugins") && of_auditor.contains("PUT /api/v1/secrets/name"));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_confined_to_a_namespace_gets_nothing_of_another() {
    let desk = Desk::start().await;
    for namespace in ["a", "b"] {
        assert_eq!(desk.deploy(&desk.admin, namespace, "f", "{ auth: none }").await.status(), 201);
    }
    let started = |namespace: &'static str| {
        let path = format!("/api/v1/flows/{namespace}/f/runs?wait=60");
        let desk = &desk;
        async move {
            let response = desk.send(1, &desk.admin, "post", &path, Body::Json(json!({ "n": 1 }))).await;
            assert_eq!(response.status(), 200);
            response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
        }
    };
    let (run_a, run_b) = (started("a").await, started("b").await);
    let confined = desk.token("of-b", Role::Admin, Scope::namespaces(["b"]));
    // These have no namespace in their address; what they give a confined token is looked at below, and in the tests of
    // the inbox and of repair.
    let looked_at_below = [
        "get /api/v1/flows",
        "post /api/v1/flows",
        "get /api/v1/runs",
        "get /api/v1/artifacts/{id}",
        "post /api/v1/runs/retry",
        "get /api/v1/inbox",
        "get /api/v1/inbox/{id}",
        "post /api/v1/inbox/{id}/complete",
    ];
    for endpoint in endpoints() {
        let Endpoint { method, path, wants } = &endpoint;
        let url = path.replace("{namespace}", "a").replace("{name}", "f").replace("{id}", &run_a);
        let url = url.replace("{function}", "g");
        let response = desk.send(1, &confined, method, &url, Body::Json(json!({}))).await;
        match wants.reach {
            Reach::Common => assert!(![401, 403].contains(&response.status().as_u16()), "{method} {path}"),
            Reach::Namespace if looked_at_below.contains(&format!("{method} {path}").as_str()) => {}
            Reach::Namespace | Reach::Host => {
                assert_eq!(code(response, 403).await, "outside-scope", "{method} {path}");
            }
        }
    }
    let text = |path: String| {
        let (desk, confined) = (&desk, &confined);
        async move { desk.get(confined, &path).await.text().await.unwrap() }
    };
    assert!(text(format!("/api/v1/runs/{run_b}")).await.contains(&run_b), "its own it may see");
    let flows: Value = serde_json::from_str(&text("/api/v1/flows".into()).await).unwrap();
    assert_eq!((flows.as_array().unwrap().len(), &flows[0]["namespace"]), (1, &json!("b")));
    let runs: Value = serde_json::from_str(&text("/api/v1/runs".into()).await).unwrap();
    assert_eq!((runs["runs"].as_array().unwrap().len(), &runs["runs"][0]["id"]), (1, &json!(run_b)));
    code(desk.get(&confined, "/api/v1/runs?flow=a/f").await, 403).await;
    let unknown = text("/api/v1/flows/b/nothing".into()).await;
    assert!(unknown.contains("b/f") && !unknown.contains("a/f"), "{unknown}");
    code(desk.deploy(&confined, "a", "g", "{ auth: none }").await, 403).await;
    assert_eq!(desk.deploy(&confined, "b", "g", "{ auth: none }").await.status(), 201);
    let deployed = desk.audited("flow.deploy");
    assert_eq!(deployed[0].entry.actor.to_string(), "token:of-b", "the audit log has the token's name");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_and_does_not_lock_anybody_out() {
    let desk = Desk::start().await;
    let guess = format!("factotum_{}", "0".repeat(72));
    for _ in 0..FAILURE_BURST {
        code(desk.send(7, &guess, "get", "/api/v1/runs", Body::None).await, 401).await;
    }
    for _ in 0..5 {
        let response = desk.send(7, &guess, "get", "/api/v1/runs", Body::None).await;
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(code(response, 429).await, "too-many-failures");
    }
    let good = desk.send(7, &desk.admin, "get", "/api/v1/runs", Body::None).await;
    assert_eq!(good.status(), 200, "others behind the same address go on");
    code(desk.send(8, &guess, "get", "/api/v1/runs", Body::None).await, 401).await;
    // What is past the limit is one entry, and not one each.
    let (host, access) = (desk.host.clone(), desk.access.clone());
    tokio::task::spawn_blocking(move || upkeep::note_tokens(&host, &access)).await.unwrap();
    let audited = desk.audited("auth.refused");
    assert_eq!(audited.len() as u64, FAILURE_BURST + 2);
    let counted = serde_json::to_string(&audited[0]).unwrap();
    assert!(counted.contains("\"5\"") && counted.contains("127.0.0.7"), "{counted}");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhooks_secret_cannot_be_found_by_trying() {
    let desk = Desk::start().await;
    let set = desk.send(1, &desk.admin, "put", "/api/v1/secrets/intake", Body::Text("right".into())).await;
    assert_eq!(set.status(), 200);
    desk.deploy(&desk.admin, "a", "f", "{ auth: { bearer: { secret: intake } } }").await;
    let post = |from: u8, token: &'static str| {
        let desk = &desk;
        async move { desk.send(from, token, "post", "/hooks/a/f", Body::Json(json!({ "n": 1 }))).await }
    };
    assert_eq!(post(9, "right").await.status(), 202);
    for _ in 0..FAILURE_BURST {
        code(post(9, "wrong").await, 401).await;
    }
    let response = post(9, "right").await;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(code(response, 429).await, "too-many-failures", "even the right one has to wait now");
    assert_eq!(post(10, "right").await.status(), 202);
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_given_out_used_and_taken_back() {
    let desk = Desk::start().await;
    let new = json!({ "name": "ci", "role": "deployer", "namespaces": ["support"], "expires_seconds": 3600 });
    let given = desk.send(1, &desk.admin, "post", "/api/v1/tokens", Body::Json(new.clone())).await;
    assert_eq!(given.status(), 201);
    let given: Value = given.json().await.unwrap();
    let token = given["token"].as_str().unwrap().to_owned();
    assert_eq!(
        (&given["info"]["role"], &given["info"]["namespaces"], &given["info"]["state"]),
        (&json!("deployer"), &json!(["support"]), &json!("active"))
    );
    assert_eq!(desk.get(&token, "/api/v1/flows").await.status(), 200);
    assert_eq!(
        code(desk.send(1, &desk.admin, "post", "/api/v1/tokens", Body::Json(new)).await, 409).await,
        "token-exists"
    );
    let listed = desk.get(&desk.admin, "/api/v1/tokens").await.text().await.unwrap();
    assert!(listed.contains("\"ci\"") && !listed.contains(&token[9..40]), "{listed}");
    let revoke = |name: &str| {
        let (desk, path) = (&desk, format!("/api/v1/tokens/{name}/revoke"));
        async move { desk.send(1, &desk.admin, "post", &path, Body::None).await }
    };
    assert_eq!(revoke("ci").await.status(), 200);
    assert_eq!(code(desk.get(&token, "/api/v1/flows").await, 401).await, "token-revoked");
    assert_eq!(code(revoke("admin").await, 409).await, "last-admin-token");
    assert_eq!(code(revoke("nobody").await, 404).await, "unknown-token");
    for (bad, why) in [
        (json!({ "name": "x", "role": "root" }), "auditor"),
        (json!({ "name": "a b", "role": "agent" }), "name"),
        (json!({ "name": "x", "role": "agent", "namespaces": [] }), "namespaces"),
        (json!({ "name": "x", "role": "agent", "expires_seconds": 0 }), "life"),
    ] {
        let response = desk.send(1, &desk.admin, "post", "/api/v1/tokens", Body::Json(bad)).await;
        assert_eq!(response.status(), 400);
        assert!(response.text().await.unwrap().contains(why));
    }
    let prune = Body::Json(json!({ "ended_seconds_ago": 0 }));
    let pruned = desk.send(1, &desk.admin, "post", "/api/v1/tokens/prune", prune).await;
    assert_eq!(pruned.json::<Value>().await.unwrap(), json!({ "forgotten": 1 }));
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_with_certificates_takes_nobody_where_no_authority_is_trusted_and_deploying_says_so() {
    let desk = Desk::start().await;
    let deployed = desk.deploy(&desk.admin, "a", "f", "{ auth: { mtls: { dns: [hooks.example] } } }").await;
    assert_eq!(deployed.status(), 201);
    let deployed: Value = deployed.json().await.unwrap();
    let warning = &deployed["warnings"][0];
    assert_eq!(warning["path"], "/document/metadata/trigger/webhook/auth/mtls", "{deployed}");
    assert!(warning["hint"].as_str().unwrap().contains("client-authorities"), "{deployed}");
    let post = || desk.send(1, "", "post", "/hooks/a/f", Body::Json(json!({ "n": 1 })));
    assert_eq!(code(post().await, 503).await, "not-configured");
    let other = desk.deploy(&desk.admin, "a", "g", "{ auth: none }").await;
    assert_eq!(other.json::<Value>().await.unwrap()["warnings"], json!([]));
    desk.stop().await;
}

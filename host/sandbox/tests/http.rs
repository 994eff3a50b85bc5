//! Outgoing HTTP: one request as granted, one answer, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::sync::Arc;

use common::{call, component, fault, grants, hostile, ok, sandbox, server::Server, spec};
use factotum_grant::{Capability, Grants, HttpTarget, check_http};
use factotum_sandbox::{FaultKind, UseOutcome, testing::Memory};
use serde_json::{Value, json};

fn request(method: &str, url: &str) -> Value {
    json!({"method": method, "url": url, "headers": [], "body": ""})
}

#[tokio::test]
async fn a_granted_request_arrives_whole_and_its_answer_comes_back() {
    let server = Server::saying("Good day").await;
    let (plugin, _) = hostile(&server.rule(r#"["POST"]"#, r#"["/cases/*"]"#));
    let input = json!({
        "method": "POST", "url": server.url("/cases/7?secret=42"),
        "headers": [["content-type", "text/plain"], ["x-list", "a"], ["x-list", "b"]], "body": "退货",
    });
    let report = call(&plugin, "request", input).await;
    let answer = report.result.unwrap();
    assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("Good day")));
    assert!(answer["headers"].as_array().unwrap().contains(&json!(["x-kind", "test"])));
    let [seen] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert!(
        seen.starts_with("POST /cases/7?secret=42 HTTP/1.1\r\n") && seen.ends_with("\r\n\r\n退货"),
        "{seen}"
    );
    assert!(seen.contains("content-type: text/plain") && seen.contains("x-list: b"), "{seen}");
    // The use names the destination; the query may hold a customer's data.
    let [used] = &report.uses[..] else { panic!("{:?}", report.uses) };
    assert_eq!(
        (used.capability, used.action.as_str(), &used.outcome),
        (Capability::Http, "POST", &UseOutcome::Ok)
    );
    assert_eq!(used.target, server.url("/cases/7"));
}

#[tokio::test]
async fn the_host_header_is_there_exactly_once() {
    // An engine's release once left it out (wasmtime#14190); a second one would be read in two ways.
    let server = Server::saying("x").await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/"]"#));
    ok(&plugin, "request", request("GET", &server.url("/"))).await;
    let seen = server.seen().remove(0).to_lowercase();
    let hosts: Vec<_> = seen.lines().filter(|line| line.starts_with("host:")).collect();
    assert_eq!(hosts, [format!("host: 127.0.0.1:{}", server.port)]);
    // A guest does not get to write one.
    let forged =
        json!({"method": "GET", "url": server.url("/"), "headers": [["host", "evil.test"]], "body": ""});
    assert!(call(&plugin, "request", forged).await.result.is_err());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn what_is_not_granted_is_not_sent_and_the_mend_would_allow_it() {
    let server = Server::saying("x").await;
    let other = Server::saying("x").await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/cases/*"]"#));
    for (method, url, path, port) in [
        ("DELETE", server.url("/cases/7"), "/cases/7", server.port),
        ("GET", server.url("/invoices"), "/invoices", server.port),
        ("GET", server.url("/cases/7/notes"), "/cases/7/notes", server.port),
        ("GET", other.url("/cases/7"), "/cases/7", other.port),
    ] {
        let report = call(&plugin, "request", request(method, &url)).await;
        let fault = report.result.unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Business, "denied"), "{method} {url}");
        let [used] = &report.uses[..] else { panic!("{:?}", report.uses) };
        assert_eq!((used.action.as_str(), used.target.as_str()), (method, url.as_str()));
        let UseOutcome::Denied { mend } = &used.outcome else { panic!("{used:?}") };
        let target = HttpTarget { scheme: "http", host: "127.0.0.1", port, method, path };
        assert!(check_http(&Grants::from_toml(mend).unwrap().http, &target).is_ok(), "{mend}");
    }
    assert!(server.seen().is_empty() && other.seen().is_empty());
}

#[tokio::test]
async fn odd_targets_reach_nothing_that_is_not_granted() {
    let server = Server::saying("x").await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/cases/*"]"#));
    let port = server.port;
    for (authority, path) in [
        (format!("127.0.0.1:{port}"), "/cases/../admin".to_owned()),
        (format!("127.0.0.1:{port}"), "/cases/%2e%2e/admin".into()),
        (format!("127.0.0.1:{port}"), "/cases/a%2f..%2fadmin".into()),
        (format!("127.0.0.1:{port}"), "//cases/7".into()),
        (format!("user:pass@127.0.0.1:{port}"), "/cases/7".into()),
        (format!("evil.test@127.0.0.1:{port}"), "/cases/7".into()),
        ("127.0.0.1:1".into(), "/cases/7".into()),
        ("169.254.169.254".into(), "/latest/meta-data".into()),
        ("[::1]".into(), "/cases/7".into()),
        (String::new(), "/cases/7".into()),
    ] {
        let report = call(&plugin, "request-raw", json!({"authority": authority, "path": path})).await;
        assert!(report.result.is_err(), "{authority}{path}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    ok(&plugin, "request-raw", json!({"authority": format!("127.0.0.1:{port}"), "path": "/cases/7"})).await;
}

#[tokio::test]
async fn a_private_address_needs_a_rule_that_says_so() {
    let server = Server::saying("x").await;
    let rule = server.rule(r#"["GET"]"#, r#"["/"]"#).replace("private-network = true\n", "");
    let (plugin, _) = hostile(&rule);
    let report = call(&plugin, "request", request("GET", &server.url("/"))).await;
    assert_eq!(report.result.unwrap_err().code, "denied");
    assert!(
        matches!(&report.uses[0].outcome, UseOutcome::Denied { mend } if mend.contains("private-network = true"))
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let other = Server::saying("stolen").await;
    let server = Server::start(format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        other.url("/")
    ))
    .await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/"]"#));
    let answer = ok(&plugin, "request", request("GET", &server.url("/"))).await;
    assert_eq!(answer["status"], json!(302));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_technical_fault_and_noted_as_failed() {
    let server = Server::saying("x").await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/"]"#));
    let url = server.url("/");
    drop(server);
    tokio::task::yield_now().await;
    let report = call(&plugin, "request", request("GET", &url)).await;
    assert_eq!(report.result.unwrap_err().kind, FaultKind::Technical);
    assert_eq!(report.uses[0].outcome, UseOutcome::Failed { code: "unavailable".into() });
}

#[tokio::test]
async fn a_server_that_never_answers_ends_with_the_calls_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let rule = format!(
        "[limits]\ntime-ms = 300\n[[http]]\nscheme = \"http\"\nhost = \"127.0.0.1\"\nport = {port}\nmethods = [\"GET\"]\npaths = [\"/\"]\nprivate-network = true"
    );
    let (plugin, _) = hostile(&rule);
    let report = call(&plugin, "request", request("GET", &format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(report.result.unwrap_err().code, "timeout");
    assert!(report.elapsed < std::time::Duration::from_secs(30));
}

#[tokio::test]
async fn answers_held_unread_are_counted() {
    let server = Server::saying("x").await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/"]"#));
    let report = call(&plugin, "overflow.hold-answers", json!({"url": server.url("/"), "count": 12})).await;
    let outcomes = report.result.unwrap();
    let count = |text: &str| {
        outcomes.as_array().unwrap().iter().filter(|o| o.as_str().unwrap().contains(text)).count()
    };
    assert_eq!((count("200"), count("ConnectionLimitReached")), (8, 4), "{outcomes}");
    assert!(
        report
            .uses
            .iter()
            .any(|u| u.count == 4 && u.outcome == UseOutcome::Failed { code: "too-many-requests".into() })
    );
    assert_eq!(server.seen().len(), 8);
    // One after the other there may be any number.
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/"]"#));
    for _ in 0..12 {
        ok(&plugin, "request", request("GET", &server.url("/"))).await;
    }
}

#[tokio::test]
async fn one_call_may_send_any_number_of_requests() {
    // More than it may hold handles: none may be left behind by a request that is done.
    let server = Server::saying("x").await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/"]"#));
    let input = json!({"url": server.url("/"), "count": 1500});
    assert_eq!(ok(&plugin, "overflow.many-requests", input).await, json!(1500));
    assert_eq!(server.seen().len(), 1500);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_either_way() {
    let large = 17 << 20;
    let server = Server::start(format!("HTTP/1.1 200 OK\r\ncontent-length: {large}\r\n\r\n")).await;
    let (plugin, _) = hostile(&server.rule(r#"["GET", "POST"]"#, r#"["/"]"#));
    let report = call(&plugin, "request", request("GET", &server.url("/"))).await;
    assert!(report.result.is_err());
    assert_eq!(report.uses[0].outcome, UseOutcome::Failed { code: "invalid-input".into() });
    let seen = server.seen().len();
    let body = json!({"method": "POST", "url": server.url("/"), "headers": [], "body": "x".repeat(large)});
    assert!(call(&plugin, "request", body).await.result.is_err());
    assert_eq!(server.seen().len(), seen, "nothing of it was sent");
}

struct OneSecret;

impl factotum_egress::Secrets for OneSecret {
    fn get(&self, name: &str) -> Option<factotum_egress::SecretString> {
        (name == "crm-key").then(|| "s3cr3t-value-of-the-desk".into())
    }
}

#[tokio::test]
async fn a_secret_is_in_the_request_and_nowhere_the_plugin_can_look() {
    // The server says back what it got.
    let server = Server::saying("you sent: Bearer s3cr3t-value-of-the-desk").await;
    let (backends, _) = Memory::backends_with(Arc::new(OneSecret));
    let rule = server.rule(r#"["GET"]"#, r#"["/"]"#) + "inject = [{ secret = \"crm-key\", bearer = true }]";
    let plugin = sandbox().link(&component("hostile"), spec("hostile", grants(&rule)), &backends).unwrap();
    let report = call(&plugin, "request", request("GET", &server.url("/"))).await;
    let seen = server.seen().remove(0).to_lowercase();
    assert!(seen.contains("authorization: bearer s3cr3t-value-of-the-desk"), "{seen}");
    assert!(!format!("{report:?}").contains("s3cr3t"), "{report:?}");
    let missing = server.rule(r#"["GET"]"#, r#"["/"]"#) + "inject = [{ secret = \"other\", bearer = true }]";
    let plugin = sandbox().link(&component("hostile"), spec("hostile", grants(&missing)), &backends).unwrap();
    fault(&plugin, "request", request("GET", &server.url("/"))).await;
    assert_eq!(server.seen().len(), 1, "without its secret, the request is not sent");
}

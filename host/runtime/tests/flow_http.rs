//! `call: http` on a whole host: what a flow may send, with which login, and what nobody sees of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a failed test may panic

use std::sync::{Arc, Mutex};
use std::time::Duration;

use factotum_audit::Filter;
use factotum_egress::{SecretString, Secrets};
use factotum_grant::Grants;
use factotum_runtime::{Actor, Host, HostConfig, RunInfo, RunState, StartRun};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PASSWORD: &str = "correct-horse-0451";

struct Vault;
impl Secrets for Vault {
    fn get(&self, name: &str) -> Option<SecretString> {
        (name == "login").then(|| json!({"username": "desk", "password": PASSWORD}).to_string().into())
    }
}

/// A server that fails once, then answers with the head of the request that it was sent.
async fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0_u8; 16 * 1024];
            let mut text = String::new();
            loop {
                let read = stream.read(&mut buffer).await.unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                let length = text.to_ascii_lowercase();
                let length = length
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next()?.parse().ok());
                let whole =
                    text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0));
                if read == 0 || whole {
                    break;
                }
            }
            let first = {
                let mut kept = kept.lock().unwrap();
                kept.push(text.clone());
                kept.len() == 1
            };
            let body = json!({ "echo": text }).to_string();
            let (status, body) =
                if first { ("503 Service Unavailable", "") } else { ("200 OK", body.as_str()) };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, seen)
}

async fn run(host: &Host) -> Arc<RunInfo> {
    let request = StartRun {
        actor: Actor::Token("test".into()),
        flow: "test/order".into(),
        input: json!({"id": 7}),
        dedupe_key: None,
        trigger: "test".into(),
    };
    let started = host.start_run(request).await.unwrap();
    host.wait_run(&started.run_id, Duration::from_secs(60)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_sends_what_it_was_granted_signed_in_and_its_password_is_nowhere() {
    let (port, seen) = server().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = HostConfig::new(dir.path());
    config.max_calls = 4;
    config.secrets = Arc::new(Vault);
    let host = Host::open(config).await.unwrap();
    let admin = Actor::Token("admin".into());
    let source = format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: order, version: '1.0.0' }}
use:
  secrets: [login]
  authentications:
    shop: {{ basic: {{ use: login }} }}
do:
  - note:
      call: http
      with:
        method: post
        endpoint:
          uri: 'http://localhost:{port}/orders/{{id}}/notes'
          authentication: {{ use: shop }}
        body: {{ text: hello }}
"
    );
    if let Err(error) = host.deploy_flow(&admin, &source, "order.yaml").await {
        panic!("{error}: {:#?}", error.problems);
    }

    let checked = host.check_flow(&source, "order.yaml").unwrap();
    let lacking = |info: &factotum_runtime::FlowInfo| {
        info.warnings.0.iter().find(|problem| problem.message.contains("is not granted POST")).cloned()
    };
    let hint = lacking(&checked).unwrap().hint.unwrap();
    assert!(
        hint.contains("paths = [\"/orders/*/notes\"]") && hint.contains("secrets = [\"login\"]"),
        "{hint}"
    );

    let denied = run(&host).await;
    assert_eq!(denied.state, RunState::Faulted);
    assert_eq!(denied.error.as_ref().unwrap().status, 403, "{denied:?}");
    assert!(seen.lock().unwrap().is_empty(), "deny by default");
    let filter = Filter { action: Some("capability.http.post".into()), ..Filter::default() };
    let audited = |host: &Host| host.audit().list(host.store(), &filter, None, 10).unwrap().records;
    // What the log proposes, an administrator grants; the network at home he opens himself.
    let mend = audited(&host)[0].entry.detail["mend"].clone();
    assert!(mend.contains("secrets = [\"login\"]"), "{mend}");
    let mend = mend.replace("/orders/7/notes", "/orders/*/notes");
    let grants = Grants::from_toml(&format!("{mend}\nprivate-network = true\n")).unwrap();
    host.set_flow_grants(&admin, "test", "order", grants, None).await.unwrap();

    assert_eq!(lacking(&host.check_flow(&source, "order.yaml").unwrap()), None, "granted now");

    let done = run(&host).await;
    assert_eq!(done.state, RunState::Completed, "{done:?}");
    let sent = seen.lock().unwrap().clone();
    assert_eq!(sent.len(), 2, "the 503 was tried again: {sent:#?}");
    assert!(sent[1].starts_with("POST /orders/7/notes HTTP/1.1"), "{}", sent[1]);
    // base64 of "desk:correct-horse-0451"
    assert!(sent[1].contains("authorization: Basic ZGVzazpjb3JyZWN0LWhvcnNlLTA0NTE="), "{}", sent[1]);
    let key = |text: &str| text.lines().find(|line| line.starts_with("idempotency-key")).map(str::to_owned);
    assert!(key(&sent[0]).is_some() && key(&sent[0]) == key(&sent[1]), "{sent:#?}");
    let echo = done.output.as_ref().unwrap()["echo"].as_str().unwrap();
    assert!(echo.contains("***") && !echo.contains("ZGVzazpj"), "{echo}");
    let detail = serde_json::to_string(&host.run(&done.id).unwrap().unwrap()).unwrap();
    let log: String = audited(&host).iter().map(|record| format!("{record:?}")).collect();
    for text in [&detail, &log] {
        assert!(!text.contains(PASSWORD) && !text.contains("ZGVzazpj"), "{text}");
    }
    assert!(detail.contains(&format!("http POST http://localhost:{port}/orders/7/notes")), "{detail}");
    host.set_flow_grants(&admin, "test", "order", Grants::default(), None).await.unwrap();
    assert_eq!(run(&host).await.error.as_ref().unwrap().status, 403, "taken back");
    assert!(host.audit().verify(host.store(), &[]).unwrap().is_intact());
    host.shutdown().await;
}

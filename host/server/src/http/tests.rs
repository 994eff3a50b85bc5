//! The API from the outside, in this process: who gets in where, and what comes out.

mod access;
mod calendars;
mod erasures;
mod events;
mod inbox;
mod limits;
mod masking;
mod repair;
mod rights;
mod secrets;

use std::net::{IpAddr, Ipv4Addr};

use factotum_access::{Access, ExposeSecret, Role, Scope, TokenRequest};
use factotum_audit::{Actor, Filter, Record};
use factotum_runtime::{Host, HostConfig};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{App, Shared, callers::Callers, router};
use crate::tls::Peer;

/// A host with its HTTP face on a port of this machine.
struct Desk {
    host: Host,
    access: Access,
    address: String,
    admin: String,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

impl Desk {
    async fn start() -> Desk {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut HostConfig)) -> Desk {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let mut config = HostConfig::new(dir.path());
        config.max_calls = 4;
        change(&mut config);
        let host = Host::open(config).await.unwrap();
        let access = Access::open(host.store().clone(), host.audit().clone()).unwrap();
        let mut admin = String::new();
        let written = access.bootstrap(None, |token| {
            admin = token.expose_secret().to_owned();
            Ok(())
        });
        assert_eq!(written.unwrap().unwrap().name, "admin");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let callers = Callers::default();
        let app =
            App::new(Shared { host: host.clone(), access: access.clone(), max_hook_bytes: 1 << 20, callers });
        let service = router(app).into_make_service_with_connect_info::<Peer>();
        let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Desk { host, access, address, admin, serving, _dir: dir }
    }

    async fn stop(self) {
        self.serving.abort();
        self.host.shutdown().await;
    }

    fn token(&self, name: &str, role: Role, scope: Scope) -> String {
        let request = TokenRequest { name: name.into(), role, scope, life: None };
        let made = self.access.create(&Actor::System, &request).unwrap();
        made.token.expose_secret().to_owned()
    }

    /// Sends a request from 127.0.0.`from`: all of 127.0.0.0/8 is this machine, and each address is a source.
    async fn send(&self, from: u8, token: &str, method: &str, path: &str, body: Body) -> Response {
        let method: Method = method.to_uppercase().parse().unwrap();
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, from));
        let client = Client::builder().no_proxy().local_address(from).build().unwrap();
        let mut request = client.request(method, format!("{}{path}", self.address));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        match body {
            Body::None => request,
            Body::Json(value) => request.json(&value),
            Body::Text(text) => request.header("content-type", "text/plain").body(text),
        }
        .send()
        .await
        .unwrap()
    }

    async fn get(&self, token: &str, path: &str) -> Response {
        self.send(1, token, "get", path, Body::None).await
    }

    async fn deploy(&self, token: &str, namespace: &str, name: &str, webhook: &str) -> Response {
        let source = format!(
            "document:\n  dsl: '1.0.3'\n  namespace: {namespace}\n  name: {name}\n  version: '1.0.0'\n  metadata: {{ trigger: {{ webhook: {webhook} }} }}\ndo:\n  - answer: {{ set: {{ got: '${{ .n }}' }} }}\n"
        );
        self.send(1, token, "post", "/api/v1/flows", Body::Json(json!({ "source": source }))).await
    }

    fn audited(&self, action: &str) -> Vec<Record> {
        let filter = Filter { action: Some(action.into()), ..Filter::default() };
        self.host.audit().list(self.host.store(), &filter, None, 1000).unwrap().records
    }
}

enum Body {
    None,
    Json(Value),
    Text(String),
}

/// A problem document of this status; its code.
async fn code(response: Response, status: u16) -> String {
    assert_eq!(
        response.status().as_u16(),
        status,
        "{}: {}",
        response.url().clone(),
        response.text().await.unwrap()
    );
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

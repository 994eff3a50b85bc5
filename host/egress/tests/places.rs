//! Every place a secret goes to, on the wire: it arrives, the plugin's own words do not, and nothing that comes back or is
//! logged holds it. Access tokens are fetched over the same way out, and checked on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod server;

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use factotum_egress::{
    Egress, EgressConfig, EgressError, Limits, Resolve, SecretString, Secrets, async_trait,
};
use factotum_grant::{Grants, HttpRule};
use factotum_test_log::log;
use hmac::{Hmac, KeyInit, Mac};
use server::{Answer, Server};

const SECRET: &str = "s3cr3t/key 0451";
const REFRESH: &str = "refresh-1st-0451";
const TOKEN: &str = "t0ken.of-the-desk.77";

struct Nobody;

#[async_trait]
impl Resolve for Nobody {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("no such name"))
    }
}

/// Secrets that a test may change.
struct Kept(Mutex<HashMap<&'static str, &'static str>>);

impl Secrets for Kept {
    fn get(&self, name: &str) -> Option<SecretString> {
        self.0.lock().unwrap().get(name).map(|value| (*value).into())
    }
}

fn door() -> (Egress, Arc<Kept>) {
    log();
    let kept = Arc::new(Kept(Mutex::new(HashMap::from([("k", SECRET), ("r", REFRESH)]))));
    let config = EgressConfig { connect_timeout: Duration::from_secs(2), ..EgressConfig::default() };
    (Egress::new(config, Arc::new(Nobody), Arc::clone(&kept) as _).unwrap(), kept)
}

fn rules(server: &Server, inject: &str) -> Vec<HttpRule> {
    let port = server.address.port();
    let text = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"127.0.0.1\"\nport = {port}\nmethods = [\"POST\"]\npaths = [\"/**\"]\nprivate-network = true\ninject = [{inject}]"
    );
    Grants::from_toml(&text).unwrap().http
}

fn post(server: &Server, headers: &[(&str, &str)], body: &'static str) -> http::Request<Bytes> {
    let mut request = http::Request::post(format!("http://127.0.0.1:{}/hook", server.address.port()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from_static(body.as_bytes())).unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn answering(status: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Bytes(
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .into_bytes(),
    )
}

fn oauth(server: &Server, more: &str) -> String {
    let port = server.address.port();
    format!(
        "{{ secret = \"k\", oauth2 = {{ token-url = \"http://127.0.0.1:{port}/token\", client-id = \"desk\", private-network = true{more} }} }}"
    )
}

#[tokio::test]
async fn a_secret_in_the_body_goes_along_and_its_echo_does_not_come_back() {
    let server = Server::start(Answer::Echo).await;
    let (door, _) = door();
    let rules = rules(&server, "{ secret = \"k\", body = \"/client/secret\" }");
    let body = r#"{"client": {"id": 7.10}}"#;
    let answer = door.send(&rules, post(&server, &[JSON], body), &Limits::default()).await.unwrap();
    let seen = server.requests().remove(0);
    assert!(seen.ends_with(r#"{"client": {"secret":"s3cr3t/key 0451","id": 7.10}}"#), "{seen}");
    let echoed = String::from_utf8_lossy(answer.body());
    assert!(echoed.contains("***") && !echoed.contains("s3cr3t"), "{echoed}");
    for body in [r#"{"client":{"secret":"mine"}}"#, r#"{"client":7}"#, "[]"] {
        let error = door.send(&rules, post(&server, &[JSON], body), &Limits::default()).await.unwrap_err();
        assert!(error.is_denial() && !error.to_string().contains("s3cr3t"), "{body}: {error}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_body_is_signed_as_it_goes_and_the_key_stays() {
    let server = Server::start(Answer::Echo).await;
    let (door, _) = door();
    // The signature is over what the host wrote into the body, too, whichever is granted first.
    let rules = rules(
        &server,
        "{ secret = \"k\", hmac-sha256 = { header = \"X-Signature\", prefix = \"sha256=\" } }, { secret = \"r\", body = \"/key\" }",
    );
    let request = post(&server, &[JSON, ("x-signature", "sha256=forged")], "{}");
    let answer = door.send(&rules, request, &Limits::default()).await.unwrap();
    let seen = server.requests().remove(0);
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("{{\"key\":\"{REFRESH}\"}}"));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let expected = format!("x-signature: sha256={}", hex::encode(mac.finalize().into_bytes()));
    let found: Vec<&str> = head.lines().filter(|line| line.starts_with("x-signature")).collect();
    assert_eq!(found, [expected]);
    assert!(!seen.contains(SECRET));
    assert!(!String::from_utf8_lossy(answer.body()).contains(REFRESH));
}

#[tokio::test]
async fn a_token_is_fetched_once_and_neither_it_nor_the_clients_secret_is_seen() {
    let tokens = format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
    let (login, server) =
        (Server::start(answering("200 OK", &tokens)).await, Server::start(Answer::Echo).await);
    let (door, kept) = door();
    let rules = rules(&server, &oauth(&login, ", scope = \"cases read\""));
    for _ in 0..3 {
        let request = post(&server, &[JSON, ("authorization", "Bearer mine")], "{}");
        let answer = door.send(&rules, request, &Limits::default()).await.unwrap();
        let echoed = format!("{:?} {}", answer.headers(), String::from_utf8_lossy(answer.body()));
        assert!(echoed.contains("***") && !echoed.contains(TOKEN), "{echoed}");
    }
    assert!(
        server.requests().iter().all(|seen| seen.contains(&format!("authorization: Bearer {TOKEN}\r\n")))
    );
    let [asked] = &login.requests()[..] else { panic!("{:?}", login.requests()) };
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    // base64("desk:s3cr3t%2Fkey%200451"): RFC 6749, section 2.3.1.
    assert!(asked.contains("authorization: Basic ZGVzazpzM2NyM3QlMkZrZXklMjAwNDUx\r\n"), "{asked}");
    assert!(asked.ends_with("grant_type=client_credentials&scope=cases%20read"), "{asked}");
    // A secret that is taken away takes its token along.
    kept.0.lock().unwrap().remove("k");
    let error = door.send(&rules, post(&server, &[JSON], "{}"), &Limits::default()).await.unwrap_err();
    assert_eq!(error, EgressError::SecretMissing("k".into()));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew() {
    let tokens = format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"bearer\"}}");
    let (login, server) = (
        Server::start(answering("200 OK", &tokens)).await,
        Server::start(answering("401 Unauthorized", "{}")).await,
    );
    let (door, _) = door();
    let rules = rules(&server, &oauth(&login, ", secret-in-body = true"));
    for _ in 0..2 {
        let answer = door.send(&rules, post(&server, &[JSON], "{}"), &Limits::default()).await.unwrap();
        assert_eq!(answer.status(), 401);
    }
    let asked = login.requests();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].ends_with("&client_id=desk&client_secret=s3cr3t%2Fkey%200451"), "{}", asked[0]);
    assert!(!asked[0].to_lowercase().contains("authorization:"));
}

#[tokio::test]
async fn a_refresh_token_is_followed_by_the_one_that_the_server_gives() {
    let tokens = format!(
        "{{\"access_token\":\"{TOKEN}\",\"token_type\":\"bearer\",\"expires_in\":0,\"refresh_token\":\"refresh-2nd\"}}"
    );
    let (login, server) =
        (Server::start(answering("200 OK", &tokens)).await, Server::start(Answer::Echo).await);
    let (door, _) = door();
    let rules = rules(&server, &oauth(&login, ", refresh-token = \"r\""));
    for _ in 0..2 {
        door.send(&rules, post(&server, &[JSON], "{}"), &Limits::default()).await.unwrap();
    }
    let asked = login.requests();
    assert!(asked[0].ends_with(&format!("grant_type=refresh_token&refresh_token={REFRESH}")), "{}", asked[0]);
    assert!(asked[1].ends_with("grant_type=refresh_token&refresh_token=refresh-2nd"), "{}", asked[1]);
}

#[tokio::test]
async fn a_token_server_is_reached_only_as_granted_and_its_failures_send_nothing() {
    let server = Server::start(Answer::Echo).await;
    for (answer, expected) in [
        (answering("400 Bad Request", "{\"error\":\"invalid_client\"}"), "invalid-configuration"),
        (answering("503 Service Unavailable", ""), "unavailable"),
        // A redirect is no token, and is not followed.
        (answering("302 Found\r\nlocation: http://127.0.0.1:1/", ""), "unavailable"),
        (answering("200 OK", "hello"), "internal"),
        (answering("200 OK", "{\"access_token\":\"x\",\"token_type\":\"mac\"}"), "internal"),
    ] {
        let login = Server::start(answer).await;
        let (door, _) = door();
        let rules = rules(&server, &oauth(&login, ""));
        let error = door.send(&rules, post(&server, &[JSON], "{}"), &Limits::default()).await.unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
    let login = Server::start(Answer::Echo).await;
    let (door, _) = door();
    let public = oauth(&login, "").replace("http://", "https://").replace(", private-network = true", "");
    let error = door
        .send(&rules(&server, &public), post(&server, &[JSON], "{}"), &Limits::default())
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::ForbiddenAddress { .. }), "{error}");
    assert!(login.requests().is_empty() && server.requests().is_empty());
}

#[tokio::test]
async fn who_counts_nothing_sends_nothing_under_a_rule_that_is_to_be_counted() {
    let server = Server::start(Answer::Echo).await;
    let (door, _) = door();
    for bound in
        [|rule: &mut HttpRule| rule.per_minute = Some(5), |rule: &mut HttpRule| rule.concurrency = Some(5)]
    {
        let mut rules = rules(&server, "");
        bound(&mut rules[0]);
        let error = door.send(&rules, post(&server, &[JSON], "{}"), &Limits::default()).await.unwrap_err();
        assert!(error.is_denial(), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn no_log_line_holds_a_secret_in_any_place() {
    let tokens = format!("{{\"access_token\":\"{TOKEN}\",\"token_type\":\"bearer\"}}");
    let (login, server) =
        (Server::start(answering("200 OK", &tokens)).await, Server::start(Answer::Echo).await);
    let (door, _) = door();
    for inject in [
        "{ secret = \"r\", query = \"key\" }",
        "{ secret = \"r\", basic = \"robot\" }",
        "{ secret = \"r\", body = \"/key\" }",
        "{ secret = \"r\", hmac-sha256 = { header = \"x-signature\" } }",
        &oauth(&login, ", refresh-token = \"r\""),
    ] {
        door.send(&rules(&server, inject), post(&server, &[JSON], "{}"), &Limits::default()).await.unwrap();
    }
    assert!(server.requests()[0].contains(&format!("?key={REFRESH} ")), "{}", server.requests()[0]);
    let log = log().lines();
    assert!(log.contains("outgoing HTTP request"), "the log is watched: {log}");
    for secret in ["refresh-1st", TOKEN, "s3cr3t"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

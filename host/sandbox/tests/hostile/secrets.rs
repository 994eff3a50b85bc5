//! Attacks on secrets: by echo, in pieces, by length, by error, by redirect, by log.

use std::sync::Arc;

use factotum_egress::{SecretString, Secrets};
use factotum_sandbox::Plugin;
use serde_json::{Value, json};

use super::{Names, behind, get_input, request};
use crate::common::{call, server::Server};

const SECRET: &str = "s3cr3t-value/of the+desk";
/// The forms in which servers commonly say back what they got.
const FORMS: &[&str] = &[
    SECRET,
    "s3cr3t-value\\/of the+desk",
    "s3cr3t-value%2Fof%20the%2Bdesk",
    "s3cr3t-value%2Fof+the%2Bdesk",
    "czNjcjN0LXZhbHVlL29mIHRoZStkZXNr",
];

struct OneSecret;

impl Secrets for OneSecret {
    fn get(&self, name: &str) -> Option<SecretString> {
        (name == "crm-key").then(|| SECRET.into())
    }
}

const INJECT: &str = "inject = [{ secret = \"crm-key\", header = \"x-key\" }]\n";

fn with_secret(rules: &str) -> Plugin {
    behind(Names::new(&[]), Arc::new(OneSecret), rules)
}

fn rule(server: &Server) -> String {
    server.rule(r#"["GET", "HEAD", "POST"]"#, r#"["/**"]"#) + INJECT
}

/// Whether a text lets the secret be told, in any form.
fn tells(text: &str) -> bool {
    FORMS.iter().any(|form| text.contains(form)) || text.contains("s3cr3t") || text.contains("e+desk")
}

#[tokio::test]
async fn an_echo_is_masked_wherever_the_server_puts_it() {
    for form in FORMS {
        for answer in [
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n<{form}>", form.len() + 2),
            format!("HTTP/1.1 200 OK\r\nx-you-sent: {form}\r\ncontent-length: 0\r\n\r\n"),
            format!("HTTP/1.1 302 Found\r\nlocation: /next?key={form}\r\ncontent-length: 0\r\n\r\n"),
            format!(
                "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"{form}\"\r\ncontent-length: 0\r\n\r\n"
            ),
            format!("HTTP/1.1 200 OK\r\nset-cookie: key={form}\r\ncontent-length: 0\r\n\r\n"),
            format!("HTTP/1.1 500 {form}\r\ncontent-length: 0\r\n\r\n"),
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                5,
                &form[..5],
                form.len() - 5,
                &form[5..]
            ),
        ] {
            let server = Server::start(answer.clone()).await;
            let plugin = with_secret(&rule(&server));
            let report = request(&plugin, "GET", &server.url("/")).await;
            assert!(server.seen()[0].contains(SECRET), "it was injected");
            assert!(report.result.is_ok(), "{answer}: {report:?}");
            assert!(!tells(&format!("{report:?}")), "{answer}: {report:?}");
        }
    }
}

#[tokio::test]
async fn an_echo_in_what_is_no_answer_is_in_no_error_text() {
    for answer in [
        format!("{SECRET}\r\n\r\n"),
        format!("HTTP/1.1 {SECRET}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{SECRET}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {SECRET}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{SECRET}\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {SECRET}\r\ncontent-length: 1\r\n\r\nx"),
    ] {
        let server = Server::start(answer.clone()).await;
        let plugin = with_secret(&rule(&server));
        let report = request(&plugin, "GET", &server.url("/")).await;
        assert!(!tells(&format!("{report:?}")), "{answer}: {report:?}");
    }
}

#[tokio::test]
async fn an_echo_cannot_be_fetched_in_pieces() {
    let server = Server::saying("whole").await;
    let plugin = with_secret(&rule(&server));
    for (name, value) in [("Range", "bytes=0-3"), ("range", "bytes=4-7,9-11"), ("If-Range", "\"tag\"")] {
        let report = call(&plugin, "request", get_input("GET", &server.url("/"), &[(name, value)])).await;
        assert_eq!(report.result.unwrap()["body"], "whole");
    }
    assert!(server.seen().iter().all(|seen| !seen.to_lowercase().contains("range:")), "{:?}", server.seen());
    // Without a secret in it, a request may ask for a part.
    let plugin = with_secret(&rule(&server).replace(INJECT, ""));
    call(&plugin, "request", get_input("GET", &server.url("/"), &[("Range", "bytes=0-3")])).await;
    assert!(server.seen().last().unwrap().to_lowercase().contains("range: bytes=0-3"));
}

#[tokio::test]
async fn the_length_of_an_echo_does_not_tell_the_length_of_the_secret() {
    let length = |answer: &Value| {
        let headers = answer["headers"].as_array().unwrap();
        headers.iter().find(|h| h[0] == "content-length").map(|h| h[1].as_str().unwrap().to_owned())
    };
    let body = format!("<{SECRET}>");
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\netag: \"5f2c\"\r\ncontent-md5: Q2hlY2s=\r\n\r\n{body}",
        body.len()
    );
    let server = Server::start(answer).await;
    let plugin = with_secret(&rule(&server));
    let got = request(&plugin, "GET", &server.url("/")).await.result.unwrap();
    assert_eq!((&got["body"], length(&got).as_deref()), (&json!("<***>"), Some("5")));
    // Digests of what was masked would let guesses be tested.
    assert!(
        !got["headers"].to_string().contains("5f2c") && !got["headers"].to_string().contains("content-md5")
    );
    // HEAD has no body, only its length.
    let head = Server::start(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len())).await;
    let plugin = with_secret(&rule(&head));
    let got = request(&plugin, "HEAD", &head.url("/")).await.result.unwrap();
    assert_ne!(length(&got).as_deref(), Some(body.len().to_string().as_str()), "{got}");
}

#[tokio::test]
async fn a_secret_does_not_follow_a_redirect_to_another_host() {
    let other = Server::saying("got you").await;
    let server = Server::start(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        other.url("/steal")
    ))
    .await;
    // The other host is granted as well, for requests without the secret.
    let rules = rule(&server) + &other.rule(r#"["GET"]"#, r#"["/**"]"#);
    let plugin = with_secret(&rules);
    let report = call(&plugin, "follow", json!({"url": server.url("/"), "times": 2})).await;
    assert_eq!(report.result.unwrap(), json!([[server.url("/"), other.url("/steal")], 200]));
    assert!(server.seen()[0].contains(SECRET));
    assert!(!tells(&other.seen()[0]), "{:?}", other.seen());
}

#[tokio::test]
async fn a_plugin_has_nothing_to_put_into_a_url_a_header_a_fault_or_the_log() {
    let server = Server::saying(&format!("you sent {SECRET}")).await;
    let other = Server::saying("x").await;
    let rules = rule(&server) + &other.rule(r#"["GET"]"#, r#"["/**"]"#);
    let plugin = with_secret(&rules);
    let stolen = request(&plugin, "GET", &server.url("/")).await.result.unwrap();
    let stolen = stolen["body"].as_str().unwrap().replace(' ', "-");
    let carried = get_input("GET", &other.url(&format!("/{stolen}")), &[("x-stolen", &stolen)]);
    call(&plugin, "request", carried).await.result.unwrap();
    assert!(other.seen()[0].contains("you-sent-***") && !tells(&other.seen()[0]), "{:?}", other.seen());
    let failed = call(&plugin, "fail-with", json!({"url": server.url("/")})).await;
    let fault = failed.result.unwrap_err();
    assert!(fault.message.contains("***") && !tells(&format!("{fault:?} {:?}", failed.uses)), "{fault:?}");
    let printed = call(&plugin, "print-what", json!({"url": server.url("/")})).await;
    assert!(printed.result.is_ok() && !tells(&format!("{printed:?}")));
}

#[tokio::test]
async fn what_a_plugin_puts_in_the_secrets_place_is_replaced() {
    let server = Server::saying("x").await;
    let plugin = with_secret(&rule(&server));
    let forged = get_input("GET", &server.url("/"), &[("x-key", "mine"), ("X-Key", "mine too")]);
    call(&plugin, "request", forged).await.result.unwrap();
    let seen = server.seen().remove(0);
    assert_eq!(seen.to_lowercase().matches("x-key:").count(), 1, "{seen}");
    assert!(seen.contains(SECRET) && !seen.contains("mine"), "{seen}");
}

#[tokio::test]
async fn a_secret_in_the_query_is_in_no_report() {
    let server = Server::saying("x").await;
    let rules = rule(&server).replace("header = \"x-key\"", "query = \"key\"");
    let plugin = with_secret(&rules);
    let report = request(&plugin, "GET", &server.url("/cases?page=1")).await;
    assert!(server.seen()[0].contains("key=s3cr3t-value%2Fof%20the%2Bdesk"), "{:?}", server.seen());
    assert!(report.result.is_ok() && !tells(&format!("{report:?}")), "{report:?}");
    // Nor when nobody is there.
    let url = server.url("/");
    drop(server);
    tokio::task::yield_now().await;
    let report = request(&plugin, "GET", &url).await;
    assert!(!tells(&format!("{report:?}")), "{report:?}");
}

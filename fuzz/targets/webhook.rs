//! Webhooks of strangers: what their signatures and their keys are made of, checked as the host does it.
//!
//! An input is a byte that chooses how the sender signs, headers as lines `name: value`, an empty line, and the body.
//! Nothing that was not signed passes, and what was signed does. What proxies write is read from the same headers: never
//! more than a bounded part, and what the nearest proxy wrote is what is read first, whatever stands before it. The files
//! that read all this stand here by themselves: the rest of their room brings the engine.
#![no_main]

#[path = "../../host/server/src/http/forwarded.rs"]
mod forwarded;

#[path = "../../host/server/src/http/signatures.rs"]
mod signatures;

use std::time::{Duration, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use factotum_flow::Flow;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;

use forwarded::{AddressHeader, CLIENT_CERT, CLIENT_CERT_CHAIN};
use signatures::Scheme;

const SECRET: &str = "a secret that the fuzzer is not told";
/// What is now.
const NOW: u64 = 1_767_225_600;

/// A flow with each way of signing, and a key of its own.
const TRIGGERS: [&str; 5] = [
    "hmac: { secret: s, header: X-Signature, prefix: sha256= }",
    "hmac: { secret: s, header: X-Signature, timestamp: X-Time, tolerance: PT5M }",
    "github: { secret: s }",
    "stripe: { secret: s }",
    "slack: { secret: s }",
];
const DEDUPE: &str =
    ".headers[\"x-message-id\"] // .body.id // (.body | objects | .items? // empty | .[0]?.id)";

fn flow(auth: &str) -> Flow {
    let source = format!(
        "document: {{ dsl: '1.0.3', namespace: t, name: f, version: '1.0.0', metadata: {{ trigger: {{ webhook: {{ auth: {{ {auth} }}, dedupe: '{DEDUPE}' }} }} }} }}\ndo:\n- a: {{ set: {{ x: 1 }} }}"
    );
    Flow::parse(&source, "fuzz.yaml").expect("a flow")
}

thread_local! {
    static FLOWS: Vec<Flow> = TRIGGERS.iter().map(|auth| flow(auth)).collect();
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    FLOWS.with(|flows| {
        let which = usize::from(*choice) % flows.len();
        let trigger = flows[which].trigger().expect("a webhook");
        let (headers, body) = headers_and_body(rest);
        let (_, scheme) = Scheme::of(&trigger.auth).expect("signed");
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let secrets = [SecretString::from(SECRET)];
        let refused = scheme.verify(&headers, body, &secrets, now).expect_err("nobody knows the secret");
        assert!(!refused.wants.is_empty() && !refused.wants.contains(SECRET));
        assert!(scheme.verify(&headers, body, &[], now).is_err(), "without a secret nothing passes");
        if let Some(delivery) = scheme.delivery(&headers) {
            assert!((1..=600).contains(&delivery.len()));
        }
        signed(which, &scheme, &headers, body);
        proxied(&headers);
        if let Ok(body) = serde_json::from_slice::<Value>(body) {
            let fields: serde_json::Map<String, Value> = headers
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
                .collect();
            let dedupe = trigger.dedupe.as_ref().expect("a key");
            let message = json!({ "body": body, "headers": fields });
            let key = dedupe.key(&message);
            assert_eq!(key.ok(), dedupe.key(&message).ok(), "the same again");
        }
    });
});

/// The same message, signed as its sender would: it passes, in time only, and with another body it does not.
fn signed(which: usize, scheme: &Scheme<'_>, given: &HeaderMap, body: &[u8]) {
    let time = NOW.to_string();
    let (before, names): (String, &[(&str, &str)]) = match which {
        0 => (String::new(), &[("x-signature", "sha256=@")]),
        1 => (format!("{time}."), &[("x-signature", "@"), ("x-time", "#")]),
        2 => (String::new(), &[("x-hub-signature-256", "sha256=@")]),
        3 => (format!("{time}."), &[("stripe-signature", "t=#,v1=@")]),
        _ => (format!("v0:{time}:"), &[("x-slack-signature", "v0=@"), ("x-slack-request-timestamp", "#")]),
    };
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    let signature = hex::encode(mac.chain_update(before).chain_update(body).finalize().into_bytes());
    let mut headers = given.clone();
    for (name, value) in names {
        let value = value.replace('@', &signature).replace('#', &time);
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).expect("a value"));
    }
    let secrets = [SecretString::from("the next one"), SecretString::from(SECRET)];
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    assert!(scheme.verify(&headers, body, &secrets, at(NOW)).is_ok(), "who knows the secret passes");
    assert!(scheme.verify(&headers, body, &secrets[..1], at(NOW)).is_err());
    assert!(scheme.verify(&headers, &[body, b" "].concat(), &secrets, at(NOW)).is_err(), "another body");
    let late = scheme.verify(&headers, body, &secrets, at(NOW + 301)).is_ok();
    assert_eq!(late, matches!(which, 0 | 2), "what has a time is not for ever");
}

/// What proxies write.
fn proxied(given: &HeaderMap) {
    for header in [AddressHeader::XForwardedFor, AddressHeader::Forwarded] {
        let addresses = forwarded::addresses(given, header);
        assert!(addresses.len() <= 32);
        let whole = addresses.iter().rev().skip(1).all(Option::is_some);
        assert!(whole, "what is no address ends the list");
    }
    let mut headers = given.clone();
    headers.append("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
    headers.append("forwarded", HeaderValue::from_static("for=192.0.2.7"));
    if let Some(last) = given.get_all("x-forwarded-for").iter().last() {
        // As proxies add it to the field that is there.
        let longer = [last.as_bytes(), b", 192.0.2.7"].concat();
        headers.insert("x-forwarded-for", HeaderValue::from_bytes(&longer).expect("a value"));
    }
    let nearest = Some("192.0.2.7".parse().expect("an address"));
    assert_eq!(forwarded::addresses(&headers, AddressHeader::Forwarded).first(), Some(&nearest));
    let last = headers.get_all("x-forwarded-for").iter().last().expect("it was added");
    if last.to_str().is_ok() && last.len() <= 64 << 10 {
        assert_eq!(forwarded::addresses(&headers, AddressHeader::XForwardedFor).first(), Some(&nearest));
    }
    match forwarded::certificates(given) {
        Ok(None) => assert!(!given.contains_key(CLIENT_CERT)),
        Ok(Some(chain)) => {
            assert_eq!(given.get_all(CLIENT_CERT).iter().count(), 1);
            assert!((1..=10).contains(&chain.len()) && chain.iter().map(Vec::len).sum::<usize>() <= 64 << 10);
            let mut twice = given.clone();
            twice.append(CLIENT_CERT, HeaderValue::from_static(":AQID:"));
            assert!(forwarded::certificates(&twice).is_err());
        }
        Err(problem) => {
            assert!(!problem.is_empty());
            assert!(given.contains_key(CLIENT_CERT) || given.contains_key(CLIENT_CERT_CHAIN));
        }
    }
}

fn headers_and_body(rest: &[u8]) -> (HeaderMap, &[u8]) {
    let end = rest.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(at) => (&rest[..at], &rest[at + 2..]),
        None => (&[][..], rest),
    };
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(50) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, body)
}

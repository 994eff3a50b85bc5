//! Webhooks that take clients by their certificates: shown in the handshake, or handed on by a trusted proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use factotum_tests::{Authority, Made, PATIENCE, Server, dist, problem};
use reqwest::blocking::{Client, ClientBuilder, Response};
use serde_json::{Value, json};

fn flow(name: &str, auth: &str) -> String {
    format!(
        "document:\n  dsl: '1.0.3'\n  namespace: t\n  name: {name}\n  version: '1.0.0'\n  metadata: {{ trigger: {{ webhook: {{ auth: {auth}, reply: sync }} }} }}\ndo:\n  - answer: {{ set: {{ got: '${{ .n }}' }} }}\n"
    )
}

fn client() -> ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(120)).no_proxy()
}

fn post(
    client: &Client,
    server: &Server,
    name: &str,
    headers: &[(&str, String)],
) -> reqwest::Result<Response> {
    let mut request = client.post(format!("{}/hooks/t/{name}", server.address())).json(&json!({ "n": 1 }));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.send()
}

#[track_caller]
fn refused(answer: Response, status: u16) -> String {
    problem(answer, status)["code"].as_str().unwrap().to_owned()
}

#[track_caller]
fn taken(answer: Response) {
    assert_eq!(answer.json::<Value>().unwrap(), json!({ "got": 1 }));
}

/// What the audit log has of refusals.
fn refusals(server: &Server) -> Vec<String> {
    let page = server.json(&["audit", "list", "--action", "auth.refused", "--limit", "100"]);
    page["records"].as_array().unwrap().iter().map(Value::to_string).collect()
}

#[test]
fn a_webhook_takes_the_certificates_that_it_lists_and_no_others() {
    let Some(dist) = dist("mutual_tls") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ours, partners) = (Authority::new("Ours"), Authority::new("Partners"));
    let (certificate, key, ca) =
        (dir.path().join("host.pem"), dir.path().join("host.key"), dir.path().join("partners.pem"));
    ours.server().write(&certificate, &key);
    std::fs::write(&ca, &partners.pem).unwrap();
    let config =
        format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nclient-authorities = [{ca:?}]\n");
    let server = Server::with_client(&dist, None, &config, &[], client().add_root_certificate(ours.root()));

    let right = partners.client("hooks.partner.example", false);
    let wrong = partners.client("hooks.other.example", false);
    server.deploy("named", &flow("named", "{ mtls: { dns: [hooks.partner.example] } }"));
    server.deploy(
        "pinned",
        &flow("pinned", &format!("{{ mtls: {{ fingerprint: ['{}'] }} }}", wrong.fingerprint())),
    );
    server.deploy("open", &flow("open", "none"));
    let with =
        |made: &Made| client().add_root_certificate(ours.root()).identity(made.identity()).build().unwrap();

    let nobody = refused(post(&server.http, &server, "named", &[]).unwrap(), 401);
    assert_eq!(nobody, "certificate-missing");
    // What only proxies say is not believed of anybody.
    let forged = [("client-cert", right.header())];
    assert_eq!(refused(post(&server.http, &server, "named", &forged).unwrap(), 401), "certificate-missing");
    taken(post(&with(&right), &server, "named", &[]).unwrap());
    assert_eq!(refused(post(&with(&wrong), &server, "named", &[]).unwrap(), 403), "certificate-not-listed");
    assert_eq!(
        refused(post(&with(&wrong), &server, "named", &forged).unwrap(), 403),
        "certificate-not-listed"
    );
    taken(post(&with(&wrong), &server, "pinned", &[]).unwrap());
    assert_eq!(refused(post(&with(&right), &server, "pinned", &[]).unwrap(), 403), "certificate-not-listed");
    // In the handshake already: who is not of the authority, or out of time.
    let foreign = Authority::new("Partners").client("hooks.partner.example", false);
    let expired = partners.client("hooks.partner.example", true);
    assert!(post(&with(&foreign), &server, "named", &[]).is_err());
    assert!(post(&with(&expired), &server, "named", &[]).is_err());
    assert!(post(&with(&expired), &server, "open", &[]).is_err());
    // Nobody else needs a certificate.
    taken(post(&server.http, &server, "open", &[]).unwrap());
    server.ok(&["flow", "list"]);
    assert_eq!(server.all_runs().len(), 3, "only those that were let in");

    let audited = refusals(&server);
    let count = |text: &str| audited.iter().filter(|entry| entry.contains(text)).count();
    assert_eq!(count("certificate-missing"), 2, "{audited:?}");
    assert_eq!(count("certificate-not-listed"), 3, "{audited:?}");
    assert_eq!(count(&wrong.fingerprint()), 2, "who it was is on record: {audited:?}");
    assert_eq!(count("TLS handshake"), 3, "{audited:?}");
    server.audit_holds();

    // The authorities are read again like the certificate: who was trusted is not any more, also on open connections.
    let kept = with(&right);
    taken(post(&kept, &server, "named", &[]).unwrap());
    std::fs::write(&ca, Authority::new("Others").pem).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let answer = post(&kept, &server, "named", &[]).unwrap();
        if answer.status() == 403 {
            assert_eq!(refused(answer, 403), "certificate-untrusted");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// 127.0.0.2 is the proxy; all of 127.0.0.0/8 is this machine.
fn from(last: u8) -> Client {
    client().local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).build().unwrap()
}

#[test]
fn a_trusted_proxy_hands_certificates_on_and_nobody_else_does() {
    let Some(dist) = dist("client_cert") else { return };
    let dir = tempfile::tempdir().unwrap();
    let partners = Authority::new("Partners");
    let ca = dir.path().join("partners.pem");
    std::fs::write(&ca, &partners.pem).unwrap();
    let config = format!(
        "[tls]\nclient-authorities = [{ca:?}]\n[proxies]\ntrusted = [\"127.0.0.2\"]\nclient-cert = true\n"
    );
    let server = Server::with_config(&dist, &config, &[]);
    // Its key names what the flow sees of the headers: nothing that only proxies write.
    let auth = "{ mtls: { dns: [hooks.partner.example] } }, dedupe: '.headers[\"client-cert\"]'";
    server.deploy("named", &flow("named", auth));
    let (proxy, stranger) = (from(2), from(3));
    let right = partners.client("hooks.partner.example", false);
    let cert = |made: &Made| vec![("client-cert", made.header())];

    taken(post(&proxy, &server, "named", &cert(&right)).unwrap());
    taken(post(&proxy, &server, "named", &cert(&right)).unwrap());
    assert_eq!(server.all_runs().len(), 2, "the header was taken away, so the two are no duplicates");
    let middle = partners.under("Partners, Orders");
    let below = middle.client("hooks.partner.example", false);
    let chain = [("client-cert", below.header()), ("client-cert-chain", middle.header())];
    taken(post(&proxy, &server, "named", &chain).unwrap());

    let no = |client: &Client, headers: &[(&str, String)], status: u16| {
        refused(post(client, &server, "named", headers).unwrap(), status)
    };
    assert_eq!(no(&stranger, &cert(&right), 401), "certificate-missing");
    assert_eq!(no(&proxy, &[], 401), "certificate-missing");
    assert_eq!(
        no(&proxy, &cert(&below), 403),
        "certificate-untrusted",
        "without what leads to the authority"
    );
    let foreign = Authority::new("Partners").client("hooks.partner.example", false);
    assert_eq!(no(&proxy, &cert(&foreign), 403), "certificate-untrusted");
    let expired =
        post(&proxy, &server, "named", &cert(&partners.client("hooks.partner.example", true))).unwrap();
    let expired = problem(expired, 403);
    assert!(expired["detail"].as_str().unwrap().contains("has expired"), "{expired}");
    let wrong = partners.client("hooks.other.example", false);
    assert_eq!(no(&proxy, &cert(&wrong), 403), "certificate-not-listed");
    let twice = [cert(&right), cert(&right)].concat();
    assert_eq!(no(&proxy, &twice, 403), "certificate-untrusted");
    assert_eq!(no(&proxy, &[("client-cert", "nonsense".into())], 403), "certificate-untrusted");
    assert_eq!(server.all_runs().len(), 3);
    assert!(refusals(&server).iter().any(|entry| entry.contains(&foreign.fingerprint())));
}

#[test]
fn guessers_behind_a_proxy_make_only_themselves_wait() {
    let Some(dist) = dist("forwarded") else { return };
    let config = "[proxies]\ntrusted = [\"127.0.0.2\"]\n[secrets.intake]\nenv = \"TEST_INTAKE_SECRET\"\n";
    let server = Server::with_config(&dist, config, &[("TEST_INTAKE_SECRET", "hush-hush-hush")]);
    server.deploy("bearer", &flow("bearer", "{ bearer: { secret: intake } }"));
    let (proxy, stranger) = (from(2), from(3));
    let send = |client: &Client, token: &str, forwarded: &str| {
        let headers =
            [("authorization", format!("Bearer {token}")), ("x-forwarded-for", forwarded.to_owned())];
        post(client, &server, "bearer", &headers).unwrap().status().as_u16()
    };
    let mut last = 0;
    for guess in 0..30 {
        // What a caller writes there itself stands before what the proxy adds.
        last = send(&proxy, &format!("guess-{guess}"), &format!("10.9.8.{guess}, 198.51.100.1"));
    }
    assert_eq!(last, 429);
    assert_eq!(send(&proxy, "hush-hush-hush", "198.51.100.1"), 429, "a guesser waits");
    assert_eq!(send(&proxy, "hush-hush-hush", "198.51.100.2"), 200, "the others do not");
    assert_eq!(send(&proxy, "hush-hush-hush", "198.51.100.1, 198.51.100.2"), 200);
    for guess in 0..30 {
        last = send(&stranger, &format!("guess-{guess}"), &format!("198.51.100.{guess}"));
    }
    assert_eq!(last, 429, "who is no proxy has one address, whatever it writes");
    assert!(refusals(&server).iter().any(|entry| entry.contains("198.51.100.1\"")));
}

//! The door as a whole, against a real server on loopback: every step of its order, and what stops at each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod server;

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use factotum_egress::{
    AddressKind, Egress, EgressConfig, EgressError, Limits, NoSecrets, Resolve, SecretString, Secrets,
    async_trait,
};
use factotum_grant::{Grants, HttpRule};
use factotum_test_log::log;
use server::{Answer, Server};

const SECRET: &str = "s3cr3t-crm-key-0451";

/// Answers every name with the next of these lists of addresses, the last one for ever.
struct Names {
    answers: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Names {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self { answers: answers.iter().map(|a| a.to_vec()).collect(), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let n = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(n).or(self.answers.last()).ok_or(io::Error::other("no such name"))?;
        Ok(answer.iter().map(|a| a.parse().unwrap()).collect())
    }
}

struct Key;
impl Secrets for Key {
    fn get(&self, name: &str) -> Option<SecretString> {
        (name == "crm-key").then(|| SECRET.into())
    }
}

fn door(names: Arc<Names>) -> Egress {
    log();
    let config = EgressConfig { connect_timeout: Duration::from_secs(2), ..EgressConfig::default() };
    Egress::new(config, names, Arc::new(Key)).unwrap()
}

fn rules(scheme: &str, host: &str, port: u16, more: &str) -> Vec<HttpRule> {
    let text = format!(
        "[[http]]\nscheme = {scheme:?}\nhost = {host:?}\nport = {port}\nmethods = [\"GET\", \"POST\", \"HEAD\"]\npaths = [\"/**\"]\n{more}"
    );
    Grants::from_toml(&text).unwrap().http
}

const PRIVATE: &str = "private-network = true";
const INJECT: &str = "private-network = true\ninject = [{ secret = \"crm-key\", bearer = true }]";

fn get(url: String) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

fn limits(max_response_bytes: u64, timeout_ms: u64) -> Limits {
    Limits { max_response_bytes, timeout: Duration::from_millis(timeout_ms), ..Limits::default() }
}

#[tokio::test]
async fn a_granted_request_arrives_and_its_answer_comes_back() {
    let server = Server::start(Answer::Body("", b"hello".to_vec())).await;
    let port = server.address.port();
    let rules = rules("http", "erp.internal", port, PRIVATE);
    let mut request = http::Request::post(format!("http://ERP.internal.:{port}/a/../b?q=1"));
    request.headers_mut().unwrap().insert("x-mine", "1".parse().unwrap());
    let request = request.body(Bytes::from_static(b"{}")).unwrap();
    let answer = door(Names::new(&[&["127.0.0.1"]])).send(&rules, request, &Limits::default()).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"hello"[..]));
    assert_eq!(answer.headers()["content-length"], "5");
    assert!(!answer.headers().contains_key("connection"));
    let seen = server.requests().remove(0).to_ascii_lowercase();
    assert!(seen.starts_with("post /b?q=1 http/1.1\r\n") && seen.ends_with("\r\n\r\n{}"), "{seen}");
    assert!(
        seen.contains(&format!("host: erp.internal:{port}\r\n")) && seen.contains("x-mine: 1\r\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn what_no_rule_allows_is_not_even_resolved() {
    let names = Names::new(&[&["127.0.0.1"]]);
    let door = door(Arc::clone(&names));
    let rules = rules("http", "erp.internal", 80, PRIVATE);
    for url in [
        "http://other.internal/",
        "https://erp.internal/",
        "http://erp.internal:81/",
        "http://erp.internal/a%2fb",
    ] {
        let error = door.send(&rules, get(url.into()), &Limits::default()).await.unwrap_err();
        // A path that servers read differently has no grant that would allow it.
        let mend = if url.contains("%2f") { "# no grant" } else { "[[http]]" };
        assert!(error.is_denial() && error.denial().unwrap().mend.contains(mend), "{url}: {error}");
    }
    assert!(
        door.send(&[], get("http://erp.internal/".into()), &Limits::default()).await.unwrap_err().is_denial()
    );
    assert_eq!(names.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_public_name_that_points_inside_is_refused() {
    let server = Server::start(Answer::Echo).await;
    let port = server.address.port();
    for addresses in [
        &["127.0.0.1"][..],
        &["10.1.2.3"],
        &["169.254.169.254"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["0.0.0.0"],
        // One bad address among good ones refuses them all.
        &["93.184.215.14", "127.0.0.1"],
    ] {
        let rules = rules("http", "api.example.com", port, "");
        let error = door(Names::new(&[addresses]))
            .send(&rules, get(format!("http://api.example.com:{port}/")), &Limits::default())
            .await
            .unwrap_err();
        assert!(
            error.is_denial() && matches!(error, EgressError::ForbiddenAddress { .. }),
            "{addresses:?}: {error}"
        );
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn private_network_has_its_limits_too() {
    let port = Server::start(Answer::Echo).await.address.port();
    let send = |host: &str, pattern: &str, address: &'static str| {
        let mut rules = rules("http", "erp.internal", port, PRIVATE);
        // Grants that are read hold no such rule; what is made in another way is held as well.
        rules[0].host = pattern.parse().unwrap();
        let url = format!("http://{host}:{port}/");
        async move { door(Names::new(&[&[address]])).send(&rules, get(url), &limits(9999, 500)).await }
    };
    assert_eq!(send("erp.internal", "erp.internal", "127.0.0.1").await.unwrap().status(), 200);
    // A pattern never opens the private network, and no name leads to the metadata service.
    for (host, pattern, address) in [
        ("erp.example.com", "*.example.com", "127.0.0.1"),
        ("erp.internal", "erp.internal", "169.254.169.254"),
        ("erp.internal", "erp.internal", "0.0.0.0"),
        ("erp.internal", "erp.internal", "224.0.0.1"),
    ] {
        let error = send(host, pattern, address).await.unwrap_err();
        assert!(matches!(error, EgressError::ForbiddenAddress { .. }), "{host} {address}: {error}");
    }
}

#[tokio::test]
async fn an_address_as_host_is_checked_as_well() {
    let server = Server::start(Answer::Echo).await;
    let port = server.address.port();
    let door = door(Names::new(&[]));
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "017700000001"] {
        let url = format!("http://{host}:{port}/");
        let error =
            door.send(&rules("http", "127.0.0.1", port, ""), get(url.clone()), &Limits::default()).await;
        assert!(
            matches!(error, Err(EgressError::ForbiddenAddress { kind: AddressKind::Private, .. })),
            "{host}: {error:?}"
        );
        let answer =
            door.send(&rules("http", "127.0.0.1", port, PRIVATE), get(url), &Limits::default()).await;
        assert_eq!(answer.unwrap().status(), 200, "{host}");
    }
    for host in ["169.254.169.254", "[::ffff:7f00:1]", "[::1]", "[64:ff9b::7f00:1]"] {
        let pattern = host.trim_matches(['[', ']']).parse::<IpAddr>().unwrap().to_string();
        let error = door
            .send(
                &rules("http", &pattern, port, ""),
                get(format!("http://{host}:{port}/")),
                &Limits::default(),
            )
            .await;
        // `::ffff:7f00:1` and `::ffff:127.0.0.1` are one address; whichever way the rule spells it, nothing is sent.
        assert!(error.as_ref().is_err_and(EgressError::is_denial), "{host}: {error:?}");
    }
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let server = Server::start(Answer::Echo).await;
    let port = server.address.port();
    // The first answer is the one that is checked; were the name asked again for connecting, it would lead inside.
    let names = Names::new(&[&["203.0.114.1"], &["127.0.0.1"]]);
    let rules = rules("http", "rebind.example.com", port, "");
    let door = door(Arc::clone(&names));
    let url = format!("http://rebind.example.com:{port}/");
    let first = door.send(&rules, get(url.clone()), &limits(9999, 300)).await.unwrap_err();
    assert!(!first.is_denial(), "a public address may be tried: {first}");
    let second = door.send(&rules, get(url), &limits(9999, 300)).await.unwrap_err();
    assert!(second.is_denial(), "{second}");
    assert_eq!(names.asked.load(Ordering::SeqCst), 2, "one look-up for each request");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_connection_into_the_private_network_is_not_shared_with_public_rules() {
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let server = Server::start(Answer::Hang(body)).await;
    let port = server.address.port();
    let door = door(Names::new(&[&["127.0.0.1"]]));
    let url = format!("http://erp.internal:{port}/");
    door.send(&rules("http", "erp.internal", port, PRIVATE), get(url.clone()), &Limits::default())
        .await
        .unwrap();
    let error =
        door.send(&rules("http", "erp.internal", port, ""), get(url), &Limits::default()).await.unwrap_err();
    assert!(error.is_denial(), "{error}");
}

#[tokio::test]
async fn redirects_are_handed_back_not_followed() {
    let target = Server::start(Answer::Echo).await;
    let location = format!("http://127.0.0.1:{}/stolen", target.address.port());
    let bytes =
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes();
    let server = Server::start(Answer::Bytes(bytes)).await;
    let port = server.address.port();
    let answer = door(Names::new(&[&["127.0.0.1"]]))
        .send(
            &rules("http", "127.0.0.1", port, INJECT),
            get(format!("http://127.0.0.1:{port}/")),
            &Limits::default(),
        )
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
        (302, location.as_str())
    );
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn secrets_are_put_in_and_their_echoes_taken_out() {
    let server = Server::start(Answer::Echo).await;
    let port = server.address.port();
    let mut request = get(format!("http://127.0.0.1:{port}/"));
    request.headers_mut().insert("authorization", "Bearer made-up-by-the-plugin".parse().unwrap());
    let answer = door(Names::new(&[]))
        .send(&rules("http", "127.0.0.1", port, INJECT), request, &Limits::default())
        .await
        .unwrap();
    let seen = server.requests().remove(0);
    assert!(seen.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{seen}");
    assert!(!seen.contains("made-up"), "{seen}");
    let body = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(body.contains("authorization: Bearer ***"), "{body}");
    assert!(!body.contains(SECRET) && !format!("{:?}", answer.headers()).contains(SECRET));
    assert_eq!(answer.headers()["content-length"], body.len().to_string());
}

#[tokio::test]
async fn compressed_echoes_are_scrubbed_or_refused() {
    // `Bearer s3cr3t-crm-key-0451` as gzip, by Python's gzip.compress(…, mtime=0).
    const GZIP: &[u8] = include_bytes!("server/echo.gz");
    let server = Server::start(Answer::Body("gzip", GZIP.to_vec())).await;
    let port = server.address.port();
    let url = |port| get(format!("http://127.0.0.1:{port}/"));
    let door = door(Names::new(&[]));
    let answer =
        door.send(&rules("http", "127.0.0.1", port, INJECT), url(port), &Limits::default()).await.unwrap();
    assert_eq!(&answer.body()[..], b"Bearer ***");
    assert!(!answer.headers().contains_key("content-encoding"));

    let server = Server::start(Answer::Body("br", b"whatever".to_vec())).await;
    let port = server.address.port();
    let error = door
        .send(&rules("http", "127.0.0.1", port, INJECT), url(port), &Limits::default())
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Protocol { .. }), "{error}");
    let plain =
        door.send(&rules("http", "127.0.0.1", port, PRIVATE), url(port), &Limits::default()).await.unwrap();
    assert_eq!(plain.headers()["content-encoding"], "br");
}

#[tokio::test]
async fn a_missing_secret_stops_the_request() {
    let server = Server::start(Answer::Echo).await;
    let port = server.address.port();
    let door = Egress::new(EgressConfig::default(), Names::new(&[]), Arc::new(NoSecrets)).unwrap();
    let error = door
        .send(
            &rules("http", "127.0.0.1", port, INJECT),
            get(format!("http://127.0.0.1:{port}/")),
            &Limits::default(),
        )
        .await
        .unwrap_err();
    assert!(matches!(&error, EgressError::SecretMissing(name) if name == "crm-key"), "{error}");
    assert_eq!((error.code(), error.is_denial()), ("invalid-configuration", false));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn answers_are_bounded() {
    // 10 MB of zeros are 10 KB of gzip: the bound holds for what comes out.
    const BOMB: &[u8] = include_bytes!("server/bomb.gz");
    let mut headers = b"HTTP/1.1 200 OK\r\n".to_vec();
    (0..200).for_each(|i| headers.extend_from_slice(format!("x-{i}: 1\r\n").as_bytes()));
    headers.extend_from_slice(b"\r\n");
    let endless = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; 300_000]].concat();
    for (name, answer, too_large) in [
        ("declared", Answer::Body("", vec![b'x'; 200_000]), true),
        ("undeclared", Answer::Hang(endless), true),
        ("bomb", Answer::Body("gzip", BOMB.to_vec()), true),
        ("many headers", Answer::Bytes(headers), false),
        (
            "long header",
            Answer::Bytes([&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'x'; 70_000], b"\r\n\r\n"].concat()),
            true,
        ),
        ("no HTTP", Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), false),
        ("cut off", Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc".to_vec()), false),
    ] {
        let server = Server::start(answer).await;
        let port = server.address.port();
        let error = door(Names::new(&[]))
            .send(
                &rules("http", "127.0.0.1", port, PRIVATE),
                get(format!("http://127.0.0.1:{port}/")),
                &limits(100_000, 5000),
            )
            .await
            .expect_err(name);
        assert_eq!(matches!(error, EgressError::TooLarge { .. }), too_large, "{name}: {error}");
        assert_eq!(error.is_transient(), !too_large, "{name}: {error}");
    }
    let too_large = http::Request::post("http://127.0.0.1:9/").body(Bytes::from(vec![0; 17 << 20])).unwrap();
    let error = door(Names::new(&[]))
        .send(&rules("http", "127.0.0.1", 9, PRIVATE), too_large, &Limits::default())
        .await;
    assert!(matches!(error, Err(EgressError::TooLarge { .. })));
}

#[tokio::test]
async fn a_slow_server_is_left_in_time() {
    for head in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"] {
        let server = Server::start(Answer::Hang(head.to_vec())).await;
        let port = server.address.port();
        let begun = Instant::now();
        let error = door(Names::new(&[]))
            .send(
                &rules("http", "127.0.0.1", port, PRIVATE),
                get(format!("http://127.0.0.1:{port}/")),
                &limits(99, 200),
            )
            .await
            .unwrap_err();
        assert!(matches!(error, EgressError::Timeout { .. }) && error.code() == "timeout", "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "it hangs for 30");
    }
}

#[tokio::test]
async fn nobody_there_and_no_such_name() {
    // Bound and not listening, so that nobody else takes the port meanwhile.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = held.local_addr().unwrap().port();
    let error = door(Names::new(&[]))
        .send(
            &rules("http", "127.0.0.1", port, PRIVATE),
            get(format!("http://127.0.0.1:{port}/?name=Jane")),
            &Limits::default(),
        )
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Unreachable { .. }) && error.is_transient(), "{error}");
    assert!(!error.to_string().contains("Jane"), "{error}");
    let error = door(Names::new(&[]))
        .send(&rules("https", "a.test", 443, ""), get("https://a.test/".into()), &Limits::default())
        .await;
    assert!(matches!(error, Err(EgressError::Unresolved { .. })), "{error:?}");
}

#[tokio::test]
async fn tls_is_verified_and_private_authorities_can_be_added() {
    let key = rcgen::generate_simple_self_signed(vec!["erp.internal".into()]).unwrap();
    let certificate = key.cert.der().clone();
    let private_key =
        tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let tls = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private_key)
        .unwrap();
    let server = Server::start_with(Answer::Echo, Some(tokio_rustls::TlsAcceptor::from(Arc::new(tls)))).await;
    let port = server.address.port();
    let send = |roots: Vec<Vec<u8>>, host: &str| {
        let config = EgressConfig { extra_roots: roots, ..EgressConfig::default() };
        let door = Egress::new(config, Names::new(&[&["127.0.0.1"]]), Arc::new(Key)).unwrap();
        let (rules, url) = (rules("https", host, port, INJECT), format!("https://{host}:{port}/"));
        async move { door.send(&rules, get(url), &Limits::default()).await }
    };
    let pem = key.cert.pem().into_bytes();
    let unknown = send(Vec::new(), "erp.internal").await.unwrap_err();
    assert!(matches!(unknown, EgressError::Tls { .. }), "{unknown}");
    let wrong_name = send(vec![pem.clone()], "crm.internal").await.unwrap_err();
    assert!(matches!(wrong_name, EgressError::Tls { .. }), "{wrong_name}");
    assert!(server.requests().is_empty(), "nothing, and no secret, before the certificate is verified");
    assert_eq!(send(vec![pem], "erp.internal").await.unwrap().status(), 200);

    for bad in [&b"no certificate"[..], b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let config = EgressConfig { extra_roots: vec![bad.to_vec()], ..EgressConfig::default() };
        let error = Egress::new(config, Names::new(&[]), Arc::new(NoSecrets)).unwrap_err();
        assert!(matches!(error, EgressError::Setup(_)), "{error}");
    }
}

#[tokio::test]
async fn no_log_line_holds_a_secret() {
    let server = Server::start(Answer::Body("", b"ok".to_vec())).await;
    let port = server.address.port();
    door(Names::new(&[]))
        .send(
            &rules("http", "127.0.0.1", port, INJECT),
            get(format!("http://127.0.0.1:{port}/")),
            &Limits::default(),
        )
        .await
        .unwrap();
    assert!(server.requests()[0].contains(SECRET));
    let log = log().lines();
    assert!(log.contains("outgoing HTTP request"), "the log is watched: {log}");
    assert!(!log.contains(SECRET), "{log}");
}

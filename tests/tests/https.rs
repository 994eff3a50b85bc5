//! The host speaks HTTPS itself: to whom, from which version on, what a bad handshake does to others, and renewal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use factotum_tests::{Authority, PATIENCE, Server, dist, text};
use reqwest::{blocking::Client, tls::TlsInfo};
use serde_json::json;
use tempfile::TempDir;

/// A host with a certificate of an authority that only this test knows.
struct Desk {
    server: Server,
    authority: Authority,
    certificate: PathBuf,
    key: PathBuf,
    dir: TempDir,
}

impl Desk {
    fn start(dist: &std::path::Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("Ours");
        let (certificate, key) = (dir.path().join("host.pem"), dir.path().join("host.key"));
        authority.server().write(&certificate, &key);
        let config = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
        let http = Client::builder()
            .timeout(Duration::from_secs(120))
            .no_proxy()
            .add_root_certificate(authority.root())
            .tls_info(true);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server::with_client(dist, None, &config, &[], http);
        Self { server, authority, certificate, key, dir }
    }

    fn port(&self) -> u16 {
        self.server.address().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// The certificate that a new connection gets.
    fn shown(&self) -> Vec<u8> {
        let client =
            Client::builder().no_proxy().add_root_certificate(self.authority.root()).tls_info(true).build();
        let answer = client.unwrap().get(format!("{}/healthz", self.server.address())).send().unwrap();
        answer.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
    }
}

/// A client's hello (RFC 5246, section 7.4.1.2) whose highest version is 3.`minor`: 2 is TLS 1.1, 3 is TLS 1.2. What else it
/// offers is to this host's taste.
fn hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]); // random
    body.push(0); // no session
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x09]); // ECDHE with ECDSA, AES-GCM and AES-CBC
    body.extend([1, 0]); // no compression
    let extensions = [
        [0, 10, 0, 6, 0, 4, 0, 29, 0, 23].as_slice(), // groups: X25519, P-256
        [0, 11, 0, 2, 1, 0].as_slice(),               // uncompressed points
        [0, 13, 0, 6, 0, 4, 4, 3, 8, 4].as_slice(),   // signatures: ECDSA and RSA-PSS with SHA-256
        [0, 23, 0, 0].as_slice(),                     // extended master secret
    ]
    .concat();
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let mut handshake = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    handshake.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend(handshake);
    record
}

#[test]
fn the_host_speaks_https_to_who_trusts_it_and_nothing_older_than_tls_1_2() {
    let Some(dist) = dist("https") else { return };
    let desk = Desk::start(&dist);
    let server = &desk.server;
    assert!(server.address().starts_with("https://127.0.0.1:"));
    let answer = server.api("GET", "/api/v1/flows").send().unwrap();
    assert!(answer.status().is_success());
    assert_eq!(answer.version(), reqwest::Version::HTTP_2, "by ALPN");
    let old = Client::builder()
        .no_proxy()
        .add_root_certificate(desk.authority.root())
        .http1_only()
        .build()
        .unwrap();
    let answer = old.get(format!("{}/readyz", server.address())).send().unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));

    // The local command line knows the host by what it left in the data folder; from elsewhere an authority is needed.
    server.ok(&["flow", "list"]);
    let url = format!("https://localhost:{}", desk.port());
    let (ca, other) = (desk.dir.path().join("ca.pem"), desk.dir.path().join("other.pem"));
    std::fs::write(&ca, &desk.authority.pem).unwrap();
    std::fs::write(&other, Authority::new("Ours").pem).unwrap();
    server.ok(&["flow", "list", "--server", &url, "--ca", ca.to_str().unwrap()]);
    for arguments in [vec![], vec!["--ca", other.to_str().unwrap()]] {
        let mut all = vec!["flow", "list", "--server", &url];
        all.extend(arguments);
        let (_, error) = server.fails(&all);
        assert!(error.contains("is its certificate trusted here (--ca FILE)?"), "{error}");
    }
    // Whoever sits on the port with another certificate is not taken for the host.
    let file = server.data().join("address.sha256");
    let fingerprint = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "00".repeat(32)).unwrap();
    server.fails(&["flow", "list"]);
    std::fs::write(&file, fingerprint).unwrap();
    server.ok(&["flow", "list"]);

    let plain = Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(format!("http://127.0.0.1:{}/healthz", desk.port()));
    assert!(plain.send().is_err(), "nothing is said in clear");
    let answer = |minor| {
        let mut stream = desk.connect();
        stream.write_all(&hello(minor)).unwrap();
        let mut record = [0; 7];
        stream.read_exact(&mut record).unwrap();
        record
    };
    assert_eq!(answer(3)[0], 22, "a hello of TLS 1.2 is answered");
    // Alert, fatal, protocol_version (RFC 5246, section 7.2).
    let old = answer(2);
    assert_eq!((old[0], &old[5..]), (21, &[2, 70][..]), "{old:?}");
}

#[test]
fn slow_and_broken_handshakes_hold_up_nobody() {
    let Some(dist) = dist("handshakes") else { return };
    let desk = Desk::start(&dist);
    let fresh = || {
        let client =
            Client::builder().no_proxy().add_root_certificate(desk.authority.root()).build().unwrap();
        client.get(format!("{}/healthz", desk.server.address())).send().unwrap().status().as_u16()
    };
    let mut first = desk.connect();
    first.write_all(&[22, 3, 1]).unwrap();
    let mut slow = Vec::new();
    for round in 0..560 {
        let mut stream = desk.connect();
        // Some say nothing, some half a record, some nonsense.
        match round % 3 {
            0 => {}
            1 => stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap(),
            _ => stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
        }
        slow.push(stream);
        if round % 100 == 0 {
            assert_eq!(fresh(), 200, "{round}");
        }
    }
    assert_eq!(fresh(), 200);
    // None stays for ever.
    let mut rest = Vec::new();
    let _ = first.read_to_end(&mut rest);
    for stream in &mut slow {
        let ended = stream.read_to_end(&mut rest);
        assert!(!matches!(ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "still open");
    }
    assert_eq!(fresh(), 200);
}

#[test]
fn a_renewed_certificate_is_taken_up_while_the_host_runs() {
    let Some(dist) = dist("renewal") else { return };
    let desk = Desk::start(&dist);
    let server = &desk.server;
    let before = desk.shown();
    // A half of it changes nothing but the log.
    let next = desk.authority.server();
    std::fs::write(&desk.certificate, &next.pem).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !server.log().contains("the ones before still hold") {
        assert!(Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(desk.shown(), before);
    next.write(&desk.certificate, &desk.key);
    while desk.shown() != next.der() {
        assert!(Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    // Connections from before go on, and the local command line knows the new one.
    assert!(server.api("GET", "/api/v1/flows").send().unwrap().status().is_success());
    server.ok(&["flow", "list"]);
    assert_eq!(server.log().matches("the ones before still hold").count(), 1, "told once");
}

#[test]
fn what_cannot_be_served_is_refused_at_the_start() {
    let Some(dist) = dist("https_refused") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("host.pem"), dir.path().join("host.key"));
    Authority::new("Ours").server().write(&certificate, &key);
    let mut permissions = std::fs::metadata(&key).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&key, permissions).unwrap();
    let fails = |config: &str| {
        let file = dir.path().join("factotum.toml");
        std::fs::write(&file, config).unwrap();
        let output = std::process::Command::new(dist.join("factotum"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(dir.path().join("data"))
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let open = fails(&format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"));
    assert!(open.contains("others may read or change it (mode 644)") && open.contains("chmod 600"), "{open}");
    let half = fails(&format!("[tls]\ncertificate = {certificate:?}\n"));
    assert!(half.contains("has a certificate and no key"), "{half}");
    let all = fails("[proxies]\ntrusted = [\"0.0.0.0/0\"]\n");
    assert!(all.contains("is everybody"), "{all}");
    assert_eq!(json!(dir.path().join("data").join("address").exists()), json!(false));
}

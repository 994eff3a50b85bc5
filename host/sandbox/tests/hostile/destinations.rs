//! Attacks on where a request goes: addresses in disguise, names that lie, redirects, paths.

use factotum_sandbox::UseOutcome;
use serde_json::json;

use super::{Names, acted, among, send};
use crate::common::{call, ok, server::Server};

/// Every way to write an inner address that some resolver, library or proxy reads as one.
const INNER: &[&str] = &[
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "localhost",
    "LOCALHOST.",
    "localhost.localdomain",
    "127.0.0.1.nip.example",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127.0.0.1%00.api.example.com",
    "127.0.0.1%23.api.example.com",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "metadata.google.internal",
];

#[tokio::test]
async fn no_spelling_of_an_inner_address_is_reached_with_a_grant_for_another_host() {
    let server = Server::saying("inner").await;
    let names = Names::new(&[("localhost", &[&["127.0.0.1"]]), ("127.0.0.1.nip.example", &[&["127.0.0.1"]])]);
    let grant = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"*.example.com\"\nport = {}\nmethods = [\"GET\"]\npaths = [\"/**\"]",
        server.port
    );
    let plugin = among(names.clone(), &grant);
    for host in INNER {
        for authority in [format!("{host}:{}", server.port), (*host).to_owned()] {
            let report = send(&plugin, ("GET", &authority, "/"), &[], b"").await;
            assert!(report.result.is_err() && !acted(&report), "{authority}: {report:?}");
        }
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    assert!(names.asked().is_empty(), "not even a name was asked for: {:?}", names.asked());
}

#[tokio::test]
async fn an_inner_address_that_is_granted_has_one_spelling_on_the_wire() {
    let server = Server::saying("granted").await;
    let plugin = among(Names::new(&[]), &server.rule(r#"["GET"]"#, r#"["/"]"#));
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1."] {
        send(&plugin, ("GET", &format!("{host}:{}", server.port), "/"), &[], b"").await;
    }
    let host = format!("host: 127.0.0.1:{}", server.port);
    let seen = server.seen();
    assert!(!seen.is_empty() && seen.iter().all(|s| s.to_lowercase().contains(&host)), "{seen:?}");
    // IPv6 forms of it are other addresses.
    for host in ["[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::1]"] {
        let report = send(&plugin, ("GET", &format!("{host}:{}", server.port), "/"), &[], b"").await;
        assert!(report.result.is_err() && !acted(&report), "{host}");
    }
    assert_eq!(server.seen().len(), seen.len());
}

#[tokio::test]
async fn a_granted_name_that_points_inside_is_refused_whatever_the_address_is_wrapped_in() {
    let server = Server::saying("inner").await;
    for address in [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "169.254.1.1",
        "100.64.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "2001:db8::1",
        "2607:f8b0::5efe:7f00:1",
    ] {
        let names = Names::new(&[("api.example.com", &[&[address]])]);
        let grant = format!(
            "[[http]]\nscheme = \"http\"\nhost = \"*.example.com\"\nport = {}\nmethods = [\"GET\"]\npaths = [\"/\"]",
            server.port
        );
        let plugin = among(names.clone(), &grant);
        let report = send(&plugin, ("GET", &format!("api.example.com:{}", server.port), "/"), &[], b"").await;
        assert!(report.result.is_err(), "{address}");
        assert!(matches!(report.uses[0].outcome, UseOutcome::Denied { .. }), "{address}: {:?}", report.uses);
        assert_eq!(names.asked(), ["api.example.com"], "{address}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_grant_for_the_private_network_opens_neither_metadata_nor_what_is_no_address() {
    for address in [
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:0.0.0.0",
    ] {
        let names = Names::new(&[("inner.example.com", &[&[address]])]);
        let grant = "[[http]]\nscheme = \"http\"\nhost = \"inner.example.com\"\nmethods = [\"GET\"]\npaths = [\"/\"]\nprivate-network = true";
        let report = send(&among(names, grant), ("GET", "inner.example.com", "/"), &[], b"").await;
        assert!(report.result.is_err(), "{address}");
        assert!(matches!(report.uses[0].outcome, UseOutcome::Denied { .. }), "{address}: {:?}", report.uses);
    }
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_checked_at_each_connection() {
    let server = Server::saying("inner").await;
    let grant = format!(
        "[[http]]\nscheme = \"http\"\nhost = \"api.example.com\"\nport = {}\nmethods = [\"GET\"]\npaths = [\"/\"]",
        server.port
    );
    // First a public address, where nobody answers, then the inner one; then both at once, in either order.
    let names = Names::new(&[(
        "api.example.com",
        &[
            &["93.184.215.14"],
            &["127.0.0.1"],
            &["93.184.215.14", "127.0.0.1"],
            &["127.0.0.1", "93.184.215.14"],
        ],
    )]);
    let plugin = among(names.clone(), &grant);
    let authority = format!("api.example.com:{}", server.port);
    let mut denied = 0;
    for _ in 0..4 {
        let report = send(&plugin, ("GET", &authority, "/"), &[], b"").await;
        assert!(report.result.is_err() && !acted(&report), "{report:?}");
        denied += usize::from(matches!(report.uses[0].outcome, UseOutcome::Denied { .. }));
    }
    assert_eq!(denied, 3, "all but the public one");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_plugin_that_follows_a_redirect_inside_is_checked_again() {
    let inner = Server::saying("inner").await;
    for location in [
        inner.url("/admin"),
        format!("http://2130706433:{}/admin", inner.port),
        format!("http://[::ffff:127.0.0.1]:{}/admin", inner.port),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let outer =
            Server::start(format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
                .await;
        let plugin = among(Names::new(&[]), &outer.rule(r#"["GET"]"#, r#"["/"]"#));
        let report = call(&plugin, "follow", json!({"url": outer.url("/"), "times": 3})).await;
        assert_eq!(report.result.unwrap(), json!([[outer.url("/"), location], 0]));
        assert_eq!(outer.seen().len(), 1, "the door itself followed nothing");
        assert!(
            matches!(report.uses.last().unwrap().outcome, UseOutcome::Denied { .. }),
            "{:?}",
            report.uses
        );
    }
    assert!(inner.seen().is_empty());
}

#[tokio::test]
async fn whatever_the_path_is_written_like_only_granted_paths_arrive() {
    let server = Server::saying("x").await;
    let plugin = among(Names::new(&[]), &server.rule(r#"["GET"]"#, r#"["/cases/*"]"#));
    let authority = format!("127.0.0.1:{}", server.port);
    for path in [
        "/cases/../admin",
        "/cases/7/../../admin",
        "/cases/%2e%2e/admin",
        "/cases/.%2E/admin",
        "/cases/..;/admin",
        "/cases;/admin",
        "/cases;x=1/../admin",
        "//admin",
        "//evil.test/cases/7",
        "///cases/7",
        "/cases//7",
        "/cases/7/",
        "/cases/7/notes",
        "/CASES/7",
        "/Cases/7",
        "/%63ases/7/admin",
        "/cases/..%2fadmin",
        "/cases/a%2fadmin",
        "/cases/..%5cadmin",
        "/cases/..\\admin",
        "\\admin",
        "/cases/%252e%252e/admin",
        "/cases/%c0%ae%c0%ae/admin",
        "/cases/%ef%bc%8e%ef%bc%8e/admin",
        "/cases/\u{ff0e}\u{ff0e}/admin",
        "/cases/7%00/admin",
        "/cases/7%00admin",
        "/cases/7%0d%0ax-evil:%201",
        "/cases/7\r\nx-evil: 1",
        "/cases/7 HTTP/1.1\r\nx-evil: 1\r\n\r\nGET /admin",
        "/cases/",
        "/cases",
        "",
        "*",
        "admin",
        "http://evil.test/admin",
        "@evil.test/admin",
        ":80@evil.test/admin",
    ] {
        let report = send(&plugin, ("GET", &authority, path), &[], b"").await;
        assert!(report.result.is_err() && !acted(&report), "{path:?}: {report:?}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    // Dots that lead nowhere else are worked in before the check, a fragment stays behind, and what is checked is what is
    // sent.
    for path in ["/cases/7", "/./cases/7", "/x/../cases/7", "/cases/7#/admin"] {
        let report = send(&plugin, ("GET", &authority, path), &[], b"").await;
        assert!(report.result.is_ok(), "{path}: {report:?}");
    }
    let lines = |s: &String| s.lines().next().unwrap().to_owned();
    assert_eq!(server.seen().iter().map(lines).collect::<Vec<_>>(), ["GET /cases/7 HTTP/1.1"; 4]);
}

#[tokio::test]
async fn whatever_the_host_is_written_like_only_the_granted_name_is_asked_for() {
    let server = Server::saying("x").await;
    let names = Names::new(&[
        ("desk.example.com", &[&["127.0.0.1"]]),
        ("evil.test", &[&["127.0.0.1"]]),
        ("desk.example.com.evil.test", &[&["127.0.0.1"]]),
    ]);
    let port = server.port;
    let rule = server.rule(r#"["GET"]"#, r#"["/"]"#).replace("127.0.0.1", "desk.example.com");
    let plugin = among(names.clone(), &rule);
    for trick in [
        format!("desk.example.com@evil.test:{port}"),
        format!("evil.test@desk.example.com:{port}"),
        format!("user:password@desk.example.com:{port}"),
        format!("@desk.example.com:{port}"),
        format!("desk.example.com:{port}@evil.test:{port}"),
        format!("desk.example.com.evil.test:{port}"),
        format!("evil.test#desk.example.com:{port}"),
        format!("evil.test/desk.example.com:{port}"),
        format!("evil.test\\desk.example.com:{port}"),
        format!("evil.test?desk.example.com:{port}"),
        format!("desk.example.com..:{port}"),
        format!(".desk.example.com:{port}"),
        format!("desk..example.com:{port}"),
        format!("desk.example.com%00.evil.test:{port}"),
        format!("desk.example.com%2eevil.test:{port}"),
        format!("desk.example.com\t.evil.test:{port}"),
        format!("desk.example.com:{port}:80"),
        "desk.example.com:0".into(),
        "desk.example.com:99999".into(),
        "desk.example.com".into(),
        "xn--desk-.example.com".into(),
        "d\u{0435}sk.example.com".into(),
    ] {
        let report = send(&plugin, ("GET", &trick, "/"), &[], b"").await;
        assert!(report.result.is_err() && !acted(&report), "{trick:?}: {report:?}");
    }
    assert!(server.seen().is_empty() && names.asked().is_empty(), "{:?}", names.asked());
    for same in ["DESK.Example.COM", "desk.example.com."] {
        send(&plugin, ("GET", &format!("{same}:{port}"), "/"), &[], b"").await.result.unwrap();
    }
    assert!(names.asked().iter().all(|name| name == "desk.example.com"), "{:?}", names.asked());
    let host = format!("host: desk.example.com:{port}\r\n");
    assert!(server.seen().iter().all(|seen| seen.to_lowercase().contains(&host)), "{:?}", server.seen());
    ok(&plugin, "request", super::get_input("GET", &format!("http://desk.example.com:{port}/"), &[])).await;
}

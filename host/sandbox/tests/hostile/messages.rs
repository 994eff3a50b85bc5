//! Attacks on the form of a message: smuggling in either direction, overrides, methods, lengths.

use serde_json::json;

use super::{Names, acted, among, request, send};
use crate::common::{call, server::Server};

const POST: &str = r#"["GET", "POST"]"#;

#[tokio::test]
async fn headers_about_the_connection_or_another_request_never_arrive() {
    let server = Server::saying("x").await;
    let plugin = among(Names::new(&[]), &server.rule(POST, r#"["/"]"#));
    let authority = format!("127.0.0.1:{}", server.port);
    for (name, value) in [
        ("host", "evil.test"),
        ("Host", "evil.test"),
        ("connection", "close, x-key"),
        ("Connection", "upgrade"),
        ("keep-alive", "timeout=9999"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eA=="),
        ("Transfer-Encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("transfer-encoding", "\u{b}chunked"),
        ("te", "trailers"),
        ("trailer", "x-a"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("expect", "100-continue"),
        ("content-length", "0"),
        ("content-length", "999"),
        ("content-length", "+3"),
        ("content-length", "3, 3"),
        ("content-length", "0x3"),
        ("x-http-method-override", "DELETE"),
        ("X-HTTP-Method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("x-original-uri", "/admin"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/admin"),
        ("forwarded", "for=127.0.0.1;host=evil.test"),
        ("x-real-ip", "127.0.0.1"),
        ("x-host", "evil.test"),
    ] {
        let report = send(&plugin, ("POST", &authority, "/"), &[(name, value.as_bytes())], b"abc").await;
        assert!(report.result.is_err() && !acted(&report), "{name}: {value}: {report:?}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
}

#[tokio::test]
async fn a_header_cannot_end_early_and_begin_another() {
    let server = Server::saying("x").await;
    let plugin = among(Names::new(&[]), &server.rule(POST, r#"["/"]"#));
    let authority = format!("127.0.0.1:{}", server.port);
    for (name, value) in [
        ("x-a", &b"1\r\nx-evil: 1"[..]),
        ("x-a", b"1\nx-evil: 1"),
        ("x-a", b"1\rx-evil: 1"),
        ("x-a", b"1\r\n x-evil: 1"),
        ("x-a", b"1\0x-evil: 1"),
        ("x-a", b"1\r\n\r\nGET /x-evil HTTP/1.1\r\n\r\n"),
        ("x-a: 1\r\nx-evil", b"1"),
        ("x-evil ", b"1"),
        (" x-evil", b"1"),
        ("x-evil\t", b"1"),
        ("x-evil:", b"1"),
        ("", b"x-evil"),
        ("x-\u{e9}vil", b"1"),
    ] {
        let report = send(&plugin, ("GET", &authority, "/"), &[(name, value)], b"").await;
        assert!(report.result.is_err() && !acted(&report), "{name:?}: {value:?}: {report:?}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
}

#[tokio::test]
async fn a_method_is_one_word_and_the_one_that_is_granted() {
    let server = Server::saying("x").await;
    let plugin = among(Names::new(&[]), &server.rule(r#"["GET"]"#, r#"["/"]"#));
    let authority = format!("127.0.0.1:{}", server.port);
    for method in [
        "get",
        "Get",
        "DELETE",
        "CONNECT",
        "TRACE",
        "PRI",
        "GET ",
        " GET",
        "GET\t",
        "",
        "GET /admin HTTP/1.1\r\nhost: x\r\n\r\nGET",
        "GET\r\nx-evil: 1",
        "G\u{c9}T",
    ] {
        let report = send(&plugin, (method, &authority, "/"), &[], b"").await;
        assert!(report.result.is_err() && !acted(&report), "{method:?}: {report:?}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
}

#[tokio::test]
async fn a_body_has_the_length_that_was_announced_or_is_not_sent() {
    let server = Server::saying("x").await;
    let plugin = among(Names::new(&[]), &server.rule(POST, r#"["/"]"#));
    let target = json!({"method": "POST", "scheme": "http", "authority": format!("127.0.0.1:{}", server.port), "path": "/"});
    for (announced, written) in [(5, 0), (5, 4), (5, 6), (0, 5), (5, 100_000), (u64::MAX, 5)] {
        let input = json!({"target": target, "announced": announced, "written": written});
        let report = call(&plugin, "lie-about-length", input).await;
        assert!(report.result.is_err() && !acted(&report), "{announced} {written}: {report:?}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    let honest = json!({"target": target, "announced": 5, "written": 5});
    assert_eq!(call(&plugin, "lie-about-length", honest).await.result.unwrap(), json!(200));
}

#[tokio::test]
async fn an_answer_with_two_readings_is_none_and_leaves_nothing_for_the_next_request() {
    for (name, answer) in [
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 40\r\n\r\nok"),
        ("a length of words", "HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok"),
        ("a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"),
        ("an endless length", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok"),
        ("another protocol", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        (
            "a chunk of a strange size",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        ),
        (
            "a chunk beyond all bounds",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nok",
        ),
        ("no protocol", "220 mail.example.com ESMTP\r\n"),
    ] {
        let server = Server::start(answer).await;
        let plugin = among(Names::new(&[]), &server.rule(r#"["GET"]"#, r#"["/"]"#));
        let report = request(&plugin, "GET", &server.url("/")).await;
        assert!(report.result.is_err(), "{name}: {report:?}");
    }
    // A second answer behind the first must not become the answer to another plugin's request.
    let poison =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nPOISON";
    let server = Server::start(poison).await;
    let plugin = among(Names::new(&[]), &server.rule(r#"["GET"]"#, r#"["/"]"#));
    for _ in 0..20 {
        if let Ok(answer) = request(&plugin, "GET", &server.url("/")).await.result {
            assert_eq!(answer["body"], json!("ok"));
        }
    }
    // Both at once: the length does not count (RFC 9112, section 6.3), and is not handed on.
    let both =
        "HTTP/1.1 200 OK\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let server = Server::start(both).await;
    let plugin = among(Names::new(&[]), &server.rule(r#"["GET"]"#, r#"["/"]"#));
    if let Ok(answer) = request(&plugin, "GET", &server.url("/")).await.result {
        assert_eq!(answer["body"], json!("ok"));
        let headers = answer["headers"].to_string();
        assert!(!headers.contains("transfer-encoding") && !headers.contains("40"), "{headers}");
    }
}

#[tokio::test]
async fn an_answer_with_a_flood_of_headers_ends_the_request() {
    for (count, bytes) in [(200, 10), (10, 20_000), (1, 100_000)] {
        let headers: String = (0..count).map(|i| format!("x-{i}: {}\r\n", "y".repeat(bytes))).collect();
        let server = Server::start(format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\nok")).await;
        let plugin = among(Names::new(&[]), &server.rule(r#"["GET"]"#, r#"["/"]"#));
        let report = request(&plugin, "GET", &server.url("/")).await;
        assert!(report.result.is_err(), "{count} headers of {bytes} bytes");
    }
}

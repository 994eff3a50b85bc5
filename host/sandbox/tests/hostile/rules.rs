//! Attacks on fine rules: fields of a body, keys of a query, budgets.

use super::{Names, acted, among, request, send};
use crate::common::server::Server;

const JSON: (&str, &[u8]) = ("content-type", b"application/json");

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    let mark = mark.then_some(0xfeff_u16);
    mark.into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn no_disguise_brings_a_field_past_a_rule_for_body_fields() {
    let server = Server::saying("x").await;
    let rule = server.rule(r#"["POST"]"#, r#"["/contacts/*"]"#) + "body-fields = [\"/contact/name\"]\n";
    let plugin = among(Names::new(&[]), &rule);
    let authority = format!("127.0.0.1:{}", server.port);
    let vip = r#"{"contact":{"name":"x","vip":true}}"#;
    let honest = r#"{"contact":{"name":"x"}}"#;
    let deep = format!("{}1{}", r#"{"contact":"#.repeat(5000), "}".repeat(5000));
    let bodies: Vec<Vec<u8>> = vec![
        vip.into(),
        br#"{"contact":{"name":"x","name":"y"}}"#.to_vec(),
        br#"{"contact":{"name":"x"},"contact":{"vip":true}}"#.to_vec(),
        br#"{"contact":{"name":"x"},"c\u006fntact":{"vip":true}}"#.to_vec(),
        br#"{"contact":{"name":"x","n\u0061me":"y"}}"#.to_vec(),
        br#"{"contact":{"NAME":"x"}}"#.to_vec(),
        br#"{"contact":{"name ":"x"}}"#.to_vec(),
        br#"{"contact":{"name\u0000":"x"}}"#.to_vec(),
        br#"{"contact/name":"x"}"#.to_vec(),
        br#"{"contact":{"name":"x"},"\ud800":1}"#.to_vec(),
        br#"{"contact":{"name":"x"},}"#.to_vec(),
        br#"{"contact":{"name":"x"}/*,"vip":1*/}"#.to_vec(),
        br#"{'contact':{'vip':true}}"#.to_vec(),
        br#"{contact:{vip:true}}"#.to_vec(),
        br#"[{"contact":{"name":"x"}}]"#.to_vec(),
        br#"{"contact":[{"name":"x"}]}"#.to_vec(),
        br#"{"contact":{"name":"x"}}{"contact":{"vip":true}}"#.to_vec(),
        b"{\"contact\":{\"name\":\"x\"}}\n{\"vip\":true}".to_vec(),
        b"{\"contact\":{\"name\":\"x\"}}\0{\"vip\":true}".to_vec(),
        [b"\xef\xbb\xbf", vip.as_bytes()].concat(),
        utf16(vip, true),
        utf16(vip, false),
        b"{\"contact\":{\"name\":\"x\",\"\xc0\xae\":1}}".to_vec(),
        b"{\"contact\":{\"name\":\"\xff\"}}".to_vec(),
        b"contact[vip]=true".to_vec(),
        b"<contact><vip/></contact>".to_vec(),
        deep.into_bytes(),
    ];
    for body in bodies {
        let report = send(&plugin, ("POST", &authority, "/contacts/7"), &[JSON], &body).await;
        let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        assert!(report.result.is_err() && !acted(&report), "{shown}: {report:?}");
    }
    // A harmless body that some servers would read in another way.
    let as_form: &[(&str, &[u8])] = &[("content-type", b"application/x-www-form-urlencoded")];
    for headers in [
        &[][..],
        as_form,
        &[("content-type", b"text/plain")],
        &[("content-type", b"multipart/form-data; boundary=x")],
        &[("content-type", b"application/json; charset=utf-7")],
        &[("content-type", b"application/json; charset=utf-16")],
        &[JSON, ("content-type", b"text/plain")],
        &[JSON, JSON],
        &[JSON, ("content-encoding", b"gzip")],
        &[JSON, ("content-encoding", b"identity"), ("content-encoding", b"gzip")],
        &[JSON, ("content-encoding", b"identity, deflate")],
    ] {
        let report = send(&plugin, ("POST", &authority, "/contacts/7"), headers, honest.as_bytes()).await;
        assert!(report.result.is_err() && !acted(&report), "{headers:?}: {report:?}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    // What was checked is what arrives, byte for byte.
    let odd = r#" { "c\u006fntact" : { "name" : "\u0078" } } "#;
    send(&plugin, ("POST", &authority, "/contacts/7"), &[JSON], odd.as_bytes()).await.result.unwrap();
    assert!(server.seen()[0].ends_with(&format!("\r\n\r\n{odd}")), "{:?}", server.seen());
}

#[tokio::test]
async fn no_disguise_brings_a_key_past_a_rule_for_queries() {
    let server = Server::saying("x").await;
    let rule = server.rule(r#"["GET"]"#, r#"["/contacts/*"]"#) + "query = [\"page\"]\n";
    let plugin = among(Names::new(&[]), &rule);
    let authority = format!("127.0.0.1:{}", server.port);
    for query in [
        "admin=1",
        "page=1&admin=1",
        "page=1;admin=1",
        "page=1&%61dmin=1",
        "page=1&amp;admin=1",
        "page[admin]=1",
        "page%5badmin%5d=1",
        "page%00=1",
        "page.admin=1",
        "PAGE=1",
        "+page=1",
        "page+=1",
        "%20page=1",
        "page=1&=x",
        "page=1&_method=DELETE",
        "page=1%26admin=1&%26admin=1",
        "page=1?admin=1&admin=1",
        "page=1\u{ff06}admin=1&adm\u{131}n=1",
    ] {
        let path = format!("/contacts/7?{query}");
        let report = send(&plugin, ("GET", &authority, &path), &[], b"").await;
        assert!(report.result.is_err() && !acted(&report), "{query}: {report:?}");
    }
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    send(&plugin, ("GET", &authority, "/contacts/7?page=1%26admin%3D1"), &[], b"").await.result.unwrap();
    assert!(
        server.seen()[0].starts_with("GET /contacts/7?page=1%26admin%3D1 HTTP/1.1"),
        "{:?}",
        server.seen()
    );
}

#[tokio::test]
async fn a_zip_bomb_goes_off_within_the_rules_bytes() {
    // 10 MB of zeros in 10 KB of gzip.
    const BOMB: &[u8] = include_bytes!("../../../egress/tests/server/bomb.gz");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", BOMB.len());
    let server = Server::start([head.as_bytes(), BOMB].concat()).await;
    let rule = server.rule(r#"["GET"]"#, r#"["/"]"#) + "max-response-bytes = 100000\n";
    let report = request(&among(Names::new(&[]), &rule), "GET", &server.url("/")).await;
    assert!(report.result.is_err() && !acted(&report), "{report:?}");
    assert_eq!(server.seen().len(), 1);
}

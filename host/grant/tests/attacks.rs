//! Each trick by which a request could reach more than was granted, and that it does not.
//!
//! Beside named examples, random spellings are read as the most generous server would read them: what is allowed must be
//! granted in that reading, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use factotum_grant::{
    Capability, Grants, HttpBody, HttpRequest, HttpTarget, Narrowing, PathPattern, check_http, check_request,
    contains,
};
use proptest::{collection::vec, prelude::*, sample::select};

const GRANT: &str = r#"
    [[http]]
    host = "api.example.com"
    methods = ["GET", "POST"]
    paths = ["/files/**", "/contacts/*"]
    query = ["page", "q"]
    body-fields = ["/contact/name", "/contact/tags"]

    [[http]]
    host = "*.cdn.example.com"
    methods = ["GET"]
    paths = ["/**"]
"#;

fn request<'a>(host: &'a str, path: &'a str, query: Option<&'a str>) -> HttpRequest<'a> {
    let target = HttpTarget { scheme: "https", host, port: 443, method: "GET", path };
    HttpRequest { target, query, body: HttpBody::default() }
}

fn refused(request: &HttpRequest<'_>) -> String {
    let denial = check_request(&Grants::from_toml(GRANT).unwrap().http, request).unwrap_err();
    assert_eq!(denial.capability, Capability::Http);
    format!("{}\n{}", denial.message, denial.mend)
}

fn allowed(request: &HttpRequest<'_>) -> bool {
    check_request(&Grants::from_toml(GRANT).unwrap().http, request).is_ok()
}

#[test]
fn path_tricks() {
    assert!(allowed(&request("api.example.com", "/files/a/b", None)));
    for trick in [
        "/files/../admin",
        "/files/%2e%2e/admin",
        "/files/.%2E/admin",
        "/files/..;/admin",
        "/files;x/../admin",
        "/files//../admin",
        "//admin",
        "/files/..%2fadmin",
        "/files/..%5cadmin",
        "/files/..\\admin",
        "/files/%252e%252e/admin",
        "/files/%c0%ae%c0%ae/admin",
        "/files/\u{ff0e}\u{ff0e}/admin",
        "/files/%ef%bc%8e%ef%bc%8e/admin",
        "/files/..%00/admin",
        "/files/..%20/admin",
        "/files/.. /admin",
        "/files/a\r\nX-Evil: 1",
        "/files?x",
        "/files#x",
        "files",
        "",
        "*",
    ] {
        assert!(refused(&request("api.example.com", trick, None)).contains("no grant allows"), "{trick}");
    }
    for other in
        ["/Files/a", "/FILES", "/%66iles/a", "/contacts", "/contacts/7/notes", "/contacts/", "/filesystem"]
    {
        assert!(refused(&request("api.example.com", other, None)).contains("path"), "{other}");
    }
}

#[test]
fn host_tricks() {
    for same in ["API.example.com", "api.example.com.", "Api.Example.Com."] {
        assert!(allowed(&request(same, "/files", None)), "{same}");
    }
    assert!(allowed(&request("a.b.cdn.example.com.", "/x", None)));
    for trick in [
        "api.example.com..",
        "api.example.com.evil.test",
        "user@api.example.com",
        "api.example.com@evil.test",
        "evil.test@a.cdn.example.com",
        "evil.test/a.cdn.example.com",
        "evil.test\\a.cdn.example.com",
        "evil.test#a.cdn.example.com",
        "evil.test?a.cdn.example.com",
        "evil.test:443.cdn.example.com",
        "evil.test%00.cdn.example.com",
        "cdn.example.com",
        ".cdn.example.com",
        "a..cdn.example.com",
        "[a.cdn.example.com]",
        "",
    ] {
        assert!(refused(&request(trick, "/files", None)).contains("destination"), "{trick}");
    }
}

#[test]
fn query_tricks() {
    assert!(allowed(&request("api.example.com", "/files", Some("page=1&q=a%26admin%3D1"))));
    for trick in [
        "page=1&admin=1",
        "page=1;admin=1",
        "page=1&%61dmin=1",
        "page%00=1",
        "PAGE=1",
        "page=1&=x",
        "page=1&_method=DELETE",
    ] {
        assert!(refused(&request("api.example.com", "/files", Some(trick))).contains("query key"), "{trick}");
    }
    // Where no keys are named, any may be sent, but none that changes the method.
    assert!(allowed(&request("a.cdn.example.com", "/x", Some("any=1"))));
    assert!(!allowed(&request("a.cdn.example.com", "/x", Some("any=1&_method=DELETE"))));
}

#[test]
fn body_tricks() {
    let post = |bytes: &str, content_type: Option<&str>, content_encoding: Option<&str>| {
        let mut request = request("api.example.com", "/contacts/7", None);
        request.target.method = "POST";
        request.body = HttpBody { bytes: bytes.as_bytes(), content_type, content_encoding };
        check_request(&Grants::from_toml(GRANT).unwrap().http, &request).map(|permit| permit.index)
    };
    let json = Some("application/json");
    assert_eq!(post(r#"{"contact":{"name":"x"}}"#, json, None), Ok(0));
    for (body, content_type, encoding, why) in [
        (r#"{"contact":{"name":"x","vip":true}}"#, json, None, "/contact/vip"),
        (r#"{"contact":{"name":"x","name":"y"}}"#, json, None, "twice"),
        (r#"{"contact":{"name":"x"},"contact":{"tags":[]}}"#, json, None, "twice"),
        (r#"{"contact":{"name":"x","n\u0061me":"y"}}"#, json, None, "twice"),
        (r#"{"contact":{"Name":"x"}}"#, json, None, "/contact/Name"),
        (r#"{"contact":{"name":"x"}}"#, None, None, "Content-Type"),
        (r#"{"contact":{"name":"x"}}"#, Some("text/plain"), None, "Content-Type"),
        (r#"{"contact":{"name":"x"}}"#, Some("application/json; charset=utf-7"), None, "Content-Type"),
        ("contact[vip]=1", Some("application/x-www-form-urlencoded"), None, "Content-Type"),
        (r#"{"contact":{"name":"x"}}"#, json, Some("gzip"), "encoded"),
        ("", json, Some("gzip"), "encoded"),
        ("{\"contact\":{\"name\":\"x\"}}\n{\"vip\":1}", json, None, "not JSON"),
    ] {
        let denial = post(body, content_type, encoding).unwrap_err();
        assert!(denial.message.contains(why), "{body}: {denial:?}");
    }
    let large = format!("{{\"contact\":{{\"name\":\"{}\"}}}}", "x".repeat(1 << 20));
    assert!(post(&large, json, None).unwrap_err().mend.starts_with('#'));
}

#[test]
fn a_caller_who_sees_the_target_alone_gets_nothing_that_needs_more() {
    for more in [
        "query = []",
        "body-fields = []",
        "max-request-bytes = 5",
        "max-response-bytes = 5",
        "per-minute = 5",
        "concurrency = 5",
        "inject = [{ secret = \"k\", query = \"key\" }]",
        "inject = [{ secret = \"k\", basic = \"user\" }]",
    ] {
        let text = format!("[[http]]\nhost = \"x.test\"\nmethods = [\"GET\"]\npaths = [\"/\"]\n{more}");
        let grants = Grants::from_toml(&text).unwrap();
        let target = HttpTarget { scheme: "https", host: "x.test", port: 443, method: "GET", path: "/" };
        assert!(check_http(&grants.http, &target).is_err(), "{more}");
        let whole = HttpRequest { target, query: None, body: HttpBody::default() };
        assert!(check_request(&grants.http, &whole).is_ok(), "{more}");
    }
}

#[test]
fn rules_that_cannot_be() {
    let read = |text: &str| {
        Grants::from_toml(&format!("[[http]]\nmethods = [\"GET\"]\npaths = [\"/\"]\n{text}"))
            .map_err(|e| e.to_string())
    };
    for (text, why) in [
        ("host = \"*.example.com\"\nprivate-network = true", "without a star"),
        ("host = \"*.0.0.1\"", "address"),
        ("host = \"127.1\"", "address"),
        ("host = \"user@x.test\"", "user"),
        ("host = \"x.test\"\nscheme = \"ftp\"", "https or http"),
        ("host = \"x.test\"\nport = 0", "65535"),
        ("host = \"x.test\"\nper-minute = 0", "at least 1"),
        ("host = \"x.test\"\nmax-request-bytes = 99999999", "at most"),
        ("host = \"x.test\"\nquery = [\"\"]", "query key"),
        ("host = \"x.test\"\nquery = [\"a\\u0000\"]", "query key"),
        ("host = \"x.test\"\nbody-fields = [\"contact\"]", "slash"),
        ("host = \"x.test\"\nbody-field = []", "unknown field"),
        ("host = \"x.test\"\ninject = [{ secret = \"k\" }]", "one place"),
        ("host = \"x.test\"\ninject = [{ secret = \"k\", bearer = true, header = \"x\" }]", "one place"),
        ("host = \"x.test\"\ninject = [{ secret = \"k\", basic = \"a:b\" }]", "colon"),
        ("host = \"x.test\"\ninject = [{ secret = \"k\", query = \"_method\" }]", "_method"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(why) && error.contains("line"), "{text}: {error}");
    }
    assert!(Grants::from_toml("[[http]]\nhost = \"x.test\"\nmethods = [\"get\"]\npaths = []").is_err());
    let rule = "[[http]]\nhost = \"x.test\"\nmethods = []\npaths = []\n";
    assert!(Grants::from_toml(&rule.repeat(257)).is_err());
    // Spellings become one.
    let one = read("host = \"[0:0::0001]\"\nscheme = \"HTTPS\"").unwrap();
    assert_eq!(one, read("host = \"::1\"").unwrap());
    assert_eq!(read("host = \"X.Test.\"").unwrap(), read("host = \"x.test\"").unwrap());
}

#[test]
fn an_upgrade_cannot_hide_what_it_adds() {
    let rule = |more: &str| {
        Grants::from_toml(&format!(
            "[[http]]\nhost = \"x.test\"\nmethods = [\"GET\"]\npaths = [\"/a/**\"]\n{more}"
        ))
        .unwrap()
    };
    let key = "inject = [{ secret = \"k\", bearer = true }]";
    // A rule split in many has the rate of many.
    let mut split = rule("per-minute = 60");
    split.http.push(split.http[0].clone());
    assert!(contains(&rule("per-minute = 60"), &split).is_err());
    assert!(contains(&rule("per-minute = 120"), &split).is_ok());
    // Without the host's secret the plugin could sign in as somebody else, at the same host.
    assert!(contains(&rule(key), &rule("")).is_err() && contains(&rule(""), &rule(key)).is_err());
    assert!(contains(&rule(""), &rule("query = [\"_method\"]")).is_err());
    assert!(contains(&rule(""), &rule("query = [\"page\"]")).is_ok());
}

#[test]
fn a_narrowing_adds_nothing() {
    for text in [
        "[[http]]\nprivate-network = true",
        "[[http]]\ninject = []",
        "config = true",
        "[[http]]\nper-minute = 100",
    ] {
        assert!(toml::from_str::<Narrowing>(text).is_err(), "{text}");
    }
}

/// The segments that the most generous server makes of a path: decoded again and again, backslashes turned, parameters and
/// spaces dropped, dots worked in.
fn generous(path: &str) -> Vec<String> {
    let mut text = path.to_owned();
    for _ in 0..4 {
        let bytes = text.as_bytes();
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let escape = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
            match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%') {
                Some(byte) => {
                    out.push(byte);
                    at += 3;
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        text = String::from_utf8_lossy(&out).into_owned();
    }
    let mut segments: Vec<String> = Vec::new();
    let text = text.replace('\\', "/");
    let text = text.split(['\0', '?', '#']).next().unwrap();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap().trim_end() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment.to_owned()),
        }
    }
    segments
}

fn piece() -> impl Strategy<Value = &'static str> {
    select(vec![
        "/", "a", "b", "admin", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", ";", ";x", "%3b", "%25",
        "%252e", "%00", "%20", "%c0%ae", "//", "/../", "/./", "%", "%2", "A", "%61", "?", "#", " ",
        "\u{ff0e}",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_spelling_of_a_path_widens(
        pieces in vec(piece(), 0..8), pattern in select(vec!["/a/**", "/a/*", "/a", "/*/b", "/a/b/**"]),
    ) {
        let path = format!("/a/{}", pieces.concat());
        let pattern: PathPattern = pattern.parse().unwrap();
        if pattern.matches(&path) {
            // Compared without the decoding of letters: the pattern's own segments are plain.
            let read = generous(&path);
            let wanted: Vec<String> = pattern.to_string().split('/').skip(1).map(str::to_owned).collect();
            for (at, wanted) in wanted.iter().enumerate().filter(|(_, wanted)| !wanted.starts_with('*')) {
                prop_assert_eq!(read.get(at), Some(wanted), "{}", path);
            }
            prop_assert!(!read.iter().any(|segment| segment == "..") && !path.contains("//"));
        }
    }

    #[test]
    fn no_spelling_of_a_host_widens(
        pieces in vec(select(vec!["evil.test", "x.test", ".", "@", ":", ":443", "/", "\\", "#", "?", "%00", "\0", "[", "]", "a", "A", " ", "\t", "。"]), 1..7),
        pattern in select(vec!["x.test", "*.x.test", "a.x.test"]),
    ) {
        let host = pieces.concat();
        let pattern: factotum_grant::HostPattern = pattern.parse().unwrap();
        if pattern.matches(&host) {
            // What a careless reader would connect to.
            let read = host.rsplit('@').next().unwrap().split(['/', '\\', '#', '?', ':', '%', '\0', ' ', '\t']).next().unwrap();
            let read = read.trim_end_matches('.').to_lowercase();
            prop_assert!(read == "x.test" || read.ends_with(".x.test"), "{:?}", host);
        }
    }

    #[test]
    fn no_spelling_of_a_query_widens(
        pieces in vec(select(vec!["page", "q", "admin", "=", "&", ";", "1", "%26", "%3d", "%61dmin", "+", "%00", "%", "[", "]", "p%61ge"]), 0..9),
    ) {
        let query = pieces.concat();
        if allowed(&request("api.example.com", "/files", Some(&query))) {
            for parted in [query.split('&').collect::<Vec<_>>(), query.split(['&', ';']).collect()] {
                for pair in parted.into_iter().filter(|pair| !pair.is_empty()) {
                    let key = pair.split('=').next().unwrap().replace("%61", "a");
                    let first = key.split(';').next().unwrap();
                    prop_assert!(["page", "q"].contains(&first) || first.is_empty(), "{}", query);
                }
            }
            prop_assert!(!query.split('=').any(|part| part.ends_with("admin") && part.contains('&')), "{}", query);
        }
    }
}

//! Where secrets go: every place is read, written again as it was, said in words, and compared whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

use factotum_grant::{
    Grants, HttpBody, HttpRequest, HttpTarget, Language, check_http, check_request, contains, sentences,
};

const PLACES: [&str; 9] = [
    r#"{ secret = "k", bearer = true }"#,
    r#"{ secret = "k", header = "X-Key" }"#,
    r#"{ secret = "k", basic = "robot" }"#,
    r#"{ secret = "k", query = "api-key" }"#,
    r#"{ secret = "k", body = "/client/secret" }"#,
    r#"{ secret = "k", hmac-sha256 = { header = "X-Signature", prefix = "sha256=" } }"#,
    r#"{ secret = "k", hmac-sha256 = { header = "X-Signature", encoding = "base64", timestamp = "X-Time" } }"#,
    r#"{ secret = "k", oauth2 = { token-url = "https://login.example.com/token", client-id = "desk" } }"#,
    r#"{ secret = "k", oauth2 = { token-url = "http://[fd00::1]:8080/a/token", client-id = "desk", scope = "read write", refresh-token = "r", secret-in-body = true, private-network = true } }"#,
];

fn grants(inject: &str, more: &str) -> Grants {
    let text = format!(
        "[[http]]\nhost = \"api.example.com\"\nmethods = [\"POST\"]\npaths = [\"/**\"]\ninject = [{inject}]\n{more}"
    );
    Grants::from_toml(&text).unwrap_or_else(|e| panic!("{inject}: {e}"))
}

#[test]
fn every_place_is_written_as_it_was_read_and_said_in_words() {
    for place in PLACES {
        let one = grants(place, "");
        let text = one.to_toml().unwrap();
        assert_eq!(Grants::from_toml(&text).unwrap(), one, "{text}");
        for language in [Language::English, Language::Chinese] {
            assert!(sentences(&one, language)[0].contains("“k”"), "{place}");
        }
        for other in PLACES {
            let other_grants = grants(other, "");
            let same = place == other;
            assert_eq!(contains(&one, &other_grants).is_ok(), same, "{place} {other}");
        }
    }
    let said = sentences(&grants(PLACES[8], ""), Language::English).concat();
    assert!(
        said.contains("for read write at http://[fd00::1]:8080/a/token, which may stand inside"),
        "{said}"
    );
    let said = sentences(&grants(PLACES[5], ""), Language::English).concat();
    assert!(said.contains("signs the body (header X-Signature) and is not sent"), "{said}");
}

#[test]
fn a_token_server_is_one_address() {
    let grants = grants(PLACES[8], "");
    let factotum_grant::SecretPlace::Oauth(client) = grants.http[0].secrets().next().unwrap().place else {
        panic!("{grants:?}")
    };
    let rule = client.rule().unwrap();
    let to = |port, method, path| {
        let target = HttpTarget { scheme: "http", host: "fd00::1", port, method, path };
        check_request(
            std::slice::from_ref(&rule),
            &HttpRequest { target, query: None, body: HttpBody::default() },
        )
    };
    assert!(to(8080, "POST", "/a/token").is_ok());
    for (port, method, path) in
        [(80, "POST", "/a/token"), (8080, "GET", "/a/token"), (8080, "POST", "/a/token/x")]
    {
        assert!(to(port, method, path).is_err(), "{port} {method} {path}");
    }
}

#[test]
fn places_that_cannot_be_are_refused() {
    for bad in [
        r#"{ secret = "k" }"#,
        r#"{ secret = "k", bearer = true, query = "a" }"#,
        r#"{ secret = "k", body = "" }"#,
        r#"{ secret = "k", body = "/items/*/key" }"#,
        r#"{ secret = "k", body = "key" }"#,
        r#"{ secret = "k", hmac-sha256 = {} }"#,
        r#"{ secret = "k", hmac-sha256 = { header = "bad name" } }"#,
        r#"{ secret = "k", hmac-sha256 = { header = "x", timestamp = "X" } }"#,
        r#"{ secret = "k", hmac-sha256 = { header = "x", prefix = "a\nb" } }"#,
        r#"{ secret = "k", hmac-sha256 = { header = "x", encoding = "rot13" } }"#,
        r#"{ secret = "k", hmac-sha1 = { header = "x" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://a.test/token" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "http://a.test/token", client-id = "a" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://*.test/token", client-id = "a" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://u@a.test/token", client-id = "a" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://a.test/token?x=1", client-id = "a" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://a.test/../token", client-id = "a" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://a.test", client-id = "a" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "ftp://a.test/token", client-id = "a" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://a.test/token", client-id = "" } }"#,
        r#"{ secret = "k", oauth2 = { token-url = "https://a.test/token", client-id = "a", password = "x" } }"#,
    ] {
        let text =
            format!("[[http]]\nhost = \"a.test\"\nmethods = [\"POST\"]\npaths = [\"/\"]\ninject = [{bad}]");
        assert!(Grants::from_toml(&text).is_err(), "{bad}");
    }
}

#[test]
fn a_body_that_the_host_writes_into_is_one_that_everybody_reads_the_same() {
    let grants = grants(PLACES[4], "");
    let send = |bytes: &'static str, content_type: Option<&'static str>| {
        let target =
            HttpTarget { scheme: "https", host: "api.example.com", port: 443, method: "POST", path: "/" };
        let body = HttpBody { bytes: bytes.as_bytes(), content_type, content_encoding: None };
        check_request(&grants.http, &HttpRequest { target, query: None, body }).map(|_| ())
    };
    let json = Some("application/json");
    assert!(send(r#"{"client":{"id":1},"more":[1,2]}"#, json).is_ok());
    for (body, content_type) in [
        ("", json),
        ("{}", None),
        ("{}", Some("text/plain")),
        (r#"{"client":{},"client":{}}"#, json),
        ("{", json),
    ] {
        let denial = send(body, content_type).unwrap_err();
        assert!(denial.mend.starts_with("# send plain JSON"), "{body}: {denial:?}");
    }
    // Who knows no more than the target cannot put it in.
    let target =
        HttpTarget { scheme: "https", host: "api.example.com", port: 443, method: "POST", path: "/" };
    assert!(check_http(&grants.http, &target).is_err());
}

#[test]
fn a_flow_signs_in_only_where_a_rule_names_the_secret() {
    use factotum_grant::check_request_as;
    use factotum_provenance::Carried;
    let grants = Grants::from_toml(
        "[[http]]\nhost = \"a.test\"\nmethods = [\"GET\"]\npaths = [\"/**\"]\nquery = []\n\
         [[http]]\nhost = \"a.test\"\nmethods = [\"GET\"]\npaths = [\"/x\"]\nsecrets = [\"login\"]\n",
    )
    .unwrap();
    let request = |path| HttpRequest {
        target: HttpTarget { scheme: "https", host: "a.test", port: 443, method: "GET", path },
        query: None,
        body: HttpBody::default(),
    };
    let ask = |path, secrets: &[&str]| {
        check_request_as(&grants.http, &request(path), &Carried::default(), secrets)
            .map(|permit| permit.index)
    };
    assert_eq!(ask("/x", &[]), Ok(0));
    assert_eq!(ask("/x", &["login"]), Ok(1), "a rule that names it, also behind one that does not");
    let denial = ask("/y", &["login"]).unwrap_err();
    assert!(denial.message.contains("signing in there with the secret \"login\""), "{denial}");
    // What is proposed allows it, and is read back as it was written.
    let mended = Grants::from_toml(&denial.mend).unwrap();
    assert_eq!(mended.http[0].usable, ["login"]);
    assert!(check_request_as(&mended.http, &request("/y"), &Carried::default(), &["login"]).is_ok());
    assert!(ask("/x", &["login", "other"]).is_err() && ask("/x", &["Login"]).is_err());
    // It is more than the same rule without it, and said in words.
    let without = Grants { http: grants.http[..1].to_vec(), ..Grants::default() };
    let more = factotum_grant::contains(&without, &grants).unwrap_err();
    assert!(
        more[0].words(factotum_grant::Language::English).contains("signing in with the secrets login"),
        "{more:?}"
    );
}

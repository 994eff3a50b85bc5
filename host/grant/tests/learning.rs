//! Learning: the proposal allows what was attempted, and nothing but its generalisation.
#![allow(clippy::unwrap_used)] // a failed test may panic

use factotum_grant::{
    Access, Attempt, Capability, Grants, HttpBody, HttpRequest, HttpRule, HttpTarget, Language,
    check_key_value, check_mail, check_request, keeping_bounds, propose, sentences, widen,
};
use proptest::{collection::vec, prelude::*, sample::select};

const JSON: Option<&str> = Some("application/json");

/// A request over a small world, so that requests often meet.
#[derive(Debug, Clone)]
struct Sent {
    host: &'static str,
    method: &'static str,
    path: String,
    query: Option<String>,
    body: String,
}

impl Sent {
    fn with<T>(&self, look: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
        look(&HttpRequest {
            target: HttpTarget {
                scheme: "https",
                host: self.host,
                port: 443,
                method: self.method,
                path: &self.path,
            },
            query: self.query.as_deref(),
            body: HttpBody { bytes: self.body.as_bytes(), content_type: JSON, content_encoding: None },
        })
    }

    fn observed(&self) -> Option<HttpRule> {
        self.with(|request| HttpRule::observed(request).ok())
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let segment = select(vec!["orders", "lines", "42", "SO-7", "a%20b", "..", "9f86d0818c", "v1", "*", ""]);
    let path = vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")));
    let query =
        select(vec![None, Some(""), Some("page=1"), Some("page=2&q=x"), Some("_method=PUT"), Some("%zz=1")]);
    let body = select(vec![
        "",
        "{}",
        r#"{"name":"Li"}"#,
        r#"{"name":"Li","lines":[{"sku":1},{"sku":2,"note":null}]}"#,
        r#"{"lines":[]}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"*":1}}"#,
        "name=Li",
        "[[1]]",
    ]);
    let host = select(vec!["erp.test", "api.erp.test", "10.0.0.7", "::1"]);
    (host, select(vec!["GET", "POST", "DELETE"]), path, query, body).prop_map(
        |(host, method, path, query, body)| Sent {
            host,
            method,
            path,
            query: query.map(str::to_owned),
            body: body.to_owned(),
        },
    )
}

fn attempts(sent: &[Sent]) -> Vec<Attempt> {
    sent.iter().filter_map(Sent::observed).map(|rule| Attempt::Http(Box::new(rule))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_proposal_allows_each_attempt_and_can_be_written_down(all in vec(sent(), 1..8)) {
        let grants = propose(&attempts(&all), &Capability::ALL, &[]);
        for one in all.iter().filter(|one| one.observed().is_some()) {
            prop_assert!(one.with(|request| check_request(&grants.http, request).is_ok()), "{one:?}");
        }
        prop_assert_eq!(Grants::from_toml(&grants.to_toml().unwrap()).unwrap(), grants);
    }

    #[test]
    fn what_was_not_attempted_is_allowed_only_as_a_variation_of_what_was(
        all in vec(sent(), 1..6),
        stranger in sent(),
        picks in proptest::array::uniform5(any::<prop::sample::Index>()),
    ) {
        let grants = propose(&attempts(&all), &Capability::ALL, &[]);
        // Put together from parts of what was seen and of something else, so that it often comes near.
        let parents: Vec<&Sent> = all.iter().chain([&stranger]).collect();
        let [host, method, path, query, body] = picks.map(|pick| *pick.get(&parents));
        let other = Sent {
            host: host.host,
            method: method.method,
            path: path.path.clone(),
            query: query.query.clone(),
            body: body.body.clone(),
        };
        if other.with(|request| check_request(&grants.http, request).is_err()) {
            return Ok(());
        }
        let same_place: Vec<HttpRule> = all
            .iter()
            .filter_map(Sent::observed)
            .filter(|rule| {
                rule.host.matches(other.host)
                    && rule.methods == [other.method]
                    && rule.paths.iter().any(|path| path.matches(&other.path))
            })
            .collect();
        prop_assert!(!same_place.is_empty(), "{:?} was allowed by {:?}", other, grants.http);
        let seen = other.observed().unwrap();
        for key in seen.query.iter().flatten() {
            prop_assert!(same_place.iter().flat_map(|rule| &rule.query).flatten().any(|known| known == key));
        }
        // A member called * is observed as the field around it, which may be more than what is allowed.
        if !other.body.contains('*') && same_place.iter().all(|rule| rule.body_fields.is_some()) {
            let fields = seen.body_fields.unwrap();
            let known = || same_place.iter().flat_map(|rule| rule.body_fields.iter().flatten());
            prop_assert!(fields.iter().all(|field| known().any(|known| known.contains(field))), "{fields:?}");
        }
    }
}

#[test]
fn a_connectors_visit_becomes_a_grant_that_reads_well() {
    let get = |path: &str, query: &str| Sent {
        host: "erp.test",
        method: "GET",
        path: path.into(),
        query: Some(query.into()),
        body: String::new(),
    };
    let post =
        |path: &str, body: &str| Sent { method: "POST", query: None, body: body.into(), ..get(path, "") };
    let mut seen = attempts(&[
        get("/rest/party", "email=a%40b.test"),
        get("/rest/party/17", ""),
        get("/rest/party/18", ""),
        get("/rest/order/SO-1", ""),
        post("/rest/order/SO-1/note", r#"{"text":"hello"}"#),
        post("/rest/order/SO-2/note", r#"{"text":"hello","by":{"name":"Li"}}"#),
    ]);
    seen.extend([
        Attempt::RunContext,
        Attempt::Mail { sender: None, recipients: vec!["jane@Shop.test".into(), "li@shop.test".into()] },
        Attempt::KeyValue { namespace: None, access: Access::Read },
    ]);
    let known = Grants::from_toml(
        "[[http]]\nhost = \"erp.test\"\nmethods = [\"GET\"]\npaths = [\"/\"]\ninject = [{ secret = \"erp-key\", bearer = true }]",
    )
    .unwrap();
    let grants = propose(&seen, &Capability::ALL, &known.http);
    assert!(check_mail(grants.mail.as_ref(), None, ["other@shop.test"]).is_ok());
    assert!(check_mail(grants.mail.as_ref(), None, ["other@elsewhere.test"]).is_err());
    assert!(check_mail(grants.mail.as_ref(), Some("ceo@shop.test"), ["a@shop.test"]).is_err());
    assert!(check_key_value(&grants, None, Access::Read).is_ok());
    assert!(check_key_value(&grants, None, Access::ReadWrite).is_err());
    let said = sentences(&grants, Language::English);
    assert_eq!(
        said.iter().filter(|said| said.contains("erp.test")).collect::<Vec<_>>(),
        [
            "It can read (GET) at erp.test: /rest/party. Of query keys, only email. It sends no content. Requests are signed in by the host with the secret “erp-key” as bearer token, which the plugin never sees.",
            "It can read (GET) at erp.test: /rest/party/[any], /rest/order/[any]. No query is sent along. It sends no content. Requests are signed in by the host with the secret “erp-key” as bearer token, which the plugin never sees.",
            "It can add or send (POST) at erp.test: /rest/order/[any]/note. No query is sent along. It writes only the fields /text, /by/name. Requests are signed in by the host with the secret “erp-key” as bearer token, which the plugin never sees. Each request sends up to 64 KB and receives up to 16 MB.",
        ]
    );
}

#[test]
fn what_the_manifest_does_not_ask_for_is_never_proposed() {
    let seen = [
        Attempt::RunContext,
        Attempt::Config,
        Attempt::Artifact { bytes: 5 },
        Attempt::Mail { sender: Some("a@b.test".into()), recipients: vec!["c@d.test".into()] },
        Attempt::KeyValue { namespace: Some("crm".into()), access: Access::ReadWrite },
    ];
    for asked in Capability::ALL {
        let grants = propose(&seen, &[asked], &[]);
        for other in Capability::ALL {
            let attempted = other != Capability::Http;
            assert_eq!(grants.allows(other), other == asked && attempted, "{asked} {other}");
        }
    }
}

#[test]
fn what_no_grant_should_say_is_not_learned() {
    let refused = |path: &str, query: Option<&str>| {
        let sent = Sent {
            host: "erp.test",
            method: "POST",
            path: path.into(),
            query: query.map(str::to_owned),
            body: String::new(),
        };
        sent.with(|request| HttpRule::observed(request).unwrap_err().to_string())
    };
    assert!(refused("/a/../b", None).contains("servers read differently"));
    assert!(refused("/a", Some("_method=DELETE")).contains("changes the method"));
    assert!(refused("/a", Some("%ff=1")).contains("query key"));
    let shown = refused("/by-mail/jane%40x.test/../x", None);
    assert!(!shown.contains("jane"), "customers' data stays out of messages: {shown}");
}

#[test]
fn what_an_administrator_bounds_and_keeps_away_stays_in_the_proposal() {
    let mut seen = attempts(&[Sent {
        host: "erp.test",
        method: "GET",
        path: "/rest/party".into(),
        query: None,
        body: String::new(),
    }]);
    seen.extend([
        Attempt::Artifact { bytes: 5 },
        Attempt::Mail { sender: None, recipients: vec!["jane@shop.test".into()] },
        Attempt::KeyValue { namespace: None, access: Access::ReadWrite },
    ]);
    let granted = Grants::from_toml(
        "[[http]]\nhost = \"erp.test\"\nmethods = [\"GET\"]\npaths = [\"/\"]\nper-minute = 30\nconcurrency = 2\nnot-from = [\"chat\"]\n\
         [key-value]\nquota-keys = 9\nquota-bytes = 900\n[artifacts]\nper-hour = 5\n\
         [mail]\nrecipients = []\nper-hour = 7\nmax-bytes = 1000\nnot-from = [\"class:personal\"]\n\
         [data]\nnot-from = [\"hr\"]\nsensitivity = [\"orders\"]\n[limits]\ntime-ms = 500\n",
    )
    .unwrap();
    let proposal = keeping_bounds(propose(&seen, &Capability::ALL, &granted.http), &granted);
    let rule = &proposal.http[0];
    assert_eq!((rule.per_minute, rule.concurrency), (Some(30), Some(2)));
    assert_eq!(rule.not_from, granted.http[0].not_from);
    assert_eq!(proposal.key_value, granted.key_value);
    assert_eq!(proposal.artifacts.as_ref().unwrap().per_hour, Some(5));
    let (mail, had) = (proposal.mail.as_ref().unwrap(), granted.mail.as_ref().unwrap());
    assert_eq!((mail.per_hour, mail.max_bytes, &mail.not_from), (Some(7), Some(1000), &had.not_from));
    assert_eq!((&proposal.data, &proposal.limits), (&granted.data, &granted.limits));
    // Neither in the grant's place nor added to it does it give up any of them.
    let added = widen(&granted, &proposal);
    assert_eq!(added.mail.as_ref().unwrap().per_hour, Some(7));
    assert_eq!(added.artifacts.as_ref().unwrap().per_hour, Some(5));
    assert!(added.http.iter().all(|rule| rule.per_minute == Some(30) && !rule.not_from.is_empty()));
    assert_eq!(added.data, granted.data);
    // Where nothing was attempted nothing is allowed.
    let nothing = keeping_bounds(Grants::default(), &granted);
    assert!(Capability::ALL.into_iter().all(|capability| !nothing.allows(capability)));
}

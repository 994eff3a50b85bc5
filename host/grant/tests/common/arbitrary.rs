//! Random grants, narrowings and requests over a small world, so that they often meet.
#![allow(dead_code, reason = "each test uses a part")]

use factotum_grant::{
    Access, ArtifactsGrant, DataGrant, Grants, HttpBody, HttpNarrowing, HttpRequest, HttpRule, HttpTarget,
    KeyValueGrant, KeyValueScope, Limits, MailGrant, Narrowing, SharedNamespace,
};
use factotum_provenance::{Carried, Label, Labels, Provenance, Source};
use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};
use std::sync::Arc;

const METHODS: [&str; 3] = ["GET", "POST", "PUT"];

fn path_pattern() -> impl Strategy<Value = String> {
    let segments = vec(select(vec!["a", "b", "*"]), 0..3);
    (segments, select(vec!["", "/**", "/"])).prop_map(|(segments, end)| {
        let text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        if text.is_empty() && end.is_empty() { "/".into() } else { format!("{text}{end}") }
    })
}

fn pointer() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "0", "*"]), 0..3)
        .prop_map(|segments| segments.iter().map(|segment| format!("/{segment}")).collect())
}

fn host_pattern() -> impl Strategy<Value = &'static str> {
    select(vec!["x.test", "a.x.test", "*.x.test", "*.a.x.test", "127.0.0.1", "::1", "0:0::1"])
}

fn query() -> impl Strategy<Value = Option<Vec<String>>> {
    option::of(vec(select(vec!["p", "q", "_method"]).prop_map(str::to_owned), 0..3))
}

fn fields() -> impl Strategy<Value = Option<Vec<factotum_grant::FieldPointer>>> {
    option::of(vec(pointer().prop_map(|text| text.parse().unwrap()), 0..3))
}

fn bytes() -> impl Strategy<Value = u64> {
    select(vec![0, 8, 40, HttpRule::MAX_BYTES])
}

fn rate() -> impl Strategy<Value = Option<u32>> {
    Union::new_weighted(vec![(2, Just(None).boxed()), (3, (1..12_u32).prop_map(Some).boxed())])
}

fn inject() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "",
        "",
        "inject = [{ secret = \"k\", bearer = true }]",
        "inject = [{ secret = \"k\", query = \"q\" }]",
        "inject = [{ secret = \"k\", basic = \"u\" }, { secret = \"l\", header = \"x-key\" }]",
        "inject = [{ secret = \"k\", body = \"/key\" }]",
        "inject = [{ secret = \"k\", hmac-sha256 = { header = \"x-sig\" } }]",
        "inject = [{ secret = \"k\", oauth2 = { token-url = \"https://a.test/t\", client-id = \"c\" } }]",
        "inject = [{ secret = \"k\", bearer = false }]",
    ])
}

fn methods() -> impl Strategy<Value = Vec<String>> {
    proptest::sample::subsequence(METHODS.to_vec(), 1..=3)
        .prop_map(|methods| methods.into_iter().map(str::to_owned).collect())
}

pub fn rule() -> impl Strategy<Value = HttpRule> {
    (
        (select(vec!["https", "http"]), host_pattern(), option::of(Just(8443_u16)), any::<bool>()),
        (methods(), vec(path_pattern(), 0..4)),
        (query(), fields(), inject()),
        (bytes(), bytes(), rate(), rate()),
        not_from(),
    )
        .prop_map(
            |((scheme, host, port, private), (methods, paths), (query, fields, inject), bounds, not_from)| {
                let text = format!("[[http]]\nhost = \"{host}\"\nmethods = []\npaths = []\n{inject}");
                let mut rule = Grants::from_toml(&text).unwrap().http.remove(0);
                rule.scheme = scheme.into();
                rule.port = port;
                rule.private_network = private;
                rule.methods = methods;
                rule.paths = paths.iter().map(|path| path.parse().unwrap()).collect();
                rule.query = query;
                rule.body_fields = fields;
                rule.not_from = not_from;
                (rule.max_request_bytes, rule.max_response_bytes, rule.per_minute, rule.concurrency) = bounds;
                rule
            },
        )
}

/// Mostly nothing, so that requests pass.
pub fn not_from() -> impl Strategy<Value = Vec<Source>> {
    let some = proptest::sample::subsequence(vec!["crm", "trigger", "class:personal"], 1..=2);
    prop_oneof![
        3 => Just(Vec::new()),
        1 => some.prop_map(|sources| sources.iter().map(|source| source.parse().unwrap()).collect()),
    ]
}

/// What a call may carry.
pub fn carried() -> impl Strategy<Value = Carried> {
    let labels = || {
        proptest::sample::subsequence(
            vec![
                ("crm", None),
                ("crm", Some("personal")),
                ("erp", Some("personal")),
                ("trigger", None),
                ("mail", None),
            ],
            0..=2,
        )
        .prop_map(|labels| {
            labels.into_iter().map(|(origin, class)| Label::new(origin, class)).collect::<Labels>()
        })
    };
    (labels(), labels(), labels()).prop_map(|(one, two, stored)| {
        let argument = Provenance::object([(Arc::from("a"), one.into()), (Arc::from("b"), two.into())]);
        Carried { argument, stored }
    })
}

fn addresses() -> impl Strategy<Value = Vec<factotum_grant::AddressPattern>> {
    vec(select(vec!["*", "*@x.test", "a@x.test", "*@y.test", "b@y.test"]), 0..3)
        .prop_map(|patterns| patterns.iter().map(|pattern| pattern.parse().unwrap()).collect())
}

fn access() -> impl Strategy<Value = Access> {
    select(vec![Access::Read, Access::ReadWrite])
}

fn key_value() -> impl Strategy<Value = (Option<KeyValueGrant>, KeyValueScope)> {
    let shared = (select(vec!["crm", "report"]), access())
        .prop_map(|(namespace, access)| SharedNamespace { namespace: namespace.into(), access });
    (any::<bool>(), access(), 0..3_u64, 0..3_u64, vec(shared, 0..3)).prop_map(
        |(granted, access, quota_bytes, quota_keys, shared)| match (granted, access) {
            (false, _) => (None, KeyValueScope::default()),
            (true, Access::Read) => {
                (Some(KeyValueGrant { quota_bytes: 0, quota_keys: 0 }), KeyValueScope { access, shared })
            }
            (true, access) => {
                (Some(KeyValueGrant { quota_bytes, quota_keys }), KeyValueScope { access, shared })
            }
        },
    )
}

pub fn grants() -> impl Strategy<Value = Grants> {
    let mail = (addresses(), addresses(), rate(), option::of(0..3_u64), not_from()).prop_map(
        |(senders, recipients, per_hour, max_bytes, not_from)| MailGrant {
            senders,
            recipients,
            per_hour,
            max_bytes,
            not_from,
        },
    );
    let data = not_from().prop_map(|not_from| DataGrant { not_from, ..DataGrant::default() });
    let artifacts =
        (0..3_u64, rate()).prop_map(|(max_bytes, per_hour)| ArtifactsGrant { max_bytes, per_hour });
    let limits = (0..3_u64, 1..3_u64, 1..3_u32).prop_map(|(memory_bytes, time_ms, concurrency)| Limits {
        memory_bytes,
        time_ms,
        concurrency,
    });
    (
        any::<(bool, bool)>(),
        key_value(),
        option::of(artifacts),
        option::of(mail),
        vec(rule(), 0..4),
        data,
        limits,
    )
        .prop_map(
            |((run_context, config), (key_value, key_value_scope), artifacts, mail, http, data, limits)| {
                Grants {
                    run_context,
                    config,
                    key_value,
                    key_value_scope,
                    artifacts,
                    mail,
                    http,
                    data,
                    limits,
                }
            },
        )
}

pub fn http_narrowing() -> impl Strategy<Value = HttpNarrowing> {
    (
        option::of(select(vec!["https", "http"])),
        option::of(host_pattern()),
        option::of(select(vec![80, 443, 8443])),
        (option::of(methods()), option::of(vec(path_pattern(), 0..3)), query(), fields()),
        option::of(bytes()),
        not_from(),
    )
        .prop_map(
            |(scheme, host, port, (methods, paths, query, body_fields), max_request_bytes, not_from)| {
                HttpNarrowing {
                    scheme: scheme.map(str::to_owned),
                    host: host.map(|host| host.parse().unwrap()),
                    port,
                    methods,
                    paths: paths.map(|paths| paths.iter().map(|path| path.parse().unwrap()).collect()),
                    query,
                    body_fields,
                    max_request_bytes,
                    max_response_bytes: None,
                    not_from,
                }
            },
        )
}

pub fn narrowing() -> impl Strategy<Value = Narrowing> {
    (
        option::of(proptest::sample::subsequence(factotum_grant::Capability::ALL.to_vec(), 0..=6)),
        option::of((option::of(access()), option::of(Just(vec!["crm".to_owned()])))),
        option::of((option::of(addresses()), option::of(addresses()))),
        option::of(vec(http_narrowing(), 0..3)),
    )
        .prop_map(|(only, key_value, mail, http)| Narrowing {
            only,
            key_value: key_value.map(|(access, shared)| factotum_grant::KeyValueNarrowing { access, shared }),
            artifacts: None,
            mail: mail.map(|(senders, recipients)| factotum_grant::MailNarrowing {
                senders,
                recipients,
                max_bytes: None,
                not_from: Vec::new(),
            }),
            http,
            data: None,
            limits: None,
        })
}

/// A request that owns its text.
#[derive(Debug, Clone)]
pub struct Request {
    pub scheme: String,
    pub host: String,
    pub port: u16,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub body: String,
    pub content_type: Option<String>,
}

impl Request {
    pub fn view(&self) -> HttpRequest<'_> {
        HttpRequest {
            target: HttpTarget {
                scheme: &self.scheme,
                host: &self.host,
                port: self.port,
                method: &self.method,
                path: &self.path,
            },
            query: self.query.as_deref(),
            body: HttpBody {
                bytes: self.body.as_bytes(),
                content_type: self.content_type.as_deref(),
                content_encoding: None,
            },
        }
    }
}

fn json() -> impl Strategy<Value = String> {
    let leaf = select(vec!["1", "\"x\"", "null", "{}", "[]"]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 8, 3, |inner| {
        let member = (select(vec!["a", "b", "0", "\\u0061"]), inner.clone());
        prop_oneof![
            3 => vec(member, 0..3).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            1 => vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

pub fn request() -> impl Strategy<Value = Request> {
    let pair = (select(vec!["p", "q", "_method", "%71", "z", "+q", "Q"]), select(vec!["", "=1", "=a%26q=2"]))
        .prop_map(|(key, value)| format!("{key}{value}"));
    (
        (
            select(vec!["https", "http"]),
            select(vec![
                "x.test",
                "A.x.test.",
                "b.a.x.test",
                "127.0.0.1",
                "[::1]",
                "evil.test",
                "u@a.x.test",
                "x.test.",
            ]),
            select(vec![80_u16, 443, 8443]),
            select(METHODS.to_vec()),
        ),
        vec(select(vec!["a", "b", "c", "..", "%2e", "", "a;", "A", "a%2Fb"]), 1..4),
        option::of(vec(pair, 0..3)),
        prop_oneof![1 => Just(String::new()), 4 => json()],
        prop_oneof![5 => Just(Some("application/json".to_owned())), 1 => Just(None)],
    )
        .prop_map(|((scheme, host, port, method), segments, query, body, content_type)| Request {
            scheme: scheme.into(),
            host: host.into(),
            port,
            method: method.into(),
            path: segments.iter().map(|segment| format!("/{segment}")).collect(),
            query: query.map(|pairs| pairs.join("&")),
            body,
            content_type,
        })
}

/// A request that is likely to be taken by `rule`: its parts are made from the rule's.
pub fn request_like(rule: HttpRule) -> impl Strategy<Value = Request> {
    let paths: Vec<String> = rule.paths.iter().map(ToString::to_string).collect();
    let paths = if paths.is_empty() { vec!["/".to_owned()] } else { paths };
    (request(), select(paths), select(rule.methods.clone()), select(vec!["a", "b"]), any::<u8>()).prop_map(
        move |(mut request, path, method, word, which)| {
            request.scheme.clone_from(&rule.scheme);
            request.host = rule.host.to_string().replace('*', "n");
            request.port = rule.effective_port();
            request.method = method;
            request.path = path.replace("**", word).replace('*', word);
            if which & 1 == 0 {
                request.query = rule.query.as_ref().map(|keys| keys.join("&"));
            }
            if which & 2 == 0 {
                request.body.clear();
            }
            request
        },
    )
}

//! `metadata.grants`: read at its call, and refused with line and path wherever it could be read as less than it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

use factotum_flow::Flow;
use factotum_grant::{Access, Capability};

fn with_task(task: &str) -> String {
    format!("document: {{ dsl: '1.0.3', namespace: t, name: f, version: '1.0.0' }}\ndo:\n- a:\n{task}")
}

fn with_grants(grants: &str) -> String {
    with_task(&format!(
        "    call: crm/find-contact\n    metadata:\n      other: 1\n      grants:\n{grants}\n"
    ))
}

#[test]
fn a_narrowing_is_read_at_its_call() {
    let source = with_grants(
        "        only: [http, key-value]\n        key-value: { access: read }\n        http:\n        - { methods: [GET], paths: [/contacts/*], query: [] }",
    ) + "- b:\n    try:\n    - c: { call: crm/find-contact, metadata: { grants: { only: [] } } }\n    catch: {}\n- d: { call: crm/find-contact, metadata: { color: red } }\n";
    let flow = Flow::parse(&source, "t.yaml").unwrap();
    let [a, c, d] = flow.calls() else { panic!("{:?}", flow.calls()) };
    let grants = a.grants.as_ref().unwrap();
    assert_eq!(grants.only, Some(vec![Capability::Http, Capability::KeyValue]));
    assert_eq!(grants.key_value.as_ref().unwrap().access, Some(Access::Read));
    assert_eq!(grants.http.as_ref().unwrap()[0].query, Some(vec![]));
    assert_eq!((c.path.as_str(), &c.grants.as_ref().unwrap().only), ("/do/1/b/try/0/c", &Some(vec![])));
    assert!(d.grants.is_none());
}

#[test]
fn a_wrong_narrowing_is_told_with_its_place() {
    for (grants, expected) in [
        ("        onyl: []", "t.yaml:8:15 /do/0/a/metadata/grants/onyl: unknown field `onyl`"),
        ("        only: [htpp]", "t.yaml:8:16 /do/0/a/metadata/grants/only/0: unknown variant `htpp`"),
        ("        http:", "/do/0/a/metadata/grants/http: nothing stands here; write []"),
        ("        mail: { recipients: }", "/do/0/a/metadata/grants/mail/recipients: nothing stands here"),
        (
            "        http:\n        - { methods: [GET], pahts: [/a] }",
            "/do/0/a/metadata/grants/http/0/pahts: unknown field `pahts`",
        ),
        (
            "        http:\n        - { paths: [contacts] }",
            "t.yaml:9:21 /do/0/a/metadata/grants/http/0/paths/0: ",
        ),
        (
            "        http:\n        - { methods: [GET, post] }",
            "t.yaml:9:28 /do/0/a/metadata/grants/http/0/methods/1: methods are written in upper case",
        ),
        (
            "        http: [{ scheme: ftp }]",
            "/do/0/a/metadata/grants/http/0/scheme: the scheme is https or http",
        ),
        ("        limits: { time-ms: 0 }", "/do/0/a/metadata/grants/limits/time-ms: must be at least 1"),
        ("        limits: { time-ms: -5 }", "/do/0/a/metadata/grants/limits/time-ms: invalid value"),
        // Nothing can be added.
        ("        http: [{ private-network: true }]", "unknown field `private-network`"),
        ("        http: [{ inject: [] }]", "unknown field `inject`"),
        ("        - http", "/do/0/a/metadata/grants"),
    ] {
        let problems = Flow::parse(&with_grants(grants), "t.yaml").unwrap_err().to_string();
        assert!(problems.contains(expected), "{grants}\n{problems}");
    }
}

#[test]
fn only_the_call_of_a_plugin_is_narrowed() {
    for task in [
        "    set: { x: 1 }\n    metadata: { grants: { only: [] } }\n",
        "    do: [ { b: { call: crm/x } } ]\n    metadata: { grants: { only: [] } }\n",
        "    wait: PT1S\n    metadata: { grants: }\n",
    ] {
        let problems = Flow::parse(&with_task(task), "t.yaml").unwrap_err().to_string();
        assert!(
            problems.contains("/do/0/a/metadata/grants: `metadata.grants` narrows the call"),
            "{problems}"
        );
    }
}

#[test]
fn a_request_of_the_flows_own_is_narrowed() {
    let task = "    call: http\n    with: { method: get, endpoint: 'https://api.test/v1/x' }\n    metadata: { grants: { http: [{ methods: [GET], paths: [/v1/*] }], limits: { time-ms: 500 } } }\n- b:\n    call: openapi\n    with: { document: { endpoint: 'https://api.test/spec' }, operationId: x }\n    metadata: { grants: { http: [] } }\n";
    let flow = Flow::parse(&with_task(task), "t.yaml").unwrap();
    let [a, b] = flow.https() else { panic!("{:?}", flow.https()) };
    assert_eq!(a.grants.as_ref().unwrap().limits.as_ref().unwrap().time_ms, Some(500));
    assert_eq!(b.grants.as_ref().unwrap().http, Some(vec![]));
    for (grants, key) in [
        ("only: [http]", "only"),
        ("mail: {}", "mail"),
        ("limits: { concurrency: 1 }", "limits"),
        ("key-value: {}", "key-value"),
    ] {
        let task = format!(
            "    call: http\n    with: {{ method: get, endpoint: 'https://api.test/x' }}\n    metadata: {{ grants: {{ {grants} }} }}\n"
        );
        let problems = Flow::parse(&with_task(&task), "t.yaml").unwrap_err().to_string();
        assert!(
            problems.contains(&format!("/do/0/a/metadata/grants/{key}: `{key}` narrows a plugin")),
            "{problems}"
        );
    }
}

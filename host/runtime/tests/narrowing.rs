//! The effective right at work: one plugin called with and without a narrowing in one flow, and what the audit log keeps of
//! every refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a failed test may panic

#[path = "../../sandbox/tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::time::Duration;

use common::{grants, guest, server::Server};
use factotum_audit::{Filter, Outcome, Record};
use factotum_grant::Grants;
use factotum_runtime::{Actor, AddPlugin, Host, HostConfig, RunState, StartRun};
use serde_json::{Value, json};

fn admin() -> Actor {
    Actor::Token("admin".into())
}

async fn open(dir: &Path) -> Host {
    let mut config = HostConfig::new(dir);
    config.max_calls = 8;
    Host::open(config).await.unwrap()
}

async fn install(host: &Host, grants: Grants) {
    let request = AddPlugin {
        wasm: guest("hostile"),
        name: Some("hostile".into()),
        version: Some("1.0.0".parse().unwrap()),
        grants: Some(grants),
        config: [("color".to_owned(), "green".to_owned())].into(),
    };
    host.add_plugin(&admin(), request).await.unwrap();
}

async fn run(host: &Host, tasks: &str) -> (String, Value) {
    let source = format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: narrow, version: '1.0.0' }}\ndo:\n{tasks}"
    );
    host.deploy_flow(&admin(), &source, "narrow.yaml")
        .await
        .unwrap_or_else(|e| panic!("{e}: {:?}", e.problems));
    let request = StartRun {
        actor: admin(),
        flow: "test/narrow".into(),
        input: json!({}),
        dedupe_key: None,
        trigger: "test".into(),
    };
    let started = host.start_run(request).await.unwrap();
    let info = host.wait_run(&started.run_id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.state, RunState::Completed, "{info:?}");
    (started.run_id.clone(), info.output.clone().unwrap())
}

/// The uses of capabilities that the audit log has of a run, oldest first.
fn uses(host: &Host, run: &str) -> Vec<Record> {
    let filter = Filter { run: Some(run.to_owned()), action: Some("capability".into()), ..Filter::default() };
    let mut records = host.audit().list(host.store(), &filter, None, 100).unwrap().records;
    records.reverse();
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn one_plugin_is_called_with_and_without_a_narrowing_in_one_flow() {
    let server = Server::saying("x").await;
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    install(&host, grants(&server.rule(r#"["GET", "POST"]"#, r#"["/**"]"#))).await;
    let with = |method: &str| {
        format!("with: {{ method: {method}, url: '{}', headers: [], body: '' }}", server.url("/cases/7"))
    };
    let narrow = "metadata: { grants: { only: [http], http: [{ methods: [GET], paths: [/cases/*] }] } }";
    let tasks = format!(
        "- wide: {{ call: hostile/request, {post}, export: {{ as: '${{ {{ wide: .status }} }}' }} }}\n\
         - allowed: {{ call: hostile/request, {get}, {narrow}, export: {{ as: '${{ $context + {{ allowed: .status }} }}' }} }}\n\
         - refused:\n    try:\n    - call: {{ call: hostile/request, {post}, {narrow} }}\n    catch:\n      as: e\n      do:\n      - told: {{ set: {{ code: '${{ $e.code }}', context: '${{ $context }}' }} }}\n",
        post = with("POST"),
        get = with("GET"),
    );
    let expected = json!({"code": "denied", "context": {"wide": 200, "allowed": 200}});
    let (id, output) = run(&host, &tasks).await;
    assert_eq!(output, expected);
    let outcomes: Vec<_> =
        uses(&host, &id).iter().map(|r| (r.entry.action.clone(), r.entry.outcome)).collect();
    let http = |method: &str, outcome| (format!("capability.http.{method}"), outcome);
    assert_eq!(
        outcomes,
        [http("post", Outcome::Ok), http("get", Outcome::Ok), http("post", Outcome::Denied)]
    );
    let mend = uses(&host, &id)[2].entry.detail["mend"].clone();
    assert!(mend.contains("metadata.grants") && mend.contains("POST"), "{mend}");
    assert_eq!(server.seen().len(), 2);
    // The same after a restart: the narrowing is part of what was deployed.
    host.shutdown().await;
    drop(host);
    let host = open(dir.path()).await;
    assert_eq!(run(&host, &tasks).await.1, expected);
    assert!(host.audit().verify(host.store(), &[]).unwrap().is_intact());
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_stands_in_the_audit_log_with_the_grant_that_would_have_allowed_it() {
    let server = Server::saying("x").await;
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    let granted = grants("[key-value]\naccess = \"read\"\n[artifacts]\nmax-bytes = 1\n[mail]\nper-hour = 5");
    install(&host, granted).await;
    let guarded = |name: &str, call: &str, with: &str| {
        format!(
            "- {name}:\n    try: [ {{ it: {{ call: hostile/{call}, with: {with} }} }} ]\n    catch: {{}}\n"
        )
    };
    let url =
        server.url("/cases/a-path-that-is-long-enough-to-fill-more-than-a-line-of-the-log/and-more-of-it");
    let tasks = [
        guarded("http", "request", &format!("{{ method: GET, url: '{url}', headers: [], body: '' }}")),
        guarded("keys", "put", "{ bucket: default, key: a, value: b }"),
        guarded("mail", "send-mail", "{ to: [eve@evil.test], cc: [], subject: s }"),
        guarded("file", "store-file", "{ name: a.txt, media_type: text/plain, bytes: 2 }"),
    ]
    .concat();
    let (id, _) = run(&host, &tasks).await;
    let records = uses(&host, &id);
    let actions: Vec<&str> = records.iter().map(|r| r.entry.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "capability.http.get",
            "capability.key-value.set",
            "capability.mail.send",
            "capability.artifacts.put"
        ]
    );
    for record in &records {
        let entry = &record.entry;
        assert_eq!((entry.outcome, entry.actor.as_str()), (Outcome::Denied, "plugin:hostile"), "{entry:?}");
        assert!(entry.task.as_ref().is_some_and(|task| task.ends_with("/it")), "{entry:?}");
        Grants::from_toml(&entry.detail["mend"])
            .unwrap_or_else(|e| panic!("{e}: {:?}", entry.detail["mend"]));
    }
    assert!(records[0].entry.detail["mend"].contains(url.rsplit_once("/cases").unwrap().1));
    assert!(server.seen().is_empty());
    assert!(host.audit().verify(host.store(), &[]).unwrap().is_intact());
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_again_with_less_takes_it_from_calls_under_way() {
    let server = Server::saying("x").await;
    let dir = tempfile::tempdir().unwrap();
    let host = open(dir.path()).await;
    install(&host, grants(&server.rule(r#"["GET"]"#, r#"["/"]"#))).await;
    let running = tokio::spawn({
        let (host, input) = (host.clone(), json!({"url": server.url("/"), "count": 5_000}));
        async move { host.call_plugin(&admin(), "hostile", "overflow.many-requests", &input, None).await }
    });
    while server.seen().len() < 20 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    install(&host, grants("")).await;
    let after = server.seen().len();
    let answered = running.await.unwrap().unwrap().as_u64().unwrap();
    assert_eq!(answered, server.seen().len() as u64);
    // One may have been between its check and the server.
    assert!(answered <= after as u64 + 1, "{answered} answered, {after} of them before");
    let filter = Filter { action: Some("capability.http".into()), ..Filter::default() };
    let counts: Vec<_> = host.audit().list(host.store(), &filter, None, 10).unwrap().records;
    let count = |outcome| {
        let entry = counts.iter().map(|r| &r.entry).find(|e| e.outcome == outcome).unwrap();
        entry.detail["count"].parse::<u64>().unwrap()
    };
    assert_eq!((count(Outcome::Ok), count(Outcome::Denied)), (answered, 5_000 - answered));
    host.shutdown().await;
}

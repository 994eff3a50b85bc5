//! Learning mode on shipped plugins: what they attempt becomes a grant, and nothing of it is done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // a failed test may panic; a skipped one says so

use std::path::Path;

use factotum_grant::{Capability, Grants, HttpBody, HttpRequest, HttpTarget, check_request};
use factotum_runtime::{Actor, AddPlugin, ErrorCode, Fixtures, Host, HostConfig, LearnRequest, RunState};
use serde_json::json;

const FLOW: &str = "document: { dsl: '1.0.3', namespace: t, name: learn, version: '1.0.0' }
do:
  - look:
      call: crm-tryton/find-contacts
      with: { query: { email: '${ .email }' } }
  - keep:
      call: crm/upsert-contact
      with: { contact: { name: Li, email: '${ $workflow.input.email }' } }
";

const FIXTURES: &str = "[[http]]
method = \"GET\"
url = \"https://erp.shop.test/erp/rest/model/party.party\"
json = []
";

fn plugin(test: &str, name: &str) -> Option<Vec<u8>> {
    component(test, &format!("plugin_{}", name.replace('-', "_")))
}

fn component(test: &str, file: &str) -> Option<Vec<u8>> {
    let Some(dir) = std::env::var_os("FACTOTUM_GUEST_DIR") else {
        println!("skipped: {test}: FACTOTUM_GUEST_DIR is not set; run cargo xtask test");
        return None;
    };
    let path = Path::new(&dir).join(format!("{file}.wasm"));
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_run_on_fixtures_and_the_least_grants_are_proposed() {
    let test = "a_flow_is_run_on_fixtures_and_the_least_grants_are_proposed";
    let (Some(tryton), Some(crm)) = (plugin(test, "crm-tryton"), plugin(test, "crm")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut config = HostConfig::new(dir.path());
    config.max_calls = 4;
    let host = Host::open(config).await.unwrap();
    let admin = Actor::Token("anna".into());
    // As narrow as an install lets it be: everything but one path is missing.
    let start = "run-context = true\nconfig = true\n[[http]]\nhost = \"erp.shop.test\"\nmethods = [\"GET\"]\npaths = [\"/nowhere\"]\ninject = [{ secret = \"tryton-key\", bearer = true }]";
    let tryton = AddPlugin {
        wasm: tryton,
        grants: Some(Grants::from_toml(start).unwrap()),
        config: [("base-url".to_owned(), "https://erp.shop.test/erp".to_owned())].into(),
        ..AddPlugin::default()
    };
    host.add_plugin(&admin, tryton).await.unwrap();
    let crm_grants = Grants::from_toml("run-context = true\n[key-value]").unwrap();
    let crm = AddPlugin { wasm: crm, grants: Some(crm_grants), ..AddPlugin::default() };
    host.add_plugin(&admin, crm).await.unwrap();

    let request = |fixtures: &str| LearnRequest {
        source: FLOW.into(),
        file: "learn.yaml".into(),
        inputs: vec![json!({"email": "li@shop.test"})],
        fixtures: Fixtures::from_toml(fixtures).unwrap(),
        plugin: None,
    };
    let learned = host.learn(&admin, request(FIXTURES)).await.unwrap();
    assert_eq!(learned.runs[0].state, RunState::Completed, "{learned:?}");
    let of = |name: &str| learned.plugins.iter().find(|plugin| plugin.name == name).unwrap();

    let tryton = of("crm-tryton");
    let proposal = Grants::from_toml(&tryton.proposal).unwrap();
    let allowed = |method: &str, path: &str, query: Option<&str>| {
        let target = HttpTarget { scheme: "https", host: "erp.shop.test", port: 443, method, path };
        check_request(&proposal.http, &HttpRequest { target, query, body: HttpBody::default() }).is_ok()
    };
    let parties = "/erp/rest/model/party.party";
    let keys = proposal.http[0].query.clone().unwrap();
    assert!(!keys.is_empty(), "{proposal:?}");
    let query = keys.iter().map(|key| format!("{key}=1")).collect::<Vec<_>>().join("&");
    assert!(allowed("GET", parties, Some(&query)), "{proposal:?}");
    assert!(!allowed("POST", parties, None) && !allowed("GET", "/erp/rest/model/res.user", None));
    assert!(!allowed("GET", parties, Some("other=1")));
    assert!(
        proposal.http.iter().all(|rule| rule.inject.len() == 1),
        "signed in like the rule it stands beside"
    );
    assert!(!proposal.allows(Capability::Mail) && proposal.run_context && proposal.config);
    assert_eq!(tryton.refused_today.len(), 1, "{tryton:?}");
    assert!(tryton.refused_today[0].en.contains("party.party"), "{tryton:?}");
    assert!(!tryton.proposal.contains("li@"), "customers' data is no part of a grant: {}", tryton.proposal);

    let crm_learned = of("crm");
    assert!(crm_learned.attempts > 0 && crm_learned.refused_today.is_empty(), "{crm_learned:?}");
    // Nothing was done: what the run wrote is not in the plugin's own data.
    let query = json!({"query": {"email": "li@shop.test"}});
    let found = host.call_plugin(&admin, "crm", "find-contacts", &query, None).await;
    assert_eq!(found.unwrap(), json!([]));
    let filter = factotum_audit::Filter { action: Some("plugin.learn".into()), ..Default::default() };
    let entries = host.audit().list(host.store(), &filter, None, 10).unwrap().records;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].entry.actor, "token:anna");

    // Accepted, it is enough for the same flow, and the next lesson finds nothing refused.
    let wider = factotum_grant::widen(&host.plugin("crm-tryton").unwrap().grants, &proposal);
    host.set_grants(&admin, "crm-tryton", None, wider, None).await.unwrap();
    let again = host.learn(&admin, request(FIXTURES)).await.unwrap();
    assert!(again.plugins.iter().all(|plugin| plugin.refused_today.is_empty()), "{again:?}");

    // What no fixture answers is said, and not looked for in the world.
    let unanswered = host.learn(&admin, request("")).await.unwrap();
    assert_eq!(unanswered.runs[0].state, RunState::Faulted, "{unanswered:?}");
    let tryton = unanswered.plugins.iter().find(|plugin| plugin.name == "crm-tryton").unwrap();
    assert_eq!(tryton.unanswered, [format!("GET https://erp.shop.test{parties}")]);
    let none = LearnRequest { inputs: Vec::new(), ..request("") };
    assert_eq!(host.learn(&admin, none).await.unwrap_err().code, ErrorCode::InvalidRequest);
    host.shutdown().await;
}

const FILES: &str = "document: { dsl: '1.0.3', namespace: t, name: files, version: '1.0.0' }
do:
  - keep:
      call: stranger/store-file
      with: { name: a.txt, media_type: text/plain, bytes: 7 }
      export: { as: '${ { id: . } }' }
  - describe:
      call: stranger/describe-file
      with: { id: '${ $context.id }' }
      export: { as: '${ $context + { described: . } }' }
  - list:
      call: stranger/list-files
      with: {}
      export: { as: '${ $context + { listed: . } }' }
  - send:
      call: stranger/attach
      with: { to: li@shop.test, artifacts: ['${ $context.id }'], files: 0, bytes: 0 }
  - told:
      if: '${ $context.described == [\"a.txt\", \"text/plain\", 7] and $context.listed == [$context.id] }'
      set: { as_stored: true }
";

/// A plugin without a manifest: what it imports is what it asks for.
#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_described_listed_and_attached_in_the_scratch_alone() {
    let test = "artifacts_are_described_listed_and_attached_in_the_scratch_alone";
    let Some(wasm) = component(test, "guest_hostile") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut config = HostConfig::new(dir.path());
    config.max_calls = 4;
    let host = Host::open(config).await.unwrap();
    let admin = Actor::Token("anna".into());
    let start = "run-context = true\nconfig = true\n[key-value]\n[artifacts]\nmax-bytes = 1\n[mail]\nrecipients = []\n\
                 [[http]]\nhost = \"shop.test\"\nmethods = [\"GET\"]\npaths = [\"/\"]";
    let stranger = AddPlugin {
        wasm,
        name: Some("stranger".into()),
        version: Some("1.0.0".parse().unwrap()),
        grants: Some(Grants::from_toml(start).unwrap()),
        ..AddPlugin::default()
    };
    host.add_plugin(&admin, stranger).await.unwrap();
    let request = LearnRequest {
        source: FILES.into(),
        file: "files.yaml".into(),
        inputs: vec![json!({})],
        fixtures: Fixtures::default(),
        plugin: None,
    };
    let learned = host.learn(&admin, request).await.unwrap();
    assert_eq!(learned.runs[0].state, RunState::Completed, "{learned:?}");
    let stranger = &learned.plugins[0];
    // Stored, described, listed; and for the mail described, read and sent.
    assert_eq!((stranger.attempts, stranger.unlearnable.len()), (6, 0), "{stranger:?}");
    let proposal = Grants::from_toml(&stranger.proposal).unwrap();
    let mail = proposal.mail.as_ref().unwrap();
    assert!(proposal.artifacts.as_ref().unwrap().max_bytes >= 7, "{proposal:?}");
    assert_eq!(mail.recipients, ["*@shop.test".parse().unwrap()], "{proposal:?}");
    assert!(!proposal.allows(Capability::KeyValue) && proposal.http.is_empty(), "{proposal:?}");
    assert_eq!(stranger.refused_today.len(), 2, "{stranger:?}");
    // None of it was done.
    let listed = host.call_plugin(&admin, "stranger", "list-files", &json!({}), None).await.unwrap();
    assert_eq!(listed, json!([]));
    let filter = factotum_audit::Filter { action: Some("mail.send".into()), ..Default::default() };
    assert!(host.audit().list(host.store(), &filter, None, 10).unwrap().records.is_empty());
    host.shutdown().await;
}

const OWN: &str = "
document: { dsl: '1.0.3', namespace: test, name: own, version: '1.0.0' }
use:
  secrets: [shop-login]
  authentications:
    shop: { oauth2: { authority: 'https://id.shop.test/realm', grant: client_credentials, client: { id: desk, secret: '${ $secrets.shop-login }' } } }
do:
  - look:
      call: http
      with: { method: get, endpoint: { uri: 'https://api.shop.test/v1/orders/{id}', authentication: { use: shop } }, query: { expand: lines } }
  - note:
      call: http
      with: { method: post, endpoint: 'https://notes.shop.test/v1/notes', body: { order: '${ .id }', text: seen } }
      metadata: { compensate: { call: http, with: { method: delete, endpoint: 'https://notes.shop.test/v1/notes/{id}' } } }
  - gone: { call: http, with: { method: get, endpoint: 'https://gone.shop.test/' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_least_grant_for_a_flows_own_requests_is_proposed_and_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(HostConfig::new(dir.path())).await.unwrap();
    let admin = Actor::Token("anna".into());
    let fixtures = "
[[http]]
url = \"https://api.shop.test/v1/orders/*\"
json = { id = 7 }
[[http]]
method = \"POST\"
url = \"https://notes.shop.test/v1/notes\"
json = { id = 31 }
[[http]]
method = \"DELETE\"
url = \"https://notes.shop.test/v1/notes/*\"
status = 204
";
    let request = || LearnRequest {
        source: OWN.into(),
        file: "own.yaml".into(),
        inputs: vec![json!({"id": 7})],
        fixtures: Fixtures::from_toml(fixtures).unwrap(),
        plugin: None,
    };
    let learned = host.learn(&admin, request()).await.unwrap();
    let own = learned.own.unwrap_or_else(|| panic!("{learned:?}", learned = learned.runs));
    let proposal = Grants::from_toml(&own.proposal).unwrap();
    let allowed = |method: &str, host: &str, path: &str, query: Option<&str>| {
        let target = HttpTarget { scheme: "https", host, port: 443, method, path };
        check_request(&proposal.http, &HttpRequest { target, query, body: HttpBody::default() }).is_ok()
    };
    assert!(allowed("GET", "api.shop.test", "/v1/orders/8", Some("expand=1")), "{}", own.proposal);
    assert!(
        allowed("DELETE", "notes.shop.test", "/v1/notes/31", None),
        "what takes back as well: {}",
        own.proposal
    );
    assert!(
        allowed("POST", "id.shop.test", "/realm/oauth2/token", None),
        "the login's own: {}",
        own.proposal
    );
    assert!(
        !allowed("POST", "api.shop.test", "/v1/orders/8", None) && !allowed("GET", "id.shop.test", "/", None)
    );
    assert!(!allowed("DELETE", "notes.shop.test", "/v1/notes", None), "{}", own.proposal);
    let usable: Vec<_> =
        proposal.http.iter().map(|rule| (rule.host.to_string(), rule.usable.clone())).collect();
    for (host, secrets) in &usable {
        let signs_in = host == "api.shop.test" || host == "id.shop.test";
        assert_eq!(secrets.iter().any(|name| name == "shop-login"), signs_in, "{usable:?}");
    }
    assert_eq!(own.unanswered, ["GET https://gone.shop.test/"]);
    assert!(!own.refused_today.is_empty() && own.attempts >= 5, "{own:?}");
    // Granted, nothing is lacking any more.
    host.set_flow_grants(&admin, "test", "own", proposal, None).await.unwrap();
    let learned = host.learn(&admin, request()).await.unwrap();
    assert_eq!(learned.own.unwrap().refused_today, []);
    let filter = factotum_audit::Filter { action: Some("flow.learn".into()), ..Default::default() };
    assert_eq!(host.audit().list(host.store(), &filter, None, 10).unwrap().records.len(), 2);
    host.shutdown().await;
}

//! What an administrator takes back is gone at the next effect, also for calls under way; what a flow narrows is narrower
//! for its calls alone; what is bounded over time is counted over all calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::{sync::Arc, time::Duration};

use common::{call, component, context, grants, hostile, ok, sandbox, server::Server, spec};
use factotum_grant::{Capability, Grants, Narrowing};
use factotum_sandbox::{
    CallReport, CapabilityUse, FaultKind, LinkError, Narrowed, Plugin, PluginSpec, UseOutcome,
    testing::Memory,
};
use serde_json::{Value, json};

fn narrowed(toml: &str) -> Arc<Narrowed> {
    Arc::new(Narrowed::new(toml::from_str(toml).unwrap()))
}

async fn under(plugin: &Plugin, by: &Arc<Narrowed>, function: &str, input: Value) -> CallReport {
    plugin.call_narrowed(function, &input, &context(), Some(by)).await
}

fn count(report: &CallReport, of: impl Fn(&CapabilityUse) -> bool) -> u32 {
    report.uses.iter().filter(|used| of(used)).map(|used| used.count).sum()
}

fn denied(used: &CapabilityUse) -> bool {
    matches!(used.outcome, UseOutcome::Denied { .. })
}

async fn until(mut what: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came");
}

fn get(url: &str) -> Value {
    json!({"method": "GET", "url": url, "headers": [], "body": ""})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_of_requests_is_denied_from_the_moment_the_grant_is_taken_back() {
    let server = Server::saying("x").await;
    let (plugin, _) = hostile(&server.rule(r#"["GET"]"#, r#"["/"]"#));
    let input = json!({"url": server.url("/"), "count": 5_000});
    let running = tokio::spawn({
        let plugin = plugin.clone();
        async move { call(&plugin, "overflow.many-requests", input).await }
    });
    until(|| server.seen().len() >= 20).await;
    plugin.set_grants(grants("[limits]\ntime-ms = 300")).unwrap();
    let after = server.seen().len();
    let report = running.await.unwrap();
    let sent = u32::try_from(server.seen().len()).unwrap();
    assert_eq!(count(&report, |used| used.outcome == UseOutcome::Ok), sent);
    // One may have been between its check and the server.
    assert!(sent as usize <= after + 1, "{sent} requests, {after} of them before");
    assert_eq!(count(&report, denied), 5_000 - sent, "{:?}", report.uses.last());
    // Given back, it works again.
    plugin.set_grants(grants(&server.rule(r#"["GET"]"#, r#"["/"]"#))).unwrap();
    ok(&plugin, "request", get(&server.url("/"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_of_writes_is_denied_from_the_moment_the_grant_is_taken_back() {
    let (plugin, memory) = hostile("[limits]\ntime-ms = 1500");
    let running = tokio::spawn({
        let plugin = plugin.clone();
        async move { call(&plugin, "spin-on-host", json!({"what": "set"})).await }
    });
    until(|| !memory.pairs.lock().unwrap().is_empty()).await;
    plugin.set_grants(Grants::default()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    memory.pairs.lock().unwrap().clear();
    let report = running.await.unwrap();
    assert!(memory.pairs.lock().unwrap().is_empty(), "written after it was taken back");
    assert!(count(&report, denied) > 0 && count(&report, |used| used.outcome == UseOutcome::Ok) > 0);
    assert!(report.uses.iter().all(|used| used.capability == Capability::KeyValue));
}

#[tokio::test]
async fn every_capability_that_is_taken_back_answers_with_its_own_refusal() {
    let server = Server::saying("x").await;
    let (plugin, memory) = hostile("[mail]\nrecipients = [\"*\"]");
    let before = ok(&plugin, "context", json!({})).await;
    let file = json!({"name": "a.txt", "media_type": "text/plain", "bytes": 1});
    let id = ok(&plugin, "store-file", file.clone()).await;
    plugin.set_grants(Grants::default()).unwrap();
    for (function, input, capability, action) in [
        ("get", json!({"bucket": "default", "key": "a"}), Capability::KeyValue, "open"),
        ("keys", json!({}), Capability::KeyValue, "open"),
        ("configuration", json!({"key": "color"}), Capability::Config, "get"),
        ("send-mail", json!({"to": ["a@b.c"], "cc": [], "subject": "s"}), Capability::Mail, "send"),
        ("store-file", file, Capability::Artifacts, "put"),
        ("reach.read-file", json!({"id": id}), Capability::Artifacts, "get"),
        ("request", get(&server.url("/")), Capability::Http, "GET"),
    ] {
        let report = call(&plugin, function, input).await;
        let fault = report.result.unwrap_err();
        assert_ne!(fault.code, "trap", "{function}: {fault:?}");
        let [used] = &report.uses[..] else { panic!("{function}: {:?}", report.uses) };
        assert_eq!((used.capability, used.action.as_str()), (capability, action));
        let UseOutcome::Denied { mend } = &used.outcome else { panic!("{used:?}") };
        assert!(Grants::from_toml(mend).unwrap().allows(capability), "{mend}");
    }
    // The run context has no error to answer with: it tells nothing, and the same nothing each time.
    let report = call(&plugin, "context", json!({})).await;
    assert!(denied(&report.uses[0]) && report.uses[0].capability == Capability::RunContext);
    let after = report.result.unwrap();
    assert_eq!((after.get("run_id"), after.get("flow"), after.get("task")), (None, None, None));
    assert_ne!(after["idempotency_key"], before["idempotency_key"]);
    let again = ok(&plugin, "context", json!({})).await;
    assert_eq!(again["idempotency_key"], after["idempotency_key"]);
    assert!(memory.mails.lock().unwrap().is_empty() && memory.files.lock().unwrap().len() == 1);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_plugin_whose_grant_was_taken_back_is_still_there_after_a_restart() {
    let (backends, _) = Memory::backends();
    let nothing = || spec("hostile", Grants::default());
    let refused = sandbox().link(&component("hostile"), nothing(), &backends);
    assert!(matches!(refused, Err(LinkError::MissingGrants(missing)) if missing.len() >= 6));
    let plugin = sandbox().link_installed(&component("hostile"), nothing(), &backends).unwrap();
    let report = call(&plugin, "get", json!({"bucket": "default", "key": "a"})).await;
    assert_eq!(report.result.unwrap_err().code, "denied");
    plugin.set_grants(grants("")).unwrap();
    ok(&plugin, "get", json!({"bucket": "default", "key": "a"})).await;
}

#[tokio::test]
async fn grants_that_this_host_does_not_give_change_nothing() {
    let (plugin, _) = hostile("");
    let before = plugin.grants();
    let wrong = Grants::from_toml("[limits]\nmemory-bytes = 999999999999").unwrap();
    assert!(matches!(plugin.set_grants(wrong), Err(LinkError::Limits(_))));
    assert_eq!(plugin.grants(), before);
}

#[tokio::test]
async fn a_flow_narrows_its_own_calls_and_no_others() {
    let server = Server::saying("x").await;
    let rule = server.rule(r#"["GET", "POST"]"#, r#"["/**"]"#);
    let (plugin, memory) = hostile(&format!("[mail]\nrecipients = [\"*@example.com\"]\n{rule}"));
    let by = narrowed(
        "only = [\"http\", \"mail\", \"key-value\"]\nmail.recipients = [\"desk@example.com\"]\nkey-value.access = \"read\"\n[[http]]\nmethods = [\"GET\"]\npaths = [\"/cases/*\"]",
    );
    let mail = |to: &str| json!({"to": [to], "cc": [], "subject": "s"});
    assert!(under(&plugin, &by, "request", get(&server.url("/cases/7"))).await.result.is_ok());
    assert!(under(&plugin, &by, "send-mail", mail("desk@example.com")).await.result.is_ok());
    let put = json!({"bucket": "default", "key": "a", "value": "1"});
    let read = json!({"bucket": "default", "key": "a"});
    assert_eq!(under(&plugin, &by, "get", read).await.result.unwrap(), json!(null));
    for (function, input) in [
        ("request", get(&server.url("/invoices"))),
        ("send-mail", mail("jane@example.com")),
        ("put", put.clone()),
        ("configuration", json!({"key": "color"})),
        ("store-file", json!({"name": "a", "media_type": "text/plain", "bytes": 1})),
    ] {
        let report = under(&plugin, &by, function, input.clone()).await;
        assert!(report.result.is_err(), "{function}");
        let UseOutcome::Denied { mend } = &report.uses[0].outcome else { panic!("{:?}", report.uses) };
        assert!(mend.contains("metadata.grants"), "{function}: {mend}");
        call(&plugin, function, input).await.result.unwrap_or_else(|fault| panic!("{function}: {fault:?}"));
    }
    assert_eq!(memory.pairs.lock().unwrap().len(), 1);
    // What is taken back from the plugin is taken back from its narrowed calls.
    plugin.set_grants(grants("")).unwrap();
    let report = under(&plugin, &by, "request", get(&server.url("/cases/7"))).await;
    assert!(report.result.is_err() && denied(&report.uses[0]));
}

#[tokio::test]
async fn what_the_manifest_does_not_ask_for_is_not_allowed_though_granted() {
    let (backends, _) = Memory::backends();
    let asked = Narrowing::to_capabilities([Capability::KeyValue]);
    let spec = PluginSpec { asked, ..spec("hostile", grants("")) };
    let plugin = sandbox().link(&component("hostile"), spec, &backends).unwrap();
    ok(&plugin, "get", json!({"bucket": "default", "key": "a"})).await;
    let report = call(&plugin, "configuration", json!({"key": "color"})).await;
    assert!(report.result.is_err());
    let UseOutcome::Denied { mend } = &report.uses[0].outcome else { panic!("{:?}", report.uses) };
    assert!(mend.contains("manifest"), "{mend}");
}

#[tokio::test]
async fn time_memory_and_places_are_narrowed_for_a_task() {
    let (plugin, _) = hostile("");
    let short = narrowed("[limits]\ntime-ms = 100");
    assert_eq!(under(&plugin, &short, "spin", json!({})).await.result.unwrap_err().code, "timeout");
    let small = narrowed("[limits]\nmemory-bytes = 8388608");
    let filled = under(&plugin, &small, "fill-memory-politely", json!({})).await.result.unwrap();
    assert!(filled.as_u64().unwrap() <= 8 << 20, "{filled}");
    let one = narrowed("[limits]\nconcurrency = 1");
    let sleep = || under(&plugin, &one, "sleep-ms", json!({"ms": 150}));
    let begun = std::time::Instant::now();
    let (a, b, c) = tokio::join!(sleep(), sleep(), sleep());
    assert!(a.result.is_ok() && b.result.is_ok() && c.result.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(450), "one after the other");
}

#[tokio::test]
async fn another_plugins_keys_are_reached_only_where_they_are_shared() {
    let (backends, memory) = Memory::backends();
    let link = |name: &str, toml: &str| {
        sandbox().link(&component("hostile"), spec(name, grants(toml)), &backends).unwrap()
    };
    let crm = link("crm", "[key-value]\nquota-bytes = 100");
    let reader = link("reader", "[key-value]\nshared = [{ namespace = \"crm\", access = \"read\" }]");
    let writer = link(
        "writer",
        "[key-value]\naccess = \"read\"\nshared = [{ namespace = \"crm\", access = \"read-write\" }, { namespace = \"nobody\", access = \"read-write\" }]",
    );
    let stranger = link("stranger", "");
    let put = |bucket: &str, value: &str| json!({"bucket": bucket, "key": "contact", "value": value});
    let at = |bucket: &str| json!({"bucket": bucket, "key": "contact"});
    ok(&crm, "put", put("default", "Jane")).await;
    assert_eq!(ok(&reader, "get", at("crm")).await, json!("Jane"));
    assert_eq!(ok(&reader, "get", at("default")).await, json!(null));
    ok(&writer, "put", put("crm", "Li")).await;
    assert_eq!(ok(&crm, "get", at("default")).await, json!("Li"));
    for (plugin, function, input, target, mend) in [
        (&reader, "put", put("crm", "x"), "namespace of crm", "access = \"read-write\""),
        (&writer, "put", put("default", "x"), "own namespace", "access = \"read-write\""),
        (&stranger, "get", at("crm"), "namespace of crm", "namespace = \"crm\""),
        (&stranger, "get", at("not-there"), "namespace of not-there", "namespace = \"not-there\""),
        (&stranger, "get", at("stranger"), "namespace of stranger", "namespace = \"stranger\""),
    ] {
        let report = call(plugin, function, input).await;
        assert_eq!(report.result.unwrap_err().code, "denied");
        let used = report.uses.last().unwrap();
        assert_eq!(used.target, target);
        let UseOutcome::Denied { mend: found } = &used.outcome else { panic!("{used:?}") };
        assert!(found.contains(mend) && Grants::from_toml(found).is_ok(), "{found}");
    }
    // What is written counts against its owner, and there is no room at a plugin that is not there.
    let long = "x".repeat(200);
    for bucket in ["crm", "nobody"] {
        let report = call(&writer, "put", put(bucket, &long)).await;
        assert!(report.result.unwrap_err().message.contains("quota"), "{bucket}");
    }
    assert_eq!(memory.pairs.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rule_lets_through_so_many_requests_a_minute_over_all_calls_and_versions() {
    let server = Server::saying("x").await;
    let (backends, _) = Memory::backends();
    let rule = server.rule(r#"["GET"]"#, r#"["/"]"#) + "per-minute = 5";
    let link = || sandbox().link(&component("hostile"), spec("hostile", grants(&rule)), &backends).unwrap();
    let (one, two) = (link(), link());
    let by = narrowed("[[http]]\nmethods = [\"GET\"]");
    for plugin in [&one, &two] {
        ok(plugin, "request", get(&server.url("/"))).await;
        under(plugin, &by, "request", get(&server.url("/"))).await.result.unwrap();
    }
    ok(&two, "request", get(&server.url("/"))).await;
    for plugin in [&one, &two] {
        let report = call(plugin, "request", get(&server.url("/"))).await;
        assert_eq!(report.result.unwrap_err().kind, FaultKind::Technical, "trying later helps");
        let UseOutcome::Denied { mend } = &report.uses[0].outcome else { panic!("{:?}", report.uses) };
        assert!(mend.contains("per-minute = 6"), "{mend}");
    }
    // The same grant set again does not begin a new minute; another rule is another count.
    one.set_grants(grants(&rule)).unwrap();
    assert!(call(&one, "request", get(&server.url("/"))).await.result.is_err());
    one.set_grants(grants(&rule.replace("= 5", "= 6"))).unwrap();
    ok(&one, "request", get(&server.url("/"))).await;
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_rule_lets_through_so_many_requests_at_one_time() {
    let slow = Server::start_slow(Duration::from_millis(400), "x").await;
    let (plugin, _) = hostile(&(slow.rule(r#"["GET"]"#, r#"["/"]"#) + "concurrency = 2"));
    let request = || call(&plugin, "request", get(&slow.url("/")));
    let (a, b, c) = tokio::join!(request(), request(), request());
    let reports = [a, b, c];
    let refused: Vec<_> = reports.iter().filter(|report| report.result.is_err()).collect();
    let [refused] = &refused[..] else { panic!("{reports:?}") };
    assert!(
        matches!(&refused.uses[0].outcome, UseOutcome::Denied { mend } if mend.contains("concurrency = 3"))
    );
    // The places are free again.
    ok(&plugin, "request", get(&slow.url("/"))).await;
    assert_eq!(slow.seen().len(), 3);
}

#[tokio::test]
async fn mails_and_artifacts_are_counted_by_the_hour_and_by_their_size() {
    let (plugin, memory) =
        hostile("[mail]\nrecipients = [\"*\"]\nper-hour = 2\nmax-bytes = 100\n[artifacts]\nper-hour = 2");
    let mail = |key: &str, subject: &str| {
        let mut context = context();
        context.idempotency_key = key.into();
        let input = json!({"to": ["a@b.c"], "cc": [], "subject": subject});
        let plugin = plugin.clone();
        async move { plugin.call("send-mail", &input, &context).await }
    };
    mail("one", "s").await.result.unwrap();
    // A repeated attempt is the same mail.
    mail("one", "s").await.result.unwrap();
    let large = mail("large", &"s".repeat(200)).await;
    assert_eq!(large.result.unwrap_err().code, "denied");
    assert!(matches!(&large.uses[0].outcome, UseOutcome::Denied { mend } if mend.contains("max-bytes = ")));
    mail("two", "s").await.result.unwrap();
    let third = mail("three", "s").await;
    let fault = third.result.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Technical, "rate-limited"));
    assert!((3_000_000..=3_660_000).contains(&fault.retry_after_ms.unwrap()), "{fault:?}");
    assert!(matches!(&third.uses[0].outcome, UseOutcome::Denied { mend } if mend == "[mail]\nper-hour = 3"));
    assert_eq!(memory.mails.lock().unwrap().len(), 2);
    let file = |name: &str| json!({"name": name, "media_type": "text/plain", "bytes": 1});
    ok(&plugin, "store-file", file("a")).await;
    ok(&plugin, "store-file", file("b")).await;
    assert_eq!(call(&plugin, "store-file", file("c")).await.result.unwrap_err().code, "rate-limited");
    assert_eq!(memory.files.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn query_keys_body_fields_and_budgets_are_held_on_the_way_out() {
    let server = Server::saying("a long answer").await;
    let rule = server.rule(r#"["GET", "POST"]"#, r#"["/cases"]"#);
    let narrow = "query = [\"page\"]\nbody-fields = [\"/contact/name\"]\nmax-request-bytes = 60";
    let (plugin, _) = hostile(&format!("{rule}{narrow}"));
    let send = |method: &str, path: &str, headers: Value, body: &str| {
        let input = json!({"method": method, "url": server.url(path), "headers": headers, "body": body});
        let plugin = plugin.clone();
        async move { call(&plugin, "request", input).await }
    };
    let json = json!([["content-type", "application/json"]]);
    let good = r#"{"contact":{"name":"Jane"}}"#;
    assert!(send("GET", "/cases?page=2", json!([]), "").await.result.is_ok());
    assert!(send("POST", "/cases", json.clone(), good).await.result.is_ok());
    for (method, path, headers, body) in [
        ("GET", "/cases?page=2&admin=1", json!([]), ""),
        ("GET", "/cases?p%61ge=2&%61dmin=1", json!([]), ""),
        ("get", "/cases", json!([]), ""),
        ("POST", "/cases", json.clone(), r#"{"contact":{"name":"Jane","role":"admin"}}"#),
        ("POST", "/cases", json.clone(), r#"{"contact":{"name":"Jane"},"contact":{"role":"x"}}"#),
        ("POST", "/cases", json!([]), good),
        ("POST", "/cases", json!([["content-type", "text/plain"]]), good),
        (
            "POST",
            "/cases",
            json!([["content-type", "application/json"], ["content-type", "text/plain"]]),
            good,
        ),
        ("POST", "/cases", json!([["content-type", "application/json"], ["content-encoding", "gzip"]]), good),
        (
            "POST",
            "/cases",
            json!([
                ["content-type", "application/json"],
                ["content-encoding", "identity"],
                ["content-encoding", "gzip"]
            ]),
            good,
        ),
        (
            "POST",
            "/cases",
            json.clone(),
            r#"{"contact":{"name":"Jane of a very very long name, longer than granted"}}"#,
        ),
    ] {
        let report = send(method, path, headers.clone(), body).await;
        assert_eq!(report.result.unwrap_err().code, "denied", "{method} {path} {headers} {body}");
        assert!(denied(&report.uses[0]));
    }
    assert_eq!(server.seen().len(), 2);
    let (plugin, _) = hostile(&format!("{rule}max-response-bytes = 5"));
    let report = call(&plugin, "request", get(&server.url("/cases"))).await;
    assert!(report.result.is_err(), "the answer is longer than the rule allows");
}

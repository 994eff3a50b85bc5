//! Data from some origins does not reach some destinations: not with the call's argument, not through stored data.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test's helpers: a failure there fails the test

mod common;

use std::sync::Arc;

use common::{component, context, grants, ok, sandbox, server::Server, spec};
use factotum_grant::{Capability, Grants};
use factotum_provenance::{Labels, Provenance};
use factotum_sandbox::{
    CallContext, CallReport, FaultKind, Plugin, StoredLabels, UseOutcome, testing::Memory,
};
use serde_json::{Value, json};

/// The context of a call whose argument `member` comes from there.
fn from(member: &str, labels: Labels) -> CallContext {
    let data = Provenance::object([(Arc::from(member), Provenance::from(labels))]);
    CallContext { data, ..context() }
}

fn crm() -> Labels {
    Labels::from_origin("crm", ["personal"])
}

fn get(url: &str) -> Value {
    json!({"method": "GET", "url": url, "headers": [], "body": ""})
}

/// Two plugins on one memory: each is the hostile guest under a name of its own.
fn plugins(one: (&str, &str), two: (&str, &str)) -> (Plugin, Plugin, Arc<Memory>) {
    let (backends, memory) = Memory::backends();
    let link = |(name, toml): (&str, &str)| {
        sandbox().link(&component("hostile"), spec(name, grants(toml)), &backends).unwrap()
    };
    (link(one), link(two), memory)
}

fn mend(report: &CallReport) -> &str {
    let denied = report.uses.iter().find_map(|used| match &used.outcome {
        UseOutcome::Denied { mend } => Some(mend.as_str()),
        _ => None,
    });
    denied.unwrap_or_else(|| panic!("nothing was denied: {:?}", report.uses))
}

#[tokio::test]
async fn a_request_with_data_that_is_kept_away_is_denied_and_says_why() {
    let server = Server::saying("x").await;
    let rule = server.rule(r#"["GET"]"#, r#"["/"]"#);
    let toml = format!("{rule}not-from = [\"crm\", \"class:personal\"]\n");
    let (chat, _, _) = plugins(("chat", &toml), ("other", ""));
    for (labels, said) in [
        (
            crm(),
            "# the argument `url` holds data from crm (personal): take \"crm\" out of not-from in the [[http]] rule for 127.0.0.1",
        ),
        (
            Labels::from_origin("erp", ["personal"]),
            "holds data from erp (personal): take \"class:personal\" out",
        ),
    ] {
        let report = chat.call("request", &get(&server.url("/")), &from("url", labels)).await;
        assert!(report.result.is_err());
        assert!(mend(&report).contains(said), "{}", mend(&report));
        assert_eq!(report.uses[0].capability, Capability::Http);
    }
    assert!(server.seen().is_empty());
    for labels in [Labels::from_origin("erp", None), Labels::trigger(), Labels::default()] {
        let report = chat.call("request", &get(&server.url("/")), &from("url", labels)).await;
        assert!(report.result.is_ok(), "{report:?}");
        assert_eq!(report.from, Labels::from_origin("chat", None));
    }
    assert_eq!(server.seen().len(), 3);
    // Given back while calls go on: at the next effect it is allowed.
    chat.set_grants(grants(&rule)).unwrap();
    assert!(chat.call("request", &get(&server.url("/")), &from("url", crm())).await.result.is_ok());
}

#[tokio::test]
async fn a_mail_with_data_that_is_kept_away_is_denied_and_says_why() {
    let (mail, _, memory) =
        plugins(("mail", "[mail]\nrecipients = [\"*\"]\nnot-from = [\"class:personal\"]"), ("other", ""));
    let input = json!({"to": ["a@b.test"], "cc": [], "subject": "s"});
    let report = mail.call("send-mail", &input, &from("subject", crm())).await;
    let fault = report.result.clone().unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Business, "denied"));
    assert!(
        fault.message.contains("the argument `subject` holds data from crm (personal), and the grant for mail forbids personal data"),
        "{}",
        fault.message
    );
    assert!(mend(&report).contains("[mail]"));
    assert!(memory.mails.lock().unwrap().is_empty());
    let report = mail.call("send-mail", &input, &from("subject", Labels::from_origin("crm", None))).await;
    assert!(report.result.is_ok(), "{report:?}");
}

#[tokio::test]
async fn a_plugin_is_not_started_with_data_that_it_must_not_be_given() {
    let (chat, _, memory) =
        plugins(("chat", "[data]\nnot-from = [\"crm\"]\nsensitivity = [\"chat\"]"), ("other", ""));
    let input = json!({"bucket": "default", "key": "a", "value": "v"});
    let report = chat.call("put", &input, &from("value", crm())).await;
    let fault = report.result.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Business, "data-not-allowed"));
    assert_eq!(
        fault.message,
        "chat/put was not called: the argument `value` holds data from crm (personal), and the plugin's grant forbids data from crm"
    );
    assert!(report.not_given.unwrap().mend.contains("take \"crm\" out of not-from in [data]"));
    assert!(report.uses.is_empty() && memory.pairs.lock().unwrap().is_empty());
    let report = chat.call("put", &input, &from("value", Labels::trigger())).await;
    assert!(report.result.is_ok(), "{report:?}");
    assert_eq!(report.from, Labels::from_origin("chat", ["chat"]));
}

#[tokio::test]
async fn storing_data_does_not_launder_it() {
    let server = Server::saying("x").await;
    let rule = format!("{}not-from = [\"crm\"]\n", server.rule(r#"["GET"]"#, r#"["/"]"#));
    let read_shared = "[key-value]\nshared = [{ namespace = \"chat\", access = \"read\" }]\n";
    let (chat, report, memory) = plugins(("chat", &rule), ("report", &format!("{read_shared}{rule}")));
    let put = json!({"bucket": "default", "key": "a", "value": "crm-data"});
    assert!(chat.call("put", &put, &from("value", crm())).await.result.is_ok());
    // A later call without any such argument, of this plugin and of another.
    for (plugin, bucket) in [(&chat, "default"), (&report, "chat")] {
        let read = plugin.call("get", &json!({"bucket": bucket, "key": "a"}), &context()).await;
        assert_eq!(read.result.unwrap(), json!("crm-data"));
        assert!(read.from.contains(&crm()), "{:?}", read.from);
    }
    assert_eq!(memory.labels("report").await.unwrap(), Labels::default());
    // Nor does it go where it may not in the same call.
    let sent = chat.call("send-stored", &json!({"key": "a", "url": server.url("/")}), &context()).await;
    assert!(sent.result.is_err());
    assert!(
        mend(&sent).contains("# the stored data that it read holds data from crm (personal)"),
        "{}",
        mend(&sent)
    );
    assert!(server.seen().is_empty());
    // A list of keys tells of the data, a request alone does not.
    let listed = chat.call("keys", &json!({}), &context()).await;
    assert!(listed.from.contains(&crm()));
    let unread = chat.call("request", &get(&server.url("/")), &context()).await;
    assert!(unread.result.is_ok(), "{unread:?}");
    // Who must not have the data does not read it from another's namespace either.
    let with_data = format!("{read_shared}{rule}[data]\nnot-from = [\"class:personal\"]\n");
    report.set_grants(grants(&with_data)).unwrap();
    let refused = report.call("get", &json!({"bucket": "chat", "key": "a"}), &context()).await;
    assert!(refused.result.is_err());
    assert!(
        mend(&refused).contains("the stored data that it read holds data from crm (personal)"),
        "{}",
        mend(&refused)
    );
    assert_eq!(refused.from, Labels::from_origin("report", None));
}

#[tokio::test]
async fn artifacts_do_not_launder_data_either() {
    let (chat, _, memory) = plugins(("chat", ""), ("other", ""));
    let file = json!({"name": "a.txt", "media_type": "text/plain", "bytes": 1});
    let id = chat.call("store-file", &file, &from("name", crm())).await.result.unwrap();
    let read = chat.call("reach.read-file", &json!({"id": id}), &context()).await;
    assert!(read.result.is_ok() && read.from.contains(&crm()), "{read:?}");
    assert!(memory.labels("chat/artifacts").await.unwrap().contains(&crm()));
    assert!(memory.labels("chat").await.unwrap().is_empty());
}

#[tokio::test]
async fn counting_up_reads_and_writes() {
    let (chat, _, memory) = plugins(("chat", ""), ("other", ""));
    let count = json!({"key": "n", "delta": 1});
    assert!(chat.call("increment", &count, &from("delta", crm())).await.result.is_ok());
    assert!(memory.labels("chat").await.unwrap().contains(&crm()));
    let again = chat.call("increment", &count, &context()).await;
    assert!(again.from.contains(&crm()), "{again:?}");
    // Taking away brings nothing in.
    let deleted =
        chat.call("delete", &json!({"key": "n"}), &from("key", Labels::from_origin("erp", None))).await;
    assert!(deleted.result.is_ok(), "{deleted:?}");
    assert!(!memory.labels("chat").await.unwrap().contains(&Labels::from_origin("erp", None)));
}

#[tokio::test]
async fn nothing_is_in_the_way_of_plugins_without_such_rules() {
    let (plugin, memory) = common::hostile("");
    ok(&plugin, "put", json!({"bucket": "default", "key": "a", "value": "v"})).await;
    assert_eq!(memory.labels("hostile").await.unwrap(), Labels::from_origin("hostile", None));
    assert_eq!(Grants::from_toml("").unwrap().data, factotum_grant::DataGrant::default());
}

#[tokio::test]
async fn an_artifact_that_is_attached_to_a_mail_takes_its_data_along() {
    let rule = "[mail]\nrecipients = [\"*\"]\nnot-from = [\"crm\"]\n";
    let (mail, _, memory) = plugins(("mail", rule), ("other", ""));
    let attach = |artifacts: Value| json!({"to": "a@b.test", "artifacts": artifacts, "files": 1, "bytes": 1});
    assert!(mail.call("attach", &attach(json!([])), &context()).await.result.is_ok(), "nothing was stored");
    let file = json!({"name": "a.txt", "media_type": "text/plain", "bytes": 3});
    let id = mail.call("store-file", &file, &from("name", crm())).await.result.unwrap();
    // A later call, whose own argument holds nothing of the kind: neither attached, nor told of by its size.
    let report = mail.call("attach", &attach(json!([id])), &context()).await;
    assert_eq!(report.result.clone().unwrap_err().code, "denied");
    assert!(
        mend(&report).contains("# the stored data that it read holds data from crm (personal)"),
        "{}",
        mend(&report)
    );
    let uses: Vec<_> = report.uses.iter().map(|used| (used.capability, used.action.as_str())).collect();
    assert_eq!(uses, [(Capability::Artifacts, "attach"), (Capability::Mail, "send")]);
    assert_eq!(memory.mails.lock().unwrap().len(), 1);
    // A plugin that must not have such data at all does not get as far as the mail.
    mail.set_grants(grants(&format!("{rule}[data]\nnot-from = [\"class:personal\"]"))).unwrap();
    let report = mail.call("attach", &attach(json!([id])), &context()).await;
    assert_eq!(report.result.unwrap_err().code, "data-not-allowed");
    assert_eq!((report.uses.len(), report.uses[0].capability), (1, Capability::Artifacts));
    mail.set_grants(grants("[mail]\nrecipients = [\"*\"]")).unwrap();
    let another = CallContext { idempotency_key: "key-2".into(), ..context() };
    assert!(mail.call("attach", &attach(json!([id])), &another).await.result.is_ok());
    assert_eq!(memory.mails.lock().unwrap()[1].1.attachments.len(), 2);
}

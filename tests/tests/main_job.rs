//! The main job: a message comes in, is understood, recorded, answered by mail and counted, and all of it is audited.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use factotum_tests::{Server, dist, message, text};
use serde_json::json;

#[test]
fn a_message_becomes_a_case_an_answer_a_mail_and_a_line_in_the_report() {
    let Some(dist) = dist("main_job") else { return };
    let server = Server::start(&dist);
    server.install_intake();
    server.install("report", "[artifacts]");
    server.deploy_shipped("case-report");

    let answer = server.hook(
        "support/ticket-intake",
        &message("Jane@Example.com", "My order ORD-55231 has not arrived yet. It is a week late!"),
    );
    assert_eq!(answer.status(), 200);
    let run = answer.headers()["factotum-run"].to_str().unwrap().to_owned();
    let answer: serde_json::Value = answer.json().unwrap();
    assert_eq!(answer["category"], "delivery", "{answer}");
    assert_eq!(answer["language"], "en");
    assert_eq!(answer["fields"]["order_number"], "ORD-55231");
    assert!(answer["confidence"].as_f64().unwrap() > 0.0);
    let case_id = answer["case_id"].as_str().unwrap();

    // The CRM has contact and case.
    let case =
        server.json(&["plugin", "call", "crm/get-case", "--with", &json!({ "id": case_id }).to_string()]);
    assert_eq!(case["category"], "delivery");
    assert_eq!(case["order_numbers"], json!(["ORD-55231"]));
    let found = server.json(&[
        "plugin",
        "call",
        "crm/find-contacts",
        "--with",
        r#"{"query":{"email":"jane@example.com"}}"#,
    ]);
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["name"], "Jane Doe");

    // A Chinese customer is answered in Chinese.
    let body = json!({ "channel": "mail", "from": "li@example.com", "subject": "退款", "text": "你好，订单号 10293847 我要退款，钱什么时候退给我？" });
    let answer: serde_json::Value = server.hook("support/ticket-intake", &body).json().unwrap();
    assert_eq!((&answer["category"], &answer["language"]), (&json!("refund"), &json!("zh")), "{answer}");

    let mails = server.outbox();
    assert_eq!(mails.len(), 2, "{mails:?}");
    assert!(
        mails.iter().any(|mail| mail.contains("jane@example.com") && mail.contains(case_id)),
        "{mails:?}"
    );

    // The history names every step, and the report counts both cases.
    let shown = server.json(&["run", "show", &run]);
    assert_eq!(shown["state"], "completed");
    let called: Vec<&str> =
        shown["history"].as_array().unwrap().iter().filter_map(|e| e["function"].as_str()).collect();
    for function in ["classifier/classify", "crm/upsert-contact", "crm/add-case", "mail/send"] {
        assert!(called.iter().any(|c| c.starts_with(function)), "{function} is not in {called:?}");
    }
    let report = server.json(&["flow", "run", "support/case-report", "--input", r#"{"language":"zh"}"#]);
    assert_eq!(report["output"]["statistics"]["total"], 2, "{report}");
    let artifacts = report["output"]["artifacts"].as_array().unwrap();
    assert_eq!(artifacts.len(), 2);
    for artifact in artifacts {
        let response = server
            .api("GET", &format!("/api/v1/artifacts/{}", artifact["id"].as_str().unwrap()))
            .send()
            .unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
        assert_eq!(response.bytes().unwrap().len() as u64, artifact["size"].as_u64().unwrap());
    }

    // Every run, call and use of a capability stands in the log, and the chain holds.
    for action in ["plugin.add", "flow.deploy", "run.start", "plugin.call", "capability.mail.send", "run.end"]
    {
        let page = server.json(&["audit", "list", "--action", action]);
        assert!(!page["records"].as_array().unwrap().is_empty(), "no entry {action}");
    }
    server.audit_holds();
    let export = server.ok(&["audit", "export"]);
    assert!(export.lines().last().unwrap().contains("\"head\""), "{export}");
    // No entry holds a customer's words.
    assert!(!export.contains("a week late"), "a payload is in the audit log");
    let file = server.data().join("export.jsonl");
    std::fs::write(&file, &export).unwrap();
    assert!(server.ok(&["audit", "verify", "--file", file.to_str().unwrap()]).contains("holds"));
    std::fs::write(&file, export.replacen("run.start", "run.stary", 1)).unwrap();
    let verdict = server.cli(&["audit", "verify", "--file", file.to_str().unwrap()]);
    assert!(!verdict.status.success() && text(&verdict.stdout).contains("was changed"), "{verdict:?}");
}

#[test]
fn the_same_message_twice_is_one_case_and_one_mail() {
    let Some(dist) = dist("same_message_twice") else { return };
    let server = Server::start(&dist);
    server.install_intake();
    let post = || {
        let request = server
            .http
            .post(format!("{}/hooks/support/ticket-intake", server.address()))
            .header("idempotency-key", "form-4711")
            .json(&message("jane@example.com", "Where is my refund?"));
        request.send().unwrap().json::<serde_json::Value>().unwrap()
    };
    assert_eq!(post(), post());
    assert_eq!(server.all_runs().len(), 1);
    assert_eq!(server.outbox().len(), 1);
}

#[test]
fn the_demo_runs_by_itself() {
    let Some(dist) = dist("demo") else { return };
    let data = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(dist.join("factotum"))
        .args(["demo", "--limit", "40", "--json", "--into"])
        .arg(data.path().join("demo"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["answered"], 40, "{figures}");
    assert_eq!(figures["runs_faulted"], 0);
    assert_eq!(figures["audit"]["findings"], json!([]));
    for path in figures["report"].as_array().unwrap() {
        assert!(std::fs::metadata(path.as_str().unwrap()).unwrap().len() > 1000);
    }
}

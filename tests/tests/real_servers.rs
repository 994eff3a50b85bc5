//! The main job against real third-party servers: mail through Exim and a server that breaks on purpose, cases in Tryton.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use factotum_tests::{PATIENCE, Server, dist, message, server_variable};
use serde_json::{Value, json};

/// Host, port, user and password of `smtp://user:password@host:port`.
fn parts(url: &str) -> (String, String, String, String) {
    let rest = url.split_once("://").unwrap().1;
    let (login, address) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    (host.into(), port.into(), user.into(), password.into())
}

fn smtp_config(url: &str, tls: &str, ca: &str) -> (String, String) {
    let (host, port, user, password) = parts(url);
    let config = format!(
        "[secrets.smtp]\nenv = \"TEST_SMTP_PASSWORD\"\n[mail]\nsender = \"Desk <desk@probe.test>\"\n[mail.smtp]\nhost = {host:?}\nport = {port}\ntls = {tls:?}\nusername = {user:?}\npassword-secret = \"smtp\"\nca-file = {ca:?}\ntimeout-ms = 3000\n"
    );
    (config, password)
}

#[test]
fn mails_arrive_at_a_real_server_over_tls_with_a_password() {
    let test = "mails_arrive_at_a_real_server";
    let (Some(dist), Some(boxes), Some(ca)) =
        (dist(test), server_variable(test, "SMTP_REAL_BOXES"), server_variable(test, "SMTP_CA_FILE"))
    else {
        return;
    };
    for (variable, tls) in [("SMTP_REAL_URL", "starttls"), ("SMTP_REAL_TLS_URL", "implicit")] {
        let Some(url) = server_variable(test, variable) else { return };
        let (config, password) = smtp_config(&url, tls, &ca);
        let server = Server::with_config(&dist, &config, &[("TEST_SMTP_PASSWORD", &password)]);
        server.install_intake();
        let answer: Value = server
            .hook("support/ticket-intake", &message("jane@shop.test", "My order ORD-55231 is late"))
            .json()
            .unwrap();
        let case = answer["case_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let mail = wait_for_mail(Path::new(&boxes), &case);
        assert!(mail.contains("jane@shop.test"), "{mail}");
        assert!(mail.to_lowercase().contains("message-id:"), "{mail}");
        assert!(!server.log().contains(&password), "the password is in the log");
    }
}

/// Looks through all maildir folders for a mail that names the case.
fn wait_for_mail(boxes: &Path, case: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut folders = vec![boxes.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    let mail = String::from_utf8_lossy(&bytes).into_owned();
                    if mail.contains(case) {
                        return mail;
                    }
                }
            }
        }
        assert!(Instant::now() < deadline, "no mail about {case} in {}", boxes.display());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_a_mail_server_refuses_ends_as_the_right_kind_of_fault() {
    let test = "mail_server_refuses";
    let (Some(dist), Some(url), Some(ca)) =
        (dist(test), server_variable(test, "SMTP_FAULTS_URL"), server_variable(test, "SMTP_CA_FILE"))
    else {
        return;
    };
    let (config, password) = smtp_config(&url, "starttls", &ca);
    let server = Server::with_config(&dist, &config, &[("TEST_SMTP_PASSWORD", &password)]);
    server.install("mail", "config = true\n[mail]\nrecipients = [\"*\"]");
    for (recipient, status, kind) in [
        ("code550@shop.test", 422, "business"),
        ("code451@shop.test", 502, "technical"),
        ("drop@shop.test", 502, "technical"),
    ] {
        let body = json!({
            "letter": { "template": "acknowledge-case", "language": "en", "data": r#"{"case_id":"C-1","category":"refund","priority":"normal"}"# },
            "delivery": { "to": recipient },
        });
        let answer = server.api("POST", "/api/v1/plugins/mail/call/send").json(&body).send().unwrap();
        let found = factotum_tests::problem(answer, status);
        assert_eq!(found["info"]["kind"], kind, "{recipient}: {found}");
    }
    // In the flow: a refused recipient is noted on the case, and the run completes.
    server.install("classifier", "config = true");
    server.install("crm", "run-context = true\n[key-value]");
    server.deploy_shipped("ticket-intake");
    let answer: Value = server
        .hook("support/ticket-intake", &message("code550@shop.test", "Where is my parcel?"))
        .json()
        .unwrap();
    let notes = server.json(&[
        "plugin",
        "call",
        "crm/list-notes",
        "--with",
        &json!({ "case_id": answer["case_id"] }).to_string(),
    ]);
    assert!(notes[0]["text"].as_str().unwrap().contains("could not be delivered"), "{answer} {notes}");
}

#[test]
fn the_same_flow_runs_on_tryton_without_a_change() {
    let test = "tryton";
    let (Some(dist), Some(url), Some(key)) =
        (dist(test), server_variable(test, "TRYTON_URL"), server_variable(test, "TRYTON_KEY"))
    else {
        return;
    };
    let server = Server::with_config(
        &dist,
        "[secrets.tryton-key]\nenv = \"TEST_TRYTON_KEY\"\n",
        &[("TEST_TRYTON_KEY", &key)],
    );
    let rest = url.strip_prefix("http://").unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let rule = |methods: &str| {
        format!(
            "[[http]]\nscheme = \"http\"\nhost = {host:?}\nport = {port}\nmethods = {methods}\npaths = [\"/{database}/rest/model/**\"]\nprivate-network = true\ninject = [{{ secret = \"tryton-key\", bearer = true }}]\n"
        )
    };
    let grants = format!("run-context = true\nconfig = true\n{}", rule(r#"["GET", "POST", "PUT"]"#));
    server.install_as("crm-tryton", "crm", &grants, &[&format!("base-url={url}"), "default-type=other"]);
    server.install("classifier", "config = true");
    server.install("mail", "config = true\n[mail]\nrecipients = [\"*\"]");
    server.deploy_shipped("ticket-intake");
    let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let email = format!("jane{stamp}@example.com");
    let answer: Value = server
        .hook("support/ticket-intake", &message(&email, "My order ORD-55231 has not arrived yet."))
        .json()
        .unwrap();
    let case_id = answer["case_id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let case =
        server.json(&["plugin", "call", "crm/get-case", "--with", &json!({ "id": case_id }).to_string()]);
    assert_eq!(case["contact_id"], answer["contact_id"], "{case}");
    let found = server.json(&[
        "plugin",
        "call",
        "crm/find-contacts",
        "--with",
        &json!({ "query": { "email": email } }).to_string(),
    ]);
    assert_eq!(found[0]["id"], answer["contact_id"]);
    // The plugin never saw the key, and neither did any log.
    assert!(!server.log().contains(&key) && !server.ok(&["audit", "export"]).contains(&key));
    // What is not granted is denied, audited, and names the grant that is missing.
    server.install_as(
        "crm-tryton",
        "crm",
        &format!("run-context = true\nconfig = true\n{}", rule(r#"["GET"]"#)),
        &[&format!("base-url={url}"), "default-type=other"],
    );
    let (_, refused) = server.fails(&[
        "plugin",
        "call",
        "crm/upsert-contact",
        "--with",
        &json!({ "contact": { "email": format!("new{stamp}@example.com") } }).to_string(),
    ]);
    assert!(refused.contains("not granted") || refused.contains("denied"), "{refused}");
    let denied = server.json(&["audit", "list", "--action", "capability.http", "--outcome", "denied"]);
    assert!(!denied["records"].as_array().unwrap().is_empty());
    server.audit_holds();
}

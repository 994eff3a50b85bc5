//! What people of the host are told by mail, also when the host goes down before, or in the middle of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::time::{Duration, Instant};

use factotum_tests::{PATIENCE, Server, Smtp, dist};
use serde_json::{Value, json};

const FLOW: &str = "document: { dsl: '1.0.3', namespace: desk, name: fails, version: '1.0.0' }\ndo:\n- fail: { raise: { error: { type: 'https://shop.test/no', status: 422, title: no stock } } }\n";
const NOTICES: &str = "[notices]\nadministrators = [\"admin@shop.test\"]\n";

fn header<'m>(mail: &'m str, name: &str) -> &'m str {
    let found = mail.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {mail}"))
}

fn unsent(server: &Server) -> Vec<Value> {
    server.json(&["notice", "list"])["notices"].as_array().unwrap().clone()
}

/// Starts a run that faults, and gives its identifier once its end is on disk. Waits for that in the request: notices are
/// gathered from the end on, and who kills the host before they are sent has that time for it.
fn fault(server: &Server) -> String {
    let ended = server.api("POST", "/api/v1/flows/desk/fails/runs?wait=60").json(&json!({})).send().unwrap();
    let ended: Value = ended.json().unwrap();
    assert_eq!(ended["state"], "faulted", "{ended}");
    ended["id"].as_str().unwrap_or_else(|| panic!("{ended}")).to_owned()
}

#[test]
fn a_notice_outlives_a_kill_before_it_is_sent_and_one_before_the_answer_of_the_mail_server() {
    let Some(dist) = dist("a_notice_outlives_a_kill") else { return };
    let smtp = Smtp::start();
    let mut server = Server::with_config(&dist, &format!("{}{NOTICES}", smtp.config()), &[]);
    server.deploy("fails", FLOW);
    let run = fault(&server);
    // Notices are gathered for two seconds: this one has not left.
    server.kill();
    assert_eq!(smtp.mails().len(), 0);
    smtp.keep_silent(true);
    server.restart();
    let mails = smtp.wait_for(1);
    assert!(mails[0].contains(&run) && mails[0].contains("admin@shop.test"), "{}", mails[0]);
    let waits = unsent(&server);
    assert_eq!((waits.len(), &waits[0]["to"]), (1, &json!("admin@shop.test")), "{waits:?}");
    assert_eq!(waits[0]["runs"], json!([run]));
    server.kill();
    smtp.keep_silent(false);
    server.restart();
    let mails = smtp.wait_for(2);
    assert_eq!(header(&mails[0], "Message-ID"), header(&mails[1], "Message-ID"), "the same mail");
    let deadline = Instant::now() + PATIENCE;
    while !unsent(&server).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", unsent(&server));
        std::thread::sleep(Duration::from_millis(50));
    }
    server.kill();
    server.restart();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(smtp.mails().len(), 2, "what the server took and said so is not sent again");
    assert_eq!(
        server.json(&["audit", "list", "--action", "notice.mail"])["records"].as_array().unwrap().len(),
        1
    );
    server.audit_holds();
}

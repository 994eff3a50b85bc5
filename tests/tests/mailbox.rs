//! Mail that starts flows, against a real IMAP server (Dovecot): once each, whatever happens to either side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use factotum_tests::{Counter, Imap, PATIENCE, Server, dist};
use rand::RngExt;
use serde_json::{Value, json};

/// One test restarts the server that all share: it waits for the others, and they for it.
static SERVER: RwLock<()> = RwLock::new(());

const FLOW: &str = "document: { dsl: '1.0.3', namespace: desk, name: mail-in, version: '1.0.0', metadata: { trigger: { mail: { mailbox: support } } } }\n";
const NOTE: &str = "do:\n- note: { set: { subject: '${ .subject }', from: '${ .from.address }', files: '${ [.attachments[].name] }' } }\n";

fn mail(subject: &str, more: &str, body: &str) -> String {
    format!(
        "From: Jane <jane@example.com>\r\nTo: support@shop.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.com>\r\nDate: Sat, 21 Nov 2026 09:00:00 +0000\r\n{more}\r\n{body}\r\n"
    )
}

fn start(dist: &std::path::Path, imap: &Imap, more: &str) -> Server {
    let server = Server::with_config(dist, &imap.config(more), &[imap.password()]);
    server.deploy("mail-in", &format!("{FLOW}{NOTE}"));
    connected(&server);
    server
}

#[track_caller]
fn until<T>(server: &Server, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        let status = server.json(&["mailbox", "list"]);
        assert!(Instant::now() < deadline, "{what} does not come: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn status(server: &Server) -> Value {
    server.json(&["mailbox", "list"])["mailboxes"][0].clone()
}

#[track_caller]
fn connected(server: &Server) {
    until(server, "a connection", || (status(server)["state"] == "connected").then_some(()));
}

/// The subjects of all completed runs, once there are so many, in order.
#[track_caller]
fn subjects(server: &Server, count: usize) -> Vec<String> {
    until(server, &format!("the end of {count} runs"), || {
        let done = server.all_runs().iter().filter(|run| run["state"] == "completed").count();
        (done >= count).then_some(())
    });
    let runs = server.settle(PATIENCE);
    let subject = |run: &Value| {
        let run = server.json(&["run", "show", run["id"].as_str().unwrap()]);
        run["output"]["subject"].as_str().unwrap_or_else(|| panic!("{run}")).to_owned()
    };
    let mut all: Vec<String> = runs.iter().map(subject).collect();
    all.sort();
    all
}

fn audited(server: &Server, action: &str) -> Vec<Value> {
    server.json(&["audit", "list", "--action", action, "--limit", "100"])["records"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn a_message_starts_a_run_within_a_second_or_so_with_its_files_as_artifacts() {
    let _server = SERVER.read().unwrap_or_else(PoisonError::into_inner);
    let test = "a_message_starts_a_run";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test8")) else { return };
    imap.put("INBOX", [mail("from-before", "", "nobody asked then")]);
    let server = start(&dist, &imap, "");
    assert_eq!(status(&server)["idle"], true);
    let file = STANDARD.encode([0_u8, 159, 146, 150]);
    let more = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let body = format!(
        "--b\r\nContent-Type: text/plain; charset=gb18030\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b\r\nContent-Type: application/pdf; name=\"=?utf-8?B?5Y+R56WoLnBkZg==?=\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{file}\r\n--b--",
        STANDARD.encode(b"\xb6\xa9\xb5\xa5\xbb\xb9\xc3\xbb\xb5\xbd")
    );
    let raw = mail("parcel", more, &body);
    imap.put("INBOX", [&raw]);
    let put = Instant::now();
    let run = until(&server, "the run", || server.all_runs().first().cloned());
    assert!(put.elapsed() < Duration::from_secs(40), "{:?}", put.elapsed());
    assert_eq!((&run["trigger"], &run["actor"]), (&json!("mail"), &json!("anonymous")));
    assert_eq!(subjects(&server, 1), ["parcel"], "what lay there before starts nothing");
    let run = server.json(&["run", "show", run["id"].as_str().unwrap()]);
    assert_eq!(
        run["output"],
        json!({"subject": "parcel", "from": "jane@example.com", "files": ["发票.pdf"]})
    );
    let input = &run["input"];
    assert_eq!(
        (&input["text"], &input["mailbox"], &input["folder"]),
        (&json!("订单还没到"), &json!("support"), &json!("INBOX"))
    );
    assert_eq!(input["message_id"], "<parcel@example.com>");
    let artifact = |id: &Value| {
        let answer =
            server.api("GET", &format!("/api/v1/artifacts/{}", id.as_str().unwrap())).send().unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.bytes().unwrap()
    };
    assert_eq!(artifact(&input["attachments"][0]["artifact"]).as_ref(), [0, 159, 146, 150]);
    assert_eq!(artifact(&input["raw"]).as_ref(), raw.as_bytes(), "the raw message, byte for byte");
    until(&server, "the mark", || (imap.count("INBOX", "SEEN") == 1).then_some(()));
    assert_eq!(imap.count("INBOX", "UNSEEN"), 1, "what was there before stays as it was");
    assert_eq!(audited(&server, "mail.take").len(), 1);
    assert!(!server.log().contains("test-pw") && !server.ok(&["audit", "export"]).contains("test-pw"));
    server.audit_holds();
}

#[test]
fn kills_between_taking_and_marking_lose_nothing_and_double_nothing() {
    let _server = SERVER.read().unwrap_or_else(PoisonError::into_inner);
    let test = "kills_between_taking_and_marking";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test9")) else { return };
    let done = format!("Done-{}", std::process::id());
    let mut server = start(&dist, &imap, &format!("handled = {{ move-to = {done:?} }}"));
    let count = 120;
    let names: BTreeSet<String> = (0..count).map(|n| format!("m{n:03}")).collect();
    let putting = {
        let (imap, names) = (imap.clone(), names.clone());
        std::thread::spawn(move || {
            for name in names {
                imap.put("INBOX", [mail(&name, "", "x")]);
            }
        })
    };
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(100..600)));
        server.kill();
        server.restart();
    }
    putting.join().unwrap();
    let found = subjects(&server, count);
    assert_eq!(found.len(), count, "each once");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names, "and all");
    until(&server, "the last mark", || (imap.count("INBOX", "ALL") == 0).then_some(()));
    assert_eq!(imap.count(&done, "ALL"), count, "all are where taken ones go");
    assert_eq!(audited(&server, "mail.take").len(), 100, "the first page of them");
    server.audit_holds();
}

#[test]
fn a_server_that_goes_away_or_numbers_anew_starts_nothing_twice() {
    let _server = SERVER.write().unwrap_or_else(PoisonError::into_inner);
    let test = "a_server_that_goes_away";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test10")) else { return };
    imap.put("INBOX", [mail("old", "", "from before")]);
    // The second in which the old one came must be over: its time is in seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let server = start(&dist, &imap, "handled = \"leave\"");
    imap.put("INBOX", [mail("one", "", "x"), mail("two", "", "x")]);
    assert_eq!(subjects(&server, 2), ["one", "two"]);
    let before = status(&server)["taken"].clone();

    imap.renumber();
    let script = std::env::var("IMAP_SERVER").unwrap();
    let restarted = std::process::Command::new("bash").args([&script, "restart"]).status().unwrap();
    assert!(restarted.success());
    connected(&server);
    imap.put("INBOX", [mail("three", "", "x")]);
    assert_eq!(subjects(&server, 3), ["one", "three", "two"], "the old ones are known by what they say");
    assert_eq!((before, &status(&server)["taken"]), (json!(2), &json!(3)));
    assert!(server.log().contains("numbers its messages anew"), "the server did number anew");
    let failed = audited(&server, "mailbox.fail");
    assert!(failed.len() <= 1, "told once: {failed:?}");
    server.audit_holds();
}

#[test]
fn what_nothing_can_be_made_of_is_kept_aside_and_the_others_go_on() {
    let _server = SERVER.read().unwrap_or_else(PoisonError::into_inner);
    let test = "kept_aside";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test11")) else { return };
    let config = "max-message-bytes = 20000\n[notices]\nadministrators = [\"admin@shop.test\"]";
    let server = start(&dist, &imap, config);
    let picky = "input: { schema: { document: { type: object, properties: { subject: { pattern: '^[a-z]+$' } } } } }\n";
    server.deploy("mail-in", &format!("{FLOW}{picky}{NOTE}"));
    connected(&server);
    imap.put(
        "INBOX",
        [
            "no header field, nothing\r\n".to_owned(),
            mail("REFUSED", "", "by the flow's schema"),
            mail("large", "", &"x".repeat(30_000)),
            mail("good", "", "x"),
        ],
    );
    assert_eq!(subjects(&server, 1), ["good"]);
    let aside = server.json(&["mailbox", "show", "support"])["aside"].clone();
    let aside = aside.as_array().unwrap();
    let reasons: Vec<&str> = aside.iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert!(
        reasons.len() == 3
            && reasons[0].contains("header fields")
            && reasons[1].contains("does not take it")
            && reasons[2].contains("max-message-bytes"),
        "{reasons:?}"
    );
    assert_eq!((&aside[1]["subject"], &status(&server)["aside"]), (&json!("REFUSED"), &json!(3)));
    assert!(aside[2]["raw"].is_null(), "what is too large stays where it is");
    assert_eq!(imap.count("INBOX", "UNSEEN"), 3, "people find them unread");
    assert_eq!(audited(&server, "mail.keep-aside").len(), 3);
    until(&server, "the notice", || {
        server.outbox().iter().any(|mail| mail.contains("admin@shop.test")).then_some(())
    });

    // The flow is mended, and takes it then.
    server.deploy("mail-in", &format!("{FLOW}{NOTE}"));
    server.ok(&["mailbox", "retry", "support", aside[1]["id"].as_str().unwrap()]);
    assert_eq!(subjects(&server, 2), ["REFUSED", "good"]);
    let (_, refused) = server.fails(&["mailbox", "retry", "support", aside[2]["id"].as_str().unwrap()]);
    assert!(refused.contains("not here"), "{refused}");
    server.ok(&["mailbox", "dismiss", "support", aside[0]["id"].as_str().unwrap()]);
    assert_eq!(status(&server)["aside"], 1);
    server.audit_holds();
}

#[test]
fn machines_and_copies_start_nothing() {
    let _server = SERVER.read().unwrap_or_else(PoisonError::into_inner);
    let test = "machines_and_copies";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test12")) else { return };
    let own = format!("<{}@desk.test>", "0123456789".repeat(4));
    let server = start(
        &dist,
        &imap,
        "automatic = \"take\"\n[mail]\nsender = \"Desk <desk@desk.test>\"\noutbox = \"outbox\"",
    );
    let ours = mail("ours", "", "x").replace("<ours@example.com>", &own);
    let twice = mail("twice", "", "x");
    let other_way = format!("Received: by mx2.example.com; Sat, 21 Nov 2026 09:00:01 +0000\r\n{twice}");
    let vacation = mail("away", "Auto-Submitted: auto-replied\r\n", "I am away");
    imap.put("INBOX", [ours.clone(), twice, other_way, vacation.clone(), mail("last", "", "x")]);
    assert_eq!(subjects(&server, 3), ["away", "last", "twice"], "as configured, all but our own and copies");
    let reasons: Vec<String> = audited(&server, "mail.skip").iter().map(ToString::to_string).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons.iter().any(|r| r.contains("this host sent it"))
            && reasons.iter().any(|r| r.contains("a copy of")),
        "{reasons:?}"
    );

    let Some(imap) = Imap::of(test, "test13") else { return };
    let server = start(&dist, &imap, "");
    let bounce = mail(
        "bounce",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
        "--b\r\n\r\nfailed\r\n--b--",
    );
    imap.put("INBOX", [vacation, bounce, mail("person", "", "x")]);
    assert_eq!(subjects(&server, 1), ["person"]);
    assert_eq!((&status(&server)["skipped"], imap.count("INBOX", "UNSEEN")), (&json!(2), 2));
}

#[test]
fn when_the_host_has_no_room_messages_wait_unmarked() {
    let _server = SERVER.read().unwrap_or_else(PoisonError::into_inner);
    let test = "no_room";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test14")) else { return };
    let counter = Counter::start(Duration::from_millis(700));
    let config = format!("{}\n[limits]\nmax-active-runs = 1\nmax-queued-runs = 1", imap.config(""));
    let server = Server::with_config(&dist, &config, &[imap.password()]);
    let (host, port) = counter.address().split_once(':').unwrap();
    let grants = server.data().join("grants.toml");
    std::fs::write(&grants, format!("[[http]]\nscheme = \"http\"\nhost = \"{host}\"\nport = {port}\nmethods = [\"POST\"]\npaths = [\"/**\"]\nprivate-network = true\n")).unwrap();
    server.ok(&["flow", "grant", "desk/mail-in", grants.to_str().unwrap(), "--yes"]);
    let slow = format!(
        "do:\n- call: {{ call: http, with: {{ method: post, endpoint: 'http://{}/m', body: {{ subject: '${{ .subject }}' }} }} }}\n- note: {{ set: {{ subject: '${{ $workflow.input.subject }}' }} }}\n",
        counter.address()
    );
    server.deploy("mail-in", &format!("{FLOW}{slow}"));
    connected(&server);
    let names: Vec<String> = (0..8).map(|n| format!("m{n}")).collect();
    imap.put("INBOX", names.iter().map(|name| mail(name, "", "x")));
    assert_eq!(subjects(&server, 8), names);
    until(&server, "the marks", || (imap.count("INBOX", "SEEN") == 8).then_some(()));
    assert_eq!(counter.received().len(), 8);
}

#[test]
fn a_folder_starts_one_flow_and_only_where_an_administrator_lets_it() {
    let _server = SERVER.read().unwrap_or_else(PoisonError::into_inner);
    let test = "a_folder_starts_one_flow";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test15")) else { return };
    imap.make("Orders");
    let server = start(&dist, &imap, "folders = [\"INBOX\", \"Orders\"]");
    let deploy = |name: &str, trigger: &str| {
        let path = server.data().join("f.yaml");
        let document = format!(
            "document: {{ dsl: '1.0.3', namespace: desk, name: {name}, version: '1.0.0', metadata: {{ trigger: {{ mail: {trigger} }} }} }}\n{NOTE}"
        );
        std::fs::write(&path, document).unwrap();
        server.cli(&["flow", "deploy", path.to_str().unwrap()])
    };
    let refused = |name: &str, trigger: &str| {
        let output = deploy(name, trigger);
        assert!(!output.status.success());
        factotum_tests::text(&output.stderr) + &factotum_tests::text(&output.stdout)
    };
    let other = refused("other", "{ mailbox: support }");
    assert!(
        other.contains("desk/mail-in")
            && other.contains("1:")
            && other.contains("/document/metadata/trigger/mail"),
        "{other}"
    );
    assert!(refused("other", "{ mailbox: sales }").contains("no mailbox"));
    assert!(refused("other", "{ mailbox: support, folder: Private }").contains("INBOX, Orders"));
    assert!(deploy("orders", "{ mailbox: support, folder: Orders }").status.success());
    until(&server, "both folders", || {
        let all = server.json(&["mailbox", "list"])["mailboxes"].clone();
        all.as_array().unwrap().iter().all(|one| one["state"] == "connected").then_some(())
    });
    imap.put("Orders", [mail("order", "", "x")]);
    imap.put("INBOX", [mail("other", "", "x")]);
    assert_eq!(subjects(&server, 2), ["order", "other"]);
    let flow_of = |subject: &str| {
        let runs = server.all_runs();
        let of = |run: &&Value| {
            server.json(&["run", "show", run["id"].as_str().unwrap()])["output"]["subject"] == subject
        };
        runs.iter().find(of).unwrap()["flow"].clone()
    };
    assert_eq!((flow_of("order"), flow_of("other")), (json!("desk/orders"), json!("desk/mail-in")));
    // Without a flow the folder is left alone; what comes meanwhile waits for the next one.
    let silent =
        format!("document: {{ dsl: '1.0.3', namespace: desk, name: mail-in, version: '1.0.0' }}\n{NOTE}");
    server.deploy("mail-in", &silent);
    until(&server, "the end of the connection", || (status(&server)["state"] == "unused").then_some(()));
    imap.put("INBOX", [mail("meanwhile", "", "x")]);
    server.deploy("mail-in", &format!("{FLOW}{NOTE}"));
    assert_eq!(subjects(&server, 3), ["meanwhile", "order", "other"]);
}

#[test]
fn a_wrong_password_is_told_and_a_right_one_is_taken_up() {
    let _server = SERVER.read().unwrap_or_else(PoisonError::into_inner);
    let test = "a_wrong_password";
    let (Some(dist), Some(imap)) = (dist(test), Imap::of(test, "test16")) else { return };
    let config = imap.config("").replace("[secrets.imap]\nenv = \"TEST_IMAP\"\n", "");
    let server = Server::with_config(&dist, &config, &[]);
    server.deploy("mail-in", &format!("{FLOW}{NOTE}"));
    let failing = until(&server, "the failure", || Some(status(&server)).filter(|s| s["state"] == "failing"));
    assert!(failing["error"].as_str().unwrap().contains("factotum secret set imap"), "{failing}");
    let health: Value = server.api("GET", "/api/v1/status").send().unwrap().json().unwrap();
    assert_eq!(health["failing_mailboxes"], json!(["support/INBOX"]));
    assert_eq!(audited(&server, "mailbox.fail").len(), 1);
}

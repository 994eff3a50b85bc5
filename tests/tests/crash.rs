//! `kill -9` under load: nothing acknowledged is lost, no mail goes out twice, the audit chain holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // test code

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use factotum_tests::{PATIENCE, Server, dist};
use rand::RngExt;
use serde_json::{Value, json};

#[test]
fn a_killed_host_finishes_what_it_acknowledged() {
    let Some(dist) = dist("a_killed_host_finishes_what_it_acknowledged") else { return };
    let mut server = Server::start(&dist);
    server.install_intake();
    let acknowledged = Mutex::new(BTreeSet::new());
    let number = AtomicUsize::new(0);
    for round in 0..6 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let n = number.fetch_add(1, Ordering::Relaxed);
                        let body = json!({
                            "channel": "web", "from": format!("customer{n}@example.com"),
                            "text": format!("My order ORD-{} is late, where is it?", 10_000 + n),
                        });
                        // 202 comes back as soon as the message is on disk.
                        let sent =
                            server.api("POST", "/api/v1/flows/support/ticket-intake/runs").json(&body).send();
                        if let Ok(response) = sent
                            && response.status() == 202
                            && let Ok(started) = response.json::<Value>()
                        {
                            acknowledged
                                .lock()
                                .unwrap()
                                .insert(started["run_id"].as_str().unwrap().to_owned());
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(rand::rng().random_range(150..900)));
            kill(&server);
            stop.store(true, Ordering::Relaxed);
        });
        server.reap();
        server.restart();
        eprintln!("round {round}: {} acknowledged", acknowledged.lock().unwrap().len());
    }
    let runs = server.settle(PATIENCE);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 20, "only {} were acknowledged; the test shows nothing", acknowledged.len());
    let completed: BTreeSet<String> = runs
        .iter()
        .filter(|run| run["state"] == "completed")
        .map(|run| run["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = acknowledged.difference(&completed).collect();
    assert!(lost.is_empty(), "acknowledged and not completed: {lost:?}");

    // One mail for each run that completed, and each recipient once: every customer wrote once.
    let mails = server.outbox();
    let recipients: Vec<String> = mails.iter().filter_map(|mail| header(mail, "To")).collect();
    let distinct: BTreeSet<&String> = recipients.iter().collect();
    assert_eq!(recipients.len(), distinct.len(), "somebody got two mails");
    assert_eq!(mails.len(), completed.len());

    // One case for each.
    let mut cases = 0;
    let mut cursor = Value::Null;
    loop {
        let page = server.json(&[
            "plugin",
            "call",
            "crm/list-cases",
            "--with",
            &json!({ "query": { "limit": 1000, "cursor": cursor } }).to_string(),
        ]);
        cases += page["cases"].as_array().unwrap().len();
        match page.get("next") {
            Some(next) if !next.is_null() => cursor = next.clone(),
            _ => break,
        }
    }
    assert_eq!(cases, completed.len(), "cases and runs do not match");
    server.audit_holds();
}

fn header(mail: &str, name: &str) -> Option<String> {
    mail.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
}

/// Kills from within the scope that still borrows the server.
fn kill(server: &Server) {
    let status = std::process::Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap();
    assert!(status.success());
}

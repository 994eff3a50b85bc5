//! What an entry holds, and how the log is listed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use factotum_audit::{Actor, AuditLog, Filter, Outcome};
use factotum_store::{Batch, Options, Store, Table};

const START: i64 = 1_795_222_800_000;

fn desk(dir: &std::path::Path) -> (Store, AuditLog) {
    // One second per entry.
    let time = Arc::new(AtomicI64::new(START));
    let clock = move || time.fetch_add(1000, Ordering::Relaxed);
    let (log, linker) = AuditLog::open_with_clock(dir, Arc::new(clock)).unwrap();
    (Store::in_memory(Options { linker: Some(Box::new(linker)), ..Options::default() }).unwrap(), log)
}

#[test]
fn an_entry_says_who_what_when_and_never_the_payload() {
    let temp = tempfile::tempdir().unwrap();
    let (store, log) = desk(temp.path());
    let mut batch = Batch::new();
    log.entry(&Actor::Plugin("mail".to_owned()), "capability.mail.send", "smtp")
        .outcome(Outcome::BusinessFault)
        .run("0193")
        .task("/do/2/send")
        .payload("input", b"to: wang@example.com")
        .detail("reason", &"x".repeat(10_000))
        .detail("bad key\n", "v")
        .add_to(&mut batch);
    store.commit_blocking(batch).unwrap();
    let record = log.get(&store, 1).unwrap().unwrap();
    assert_eq!(record.entry.actor, "plugin:mail");
    assert_eq!(record.entry.time, "2026-11-21T01:00:00.000Z");
    assert_eq!(
        (record.entry.run.as_deref(), record.entry.task.as_deref()),
        (Some("0193"), Some("/do/2/send"))
    );
    assert_eq!(record.entry.digests["input"], log.digest(b"to: wang@example.com"));
    assert_eq!(record.entry.detail["bad_key_"], "v");
    let stored = store.get(Table::Audit, &1_u64.to_be_bytes()).unwrap().unwrap();
    assert!(stored.len() < 3000, "hostile lengths are bounded");
    assert!(!String::from_utf8_lossy(&stored).contains("wang"));
    // The stored form is canonical: keys sorted, no white space, whatever the JSON library is built with.
    let text = String::from_utf8(stored[72..].to_vec()).unwrap();
    let keys = ["action", "actor", "detail", "digests", "outcome", "run", "target", "task", "time"];
    let places: Vec<_> = keys.iter().map(|key| text.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted() && !text.contains(": "), "{text}");
}

#[test]
fn details_are_bounded_in_number() {
    let temp = tempfile::tempdir().unwrap();
    let (_, log) = desk(temp.path());
    let mut entry = log.entry(&Actor::Anonymous, "auth.refused", "/hooks");
    for number in 0..100 {
        entry = entry.detail(&number.to_string(), "v").payload(&number.to_string(), b"p");
    }
    assert_eq!((entry.entry().detail.len(), entry.entry().digests.len()), (17, 16));
    assert!(entry.entry().detail.contains_key("dropped"));
}

#[test]
fn the_list_filters_and_pages_newest_first() {
    let temp = tempfile::tempdir().unwrap();
    let (store, log) = desk(temp.path());
    for number in 0..1300_u64 {
        let mut batch = Batch::new();
        let entry = match number % 3 {
            0 => {
                log.entry(&Actor::Token("admin".to_owned()), "plugin.install", "crm").outcome(Outcome::Denied)
            }
            1 => log.entry(&Actor::Plugin("crm".to_owned()), "capability.http.send", "erp.example").run("r1"),
            _ => log.entry(&Actor::System, "run.start", "support/intake").detail("plugin", "mail"),
        };
        entry.add_to(&mut batch);
        store.commit_blocking(batch).unwrap();
    }
    let all = |filter: &Filter| {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = log.list(&store, filter, cursor, 100).unwrap();
            assert!(page.records.len() <= 100);
            found.extend(page.records.into_iter().map(|record| record.sequence));
            cursor = page.cursor;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let every: Vec<u64> = (1..=1300).rev().collect();
    assert_eq!(all(&Filter::default()), every);
    let kind = |rest: u64| every.iter().copied().filter(|n| (n - 1) % 3 == rest).collect::<Vec<_>>();
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (Filter { actor: text("token:admin"), ..Filter::default() }, kind(0)),
        (Filter { actor: text("token"), ..Filter::default() }, kind(0)),
        (Filter { actor: text("tok"), ..Filter::default() }, vec![]),
        (Filter { action: text("capability"), ..Filter::default() }, kind(1)),
        (Filter { action: text("capability.http.send"), ..Filter::default() }, kind(1)),
        (Filter { action: text("cap"), ..Filter::default() }, vec![]),
        (Filter { target: text("support/intake"), ..Filter::default() }, kind(2)),
        (Filter { outcome: Some(Outcome::Denied), ..Filter::default() }, kind(0)),
        (Filter { run: text("r1"), ..Filter::default() }, kind(1)),
        (Filter { plugin: text("mail"), ..Filter::default() }, kind(2)),
        (
            Filter { plugin: text("crm"), ..Filter::default() },
            every.iter().copied().filter(|n| (n - 1) % 3 != 2).collect(),
        ),
        (
            Filter { since_ms: Some(START + 10_000), until_ms: Some(START + 12_000), ..Filter::default() },
            vec![12, 11],
        ),
    ] {
        assert_eq!(all(&filter), expected, "{filter:?}");
    }
    assert!(log.verify(&store, &[]).unwrap().is_intact(), "the memory store chains alike");
}

//! Notices are kept with what they tell of, sent at least once under one key, and given up in time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use factotum_audit::Filter;
use factotum_sandbox::{CallFault, MailMessage, MailReceipt};
use factotum_store::Batch;
use serde_json::json;

use super::outbox::{self, Letter};
use super::{Group, NoticeConfig};
use crate::backends::Courier;
use crate::clock::Clock;
use crate::runs::tests::*;
use crate::runs::{Engine, RunState};

/// A mail server that a test switches.
#[derive(Default)]
struct Server {
    taken: Mutex<Vec<(String, MailMessage)>>,
    asked: Mutex<u32>,
    refuses: Mutex<Option<CallFault>>,
    /// Takes the mail, and never says so.
    hangs: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Courier for Server {
    async fn deliver(&self, message: MailMessage, key: &str) -> Result<MailReceipt, CallFault> {
        *self.asked.lock().unwrap() += 1;
        let refused = self.refuses.lock().unwrap().clone();
        if let Some(fault) = refused {
            return Err(fault);
        }
        self.taken.lock().unwrap().push((key.to_owned(), message));
        if self.hangs.load(std::sync::atomic::Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(MailReceipt { message_id: format!("<{key}@test>"), repeated: false })
    }
}

impl Server {
    fn refuse(&self, fault: Option<CallFault>) {
        *self.refuses.lock().unwrap() = fault;
    }

    fn taken(&self) -> Vec<(String, MailMessage)> {
        self.taken.lock().unwrap().clone()
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

fn config() -> NoticeConfig {
    let group = Group { members: vec![], mail: vec!["leads@example.com".into(), "boss@example.com".into()] };
    NoticeConfig {
        administrators: vec!["admin@example.com".into()],
        groups: [("leads".to_owned(), group)].into(),
        ..NoticeConfig::default()
    }
}

fn down() -> CallFault {
    CallFault::technical("unavailable", "connection refused")
}

async fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if there() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} does not come");
}

fn letters(engine: &Engine) -> Vec<Letter> {
    outbox::letters(&engine.store).unwrap()
}

fn unsent(engine: &Engine) -> usize {
    outbox::waiting(&engine.store).unwrap().len() + letters(engine).len()
}

fn audited(engine: &Engine, action: &str) -> usize {
    let records = engine.audit.list(&engine.store, &Filter::default(), None, 1_000).unwrap().records;
    records.iter().filter(|record| record.entry.action == action).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_kept_with_its_cause_and_mailed_by_the_next_process() {
    let world = World::new();
    let engine = world.open();
    let server = Arc::new(Server::default());
    server.refuse(Some(down()));
    engine.begin_notices(config(), Arc::clone(&server) as _);
    deploy(&engine, "bad", "  - a: { call: a/refuses }").await;
    let id = start(&engine, "bad", json!({})).await;
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Faulted);
    assert_eq!(unsent(&engine), 1, "it is on disk when the end of the run is");
    world.kill(engine).await;

    // The next process finds the server down, the one after it up.
    let engine = world.open();
    engine.begin_notices(config(), Arc::clone(&server) as _);
    wait_for("a try", || letters(&engine).iter().any(|letter| letter.tries > 0)).await;
    let letter = letters(&engine).remove(0);
    assert_eq!(
        (letter.to.as_str(), letter.error.as_deref()),
        ("admin@example.com", Some("connection refused"))
    );
    assert_eq!(letter.runs, std::slice::from_ref(&id));
    world.kill(engine).await;
    server.refuse(None);
    let engine = world.open();
    engine.begin_notices(config(), Arc::clone(&server) as _);
    world.clock.advance(3_600_000);
    wait_for("the mail", || !server.taken().is_empty() && unsent(&engine) == 0).await;
    let taken = server.taken();
    assert_eq!(
        (taken.len(), &taken[0].0),
        (1, &letter.id),
        "under the identifier that it had from the beginning"
    );
    assert!(taken[0].1.text.contains(&id), "{:?}", taken[0].1);
    assert_eq!(audited(&engine, "notice.mail"), 1);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_after_the_server_took_it_sends_the_same_mail_under_the_same_identifier() {
    let world = World::new();
    let engine = world.open();
    let server = Arc::new(Server::default());
    server.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    engine.begin_notices(config(), Arc::clone(&server) as _);
    deploy(&engine, "bad", "  - a: { call: a/refuses }").await;
    let id = start(&engine, "bad", json!({})).await;
    world.finish(&engine, &id).await;
    wait_for("the mail", || !server.taken().is_empty()).await;
    // More comes meanwhile, and must not change what is repeated.
    let second = start(&engine, "bad", json!({})).await;
    world.finish(&engine, &second).await;
    world.kill(engine).await;
    server.hangs.store(false, std::sync::atomic::Ordering::SeqCst);
    let engine = world.open();
    engine.begin_notices(config(), Arc::clone(&server) as _);
    wait_for("both mails", || server.taken().len() >= 3 && unsent(&engine) == 0).await;
    let taken = server.taken();
    let same: Vec<_> = taken.iter().filter(|(key, _)| *key == taken[0].0).collect();
    assert_eq!((taken.len(), same.len()), (3, 2), "{taken:?}");
    assert_eq!(same[0].1.text, same[1].1.text);
    let other = taken.iter().find(|(key, _)| *key != taken[0].0).unwrap();
    assert!(other.1.text.contains(&second) && !other.1.text.contains(&id), "{other:?}");
    world.kill(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_tried_with_growing_pauses_and_given_up_with_a_record() {
    let world = World::new();
    let engine = world.open();
    let server = Arc::new(Server::default());
    server.refuse(Some(down()));
    engine.begin_notices(config(), Arc::clone(&server) as _);
    deploy(&engine, "bad", "  - a: { call: a/refuses }").await;
    let id = start(&engine, "bad", json!({})).await;
    world.finish(&engine, &id).await;
    let mut pauses = Vec::new();
    for tries in 1..20 {
        wait_for("a try", || letters(&engine).first().is_some_and(|letter| letter.tries == tries)).await;
        let letter = letters(&engine).remove(0);
        let pause = letter.next - world.clock.now_ms();
        pauses.push(pause);
        world.clock.advance(pause.max(60_000));
    }
    assert!(pauses.windows(2).all(|two| two[1] == (2 * two[0]).min(3_600_000)), "{pauses:?}");
    assert_eq!((pauses[0], pauses[18]), (5_000, 3_600_000));
    world.clock.advance(4 * 86_400_000);
    wait_for("the end", || letters(&engine)[0].given_up.is_some()).await;
    let asked = server.asked();
    world.clock.advance(86_400_000);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.asked(), asked, "nobody tries it any more");
    assert_eq!((audited(&engine, "notice.give-up"), audited(&engine, "notice.mail")), (1, 0));
    // What the server does not want is not tried again; the given-up ones are shown for a week.
    server.refuse(Some(CallFault::business("recipient-refused", "550 no such user")));
    let second = start(&engine, "bad", json!({})).await;
    world.finish(&engine, &second).await;
    wait_for("the refusal", || letters(&engine).iter().filter(|l| l.given_up.is_some()).count() == 2).await;
    assert_eq!(server.asked(), asked + 1);
    assert_eq!(engine.notices.unsent(), 0);
    world.clock.advance(8 * 86_400_000);
    server.refuse(None);
    let third = start(&engine, "bad", json!({})).await;
    world.finish(&engine, &third).await;
    wait_for("the mail", || server.taken().len() == 1 && letters(&engine).is_empty()).await;
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_goes_to_the_groups_that_the_flow_names_and_to_no_address_of_its_own() {
    let world = World::new();
    let engine = world.open();
    let server = Arc::new(Server::default());
    engine.begin_notices(config(), Arc::clone(&server) as _);
    let flow = |name: &str, notify: &str| {
        format!(
            "document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0', metadata: {{ sla: {{ resolve: PT1H, warnAt: 0.5, notify: {notify} }} }} }}\ndo:\n  - w: {{ wait: {{ days: 9 }} }}\n"
        )
    };
    for (name, notify) in [("known", "leads"), ("unknown", "[ strangers ]")] {
        engine.deploy(&actor(), &flow(name, notify), "test.yaml").await.unwrap();
        let id = start(&engine, name, json!({})).await;
        until(&engine, &id, RunState::Waiting).await;
    }
    idle(&engine).await;
    world.clock.advance(1_900_000);
    let to = |address: &str, flow: &str| {
        let subject = |mail: &MailMessage| mail.text.contains(&format!("of test/{flow} is nearly over"));
        server.taken().iter().any(|(_, mail)| mail.to[0].address == address && subject(mail))
    };
    wait_for("the warnings", || {
        to("leads@example.com", "known")
            && to("boss@example.com", "known")
            && to("admin@example.com", "unknown")
    })
    .await;
    assert!(!to("admin@example.com", "known") && !to("leads@example.com", "unknown"));
    let deployment = |name: &str| engine.deployments.current(&format!("test/{name}")).unwrap();
    assert!(engine.notices.lacking(&deployment("known").flow, "f").is_empty());
    let lacking = engine.notices.lacking(&deployment("unknown").flow, "f");
    assert!(lacking.len() == 1 && lacking[0].message.contains("strangers"), "{lacking:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded_by_the_hour_and_goes_with_its_run() {
    let world = World::new();
    let engine = world.open();
    let server = Arc::new(Server::default());
    let config = NoticeConfig { per_hour: Some(1), ..config() };
    engine.begin_notices(config, Arc::clone(&server) as _);
    deploy(&engine, "bad", "  - a: { call: a/refuses }").await;
    let first = start(&engine, "bad", json!({})).await;
    world.finish(&engine, &first).await;
    wait_for("the first mail", || server.taken().len() == 1 && unsent(&engine) == 0).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = start(&engine, "bad", json!({})).await;
        world.finish(&engine, &id).await;
        ids.push(id);
    }
    wait_for("a look at them", || engine.notices.unsent() == 3).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!((server.taken().len(), unsent(&engine)), (1, 3), "they wait for the hour to be over");
    let mut batch = Batch::new();
    engine.forget_notices(&mut batch, &ids[..1]).unwrap();
    engine.commit(batch).await.unwrap();
    world.clock.advance(3_600_001);
    engine.notices.changed.notify_one();
    wait_for("the second mail", || server.taken().len() == 2).await;
    let text = &server.taken()[1].1.text;
    assert!(!text.contains(&ids[0]) && text.contains(&ids[1]) && text.contains(&ids[2]), "{text}");
}

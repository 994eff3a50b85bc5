//! The inbox, on flows that ask, a clock moved by hand, and mails that are kept.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use factotum_audit::Actor;
use factotum_sandbox::{CallFault, MailMessage, MailReceipt};
use serde_json::{Value, json};

use super::*;
use crate::ErrorCode;
use crate::backends::Courier;
use crate::notices::{Group, NoticeConfig};
use crate::repair::{CancelRun, RetryFlow, RetryRun};
use crate::runs::tests::*;
use crate::runs::{Engine, RunState};

const ASK: &str = "
  - look: { call: a/echo, with: { order: 7 } }
  - approve:
      call: human-task
      with:
        title: ${ \"Refund order \\(.got.order)?\" }
        form: { type: object, properties: { amount: { type: number, maximum: 100 } }, required: [amount] }
        group: supervisors
        requester: olga
        due: { hours: 8 }
        remind: PT4H
        escalate: { after: PT6H, assignee: boss }
  - pay: { call: a/echo, with: { decided: '${ . }' }, output: { as: '${ .got.decided }' } }
";

/// Keeps mails.
#[derive(Default)]
struct Kept(Mutex<Vec<MailMessage>>);

#[async_trait]
impl Courier for Kept {
    async fn deliver(&self, message: MailMessage, key: &str) -> Result<MailReceipt, CallFault> {
        self.0.lock().unwrap().push(message);
        Ok(MailReceipt { message_id: format!("<{key}@test>"), repeated: false })
    }
}

fn answer(name: &str, id: &str, value: Value) -> AnswerItem {
    AnswerItem {
        actor: Actor::Token(name.into()),
        name: name.into(),
        for_others: false,
        id: id.into(),
        outcome: Some("approved".into()),
        answer: value,
    }
}

async fn waiting(engine: &Engine) -> Vec<InboxItem> {
    engine.list_items(&InboxQuery::default()).await.unwrap().items
}

async fn asked(engine: &Arc<Engine>) -> (String, InboxItem) {
    deploy(engine, "ask", ASK).await;
    let id = start(engine, "ask", json!({})).await;
    until(engine, &id, RunState::Waiting).await;
    let item = waiting(engine).await.pop().unwrap();
    (id, item)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_survives_a_restart_and_its_answer_lets_the_run_go_on() {
    let world = World::new();
    let engine = world.open();
    let (run, item) = asked(&engine).await;
    assert_eq!(
        (item.title.as_str(), item.run.as_str(), item.task.as_str()),
        ("Refund order 7?", run.as_str(), "/do/1/approve")
    );
    assert!(item.form.is_none() && engine.item(&item.id).unwrap().form.is_some());
    idle(&engine).await;
    world.kill(engine).await;
    let engine = world.open();

    let error = engine.answer_item(answer("anna", &item.id, json!({"amount": 500}))).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
    assert!(error.message.contains("amount"), "{error}");
    let own = engine.answer_item(answer("olga", &item.id, json!({"amount": 5}))).await;
    assert_eq!(code(own), ErrorCode::Denied, "who asked does not decide");
    assert_eq!(
        code(engine.answer_item(answer("anna", &"0".repeat(32), json!({}))).await),
        ErrorCode::UnknownItem
    );

    let done = engine.answer_item(answer("anna", &item.id, json!({"amount": 5}))).await.unwrap();
    assert_eq!((done.state, done.by.as_deref()), (InboxState::Answered, Some("anna")));
    let again = engine.answer_item(answer("bob", &item.id, json!({"amount": 6}))).await;
    assert_eq!(code(again), ErrorCode::Conflict, "the first answer stands");
    let info = world.finish(&engine, &run).await;
    let output = info.output.clone().unwrap();
    assert_eq!(
        (&output["outcome"], &output["by"], &output["answer"]),
        (&json!("approved"), &json!("anna"), &json!({"amount": 5}))
    );
    assert!(waiting(&engine).await.is_empty());
    let closed = InboxQuery { closed: true, ..InboxQuery::default() };
    assert_eq!(engine.list_items(&closed).await.unwrap().items.len(), 1);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_reminded_then_others_are_asked_then_it_is_too_late() {
    let world = World::new();
    let engine = world.open();
    let mails = Arc::new(Kept::default());
    let group = Group { members: vec!["anna".into()], mail: vec!["desk@example.com".into()] };
    let config = NoticeConfig {
        administrators: vec!["admin@example.com".into()],
        groups: [("supervisors".to_owned(), group)].into(),
        ..NoticeConfig::default()
    };
    engine.begin_notices(config, Arc::clone(&mails) as _);
    let (run, item) = asked(&engine).await;
    let stranger = engine.answer_item(answer("carl", &item.id, json!({"amount": 5}))).await;
    assert_eq!(code(stranger), ErrorCode::Denied, "he is not in the group");

    let shown = async |wanted: &dyn Fn(&InboxItem) -> bool| {
        for _ in 0..PATIENCE {
            if wanted(&engine.item(&item.id).unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", engine.item(&item.id));
    };
    world.clock.advance(4 * 3_600_000 + 1);
    shown(&|item| item.reminders == 1).await;
    world.clock.advance(2 * 3_600_000);
    shown(&|item| item.assignee.as_deref() == Some("boss") && item.escalated_at.is_some()).await;
    let late = engine.answer_item(answer("anna", &item.id, json!({"amount": 5}))).await;
    assert_eq!(code(late), ErrorCode::Denied, "boss is asked now");
    world.clock.advance(2 * 3_600_000);
    let info = world.finish(&engine, &run).await;
    assert_eq!(info.output.as_ref().unwrap()["outcome"], "expired", "{info:?}");
    shown(&|item| item.state == InboxState::Expired).await;

    deploy(&engine, "bad", "  - a: { call: a/refuses }").await;
    let bad = start(&engine, "bad", json!({})).await;
    world.finish(&engine, &bad).await;
    for _ in 0..PATIENCE {
        let to = |address: &str| mails.0.lock().unwrap().iter().any(|mail| mail.to[0].address == address);
        if to("admin@example.com") && to("desk@example.com") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mails = mails.0.lock().unwrap();
    let to = |address: &str| mails.iter().filter(|mail| mail.to[0].address == address).collect::<Vec<_>>();
    assert!(to("desk@example.com")[0].text.contains("Refund order 7?"), "{mails:?}");
    assert!(to("admin@example.com")[0].text.contains(&bad), "{mails:?}");
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_a_cancelled_or_retried_run_waits_no_more() {
    let world = World::new();
    let engine = world.open();
    let (run, item) = asked(&engine).await;
    let cancel =
        CancelRun { actor: actor(), run_id: run.clone(), reason: None, abort: false, preview: false };
    assert_eq!(engine.cancel(cancel).await.unwrap().state, RunState::Cancelled);
    assert!(waiting(&engine).await.is_empty());
    assert_eq!(engine.item(&item.id).unwrap().state, InboxState::Withdrawn);
    let retry = RetryRun {
        actor: actor(),
        run_id: run.clone(),
        from: None,
        flow: RetryFlow::Recorded,
        preview: false,
    };
    world.clock.advance(1_000);
    engine.retry(retry.clone()).await.unwrap();
    until(&engine, &run, RunState::Waiting).await;
    let anew = waiting(&engine).await;
    assert!(anew.len() == 1 && anew[0].id != item.id, "it asks anew");
    engine.answer_item(answer("anna", &anew[0].id, json!({"amount": 1}))).await.unwrap();
    assert_eq!(world.finish(&engine, &run).await.state, RunState::Completed);
    assert_eq!(world.script.calls().len(), 2, "look was done once");
    // The decision is taken back on a person's word, and asked for once more.
    engine.retry(RetryRun { from: Some("/do/approve".into()), ..retry }).await.unwrap();
    until(&engine, &run, RunState::Waiting).await;
    assert_eq!(waiting(&engine).await.len(), 1);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_do_not_tell_what_is_sensitive() {
    const MARKER: &str = "DE89370400440532013000";
    let world = World::new();
    let engine = world.open();
    let mails = Arc::new(Kept::default());
    let group = Group { members: vec!["anna".into()], mail: vec!["desk@example.com".into()] };
    let config = NoticeConfig {
        administrators: vec!["admin@example.com".into()],
        groups: [("desk".to_owned(), group)].into(),
        ..NoticeConfig::default()
    };
    engine.begin_notices(config, Arc::clone(&mails) as _);
    let tasks = r#"
  - look: { call: a/echo, with: { iban: '${ .iban }' }, metadata: { sensitive: [ .iban ] } }
  - approve: { call: human-task, with: { title: '${ "Pay " + $workflow.input.iban + "?" }', group: desk } }
  - fail: { raise: { error: { type: 'https://example.com/no', status: 400, title: no, detail: '${ "not " + $workflow.input.iban }' } } }
"#;
    deploy(&engine, "pays", tasks).await;
    let run = start(&engine, "pays", json!({ "iban": MARKER })).await;
    until(&engine, &run, RunState::Waiting).await;
    let item = waiting(&engine).await.pop().unwrap();
    engine.answer_item(answer("anna", &item.id, json!({ "to": MARKER }))).await.unwrap();
    assert_eq!(world.finish(&engine, &run).await.state, RunState::Faulted);
    let sent =
        || mails.0.lock().unwrap().iter().map(|m| format!("{}\n{}", m.subject, m.text)).collect::<String>();
    for _ in 0..PATIENCE {
        if sent().contains("Pay ***?") && sent().contains("not ***") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sent = sent();
    assert!(sent.contains("Pay ***?") && sent.contains("not ***") && !sent.contains(MARKER), "{sent}");
}

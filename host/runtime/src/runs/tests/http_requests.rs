//! Requests of flows: what they may send, what is tried again under which key, and that a replay sends nothing.
//!
//! The effect is asked directly, at places that a small document makes: the tests need nothing of the DSL's `call: http`.

use super::*;
use crate::journal::{Record, WriteRecord};
use crate::runs::effects::Durable;
use crate::runs::replay;
use factotum_flow::{Deadline, Effects, HttpCall, HttpOutput, Position, Stop};
use factotum_grant::Grants;
use serde_json::Map;

const GRANT: &str = "[[http]]\nhost = \"api.test\"\nmethods = [\"GET\", \"POST\"]\npaths = [\"/v1/**\"]\n";

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<http::Response<Bytes>, EgressError> {
    let mut answer = http::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    Ok(answer.body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
}

fn down() -> Result<http::Response<Bytes>, EgressError> {
    Err(EgressError::Unreachable { host: "api.test".into(), problem: "connection refused".into() })
}

/// An engine with a run to which effects can be asked for.
struct Desk {
    world: World,
    engine: Arc<Engine>,
    run: Run,
    metadata: Map<String, Value>,
}

impl Desk {
    async fn new(grants: &str, answers: Vec<Result<http::Response<Bytes>, EgressError>>) -> Self {
        let world = World::new();
        *world.script.answers.lock().unwrap() = answers;
        let engine = world.open();
        deploy(&engine, "f", "  - t: { call: a/hangs }").await;
        let grants = Grants::from_toml(grants).unwrap();
        engine.flow_rights.set(&actor(), "test/f", grants, None).await.unwrap();
        let id = start(&engine, "f", json!({})).await;
        for _ in 0..PATIENCE {
            if !world.script.calls().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let row = engine.row(&id).unwrap().unwrap();
        let deployment = engine.deployments.current("test/f").unwrap();
        // A journal of its own: the run itself hangs in its only call.
        let run = Run {
            id: format!("{}{}", &id[..31], if id.ends_with('0') { '1' } else { '0' }),
            row,
            deployment,
        };
        let input = json!({});
        let first: WriteRecord<'_> = Record::Started { at: 1, input: &input, from: Labels::default() };
        let mut batch = Batch::new();
        batch.append(run.id.as_str(), 0, first.encode().unwrap());
        engine.commit(batch).await.unwrap();
        Self { world, engine, run, metadata: Map::new() }
    }

    fn call(&self, method: &str, uri: &str) -> HttpCall<'_> {
        HttpCall {
            idempotency_key: None,
            method: method.into(),
            uri: uri.into(),
            headers: Vec::new(),
            query: Vec::new(),
            body: (method == "POST").then(|| json!({"a": 1})),
            authentication: None,
            redirect: false,
            output: HttpOutput::Content,
            from: Provenance::default(),
            host_retries: true,
            metadata: &self.metadata,
            deadline: None,
        }
    }

    /// One execution of the run up to this effect, from its journal.
    async fn ask(&self, call: &HttpCall<'_>) -> Result<factotum_flow::Answer, Stop> {
        let records = self.engine.store.journal(&self.run.id, 0, 1_000).unwrap();
        let history = replay::read(records.iter().map(|(n, b)| (*n, b.as_slice()))).unwrap();
        let effects = Durable::new(&self.engine, &self.run, history.replay, history.next);
        let clock = Arc::clone(&self.world.clock);
        let moving = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(2)).await;
                clock.advance(100);
            }
        });
        let answer = effects.http(&place(), call).await;
        moving.abort();
        let left = effects.into_end();
        self.engine.commit(left.ahead).await.unwrap();
        answer
    }

    fn audited(&self, action: &str) -> Vec<factotum_audit::Record> {
        let filter = factotum_audit::Filter { action: Some(action.into()), ..Default::default() };
        self.engine.audit.list(&self.engine.store, &filter, None, 100).unwrap().records
    }

    /// The key that a plugin's call at the same place would have.
    fn engine_key(&self) -> String {
        let records = self.engine.store.journal(&self.run.id, 0, 1).unwrap();
        let history = replay::read(records.iter().map(|(n, b)| (*n, b.as_slice()))).unwrap();
        history.replay.idempotency_key(&self.run.id, &place())
    }

    fn sent(&self) -> Vec<(String, String, Option<String>)> {
        self.world.script.requests.lock().unwrap().clone()
    }
}

fn place() -> Position {
    Position::at("/do/0/t")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_granted_is_denied_audited_and_not_tried_again() {
    let desk = Desk::new(GRANT, vec![answer(200, &[], "never")]).await;
    let error =
        desk.ask(&desk.call("DELETE", "https://api.test/v1/tickets/7?who=jane")).await.unwrap().result;
    let error = error.unwrap_err();
    assert_eq!((error.status, error.extra["code"].as_str()), (403, Some("denied")));
    assert!(desk.sent().is_empty());
    let denied = desk.audited("capability.http.delete").remove(0);
    assert_eq!(denied.entry.outcome, factotum_audit::Outcome::Denied);
    assert_eq!(denied.entry.target, "https://api.test/v1/tickets/7", "no query in the log");
    assert_eq!(denied.entry.actor, "flow:test/f");
    let mend = Grants::from_toml(&denied.entry.detail["mend"]).unwrap();
    assert_eq!((mend.http[0].methods.as_slice(), mend.http[0].paths.len()), (&["DELETE".to_owned()][..], 1));
    assert_audit_holds(&desk.engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_journalled_with_its_origin_and_a_replay_sends_nothing() {
    let json = [("content-type", "application/json")];
    let desk = Desk::new(GRANT, vec![answer(200, &json, r#"{"id": 7}"#)]).await;
    let call = desk.call("POST", "https://API.test/v1/tickets");
    let first = desk.ask(&call).await.unwrap();
    assert_eq!(first.result, Ok(json!({"id": 7})));
    assert_eq!(first.from, Labels::from_origin("http:api.test", None));
    let again = desk.ask(&call).await.unwrap();
    assert_eq!((again.result, again.from), (first.result, first.from));
    let sent = desk.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, "test/f");
    let key = desk.engine_key();
    assert_eq!(sent[0].2.as_deref(), Some(key.as_str()), "run and place make the key");
    let entry = desk.audited("capability.http.post").remove(0).entry;
    assert_eq!(entry.detail["status"], "200");
    let events = serde_json::to_value(desk.engine.store.journal(&desk.run.id, 1, 1).unwrap().len()).unwrap();
    assert_eq!(events, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_under_the_same_key_and_the_rest_is_not() {
    let busy = answer(503, &[("retry-after", "1")], "");
    let desk = Desk::new(GRANT, vec![down(), busy, answer(201, &[], "made")]).await;
    let before = desk.world.clock.now_ms();
    let call = desk.call("POST", "https://api.test/v1/tickets");
    assert_eq!(desk.ask(&call).await.unwrap().result, Ok(json!("made")));
    let keys: Vec<_> = desk.sent().into_iter().map(|(_, _, key)| key).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(desk.world.clock.now_ms() - before >= 1_000, "what the other side asked for");
    assert_eq!(desk.audited("capability.http.post").len(), 3);

    let desk = Desk::new(GRANT, vec![answer(404, &[], "none"), answer(200, &[], "never")]).await;
    let error = desk.ask(&desk.call("GET", "https://api.test/v1/x")).await.unwrap().result.unwrap_err();
    assert_eq!((error.status, desk.sent().len()), (404, 1));
    assert_eq!(error.extra["response"]["content"], "none");

    let desk = Desk::new(GRANT, vec![down()]).await;
    let own_retry = HttpCall { host_retries: false, ..desk.call("GET", "https://api.test/v1/x") };
    let error = desk.ask(&own_retry).await.unwrap().result.unwrap_err();
    assert_eq!((error.status, desk.sent().len()), (503, 1), "a try with its own retry does it itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pause_rests_and_the_next_execution_counts_on() {
    let desk =
        Desk::new(GRANT, vec![answer(429, &[("retry-after", "50")], ""), answer(200, &[], "at last")]).await;
    let call = desk.call("GET", "https://api.test/v1/x");
    assert_eq!(desk.ask(&call).await.unwrap_err(), Stop::Suspended);
    assert_eq!(desk.ask(&call).await.unwrap_err(), Stop::Suspended, "not before it is due");
    assert_eq!(desk.sent().len(), 1);
    desk.world.clock.advance(50_000);
    assert_eq!(desk.ask(&call).await.unwrap().result, Ok(json!("at last")));
    assert_eq!(desk.sent().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_request_and_a_replay_is_told_the_same() {
    // Hangs for as long as it is let.
    let desk = Desk::new(GRANT, vec![answer(418, &[], "")]).await;
    let deadline = Deadline(desk.world.clock.now_ms() + 300);
    let call = HttpCall { deadline: Some(deadline), ..desk.call("GET", "https://api.test/v1/x") };
    assert_eq!(desk.ask(&call).await.unwrap_err(), Stop::DeadlinePassed);
    assert_eq!(desk.sent().len(), 1);
    assert_eq!(desk.ask(&call).await.unwrap_err(), Stop::DeadlinePassed);
    assert_eq!(desk.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_redirect_is_checked_again_and_only_followed_when_wanted() {
    let moved = |to: &str| answer(307, &[("location", to)], "");
    let desk = Desk::new(GRANT, vec![moved("/v1/there"), answer(200, &[], "here")]).await;
    let follow = HttpCall { redirect: true, ..desk.call("GET", "https://api.test/v1/x") };
    let answer_ = desk.ask(&follow).await.unwrap();
    assert_eq!(answer_.result, Ok(json!("here")));
    let lines: Vec<_> = desk.sent().into_iter().map(|(_, line, _)| line).collect();
    assert_eq!(lines, ["GET https://api.test/v1/x", "GET https://api.test/v1/there"]);

    let desk = Desk::new(GRANT, vec![moved("https://evil.test/v1/x"), answer(200, &[], "never")]).await;
    let follow = HttpCall { redirect: true, ..desk.call("GET", "https://api.test/v1/x") };
    let error = desk.ask(&follow).await.unwrap().result.unwrap_err();
    assert_eq!((error.status, desk.sent().len()), (403, 1));
    assert_eq!(desk.audited("capability.http.get").len(), 2, "the answer, and the denial");

    let desk = Desk::new(GRANT, vec![moved("/v1/there")]).await;
    let error = desk.ask(&desk.call("GET", "https://api.test/v1/x")).await.unwrap().result.unwrap_err();
    assert_eq!((error.status, desk.sent().len()), (307, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_the_grant_keeps_away_is_not_sent() {
    let grant = format!("{GRANT}not-from = [\"crm\"]\n");
    let desk = Desk::new(&grant, vec![answer(200, &[], "ok")]).await;
    let from = Provenance::from(Labels::from_origin("crm", ["personal"]));
    let call = HttpCall { from, ..desk.call("POST", "https://api.test/v1/x") };
    let error = desk.ask(&call).await.unwrap().result.unwrap_err();
    assert_eq!(error.status, 403);
    assert!(error.detail.unwrap().contains("data from crm") && desk.sent().is_empty());
    let whole = format!("{GRANT}[data]\nnot-from = [\"class:personal\"]\n");
    let desk = Desk::new(&whole, vec![answer(200, &[], "ok")]).await;
    let from = Provenance::from(Labels::from_origin("crm", ["personal"]));
    let call = HttpCall { from, ..desk.call("POST", "https://api.test/v1/x") };
    let error = desk.ask(&call).await.unwrap().result.unwrap_err();
    assert_eq!(error.extra["code"], "data-not-allowed");
    assert!(desk.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_kept_over_a_restart_and_taken_back_at_once() {
    let desk = Desk::new(GRANT, vec![answer(200, &[], "ok")]).await;
    let held = desk.engine.flow_rights.of("test/f");
    let stale =
        desk.engine.flow_rights.set(&actor(), "test/f", Grants::default(), Some(&Grants::default())).await;
    assert_eq!(code(stale), crate::ErrorCode::Conflict);
    let mail = Grants::from_toml("[mail]\nrecipients = [\"*@a.test\"]").unwrap();
    let refused = desk.engine.flow_rights.set(&actor(), "test/f", mail, None).await;
    assert_eq!(
        code(refused),
        crate::ErrorCode::InvalidRequest,
        "a flow has requests of its own, nothing else"
    );
    let Desk { world, engine, .. } = desk;
    world.kill(engine).await;
    let engine = world.open();
    assert_eq!(engine.flow_rights.show("test/f").grants.http.len(), 1);
    assert!(engine.flow_rights.show("test/other").grants.http.is_empty());
    let changed = engine.flow_rights.set(&actor(), "test/f", Grants::default(), None).await.unwrap();
    assert_eq!(changed.change.lost.len(), 1, "{changed:?}");
    assert!(engine.flow_rights.of("test/f").grants().http.is_empty());
    drop(held);
    world.kill(engine).await;
    let engine = world.open();
    assert!(engine.flow_rights.show("test/f").grants.http.is_empty());
}

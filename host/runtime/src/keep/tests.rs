//! Retention and erasure over real runs, and what is in the files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use factotum_audit::Filter;
use factotum_sandbox::{Artifacts, KeyValue};
use factotum_store::Table;
use serde_json::{Value, json};

use super::*;
use crate::ErrorCode;
use crate::backends::StoredKeyValue;
use crate::backends::testing::call_of;
use crate::inbox::{AnswerItem, InboxQuery};
use crate::repair::{RetryFlow, RetryRun};
use crate::runs::tests::*;
use crate::runs::{RunQuery, RunState};
use factotum_audit::Actor;

const DAY: u64 = 86_400_000;
const MARKER: &str = "ann.marker@example.com";

fn keeper(world: &World, engine: &Arc<Engine>, retention: Option<Duration>) -> Arc<Keeper> {
    let artifacts = Arc::new(StoredArtifacts::new(engine.store.clone(), Arc::clone(&world.clock) as _));
    let outbox = world.dir.path().join("outbox");
    Keeper::new(Arc::clone(engine), artifacts, retention, Some(outbox))
}

fn document_with(name: &str, retention: &str, tasks: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0', metadata: {{ {retention} }} }}\ndo:\n{}\n",
        tasks.trim_end()
    )
}

async fn deploy_with(engine: &Arc<Engine>, name: &str, retention: &str, tasks: &str) {
    engine.deploy(&Actor::System, &document_with(name, retention, tasks), "flow.yaml").await.unwrap();
}

fn journal_end(engine: &Engine, id: &str) -> u64 {
    engine.store.journal_end(id).unwrap()
}

fn actions(engine: &Engine) -> Vec<(String, Value)> {
    let page = engine.audit.list(&engine.store, &Filter::default(), None, 1000).unwrap();
    page.records
        .into_iter()
        .map(|r| (r.entry.action.clone(), serde_json::to_value(r.entry).unwrap()))
        .collect()
}

/// The files of a folder that contain a text.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let (mut folders, mut found) = (vec![dir.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn erase(preview: bool) -> Erase {
    Erase {
        actor: Actor::Token("admin".into()),
        subject: format!(" {} ", MARKER.to_uppercase()),
        path: None,
        cancel: false,
        cap: 1000,
        preview,
    }
}

const ASKS: &str = "
  - call: { call: a/echo, with: { mail: '${ .mail }' } }
  - ask: { call: human-task, with: { title: 'Who is it?', assignee: anna } }
  - done: { call: a/echo, with: { n: 1 } }
";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_held_goes_when_its_time_is_over_and_its_row_and_the_audit_log_stay() {
    let world = World::new();
    let engine = world.open();
    deploy_with(&engine, "kept", "retention: P90D", "  - one: { call: a/echo, with: { n: '${ .n }' } }")
        .await;
    deploy(&engine, "ever", "  - one: { call: a/echo }").await;
    deploy_with(&engine, "waits", "retention: P1D", "  - w: { wait: { days: 300 } }").await;
    let old = start(&engine, "kept", json!({"n": 1})).await;
    let ever = start(&engine, "ever", json!({})).await;
    let stuck_like = start(&engine, "waits", json!({})).await;
    engine.wait(&old, Duration::from_secs(60)).await.unwrap();
    engine.wait(&ever, Duration::from_secs(60)).await.unwrap();
    until(&engine, &stuck_like, RunState::Waiting).await;
    let keeper = keeper(&world, &engine, None);
    keeper
        .artifacts
        .put("report", &call_of(Some(&old)), "n", "text/plain", b"content".to_vec())
        .await
        .unwrap();
    world.clock.advance(89 * DAY);
    let young = start(&engine, "kept", json!({"n": 2})).await;
    engine.wait(&young, Duration::from_secs(60)).await.unwrap();
    assert_eq!(keeper.sweep().await.unwrap(), Some(Duration::from_secs(86_400)));
    assert!(journal_end(&engine, &old) > 0, "its time is not over");
    world.clock.advance(DAY + 1);
    keeper.sweep().await.unwrap();
    assert_eq!(journal_end(&engine, &old), 0);
    assert!(journal_end(&engine, &young) > 0 && journal_end(&engine, &ever) > 0);
    assert!(journal_end(&engine, &stuck_like) > 0, "what waits is not touched");
    assert!(keeper.artifacts.of_run(&old).unwrap().is_empty());

    let detail = engine.detail(&old).unwrap().unwrap();
    assert_eq!(
        (detail.info.state, detail.input, detail.history.len()),
        (RunState::Completed, Value::Null, 0)
    );
    let said = detail.info.removed.unwrap();
    assert!(said.contains("retention of 90 days"), "{said}");
    let listed = engine.list(&RunQuery { flow: Some("test/kept".into()), ..RunQuery::default() }).unwrap();
    assert_eq!(listed.runs.len(), 2, "the row stays");
    let retry = |from: Option<String>| RetryRun {
        actor: Actor::System,
        run_id: old.clone(),
        from,
        flow: RetryFlow::Recorded,
        preview: false,
    };
    let refused = engine.retry(retry(Some("/do/0/one".into()))).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert!(refused.to_string().contains("retention of 90 days"), "{refused}");
    let entries = actions(&engine);
    let (_, entry) = entries.iter().find(|(action, _)| action == "retention.purge").unwrap();
    assert_eq!((&entry["actor"], &entry["detail"]["runs"]), (&json!("system"), &json!("1")));
    assert!(entries.iter().any(|(action, entry)| action == "run.start" && entry["run"] == json!(old)));
    assert_audit_holds(&engine);
    // Nothing more to do, and the mark does not hide the younger one.
    keeper.sweep().await.unwrap();
    assert_eq!(actions(&engine).len(), entries.len());
    world.clock.advance(90 * DAY);
    keeper.sweep().await.unwrap();
    assert_eq!(journal_end(&engine, &young), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_a_crash_interrupts_is_completed() {
    for commits in 1..6 {
        let world = World::new();
        let engine = world.open();
        deploy_with(&engine, "kept", "retention: P1D", "  - one: { call: a/echo }").await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let id = start(&engine, "kept", json!({})).await;
            engine.wait(&id, Duration::from_secs(60)).await.unwrap();
            ids.push(id);
        }
        world.clock.advance(2 * DAY);
        let first = keeper(&world, &engine, None);
        first.artifacts.index_once().await.unwrap();
        engine.crash.after(commits);
        let _ = first.sweep().await;
        drop(first);
        world.kill(engine).await;
        let engine = world.open();
        keeper(&world, &engine, None).sweep().await.unwrap();
        for id in &ids {
            assert_eq!(journal_end(&engine, id), 0, "after {commits} commits");
            let row = engine.row(id).unwrap().unwrap();
            assert!(!row.removed.unwrap().left);
        }
        assert_audit_holds(&engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_go_in_small_groups_and_flows_that_were_taken_off_are_not_forgotten() {
    let world = World::new();
    let engine = world.open();
    deploy_with(&engine, "kept", "retention: P1D", "  - one: { call: pure/echo }").await;
    let mut ids = Vec::new();
    for _ in 0..230 {
        ids.push(start(&engine, "kept", json!({})).await);
    }
    for id in &ids {
        engine.wait(id, Duration::from_secs(60)).await.unwrap();
    }
    engine.undeploy(&Actor::System, "test/kept").await.unwrap();
    world.clock.advance(2 * DAY);
    keeper(&world, &engine, None).sweep().await.unwrap();
    assert!(ids.iter().all(|id| journal_end(&engine, id) == 0));
    let groups = actions(&engine).iter().filter(|(action, _)| action == "retention.purge").count();
    assert_eq!(groups, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_with_the_hosts_retention_and_numbers_go_on() {
    let world = World::new();
    let engine = world.open();
    let event = |n: u32| json!({"specversion": "1.0", "id": n.to_string(), "source": "/s", "type": "t", "data": MARKER});
    for n in 0..3 {
        engine.publish(&Actor::System, event(n)).await.unwrap();
    }
    delivered(&engine, 3).await;
    world.clock.advance(2 * DAY);
    let keeper = keeper(&world, &engine, Some(Duration::from_secs(86_400)));
    keeper.sweep().await.unwrap();
    keeper.sweep().await.unwrap();
    let page = engine.list_events(&Default::default()).unwrap();
    assert_eq!(page.events.len(), 1, "the newest leaves its number");
    assert!(!serde_json::to_string(&page).unwrap().contains(MARKER));
    world.kill(Arc::clone(&engine)).await;
    drop((engine, keeper));
    let engine = world.open();
    assert_eq!(engine.publish(&Actor::System, event(0)).await.unwrap().sequence, 4);
}

async fn delivered(engine: &Engine, number: u64) {
    while engine.events.order().delivered < number {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Everything that a customer's address can get into.
async fn fill(world: &World, engine: &Arc<Engine>, keeper: &Keeper) -> (String, String) {
    deploy(engine, "asks", ASKS).await;
    deploy(engine, "waits", "  - w: { wait: { days: 300 } }").await;
    let over = start(engine, "asks", json!({"mail": MARKER})).await;
    until(engine, &over, RunState::Waiting).await;
    let item = engine.list_items(&InboxQuery::default()).await.unwrap().items.remove(0);
    let answer = AnswerItem {
        actor: Actor::Token("anna".into()),
        name: "anna".into(),
        for_others: true,
        id: item.id,
        outcome: None,
        answer: json!({"who": format!("it is {MARKER}")}),
    };
    engine.answer_item(answer).await.unwrap();
    engine.wait(&over, Duration::from_secs(60)).await.unwrap();
    let waiting = start(engine, "waits", json!({"mail": MARKER})).await;
    until(engine, &waiting, RunState::Waiting).await;
    let kv = StoredKeyValue::new(engine.store.clone());
    let pairs =
        vec![("contact/1".into(), format!("{{\"m\":\"{MARKER}\"}}").into_bytes()), ("other".into(), vec![1])];
    kv.set_many("crm", pairs, &Default::default()).await.unwrap();
    let text = format!("<p>{MARKER}</p>").into_bytes();
    keeper.artifacts.put("report", &call_of(Some(&over)), "of-the-run", "text/html", text).await.unwrap();
    let text = format!("Dear {MARKER},").into_bytes();
    keeper
        .artifacts
        .put("report", &call_of(Some(&"0".repeat(32))), "of-another", "text/plain", text)
        .await
        .unwrap();
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"mail": MARKER}});
    engine.publish(&Actor::System, event).await.unwrap();
    let event = json!({"specversion": "1.0", "id": "2", "source": "/s", "type": "t", "data": "other"});
    engine.publish(&Actor::System, event).await.unwrap();
    delivered(engine, 2).await;
    let mut batch = factotum_store::Batch::new();
    batch.put(Table::Mailboxes, *b"aside\0desk\x001", format!("{{\"from\":\"{MARKER}\"}}"));
    batch.put(Table::Mailboxes, *b"aside\0desk\x002", *b"{\"from\":\"bob@example.com\"}");
    engine.commit(batch).await.unwrap();
    let start = |key: &str| [&b"stest/f\0"[..], &1_u64.to_be_bytes(), key.as_bytes()].concat();
    let mut batch = factotum_store::Batch::new();
    batch.put(Table::Limits, start("one"), MARKER);
    batch.put(Table::Limits, start("two"), *b"other");
    engine.commit(batch).await.unwrap();
    let outbox = world.dir.path().join("outbox");
    fs::create_dir_all(&outbox).unwrap();
    fs::write(outbox.join("a.eml"), format!("To: <{MARKER}>\r\n\r\nhello")).unwrap();
    fs::write(outbox.join("b.eml"), "To: <bob@example.com>\r\n\r\nhello").unwrap();
    (over, waiting)
}

/// All that can be read back, as text.
async fn everything(engine: &Engine, keeper: &Keeper) -> String {
    let mut all = String::new();
    for run in engine.list(&RunQuery::default()).unwrap().runs {
        all += &serde_json::to_string(&engine.detail(&run.id).unwrap()).unwrap();
    }
    for closed in [false, true] {
        let items = engine.list_items(&InboxQuery { closed, ..InboxQuery::default() }).await.unwrap().items;
        for item in items {
            all += &serde_json::to_string(&engine.item(&item.id).unwrap()).unwrap();
        }
    }
    all += &serde_json::to_string(&engine.list_events(&Default::default()).unwrap()).unwrap();
    all += &serde_json::to_string(&actions(engine)).unwrap();
    for (_, artifact) in keeper.artifacts.page(None).unwrap() {
        if let Some(artifact) = artifact {
            let content = keeper.artifacts.read(&artifact.id).unwrap().unwrap();
            all += &String::from_utf8_lossy(&content.content);
        }
    }
    for table in [
        Table::KeyValue,
        Table::Promises,
        Table::Events,
        Table::Payloads,
        Table::Subscriptions,
        Table::Mailboxes,
        Table::Limits,
        Table::Sla,
        Table::Mail,
        Table::Dedupe,
        Table::Schedules,
        Table::StoredLabels,
        Table::Timers,
        Table::Meta,
    ] {
        for (key, value) in engine.store.scan(table, &Default::default()).unwrap() {
            all += &String::from_utf8_lossy(&key);
            all += &String::from_utf8_lossy(&value);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customers_data_are_found_shown_and_erased_everywhere() {
    let world = World::new();
    let engine = world.open();
    let keeper = keeper(&world, &engine, None);
    let (over, waiting) = fill(&world, &engine, &keeper).await;
    assert!(everything(&engine, &keeper).await.contains(MARKER));
    let preview = Arc::clone(&keeper).erase(erase(true)).await.unwrap();
    assert!(everything(&engine, &keeper).await.contains(MARKER), "a preview erases nothing");
    assert!(!preview.complete && preview.preview);

    let told = Arc::clone(&keeper).erase(erase(false)).await.unwrap();
    assert_eq!(
        (&told.artifacts, &told.keys, &told.events, &told.mails),
        (&preview.artifacts, &preview.keys, &preview.events, &preview.mails),
        "what was shown is what is done"
    );
    assert_eq!((told.artifacts.len(), told.keys.len(), told.events.len()), (2, 1, 1));
    assert_eq!(told.keys[0].key, "contact/1");
    assert_eq!((&told.mails[..], told.kept_aside), (&["a.eml".to_owned()][..], 1));
    assert_eq!((told.starts, told.closed_count), (1, 0));
    let of = |id: &str| told.runs.iter().find(|run| run.run_id == id).unwrap();
    assert!(of(&over).erased && !of(&waiting).erased);
    assert!(of(&waiting).why.as_ref().unwrap().contains("not over"));
    assert!(!told.complete, "the waiting run is left");
    assert!(journal_end(&engine, &waiting) > 0);

    let told = Arc::clone(&keeper).erase(Erase { cancel: true, ..erase(false) }).await.unwrap();
    assert!(told.complete, "{told:?}");
    assert_eq!(told.runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), [waiting.as_str()]);
    let all = everything(&engine, &keeper).await;
    assert!(!all.contains(MARKER) && !all.contains(&MARKER.to_uppercase()), "{all}");
    assert!(all.contains("other"), "what is not the customer's stays");
    assert!(engine.detail(&over).unwrap().unwrap().info.removed.unwrap().contains("erased"));
    assert!(fs::exists(world.dir.path().join("outbox/b.eml")).unwrap());
    let none = Arc::clone(&keeper).erase(erase(true)).await.unwrap();
    assert!(none.complete && none.runs.is_empty() && none.looked_at.keys == 1);

    let entries = actions(&engine);
    let erasures: Vec<_> = entries.iter().filter(|(action, _)| action == "data.erase").collect();
    assert_eq!(erasures.len(), 4, "begun and done, twice");
    assert_eq!(erasures[0].1["digests"]["subject"], json!(engine.audit.digest(MARKER.as_bytes())));
    assert_eq!(erasures[0].1["actor"], "token:admin");
    assert_eq!(entries.iter().filter(|(action, _)| action == "run.erase").count(), 2);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_packed_is_erased_and_what_cannot_be_looked_into_is_named() {
    let world = World::new();
    let engine = world.open();
    let keeper = keeper(&world, &engine, None);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, format!("Dear {MARKER}").as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let call = call_of(Some(&"0".repeat(32)));
    let put = |name: &'static str, content: Vec<u8>| {
        keeper.artifacts.put("report", &call, name, "application/octet-stream", content)
    };
    let letter = put("letter.gz", packed.clone()).await.unwrap();
    put("invoice.pdf", b"%PDF-1.7".to_vec()).await.unwrap();
    put("picture.png", b"\x89PNG\r\n".to_vec()).await.unwrap();
    let kv = StoredKeyValue::new(engine.store.clone());
    kv.set_many("crm", vec![("packed".into(), packed)], &Default::default()).await.unwrap();
    let told = Arc::clone(&keeper).erase(erase(false)).await.unwrap();
    assert_eq!((told.artifacts, told.keys.len()), (vec![letter.id], 1));
    assert_eq!((told.closed.len(), told.closed_count, told.complete), (1, 1, false));
    assert!(told.closed[0].what.ends_with("invoice.pdf"), "{:?}", told.closed);
    assert!(told.closed[0].why.contains("PDF"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_stops_at_its_cap_and_says_so() {
    let world = World::new();
    let engine = world.open();
    let keeper = keeper(&world, &engine, None);
    deploy(&engine, "f", "  - one: { call: pure/echo }").await;
    for _ in 0..5 {
        let id = start(&engine, "f", json!({"mail": MARKER})).await;
        engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    }
    for (left, complete) in [(3, false), (1, false), (0, true)] {
        let told = Arc::clone(&keeper).erase(Erase { cap: 2, ..erase(false) }).await.unwrap();
        assert_eq!(told.complete, complete, "{told:?}");
        let whole = engine.list(&RunQuery::default()).unwrap().runs;
        assert_eq!(whole.iter().filter(|run| run.removed.is_none()).count(), left);
    }
    for cap in [0, 10_001] {
        assert!(Arc::clone(&keeper).erase(Erase { cap, ..erase(true) }).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_customer_wrote_is_in_the_files_in_clear() {
    let world = World::new();
    let engine = world.open();
    let keeper = keeper(&world, &engine, None);
    fill(&world, &engine, &keeper).await;
    fs::remove_dir_all(world.dir.path().join("outbox")).unwrap();
    drop(keeper);
    world.kill(engine).await;
    assert_eq!(files_with(world.dir.path(), MARKER), Vec::<String>::new());
    assert!(!files_with(world.dir.path(), "test/asks").is_empty(), "what is looked for would be found");
}

//! What is accepted, and what is promised by accepting it.

use super::*;
use crate::ErrorCode;

const THREE: &str = "
  - one: { call: a/echo, with: { n: '${ .n }' } }
  - two: { call: a/echo, with: { n: '${ .got.n + 1 }' } }
  - three: { call: a/echo, with: { n: '${ .got.n + 1 }' }, output: { as: '${ .got.n }' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_of_three_calls_makes_five_commits_and_is_found_in_every_list() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "three", THREE).await;
    let before = engine.store.health().batches;
    let id = start(&engine, "three", json!({"n": 1})).await;
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    // One more when the run ended before it was waited for: then the disk is asked.
    let commits = engine.store.health().batches - before;
    assert!((5..=6).contains(&commits), "{commits} commits");
    assert_eq!((info.state, &info.output), (RunState::Completed, &Some(json!(3))));
    assert_eq!(world.script.by_key().len(), 3, "every task has a key of its own");

    let again = engine.info(&id).unwrap().unwrap();
    assert_eq!(again, *info, "what the waiter was told is what the store says");
    let detail = engine.detail(&id).unwrap().unwrap();
    assert_eq!(detail.input, json!({"n": 1}));
    assert_eq!(detail.history.len(), 5);
    for query in [
        RunQuery::default(),
        RunQuery { flow: Some("test/three".into()), ..RunQuery::default() },
        RunQuery { state: Some(RunState::Completed), ..RunQuery::default() },
        RunQuery { flow: Some("test/three".into()), state: Some(RunState::Completed), ..RunQuery::default() },
    ] {
        let page = engine.list(&query).unwrap();
        assert_eq!(
            page.runs.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(),
            [id.as_str()],
            "{query:?}"
        );
    }
    assert!(
        engine
            .list(&RunQuery { state: Some(RunState::Running), ..RunQuery::default() })
            .unwrap()
            .runs
            .is_empty()
    );

    let filter = factotum_audit::Filter { run: Some(id.clone()), ..factotum_audit::Filter::default() };
    let mut actions: Vec<String> = engine
        .audit
        .list(&engine.store, &filter, None, 100)
        .unwrap()
        .records
        .into_iter()
        .map(|record| record.entry.action)
        .collect();
    actions.reverse();
    assert_eq!(actions, ["run.start", "plugin.call", "plugin.call", "plugin.call", "run.end"]);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_is_on_disk_before_the_run_is_acknowledged() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "three", THREE).await;
    engine.crash.after(1);
    let id = start(&engine, "three", json!({"n": 7})).await;
    world.kill(engine).await;
    let engine = world.open();
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.output, Some(json!(9)));
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_start_leaves_nothing() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "three", THREE).await;
    engine.crash.after(0);
    assert_eq!(code(engine.start(request("three", json!({}))).await), ErrorCode::Store);
    world.kill(engine).await;
    let engine = world.open();
    assert!(engine.list(&RunQuery::default()).unwrap().runs.is_empty());
    assert!(world.script.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_with_one_key_are_one_run_also_after_a_restart() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "three", THREE).await;
    let with_key = |key: &str| StartRun { dedupe_key: Some(key.into()), ..request("three", json!({"n": 1})) };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (engine, request) = (Arc::clone(&engine), with_key("message-1"));
        tasks.spawn(async move { engine.start(request).await.unwrap() });
    }
    let all = tasks.join_all().await;
    assert_eq!(all.iter().filter(|started| !started.duplicate).count(), 1);
    assert!(all.iter().all(|started| started.run_id == all[0].run_id));
    assert!(!engine.start(with_key("message-2")).await.unwrap().duplicate);
    world.finish(&engine, &all[0].run_id).await;
    world.kill(engine).await;
    let engine = world.open();
    let late = engine.start(with_key("message-1")).await.unwrap();
    assert_eq!((late.run_id.as_str(), late.duplicate), (all[0].run_id.as_str(), true));
    assert_eq!(engine.list(&RunQuery::default()).unwrap().runs.len(), 2);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() {
    let world = World::new();
    let engine = world.open();
    let source = document("typed", "1.0.0", "  - one: { call: a/echo }").replace(
        "do:",
        "input: { schema: { format: json, document: { type: object, required: [n], properties: { n: { type: integer } } } } }\ndo:",
    );
    engine.deploy(&actor(), &source, "typed.yaml").await.unwrap();
    assert_eq!(code(engine.start(request("none", json!({}))).await), ErrorCode::UnknownFlow);
    let error = engine.start(request("typed", json!({"n": "x"}))).await.unwrap_err();
    assert_eq!((error.code, error.status()), (ErrorCode::InvalidInput, 422));
    let of_size = |bytes: usize| json!({"n": 1, "t": "x".repeat(bytes - r#"{"n":1,"t":""}"#.len())});
    let error = engine.start(request("typed", of_size((1 << 20) + 1))).await.unwrap_err();
    assert_eq!((error.code, error.status()), (ErrorCode::InputTooLarge, 413));
    assert!(error.message.contains("1048577 bytes"), "{error}");
    let empty_key = StartRun { dedupe_key: Some(String::new()), ..request("typed", json!({"n": 1})) };
    assert_eq!(code(engine.start(empty_key).await), ErrorCode::InvalidRequest);
    assert_eq!(code(engine.wait("nonsense", Duration::from_millis(1)).await), ErrorCode::UnknownRun);
    let cursor = RunQuery { cursor: Some("nonsense".into()), ..RunQuery::default() };
    assert_eq!(code(engine.list(&cursor)), ErrorCode::InvalidRequest);
    assert!(engine.list(&RunQuery::default()).unwrap().runs.is_empty());
    let id = engine.start(request("typed", of_size(1 << 20))).await.unwrap().run_id;
    // The folder must outlive the run: the store writes large values as files of their own, and hangs when it cannot.
    world.finish(&engine, &id).await;
    world.kill(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_deployed_only_when_every_call_and_argument_fits() {
    let world = World::new();
    let engine = world.open();
    let bad = "
  - one: { call: nowhere/x }
  - two: { call: a/echo, with: { wrong: 1 } }
  - three: { call: a/echo, with: { right: 1 } }";
    let error = engine.deploy(&actor(), &document("bad", "1.0.0", bad), "bad.yaml").await.unwrap_err();
    let problems: Vec<String> = error.problems.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("bad.yaml:4:"), "{problems:?}");
    assert!(problems[0].contains("/do/0/one/call") && problems[0].contains("nowhere"), "{problems:?}");
    assert!(
        problems[1].starts_with("bad.yaml:5:") && problems[1].contains("/do/1/two/with/wrong"),
        "{problems:?}"
    );
    assert_eq!(code(engine.start(request("bad", json!({}))).await), ErrorCode::UnknownFlow);
}

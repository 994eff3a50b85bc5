//! Repair, on scripted actions and a clock moved by hand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;
use crate::ErrorCode;
use crate::events::Watched;
use crate::runs::tests::*;
use crate::runs::{Engine, RunState};

const LOOP: &str = "
  - open: { call: a/echo, with: { n: 0 } }
  - each:
      for: { each: item, in: '[1, 2, 3]' }
      do:
        - book: { call: a/echo, with: { n: '${ $item }' } }
        - note: { call: a/echo, with: { noted: '${ $item }' } }
  - close: { call: a/switched }
";

fn again(id: &str) -> RetryRun {
    RetryRun { actor: actor(), run_id: id.into(), from: None, flow: RetryFlow::Recorded, preview: false }
}

async fn faulted(world: &World, engine: &Arc<Engine>, flow: &str) -> String {
    let id = start(engine, flow, json!({})).await;
    assert_eq!(world.finish(engine, &id).await.state, RunState::Faulted);
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_retried_from_its_failed_task_and_nothing_before_is_done_again() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "l", LOOP).await;
    world.script.broken.store(true, Ordering::SeqCst);
    let id = faulted(&world, &engine, "l").await;
    let before = world.script.calls();
    let preview = engine.retry(RetryRun { preview: true, ..again(&id) }).await.unwrap();
    assert_eq!((preview.again.len(), preview.kept), (1, 7), "{preview:?}");
    assert_eq!((preview.again[0].known, state(&engine, &id)), (false, RunState::Faulted));

    world.script.broken.store(false, Ordering::SeqCst);
    let retried = engine.retry(again(&id)).await.unwrap();
    assert_eq!((retried.was, retried.from.as_deref()), (RunState::Faulted, Some("/do/close")));
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.output, Some(json!("on")));
    let after = world.script.calls();
    assert_eq!(after.len(), before.len() + 1);
    let last = after.last().unwrap();
    assert_eq!(last.key, before.last().unwrap().key, "nobody knows whether it was done: the same key");
    assert_eq!(last.attempt, 1);
    assert!(code(engine.retry(again(&id)).await) == ErrorCode::Conflict, "it ended well");
    let detail = engine.detail(&id).unwrap().unwrap();
    assert!(detail.info.error.is_none() && detail.info.output.is_some());
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_retried_from_inside_a_loop_under_new_keys_for_what_was_done() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "l", LOOP).await;
    let id = start(&engine, "l", json!({})).await;
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    let before = world.script.calls();
    let from = |from: &str| RetryRun { from: Some(from.into()), ..again(&id) };
    assert_eq!(code(engine.retry(from("/do/7/x")).await), ErrorCode::InvalidRequest);
    let retried = engine.retry(from("/do/1/each[1]/do/1/note")).await.unwrap();
    assert_eq!((retried.again.len(), retried.kept), (4, 4), "{retried:?}");
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    let all = world.script.calls();
    let after = &all[before.len()..];
    assert_eq!(after.len(), 4, "note 2, book 3, note 3, close");
    assert!(
        after.iter().all(|call| before.iter().all(|old| old.key != call.key)),
        "a person had them done anew"
    );
    world.kill(engine).await;
    let engine = world.open();
    assert_eq!(engine.info(&id).unwrap().unwrap().state, RunState::Completed);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_flow_finds_what_was_done_by_the_names_of_its_tasks() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "c", "  - a: { call: a/echo, with: { n: 1 } }\n  - b: { call: a/refuses }").await;
    let id = faulted(&world, &engine, "c").await;
    let corrected = "  - look: { set: { x: 1 } }\n  - a: { call: a/echo, with: { n: 1 } }\n  - b: { call: a/echo, with: { n: 2 }, output: { as: '${ .got }' } }";
    deploy(&engine, "c", corrected).await;
    let same = engine.retry(again(&id)).await.unwrap();
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Faulted, "{same:?}");
    let before = world.script.calls().len();
    let retried = engine.retry(RetryRun { flow: RetryFlow::Deployed, ..again(&id) }).await.unwrap();
    assert_ne!(retried.deployment, same.deployment);
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.output, Some(json!({"n": 2})), "{info:?}");
    assert_eq!(world.script.calls().len(), before + 1, "a was not done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_flows_own_is_not_retried_for_nothing() {
    let world = World::new();
    let engine = world.open();
    let tasks = "  - a: { call: a/echo }\n  - b: { raise: { error: { type: 'https://x.test/e', status: 400, title: t } } }";
    deploy(&engine, "r", tasks).await;
    let id = faulted(&world, &engine, "r").await;
    let error = engine.retry(again(&id)).await.unwrap_err();
    assert!(error.code == ErrorCode::Conflict && error.hint.unwrap().contains("--from"));
    deploy(&engine, "r", "  - a: { call: a/echo }\n  - b: { set: { ok: true } }").await;
    engine.retry(RetryRun { flow: RetryFlow::Deployed, ..again(&id) }).await.unwrap();
    assert_eq!(world.finish(&engine, &id).await.output, Some(json!({"ok": true})));
    assert_eq!(world.script.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_counted_first_then_retried_up_to_a_cap() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "m", "  - a: { call: a/switched }").await;
    deploy(
        &engine,
        "own",
        "  - a: { raise: { error: { type: 'https://x.test/e', status: 400, title: t } } }",
    )
    .await;
    world.script.broken.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        faulted(&world, &engine, "m").await;
    }
    faulted(&world, &engine, "own").await;
    world.script.broken.store(false, Ordering::SeqCst);
    let many = |cap, preview| RetryRuns {
        actor: actor(),
        filter: RunFilter { reason: Some("SWITCHED OFF".into()), ..RunFilter::default() },
        from: None,
        flow: RetryFlow::Recorded,
        cap,
        preview,
    };
    let told = engine.retry_many(many(3, true)).await.unwrap();
    assert_eq!((told.matched, told.retried, told.left, told.refusals), (4, 3, 1, 0));
    let done = engine.retry_many(many(3, false)).await.unwrap();
    assert_eq!((done.retried, done.left), (3, 1));
    idle(&engine).await;
    assert_eq!(engine.retry_many(many(3, true)).await.unwrap().matched, 1);
    let all = RetryRuns { filter: RunFilter::default(), ..many(10, true) };
    let told = engine.retry_many(all).await.unwrap();
    assert_eq!((told.retried, told.refusals), (1, 1), "{told:?}");
    assert_eq!(code(engine.retry_many(many(0, true)).await), ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_run_is_suspended_and_goes_on_where_it_was() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "w", "  - a: { call: a/echo }\n  - w: { wait: { hours: 1 } }\n  - b: { call: a/echo }")
        .await;
    let id = start(&engine, "w", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let done = engine.hold(&actor(), &id, Some("the shop is closed".into())).await.unwrap();
    assert_eq!((done.state, done.pending), (RunState::Suspended, false));
    world.clock.advance(2 * 3_600_000);
    idle(&engine).await;
    world.kill(engine).await;
    let engine = world.open();
    assert_eq!(state(&engine, &id), RunState::Suspended, "its time came, and it stands still");
    assert_eq!(code(engine.hold(&actor(), &id, None).await), ErrorCode::Conflict);
    engine.let_go_on(&actor(), &id).await.unwrap();
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    assert_eq!(world.script.calls().len(), 2);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executing_run_is_suspended_before_its_next_effect() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "p", "  - a: { call: a/gated }\n  - b: { call: a/echo }").await;
    let id = start(&engine, "p", json!({})).await;
    world.script.arrived.notified().await;
    let holding = tokio::spawn({
        let (engine, id) = (Arc::clone(&engine), id.clone());
        async move { engine.hold(&actor(), &id, None).await }
    });
    while engine.controls.of(&id).is_none() {
        tokio::task::yield_now().await;
    }
    world.script.gate.notify_one();
    let done = holding.await.unwrap().unwrap();
    assert_eq!((done.state, done.pending), (RunState::Suspended, false));
    assert_eq!(world.script.calls().len(), 1, "the call in flight ended, the next was not made");
    engine.let_go_on(&actor(), &id).await.unwrap();
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    assert_eq!(world.script.calls().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_stuck_and_suspended_runs_are_cancelled() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "w", "  - a: { call: a/echo }\n  - w: { wait: { hours: 1 } }").await;
    deploy(&engine, "g", "  - a: { call: a/is-gone }").await;
    let waiting = start(&engine, "w", json!({})).await;
    let held = start(&engine, "w", json!({})).await;
    let stuck = start(&engine, "g", json!({})).await;
    until(&engine, &stuck, RunState::Stuck).await;
    for id in [&waiting, &held] {
        until(&engine, id, RunState::Waiting).await;
    }
    engine.hold(&actor(), &held, None).await.unwrap();
    for id in [&waiting, &held, &stuck] {
        let request = CancelRun {
            actor: actor(),
            run_id: id.clone(),
            reason: Some("not needed any more".into()),
            abort: false,
            preview: false,
        };
        let done = engine.cancel(request.clone()).await.unwrap();
        assert_eq!((done.state, done.pending), (RunState::Cancelled, false), "{id}");
        assert_eq!(code(engine.cancel(request).await), ErrorCode::Conflict);
        let info = engine.info(id).unwrap().unwrap();
        assert_eq!(info.reason.as_deref(), Some("cancelled by token:test: not needed any more"));
    }
    world.clock.advance(2 * 3_600_000);
    idle(&engine).await;
    assert_eq!(world.script.calls().len(), 3, "a, a, is-gone");
    assert!(engine.controls.load(&engine.store).unwrap().is_empty());
    engine.retry(again(&waiting)).await.unwrap();
    assert_eq!(world.finish(&engine, &waiting).await.state, RunState::Completed);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wanted_before_a_crash_is_done_after_it() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "h", "  - a: { call: a/hangs }\n  - b: { call: a/echo }").await;
    let id = start(&engine, "h", json!({})).await;
    until(&engine, &id, RunState::Running).await;
    while world.script.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    let request =
        CancelRun { actor: actor(), run_id: id.clone(), reason: None, abort: false, preview: false };
    let done = engine.cancel(request).await.unwrap();
    assert!(done.pending && done.state == RunState::Running, "its call is in flight");
    world.kill(engine).await;
    let engine = world.open();
    until(&engine, &id, RunState::Cancelled).await;
    assert_eq!(world.script.calls().len(), 1, "nothing was done after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_run_cancels_what_it_started_and_cancelling_that_tells_the_one_that_waits() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "child", "  - w: { wait: { hours: 1 } }").await;
    let parent = "  - s: { run: { workflow: { namespace: test, name: child, version: latest } } }";
    deploy(&engine, "parent", parent).await;
    let child_of = |id: &str| {
        let page =
            engine.list(&crate::RunQuery { flow: Some("test/child".into()), ..Default::default() }).unwrap();
        let running = page.runs.into_iter().find(|run| !run.state.is_final());
        running.unwrap_or_else(|| panic!("{id} started nothing")).id
    };
    let cancel = |id: &str| CancelRun {
        actor: actor(),
        run_id: id.into(),
        reason: None,
        abort: false,
        preview: false,
    };
    let id = start(&engine, "parent", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let child = child_of(&id);
    engine.cancel(cancel(&id)).await.unwrap();
    until(&engine, &child, RunState::Cancelled).await;
    assert_eq!(state(&engine, &id), RunState::Cancelled);

    let id = start(&engine, "parent", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let child = child_of(&id);
    until(&engine, &child, RunState::Waiting).await;
    engine.cancel(cancel(&child)).await.unwrap();
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.state, RunState::Faulted);
    assert!(info.reason.as_ref().unwrap().contains("cancelled by token:test"), "{info:?}");
    engine.retry(again(&id)).await.unwrap();
    until(&engine, &id, RunState::Waiting).await;
    assert_ne!(child_of(&id), child, "the flow is started anew");
    // Its hour begins when it executes, not when it is accepted.
    until(&engine, &child_of(&id), RunState::Waiting).await;
    world.clock.advance(2 * 3_600_000);
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Completed);
    assert_audit_holds(&engine);
}

const UNDO: &str = "
  - a:
      call: a/echo
      with: { n: 1 }
      metadata: { compensate: { call: undo/switched } }
  - b:
      call: a/echo
      with: { n: 2 }
      metadata: { compensate: { call: undo/echo, with: { was: '${ .got.n }' } } }
  - w: { wait: { hours: 1 } }
";

fn undone(world: &World) -> Vec<String> {
    world.script.calls().into_iter().skip(2).map(|call| call.function).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_takes_back_what_was_done_last_first_after_a_preview() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "u", UNDO).await;
    let id = start(&engine, "u", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let cancel =
        |preview| CancelRun { actor: actor(), run_id: id.clone(), reason: None, abort: false, preview };
    let told = engine.cancel(cancel(true)).await.unwrap();
    let by: Vec<_> = told.takes_back.iter().map(|back| (back.key.as_str(), back.by.as_str())).collect();
    assert_eq!(by, [("/do/1/b", "undo/echo"), ("/do/0/a", "undo/switched")]);
    assert_eq!(state(&engine, &id), RunState::Waiting, "a preview does nothing");
    engine.cancel(cancel(false)).await.unwrap();
    until(&engine, &id, RunState::Cancelled).await;
    assert_eq!(undone(&world), ["echo", "switched"]);
    // What was taken back is no basis to go on from.
    let error = engine.retry(again(&id)).await.unwrap_err();
    assert!(error.code == ErrorCode::Conflict && error.message.contains("taken back"), "{error}");
    engine.retry(RetryRun { from: Some("/do/a".into()), ..again(&id) }).await.unwrap();
    until(&engine, &id, RunState::Waiting).await;
    assert_eq!(world.script.calls().len(), 6, "a and b are done anew");
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_parks_the_run_for_a_person_and_is_tried_again() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "u", UNDO).await;
    let id = start(&engine, "u", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    world.script.broken.store(true, Ordering::SeqCst);
    let cancel = CancelRun { actor: actor(), run_id: id.clone(), reason: None, abort: false, preview: false };
    let cancelling = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.cancel(cancel).await }
    });
    let info = world.finish(&engine, &id).await;
    cancelling.await.unwrap().unwrap();
    for _ in 0..PATIENCE {
        if state(&engine, &id) == RunState::Stuck {
            break;
        }
        world.clock.advance(500);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let reason = engine.info(&id).unwrap().unwrap().reason.unwrap();
    assert!(reason.contains("undo/switched at /do/0/a!compensate"), "{reason} {info:?}");
    assert_eq!(undone(&world).iter().filter(|function| *function == "echo").count(), 1);
    world.kill(engine).await;

    world.script.broken.store(false, Ordering::SeqCst);
    let engine = world.open();
    let before = world.script.calls().len();
    engine.retry(again(&id)).await.unwrap();
    until(&engine, &id, RunState::Cancelled).await;
    assert_eq!(world.script.calls().len(), before + 1, "only what failed is tried again");
    assert_audit_holds(&engine);
}

const UNDO_OTHERS: &str = "
  - a:
      call: a/echo
      with: { n: 1 }
      metadata:
        grants: { limits: { time-ms: 500 } }
        compensate: { call: http, with: { method: delete, endpoint: 'https://api.test/v1/{n}', query: { of: '${ .got.n }' } } }
  - b:
      do: [ { c: { call: a/echo, with: { n: 2 } } } ]
      metadata: { compensate: { run: { workflow: { namespace: test, name: undo-b, version: latest, input: { was: '${ .got.n }' } } } } }
  - w: { wait: { hours: 1 } }
";

fn http(status: u16) -> Result<http::Response<bytes::Bytes>, factotum_egress::EgressError> {
    Ok(http::Response::builder().status(status).body(bytes::Bytes::new()).unwrap())
}

async fn granted(engine: &Engine) {
    let rules = "[[http]]\nhost = \"api.test\"\nmethods = [\"DELETE\"]\npaths = [\"/v1/**\"]\n";
    let grants = factotum_grant::Grants::from_toml(rules).unwrap();
    engine.flow_rights.set(&actor(), "test/u", grants, None).await.unwrap();
}

/// Until the run stands there; the clock goes on meanwhile, for retries.
async fn goes(world: &World, engine: &Engine, id: &str, wanted: RunState) {
    for _ in 0..PATIENCE {
        if state(engine, id) == wanted {
            return;
        }
        world.clock.advance(500);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{id} is {:?}, not {wanted:?}", state(engine, id));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_flows_take_back_what_was_done_and_a_preview_tells_what_with() {
    let world = World::new();
    *world.script.answers.lock().unwrap() = vec![http(204)];
    let engine = world.open();
    // The flow that takes b back waits itself: the cancelled run waits for it, and does not spin.
    deploy(
        &engine,
        "undo-b",
        "  - s: { wait: { minutes: 5 } }\n  - u: { call: undo/echo, with: { b: '${ $input.was }' } }",
    )
    .await;
    deploy(&engine, "u", &UNDO_OTHERS.replace("/v1/{n}", "/v1/x")).await;
    granted(&engine).await;
    let id = start(&engine, "u", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let cancel =
        |preview| CancelRun { actor: actor(), run_id: id.clone(), reason: None, abort: false, preview };
    let told = engine.cancel(cancel(true)).await.unwrap().takes_back;
    let told: Vec<_> = told
        .iter()
        .map(|one| (one.key.as_str(), one.function.as_str(), one.by.as_str(), one.with.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("/do/1/b", "do", "flow test/undo-b", json!({"was": 2})),
            ("/do/0/a", "a/echo", "DELETE https://api.test/v1/x", json!({"query": {"of": "1"}})),
        ]
    );
    engine.cancel(cancel(false)).await.unwrap();
    until(&engine, &id, RunState::Waiting).await;
    let mut watch = engine.events.live.watch().unwrap();
    let resumed = async {
        let mut resumed = 0;
        while let Some(told) = watch.next().await {
            let Watched::Lived(lived) = told else { continue };
            resumed += u32::from(lived.event["type"].as_str().is_some_and(|kind| kind.contains("resumed")));
            assert!(resumed < 3, "it waits, and is not executed again and again");
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_millis(300), resumed).await;
    assert!(world.script.requests.lock().unwrap().is_empty(), "a is taken back after b");
    // What takes work back survives the host.
    world.kill(engine).await;
    let engine = world.open();
    goes(&world, &engine, &id, RunState::Cancelled).await;
    let requests = world.script.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let (_, request, key) = &requests[0];
    assert_eq!(request, "DELETE https://api.test/v1/x?of=1");
    assert!(key.as_ref().is_some_and(|key| !key.is_empty()), "a repetition is told apart");
    assert_eq!(undone(&world), ["echo"]);
    let error = engine.retry(again(&id)).await.unwrap_err();
    assert!(error.code == ErrorCode::Conflict && error.message.contains("taken back"), "{error}");
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_or_flow_that_cannot_take_back_parks_the_run_and_is_tried_again() {
    let world = World::new();
    *world.script.answers.lock().unwrap() = vec![http(409)];
    let engine = world.open();
    deploy(
        &engine,
        "undo-b",
        "  - u: { raise: { error: { type: 'https://x.example/e', status: 400, title: t } } }",
    )
    .await;
    deploy(&engine, "u", &UNDO_OTHERS.replace("/v1/{n}", "/v1/x")).await;
    granted(&engine).await;
    let id = start(&engine, "u", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let cancel = CancelRun { actor: actor(), run_id: id.clone(), reason: None, abort: false, preview: false };
    engine.cancel(cancel).await.unwrap();
    goes(&world, &engine, &id, RunState::Stuck).await;
    let reason = engine.info(&id).unwrap().unwrap().reason.unwrap();
    assert!(reason.contains("DELETE https://api.test/v1/x at /do/0/a!compensate"), "{reason}");
    assert!(reason.contains("flow test/undo-b at /do/1/b!compensate"), "{reason}");

    *world.script.answers.lock().unwrap() = vec![http(204)];
    let mended = document("undo-b", "2.0.0", "  - u: { call: undo/echo }");
    engine.deploy(&actor(), &mended, "test.yaml").await.unwrap();
    engine.retry(again(&id)).await.unwrap();
    goes(&world, &engine, &id, RunState::Cancelled).await;
    assert_eq!(undone(&world), ["echo"]);
    assert_eq!(world.script.requests.lock().unwrap().len(), 2);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_work_back_is_narrowed_by_itself_and_not_by_the_task() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - a:
      call: a/echo
      metadata:
        grants: { limits: { time-ms: 500 } }
        compensate: { call: undo/echo, metadata: { grants: { limits: { time-ms: 700 } } } }
  - b:
      call: a/echo
      metadata: { grants: { limits: { time-ms: 600 } }, compensate: { call: undo/echo } }
  - break: { raise: { error: { type: 'https://x.example/e', status: 400, title: t } } }
";
    deploy(&engine, "n", tasks).await;
    let id = start(&engine, "n", json!({})).await;
    assert_eq!(world.finish(&engine, &id).await.state, RunState::Faulted);
    let narrowed: Vec<_> = world
        .script
        .narrowed
        .lock()
        .unwrap()
        .iter()
        .map(|(task, by)| (task.clone(), by.limits.clone().unwrap().time_ms))
        .collect();
    assert_eq!(
        narrowed,
        [
            ("/do/0/a".to_owned(), Some(500)),
            ("/do/1/b".to_owned(), Some(600)),
            ("/do/0/a".to_owned(), Some(700))
        ]
    );
}

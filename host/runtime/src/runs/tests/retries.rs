//! What the host tries again, how often, and under which key.

use super::*;

async fn outcome(task: &str) -> (World, Arc<RunInfo>, Vec<Seen>) {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "f", task).await;
    let id = start(&engine, "f", json!({})).await;
    let info = world.finish(&engine, &id).await;
    assert_audit_holds(&engine);
    let seen = world.script.calls();
    (world, info, seen)
}

fn attempts(seen: &[Seen]) -> Vec<u32> {
    assert!(seen.iter().all(|s| s.key == seen[0].key), "every attempt has the same key");
    seen.iter().map(|s| s.attempt).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_technical_fault_is_tried_again_until_it_works() {
    let (_world, info, seen) = outcome("  - t: { call: a/fails-twice }").await;
    assert_eq!(info.output, Some(json!("third time lucky")));
    assert_eq!(attempts(&seen), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_technical_fault_is_given_up_after_three_retries() {
    let (_world, info, seen) = outcome("  - t: { call: a/never-works }").await;
    assert_eq!(attempts(&seen), [1, 2, 3, 4]);
    let error = info.error.clone().unwrap();
    assert_eq!((info.state, error.status), (RunState::Faulted, 503));
    for (member, value) in [
        ("kind", json!("technical")),
        ("code", json!("unavailable")),
        ("plugin", json!("a")),
        ("function", json!("never-works")),
        ("attempts", json!(4)),
    ] {
        assert_eq!(error.extra.get(member), Some(&value), "{member}");
    }
    assert_eq!(error.instance.as_deref(), Some("/do/0/t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_fault_is_never_tried_again() {
    let (_world, info, seen) = outcome("  - t: { call: a/refuses }").await;
    assert_eq!(attempts(&seen), [1]);
    assert_eq!(info.error.as_ref().map(|e| e.status), Some(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_a_try_with_its_own_retry_the_host_does_not_retry() {
    let task = "
  - t:
      try:
        - ask: { call: a/never-works }
      catch:
        retry: { delay: { seconds: 1 }, limit: { attempt: { count: 2 } } }
        do:
          - give-up: { set: { gave: up } }";
    let (_world, info, seen) = outcome(task).await;
    assert_eq!(info.output, Some(json!({"gave": "up"})));
    assert!(seen.iter().all(|s| s.attempt == 1 && s.key == seen[0].key), "{seen:?}");
    assert!((2..=3).contains(&seen.len()), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pause_suspends_the_run_and_survives_a_restart() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "f", "  - t: { call: a/later }").await;
    let begun = world.clock.now_ms();
    let id = start(&engine, "f", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let due = engine.row(&id).unwrap().unwrap().due.unwrap();
    assert_eq!(due, begun + 30_000, "what the other side asked for");
    world.kill(engine).await;
    let engine = world.open();
    world.clock.advance(29_999);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(world.script.calls().len(), 1, "not before it is due");
    world.clock.advance(1);
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output, Some(json!("later")));
    assert_eq!(attempts(&world.script.calls()), [1, 2]);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_too_large_to_keep_is_an_error_of_the_call() {
    let (_world, info, seen) = outcome("  - t: { call: a/is-large }").await;
    let error = info.error.clone().unwrap();
    assert_eq!(error.extra.get("code"), Some(&json!("result-too-large")));
    assert_eq!(attempts(&seen), [1]);
}

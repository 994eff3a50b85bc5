//! Where values come from is the same after a crash, whichever call it came before.

use super::*;

/// The crm's data, kept apart from the message in a task, then sent on with it; and an error of the crm's.
const TASKS: &str = "
  - find: { call: crm/echo, with: { id: 7 } }
  - shape: { set: { contact: '${ .key }', text: '${ $workflow.input.text }' } }
  - send: { call: chat/echo, with: { contact: '${ .contact }', text: '${ .text }', fixed: x } }
  - refused:
      try: [ { ask: { call: crm/refuses } } ]
      catch: { as: e, do: [ { tell: { call: chat/echo, with: { why: '${ $e.detail }' } } } ] }
  - pause: { wait: { seconds: 90 } }
  - count:
      set: { n: '${ .got | length }' }
      metadata: { declassify: { from: [chat, crm], reason: A number of members } }
  - last: { call: chat/echo, with: { n: '${ .n }', t: '${ $workflow.input.text }' } }
";

/// What the calls that answered were given: function, member, labels. A call that was made twice is there once.
async fn given(arrange: impl FnOnce(&World, &Engine)) -> Vec<String> {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "taint", TASKS).await;
    arrange(&world, &engine);
    let id = start(&engine, "taint", json!({"text": "hello"})).await;
    for _ in 0..PATIENCE {
        if engine.wait(&id, Duration::from_millis(2)).await.is_ok() || engine.crash.happened() {
            break;
        }
        world.clock.advance(1_000);
    }
    world.kill(engine).await;
    let engine = world.open();
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.state, RunState::Completed, "{info:?}");
    assert_audit_holds(&engine);
    let mut said: Vec<String> = Vec::new();
    for (function, from) in world.script.data.lock().unwrap().iter() {
        let line = format!("{function}: {from:?}");
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_the_same_after_a_crash_before_any_commit() {
    let whole = given(|_, _| {}).await;
    assert_eq!(
        whole,
        [
            "echo: {}",
            "echo: {\"contact\": {\"crm/personal\"}, \"text\": {\"trigger\"}}",
            "refuses: {}",
            "echo: {\"why\": {\"crm/personal\"}}",
            "echo: {\"t\": {\"trigger\"}}",
        ]
    );
    for commits in 1..=10 {
        assert_eq!(given(|_, engine| engine.crash.after(commits)).await, whole, "commit {commits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_flow_declassifies_is_shown_and_audited() {
    let engine = World::new().open();
    let info = engine.deploy(&actor(), &document("taint", "1.0.0", TASKS), "test.yaml").await.unwrap();
    let [task] = &info.declassified[..] else { panic!("{:?}", info.declassified) };
    assert_eq!((task.path.as_str(), task.reason.as_str()), ("/do/5/count", "A number of members"));
    let page = engine.audit.list(&engine.store, &factotum_audit::Filter::default(), None, 10).unwrap();
    let entry = format!("{page:?}");
    assert!(entry.contains("/do/5/count of chat, crm: A number of members"), "{entry}");
}

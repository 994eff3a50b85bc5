//! Limited flows that wait for one another.

use super::*;

fn limited(name: &str, limits: &str, tasks: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0', metadata: {{ limits: {limits} }} }}\ndo:\n{tasks}\n"
    )
}

async fn deploy_limited(engine: &Arc<Engine>, name: &str, limits: &str, tasks: &str) {
    engine.deploy(&actor(), &limited(name, limits, tasks), "test.yaml").await.unwrap();
}

/// A flow that is let go on from outside, and then waits for another one.
fn calls(other: &str) -> String {
    format!(
        "  - ready: {{ if: .first, call: a/gated, output: {{ as: '${{ $input }}' }} }}\n  - other:\n      if: .first\n      run: {{ workflow: {{ namespace: test, name: {other}, version: latest, input: {{ first: false }} }} }}"
    )
}

async fn two_that_call_one_another(engine: &Arc<Engine>, world: &World) -> [String; 2] {
    let mut ids = Vec::new();
    for name in ["left", "right"] {
        ids.push(start(engine, name, json!({ "first": true })).await);
        world.script.arrived.notified().await;
    }
    ids.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_limited_flows_that_wait_for_one_another_do_not_wait_for_ever() {
    let world = World::new();
    let engine = world.open();
    deploy_limited(&engine, "left", "{ concurrency: 1 }", &calls("right")).await;
    deploy_limited(&engine, "right", "{ concurrency: 1 }", &calls("left")).await;
    for _ in 0..10 {
        let ids = two_that_call_one_another(&engine, &world).await;
        world.script.gate.notify_one();
        world.script.gate.notify_one();
        let mut ended = Vec::new();
        for id in &ids {
            // Without the clock: no deadline and no timer helps.
            ended.push(engine.wait(id, Duration::from_secs(60)).await.unwrap());
        }
        let faulted: Vec<_> = ended.iter().filter(|info| info.state == RunState::Faulted).collect();
        assert_eq!(faulted.len(), 1, "one is told, and the other goes on: {ended:#?}");
        let reason = faulted[0].reason.as_deref().unwrap();
        assert!(reason.contains("deadlock") && reason.contains("slot of test/"), "{reason}");
        assert_eq!(ended.iter().filter(|info| info.state == RunState::Completed).count(), 1);
        idle(&engine).await;
    }
    assert!(engine.gate.lock().members().is_empty());
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_that_a_crash_left_is_found_at_the_next_start_and_can_be_caught() {
    let world = World::new();
    let engine = world.open();
    let caught = |other: &str| {
        format!(
            "  - ready: {{ if: .first, call: a/gated, output: {{ as: '${{ $input }}' }} }}\n  - t:\n      if: .first\n      try:\n        - other: {{ run: {{ workflow: {{ namespace: test, name: {other}, version: latest, input: {{ first: false }} }} }} }}\n      catch:\n        errors: {{ with: {{ status: 500 }} }}\n        as: error\n        do: [ {{ later: {{ set: {{ caught: '${{ $error.detail }}' }} }} }} ]"
        )
    };
    deploy_limited(&engine, "left", "{ concurrency: { max: 1, key: '\"one\"' } }", &caught("right")).await;
    deploy_limited(&engine, "right", "{ concurrency: 1 }", &caught("left")).await;
    let ids = two_that_call_one_another(&engine, &world).await;
    // From here on nothing is looked at but what the next start finds.
    engine.gate.lock().overlooks_deadlocks = true;
    world.script.gate.notify_one();
    world.script.gate.notify_one();
    for id in &ids {
        until(&engine, id, RunState::Waiting).await;
    }
    idle(&engine).await;
    world.kill(engine).await;
    let engine = world.open();
    let mut caught = 0;
    for id in &ids {
        let info = engine.wait(id, Duration::from_secs(60)).await.unwrap();
        assert_eq!(info.state, RunState::Completed, "{info:#?}");
        let text = info.output.as_ref().unwrap()["caught"].as_str().unwrap_or_default().to_owned();
        caught += usize::from(text.contains("deadlock"));
    }
    assert_eq!(caught, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_only_has_to_wait_for_its_turn_is_left_alone() {
    let world = World::new();
    let engine = world.open();
    deploy_limited(&engine, "desk", "{ concurrency: 1 }", "  - one: { call: a/gated }").await;
    let parent = "  - s: { run: { workflow: { namespace: test, name: desk, version: latest } } }";
    deploy_limited(&engine, "parent", "{ concurrency: 1 }", parent).await;
    let holder = start(&engine, "desk", json!({})).await;
    world.script.arrived.notified().await;
    let first = start(&engine, "parent", json!({})).await;
    let second = start(&engine, "parent", json!({})).await;
    until(&engine, &first, RunState::Waiting).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(state(&engine, &first), RunState::Waiting);
    for id in [&holder, &first, &second] {
        world.script.gate.notify_one();
        let info = engine.wait(id, Duration::from_secs(60)).await.unwrap();
        assert_eq!(info.state, RunState::Completed, "{info:#?}");
    }
}

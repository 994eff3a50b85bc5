//! Long times, many runs, clocks that are set, and crashes in the middle of everything at once.

use super::*;
use crate::events::EventQuery;

/// Branches, a child, an event sent, one waited for, a timeout that passes.
const EVERYTHING: &str = "
  - both:
      fork:
        branches:
          - act: { call: a/echo, with: { n: 1 }, output: { as: '${ .got.n }' } }
          - child: { run: { workflow: { namespace: test, name: child, version: '1.0.0', input: { n: 2 } } } }
          - late:
              try: [ { w: { wait: { hours: 9 }, timeout: { after: { seconds: 30 } } } } ]
              catch: { do: [ { gave-up: { set: '${ 3 }' } } ] }
      export: { as: { sum: '${ add }' } }
  - tell: { emit: { event: { with: { source: 'https://desk.test/flows', type: done, data: { sum: '${ $context.sum }' } } } } }
  - hear: { listen: { to: { one: { with: { type: go } } } } }
  - last: { call: a/echo, with: { sum: '${ $context.sum }', go: '${ .[0] }' }, output: { as: '${ .got }' } }
";
const CHILD: &str = "
  - pause: { wait: { seconds: 10 } }
  - act: { call: a/echo, with: { n: '${ .n }' }, output: { as: '${ .got.n }' } }
";

async fn go(engine: &Engine) -> bool {
    // The same event each time: however often it is sent, it counts once.
    let event = json!({"specversion": "1.0", "id": "go", "source": "/test", "type": "go", "data": 7});
    let listening = |key: &[u8]| key.first() == Some(&b's');
    let all = factotum_store::ScanRange::default();
    let open = engine.store.scan(Table::Subscriptions, &all).unwrap_or_default();
    if !open.iter().any(|(key, _)| listening(key)) {
        return false;
    }
    engine.queue.counts() == (0, 0) && engine.known_event(&event).is_ok_and(|known| known.is_none())
}

async fn once(commits: i64) -> bool {
    let world = World::new();
    let mut engine = world.open();
    deploy(&engine, "child", CHILD).await;
    deploy(&engine, "all", EVERYTHING).await;
    engine.crash.after(commits);
    let id = start(&engine, "all", json!({})).await;
    let mut crashed = false;
    let mut info = None;
    for _ in 0..PATIENCE {
        match engine.wait(&id, Duration::from_millis(3)).await {
            Ok(ended) => {
                info = Some(ended);
                break;
            }
            Err(_) => world.clock.advance(1_000),
        }
        if engine.crash.happened() && !crashed {
            crashed = true;
            world.kill(engine).await;
            engine = world.open();
        }
        if go(&engine).await {
            let event = json!({"specversion": "1.0", "id": "go", "source": "/test", "type": "go", "data": 7});
            let _ = engine.publish(&actor(), event).await;
        }
    }
    let info = info.unwrap_or_else(|| panic!("commit {commits}: {:#?}", engine.detail(&id)));
    assert_eq!(info.output, Some(json!({"sum": 6, "go": 7})), "crash before commit {commits}: {info:?}");
    let runs = engine.list(&RunQuery { limit: 100, ..RunQuery::default() }).unwrap().runs;
    assert_eq!(runs.len(), 2, "crash before commit {commits}: one child");
    assert!(runs.iter().all(|run| run.state == RunState::Completed), "crash before commit {commits}");
    let done = EventQuery { kind: Some("done".into()), ..EventQuery::default() };
    assert_eq!(engine.list_events(&done).unwrap().events.len(), 1, "crash before commit {commits}");
    let keys = world.script.by_key();
    assert_eq!(keys.len(), 3, "crash before commit {commits}: no new keys");
    assert!(keys.values().sum::<usize>() <= 4, "crash before commit {commits}: {keys:?}");
    let all = factotum_store::ScanRange::default();
    assert!(engine.store.scan(Table::Promises, &all).unwrap().is_empty(), "crash before commit {commits}");
    assert!(
        engine.store.scan(Table::Subscriptions, &all).unwrap().is_empty(),
        "crash before commit {commits}"
    );
    assert_audit_holds(&engine);
    crashed
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_before_any_commit_branches_children_and_events_end_alike() {
    let mut commits = 1;
    while once(commits).await {
        commits += 1;
        assert!(commits < 100, "the run has no end of commits");
    }
    assert!(commits > 10, "{commits}");
}

/// Three times a month is waited for an answer, with a reminder each week; then it is given up.
const SLA: &str = "
  - levels:
      for: { each: level, in: '${ [range(3)] }' }
      do:
        - ask:
            try:
              - answer:
                  timeout: { after: { days: 30 } }
                  fork:
                    compete: true
                    branches:
                      - heard: { listen: { to: { one: { with: { type: answer } } } } }
                      - remind:
                          do:
                            - weeks:
                                for: { each: week, in: '${ [range(9)] }' }
                                do:
                                  - week: { wait: { days: 7 } }
                                  - nag: { call: a/echo, with: { level: '${ $level }', week: '${ $week }' } }
            catch:
              errors: { with: { status: 408 } }
              do: [ { escalate: { call: a/echo, with: { level: '${ $level }' } } } ]
  - give-up: { set: { over: true } }
";

#[tokio::test(flavor = "multi_thread")]
async fn ninety_days_of_reminders_and_escalations_pass_in_simulated_time() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "sla", SLA).await;
    let began = std::time::Instant::now();
    let from = world.clock.now_ms();
    let id = start(&engine, "sla", json!({})).await;
    let info = loop {
        if let Ok(info) = engine.wait(&id, Duration::from_millis(1)).await {
            break info;
        }
        if let Some(Row { state: RunState::Waiting, due: Some(due), .. }) = engine.row(&id).unwrap()
            && due > world.clock.now_ms()
        {
            world.clock.set(due);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{:#?}", engine.detail(&id));
    };
    assert_eq!(info.output, Some(json!({"over": true})));
    assert_eq!(info.ended_at.unwrap() - from, 90 * 86_400_000, "to the millisecond");
    assert_eq!(world.script.calls().len(), 3 * 4 + 3, "four reminders a month, and three escalations");
    println!("90 days in {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_and_forth_ends_every_wait_once() {
    let world = World::new();
    let engine = world.open();
    let tasks = "  - a: { wait: { minutes: 30 } }\n  - one: { call: a/echo }\n  - b: { wait: { minutes: 30 } }\n  - two: { call: a/fails-twice }";
    deploy(&engine, "jumps", tasks).await;
    let start_at = world.clock.now_ms();
    let id = start(&engine, "jumps", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    let hour = 3_600_000;
    // Back before the wait's end, then forward past it.
    for to in [start_at - hour, start_at + hour / 4, start_at - hour, start_at + hour] {
        world.clock.set(to);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..PATIENCE {
        if world.script.calls().len() == 1 && state(&engine, &id) == RunState::Waiting {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // What has ended has ended, also when the run is read again before its time.
    world.clock.set(start_at);
    world.kill(engine).await;
    let engine = world.open();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!((world.script.calls().len(), state(&engine, &id)), (1, RunState::Waiting));
    world.clock.set(start_at + 2 * hour);
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.output, Some(json!("third time lucky")));
    assert_eq!(world.script.calls().len(), 4);
}

/// The resident memory of this process, in MiB.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1024
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: cargo test --release -p factotum-runtime --lib a_hundred_thousand -- --ignored --nocapture"]
async fn a_hundred_thousand_waiting_runs() {
    const RUNS: usize = 100_000;
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "w", "  - w: { wait: { days: 30 } }").await;
    deploy(
        &engine,
        "l",
        "  - l: { listen: { to: { one: { with: { type: go, subject: '${ .n | tostring }' } } } } }",
    )
    .await;
    let (began, before) = (std::time::Instant::now(), resident());
    for chunk in 0..RUNS / 250 {
        let flow = if chunk % 2 == 0 { "w" } else { "l" };
        let many = (0..250).map(|n| start(&engine, flow, json!({"n": chunk * 250 + n})));
        futures_util::future::join_all(many).await;
        while engine.queue.counts() != (0, 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    println!("{RUNS} runs wait after {:?}; {before} MiB before, {} MiB now", began.elapsed(), resident());
    world.kill(engine).await;
    let began = std::time::Instant::now();
    let engine = world.open();
    println!(
        "opened again in {:?}; {} MiB; {} MiB on disk",
        began.elapsed(),
        resident(),
        engine.store.size_on_disk().unwrap() >> 20
    );
    let began = std::time::Instant::now();
    let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "go", "subject": "250"});
    engine.publish(&actor(), event).await.unwrap();
    let query =
        RunQuery { flow: Some("test/l".into()), state: Some(RunState::Completed), ..RunQuery::default() };
    println!(
        "an event published for them in {:?}; {} runs of a page ended",
        began.elapsed(),
        engine.list(&query).unwrap().runs.len()
    );
}

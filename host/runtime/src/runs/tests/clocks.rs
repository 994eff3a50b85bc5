//! The clocks of runs: what warns and breaches, over restarts and crashes, and what has them stand still.

use super::hours::deploy_with;
use super::*;
use crate::inbox::InboxQuery;
use crate::repair::{CancelRun, RetryRun};
use crate::sla::{RunSla, SlaState};

const MINUTE: u64 = 60_000;

fn shown(engine: &Engine, id: &str) -> RunSla {
    engine.info(id).unwrap().unwrap().sla.unwrap()
}

async fn becomes(engine: &Engine, id: &str, wanted: SlaState) -> RunSla {
    for _ in 0..PATIENCE {
        let sla = shown(engine, id);
        if sla.state == wanted {
            return sla;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{:?}, not {wanted:?}", shown(engine, id));
}

fn events(engine: &Engine) -> Vec<(String, String)> {
    let query = crate::events::EventQuery { limit: 100, ..Default::default() };
    let page = engine.list_events(&query).unwrap();
    let all = page.events.into_iter().rev();
    let told = all.map(|e| {
        (
            e.event["type"].as_str().unwrap().to_owned(),
            e.event["data"]["clock"].as_str().unwrap_or("").to_owned(),
        )
    });
    told.filter(|(kind, _)| kind.starts_with("io.factotum.sla")).collect()
}

fn found(engine: &Engine, sla: SlaState) -> Vec<String> {
    let query = RunQuery { sla: Some(sla), ..RunQuery::default() };
    engine.list(&query).unwrap().runs.into_iter().map(|run| run.id).collect()
}

fn told(clock: &str, what: &str) -> (String, String) {
    (format!("io.factotum.sla.{what}.v1"), clock.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_warns_and_is_breached_over_a_restart_and_what_is_asked_goes_to_others() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - answer: { call: a/echo, metadata: { slaMet: respond } }
  - decide: { call: human-task, with: { title: 'Well?', group: desk } }
";
    let sla = "{ sla: { respond: PT10M, resolve: PT100M, escalate: { group: leads } } }";
    deploy_with(&engine, "s", sla, tasks).await.unwrap();
    let begin = world.clock.now_ms();
    let id = start(&engine, "s", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    let now = shown(&engine, &id);
    assert_eq!(
        (now.state, now.clocks[0].met_at, now.clocks[1].left_ms),
        (SlaState::Running, Some(begin), Some(100 * MINUTE))
    );
    assert_eq!(
        (found(&engine, SlaState::Running), found(&engine, SlaState::Warned)),
        (vec![id.clone()], vec![])
    );
    idle(&engine).await;
    world.clock.set(begin + 80 * MINUTE);
    becomes(&engine, &id, SlaState::Warned).await;
    world.kill(engine).await;
    let engine = world.open();
    world.clock.set(begin + 114 * MINUTE);
    let now = becomes(&engine, &id, SlaState::Breached).await;
    assert_eq!(
        (now.clocks[1].breached_at, now.clocks[1].over_ms),
        (Some(begin + 100 * MINUTE), Some(14 * MINUTE))
    );
    assert_eq!(events(&engine), [told("resolve", "warned"), told("resolve", "breached")]);
    assert_eq!(
        (found(&engine, SlaState::Breached), found(&engine, SlaState::Warned)),
        (vec![id.clone()], vec![])
    );
    let item = engine.list_items(&InboxQuery::default()).await.unwrap().items.pop().unwrap();
    assert_eq!((item.group.as_deref(), item.escalated_at), (Some("leads"), Some(world.clock.now_ms())));
    let records = engine.audit.list(&engine.store, &Default::default(), None, 1_000).unwrap().records;
    let audited = |action: &str| records.iter().filter(|record| record.entry.action == action).count();
    assert_eq!((audited("sla.warn"), audited("sla.breach"), audited("inbox.escalate")), (1, 1, 1));
    let cancel = CancelRun { actor: actor(), run_id: id.clone(), reason: None, abort: false, preview: false };
    engine.cancel(cancel).await.unwrap();
    until(&engine, &id, RunState::Cancelled).await;
    assert_eq!(shown(&engine, &id).state, SlaState::Breached);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clocks_stand_still_while_the_customer_is_waited_for_also_when_that_is_given_up() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - ask:
      fork:
        compete: true
        branches:
          - customer: { listen: { to: { one: { with: { type: reply } } } }, metadata: { slaPaused: true } }
          - patience: { wait: { minutes: 60 } }
  - work: { wait: { minutes: 5 } }
";
    deploy_with(&engine, "p", "{ sla: { resolve: PT30M, warnAt: 0.5 } }", tasks).await.unwrap();
    let begin = world.clock.now_ms();
    let id = start(&engine, "p", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    world.clock.set(begin + 50 * MINUTE);
    world.kill(engine).await;
    let engine = world.open();
    until(&engine, &id, RunState::Waiting).await;
    let now = shown(&engine, &id);
    assert_eq!(
        (now.state, now.clocks[0].left_ms, now.clocks[0].due),
        (SlaState::Paused, Some(30 * MINUTE), None)
    );
    world.clock.set(begin + 60 * MINUTE);
    let now = becomes(&engine, &id, SlaState::Running).await;
    assert_eq!(now.clocks[0].due, Some(begin + 90 * MINUTE), "the branch that lost pauses nothing");
    world.clock.set(begin + 65 * MINUTE);
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!((info.state, shown(&engine, &id).state), (RunState::Completed, SlaState::Met));
    world.clock.set(begin + 300 * MINUTE);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!((shown(&engine, &id).state, events(&engine)), (SlaState::Met, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_counts_business_time_and_an_answer_that_comes_too_late_is_a_breach() {
    let world = World::new();
    let engine = world.open();
    // It begins on a Tuesday night.
    let morning = 1_700_038_800_000;
    let metadata = "{ businessHours: { week: { mon-fri: '09:00-17:00' } }, sla: { respond: PT2H, resolve: P2D, businessHours: true } }";
    let tasks = "
  - first: { listen: { to: { one: { with: { type: go } } } }, metadata: { slaMet: respond } }
  - late: { call: a/switched }
";
    deploy_with(&engine, "b", metadata, tasks).await.unwrap();
    let id = start(&engine, "b", json!({})).await;
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    let now = shown(&engine, &id);
    assert_eq!(
        (now.clocks[0].due, now.clocks[1].due),
        (Some(morning + 120 * MINUTE), Some(morning + 2 * 24 * 60 * MINUTE))
    );
    assert_eq!(now.clocks[1].left_ms, Some(16 * 60 * MINUTE), "of business time");
    world.script.broken.store(true, Ordering::SeqCst);
    // Everything is down until after the answer is due.
    world.kill(engine).await;
    world.clock.set(morning + 150 * MINUTE);
    let engine = world.open();
    let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "go"});
    engine.publish(&actor(), event).await.unwrap();
    let now = becomes(&engine, &id, SlaState::Breached).await;
    assert_eq!(now.clocks[0].breached_at, Some(morning + 120 * MINUTE));
    // A run that faults has resolved nothing.
    let info = world.finish(&engine, &id).await;
    assert_eq!(info.state, RunState::Faulted);
    world.clock.set(morning + 3 * 24 * 60 * MINUTE);
    for _ in 0..PATIENCE {
        if shown(&engine, &id).clocks[1].breached_at.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let breaches = events(&engine).into_iter().filter(|(kind, _)| kind.contains("breached"));
    assert_eq!(breaches.map(|(_, clock)| clock).collect::<Vec<_>>(), ["respond", "resolve"]);
    world.script.broken.store(false, Ordering::SeqCst);
    let retry =
        RetryRun { actor: actor(), run_id: id.clone(), from: None, flow: Default::default(), preview: false };
    engine.retry(retry).await.unwrap();
    until(&engine, &id, RunState::Completed).await;
    assert!(shown(&engine, &id).clocks[1].met_at.is_some());
    assert_eq!(events(&engine).len(), 2, "each is told once: {:?}", events(&engine));
}

/// Runs a flow with clocks through a crash before the given commit; says what was told, and whether it crashed.
async fn once(commits: i64) -> (Vec<(String, String)>, bool) {
    let tasks = "
  - answer: { wait: { minutes: 20 }, metadata: { slaMet: respond } }
  - customer: { wait: { minutes: 60 }, metadata: { slaPaused: true } }
  - work: { wait: { minutes: 60 } }
  - done: { call: a/echo }
";
    let world = World::new();
    let engine = world.open();
    deploy_with(&engine, "c", "{ sla: { respond: PT10M, resolve: PT70M } }", tasks).await.unwrap();
    engine.crash.after(commits);
    let id = start(&engine, "c", json!({})).await;
    let (mut engine, mut crashed) = (Some(engine), false);
    for _ in 0..PATIENCE {
        let now = engine.as_ref().unwrap();
        if now.wait(&id, Duration::from_millis(1)).await.is_ok() {
            break;
        }
        if now.crash.happened() && !crashed {
            crashed = true;
            world.kill(engine.take().unwrap()).await;
            engine = Some(world.open());
            continue;
        }
        if now.queue.counts() == (0, 0) {
            world.clock.advance(MINUTE / 2);
        }
    }
    let engine = engine.unwrap();
    assert_eq!(state(&engine, &id), RunState::Completed, "commit {commits}");
    for _ in 0..PATIENCE {
        if found(&engine, SlaState::Breached) == [id.clone()] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let clocks = shown(&engine, &id).clocks;
    assert!(clocks.iter().all(|clock| clock.met_at.is_some()), "commit {commits}: {clocks:?}");
    let all = [SlaState::Running, SlaState::Warned, SlaState::Paused, SlaState::Met, SlaState::Stopped];
    assert!(all.into_iter().all(|state| found(&engine, state).is_empty()), "commit {commits}");
    assert_audit_holds(&engine);
    (events(&engine), crashed)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_before_any_commit_each_warning_and_breach_is_told_once() {
    let mut commits = 1;
    loop {
        let (events, crashed) = once(commits).await;
        let count = |wanted: (String, String)| events.iter().filter(|event| **event == wanted).count();
        assert_eq!(count(told("respond", "breached")), 1, "commit {commits}: {events:?}");
        assert_eq!(count(told("resolve", "breached")), 1, "commit {commits}: {events:?}");
        assert!(events.len() <= 4 && count(told("resolve", "warned")) <= 1, "commit {commits}: {events:?}");
        if !crashed {
            break;
        }
        commits += 1;
        assert!(commits < 60, "the run has no end of commits");
    }
    assert!(commits > 8, "{commits}");
}

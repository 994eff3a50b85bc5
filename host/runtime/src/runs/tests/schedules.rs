//! Flows that start by themselves, over restarts, outages and clocks that are set.

use super::*;

async fn deploy_scheduled(engine: &Arc<Engine>, name: &str, schedule: &str, tasks: &str) {
    let document = format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0', metadata: {{ timezone: Europe/Berlin }} }}\n\
         schedule: {schedule}\ndo:\n{tasks}\n"
    );
    engine.deploy(&actor(), &document, "s.yaml").await.unwrap();
}

fn runs(engine: &Engine, flow: &str) -> Vec<RunInfo> {
    let query = RunQuery { flow: Some(format!("test/{flow}")), limit: 1_000, ..RunQuery::default() };
    engine.list(&query).unwrap().runs
}

/// Waits until a flow has this many runs, and then whether it stays so.
async fn has(engine: &Engine, flow: &str, wanted: usize) {
    for _ in 0..PATIENCE {
        if runs(engine, flow).len() >= wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(runs(engine, flow).len(), wanted);
}

/// Waits until the scheduler has planned a start after `since`.
async fn planned(engine: &Engine, flow: &str, since: u64) -> u64 {
    for _ in 0..PATIENCE {
        if let Some(next) = engine.next_start(&format!("test/{flow}"))
            && next > since
        {
            // It sleeps by now.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return next;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{flow} is not planned");
}

const NOTHING: &str = "  - one: { set: { done: true } }";
const HOUR: u64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_interval_starts_one_run_and_an_outage_is_made_up_for_by_one() {
    let world = World::new();
    let engine = world.open();
    let start = world.clock.now_ms();
    deploy_scheduled(&engine, "every", "{ every: PT10M }", NOTHING).await;
    assert_eq!(planned(&engine, "every", start).await, start + 600_000);
    has(&engine, "every", 0).await;
    for n in 1..=3 {
        world.clock.set(start + n * 600_000);
        has(&engine, "every", n as usize).await;
    }
    world.kill(engine).await;
    world.clock.set(start + 95 * 60_000);
    let engine = world.open();
    has(&engine, "every", 4).await;
    assert_eq!(
        planned(&engine, "every", world.clock.now_ms()).await,
        start + 100 * 60_000,
        "the rhythm is kept"
    );
    let run = &runs(&engine, "every")[0];
    assert_eq!((run.trigger.as_str(), run.actor.as_str()), ("schedule", "system"));
    engine.undeploy(&actor(), "test/every").await.unwrap();
    world.clock.advance(HOUR);
    has(&engine, "every", 4).await;
    assert_eq!(engine.next_start("test/every"), None);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_by_an_hour_neither_stops_nor_repeats_a_schedule() {
    let world = World::new();
    // 2023-11-14T06:30:00Z, 07:30 in Berlin
    let start = 1_699_943_400_000;
    world.clock.set(start);
    let engine = world.open();
    deploy_scheduled(&engine, "every", "{ every: PT1M }", NOTHING).await;
    deploy_scheduled(&engine, "cron", "{ cron: '0 8 * * *' }", NOTHING).await;
    planned(&engine, "every", start).await;
    assert_eq!(planned(&engine, "cron", start).await, start + 30 * 60_000, "08:00 in Berlin");
    // An hour forward: both are overdue, and start once.
    world.clock.set(start + HOUR);
    has(&engine, "every", 1).await;
    has(&engine, "cron", 1).await;
    planned(&engine, "every", start + HOUR).await;
    // And back: the interval goes on; the morning has been.
    world.clock.set(start);
    engine.schedules_changed();
    for _ in 0..PATIENCE {
        if engine.next_start("test/every").is_some_and(|next| next <= start + 60_000) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.clock.set(start + 60_000);
    has(&engine, "every", 2).await;
    world.clock.set(start + 40 * 60_000);
    engine.schedules_changed();
    has(&engine, "every", 3).await;
    has(&engine, "cron", 1).await;
    assert_eq!(engine.next_start("test/cron"), Some(start + 30 * 60_000 + 24 * HOUR));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_counts_from_the_end_of_the_last_run() {
    let world = World::new();
    let engine = world.open();
    let start = world.clock.now_ms();
    deploy_scheduled(&engine, "after", "{ after: PT1H }", "  - w: { wait: { minutes: 30 } }").await;
    planned(&engine, "after", start).await;
    world.clock.set(start + HOUR);
    has(&engine, "after", 1).await;
    let id = runs(&engine, "after")[0].id.clone();
    until(&engine, &id, RunState::Waiting).await;
    idle(&engine).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    world.kill(engine).await;
    let engine = world.open();
    world.clock.set(start + HOUR + HOUR / 2);
    engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(planned(&engine, "after", start + 2 * HOUR).await, start + 2 * HOUR + HOUR / 2);
    has(&engine, "after", 1).await;
    world.clock.set(start + 2 * HOUR + HOUR / 2);
    has(&engine, "after", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_a_crash_interrupts_is_made_once() {
    for commits in 0..3 {
        let world = World::new();
        let engine = world.open();
        let start = world.clock.now_ms();
        deploy_scheduled(&engine, "every", "{ every: PT10M }", NOTHING).await;
        planned(&engine, "every", start).await;
        engine.crash.after(commits);
        world.clock.set(start + 600_000);
        for _ in 0..200 {
            if engine.crash.happened() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        world.kill(engine).await;
        let engine = world.open();
        has(&engine, "every", 1).await;
        let info = world.finish(&engine, &runs(&engine, "every")[0].id).await;
        assert_eq!(info.state, RunState::Completed, "crash before commit {commits}");
    }
}

//! Business time in runs: waits, timeouts and questions that count in it, over restarts, and calendars that change.

use super::*;
use crate::ErrorCode;
use crate::inbox::InboxQuery;

/// Tuesday 2023-11-14, 22:13:20 UTC: when the clock of these tests begins.
const BEGIN: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// The next morning at nine.
const MORNING: u64 = 1_700_038_800_000;

const DESK: &str = "{ businessHours: { week: { mon-fri: '09:00-17:00' } } }";

/// Deploys tasks under `document.metadata`.
pub async fn deploy_with(
    engine: &Arc<Engine>,
    name: &str,
    metadata: &str,
    tasks: &str,
) -> Result<(), HostError> {
    let source = document(name, "1.0.0", tasks).replacen(
        "version: '1.0.0' }",
        &format!("version: '1.0.0', metadata: {metadata} }}"),
        1,
    );
    engine.deploy(&actor(), &source, "test.yaml").await.map(drop)
}

fn due(engine: &Engine, id: &str) -> Option<u64> {
    engine.row(id).unwrap().unwrap().due
}

async fn set(engine: &Engine, week: &str, holidays: &[&str]) {
    let calendar = json!({ "week": { week: "09:00-17:00" }, "holidays": holidays });
    engine.calendars.set(&actor(), "desk", calendar).await.unwrap();
}

async fn waits(engine: &Arc<Engine>, flow: &str) -> String {
    let id = start(engine, flow, json!({})).await;
    until(engine, &id, RunState::Waiting).await;
    idle(engine).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_in_business_time_ends_when_it_was_to_end_whatever_becomes_of_the_calendar() {
    let world = World::new();
    let engine = world.open();
    let unknown = deploy_with(&engine, "w", "{ businessHours: desk }", "  - w: { wait: PT1H }").await;
    assert_eq!(code(unknown), ErrorCode::InvalidFlow, "a calendar that the host does not have");
    set(&engine, "mon-fri", &[]).await;
    let tasks = "  - w: { wait: { days: 1, hours: 1 }, metadata: { businessTime: true } }";
    deploy_with(&engine, "w", "{ businessHours: desk }", tasks).await.unwrap();
    let first = waits(&engine, "w").await;
    // From Wednesday at nine: a business day, and an hour.
    assert_eq!(due(&engine, &first), Some(MORNING + DAY + HOUR));
    set(&engine, "mon-fri", &["2023-11-16", "2023-11-17"]).await;
    world.kill(engine).await;
    let engine = world.open();
    let second = waits(&engine, "w").await;
    until(&engine, &first, RunState::Waiting).await;
    assert_eq!(due(&engine, &first), Some(MORNING + DAY + HOUR), "decided when it began");
    assert_eq!(due(&engine, &second), Some(MORNING + 5 * DAY + HOUR), "over two holidays and a weekend");
    world.clock.set(MORNING + DAY + HOUR);
    assert_eq!(engine.wait(&first, Duration::from_secs(60)).await.unwrap().state, RunState::Completed);
    assert_eq!(state(&engine, &second), RunState::Waiting);
    let entries = engine.calendars.list();
    assert_eq!((entries.len(), entries[0].open, entries[0].opens_at), (1, false, Some(MORNING + 5 * DAY)));
    let audit = engine.audit.list(&engine.store, &Default::default(), None, 1_000).unwrap();
    assert_eq!(audit.records.iter().filter(|record| record.entry.action == "calendar.set").count(), 2);
    assert_eq!(code(engine.remove_calendar(&actor(), "desk").await), ErrorCode::Conflict, "a flow names it");
    engine.undeploy(&actor(), "test/w").await.unwrap();
    engine.remove_calendar(&actor(), "desk").await.unwrap();
    assert!(engine.calendars.named("desk").is_none());
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_needs_a_calendar_which_is_gone_is_parked_and_goes_on_when_it_is_back() {
    let world = World::new();
    let engine = world.open();
    set(&engine, "mon-fri", &[]).await;
    let tasks = "  - first: { wait: PT10S }\n  - w: { wait: PT1H, metadata: { businessTime: desk } }";
    deploy_with(&engine, "w", "{}", tasks).await.unwrap();
    let id = waits(&engine, "w").await;
    engine.undeploy(&actor(), "test/w").await.unwrap();
    engine.remove_calendar(&actor(), "desk").await.unwrap();
    world.clock.advance(10_000);
    until(&engine, &id, RunState::Stuck).await;
    let reason = engine.row(&id).unwrap().unwrap().reason.unwrap();
    assert!(reason.contains("factotum calendar set desk FILE"), "{reason}");
    set(&engine, "mon-fri", &[]).await;
    let retry = crate::repair::RetryRun {
        actor: actor(),
        run_id: id.clone(),
        from: None,
        flow: crate::repair::RetryFlow::default(),
        preview: false,
    };
    engine.retry(retry).await.unwrap();
    until(&engine, &id, RunState::Waiting).await;
    assert_eq!(due(&engine, &id), Some(MORNING + HOUR));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_due_reminded_and_escalated_in_business_time() {
    let world = World::new();
    let engine = world.open();
    let tasks = "
  - ask:
      call: human-task
      with: { title: 'Well?', group: desk, remind: PT4H, escalate: { after: P1D, group: leads }, due: P2D }
      metadata: { businessTime: true }
";
    deploy_with(&engine, "ask", DESK, tasks).await.unwrap();
    let id = waits(&engine, "ask").await;
    let item = async || engine.list_items(&InboxQuery::default()).await.unwrap().items.pop();
    assert_eq!(item().await.unwrap().due, Some(MORNING + 2 * DAY));
    let at = async |ms: u64, look: &dyn Fn(&crate::InboxItem) -> bool| {
        world.clock.set(ms - 1);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!look(&item().await.unwrap()), "not before {ms}");
        world.clock.set(ms);
        for _ in 0..PATIENCE {
            if item().await.is_some_and(|item| look(&item)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it does not happen at {ms}: {:?}", item().await);
    };
    at(MORNING + 4 * HOUR, &|item| item.reminders == 1).await;
    at(MORNING + DAY, &|item| item.group.as_deref() == Some("leads")).await;
    world.clock.set(MORNING + 2 * DAY);
    let info = engine.wait(&id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(info.output.as_ref().unwrap()["outcome"], "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_before_any_commit_business_time_ends_at_the_same_moment() {
    let tasks = "
  - w: { wait: PT30M, metadata: { businessTime: true } }
  - act: { call: a/echo }
  - late:
      try:
        - long: { wait: P3D, timeout: { after: { hours: 8 } }, metadata: { businessTime: true } }
      catch: { errors: { with: { status: 408 } }, do: [ { note: { set: { late: true } } } ] }
";
    for commits in 1..=9 {
        let world = World::new();
        let engine = world.open();
        deploy_with(&engine, "w", DESK, tasks).await.unwrap();
        engine.crash.after(commits);
        let id = start(&engine, "w", json!({})).await;
        let mut engine = Some(engine);
        let mut ended = None;
        for _ in 0..PATIENCE {
            let now = engine.as_ref().unwrap();
            if let Ok(info) = now.wait(&id, Duration::from_millis(3)).await {
                ended = Some(info);
                break;
            }
            if now.crash.happened() {
                world.kill(engine.take().unwrap()).await;
                engine = Some(world.open());
                continue;
            }
            if let Some(Row { state: RunState::Waiting, due: Some(due), .. }) = now.row(&id).unwrap()
                && due > world.clock.now_ms()
            {
                world.clock.set(due);
            }
        }
        let info = ended.unwrap_or_else(|| panic!("commit {commits}"));
        assert_eq!(info.output, Some(json!({ "late": true })), "commit {commits}");
        assert_eq!(world.clock.now_ms(), MORNING + DAY + HOUR / 2, "commit {commits}: eight hours on");
        assert!(world.clock.now_ms() > BEGIN);
    }
}

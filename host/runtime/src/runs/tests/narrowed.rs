//! What a task's `metadata.grants` leaves reaches the call of that task, and no other.

use factotum_grant::Capability;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_called_under_its_own_narrowing() {
    let world = World::new();
    let engine = world.open();
    let tasks = "  - wide: { call: a/echo }
  - bare: { call: a/echo, metadata: { grants: { only: [] } } }
  - looped:
      for: { each: x, in: '${ [1, 2] }' }
      do:
      - guarded:
          try:
          - mailed: { call: a/echo, metadata: { grants: { only: [mail] } } }
          catch: {}
";
    deploy(&engine, "f", tasks).await;
    let id = start(&engine, "f", json!({})).await;
    world.finish(&engine, &id).await;
    let seen = |script: &Script| -> Vec<(String, Vec<Capability>)> {
        let narrowed = script.narrowed.lock().unwrap();
        narrowed.iter().map(|(task, by)| (task.clone(), by.only.clone().unwrap())).collect()
    };
    let mailed = ("/do/2/looped/do/0/guarded/try/0/mailed".to_owned(), vec![Capability::Mail]);
    let expected = [("/do/1/bare".to_owned(), vec![]), mailed.clone(), mailed];
    assert_eq!(seen(&world.script), expected);
    assert_eq!(world.script.calls().len(), 4);
    // The same after a restart, from the stored document.
    world.kill(engine).await;
    let engine = world.open();
    let id = start(&engine, "f", json!({})).await;
    world.finish(&engine, &id).await;
    assert_eq!(seen(&world.script)[3..], expected);
    assert_audit_holds(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_narrowing_is_not_deployed() {
    let engine = World::new().open();
    let source = document("f", "1.0.0", "  - a: { call: a/echo, metadata: { grants: { onyl: [] } } }");
    let error = engine.deploy(&actor(), &source, "test.yaml").await.unwrap_err();
    let problems = error.problems.unwrap().to_string();
    assert!(
        problems.contains("test.yaml:3:") && problems.contains("/do/0/a/metadata/grants/onyl"),
        "{problems}"
    );
}

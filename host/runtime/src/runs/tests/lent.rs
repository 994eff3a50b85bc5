//! Files that came by mail, and the runs that a run starts.

use super::*;
use crate::backends::StoredArtifacts;
use crate::backends::testing::call_of;
use factotum_sandbox::Artifacts;
use factotum_store::{Batch, Blobs, Table};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_hands_on_the_files_that_it_names_to_the_flow_that_it_starts_and_no_others() {
    let world = World::new();
    let engine = world.open();
    deploy(&engine, "child", "  - w: { wait: { minutes: 1 } }").await;
    let tasks = "
  - w: { wait: { minutes: 1 } }
  - one: { run: { workflow: { namespace: test, name: child, version: latest, input: { file: '${ $workflow.input.files[0] }' } }, await: false } }
  - two: { run: { workflow: { namespace: test, name: child, version: latest, input: { about: '${ $workflow.input.subject }' } }, await: false } }
";
    deploy(&engine, "parent", tasks).await;
    let id = "a".repeat(32);
    let parent = start(&engine, "parent", json!({"files": [id], "subject": "invoice"})).await;
    until(&engine, &parent, RunState::Waiting).await;
    let digest = Blobs::new(&engine.store).put(b"%PDF").await.unwrap();
    let artifact = json!({"id": id, "name": "invoice.pdf", "media_type": "application/pdf", "size": 4, "sha256": hex::encode(digest),
        "plugin": "mailbox:desk", "run": parent, "stored_at": 1});
    let mut batch = Batch::new();
    batch.put(Table::Artifacts, id.as_str(), artifact.to_string());
    engine.commit(batch).await.unwrap();
    world.clock.advance(60_000);
    until(&engine, &parent, RunState::Completed).await;
    let query = RunQuery { flow: Some("test/child".into()), ..RunQuery::default() };
    let children = engine.list(&query).unwrap().runs;
    assert_eq!(children.len(), 2);
    let artifacts = StoredArtifacts::new(engine.store.clone(), Arc::clone(&engine.clock));
    let mut read = Vec::new();
    for child in &children {
        let named = engine
            .records(&child.id)
            .unwrap()
            .iter()
            .any(|(_, bytes)| bytes.windows(32).any(|w| w == id.as_bytes()));
        let got = artifacts.get("crm", &call_of(Some(&child.id)), &id).await;
        assert_eq!(got.as_deref().ok(), named.then_some(&b"%PDF"[..]), "{named}");
        read.push(named);
    }
    read.sort_unstable();
    assert_eq!(read, [false, true]);
    assert_eq!(artifacts.get("crm", &call_of(None), &id).await.unwrap_err().code, "not-found");
}

//! A store whose writing fails: what it may not have kept is not shown.

use super::*;
use factotum_store::ChainState;
use std::sync::atomic::AtomicBool;

/// Breaks when a group is in the engine, and before anybody is told so.
struct Breaks(AuditLinker, Arc<AtomicBool>);

impl Linker for Breaks {
    fn restore(&mut self, state: ChainState) -> Result<u64, String> {
        self.0.restore(state)
    }

    fn link(&mut self, sequence: u64, entry: &[u8]) -> Vec<u8> {
        self.0.link(sequence, entry)
    }

    fn head(&mut self) -> Vec<u8> {
        self.0.head()
    }

    fn durable(&mut self) {
        assert!(!self.1.load(Ordering::SeqCst), "a disk that breaks");
        self.0.durable();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_was_told_of_is_not_shown_when_the_store_fails() {
    let world = World::new();
    let broken = Arc::new(AtomicBool::new(false));
    let engine = world.open_with(|linker| Box::new(Breaks(linker, Arc::clone(&broken))));
    deploy(&engine, "f", "  - w: { wait: { hours: 1 } }").await;
    let first = start(&engine, "f", json!({})).await;
    until(&engine, &first, RunState::Waiting).await;
    assert_eq!(engine.list(&RunQuery::default()).unwrap().runs.len(), 1);
    broken.store(true, Ordering::SeqCst);
    assert_eq!(code(engine.start(request("f", json!({}))).await), crate::ErrorCode::Store);
    let kept = engine.store.scan(Table::Runs, &factotum_store::ScanRange::default()).unwrap();
    assert_eq!(kept.len(), 2, "the store's own reads find it");
    for error in [
        engine.list(&RunQuery::default()).unwrap_err(),
        engine.info(&first).unwrap_err(),
        engine.detail(&first).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.code, crate::ErrorCode::Store);
        assert!(error.message.contains("takes no more writes"), "{error}");
    }
}

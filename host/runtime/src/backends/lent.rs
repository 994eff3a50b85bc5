//! What a run hands on to a run that it starts: files that came with a message, by their identifiers in the input.
//!
//! A file that came by mail is for the plugins of the run that the message started. When that run starts another flow and
//! names the file in its input, the other run may read it as well, and may hand it on in turn. Nothing else is: what a run
//! may not read it cannot hand on, and what it does not name stays its own.

use factotum_store::{Batch, ScanRange, Store, StoreError, Table};
use serde_json::Value;

use super::MAILBOX;
use super::artifacts::{Artifact, is_artifact_id};

/// The most texts of one input that are looked up.
const MAX_NAMED: usize = 1_000;
/// Entries that are looked at at once.
const PAGE: usize = 500;

fn prefix(run: &str) -> Vec<u8> {
    format!("lent/{run}/").into_bytes()
}

fn key(run: &str, id: &str) -> Vec<u8> {
    [prefix(run).as_slice(), id.as_bytes()].concat()
}

/// Whether a run may read a file that came by mail: with the message that started it, or handed on to it.
pub(super) fn is_for_run(store: &Store, artifact: &Artifact, run: Option<&str>) -> Result<bool, StoreError> {
    let Some(run) = run.filter(|_| artifact.plugin.starts_with(MAILBOX)) else { return Ok(false) };
    Ok(artifact.run.as_deref() == Some(run)
        || store.get(Table::Artifacts, &key(run, &artifact.id))?.is_some())
}

/// Adds to a batch that `child` may read what `parent` may and `input` names.
pub(crate) fn lend(
    store: &Store,
    batch: &mut Batch,
    parent: &str,
    child: &str,
    input: &Value,
) -> Result<(), StoreError> {
    let mut named = Vec::new();
    names(input, &mut named);
    for id in named {
        let Some(bytes) = store.get(Table::Artifacts, id.as_bytes())? else { continue };
        let Ok(artifact) = serde_json::from_slice::<Artifact>(&bytes) else { continue };
        if is_for_run(store, &artifact, Some(parent))? {
            batch.put(Table::Artifacts, key(child, id), *b"");
        }
    }
    Ok(())
}

/// Adds to a batch that nothing is handed on to a run any more.
pub(crate) fn forget(store: &Store, batch: &mut Batch, run: &str) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page =
            store.scan(Table::Artifacts, &ScanRange::prefix(prefix(run)).after(after.take()).limit(PAGE))?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, _) in page {
            batch.delete(Table::Artifacts, key);
        }
    }
}

/// The texts of a value that may be identifiers of files, each once.
fn names<'v>(value: &'v Value, named: &mut Vec<&'v str>) {
    match value {
        Value::String(text)
            if named.len() < MAX_NAMED && is_artifact_id(text) && !named.contains(&text.as_str()) =>
        {
            named.push(text);
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, named)),
        Value::Object(members) => members.values().for_each(|member| names(member, named)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factotum_store::Options;
    use serde_json::json;

    #[tokio::test]
    async fn only_what_a_run_may_read_and_names_is_handed_on_and_it_may_be_handed_on_again() {
        let store = Store::in_memory(Options::default()).unwrap();
        let (file, other, of_plugin) = ("0".repeat(32), "1".repeat(32), "2".repeat(32));
        let mut batch = Batch::new();
        for (id, plugin, run) in
            [(&file, "mailbox:desk", "p"), (&other, "mailbox:desk", "q"), (&of_plugin, "crm", "p")]
        {
            let artifact = json!({"id": id, "name": "a", "media_type": "x/y", "size": 1, "sha256": "", "plugin": plugin,
                "run": run, "stored_at": 1});
            batch.put(Table::Artifacts, id.as_str(), artifact.to_string());
        }
        store.commit(batch).await.unwrap();
        let may = |run: &str, id: &str| {
            let bytes = store.get(Table::Artifacts, id.as_bytes()).unwrap().unwrap();
            is_for_run(&store, &serde_json::from_slice(&bytes).unwrap(), Some(run)).unwrap()
        };
        let hand_on = async |from: &str, to: &str, input: Value| {
            let mut batch = Batch::new();
            lend(&store, &mut batch, from, to, &input).unwrap();
            store.commit(batch).await.unwrap();
        };
        hand_on("p", "c", json!({"files": [{"artifact": file}, other, of_plugin, "f".repeat(32), "text"]}))
            .await;
        assert!(may("p", &file) && may("c", &file));
        assert!(!may("c", &other) && !may("c", &of_plugin), "what a run may not read it cannot hand on");
        hand_on("p", "silent", json!({"note": "no file"})).await;
        assert!(!may("silent", &file), "what it does not name stays its own");
        hand_on("c", "g", json!(file)).await;
        hand_on("silent", "h", json!(file)).await;
        assert!(may("g", &file) && !may("h", &file));
        let mut batch = Batch::new();
        forget(&store, &mut batch, "c").unwrap();
        store.commit(batch).await.unwrap();
        assert!(!may("c", &file) && may("g", &file) && may("p", &file));
        assert!(
            !is_for_run(
                &store,
                &serde_json::from_value(json!({"id": file, "name": "", "media_type": "", "size": 0,
            "sha256": "", "plugin": "mailbox:desk", "stored_at": 0}))
                .unwrap(),
                None
            )
            .unwrap()
        );
    }
}

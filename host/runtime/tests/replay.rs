//! A recorded run is replayed with an edited plugin, which is called anew and may do nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // a failed test may panic; a skipped one says so

use std::{path::Path, time::Duration};

use factotum_grant::Grants;
use factotum_runtime::{
    Actor, AddPlugin, EditedPlugin, ErrorCode, Fixtures, Host, HostConfig, ReplayRun, Replayed, StartRun,
};
use serde_json::json;

const FLOW: &str = "document: { dsl: '1.0.3', namespace: t, name: greet, version: '1.0.0' }
do:
  - hello: { call: sampler/greet, with: { name: '${ .name }' }, output: { as: '{ said: . }' } }
  - keep:
      call: crm/upsert-contact
      with: { contact: { name: '${ .said }', email: li@shop.test } }
      output: { as: '${ $input }' }
";

fn component(test: &str, file: &str) -> Option<Vec<u8>> {
    let Some(dir) = std::env::var_os("FACTOTUM_GUEST_DIR") else {
        println!("skipped: {test}: FACTOTUM_GUEST_DIR is not set; run cargo xtask test");
        return None;
    };
    let path = Path::new(&dir).join(format!("{file}.wasm"));
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// The same component with other words of the same length.
fn edited(wasm: &[u8], words: &str, others: &str) -> Vec<u8> {
    let at =
        wasm.windows(words.len()).position(|found| found == words.as_bytes()).expect("the words are there");
    let mut wasm = wasm.to_vec();
    wasm[at..at + words.len()].copy_from_slice(others.as_bytes());
    wasm
}

struct World {
    host: Host,
    admin: Actor,
    run: String,
}

impl World {
    async fn replay(&self, name: &str, wasm: &[u8]) -> Result<Replayed, factotum_runtime::HostError> {
        let plugin =
            Some(EditedPlugin { name: name.into(), wasm: wasm.to_vec(), fixtures: Fixtures::default() });
        let (actor, run_id) = (self.admin.clone(), self.run.clone());
        self.host.replay_run(ReplayRun { actor, run_id, document: None, plugin }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_plugin_answers_anew_and_what_follows_is_shown() {
    let test = "an_edited_plugin_answers_anew_and_what_follows_is_shown";
    let (Some(sampler), Some(crm)) = (component(test, "guest_sampler"), component(test, "plugin_crm")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut config = HostConfig::new(dir.path());
    config.max_calls = 4;
    let host = Host::open(config).await.unwrap();
    let admin = Actor::Token("anna".into());
    let greeter = AddPlugin {
        wasm: sampler.clone(),
        name: Some("sampler".into()),
        version: Some("1.0.0".parse().unwrap()),
        ..AddPlugin::default()
    };
    host.add_plugin(&admin, greeter).await.unwrap();
    let grants = Grants::from_toml("run-context = true\n[key-value]").unwrap();
    host.add_plugin(&admin, AddPlugin { wasm: crm.clone(), grants: Some(grants), ..AddPlugin::default() })
        .await
        .unwrap();
    host.deploy_flow(&admin, FLOW, "greet.yaml").await.unwrap();
    let request = StartRun {
        actor: admin.clone(),
        flow: "t/greet".into(),
        input: json!({ "name": "Li" }),
        dedupe_key: None,
        trigger: "api".into(),
    };
    let run = host.start_run(request).await.unwrap().run_id;
    host.wait_run(&run, Duration::from_secs(60)).await.unwrap();
    let world = World { host, admin, run };
    let contacts = || async {
        let query = json!({ "query": { "email": "li@shop.test" } });
        world.host.call_plugin(&world.admin, "crm", "find-contacts", &query, None).await.unwrap()
    };
    let before = contacts().await;
    assert_eq!(before[0]["name"], "Hello, Li!");

    let same = world.replay("sampler", &sampler).await.unwrap();
    assert!(same.same && same.answered == 1 && same.answers.is_empty(), "{same:?}");

    // It greets otherwise: seen in its answer, in what the next task is given, and in the end.
    let other = world.replay("sampler", &edited(&sampler, "Hello, ", "Howdy, ")).await.unwrap();
    assert!(!other.same, "{other:?}");
    assert_eq!(other.answers.len(), 1);
    assert_eq!(
        (other.answers[0].place.as_str(), other.answers[0].what.as_str()),
        ("/do/hello", "sampler/greet")
    );
    assert_eq!(other.answers[0].differences, ["/output: expected \"Hello, Li!\", found \"Howdy, Li!\""]);
    let parts = other.parts_at.unwrap();
    assert_eq!((parts.place.as_str(), parts.answered), ("/do/keep", true));
    assert_eq!(parts.arguments, ["/contact/name: expected \"Hello, Li!\", found \"Howdy, Li!\""]);
    assert_eq!(other.outcome["output"]["said"], "Howdy, Li!");

    // A plugin that acts does so in a scratch memory.
    let kept = world.replay("crm", &crm).await.unwrap();
    assert_eq!(kept.answered, 1, "{kept:?}");
    assert_eq!(contacts().await, before, "nothing was done");

    for (name, wasm, code) in [
        ("nobody", &sampler, ErrorCode::UnknownPlugin),
        ("sampler", &b"no component".to_vec(), ErrorCode::InvalidPlugin),
        ("crm", &sampler, ErrorCode::Conflict),
    ] {
        assert_eq!(world.replay(name, wasm).await.unwrap_err().code, code, "{name}");
    }
    let filter = factotum_audit::Filter { action: Some("run.replay".into()), ..Default::default() };
    let entries = world.host.audit().list(world.host.store(), &filter, None, 10).unwrap().records;
    assert_eq!(entries.len(), 3, "who replayed what is on record");
    world.host.shutdown().await;
}

//! Hostile components against the real sandbox and the real door out. `README.md` is the table: attack, outcome, test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers: a failure there fails the test"
)]

#[path = "../common/mod.rs"]
mod common;
mod destinations;
mod messages;
mod rules;
mod secrets;
mod table;

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{component, grants, sandbox, spec};
use factotum_egress::{Egress, EgressConfig, NoSecrets, Resolve, Secrets, async_trait};
use factotum_sandbox::{Backends, CallReport, Plugin, UseOutcome, testing::Memory};
use serde_json::{Value, json};

/// A resolver that answers as the test says, and remembers what it was asked.
#[derive(Default)]
struct Names {
    /// By name: the answers one after the other, the last one for ever.
    answers: Mutex<BTreeMap<String, Vec<Vec<&'static str>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn new(answers: &[(&str, &[&[&'static str]])]) -> Arc<Self> {
        let names = Self::default();
        for (name, list) in answers {
            names.answers.lock().unwrap().insert((*name).into(), list.iter().map(|a| a.to_vec()).collect());
        }
        Arc::new(names)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.into());
        let mut answers = self.answers.lock().unwrap();
        let list = answers.get_mut(name).ok_or_else(|| io::Error::other("no such name"))?;
        let now = if list.len() > 1 { list.remove(0) } else { list[0].clone() };
        Ok(now.iter().map(|a| a.parse().unwrap()).collect())
    }
}

/// The hostile guest behind a door with these names and secrets.
fn behind(names: Arc<dyn Resolve>, secrets: Arc<dyn Secrets>, toml: &str) -> Plugin {
    let config = EgressConfig { connect_timeout: Duration::from_secs(1), ..EgressConfig::default() };
    let egress = Arc::new(Egress::new(config, names, secrets).unwrap());
    let backends = Backends { egress, ..Memory::backends().0 };
    sandbox().link(&component("hostile"), spec("hostile", grants(toml)), &backends).unwrap()
}

fn among(names: Arc<Names>, toml: &str) -> Plugin {
    behind(names, Arc::new(NoSecrets), toml)
}

/// One request with each part as it is given to the host's interface.
async fn send(
    plugin: &Plugin,
    (method, authority, path): (&str, &str, &str),
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> CallReport {
    let target = json!({"method": method, "scheme": "http", "authority": authority, "path": path});
    common::call(plugin, "smuggle.send", json!({"target": target, "headers": headers, "body": body})).await
}

/// One request in the SDK's way, whose answer is text.
async fn request(plugin: &Plugin, method: &str, url: &str) -> CallReport {
    common::call(plugin, "request", get_input(method, url, &[])).await
}

fn get_input(method: &str, url: &str, headers: &[(&str, &str)]) -> Value {
    json!({"method": method, "url": url, "headers": headers, "body": ""})
}

/// Whether any use had an effect.
fn acted(report: &CallReport) -> bool {
    report.uses.iter().any(|used| used.outcome == UseOutcome::Ok)
}
